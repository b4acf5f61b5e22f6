"""The current rate: exact for steady traffic, and gone ten seconds after the last of it."""

from hypothesis import given, settings
from hypothesis import strategies as st
from pytest import approx

from policies.sliding_rate import SlidingRate


def test_steady_traffic_is_seen_exactly_at_any_time_within_a_second() -> None:
    rate = SlidingRate(100.0)
    for tenth in range(300):
        rate.add(50.0, 100 + (tenth + 0.5) / 10)
    assert rate.rate(130.0) == approx(500.0)
    rate.add(50.0, 130.25)
    assert rate.rate(130.5) == approx((9 * 500 + 50) / 9.5)


def test_it_is_gone_after_ten_seconds() -> None:
    rate = SlidingRate(0.0)
    rate.add(90.0, 0.9)
    assert rate.rate(1.0) == 10.0
    assert rate.rate(9.5) == 90 / 9.5
    assert rate.rate(10.0) == 0.0
    assert rate.rate(1_000_000.0) == 0.0


def test_after_a_long_silence_only_what_is_new_counts() -> None:
    rate = SlidingRate(0.0)
    rate.add(1_000_000.0, 0.5)
    rate.add(18.0, 10_000.0)
    assert rate.rate(10_000.0) == 2.0


def test_what_was_added_too_much_is_taken_back_and_never_leaves_less_than_nothing() -> None:
    rate = SlidingRate(0.0)
    rate.add(100.0, 0.5)
    rate.add(-10.0, 1.5)
    assert rate.rate(9.0) == 10.0
    assert rate.rate(10.0) == 0.0


def test_a_clock_that_goes_back_changes_nothing() -> None:
    rate = SlidingRate(50.0)
    rate.add(45.0, 50.0)
    rate.add(45.0, 40.0)
    assert rate.rate(50.0) == 10.0


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 1e9)), max_size=60), st.floats(0, 12))
def test_as_counted_by_hand(steps: list[tuple[float, float]], later: float) -> None:
    now, rate, all_of_it = 7.0, SlidingRate(7.0), []
    for wait, units in steps:
        now += wait
        rate.add(units, now)
        all_of_it.append((int(now), units))
    now += later
    recent = sum(units for second, units in all_of_it if int(now) - second < 10)
    assert rate.rate(now) == approx(recent / (9 + now % 1))
