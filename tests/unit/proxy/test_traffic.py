"""The limits of a zone in one process: changed at run time, shared out, counted."""

from collections.abc import Callable
from math import inf

import pytest

from policies.zone import ZoneLimits
from proxy.traffic import Kind, Limiter, ZoneTraffic


class Time:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


def limiter(time: Time, limit: float | None, burst_seconds: float = 1.0) -> Limiter:
    limiter = Limiter("acme", Kind.PRODUCE, time, burst_seconds)
    limiter.configure(limit)
    return limiter


def waiters(limiter: Limiter, count: int) -> list[int]:
    """Connections that wait, by how often each has been woken."""
    woken = [0] * count

    def wake(i: int) -> Callable[[], None]:
        def waker() -> None:
            woken[i] += 1

        return waker

    for i in range(count):
        limiter.waiting[wake(i)] = None
    return woken


# limits


def test_a_limit_begins_with_a_full_bucket(time: Time) -> None:
    limited = limiter(time, 100.0)
    account = limited.open()
    limited.charge(account, 100)
    assert limited.wait(account) == 0
    limited.charge(account, 50)
    assert limited.wait(account) == 0.5


@pytest.mark.parametrize("seconds", [0.1, 2.5])
def test_as_much_is_saved_up_as_the_burst_allows(time: Time, seconds: float) -> None:
    limited = limiter(time, 100.0, seconds)
    account = limited.open()
    limited.charge(account, 100 * seconds + 100)
    time.now += 1 + 1000
    limited.charge(account, 100 * seconds + 20)
    assert limited.wait(account) == pytest.approx(0.2)


def test_one_unit_can_always_be_saved_up(time: Time) -> None:
    """Six commits a minute: one passes at any time, and the next ten seconds later."""
    limited = limiter(time, 0.1)
    account = limited.open()
    limited.charge(account, 1)
    assert limited.wait(account) == 0
    time.now += 10
    limited.charge(account, 1)
    assert limited.wait(account) == 0
    limited.charge(account, 1)
    assert limited.wait(account) == 10


def test_another_limit_changes_the_wait_for_a_live_debt_and_wakes_each_who_waits_once(time: Time) -> None:
    limited = limiter(time, 100.0)
    account = limited.open()
    limited.charge(account, 1100)
    woken = waiters(limited, 3)
    limited.configure(1000.0)
    assert limited.wait(account) == 1
    assert woken == [1, 1, 1]
    time.now += 0.5
    limited.configure(50.0)
    assert limited.wait(account) == 10
    assert woken == [2, 2, 2]


def test_a_higher_limit_is_no_gift(time: Time) -> None:
    limited = limiter(time, 100.0)
    account = limited.open()
    limited.charge(account, 100)
    limited.configure(1000.0)
    limited.charge(account, 100)
    assert limited.wait(account) == 0.1


def test_the_same_limit_again_changes_nothing(time: Time) -> None:
    limited = limiter(time, 100.0)
    account = limited.open()
    limited.charge(account, 150)
    woken = waiters(limited, 1)
    limited.configure(100.0)
    assert limited.wait(account) == 0.5
    assert woken == [0]


def test_without_a_limit_nobody_waits_any_more(time: Time) -> None:
    limited = limiter(time, 100.0)
    here, gone = limited.open(), limited.open()
    limited.charge(here, 5000)
    limited.charge(gone, 5000)
    limited.leave(gone)
    woken = waiters(limited, 2)
    limited.configure(None)
    assert woken == [1, 1]
    assert (limited.limit, limited.share) == (None, None)
    assert limited.wait(here) == 0
    assert limited.open() is not gone


def test_a_limit_after_a_time_without_is_a_new_beginning(time: Time) -> None:
    limited = limiter(time, 100.0)
    account = limited.open()
    limited.charge(account, 5000)
    limited.configure(None)
    limited.configure(10.0)
    limited.charge(account, 10)
    assert limited.wait(account) == 0
    limited.charge(account, 10)
    assert limited.wait(account) == 1


def test_who_is_woken_may_leave_or_wait_again(time: Time) -> None:
    limited = limiter(time, 100.0)
    woken = []

    def leaver() -> None:
        woken.append("leaver")
        del limited.waiting[leaver]

    def waiter() -> None:
        woken.append("waiter")
        limited.waiting.pop(waiter)
        limited.waiting[waiter] = None

    limited.waiting |= {waiter: None, leaver: None}
    limited.configure(200.0)
    assert woken == ["waiter", "leaver"]
    assert list(limited.waiting) == [waiter]


# shares


def test_a_share_is_what_counts_for_debts_and_for_what_is_saved_up(time: Time) -> None:
    limited = limiter(time, 100.0)
    account = limited.open()
    limited.use_share(0.2, 0.2, inf)
    assert limited.share == 20
    limited.charge(account, 30)
    assert limited.wait(account) == 0.5
    limited.use_share(1.0, 1.0, inf)
    assert limited.share == 100
    assert limited.wait(account) == 0.1


