"""An hour of what gateways have told, zone by zone, and who is connected now. No Kafka, and no clock of its own.

A gateway's times count as far as the broker's stamp bears them out, so that its clock can't put traffic into another
hour. Who lives is measured by this process's clock. Whatever is told, memory is bounded in the number of zones.
"""

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from heapq import nsmallest
from time import monotonic, time
from typing import Final

from controlplane.activity.records import Told, User, ZoneTold
from controlplane.zone_activity import (
    LATELY_SECONDS,
    SHOWN_CLIENTS,
    SHOWN_MINUTES,
    SHOWN_REFUSALS,
    AliasUse,
    ConnectedClient,
    GatewayTraffic,
    Minute,
    Rates,
    RecentRefusal,
    ZoneActivity,
)

MINUTE: Final = 60.0

LIVE_SECONDS: Final = 15.0
"""Since a process has told anything; it does every five at the latest."""

CLIENTS_SECONDS: Final = 75.0
"""For which a zone's clients are believed; they are told every thirty."""

SKEW_SECONDS: Final = 60.0
"""Between a process's clock and the broker's, beyond which the broker's counts."""

SAME_SECONDS: Final = 60.0
"""Between two refusals of a kind that are shown as one."""

MAX_ZONES: Final = 100_000
MAX_PROCESSES: Final = 1000
MAX_ALIASES: Final = 5000
"""Of a zone, that uses are remembered of."""

MAX_USERS: Final = 20
"""Of an alias."""

COUNTS: Final = 4

Process = tuple[str, int | None]
"""Gateway and worker."""


class _Minutes:
    """The last `SHOWN_MINUTES`, as a ring."""

    __slots__ = ("_counts", "_last")

    def __init__(self, now: int) -> None:
        self._begin(now)

    def _begin(self, now: int) -> None:
        self._last = now
        self._counts = array("d", bytes(8 * COUNTS * SHOWN_MINUTES))

    def add(self, minute: int, counts: Sequence[int], now: int) -> None:
        """`now` is the minute that is passing."""
        if self._last > now:
            self._begin(now)  # the clock was set back, and what is here is of no time at all
        for passed in range(max(self._last + 1, minute - SHOWN_MINUTES + 1), minute + 1):
            at = self._at(passed)
            self._counts[at : at + COUNTS] = array("d", bytes(8 * COUNTS))
        self._last = max(self._last, minute)
        if minute > self._last - SHOWN_MINUTES:
            at = self._at(minute)
            for offset, count in enumerate(counts):
                self._counts[at + offset] += count

    def of(self, minute: int) -> Minute:
        if not self._last - SHOWN_MINUTES < minute <= self._last:
            return Minute(minute * MINUTE)
        at = self._at(minute)
        return Minute(minute * MINUTE, *map(int, self._counts[at : at + COUNTS]))

    @staticmethod
    def _at(minute: int) -> int:
        return minute % SHOWN_MINUTES * COUNTS


@dataclass(slots=True)
class _Zone:
    told_at: float
    """By our clock that measures."""
    minutes: _Minutes | None = None
    refusals: list[RecentRefusal] = field(default_factory=list)
    uses: dict[str, dict[User, float]] = field(default_factory=dict)


@dataclass(slots=True)
class _Clients:
    told_at: float
    connections: int
    clients: Sequence[ConnectedClient]


@dataclass(slots=True)
class _Process:
    started: str
    heard_at: float
    until: float = 0.0
    rates: dict[str, Rates] = field(default_factory=dict)
    clients: dict[str, _Clients] = field(default_factory=dict)


