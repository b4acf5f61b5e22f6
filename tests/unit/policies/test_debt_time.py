"""How long accounts have been in debt, in sum, as the bucket counts it."""

from hypothesis import given, settings
from hypothesis import strategies as st
from pytest import approx

from policies.fair_bucket import FairBucket


def test_each_second_of_an_account_counts_once_however_often_it_charges() -> None:
    bucket = FairBucket(rate=10.0, burst=10.0, now=0.0)
    account = bucket.open(0.0)
    for _ in range(5):
        bucket.charge(account, 10.0, 0.0)
    assert bucket.waiting(0.0) == 1
    assert bucket.waited(0.0) == 0.0
    assert bucket.waited(1.5) == 1.5
    bucket.charge(account, 10.0, 1.5)
    assert bucket.waited(4.9) == approx(4.9)
    assert bucket.waited(100.0) == approx(5.0)
    assert bucket.waiting(100.0) == 0


def test_accounts_add_up_and_each_ends_at_its_time() -> None:
    """At 10 a second, two debts of 10 and 30: both are paid 5 a second until 2 s, then one 10 a second until 4 s."""
    bucket = FairBucket(rate=10.0, burst=0.0, now=0.0)
    first, second = bucket.open(0.0), bucket.open(0.0)
    bucket.charge(first, 10.0, 0.0)
    bucket.charge(second, 30.0, 0.0)
    assert bucket.waited(1.0) == 2.0
    assert bucket.waited(50.0) == approx(2 + 4)


def test_who_has_left_waits_no_more_and_who_takes_over_its_debt_does() -> None:
    bucket = FairBucket(rate=10.0, burst=0.0, now=0.0)
    account = bucket.open(0.0)
    bucket.charge(account, 100.0, 0.0)
    bucket.leave(account, 2.0)
    assert (bucket.waiting(4.0), bucket.waited(4.0)) == (0, 2.0)
    bucket.open(5.0)
    assert (bucket.waiting(6.0), bucket.waited(6.0)) == (1, 3.0)
    assert bucket.waited(20.0) == approx(2 + 5)


def test_debts_that_are_forgiven_are_waited_for_no_longer() -> None:
    bucket = FairBucket(rate=10.0, burst=0.0, now=0.0)
    bucket.charge(bucket.open(0.0), 100.0, 0.0)
    bucket.forgive(3.0)
    assert (bucket.waiting(9.0), bucket.waited(9.0)) == (0, 3.0)


def test_time_passes_where_nothing_comes_in() -> None:
    bucket = FairBucket(rate=0.0, burst=0.0, now=0.0)
    bucket.charge(bucket.open(0.0), 100.0, 0.0)
    assert bucket.waited(7.0) == 7.0
    bucket.change(rate=100.0, burst=0.0, now=7.0)
    assert bucket.waited(100.0) == approx(8.0)


STEP = st.tuples(st.floats(0, 3), st.integers(0, 3), st.floats(0, 40))


@settings(deadline=None)
@given(st.lists(STEP, min_size=1, max_size=20))
def test_however_rarely_the_bucket_looks_at_the_clock(steps: list[tuple[float, int, float]]) -> None:
    """One bucket is asked only at charges, the other in small steps, in which those who wait are added up as well."""
    lazy, eager = (FairBucket(rate=10.0, burst=5.0, now=0.0) for _ in range(2))
    accounts = [(lazy.open(0.0), eager.open(0.0)) for _ in range(4)]
    now = summed = 0.0
    before = 0.0
    for wait, number, tokens in [*steps, (5.0, 0, 0.0)]:
        for _ in range(50):
            summed += eager.waiting(now) * wait / 50
            now += wait / 50
            assert eager.waited(now) >= before
            before = eager.waited(now)
        lazy.charge(accounts[number][0], tokens, now)
        eager.charge(accounts[number][1], tokens, now)
    assert lazy.waited(now) == approx(eager.waited(now), abs=1e-6)
    # an account that has paid within a step is counted to its end
    assert summed - len(steps) * 5 / 50 <= eager.waited(now) + 1e-6
    assert eager.waited(now) <= summed + 1e-6
