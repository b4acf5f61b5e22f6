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
        ([(0.0, 0.0)], [1.0]),
        ([(0.0, 0.0), (0.0, 0.0)], [0.5, 0.5]),
        # enough for both; the rest in equal parts
        ([(0.2, 1.0), (0.4, 1.0)], [0.4, 0.6]),
        # one needs all; the other keeps what it needs
        ([(0.2, 1.0), (1.0, 1.0)], [0.2, 0.8]),
        ([(1.0, 1.0), (1.0, 1.0)], [0.5, 0.5]),
        # as many parts as connections
        ([(1.0, 3.0), (1.0, 1.0)], [0.75, 0.25]),
        ([(0.1, 3.0), (1.0, 1.0), (1.0, 2.0)], [0.1, 0.3, 0.6]),
        # who isn't there needs nothing
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
    divider = ShareDivider(2, clock)
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


def test_what_nobody_needs_goes_to_all_who_are_heard(divider: ShareDivider) -> None:
    divider.report(1, {"process": "b", "number": 1, "limits": {}})
    divider.report(0, report(1, need=0.205))
    grants = divider.grants()
    assert part(grants, 1) == pytest.approx(0.4, abs=1e-4), "half of what the other one leaves"
    assert part(grants, 0) == pytest.approx(0.6, abs=1e-4)


def test_what_is_told_of_a_chance_to_get_more(divider: ShareDivider) -> None:
    divider.report(1, {"process": "b", "number": 1, "limits": {}})
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


def test_a_limit_that_nobody_speaks_of_is_forgotten(divider: ShareDivider, clock: Clock) -> None:
    divider.report(0, report(1))
    divider.grants()
    clock.now = 2 * LEASE_SECONDS
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
RUNS = st.tuples(st.just("run"), st.sampled_from([0.01, 0.1, 0.3, 0.8, 1.6]))
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
        self.issued = 0.0
        """By processes that have ended."""
        self.started = 0
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

    def check_tokens(self) -> None:
        """What was ever spent or is in stock is no more than has come in."""
        spent = 0.0
        for worker in self.everybody:
            if not worker.dead:
                worker.final = worker.limiter().usage()
            if worker.final is not None:
                spent += worker.final.charged - worker.final.debt + worker.final.stock
        begun = len(self.everybody) * max(LIMIT * floor_part(PROCESSES), 1.0)
        assert spent <= LIMIT * self.time.now + begun + 1.0


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
    world = Ordeal(random, messages)
    for operation in operations:
        if operation[0] == "restart":
            world.check_tokens()
        world.do(*operation)
        world.check_tokens()
