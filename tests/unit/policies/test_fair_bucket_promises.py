"""What the fair bucket promises over time: an exact rate, nothing lost, and an equal part for everybody."""

import heapq
from collections import Counter
from itertools import accumulate, combinations
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.fair_bucket import MAX_VIRTUAL, Account, FairBucket


def owed(bucket: FairBucket, account: Account) -> float:
    return 0.0 if account.due is None else account.due - bucket._virtual


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([0.5, 10.0, 1e6]),
    st.floats(0, 100),
    st.lists(st.tuples(st.floats(0, 5), st.integers(0, 3), st.floats(0, 100)), max_size=30),
)
def test_no_more_is_charged_than_comes_in_and_was_saved_up_and_is_owed(
    rate: float, burst: float, charges: list[tuple[float, int, float]]
) -> None:
    """In any window, whoever charges what and when."""
    bucket = FairBucket(rate, burst, 0.0)
    accounts = [bucket.open(0.0) for _ in range(4)]
    now, sums = 0.0, [(0.0, 0.0, 0.0)]
    for delay, who, seconds in charges:
        now += delay
        bucket.charge(accounts[who], seconds * rate, now)
        sums.append((now, sums[-1][1] + seconds * rate, sum(owed(bucket, account) for account in accounts)))
    for (start, before, _), (end, after, debt) in combinations(sums, 2):
        assert after - before <= (rate * (end - start) + burst + debt) * (1 + 1e-9)


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from([0.1, 1e6, 1e10]),
    st.lists(st.tuples(st.floats(0.05, 0.1), st.floats(0, 0.5)), min_size=1, max_size=6),
)
def test_with_saturating_demand_the_rate_is_exact_over_any_ten_seconds(
    rate: float, debtors: list[tuple[float, float]]
) -> None:
    """Each charges again as soon as it may, or later by at most half the time that its request is worth; all of them
    together a tenth of a second's worth."""
    sizes = [part * rate / len(debtors) for part, _ in debtors]
    charges, _, _ = saturate(rate, rate, sizes, [late * part / len(debtors) for part, late in debtors], 20.0)
    sums = list(accumulate((sizes[who] for _, who in charges), initial=0.0))
    # the stock of the beginning is used up by then
    begin = next(i for i, total in enumerate(sums) if total > 3 * rate)
    end, windows = begin, 0
    for i, (start, _) in enumerate(charges[begin:], begin):
        while end < len(charges) and charges[end][0] < start + 10:
            end += 1
        if end < len(charges):
            windows += 1
            assert sums[end] - sums[i] == pytest.approx(10 * rate, rel=0.02)
    assert windows > 50


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(1, 3), st.floats(0, 0.95)), min_size=1, max_size=8),
    st.sampled_from([0.1, 1.0, 1e6]),
)
def test_who_waits_as_told_leaves_no_token_unused(debtors: list[tuple[float, float]], rate: float) -> None:
    """Each asks for more at once than can be saved up, and is late, if by less time than that takes: what has been
    charged is all that there was at the beginning, all that has come in, and what is owed, less what is in stock."""
    sizes, delays = [size * rate for size, _ in debtors], [delay for _, delay in debtors]
    charges, bucket, accounts = saturate(rate, rate, sizes, delays, 20.0)
    debt = sum(owed(bucket, account) for account in accounts)
    there_was = rate + bucket._now * rate + debt - bucket._tokens
    assert sum(sizes[who] for _, who in charges) == pytest.approx(there_was, rel=1e-9)


@pytest.mark.parametrize("pairs", [1, 3, 20])
def test_greedy_accounts_get_equal_parts_whether_they_ask_for_little_or_much_at_once(pairs: int) -> None:
    """Half of them ask for a hundredth of a second's worth of their part, half for a second's."""
    sizes = [size for size in (10.0, 1000.0) for _ in range(pairs)]
    charges, _, _ = saturate(2000.0 * pairs, 1.0, sizes, [0.0] * len(sizes), 100.0)
    charged = Counter(who for _, who in charges)
    assert [charged[who] * size for who, size in enumerate(sizes)] == pytest.approx([100_000.0] * len(sizes), rel=0.011)


