"""What a console remembers of what gateways tell; compared with a simple model, and with absurd contents."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.activity import memory as module
from controlplane.activity.memory import ActivityMemory, spread
from controlplane.activity.records import Told, ZoneTold
from controlplane.zone_activity import ConnectedClient, GatewayTraffic, Minute, Rates, RecentRefusal, ZoneActivity

NOON = 1_900_000_800.0
"""The beginning of a minute."""

ONE = ("app", "johndoe", "10.0.0.1")
CLIENT = ConnectedClient("app", "librdkafka 2.6", "johndoe", "10.0.0.1", "g", NOON)
REFUSAL = RecentRefusal(NOON, "Produce", "WRITE", "topic", "stock", "topic_authorization_failed", "johndoe", "10.0.0.1")


class World:
    """A memory, and the time."""

    def __init__(self) -> None:
        self.now = NOON
        self.ticks = 100.0
        self.memory = ActivityMemory(lambda: self.now, lambda: self.ticks)

    def passes(self, seconds: float) -> None:
        self.now += seconds
        self.ticks += seconds

    def tells(
        self, zone: ZoneTold | None = None, gateway: str = "g", started: str = "s", name: str = "a", skew: float = 0.0
    ) -> None:
        zones = {name: zone} if zone is not None else {}
        until = self.now + skew
        self.memory.apply(Told(gateway, None, started, until - 2, until, zones), self.now)

    @property
    def zone(self) -> ZoneActivity:
        return self.memory.zone("a")

    def traffic(self) -> dict[float, tuple[int, int]]:
        """Minutes from now -> bytes produced and records consumed, of those with any."""
        last = self.zone.minutes[-1].at
        return {
            (each.at - last) / 60: (each.produced_bytes, each.consumed_records)
            for each in self.zone.minutes
            if each.produced_bytes or each.consumed_records
        }


@pytest.fixture
def world() -> World:
    return World()


def test_nobody_has_told_of_a_zone(world: World) -> None:
    assert replace(world.zone, minutes=()) == ZoneActivity(clients=[], refusals=[])
    assert [minute.at for minute in world.zone.minutes] == [NOON - 60 * back for back in range(59, -1, -1)]
    assert world.memory.gateway("g", None) == GatewayTraffic()


def test_what_several_tell_adds_up_minute_by_minute(world: World) -> None:
    world.passes(30)
    for gateway in ("g", "h"):
        world.tells(ZoneTold((100, 1, 50, 5), Rates(10.0, 20.0, 3.0)), gateway)
    world.passes(60)
    world.tells(ZoneTold((7, 0, 0, 0)))
    assert world.traffic() == {-1: (200, 10), 0: (7, 0)}
    assert world.zone.minutes[-2] == Minute(NOON, 200, 2, 100, 10)
    world.passes(58 * 60)
    assert world.traffic() == {-59: (200, 10), -58: (7, 0)}
    world.passes(60)
    assert world.traffic() == {-59: (7, 0)}
    world.tells(ZoneTold((1, 0, 0, 0)))
    world.passes(100 * 60)
    world.tells(ZoneTold((3, 0, 0, 0)))
    assert world.traffic() == {0: (3, 0)}


def test_rates_are_those_of_the_last_telling(world: World) -> None:
    rates = ZoneTold(rates=Rates(10.0, 20.0, 3.0))
    world.tells(rates)
    world.tells(rates, name="b")
    world.tells(ZoneTold(rates=Rates(1.0, 2.0, 3.0)), "h")
    assert world.zone.rates == Rates(11.0, 22.0, 6.0)
    assert world.memory.gateway("g", None) == GatewayTraffic(20.0, 40.0), "the second record is of the same seconds"
    world.passes(2)
    world.tells(None)
    assert world.zone.rates == Rates(1.0, 2.0, 3.0)
    world.passes(14)
    assert world.zone.rates == Rates(), "the other one has said nothing for long"
    assert world.memory.gateway("h", None) == GatewayTraffic()


def test_clients_stay_as_long_as_their_process_lives(world: World) -> None:
    told = ZoneTold(clients=[CLIENT], connections=1)
    world.tells(told)
    for _ in range(4):
        world.passes(10)
        world.tells(None)
        assert (world.zone.clients, world.zone.connections) == ([CLIENT], 1)
    world.passes(14)
    assert world.zone.clients == [CLIENT]
    world.passes(1)
    assert (world.zone.clients, world.zone.connections) == ([], 0)
    world.tells(told)
    world.memory.apply(Told("g", None, "s", world.now, world.now, ends=True), world.now)
    assert world.zone.clients == []
    assert not world.memory.heard(("g", None))


def test_clients_go_when_their_process_says_so_is_another_or_does_not_repeat_it(world: World) -> None:
    told = ZoneTold(clients=[CLIENT], connections=1)
    world.tells(told)
    world.tells(ZoneTold(clients=[]))
    assert world.zone.clients == []
    world.tells(told)
    world.tells(None, started="later")
    assert world.zone.clients == []
    world.tells(told, started="later")
    for _ in range(8):
        world.passes(10)
        world.tells(None, started="later")
    assert world.zone.clients == []


def test_the_first_clients_of_all_gateways_are_shown(world: World) -> None:
    for gateway in ("g", "h"):
        clients = [replace(CLIENT, client_id=f"{number:03}", gateway=gateway) for number in range(150)]
        world.tells(ZoneTold(clients=clients, connections=1000), gateway)
    assert world.zone.connections == 2000
    assert [each.client_id for each in world.zone.clients] == [f"{number // 2:03}" for number in range(200)]


def test_what_a_dead_process_has_told_before_we_began_is_not_alive(world: World) -> None:
    told = Told("g", None, "s", NOON - 612, NOON - 610, {"a": ZoneTold((5, 0, 0, 0), clients=[CLIENT], connections=1)})
    world.memory.apply(told, NOON - 610, 610)
    assert world.zone.clients == []
    assert world.traffic() == {-11: (5, 0)}


@pytest.mark.parametrize("skew", [-7200.0, -90.0, 61.0, 7200.0, 1e11])
def test_a_clock_that_is_wrong_puts_nothing_into_another_hour(skew: float, world: World) -> None:
    world.passes(30)
    zone = ZoneTold((5, 0, 0, 0), clients=[replace(CLIENT, since=world.now + skew)], refusals=[REFUSAL])
    zone = replace(zone, refusals=[replace(REFUSAL, at=world.now + skew)], uses={"orders": [ONE]})
    world.tells(zone, skew=skew)
    assert world.traffic() == {0: (5, 0)}
    for at in (world.zone.clients[0].since, world.zone.refusals[0].at, world.zone.uses["orders"][0].at):
        assert at == pytest.approx(world.now, abs=0.01 if skew < 1e9 else 100)


def test_a_clock_that_is_a_little_ahead_does_not_tell_of_the_future(world: World) -> None:
    world.tells(ZoneTold((5, 0, 0, 0)), skew=50)
    assert sum(each.produced_bytes for each in world.zone.minutes) == 5


def test_our_own_clock_may_be_set_back(world: World) -> None:
    world.tells(ZoneTold((5, 0, 0, 0)))
    world.now -= 7200
    world.passes(30)
    world.tells(ZoneTold((7, 0, 0, 0)))
    assert world.traffic() == {0: (7, 0)}


def test_refusals_of_a_kind_are_one_while_they_go_on(world: World) -> None:
    other = replace(REFUSAL, resource="orders")
    world.passes(10)
    world.tells(ZoneTold(refusals=[replace(REFUSAL, at=world.now), replace(other, at=world.now)]))
    world.passes(10)
    world.tells(ZoneTold(refusals=[replace(REFUSAL, at=world.now, count=5)]))
    assert world.zone.refusals == [replace(REFUSAL, at=NOON + 20, count=6), replace(other, at=NOON + 10)]
    world.passes(600)
    world.tells(ZoneTold(refusals=[replace(REFUSAL, at=world.now)]))
    assert [each.count for each in world.zone.refusals] == [1, 6, 1]
    world.passes(3595)
    assert [each.count for each in world.zone.refusals] == [1]
    for number in range(100):
        world.tells(ZoneTold(refusals=[replace(REFUSAL, at=world.now + number, resource=str(number))]))
    assert [each.resource for each in world.zone.refusals] == [str(number) for number in range(99, 49, -1)]


def test_users_of_an_alias_are_known_for_an_hour(world: World) -> None:
    world.tells(ZoneTold(uses={"orders": [ONE, ("b", "u", "a")]}))
    world.passes(60)
    world.tells(ZoneTold(uses={"orders": [ONE]}), "h")
    assert [(each.client_id, each.at) for each in world.zone.uses["orders"]] == [("app", NOON + 60), ("b", NOON)]
    world.passes(3580)
    assert [each.client_id for each in world.zone.uses["orders"]] == ["app"]
    world.passes(60)
    assert world.zone.uses == {}
    for number in range(50):
        world.passes(1)
        world.tells(ZoneTold(uses={"orders": [(str(number), "u", "a")]}))
    assert [each.client_id for each in world.zone.uses["orders"]] == [str(number) for number in range(49, 29, -1)]


def test_zones_and_processes_are_forgotten(world: World) -> None:
    world.tells(ZoneTold((1, 0, 0, 0), clients=[CLIENT], connections=1))
    world.passes(3599)
    world.memory.sweep()
    assert (len(world.memory._zones), len(world.memory._processes)) == (1, 0)
    world.passes(1)
    world.memory.sweep()
    assert len(world.memory._zones) == 0


def test_memory_is_bounded_whatever_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAX_ZONES", "MAX_PROCESSES", "MAX_ALIASES"):
        monkeypatch.setattr(module, name, 3)
    told = ZoneTold((1, 0, 0, 0), clients=[CLIENT], connections=1, uses={str(n): [ONE] for n in range(9)})
    for number in range(9):
        world.tells(told, gateway=f"g{number}", name=f"z{number}")
        world.tells(told, gateway=f"g{number}")
    memory = world.memory
    assert (len(memory._zones), len(memory._processes)) == (3, 3)
    assert all(len(process.clients) <= 3 for process in memory._processes.values())
    assert len(world.zone.uses) == 3


@dataclass
class Model:
    """Keeps everything, and reckons anew at each question."""

    told: list[tuple[float, float, Sequence[int]]] = field(default_factory=list)

    def minutes(self, now: float) -> Counter[tuple[int, int]]:
        """(Minute, which count) -> sum, to a rounding."""
        sums: Counter[tuple[int, int]] = Counter()
        for since, until, counts in self.told:
            for minute, part in spread(counts, since, until):
                for which, count in enumerate(part):
                    sums[minute, which] += count
        last = int(now // 60)
        return Counter({key: count for key, count in sums.items() if last - 60 < key[0] <= last and count})


COUNTS = st.tuples(*[st.integers(0, 10**9)] * 4)


@given(
    st.lists(
        st.tuples(st.floats(0, 900), st.floats(0, 300), st.sampled_from(["g", "h"]), COUNTS), min_size=1, max_size=40
    )
)
def test_minutes_are_those_of_a_simple_model(steps: list[tuple[float, float, str, tuple[int, int, int, int]]]) -> None:
    world, model = World(), Model()
    for passes, span, gateway, counts in steps:
        world.passes(passes)
        since, until = world.now - span, world.now
        model.told.append((since, until, counts))
        world.memory.apply(Told(gateway, None, "s", since, until, {"a": ZoneTold(counts)}), world.now)
        seen: Counter[tuple[int, int]] = Counter()
        for each in world.zone.minutes:
            passed = each.produced_bytes, each.produced_records, each.consumed_bytes, each.consumed_records
            seen.update({(int(each.at // 60), which): count for which, count in enumerate(passed) if count})
        assert seen == model.minutes(world.now)


@given(COUNTS, st.floats(0, 1e10), st.floats(-10, 1e6))
def test_nothing_is_lost_or_made_when_it_is_spread(counts: Sequence[int], since: float, span: float) -> None:
    parts = list(spread(counts, since, since + span))
    assert 1 <= len(parts) <= 61
    assert [sum(part[which] for _, part in parts) for which in range(4)] == list(counts)
    assert all(count >= 0 for _, part in parts for count in part)
    for minute, _ in parts:
        assert minute <= math.floor((since + span) / 60)
