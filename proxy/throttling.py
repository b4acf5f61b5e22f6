"""What a connection does about its debts: Kafka's way of throttling (KIP-219), never an error.

A request is always served, and charged for; the response tells at once how long the client had better wait
(`throttle_time_ms`). Clients that know KIP-219 do. From all others, from those who send on regardless and from those
who get no response, the next request of the same kind isn't taken before the debt is paid, and nothing is read behind
it. Requests of other kinds pass while none is held before them, so heartbeats don't wait for record batches.

Pauses are bounded, so that no client gives up, no member loses its place in its group, and nobody misses the time to
sign in again: what is still owed after the longest pause stays owed, up to a bound (`proxy.traffic.DEBT_SECONDS`).
"""

import asyncio
from collections import deque
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
"""The shortest pause: timers of event loops count milliseconds. Less than that stays owed."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long clients can be kept waiting, in seconds."""

    told: float
    """`throttle_time_ms` at most. A client that waits by itself has no request under way that could time out."""
    held: float
    """A request at most, before it is taken. Clients wait 30 s for a response (`request.timeout.ms`), librdkafka 60."""
    line: float
    """Any `IN_LINE` requests, sent one behind the other, in sum."""


IN_LINE: Final = 5
"""Requests under way of a producer that keeps the order (`max.in.flight.requests.per.connection`). Who sends more at
once makes them wait for each other, beyond any timeout, by itself."""

PATIENCE: Final[Mapping[Kind, Patience]] = {
    Kind.PRODUCE: Patience(told=10.0, held=10.0, line=25.0),
    Kind.CONSUME: Patience(told=10.0, held=10.0, line=25.0),
    # commits share a connection with heartbeats, of which none may have been seen yet
    Kind.COMMIT: Patience(told=3.0, held=3.0, line=6.0),
}

HEARTBEATS: Final = frozenset((11, 12, 14, 68))
"""JoinGroup, Heartbeat, SyncGroup, ConsumerGroupHeartbeat: what keeps a member in its group."""

HEARTBEAT_SECONDS: Final = 4.0
"""From a member's last heartbeat on, until whatever it sends passes: the next one may be behind that. Brokers allow
sessions of 6 s (`group.min.session.timeout.ms`)."""

MEMBER_SECONDS: Final = 10.0
"""After its last heartbeat a connection isn't a member's any more, or one of a patient group: members send them every
3 s (`heartbeat.interval.ms`), those of KIP-848 every 5."""

SIGN_IN_SECONDS: Final = 3.0
"""Before the end of a session, whatever its client sends passes: clients sign in again when 85 to 95 % of it are over,
and their SaslHandshake may be behind that."""

SLACK_SECONDS: Final = 0.5
"""The pause of those who haven't much time; not of requests that were sent behind others."""


class Client(Protocol):
    """The session, as it is needed here."""

    def seconds_open(self) -> float:
        """Until the client must have signed in again."""