def test_a_share_is_a_part_of_whatever_the_limit_is(time: Time) -> None:
    limited = limiter(time, None)
    limited.use_share(0.8, 0.8, inf)
    limited.configure(100.0)
    assert limited.share == 80
    limited.configure(50.0)
    assert limited.share == 40
    account = limited.open()
    limited.charge(account, 80)
    assert limited.wait(account) == 1


def test_another_share_wakes_each_who_waits_and_the_same_one_does_not(time: Time) -> None:
    limited = limiter(time, 100.0)
    limited.use_share(0.2, 0.2, inf)
    woken = waiters(limited, 2)
    limited.use_share(0.2, 0.4, inf)
    assert woken == [0, 0]
    limited.use_share(0.3, 0.4, inf)
    assert woken == [1, 1]
    limited.use_share(1.0, 1.0, inf)
    assert woken == [2, 2]


def test_clients_are_told_of_the_wait_at_the_share_that_may_be_expected(time: Time) -> None:
    limited = limiter(time, 100.0)
    account = limited.open()
    limited.use_share(0.0, 0.5, inf)
    limited.charge(account, 101)
    assert limited.wait(account) == inf
    assert limited.expected_wait(account) == 2
    # what it has already is never less
    limited.use_share(1.0, 0.5, inf)
    assert limited.wait(account) == limited.expected_wait(account) == 1


# what is seen


def test_what_has_been_used_is_counted(time: Time) -> None:
    limited = limiter(time, 100.0)
    account, other = limited.open(), limited.open()
    limited.charge(account, 100)
    limited.charge(other, 0.5)
    assert (limited.charged, limited.throttled_requests) == (100.5, 1)
    limited.charge(account, 100)
    limited.charge(account, 100)
    assert (limited.charged, limited.throttled_requests) == (300.5, 3)
    limited.refund(account, 200)
    assert limited.charged == 100.5
    assert limited.wait(account) == 0


def test_each_second_of_a_connection_in_debt_counts_once_as_it_passes(time: Time) -> None:
    limited = limiter(time, 100.0)
    account, other = limited.open(), limited.open()
    limited.charge(account, 200)
    limited.charge(account, 200)
    limited.charge(other, 100)
    assert limited.throttled_seconds == 0
    time.now += 1
    assert limited.throttled_seconds == 2
    time.now += 100
    assert limited.throttled_seconds == pytest.approx(6)
    # for a share of nothing, too
    limited.use_share(0.0, 0.0, inf)
    limited.charge(account, 2)
    time.now += 3
    assert limited.throttled_seconds == pytest.approx(9)


def test_who_comes_takes_over_what_was_owed_when_somebody_left(time: Time) -> None:
    limited = limiter(time, 100.0)
    account = limited.open()
    limited.charge(account, 300)
    limited.leave(account)
    time.now += 0.5
    assert limited.wait(limited.open()) == 1.5


# all of a zone


def test_each_kind_of_a_zone_has_its_own_limit(time: Time) -> None:
    traffic = ZoneTraffic("acme", time, 1.0)
    assert (traffic.limited, [limiter.limit for limiter in traffic]) == (False, [None, None, None])
    traffic.configure(ZoneLimits(produce_rate=1000, consume_rate=2000, commits_per_minute=30))
    assert traffic.limited
    assert {limiter.kind: limiter.limit for limiter in traffic} == {
        Kind.PRODUCE: 1000,
        Kind.CONSUME: 2000,
        Kind.COMMIT: 0.5,
    }
    assert {limiter.zone for limiter in traffic} == {"acme"}
    produce, commit = traffic[Kind.PRODUCE], traffic[Kind.COMMIT]
    account = produce.open()
    produce.charge(account, 3000)
    assert produce.wait(account) == 2
    account = commit.open()
    commit.charge(account, 2)
    assert commit.wait(account) == 2


def test_a_limit_that_stays_keeps_its_debts_when_another_changes(time: Time) -> None:
    traffic = ZoneTraffic("acme", time, 1.0)
    traffic.configure(ZoneLimits(produce_rate=100, commits_per_minute=60))
    produce = traffic[Kind.PRODUCE]
    account = produce.open()
    produce.charge(account, 200)
    woken = waiters(produce, 1)
    traffic.configure(ZoneLimits(produce_rate=100, consume_rate=5))
    assert produce.wait(account) == 1
    assert woken == [0]
    traffic.configure(ZoneLimits())
    assert not traffic.limited
    assert produce.wait(account) == 0
    assert woken == [1]


def test_a_fetch_is_cut_to_a_part_of_the_burst(time: Time) -> None:
    traffic = ZoneTraffic("acme", time, 2.0)
    cuts = [traffic.fetch_bytes]
    for limits in (ZoneLimits(consume_rate=1000), ZoneLimits(consume_rate=1), ZoneLimits(produce_rate=1000)):
        traffic.configure(limits)
        cuts.append(traffic.fetch_bytes)
    assert cuts == [None, 500, 1, None]
