"""The limits of zones as this process enforces them: one `Limiter` for each kind of traffic, with its bucket.

A limit belongs to the zone: all its connections draw on one bucket, which shares it fairly among them
(`policies.fair_bucket`). Where several processes serve the zone, each has a share of the limit. What a connection does
about its debts is in `proxy.throttling`.
"""

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from policies.fair_bucket import Account, FairBucket
from policies.sliding_rate import SlidingRate
from policies.zone import ZoneLimits

FETCHES_PER_BURST: Final = 4
"""A fetch is cut to this part of the burst, so that its response overshoots by less than that and several connections
take turns smoothly. A broker sends one record batch at least, however large (KIP-74)."""

Clock = Callable[[], float]


class Kind(enum.StrEnum):
    """What is limited; the unit is a byte of record batches, or a request that commits offsets."""

    PRODUCE = "produce"
    CONSUME = "consume"
    COMMIT = "commit"

    @property
    def seconds(self) -> int:
        """The time that a limit of this kind is written for: bytes a second, commits a minute."""
        return 60 if self is Kind.COMMIT else 1


@dataclass(frozen=True, slots=True)
class Demand:
    """What one process needs of a zone's limit, in units per second."""

    limit: float
    used: float
    """Since the last report."""
    debtors: int
    """Connections that have to wait; with any, more would be used."""


OnThrottled = Callable[["Limiter", float, float], None]
"""Told of each throttled request: its units, and how long its connection has to wait, in seconds."""


def nobody_listens(_limiter: "Limiter", _units: float, _wait: float) -> None:
    """Where nothing tells of it."""


class Limiter:
    """One kind of a zone's traffic in this process."""

    def __init__(
        self, zone: str, kind: Kind, clock: Clock, burst_seconds: float, on_throttled: OnThrottled = nobody_listens
    ) -> None:
        self.zone = zone
        self.kind = kind
        self.limit: float | None = None
        """Of the whole zone, in units per second; None is without limit."""
        self.charged = 0.0
        """Units, since the start."""
        self.was_limited = False
        """Whether there has been a limit at any time."""
        self.throttled_requests = 0
        """After which their connection was in debt."""
        self.waiting: dict[Callable[[], None], None] = {}
        """Wakes each connection that waits for its debt to be paid."""
        self._clock = clock
        self._burst_seconds = burst_seconds
        self._on_throttled = on_throttled
        self._bucket = FairBucket(0.0, 0.0, clock())
        self._rate = SlidingRate(clock())
        self._share: float | None = None
        self._expected = 0.0
        self._reported = 0.0, clock()

    def configure(self, limit: float | None) -> None:
        """The zone's limit from now on, for connections that are paused as well."""
        if limit == self.limit:
            return
        begins = self.limit is None
        self.limit = limit
        self.was_limited = True
        if limit is None:
            self._bucket.forgive(self._clock())
            self._wake_all()
        else:
            self._change()
            if begins:
                self._bucket.fill()

    def use_share(self, rate: float | None, expected: float = 0.0) -> None:
        """This process's part of the limit, in units per second, from now on; None for all of it. `expected` is what
        it would get on asking for more, by which pauses are reckoned that clients are told of."""
        self._expected = expected
        if rate == self._share:
            return
        self._share = rate
        if self.limit is not None:
            self._change()

    @property
    def share(self) -> float | None:
        """What this process may use, in units per second."""
        return self.limit if self._share is None or self.limit is None else min(self._share, self.limit)

    def _rate_and_burst(self, limit: float) -> tuple[float, float]:
        rate = limit if self._share is None else min(self._share, limit)
        # one unit at least, or the first commit of the day would have to be paid back
        return rate, max(rate * self._burst_seconds, 1.0)

    def _change(self) -> None:
        assert self.limit is not None
        self._bucket.change(*self._rate_and_burst(self.limit), self._clock())
        self._wake_all()

    def _wake_all(self) -> None:
        for wake in list(self.waiting):
            wake()

    def open(self) -> Account:
        return self._bucket.open(self._clock())

    def leave(self, account: Account) -> None:
        self._bucket.leave(account, self._clock())

    def charge(self, account: Account, units: float) -> None:
        """Note what a connection has used."""
        now = self._clock()
        self.charged += units
        self._rate.add(units, now)
        self._bucket.charge(account, units, now)
        wait = self.expected_wait(account)
        if wait > 0:
            self.throttled_requests += 1
            self._on_throttled(self, units, wait)

    def refund(self, account: Account, units: float) -> None:
        """What was charged and then not used."""
        now = self._clock()
        self.charged -= units
        self._rate.add(-units, now)
        self._bucket.refund(account, units, now)

    def wait(self, account: Account) -> float:
        """Seconds until its debt is paid, as things stand."""
        return self._bucket.wait(account, self._clock())

    def expected_wait(self, account: Account) -> float:
        """The same with the share that this process may expect."""
        return self._bucket.wait(account, self._clock(), max(self._bucket.rate, self._expected))

    # what is seen of it

    @property
    def rate(self) -> float:
        """Units per second over the last ten seconds, while there was a limit."""
        return self._rate.rate(self._clock())

    @property
    def throttled_connections(self) -> int:
        """That are in debt now: what they send of this kind isn't taken before it is paid."""
        return self._bucket.waiting(self._clock())

    @property
    def throttled_seconds(self) -> float:
        """That connections have been in debt, in sum: each second of a connection counts once, however many of its
        requests overlap, and only as it passes."""
        return self._bucket.waited(self._clock())

    def demand(self) -> Demand | None:
        """What has been used since this was last called; None without a limit."""
        before, since = self._reported
        now = self._clock()
        self._reported = self.charged, now
        if self.limit is None:
            return None
        used = (self.charged - before) / (now - since) if now > since else 0.0
        return Demand(self.limit, max(used, 0.0), self._bucket.waiting(now))


class ZoneTraffic:
    """All limits of one zone. It outlives changes of the zone's definition."""

    def __init__(
        self, zone: str, clock: Clock, burst_seconds: float, on_throttled: OnThrottled = nobody_listens
    ) -> None:
        self.clock = clock
        self.limited = False
        """Whether there is any limit."""
        self._burst_seconds = burst_seconds
        self._limiters = {kind: Limiter(zone, kind, clock, burst_seconds, on_throttled) for kind in Kind}

    def __getitem__(self, kind: Kind) -> Limiter:
        return self._limiters[kind]

    def __iter__(self) -> Iterator[Limiter]:
        return iter(self._limiters.values())

    def configure(self, limits: ZoneLimits) -> None:
        """The zone's limits from now on."""
        commits = limits.commits_per_minute
        self[Kind.PRODUCE].configure(limits.produce_rate)
        self[Kind.CONSUME].configure(limits.consume_rate)
        self[Kind.COMMIT].configure(None if commits is None else commits / 60)
        self.limited = limits != ZoneLimits()

    @property
    def fetch_bytes(self) -> int | None:
        """What one fetch may ask for at most."""
        limit = self[Kind.CONSUME].limit
        return None if limit is None else max(int(limit * self._burst_seconds / FETCHES_PER_BURST), 1)