def saturate(
    rate: float, burst: float, sizes: list[float], delays: list[float], seconds: float
) -> tuple[list[tuple[float, int]], FairBucket, list[Account]]:
    """Have accounts charge again and again, each its size, and its delay after its debt is paid. Return who charged
    when."""
    bucket = FairBucket(rate, burst, 0.0)
    accounts = [bucket.open(0.0) for _ in sizes]
    charges = []
    # (when, who, whether it has waited out its delay)
    events = [(0.0, who, True) for who in range(len(sizes))]
    while events[0][0] < seconds:
        now, who, ready = heapq.heappop(events)
        wait = bucket.wait(accounts[who], now)
        if wait:
            heapq.heappush(events, (now + wait, who, False))
        elif not ready:
            heapq.heappush(events, (now + delays[who], who, True))
        else:
            bucket.charge(accounts[who], sizes[who], now)
            charges.append((now, who))
            heapq.heappush(events, (now, who, False))
    return charges, bucket, accounts


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 6),
    st.lists(
        st.tuples(st.lists(st.floats(0.01, 50), min_size=1, max_size=5), st.floats(0, 2)), min_size=1, max_size=20
    ),
    st.lists(st.floats(0, 1e5), min_size=1, max_size=10),
)
def test_who_asks_for_less_than_its_part_waits_no_longer_than_its_own_last_requests_need(
    greedy: int, bursts: list[tuple[list[float], float]], debts: list[float]
) -> None:
    """A modest account sends some requests at once, and the next ones when these would be paid at its equal part, or
    later. The others overdraw without bounds, at any time."""
    bucket = FairBucket(100.0, 100.0, 0.0)
    part = 100.0 / (greedy + 1)
    modest, *others = (bucket.open(0.0) for _ in range(greedy + 1))
    now, asked = 0.0, iter(debts * len(bursts))
    for requests, pause in bursts:
        for other in others:
            bucket.charge(other, next(asked, 1e5), now)
        assert bucket.wait(modest, now) == 0
        for so_far, request in zip(accumulate(requests), requests, strict=True):
            bucket.charge(modest, request, now)
            assert bucket.wait(modest, now) <= so_far / part * (1 + 1e-9)
        for other in others:
            bucket.charge(other, next(asked, 1e5), now)
        assert bucket.wait(modest, now) <= sum(requests) / part * (1 + 1e-9)
        now += sum(requests) / part + pause


def test_one_charge_larger_than_the_burst_passes_and_is_paid_back() -> None:
    bucket = FairBucket(10.0, 10.0, 0.0)
    account = bucket.open(0.0)
    bucket.charge(account, 1000.0, 0.0)
    assert bucket.wait(account, 0.0) == 99.0
    assert bucket.wait(account, 98.9) == pytest.approx(0.1)
    assert bucket.wait(account, 99.0) == 0.0
    # nothing has been saved up meanwhile, and nothing is owed
    bucket.charge(account, 1.0, 99.0)
    assert bucket.wait(account, 99.0) == 0.1


def test_a_wait_is_exact_for_debts_that_are_alike_and_for_the_smallest_and_the_largest_of_all() -> None:
    bucket = FairBucket(10.0, 0.0, 0.0)
    alike = [bucket.open(0.0) for _ in range(4)]
    for account in alike:
        bucket.charge(account, 5.0, 0.0)
    assert [bucket.wait(account, 0.0) for account in alike] == [2.0] * 4
    bucket.charge(alike[0], 100.0, 0.0)
    assert [bucket.wait(account, 0.0) for account in alike] == [12.0, 2.0, 2.0, 2.0]
    # each has got a quarter of what came in
    assert bucket.wait(alike[1], 1.5) == 0.5
    assert bucket.wait(alike[0], 2.0) == 10.0


def test_a_wait_can_be_reckoned_at_another_rate() -> None:
    bucket = FairBucket(0.0, 0.0, 0.0)
    account = bucket.open(0.0)
    bucket.charge(account, 5.0, 0.0)
    assert bucket.wait(account, 7.0) == inf
    assert bucket.wait(account, 7.0, 2.0) == 2.5
    assert bucket.wait(Account(), 7.0) == 0.0


def test_another_rate_changes_the_wait_of_a_live_debt_at_once() -> None:
    bucket = FairBucket(10.0, 10.0, 0.0)
    account = bucket.open(0.0)
    bucket.charge(account, 110.0, 0.0)
    bucket.change(100.0, 100.0, 5.0)
    # half of it was paid at the old rate
    assert bucket.wait(account, 5.0) == 0.5
    bucket.change(1.0, 1.0, 5.1)
    assert bucket.wait(account, 5.1) == pytest.approx(40.0)


def test_leaving_and_coming_again_is_no_way_out_of_a_debt() -> None:
    bucket = FairBucket(10.0, 10.0, 0.0)
    for second in range(20):
        account = bucket.open(second)
        bucket.charge(account, 20.0, second)
        bucket.leave(account, second)
    assert bucket.wait(bucket.open(20.0), 20.0) == pytest.approx((20 * 20 - 10) / 10 - 20)


def test_who_comes_beside_several_that_have_left_takes_over_from_one_and_the_next_from_another() -> None:
    bucket = FairBucket(1.0, 0.0, 0.0)
    left = [bucket.open(0.0) for _ in range(3)]
    for account in left:
        bucket.charge(account, 10.0, 0.0)
        bucket.leave(account, 0.0)
    assert {bucket.open(1.0) for _ in range(3)} == set(left)
    assert bucket.wait(bucket.open(1.0), 1.0) == 0


def test_a_debt_of_nobody_is_paid_back_as_well() -> None:
    bucket = FairBucket(2.0, 5.0, 0.0)
    gone, other = bucket.open(0.0), bucket.open(0.0)
    bucket.charge(gone, 15.0, 0.0)
    bucket.charge(other, 10.0, 0.0)
    bucket.leave(gone, 0.0)
    assert bucket.waiting(0.0) == 1
    assert bucket.wait(other, 0.0) == 10.0
    assert bucket.open(10.0) not in (gone, other)


