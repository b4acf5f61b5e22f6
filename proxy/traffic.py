"""The limits of zones as this process enforces them: one `Limiter` for each kind of traffic, with its bucket.

A limit belongs to the zone: all its connections draw on one bucket, which shares it fairly among them
(`policies.fair_bucket`). Where several processes serve the zone, each has a share of the limit. What a connection does
about its debts is in `proxy.throttling`.
"""

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Final, Protocol

from policies.fair_bucket import Account, FairBucket
from policies.sliding_rate import SlidingRate
from policies.zone import ZoneLimits

FETCHES_PER_BURST: Final = 4
"""A fetch is cut to this part of the burst, so that its response overshoots by less than that and several connections
take turns smoothly. A broker sends one record batch at least, however large (KIP-74)."""

DEBT_SECONDS: Final = 60.0
"""Of the zone's limit, that one connection can owe. Pauses are bounded, so that a client whose single requests are
worth more than them gets ever deeper into debt: beyond this it is void. Else nobody would notice that the limit was
raised, and whoever comes after such a client would pay for hours."""

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
class Usage:
    """How a limiter stands, and what it has counted since the start; in units and seconds."""

    charged: float
    debt: float
    stock: float
    debtor_seconds: float
    indebted_seconds: float
    unused: float


class Sharing(Protocol):
    """What lets several processes share a limit; parts are parts of the zone's limit, from 0 to 1."""

    floor: float
    """The part that this process has without asking."""
    expected: float
    """What it may expect to get on asking."""

    def charged(self, limiter: "Limiter", account: Account, units: float, wait: float) -> None:
        """An account was charged, or refunded when `units` are negative. `wait` is as of then."""


OnThrottled = Callable[["Limiter", float, float], None]
"""Told of each throttled request: its units, and how long its connection has to wait, in seconds."""


def nobody_listens(_limiter: "Limiter", _units: float, _wait: float) -> None:
    """Where nothing tells of it."""


