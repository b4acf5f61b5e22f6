"""Who gets in at all: a `Ticket` for each connection, counted once from accept to its end, whatever becomes of it.

Turned-away connections are counted each, but logged one by one only while they are few: under a flood the log gets the
first of each reason, and then how many there were, every ten seconds.
"""

import logging
from collections import defaultdict
from time import monotonic
from typing import Final

from policies.connection_limits import ConnectionLimits, Maximum, Refusal, source_of
from proxy.audit import Audit, Origin
from proxy.close import CloseReason
from proxy.config import Limits
from proxy.metrics import GatewayMetrics

_log = logging.getLogger("zonegate.connection")

SUMMARY_SECONDS: Final = 10.0
"""Between two log lines about connections that were turned away for the same reason."""

_REASONS: Final = {
    Refusal.IN_ALL: CloseReason.CONNECTION_LIMIT,
    Refusal.OF_ADDRESS: CloseReason.ADDRESS_LIMIT,
    Refusal.RATE_OF_ADDRESS: CloseReason.ADDRESS_RATE,
}


class Ticket:
    """One connection's place. `leave` as soon as it has ended; more than once does no harm."""

    __slots__ = ("_admission", "_source", "_zone", "opened")

    def __init__(self, admission: "Admission", source: str, opened: float) -> None:
        self.opened = opened
        self._admission: Admission | None = admission
        self._source = source
        self._zone: str | None = None

    def enter_zone(self, zone: str) -> bool:
        """The connection belongs to this zone from now on; False when the zone has too many."""
        if self._admission is None or not self._admission.counts.enter_zone(zone):
            return False
        self._zone = zone
        return True

    def leave(self) -> None:
        admission, self._admission = self._admission, None
        if admission is None:
            return
        admission.counts.leave(self._source)
        if self._zone is not None:
            admission.counts.leave_zone(self._zone)


class Admission:
    """The limits of one gateway process."""

    def __init__(self, limits: Limits, metrics: GatewayMetrics, audit: Audit) -> None:
        self.counts = ConnectionLimits(
            Maximum(
                in_all=limits.connections,
                per_address=limits.connections_per_address,
                per_zone=limits.connections_per_zone,
                rate_per_address=limits.connection_rate_per_address,
                burst_per_address=limits.connection_burst_per_address,
            )
        )
        self._metrics = metrics
        self._audit = audit
        self._quiet_until: dict[CloseReason, float] = {}
        self._untold: defaultdict[CloseReason, int] = defaultdict(int)

    def admit(self, origin: Origin) -> Ticket | None:
        """A place for a connection that was just accepted; None when there is none, which is logged and counted."""
        now = monotonic()
        source = source_of(origin.address)
        refusal = self.counts.enter(source, now)
        if refusal is None:
            return Ticket(self, source, now)
        self._turn_away(_REASONS[refusal], origin, now)
        return None

    def _turn_away(self, reason: CloseReason, origin: Origin, now: float) -> None:
        self._metrics.connections_opened += 1
        self._metrics.connections_closed[reason.value] += 1
        self._audit.connection_ended(origin, None, {"reason": reason.value})
        if reason in self._quiet_until:
            self._untold[reason] += 1
            return
        self._quiet_until[reason] = now + SUMMARY_SECONDS
        extra = {
            "event": "connection_refused",
            "reason": reason.value,
            "peer": f"{origin.address}:{origin.port}",
            "listener": origin.listener,
        }
        _log.warning("a connection was turned away", extra=extra)

    def report(self, now: float) -> None:
        """Called now and then: tells what was not told one by one."""
        for reason, due in list(self._quiet_until.items()):
            if now < due:
                continue
            count = self._untold.pop(reason, 0)
            if not count:
                del self._quiet_until[reason]
                continue
            self._quiet_until[reason] = now + SUMMARY_SECONDS
            extra = {
                "event": "connections_refused",
                "reason": reason.value,
                "count": count,
                "seconds": SUMMARY_SECONDS,
            }
            _log.warning("more connections were turned away", extra=extra)
