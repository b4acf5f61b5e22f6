"""Shares: the division itself, and that parts never add up to more than the limit, whatever happens to messages."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.shares import FLOOR, LEASE_SECONDS, ShareDivider, divide, floor_part
from tests.unit.proxy.shared_world import Message, Worker, World, zone

# dividing


@pytest.mark.parametrize(
    ("demands", "parts"),
    [
        ([], []),
        ([(0.0, 0.0)], [0.0]),
        ([(0.0, 1.0), (0.0, 3.0)], [0.5, 0.5]),
        # enough for both; the rest in equal parts
        ([(0.2, 1.0), (0.4, 1.0)], [0.4, 0.6]),
        # none of it to who doesn't use it
        ([(0.2, 1.0), (0.4, 1.0), (0.0, 0.0)], [0.4, 0.6, 0.0]),
        # one needs all; the other keeps what it needs
        ([(0.2, 1.0), (1.0, 1.0)], [0.2, 0.8]),
        ([(1.0, 1.0), (1.0, 1.0)], [0.5, 0.5]),
        # as many parts as connections
        ([(1.0, 3.0), (1.0, 1.0)], [0.75, 0.25]),
        ([(0.1, 3.0), (1.0, 1.0), (1.0, 2.0)], [0.1, 0.3, 0.6]),
        ([(0.0, 0.0), (1.0, 2.0)], [0.0, 1.0]),
    ],
)
def test_parts_are_max_min_fair(demands: list[tuple[float, float]], parts: list[float]) -> None:
    assert divide(1.0, demands) == pytest.approx(parts)


NEEDS = st.tuples(st.floats(0, 2), st.floats(0.1, 100))


@given(st.lists(NEEDS, min_size=1, max_size=8))
def test_all_is_divided_and_nobody_could_have_more_but_from_somebody_with_less(
    demands: list[tuple[float, float]],
) -> None:
    parts = divide(1.0, demands)
    assert sum(parts) == pytest.approx(1.0)
    short = [part / weight for part, (need, weight) in zip(parts, demands, strict=True) if part < need - 1e-9]
    for part, (_, weight) in zip(parts, demands, strict=True):
        assert part >= 0
        assert all(part / weight <= level + 1e-9 for level in short), "has more per weight than one that needs more"


# the divider, message by message


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def report(number: int, taken: int = 0, need: float = 1.0, incarnation: str = "a", weight: float = 1.0) -> Message:
    limits = {"external": {"produce": [taken, need, weight, 0.0, 0.0]}}
    return {"process": incarnation, "number": number, "limits": limits}


def part(grants: dict[int, Message], worker: int) -> float:
    value = grants[worker]["shares"]["external"]["produce"][0]
    assert isinstance(value, float)
    return value


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def divider(clock: Clock) -> ShareDivider:
    divider = ShareDivider(2, clock, 1.0)
    divider.join(0)
    divider.join(1)
    return divider


ALL = 1.0 - FLOOR / 2
HALF = 0.5


def test_one_alone_gets_all_but_the_other_s_floor(divider: ShareDivider) -> None:
    divider.report(0, report(1))
    assert part(divider.grants(), 0) == pytest.approx(ALL)
    assert divider.grants() == {}, "there is nothing new to say"


def test_a_grant_names_the_report_and_the_incarnation_that_it_answers(divider: ShareDivider) -> None:
    divider.report(0, report(7, incarnation="me"))
    grant = divider.grants()[0]
    assert (grant["process"], grant["answers"]) == ("me", 7)


def test_a_part_is_lent_again_when_its_lowering_is_acknowledged(divider: ShareDivider) -> None:
    divider.report(0, report(1))
    taken = divider.grants()[0]["number"]
    divider.report(1, report(1))
    grants = divider.grants()
    assert part(grants, 0) == pytest.approx(HALF), "it is lowered at once"
    assert 1 not in grants, "what is free is nothing yet"
    divider.report(0, report(2, taken))
    assert part(divider.grants(), 0) == pytest.approx(HALF), "it may not have taken the lowering"
    divider.report(0, report(3, grants[0]["number"]))
    assert part(divider.grants(), 1) == pytest.approx(HALF)


def test_a_part_is_lent_again_when_its_lease_has_run_out(divider: ShareDivider, clock: Clock) -> None:
    divider.report(0, report(1))
    divider.grants()
    clock.now = LEASE_SECONDS - 0.01
    divider.report(1, report(1))
    assert divider.grants() == {}
    clock.now = LEASE_SECONDS
    divider.report(1, report(2))
    assert part(divider.grants(), 1) == pytest.approx(ALL)


@pytest.mark.parametrize("goes", ["leaves", "is started anew", "comes back as another"])
def test_a_process_that_has_gone_counts_until_its_leases_have_run_out(
    divider: ShareDivider, clock: Clock, goes: str
) -> None:
    divider.report(0, report(1))
    divider.grants()
    if goes == "leaves":
        divider.leave(0)
    elif goes == "is started anew":
        divider.join(0)
    else:
        divider.report(0, report(1, need=0.1, incarnation="b"))
        assert divider.grants() == {}
    divider.report(1, report(1))
    assert divider.grants() == {}
    clock.now = LEASE_SECONDS
    divider.report(1, report(2))
    assert part(divider.grants(), 1) == pytest.approx(ALL)


def test_late_and_doubled_reports_are_ignored(divider: ShareDivider, clock: Clock) -> None:
    divider.report(0, report(2))
    divider.grants()
    clock.now = 1.0
    for number in (2, 1):
        divider.report(0, report(number, taken=99))
        assert divider.grants() == {}


def test_what_nobody_needs_goes_to_those_who_use_the_limit(clock: Clock) -> None:
    divider = ShareDivider(3, clock, 1.0)
    for worker in range(3):
        divider.join(worker)
    divider.report(2, {"process": "c", "number": 1, "limits": {}})
    divider.report(1, report(1, need=FLOOR / 3))
    divider.report(0, report(1, need=0.2 + FLOOR / 3))
    grants = divider.grants()
    assert part(grants, 0) == pytest.approx(0.6, abs=0.01)
    assert part(grants, 1) == pytest.approx(0.4, abs=0.01), "half of what the other one leaves"
    assert 2 not in grants


def test_what_is_told_of_a_chance_to_get_more(divider: ShareDivider) -> None:
    divider.report(1, report(1, need=FLOOR / 2))
    divider.report(0, report(1, need=0.105, weight=3.0))
    grants = divider.grants()
    expected = {worker: grant["shares"]["external"]["produce"][1] for worker, grant in grants.items()}
    assert expected == {0: pytest.approx(ALL, abs=1e-4), 1: pytest.approx(0.895, abs=1e-4)}


def test_unused_tokens_are_handed_on_once_to_who_has_room(divider: ShareDivider) -> None:
    entry = [0, 1.0, 1.0, 0.3, 0.0]
    divider.report(0, {"process": "a", "number": 1, "limits": {"external": {"produce": entry}}})
    divider.grants()
    entry = [0, 0.2, 1.0, 0.0, 0.5]
    divider.report(1, {"process": "b", "number": 1, "limits": {"external": {"produce": entry}}})
    assert divider.grants()[0]["shares"]["external"]["produce"][2] == pytest.approx(0.3)
    divider.report(0, report(2))
    assert divider.grants()[0]["shares"]["external"]["produce"][2] == 0.0


# what is saved up


def handed(grants: dict[int, Message], worker: int) -> float:
    value = grants[worker]["shares"]["external"]["produce"][2]
    assert isinstance(value, float)
    return value


SAVED = 1.0 - FLOOR
"""At most: a second of what isn't everybody's floor."""


@pytest.mark.parametrize(("silence", "saved"), [(0.0, 0.0), (0.4, 0.4 * SAVED), (1.0, SAVED), (60.0, SAVED)])
def test_what_is_lent_to_nobody_goes_with_the_first_lease(
    divider: ShareDivider, clock: Clock, silence: float, saved: float
) -> None:
    clock.now = silence
    divider.report(0, report(1))
    assert handed(divider.grants(), 0) == pytest.approx(saved, abs=1e-5)
    divider.report(0, report(2, 1))
    assert handed(divider.grants(), 0) == 0.0


def test_what_is_saved_goes_with_the_parts_of_all_who_are_lent_some(divider: ShareDivider, clock: Clock) -> None:
    clock.now = 10.0
    divider.report(0, report(1, weight=3.0))
    divider.report(1, report(1))
    grants = divider.grants()
    assert [handed(grants, worker) for worker in (0, 1)] == pytest.approx([0.75 * SAVED, 0.25 * SAVED], abs=1e-5)


@pytest.mark.parametrize("silence", [0.0, 0.3, 5.0])
def test_it_is_saved_anew_from_the_end_of_the_last_lease_on(
    divider: ShareDivider, clock: Clock, silence: float
) -> None:
    clock.now = 10.0
    divider.report(0, report(1))
    divider.grants()
    clock.now += 1.0
    divider.report(0, report(2, taken=1))
    divider.grants()
    clock.now += LEASE_SECONDS + silence
    divider.report(1, report(1))
    assert handed(divider.grants(), 1) == pytest.approx(min(silence, 1.0) * SAVED, abs=1e-5)


def test_what_is_lent_anew_while_a_lease_is_in_force_brings_nothing_along(divider: ShareDivider, clock: Clock) -> None:
    clock.now = 10.0
    divider.report(0, report(1))
    divider.grants()
    clock.now += 0.9
    divider.report(1, report(1))
    lowered = divider.grants()[0]["number"]
    divider.report(0, report(2, lowered))
    assert handed(divider.grants(), 1) == 0.0


def unused(number: int, taken: int, of: float) -> Message:
    """From one that doesn't use it any more."""
    return {"process": "a", "number": number, "limits": {"external": {"produce": [taken, 0, 0, 0, of]}}}


