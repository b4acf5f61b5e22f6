"""News of the zones, every few seconds: what has passed since the last, how fast, by whom, and what was refused.

What it costs grows with the connections and with what they do; of zones in which nothing happens nothing is looked at,
nor of aliases that nobody has used lately.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from math import inf
from time import monotonic, time
from typing import Final, NamedTuple, Protocol

from policies.names import PASSTHROUGH
from proxy.activity import MAX_USERS, ActivityNotes, Caller, Count, Refused, Taken
from proxy.metrics import AliasMeter
from proxy.traffic import Kind
from proxy.zones import Route, ZoneRegistry, ZoneState

RATE_TICKS: Final = 5
"""That a rate is of: some ten seconds, as those of limits are."""

GAP_SECONDS: Final = 10.0
"""Between two collections, after which what has passed says nothing of the present rate."""

CLIENTS_SECONDS: Final = 30.0
"""After which a zone's clients are told again, though they are the same."""

MAX_CLIENTS: Final = 200
"""Of a zone, told one by one; all are counted."""

USE_SECONDS: Final = 60.0
"""For which one who uses an alias isn't told again."""

MAX_USES: Final = 200
"""Of a zone, at a time."""

WATCH_SECONDS: Final = 60.0
"""After its last use an alias is looked at no more; an answer to a fetch may come late."""

COMMITS: Final = (8, 28)
"""OffsetCommit, TxnOffsetCommit."""

Counts = tuple[int, int, int, int]
"""Produced bytes and records, consumed bytes and records."""

NOTHING: Final = (0, 0, 0, 0)
NOBODY: Final = Taken()
NO_ZONES: Final = frozenset(("", PASSTHROUGH))


class Partner(Protocol):
    """A client's connection, as it is needed here."""

    zone_name: str

    @property
    def opened(self) -> float:
        """When it was, by a monotonic clock."""
        ...

    def caller(self) -> Caller | None:
        """Who it is; None of one that isn't a partner's, or not at work."""
        ...

    def take_used(self) -> Collection[Route]:
        """What it has produced to, or fetched from, since this was last asked."""
        ...


class Client(NamedTuple):
    """Connections that are alike in all but their ports."""

    caller: Caller
    since: float
    """When the oldest was made, Unix seconds."""
    connections: int


@dataclass(frozen=True, slots=True)
class ZoneNews:
    counts: Counts
    """Since the last time."""
    rates: tuple[float, float, float]
    """Bytes produced and consumed per second, commits per minute."""
    clients: Sequence[Client] | None
    """None: as they were."""
    connections: int
    """All of them, where clients are told."""
    refusals: Mapping[Refused, Count]
    uses: Mapping[str, Sequence[Caller]]
    """Alias -> those who have used it, as far as they weren't told lately."""

    def __bool__(self) -> bool:
        return bool(any(self.counts) or any(self.rates) or self.clients is not None or self.refusals or self.uses)


@dataclass(slots=True)
class _Book:
    """What is known of a zone from one time to the next."""

    told_clients_at: float = -inf
    had_clients: bool = False
    listing: bool = True
    """Its clients are to be told this time."""
    present: list[Partner] = field(default_factory=list)
    connected: bool = False
    watched: dict[AliasMeter, float] = field(default_factory=dict)
    """Aliases that are in use, and since when they aren't."""
    window: deque[tuple[int, int, float]] = field(default_factory=lambda: deque(maxlen=RATE_TICKS))
    told_uses: dict[str, dict[Caller, float]] = field(default_factory=dict)
    commits: tuple[int, float] | None = None
    """Requests, and what counted towards the limit, when this was last looked at."""

    @property
    def busy(self) -> bool:
        """There may be something to tell, although nothing was noted."""
        return bool(self.listing or self.watched or self.window)