class Reader(Protocol):
    """The pipeline, as it is needed here."""

    zone: Callable[[], ZoneState]
    taken_along: int
    was_behind: bool

    @property
    def client(self) -> Client: ...

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
        "_is_member",
        "_last_heartbeat",
        "_limiter",
        "_line",
        "_pipeline",
        "_plans",
        "_timer",
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
        self._timer: asyncio.TimerHandle | None = None
        self._line: deque[float] = deque(maxlen=IN_LINE - 1)
        """How long the requests before the next one were held, as far as it may have waited behind them."""
        self._last_heartbeat = -inf
        self._is_member = False
        """Lately; it stays one while its requests wait behind each other, and its heartbeat maybe behind them."""
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
        traffic = self._pipeline.zone().traffic
        limiter = traffic[kind]
        if limiter.limit is None:
            return 0
        seconds = limiter.expected_wait(self._account(limiter))
        if seconds > 0:
            seconds = min(seconds, PATIENCE[kind].told, max(self._time_left(traffic.clock()), SLACK_SECONDS))
        # a nanosecond is noise of floating point numbers
        return ceil(round(seconds * 1000, 6))

    def _account(self, limiter: Limiter) -> Account:
        known = self._accounts.get(limiter.kind)
        if known is None:
            known = self._accounts[limiter.kind] = limiter, limiter.open()
        return known[1]

    def leave(self, missing: int = 0) -> None:
        """The connection is gone; what it owes stays owed, but for the bytes that are missing of a streamed request."""
        self._stop_waiting()
        for limiter, account in self._accounts.values():
            if missing and limiter.kind is Kind.PRODUCE and limiter.limit is not None:
                limiter.give_back(account, missing)
            limiter.leave(account)
        self._accounts.clear()

    # pausing

    def admit(self, data: bytes, start: int) -> bool:
        """Whether the frame may be taken now. If not, the connection is held, and this is asked again."""
        key, version = _KEY_AND_VERSION.unpack_from(data, start + 4)
        plan = self._plans.get(key << 16 | version)
        if plan is None:
            return True
        traffic = self._pipeline.zone().traffic
        kind = plan.entry.kind
        if kind is None:
            if key in HEARTBEATS:
                self._last_heartbeat = traffic.clock()
            return True
        if self._pipeline.taken_along:
            return True
        limiter = traffic[kind]
        if limiter.limit is None:
            self._stop_waiting()
            self.has_waited = False
            return True
        return self._admit(limiter, traffic.clock())

    def _admit(self, limiter: Limiter, now: float) -> bool:
        if self._limiter is None:
            in_line = self._pipeline.in_flight > 0 or self._pipeline.was_behind
            self._pipeline.was_behind = False
            self._is_member = now - self._last_heartbeat < MEMBER_SECONDS or (in_line and self._is_member)
            if not in_line:
                # it was sent after the last answer, so it hasn't waited behind anything
                self._line.clear()
            if limiter.wait(self._account(limiter)) < WAKE_SECONDS:
                self.has_waited = False
                self._line.append(0.0)
                return True
            self._begin_waiting(limiter, now, in_line)
        seconds = self._seconds(limiter, now)
        if seconds >= WAKE_SECONDS:
            self._hold(seconds)
            return False
        self.has_waited = True
        self._line.append(now - self._held_since)
        self._stop_waiting()
        return True

    def lift(self) -> None:
        """The zone has no limits any more."""
        if self._limiter is not None:
            self._stop_waiting()
            self._pipeline.release(Hold.THROTTLED)

    def _begin_waiting(self, limiter: Limiter, now: float, in_line: bool) -> None:
        patience = PATIENCE[limiter.kind]
        slack = 0.0 if in_line else SLACK_SECONDS
        seconds = min(patience.held, patience.line - sum(self._line), max(self._time_left(now), slack))
        self._limiter = limiter
        self._held_since = now
        self._held_until = now + seconds
        limiter.waiting[self._wake] = None

    def _time_left(self, now: float) -> float:
        """Until what the client may have sent, or want to send, must be read."""
        left = self._pipeline.client.seconds_open() - SIGN_IN_SECONDS
        if self._is_member or now - self._last_heartbeat < MEMBER_SECONDS:
            left = min(left, self._last_heartbeat + HEARTBEAT_SECONDS - now)
        return left

    def _seconds(self, limiter: Limiter, now: float) -> float:
        """For which the request that waits is still to be held, as things stand."""
        return min(limiter.wait(self._account(limiter)), self._held_until - now)

    def _hold(self, seconds: float) -> None:
        self._pipeline.hold(Hold.THROTTLED)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._wake)

    def _wake(self) -> None:
        """Time has passed, or the limit is another one."""
        limiter = self._limiter
        if limiter is not None and limiter.limit is not None:
            seconds = self._seconds(limiter, self._pipeline.zone().traffic.clock())
            if seconds >= WAKE_SECONDS:
                self._hold(seconds)
                return
        self._pipeline.release(Hold.THROTTLED)

    def _stop_waiting(self) -> None:
        if self._limiter is not None:
            self._limiter.waiting.pop(self._wake, None)
            self._limiter = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
