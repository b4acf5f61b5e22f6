"""Shared limits: what a process tells and takes, and that together they use the limit, fairly, wherever the load is."""

import json
from typing import Any

import pytest

from policies.shares import LEASE_SECONDS
from policies.zone import Zone
from proxy.metrics import GatewayMetrics
from proxy.shared_limits import IDLE_SECONDS, SharedLimits
from proxy.traffic import Kind, Limiter
from proxy.zones import ZoneRegistry
from tests.unit.proxy.shared_world import TICK, Connection, Message, Worker, World, zone

LIMIT = 1_000_000
FLOOR = 0.005
"""Of two processes."""

# one process


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Side:
    """One process's side, and what it asked for."""

    def __init__(self, *zones: Zone) -> None:
        self.clock = Clock()
        self.registry = ZoneRegistry(GatewayMetrics(), self.clock)
        self.shared = SharedLimits(self.registry, 2, self.clock)
        self.urgent = 0
        self.shared.on_urgent = self._note
        self.registry.apply(zones, [])
        self.shared.tick()

    def _note(self) -> None:
        self.urgent += 1

    def limiter(self, kind: Kind = Kind.PRODUCE) -> Limiter:
        return self.registry.zones["external"].traffic[kind]

    def charge(self, units: float) -> None:
        self.limiter().charge(self.limiter().open(), units)

    def report(self) -> Message:
        message = self.shared.report()
        assert message is not None
        message = json.loads(json.dumps(message))
        assert isinstance(message, dict)
        return message

    def grant(self, report: Message, number: int, part: float, expected: float = 1.0, handed: float = 0.0) -> Message:
        shares = {"external": {"produce": [part, expected, handed]}}
        return {"process": report["process"], "answers": report["number"], "number": number, "shares": shares}


@pytest.fixture
def side() -> Side:
    return Side(zone(LIMIT))


def entry(report: Message) -> list[float]:
    value = report["limits"]["external"]["produce"]
    assert isinstance(value, list)
    return value


def test_before_its_first_grant_a_process_has_the_floor(side: Side) -> None:
    assert side.limiter().share == LIMIT * FLOOR
    side.registry.apply([zone(LIMIT), zone(LIMIT, "other")], [])
    assert side.registry.zones["other"].traffic[Kind.PRODUCE].share == LIMIT * FLOOR, "configured later"


def test_zones_that_were_there_before_fall_to_the_floor_as_well() -> None:
    registry = ZoneRegistry(GatewayMetrics(), Clock())
    registry.apply([zone(LIMIT)], [])
    limiter = registry.zones["external"].traffic[Kind.PRODUCE]
    assert limiter.share == LIMIT, "alone, it has all"
    SharedLimits(registry, 2)
    assert limiter.share == LIMIT * FLOOR


def test_only_what_is_in_use_is_told() -> None:
    side = Side(zone(LIMIT), *(zone(LIMIT, f"zone{number}") for number in range(100)))
    assert side.report()["limits"] == {}
    side.clock.now += TICK
    side.charge(1000)
    assert list(side.report()["limits"]) == ["external"]


def test_without_any_limit_there_is_nothing_to_say() -> None:
    assert Side(zone(None)).shared.report() is None


def test_a_first_request_is_urgent_and_its_pause_is_told_by_what_may_be_expected(side: Side) -> None:
    account = side.limiter().open()
    side.limiter().charge(account, LIMIT * FLOOR + 50_000)
    assert side.urgent == 1
    assert side.limiter().wait(account) == pytest.approx(50_000 / (LIMIT * FLOOR))
    assert side.limiter().expected_wait(account) == 0, "a second is saved up"
    assert side.limiter().throttled_requests == 0
    side.limiter().charge(account, LIMIT)
    assert side.limiter().expected_wait(account) == pytest.approx(0.06, abs=0.01)
    report = side.report()
    assert entry(report)[1] > FLOOR
    side.charge(1000)
    assert side.urgent == 1, "it has been told"