class ActivityCollector:
    """Of one gateway's process."""

    def __init__(
        self,
        notes: ActivityNotes,
        sessions: Iterable[Partner],
        zones: ZoneRegistry,
        ticks: Callable[[], float] = monotonic,
        clock: Callable[[], float] = time,
    ) -> None:
        """`ticks` measures, `clock` tells Unix time."""
        self._notes = notes
        self._sessions = sessions
        self._zones = zones
        self._ticks = ticks
        self._clock = clock
        self._books: dict[str, _Book] = {}
        self._counted: dict[AliasMeter, Counts] = {}
        self._times: deque[float] = deque(maxlen=RATE_TICKS + 1)
        self._since = 0.0

    def begin(self) -> None:
        """From now on there is news."""
        self._notes.noting = True
        self._times.append(self._ticks())
        self._since = self._clock()

    def collect(self) -> tuple[float, float, Iterator[tuple[str, ZoneNews]]]:
        """The time that the news are of, from and to, and zone by zone what is new, to be taken before the next time;
        others may have turns meanwhile."""
        now = self._ticks()
        if self._times and now - self._times[-1] > GAP_SECONDS:
            self._times.clear()
            for book in self._books.values():
                book.window.clear()
        self._times.append(now)
        since, self._since = self._since, self._clock()
        taken = self._look_at_sessions(now)
        return since, self._since, self._news(now, taken)

    def _look_at_sessions(self, now: float) -> Mapping[str, Taken]:
        sessions = [each for each in self._sessions if each.zone_name not in NO_ZONES]
        for session in sessions:
            if used := session.take_used():
                self._notes.used(session.zone_name, session.caller(), used)
        taken = self._notes.take()
        self._open_books(taken, now)
        for session in sessions:
            book = self._books.get(session.zone_name)
            if book is None:
                book = self._books[session.zone_name] = _Book()
            book.connected = True
            if book.listing:
                book.present.append(session)
        return taken

    def _open_books(self, taken: Mapping[str, Taken], now: float) -> None:
        for zone, book in self._books.items():
            noted = taken.get(zone)
            due = book.had_clients and now - book.told_clients_at >= CLIENTS_SECONDS
            # those that nobody has come to last time are still to be told
            book.listing = book.listing or due or (noted is not None and noted.clients_changed)
            book.present.clear()
            book.connected = False
        for zone in taken:
            if zone not in self._books:
                self._books[zone] = _Book()

    def _news(self, now: float, taken: Mapping[str, Taken]) -> Iterator[tuple[str, ZoneNews]]:
        quiet = [zone for zone, book in self._books.items() if not (book.connected or book.busy or zone in taken)]
        for zone in quiet:
            del self._books[zone]
        # who commits fetches, or has just come: both are noted
        for zone in [zone for zone, book in self._books.items() if book.busy or zone in taken]:
            commits = self._commits(self._books[zone], self._zones.zones.get(zone))
            news = self._news_of(self._books[zone], taken.get(zone, NOBODY), commits, now)
            if news:
                yield zone, news

    def _news_of(self, book: _Book, taken: Taken, commits: float, now: float) -> ZoneNews:
        for route in taken.uses:
            book.watched[route.meter] = now
        counts = self._count(book, now)
        rates = self._rates(book, (counts[0], counts[2], commits), now)
        clients, connections = self._clients(book, now) if book.listing else (None, 0)
        return ZoneNews(counts, rates, clients, connections, taken.refusals, _uses(book, taken, now))

    def _count(self, book: _Book, now: float) -> Counts:
        if not book.watched:
            return NOTHING
        totals = [0, 0, 0, 0]
        for meter, used_at in list(book.watched.items()):
            counts = meter.produce_bytes, meter.produce_records, meter.fetch_bytes, meter.fetch_records
            before = self._counted.get(meter, NOTHING)
            if counts != before:
                self._counted[meter] = counts
                for at, (count, known) in enumerate(zip(counts, before, strict=True)):
                    totals[at] += count - known
            elif now - used_at > WATCH_SECONDS:
                del book.watched[meter]
        return totals[0], totals[1], totals[2], totals[3]

    @staticmethod
    def _commits(book: _Book, state: ZoneState | None) -> float:
        """Since the last time, as they count towards a limit; without one, all requests."""
        if state is None:
            return 0.0
        limiter = state.traffic[Kind.COMMIT]
        requests, charged = state.requests(COMMITS), limiter.charged
        requests_before, charged_before = book.commits or (requests, charged)
        # a zone that was edited has counted nothing before its next request
        book.commits = max(requests, requests_before), charged
        passed = charged - charged_before if limiter.limit is not None else requests - requests_before
        return max(passed, 0.0)

    def _rates(self, book: _Book, passed: tuple[int, int, float], now: float) -> tuple[float, float, float]:
        seconds = now - self._times[0]
        if seconds <= 0:
            return 0.0, 0.0, 0.0
        if not book.window and not any(passed):
            return 0.0, 0.0, 0.0
        book.window.append(passed)
        produced, consumed, commits = (sum(each) for each in zip(*book.window, strict=True))
        if not (produced or consumed or commits):
            book.window.clear()
        return produced / seconds, consumed / seconds, commits * Kind.COMMIT.seconds / seconds

    def _clients(self, book: _Book, now: float) -> tuple[Sequence[Client], int]:
        groups: dict[Caller, tuple[float, int]] = {}
        connections = 0
        for session in book.present:
            caller = session.caller()
            if caller is not None:
                opened, count = groups.get(caller, (inf, 0))
                groups[caller] = min(opened, session.opened), count + 1
                connections += 1
        book.listing = False
        book.present.clear()
        book.told_clients_at = now
        book.had_clients = connections > 0
        book.told_uses = {alias: fresh for alias, users in book.told_uses.items() if (fresh := _fresh(users, now))}
        callers = nsmallest(MAX_CLIENTS, groups) if len(groups) > MAX_CLIENTS else sorted(groups)
        began = self._clock() - now
        return [Client(each, began + groups[each][0], groups[each][1]) for each in callers], connections


def _uses(book: _Book, taken: Taken, now: float) -> Mapping[str, Sequence[Caller]]:
    uses: dict[str, list[Caller]] = {}
    room = MAX_USES
    for route, users in taken.uses.items():
        alias = route.alias.name
        told = _fresh(book.told_uses.get(alias, {}), now)
        news = [each for each in users if each not in told][: min(room, MAX_USERS - len(told))]
        if news:
            room -= len(news)
            uses.setdefault(alias, []).extend(news)
            book.told_uses[alias] = told | dict.fromkeys(news, now)
    return uses


def _fresh(users: Mapping[Caller, float], now: float) -> dict[Caller, float]:
    return {each: at for each, at in users.items() if now - at < USE_SECONDS}