@pytest.mark.parametrize(("after", "saved"), [(-0.1, 0.0), (0.0, 0.5), (0.2, 0.5 + 0.2 * SAVED), (0.9, SAVED)])
def test_what_is_left_when_a_share_ends_is_saved_unless_it_is_still_lent(
    divider: ShareDivider, clock: Clock, after: float, saved: float
) -> None:
    clock.now = 10.0
    divider.report(0, report(1))
    divider.grants()
    clock.now += LEASE_SECONDS + after
    divider.report(0, unused(2, 1, 0.5))
    assert divider.grants() == {}
    clock.now = max(clock.now, 10.0 + LEASE_SECONDS)
    divider.report(1, report(1))
    assert handed(divider.grants(), 1) == pytest.approx(saved, abs=1e-5)


def test_a_new_divider_has_saved_nothing(clock: Clock) -> None:
    clock.now = 100.0
    divider = ShareDivider(2, clock, 1.0)
    divider.join(0)
    divider.report(0, report(1))
    assert handed(divider.grants(), 0) == 0.0


def test_a_limit_is_remembered_until_all_is_saved_again(clock: Clock) -> None:
    divider = ShareDivider(2, clock, burst_seconds=60.0)
    divider.join(0)
    clock.now = 100.0
    divider.report(0, report(1))
    assert handed(divider.grants(), 0) == pytest.approx(60 * SAVED, abs=1e-5)
    for clock.now in (100 + 2 * LEASE_SECONDS, 100 + LEASE_SECONDS + 30.0):
        divider.grants()
    divider.report(0, report(2))
    assert handed(divider.grants(), 0) == pytest.approx(30 * SAVED, abs=1e-5)
    clock.now += LEASE_SECONDS + 60.0
    divider.grants()
    assert divider._limits == {}
    divider.report(0, report(3))
    assert handed(divider.grants(), 0) == pytest.approx(60 * SAVED, abs=1e-5)