class ActivityMemory:
    def __init__(self, clock: Callable[[], float] = time, ticks: Callable[[], float] = monotonic) -> None:
        """`clock` tells Unix time, `ticks` measures."""
        self._clock = clock
        self._ticks = ticks
        self._zones: dict[str, _Zone] = {}
        self._processes: dict[Process, _Process] = {}

    # what is told

    def apply(self, told: Told, stamp: float, ago: float = 0.0) -> None:
        """A record, which a broker has stamped with this Unix time; it was written so many seconds ago."""
        process = self._heard(told, self._ticks() - ago)
        if process is None:
            return
        shift = stamp - told.until if abs(stamp - told.until) > SKEW_SECONDS else 0.0
        shift -= max(told.until + shift - self._clock(), 0.0)
        if told.until != process.until:
            # several records may be of the same seconds
            process.until = told.until
            process.rates = {}
        for name, news in told.zones.items():
            zone = self._zone(name, process.heard_at)
            if zone is not None:
                process.rates[name] = news.rates
                self._note_clients(process, name, news, shift)
                self._note_traffic(zone, told, news, shift)
                self._note_refusals(zone, news, shift)
                self._note_uses(zone, news, told.until + shift)

    def _heard(self, told: Told, at: float) -> _Process | None:
        key = told.gateway, told.worker
        known = self._processes.get(key)
        if told.ends:
            self._processes.pop(key, None)
            return None
        if known is None or known.started != told.started:
            if known is None and len(self._processes) >= MAX_PROCESSES:
                return None
            known = self._processes[key] = _Process(told.started, at)
        known.heard_at = max(known.heard_at, at)
        return known

    def _zone(self, name: str, at: float) -> _Zone | None:
        zone = self._zones.get(name)
        if zone is None:
            if len(self._zones) >= MAX_ZONES:
                return None
            zone = self._zones[name] = _Zone(at)
        zone.told_at = max(zone.told_at, at)
        return zone

    @staticmethod
    def _note_clients(process: _Process, name: str, news: ZoneTold, shift: float) -> None:
        if news.clients is None:
            return
        if not news.clients:
            process.clients.pop(name, None)
            return
        clients = [replace(each, since=each.since + shift) for each in news.clients] if shift else news.clients
        process.clients[name] = _Clients(process.heard_at, news.connections, clients)

    def _note_traffic(self, zone: _Zone, told: Told, news: ZoneTold, shift: float) -> None:
        if not any(news.counts):
            return
        now = int(self._clock() // MINUTE)
        if zone.minutes is None:
            zone.minutes = _Minutes(now)
        until = told.until + shift
        for minute, counts in spread(news.counts, told.since + shift, until):
            zone.minutes.add(minute, counts, now)

    @staticmethod
    def _note_refusals(zone: _Zone, news: ZoneTold, shift: float) -> None:
        for each in news.refusals:
            at, count = each.at + shift, each.count
            for position, known in enumerate(zone.refusals):
                if abs(known.at - at) < SAME_SECONDS and replace(each, at=known.at, count=known.count) == known:
                    at, count = max(at, known.at), count + known.count
                    del zone.refusals[position]
                    break
            zone.refusals.append(replace(each, at=at, count=count))
        if news.refusals:
            zone.refusals.sort(key=lambda each: -each.at)
            del zone.refusals[SHOWN_REFUSALS:]

    @staticmethod
    def _note_uses(zone: _Zone, news: ZoneTold, at: float) -> None:
        for alias, users in news.uses.items():
            if alias not in zone.uses and len(zone.uses) >= MAX_ALIASES:
                continue
            known = zone.uses.setdefault(alias, {})
            known.update((user, max(at, known.get(user, at))) for user in users)
            if len(known) > MAX_USERS:
                latest = sorted(known, key=lambda user: -known[user])[:MAX_USERS]
                zone.uses[alias] = {user: known[user] for user in latest}

    def sweep(self) -> None:
        """To be called now and then: forgets those who say nothing any more."""
        now = self._ticks()
        for key in [key for key, process in self._processes.items() if now - process.heard_at >= LIVE_SECONDS]:
            del self._processes[key]
        for name in [name for name, zone in self._zones.items() if now - zone.told_at >= LATELY_SECONDS]:
            del self._zones[name]
            for process in self._processes.values():
                process.clients.pop(name, None)

    # what is asked

    def heard(self, process: Process) -> bool:
        """Whether it has told anything lately."""
        known = self._processes.get(process)
        return known is not None and self._lives(known)

    def zone(self, name: str) -> ZoneActivity:
        now = self._clock()
        last = int(now // MINUTE)
        zone = self._zones.get(name, _Zone(0.0))
        minutes = zone.minutes if zone.minutes is not None else _Minutes(last)
        clients, connections = self._clients_of(name)
        return ZoneActivity(
            [minutes.of(minute) for minute in range(last - SHOWN_MINUTES + 1, last + 1)],
            self._rates_of(name),
            clients,
            connections,
            [each for each in zone.refusals if now - each.at < LATELY_SECONDS],
            {alias: uses for alias, users in zone.uses.items() if (uses := _latest(users, now))},
        )

    def gateway(self, gateway: str, worker: int | None) -> GatewayTraffic:
        process = self._processes.get((gateway, worker))
        if process is None or not self._lives(process):
            return GatewayTraffic()
        rates = process.rates.values()
        return GatewayTraffic(sum(each.produce for each in rates), sum(each.consume for each in rates))

    def _lives(self, process: _Process) -> bool:
        return self._ticks() - process.heard_at < LIVE_SECONDS

    def _living(self) -> Iterator[_Process]:
        return (process for process in self._processes.values() if self._lives(process))

    def _rates_of(self, name: str) -> Rates:
        rates = [found for process in self._living() if (found := process.rates.get(name)) is not None]
        return Rates(
            sum(each.produce for each in rates), sum(each.consume for each in rates), sum(each.commit for each in rates)
        )

    def _clients_of(self, name: str) -> tuple[Sequence[ConnectedClient], int]:
        now = self._ticks()
        told = [
            found
            for process in self._living()
            if (found := process.clients.get(name)) is not None and now - found.told_at < CLIENTS_SECONDS
        ]
        clients = [each for found in told for each in found.clients]
        first = nsmallest(SHOWN_CLIENTS, clients, key=lambda each: (each.client_id, each.user, each.address))
        return first, sum(found.connections for found in told)


def spread(counts: Sequence[int], since: float, until: float) -> Iterator[tuple[int, Sequence[int]]]:
    """Parts of what was counted in that time, minute by minute; they add up to it."""
    since = min(max(since, until - SHOWN_MINUTES * MINUTE), until)
    first, last = int(since // MINUTE), int(until // MINUTE)
    given = [0] * len(counts)
    for minute in range(first, last):
        part = ((minute + 1) * MINUTE - since) / (until - since)
        upto = [int(count * part) for count in counts]
        yield minute, [to - before for to, before in zip(upto, given, strict=True)]
        given = upto
    yield last, [count - before for count, before in zip(counts, given, strict=True)]


def _latest(users: dict[User, float], now: float) -> Sequence[AliasUse]:
    lately = [(at, user) for user, at in users.items() if now - at < LATELY_SECONDS]
    return [AliasUse(*user, at) for at, user in sorted(lately, reverse=True)]