def test_an_urgent_report_is_about_urgent_limiters_only(side: Side) -> None:
    side.registry.apply([zone(LIMIT), zone(LIMIT, "other")], [])
    side.charge(1)
    assert list(side.report()["limits"]) == ["external"]
    side.clock.now += 0.01
    other = side.registry.zones["other"].traffic[Kind.PRODUCE]
    other.charge(other.open(), 100_000)
    assert list(side.report()["limits"]) == ["other"]
    side.clock.now += TICK
    assert list(side.report()["limits"]) == ["external", "other"]


def test_urgent_reports_are_bounded() -> None:
    side = Side(*(zone(LIMIT, f"zone{number}") for number in range(1000)))
    reports = 0
    for name in side.registry.served:
        side.clock.now += 0.01
        limiter = side.registry.zones[name].traffic[Kind.PRODUCE]
        limiter.charge(limiter.open(), 100_000)
        if side.urgent:
            side.urgent = 0
            reports += 1
            side.report()
    assert reports == pytest.approx(205, abs=2), "20 a second, in 10 s, and 5 at once"


def test_a_grant_holds_until_its_lease_runs_out_counted_from_the_report(side: Side) -> None:
    side.charge(1)
    report = side.report()
    side.clock.now += 1.0
    side.shared.take(side.grant(report, 1, 0.6))
    assert side.limiter().part == 0.6
    side.clock.now += LEASE_SECONDS - 1.01
    assert side.limiter().part == 0.6
    side.clock.now += 0.01
    assert side.limiter().part == FLOOR


def test_while_a_process_hangs_its_share_has_ended_in_time(side: Side) -> None:
    side.charge(LIMIT * FLOOR)
    side.shared.take(side.grant(side.report(), 1, 0.6))
    side.charge(10_000_000)
    side.clock.now += 10.0
    paid = LIMIT * (0.6 * LEASE_SECONDS + FLOOR * (10 - LEASE_SECONDS))
    assert side.limiter().usage().debt == pytest.approx(10_000_000 - paid)


def test_a_grant_that_comes_late_is_ignored(side: Side) -> None:
    side.charge(1)
    report = side.report()
    side.clock.now += LEASE_SECONDS
    side.shared.take(side.grant(report, 1, 0.6))
    assert side.limiter().part == FLOOR


def test_older_and_doubled_grants_are_ignored(side: Side) -> None:
    side.charge(1)
    report = side.report()
    side.shared.take(side.grant(report, 3, 0.2))
    side.shared.take(side.grant(report, 2, 0.6))
    side.shared.take(side.grant(report, 3, 0.6))
    assert side.limiter().part == 0.2
    assert entry(side.report())[0] == 3


def test_one_that_was_not_known_takes_nothing_older_than_the_newest_grant(side: Side) -> None:
    side.registry.apply([zone(LIMIT), zone(LIMIT, "other")], [])
    side.charge(1)
    report = side.report()
    side.shared.take(side.grant(report, 3, 0.2))
    late = side.grant(report, 2, 0.6)
    late["shares"] = {"other": {"produce": [0.6, 1.0, 0.0]}}
    side.shared.take(late)
    assert side.registry.zones["other"].traffic[Kind.PRODUCE].part == FLOOR


BROKEN: list[Any] = [None, [], {"external": []}, {"external": {"produce": 1}}, {"external": {"produce": [0.5, 0.5]}}]
BROKEN += [{"external": {"produce": share}} for share in ([2, 0.5, 0], [0.5, -1, 0], ["1", 1, 0], [0.5, 1, 1e400])]
BROKEN += [{"nowhere": {"produce": [0.5, 0.5, 0.0]}}, {"external": {"nothing": [0.5, 0.5, 0.0]}}]


@pytest.mark.parametrize("shares", BROKEN)
def test_what_is_no_share_is_ignored(side: Side, shares: Any) -> None:
    side.shared.take({**side.grant(side.report(), 1, 0.6), "shares": shares})
    assert side.limiter().part == FLOOR


@pytest.mark.parametrize("broken", [{"process": "other"}, {"number": "1"}, {"answers": None}, {"answers": 99}])
def test_what_is_no_grant_for_this_process_is_ignored(side: Side, broken: dict[str, Any]) -> None:
    side.shared.take({**side.grant(side.report(), 1, 0.6), **broken})
    assert side.limiter().part == FLOOR