def test_a_limit_that_nobody_speaks_of_is_forgotten(divider: ShareDivider, clock: Clock) -> None:
    divider.report(0, report(1))
    divider.grants()
    clock.now = LEASE_SECONDS + 1.0
    divider.grants()
    assert divider._limits == {}


def test_a_limit_that_nobody_uses_is_lent_to_nobody(divider: ShareDivider) -> None:
    divider.report(0, report(1, need=0.0))
    assert divider.grants() == {}


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"process": "a"},
        {"process": 1, "number": 1, "limits": {}},
        {"process": "a", "number": "1", "limits": {}},
        {"process": "a", "number": 1, "limits": []},
        {"process": "a", "number": 1, "limits": {"external": []}},
        {"process": "a", "number": 1, "limits": {"external": {"produce": {}}}},
        {"process": "a", "number": 1, "limits": {"external": {"produce": [0, 1.0, 1.0]}}},
        {"process": "a", "number": 1, "limits": {"external": {"produce": [0, float("nan"), 1.0, 0.0, 0.0]}}},
        {"process": "a", "number": 1, "limits": {"external": {"produce": [0, -1.0, 1.0, 0.0, 0.0]}}},
        {"process": "a", "number": 1, "limits": {"external": {"produce": [0, float("inf"), 1.0, 0.0, 0.0]}}},
        {"process": "a", "number": 1, "limits": {"external": {"produce": [0, "1", 1.0, 0.0, 0.0]}}},
    ],
)
def test_what_is_no_report_is_ignored(divider: ShareDivider, message: dict[str, Any]) -> None:
    divider.report(0, message)
    assert divider.grants() == {}


