"""What a connection does about its debts: Kafka's way of throttling (KIP-219), never an error.

A request is always served, and charged for; the response tells at once how long the client had better wait
(`throttle_time_ms`). Clients that know KIP-219 do. From all others, from those who send on regardless and from those
who get no response, the next request of the same kind isn't taken before the debt is paid, and nothing is read behind
it. Requests of other kinds pass while none is held before them, so heartbeats don't wait for record batches.

Pauses are bounded, so that no client gives up and no member loses its place in its group: what is still owed after the
longest pause stays owed.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, inf
from struct import Struct
from typing import Final, Protocol

from policies.fair_bucket import Account
from proxy.apis.plan import RequestPlan
from proxy.flow import Hold
from proxy.traffic import Kind, Limiter
from proxy.zones import ZoneState

_KEY_AND_VERSION: Final = Struct(">hh")

WAKE_SECONDS: Final = 0.001
"""The shortest timer: that of the event loop counts milliseconds."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long clients can be kept waiting, in seconds."""

    told: float
    """`throttle_time_ms` at most. A client that waits by itself has no request under way that could time out."""
    held: float
    """A request at most, before it is taken. Clients wait 30 s for a response (`request.timeout.ms`), librdkafka 60."""
    line: float
    """Several requests, sent one behind the other, in sum; for the first `depth` of them."""
    depth: float
    """Who sends more at once waits longer than `request.timeout.ms` of itself: producers that keep the order have 5
    under way."""


PATIENCE: Final[Mapping[Kind, Patience]] = {
    Kind.PRODUCE: Patience(told=10.0, held=10.0, line=25.0, depth=5),
    Kind.CONSUME: Patience(told=10.0, held=10.0, line=25.0, depth=5),
    # heartbeats are sent on the same connection as commits; brokers allow sessions of 6 s, and clients beat every 3 s
    Kind.COMMIT: Patience(told=3.0, held=3.0, line=6.0, depth=inf),
}


class Reader(Protocol):
    """The pipeline, as it is needed here."""

    zone: Callable[[], ZoneState]
    taken_along: int

    @property
    def in_flight(self) -> int: ...

    def hold(self, reason: Hold) -> None: ...

    def release(self, reason: Hold) -> None: ...


class Throttle:
    """One connection's accounts, and its pauses."""

    __slots__ = (
        "_accounts",
        "_held_since",
        "_held_until",
        "_limiter",
        "_line_length",
        "_line_seconds",
        "_pipeline",
        "_plans",
        "has_waited",
    )

    def __init__(self, pipeline: Reader, plans: Mapping[int, RequestPlan]) -> None:
        self._pipeline = pipeline
        self._plans = plans
        self._accounts: dict[Kind, tuple[Limiter, Account]] = {}
        self._limiter: Limiter | None = None
        """That a request waits for now."""
        self._held_since = 0.0
        self._held_until = 0.0
        self._line_length = 0
        self._line_seconds = 0.0
        self.has_waited = False
        """Whether the last request of a limited kind had to, before it was taken."""

    # charging

    def charge(self, kind: Kind, units: float) -> None:
        """The connection has used so much."""
        limiter = self._pipeline.zone().traffic[kind]
        if limiter.limit is not None and units > 0:
            limiter.charge(self._account(limiter), units)

    def refund(self, kind: Kind, units: float) -> None:
        """It has used less than it was charged for."""
        limiter = self._pipeline.zone().traffic[kind]
        if limiter.limit is not None:
            limiter.refund(self._account(limiter), units)

    def told(self, kind: Kind) -> int:
        """`throttle_time_ms` of a response now."""
        limiter = self._pipeline.zone().traffic[kind]
        if limiter.limit is None:
            return 0
        return ceil(min(limiter.expected_wait(self._account(limiter)), PATIENCE[kind].told) * 1000)

    def _account(self, limiter: Limiter) -> Account:
        known = self._accounts.get(limiter.kind)
        if known is None:
            known = self._accounts[limiter.kind] = limiter, limiter.open()
        return known[1]

    def leave(self) -> None:
        """The connection is gone; what it owes stays owed."""
        self._stop_waiting()
        for limiter, account in self._accounts.values():
            limiter.leave(account)
        self._accounts.clear()

    # pausing

    def admit(self, data: bytes, start: int) -> bool:
        """Whether the frame may be taken now. If not, the connection is held, and this is asked again."""
        key, version = _KEY_AND_VERSION.unpack_from(data, start + 4)
        plan = self._plans.get(key << 16 | version)
        kind = plan.entry.kind if plan is not None else None
        if kind is None or self._pipeline.taken_along:
            return True
        traffic = self._pipeline.zone().traffic
        limiter = traffic[kind]
        if limiter.limit is None:
            self._stop_waiting()
            self.has_waited = False
            return True
        now = traffic.clock()
        wait = limiter.wait(self._account(limiter))
        if wait > 0 and self._limiter is None:
            self._begin_waiting(limiter, now)
        if wait > 0 and now < self._held_until:
            self._hold(min(wait, self._held_until - now))
            return False
        self.has_waited = self._limiter is not None
        if self._limiter is not None:
            self._line_length += 1
            self._line_seconds += now - self._held_since
            self._stop_waiting()
        return True

    def _begin_waiting(self, limiter: Limiter, now: float) -> None:
        if not self._pipeline.in_flight:
            # it was sent after the answer to the one before: nothing has been waiting in line behind that one
            self._line_length, self._line_seconds = 0, 0.0
        patience = PATIENCE[limiter.kind]
        seconds = patience.held
        if self._line_length < patience.depth - 1:
            seconds = min(seconds, patience.line - self._line_seconds)
        self._limiter = limiter
        self._held_since = now
        self._held_until = now + seconds
        limiter.waiting[self._wake] = None

    def _hold(self, seconds: float) -> None:
        self._pipeline.hold(Hold.THROTTLED)
        asyncio.get_running_loop().call_later(max(seconds, WAKE_SECONDS), self._wake)

    def _wake(self) -> None:
        """Ask again. To be woken once too often does no harm."""
        self._pipeline.release(Hold.THROTTLED)

    def _stop_waiting(self) -> None:
        if self._limiter is not None:
            self._limiter.waiting.pop(self._wake, None)
            self._limiter = None