def test_a_share_follows_an_edit_of_the_limit_at_once(side: Side) -> None:
    side.charge(1)
    side.shared.take(side.grant(side.report(), 1, 0.6))
    side.registry.apply([zone(LIMIT // 10)], [])
    assert side.limiter().share == pytest.approx(LIMIT * 0.06)


@pytest.mark.parametrize("gone", [(), (zone(None),)])
def test_what_is_gone_is_forgotten_and_its_share_given_up(side: Side, gone: tuple[Zone, ...]) -> None:
    side.charge(1)
    limiter = side.limiter()
    side.shared.take(side.grant(side.report(), 1, 0.6))
    side.registry.apply(gone, [])
    side.shared.tick()
    assert limiter.part == FLOOR
    side.registry.apply([zone(LIMIT)], [])
    side.shared.tick()
    assert side.report()["limits"] == {}


def test_an_idle_one_only_holds_its_part_and_is_forgotten_without(side: Side) -> None:
    side.charge(1)
    side.clock.now += IDLE_SECONDS + 0.1
    report = side.report()
    assert entry(report)[1] == 0
    side.shared.take(side.grant(report, 1, 0.6))
    side.clock.now += TICK
    side.shared.tick()
    assert entry(side.report()) == [1, 0, 0, 0, 0]
    side.clock.now += LEASE_SECONDS
    side.shared.tick()
    assert entry(side.report()) == [1, 0, 0, 0, pytest.approx(0.3, abs=0.01)], "it tells what it has left"
    side.shared.tick()
    assert side.report()["limits"] == {}


def test_a_share_that_changes_much_is_acknowledged_at_once(side: Side) -> None:
    side.charge(1)
    side.shared.take(side.grant(side.report(), 1, 0.6))
    assert side.urgent == 1
    side.shared.take(side.grant(side.report(), 2, 0.59))
    assert side.urgent == 1
    side.shared.take(side.grant(side.report(), 3, 0.4))
    assert side.urgent == 2


def test_what_was_handed_on_pays_debts_once(side: Side) -> None:
    side.charge(LIMIT * FLOOR + 300_000)
    grant = side.grant(side.report(), 1, FLOOR, handed=0.1)
    side.shared.take(grant)
    side.shared.take(grant)
    assert side.limiter().usage().debt == pytest.approx(200_000)


def test_what_comes_in_unused_is_told_once(side: Side) -> None:
    side.charge(1)
    side.shared.take(side.grant(side.report(), 1, 0.6))
    side.clock.now += 1.0
    side.shared.take(side.grant(side.report(), 2, 0.2))
    side.clock.now += 0.1
    # 0.6 came in and 0.2 may stay; what was told as unused by then is gone
    assert entry(side.report())[4] == pytest.approx(0.425, abs=0.01)
    side.clock.now += 0.1
    assert entry(side.report())[4] == pytest.approx(0.02, abs=0.001)


def test_what_came_in_under_another_limit_is_not_told_as_unused(side: Side) -> None:
    side.charge(1)
    side.shared.take(side.grant(side.report(), 1, 0.6))
    side.clock.now += 1.0
    side.report()
    side.registry.apply([zone(LIMIT // 100)], [])
    side.clock.now += 0.1
    assert side.limiter().usage().unused == pytest.approx(LIMIT * 0.594, rel=0.01)
    assert entry(side.report())[4] == 0
    side.clock.now += 0.1
    assert entry(side.report())[4] == pytest.approx(0.06, abs=0.001), "of the new one"


# several together


def used(world: World, kind: Kind = Kind.PRODUCE) -> float:
    """Units that were paid for so far."""
    usages = [worker.limiter(kind).usage() for worker in world.workers.values()]
    return sum(usage.charged - usage.debt for usage in usages)


def rate(world: World, seconds: float) -> float:
    """Of the limit, from now on."""
    before = used(world)
    world.time.run(seconds)
    return (used(world) - before) / seconds / LIMIT


GREEDY = [1_000, 16_000, 250_000, 2_000_000]
"""Sizes of requests that are sent as soon as their predecessor is paid for."""


@pytest.mark.parametrize("size", GREEDY)
@pytest.mark.parametrize("burst_seconds", [1.0, 0.1])
@pytest.mark.parametrize("load", [(1, 0), (1, 1), (3, 1), (10, 1), (1, 1, 1, 1), (5, 0, 0, 1)])
def test_greedy_connections_use_the_limit_and_each_the_same(
    load: tuple[int, ...], burst_seconds: float, size: int
) -> None:
    world = World(len(load), zone(LIMIT), burst_seconds=burst_seconds)
    connections = [Connection(world.workers[n], size, 0.0001) for n, count in enumerate(load) for _ in range(count)]
    world.time.run(10.0)
    before = [connection.sent for connection in connections]
    # as many rounds as show the mean
    seconds = max(10.0, 20 * size * len(connections) / LIMIT)
    assert rate(world, seconds) == pytest.approx(1.0, abs=0.02)
    each = [connection.sent - sent for connection, sent in zip(connections, before, strict=True)]
    assert each == [pytest.approx(seconds * LIMIT / len(connections), rel=0.1)] * len(connections)


def modest(worker: Worker, size: float, part: float) -> Connection:
    return Connection(worker, size, every=size / (part * LIMIT))


@pytest.mark.parametrize("size", [1_000, 16_000, 50_000, 100_000, 300_000])
def test_what_modest_connections_leave_the_greedy_ones_use(size: int) -> None:
    world = World(2, zone(LIMIT))
    Connection(world.workers[0], 16_000, 0.0001)
    sparing = modest(world.workers[1], size, 0.3)
    world.time.run(5.0)
    before = sparing.sent
    assert rate(world, 20.0) == pytest.approx(1.0, abs=0.03)
    assert sparing.sent - before == pytest.approx(20 * 0.3 * LIMIT, rel=0.06)


def test_many_modest_connections_are_not_cut_for_few_greedy_ones() -> None:
    world = World(2, zone(LIMIT))
    for _ in range(3):
        Connection(world.workers[0], 16_000, 0.0001)
    sparing = [modest(world.workers[1], 5_000, 0.1) for _ in range(4)]
    world.time.run(5.0)
    before = sum(connection.sent for connection in sparing)
    assert rate(world, 20.0) == pytest.approx(1.0, abs=0.03)
    assert sum(connection.sent for connection in sparing) - before == pytest.approx(20 * 0.4 * LIMIT, rel=0.02)


def test_one_connection_alone_gets_no_more_than_each_of_three_elsewhere() -> None:
    world = World(2, zone(LIMIT))
    for _ in range(3):
        Connection(world.workers[0], 16_000, 0.0001)
    modest(world.workers[1], 16_000, 0.6)
    world.time.run(5.0)
    assert rate(world, 10.0) == pytest.approx(1.0, abs=0.02)
    assert world.workers[1].limiter().part == pytest.approx(0.25, rel=0.1)


@pytest.mark.parametrize("size", GREEDY[:3])
@pytest.mark.parametrize("burst_seconds", [1.0, 0.1])
def test_a_share_follows_demand_within_two_seconds(burst_seconds: float, size: int) -> None:
    world = World(2, zone(LIMIT), burst_seconds=burst_seconds)
    for here, there in ((0, 1), (1, 0), (0, 1)):
        connection = Connection(world.workers[here], size, 0.0001)
        world.time.run(2.0)
        assert world.workers[here].limiter().part > 0.95
        assert rate(world, 5.0) == pytest.approx(1.0, abs=0.02)
        connection.on = False
        assert world.workers[there].limiter().part < 0.05


def test_a_newcomer_has_a_share_within_milliseconds() -> None:
    world = World(2, zone(LIMIT))
    Connection(world.workers[0], 16_000, 0.0001)
    world.time.run(3.1)
    Connection(world.workers[1], 250_000, 0.0001)
    world.time.run(0.02)
    assert world.workers[1].limiter().part == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("end", ["dies", "hangs"])
def test_the_share_of_one_that_dies_or_hangs_goes_to_the_others_within_two_seconds(end: str) -> None:
    world = World(2, zone(LIMIT))
    for worker in world.workers.values():
        Connection(worker, 16_000, 0.0001)
    world.time.run(3.0)
    if end == "dies":
        world.stop(1)
    else:
        world.workers[1].hang()
        connection = world.workers[1].limiter()
        assert connection.part == pytest.approx(0.5, abs=0.01)
    world.time.run(2.0)
    assert world.workers[0].limiter().part > 0.99


def test_a_divider_that_hangs_leaves_the_floors_and_resumes() -> None:
    world = World(2, zone(LIMIT))
    for worker in world.workers.values():
        Connection(worker, 16_000, 0.0001)
    world.time.run(3.0)
    world.hang()
    world.time.run(2.0)
    assert [worker.limiter().part for worker in world.workers.values()] == [FLOOR, FLOOR]
    world.time.run(8.0)
    world.resume()
    world.time.run(2.0)
    assert sum(worker.limiter().part for worker in world.workers.values()) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(("limit", "expected"), [(LIMIT * 2, 2.0), (LIMIT // 10, 0.1)])
def test_an_edit_that_arrives_at_different_moments_settles_at_once(limit: int, expected: float) -> None:
    world = World(2, zone(LIMIT))
    for worker in world.workers.values():
        Connection(worker, 1_000, 0.0001)
    world.time.run(5.0)
    for worker in world.workers.values():
        world.time.run(0.5)
        total = sum(worker.limiter().share or 0.0 for worker in world.workers.values())
        assert total <= max(limit, LIMIT)
        worker.apply(zone(limit))
    assert rate(world, 5.0) == pytest.approx(expected, rel=0.02)


def test_lowering_a_limit_lets_nobody_use_what_others_had_in_stock() -> None:
    world = World(2, zone(LIMIT))
    modest(world.workers[0], 16_000, 0.4)
    Connection(world.workers[1], 16_000, 0.0001)
    world.time.run(5.0)
    lowered = LIMIT // 100
    for worker in world.workers.values():
        worker.apply(zone(lowered))
    world.workers[1].limiter().charge(world.workers[1].limiter().open(), LIMIT)
    before = used(world)
    world.time.run(5.0)
    assert used(world) - before <= lowered * (5.0 + 1.0)


RARE = [15.0, 11.6, 3.0, 1.0]
"""Seconds between two requests: the limit is silent, has just become so, or is in use all the time."""


@pytest.mark.parametrize("every", RARE)
@pytest.mark.parametrize("processes", [1, 2, 8])
@pytest.mark.parametrize("wanders", [False, True])
def test_rare_requests_within_the_burst_do_not_wait(processes: int, every: float, wanders: bool) -> None:
    world = World(processes, zone(LIMIT))
    world.time.run(2.0)
    for n in range(6):
        limiter = world.workers[n % processes if wanders else 0].limiter()
        account = limiter.open()
        limiter.charge(account, 400_000)
        assert limiter.expected_wait(account) == 0, "nor are they told to"
        world.time.run(0.01)
        assert limiter.wait(account) == 0
        limiter.leave(account)
        world.time.run(every - 0.01)
    assert sum(worker.limiter().throttled_requests for worker in world.workers.values()) == 0


@pytest.mark.parametrize("processes", [2, 8])
def test_a_silent_limit_has_one_burst_whoever_asks(processes: int) -> None:
    world = World(processes, zone(LIMIT))
    for _ in range(3):
        world.time.run(14.0)
        before = used(world)
        for worker in world.workers.values():
            worker.limiter().charge(worker.limiter().open(), LIMIT)
        world.time.run(0.1)
        assert 1.0 * LIMIT <= used(world) - before <= 1.1001 * LIMIT
        world.time.run(processes)


def test_commits_by_the_minute_are_shared_exactly() -> None:
    world = World(2, zone(None, commits=60))
    for worker in world.workers.values():
        Connection(worker, 1, 0.001, kind=Kind.COMMIT)
    world.time.run(5.0)
    before = used(world, Kind.COMMIT)
    world.time.run(60.0)
    assert used(world, Kind.COMMIT) - before == pytest.approx(60, rel=0.02)


def test_messages_are_few_and_small() -> None:
    world = World(4, zone(LIMIT))
    for worker in world.workers.values():
        Connection(worker, 16_000, 0.0001)
    world.time.run(5.0)
    reports, size = sum(worker.reports for worker in world.workers.values()), world.bytes
    world.time.run(10.0)
    assert sum(worker.reports for worker in world.workers.values()) - reports <= 4 * 10 / TICK + 4
    assert world.bytes - size < 10 * 10_000