def test_who_has_not_joined_is_ignored_and_no_more_may_join_than_there_are_floors(divider: ShareDivider) -> None:
    divider.report(2, report(1))
    assert divider.grants() == {}
    with pytest.raises(ValueError, match="more than 2 processes"):
        divider.join(2)


# whatever happens

LIMIT = 1_000_000
PROCESSES = 3
WORKERS = st.integers(0, PROCESSES - 1)
RUNS = st.tuples(st.just("run"), st.sampled_from([0.01, 0.1, 0.3, 0.8, 1.6, 1.6, 14.0]))
CHARGES = st.tuples(st.just("charge"), WORKERS, st.sampled_from([1_000, 100_000, 500_000, 2_000_000]))
MISHAPS = st.one_of(
    st.tuples(st.sampled_from(["hang", "resume", "restart", "leave", "join", "join"]), WORKERS),
    st.tuples(st.sampled_from(["divider hangs", "divider resumes"])),
)
EDITS = st.tuples(st.just("edit"), WORKERS, st.sampled_from([LIMIT, LIMIT // 2, LIMIT * 4, None]))
OPERATIONS = st.one_of(RUNS, RUNS, CHARGES, CHARGES, MISHAPS)
MESSAGES = st.sampled_from(["arrive", "are late", "are lost, late and doubled"])
DELAYS: dict[str, tuple[tuple[float, ...], ...]] = {
    "arrive": ((0.001,),),
    "are late": ((0.001,), (0.1,), (1.0,), (1.4,)),
    "are lost, late and doubled": ((), (0.001,), (0.1,), (2.0,), (0.001, 0.3), (0.6, 0.001), (0.001, 1.4)),
}


class Ordeal(World):
    """A world where everything goes wrong, and the sum is checked after each event."""

    def __init__(self, random: Random, messages: str) -> None:
        self.everybody: list[Worker] = []
        super().__init__(PROCESSES, zone(LIMIT))
        self.latency = lambda: random.choice(DELAYS[messages])

    def start(self, number: int) -> Worker:
        worker = super().start(number)
        self.everybody.append(worker)
        return worker

    def do(self, operation: str, *arguments: Any) -> None:
        operations: dict[str, Callable[..., object]] = {
            "run": lambda seconds: self.time.run(seconds, self.check),
            "charge": self.charge,
            "hang": lambda number: self.workers[number].hang(),
            "resume": lambda number: self.workers[number].resume(),
            "restart": self.start,
            # out of reach, and still alive
            "leave": self.divider.leave,
            "join": self.divider.join,
            "divider hangs": self.hang,
            "divider resumes": self.resume,
            "edit": lambda number, limit: self.workers[number].apply(zone(limit)),
        }
        operations[operation](*arguments)
        self.check()

    def charge(self, number: int, units: float) -> None:
        worker = self.workers[number]
        if worker.hung is None and worker.limiter().limit is not None:
            worker.limiter().charge(worker.limiter().open(), units)

    def check(self) -> None:
        limiters = [worker.limiter() for worker in self.workers.values()]
        shares = [limiter.share for limiter in limiters if limiter.share is not None]
        limits = [limiter.limit for limiter in limiters if limiter.limit is not None]
        assert sum(shares) <= max(limits, default=0) * (1 + 1e-9)


class CountedOrdeal(Ordeal):
    """Another one, without edits, where tokens are counted after each event as well."""

    def __init__(self, random: Random, messages: str, on_its_way: float) -> None:
        """`on_its_way`: what came in unused isn't in stock anywhere until it is handed on, so many seconds at most."""
        super().__init__(random, messages)
        self.on_its_way = on_its_way
        self.lowest = 0.0
        """What was paid for beyond what came in, when that was least."""

    def start(self, number: int) -> Worker:
        if number in self.workers:
            self.workers[number].final = self.workers[number].limiter().usage()
        return super().start(number)

    def check(self) -> None:
        super().check()
        paid = stocks = lost = 0.0
        for worker in self.everybody:
            usage = worker.final or worker.limiter().usage()
            paid += usage.charged - usage.debt
            stocks += 0.0 if worker.dead else usage.stock
            lost += usage.stock if worker.dead else 0.0
        saved = sum(limit._saved for limit in self.divider._limits.values()) * LIMIT
        begun = len(self.everybody) * LIMIT * floor_part(PROCESSES)
        assert paid + stocks + lost + saved <= LIMIT * self.time.now + begun + 1.0, "some have come from nowhere"
        assert stocks + saved <= LIMIT * self.burst_seconds + 1.0, "more than the burst is in stock"
        ahead = paid - LIMIT * self.time.now
        self.lowest = min(self.lowest, ahead)
        at_once = LIMIT * (self.burst_seconds + self.on_its_way) + begun
        assert ahead - self.lowest <= at_once, "too much was paid for at once"


@given(st.lists(OPERATIONS | EDITS, min_size=30, max_size=60), st.randoms(use_true_random=False), MESSAGES)
@settings(deadline=None)
def test_the_sum_never_exceeds_the_limit(operations: list[tuple[Any, ...]], random: Random, messages: str) -> None:
    world = Ordeal(random, messages)
    for operation in operations:
        world.do(*operation)


@given(st.lists(OPERATIONS, min_size=30, max_size=60), st.randoms(use_true_random=False), MESSAGES)
@settings(deadline=None)
def test_no_more_is_spent_than_the_limit_lets_in(
    operations: list[tuple[Any, ...]], random: Random, messages: str
) -> None:
    # while the divider hangs or messages are late, leases run on until they end, and then a stock is left over
    world = CountedOrdeal(random, messages, on_its_way=LEASE_SECONDS + 1.0)
    for operation in operations:
        world.do(*operation)


@given(st.lists(RUNS | CHARGES, min_size=30, max_size=60), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=30)
def test_nor_is_it_at_once_where_nothing_goes_wrong(operations: list[tuple[Any, ...]], random: Random) -> None:
    world = CountedOrdeal(random, "arrive", on_its_way=0.5)
    for operation in operations:
        world.do(*operation)