def test_what_is_given_back_pays_others_before_it_is_put_in_stock() -> None:
    bucket = FairBucket(0.0, 10.0, 0.0)
    giver, first, second = (bucket.open(0.0) for _ in range(3))
    bucket.charge(first, 15.0, 0.0)
    bucket.charge(second, 5.0, 0.0)
    bucket.charge(giver, 4.0, 0.0)
    bucket.refund(giver, 4.0 + 6.0, 0.0)
    assert [owed(bucket, account) for account in (giver, first, second)] == [0.0, 2.0, 2.0]
    bucket.refund(giver, 4.0 + 3.0, 0.0)
    assert bucket.waiting(0.0) == 0
    bucket.charge(giver, 3.0, 0.0)
    assert bucket.waiting(0.0) == 0
    bucket.charge(giver, 1.0, 0.0)
    assert owed(bucket, giver) == 1.0


def test_each_second_in_debt_counts_once_for_each_account_that_somebody_uses() -> None:
    bucket = FairBucket(10.0, 0.0, 0.0)
    one, two, gone = (bucket.open(0.0) for _ in range(3))
    for account, tokens in ((one, 10.0), (one, 10.0), (two, 5.0), (gone, 5.0)):
        bucket.charge(account, tokens, 0.0)
    bucket.leave(gone, 0.0)
    assert bucket.waited(1.0) == pytest.approx(2.0)
    # `two` and `gone` have paid after 1.5 s, `one` after 3
    assert bucket.waited(2.0) == pytest.approx(3.5)
    assert bucket.waited(100.0) == pytest.approx(4.5)
    bucket.change(0.0, 0.0, 100.0)
    bucket.charge(one, 1.0, 100.0)
    assert bucket.waited(104.0) == pytest.approx(8.5)


def test_forgiven_accounts_begin_anew() -> None:
    bucket = FairBucket(1.0, 5.0, 0.0)
    here, gone = bucket.open(0.0), bucket.open(0.0)
    bucket.charge(here, 50.0, 0.0)
    bucket.charge(gone, 50.0, 0.0)
    bucket.leave(gone, 1.0)
    bucket.forgive(1.0)
    assert (bucket.wait(here, 1.0), bucket.waiting(1.0)) == (0.0, 0)
    assert bucket.open(1.0) is not gone
    # forgiving is not a gift: there is still nothing in stock
    bucket.charge(here, 2.0, 1.0)
    assert bucket.wait(here, 1.0) == 2.0


def test_a_clock_that_stands_still_or_goes_back_brings_nothing() -> None:
    bucket = FairBucket(1.0, 0.0, 100.0)
    account = bucket.open(100.0)
    bucket.charge(account, 10.0, 100.0)
    assert [bucket.wait(account, now) for now in (100.0, 90.0, 100.0, 101.0)] == [10.0, 10.0, 10.0, 9.0]


def test_what_rounding_leaves_over_is_no_wait() -> None:
    """A machine that has been up for a year counts seconds to 4 billionths only."""
    bucket = FairBucket(1e8, 0.0, 3.1e7)
    account = bucket.open(3.1e7)
    now = 3.1e7
    for size in range(1, 2000):
        bucket.charge(account, size / 3, now)
        wait = bucket.wait(account, now)
        now += wait
        assert bucket.wait(account, now) == 0


@pytest.mark.parametrize("accounts", [1, 2, 7])
def test_nothing_drifts_in_a_hundred_thousand_charges(accounts: int) -> None:
    """The debts never end, so the virtual clock goes far beyond where it starts again."""
    bucket = FairBucket(1e9, 0.0, 0.0)
    debtors = [bucket.open(0.0) for _ in range(accounts)]
    charged, now = 0.0, 0.0
    for debtor in debtors:
        bucket.charge(debtor, 1e6, now)
        charged += 1e6
    for i in range(100_000):
        now += 0.000_123
        size = 123_000 + (i % 3) / 3
        bucket.charge(debtors[i % accounts], size, now)
        charged += size
    debt = sum(owed(bucket, debtor) for debtor in debtors)
    assert debt > accounts * 1e5
    assert charged - debt == pytest.approx(1e9 * now, rel=1e-11)
    assert bucket._debt == pytest.approx(debt, rel=1e-9)
    assert bucket._virtual < 2 * MAX_VIRTUAL


def test_a_debt_that_is_charged_and_refunded_a_thousand_times_is_kept_once() -> None:
    bucket = FairBucket(1.0, 0.0, 0.0)
    patient, busy = bucket.open(0.0), bucket.open(0.0)
    bucket.charge(patient, 5.0, 0.0)
    for _ in range(1000):
        bucket.charge(busy, 100.0, 0.0)
        bucket.refund(busy, 99.0, 0.0)
    assert len(bucket._debtors) == 2
    assert bucket.wait(busy, 0.0) == 1005.0