class Limiter:
    """One kind of a zone's traffic in this process."""

    def __init__(
        self,
        zone: str,
        kind: Kind,
        clock: Clock,
        burst_seconds: float,
        on_throttled: OnThrottled = nobody_listens,
        sharing: Sharing | None = None,
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
        self.burst_seconds = burst_seconds
        self._on_throttled = on_throttled
        self._bucket = FairBucket(0.0, 0.0, clock())
        self._rate = SlidingRate(clock())
        self._sharing = sharing
        self._part = self._expected = 1.0
        self._until = inf
        if sharing is not None:
            self.share_by(sharing)

    def configure(self, limit: float | None) -> None:
        """The zone's limit from now on, for connections that are paused as well."""
        if limit == self.limit:
            return
        now = self._now()
        begins = self.limit is None
        self.limit = limit
        self.was_limited = True
        if limit is None:
            self._bucket.forgive(now)
            self._wake_all()
        else:
            for account in self._bucket.debtors(now):
                self._bound_debt(account, limit, now)
            self._change()
            if begins:
                self._bucket.fill()

    def share_by(self, sharing: Sharing) -> None:
        """Other processes serve the zone too: of its limit only the floor is left, until there is a share."""
        self._sharing = sharing
        self.use_share(sharing.floor, sharing.expected, inf)

    def use_share(self, part: float, expected: float, until: float) -> None:
        """This process's part of the limit from now on; after `until` it is the floor again. `expected` is what it
        would get on asking for more, by which pauses are reckoned that clients are told of."""
        self._now()
        before, self._part = self._part, part
        self._expected, self._until = expected, until
        if part != before and self.limit is not None:
            self._change()

    @property
    def part(self) -> float:
        """This process's part of the limit, from 0 to 1."""
        self._now()
        return self._part

    @property
    def share(self) -> float | None:
        """What this process may use, in units per second."""
        return None if self.limit is None else self.limit * self.part

    def _now(self) -> float:
        """The time, for the bucket. A share that has run out ended then, even if nothing has run here since."""
        now = self._clock()
        if now >= self._until:
            assert self._sharing is not None
            ended, self._until = self._until, inf
            self._part, self._expected = self._sharing.floor, self._sharing.expected
            if self.limit is not None:
                self._bucket.change(*self._rate_and_burst(self.limit), ended)
        return now

    def _rate_and_burst(self, limit: float) -> tuple[float, float]:
        rate = limit * self._part
        # one unit at least, or the first commit of the day would have to be paid back
        return rate, max(rate * self.burst_seconds, 1.0)

    def _change(self) -> None:
        assert self.limit is not None
        self._bucket.change(*self._rate_and_burst(self.limit), self._now())
        self._wake_all()

    def _wake_all(self) -> None:
        for wake in list(self.waiting):
            wake()

    def open(self) -> Account:
        return self._bucket.open(self._now())

    def leave(self, account: Account) -> None:
        self._bucket.leave(account, self._now())

    def charge(self, account: Account, units: float) -> None:
        """Note what a connection has used."""
        now = self._now()
        self.charged += units
        self._rate.add(units, now)
        self._bucket.charge(account, units, now)
        if self.limit is not None:
            self._bound_debt(account, self.limit, now)
        wait = self.expected_wait(account)
        if wait > 0:
            self.throttled_requests += 1
            self._on_throttled(self, units, wait)
        if self._sharing is not None:
            self._sharing.charged(self, account, units, self._bucket.wait(account, now))

    def refund(self, account: Account, units: float) -> None:
        """What was charged and then not used."""
        now = self._now()
        self.charged -= units
        self._rate.add(-units, now)
        self._bucket.refund(account, units, now)
        if self._sharing is not None:
            self._sharing.charged(self, account, -units, 0.0)

    def give_back(self, account: Account, units: float) -> None:
        """What was charged for the rest of a request that never came. It lessens what the account owes and nothing
        else, so that breaking off requests earns nobody anything."""
        now = self._now()
        self.charged -= units
        self._rate.add(-units, now)
        self._bucket.refund(account, min(units, self._bucket.owed(account, now)), now)
        if self._sharing is not None:
            self._sharing.charged(self, account, -units, 0.0)
        self._wake_all()

    def _bound_debt(self, account: Account, limit: float, now: float) -> None:
        void = self._bucket.owed(account, now) - limit * DEBT_SECONDS
        if void > 0:
            self._bucket.refund(account, void, now)

    def wait(self, account: Account) -> float:
        """Seconds until its debt is paid, as things stand."""
        return self._bucket.wait(account, self._now())

    def expected_wait(self, account: Account) -> float:
        """The same with the share that this process may expect, and what comes with it."""
        wait = self._bucket.wait(account, self._now(), max(self._bucket.rate, self._expected * (self.limit or 0.0)))
        if self._sharing is not None and self._until == inf:
            # without a share, the first one brings along what has been saved up
            wait -= (self._expected - self._part) * self.burst_seconds
        return max(wait, 0.0)

    def usage(self) -> Usage:
        bucket = self._bucket
        bucket.settle(self._now())
        return Usage(
            self.charged, bucket.debt, bucket.stock, bucket.debtor_seconds, bucket.indebted_seconds, bucket.unused
        )

    def add(self, units: float) -> None:
        """What another process has left unused."""
        self._bucket.add(units, self._now())
        self._wake_all()

    # what is seen of it

    @property
    def rate(self) -> float:
        """Units per second over the last ten seconds, while there was a limit."""
        return self._rate.rate(self._now())

    @property
    def throttled_connections(self) -> int:
        """That are in debt now: what they send of this kind isn't taken before it is paid."""
        return self._bucket.waiting(self._now())

    @property
    def throttled_seconds(self) -> float:
        """That connections have been in debt, in sum: each second of a connection counts once, however many of its
        requests overlap, and only as it passes."""
        return self._bucket.waited(self._now())


class ZoneTraffic:
    """All limits of one zone. It outlives changes of the zone's definition."""

    def __init__(
        self,
        zone: str,
        clock: Clock,
        burst_seconds: float,
        on_throttled: OnThrottled = nobody_listens,
        sharing: Sharing | None = None,
    ) -> None:
        self.clock = clock
        self.limited = False
        """Whether there is any limit."""
        self._burst_seconds = burst_seconds
        self._limiters = {kind: Limiter(zone, kind, clock, burst_seconds, on_throttled, sharing) for kind in Kind}

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
