"""Which zones are throttled: told to the audit log and the ordinary one when it begins and when it has ended.

A zone's kinds of traffic are told apart. It has ended when nobody was throttled for `QUIET_SECONDS`, when the limit or
the zone is gone, and when the gateway stops: so every beginning has its end. There is at most one of each in that
time for each limit that is configured, so nothing here needs sampling.
"""

import logging
from dataclasses import dataclass
from time import monotonic
from typing import Final

from policies.throttling_episode import ThrottlingEpisode
from proxy.audit import Audit
from proxy.traffic import Clock, Limiter
from proxy.zones import ZoneRegistry

_log: Final = logging.getLogger("zonegate.zone")


@dataclass(slots=True)
class _Throttled:
    episode: ThrottlingEpisode
    limit: int
    """In the manifest's unit, as it was last."""
    requests_before: int
    charged_before: float


class ThrottledZones:
    """Of one gateway process, now. `tick` now and then, and whenever zones have changed."""

    def __init__(self, audit: Audit, zones: ZoneRegistry, clock: Clock = monotonic) -> None:
        self._audit = audit
        self._zones = zones
        self._clock = clock
        self._throttled: dict[Limiter, _Throttled] = {}

    def note(self, limiter: Limiter, units: float, wait: float) -> None:
        """A request of so many units has just put its connection into debt for so many seconds."""
        throttled = self._throttled.get(limiter)
        if throttled is not None:
            throttled.episode.note(self._clock(), wait)
        elif (limit := self._limit(limiter)) is not None:
            episode = ThrottlingEpisode(self._clock(), wait)
            before = limiter.throttled_requests - 1, limiter.charged - units
            self._throttled[limiter] = _Throttled(episode, limit, *before)
            self._audit.throttling_started(limiter.zone, limiter.kind, limit)
            self._tell("throttling has started", "started", limiter, limit)

    def tick(self) -> None:
        """Tell what has ended."""
        now = self._clock()
        for limiter, throttled in list(self._throttled.items()):
            limit = self._limit(limiter)
            goes_on = throttled.episode.look(now, limit is not None and limiter.throttled_connections > 0)
            if limit is None or not goes_on:
                self._end(limiter, throttled, now)
            else:
                throttled.limit = limit

    def finish(self) -> None:
        """The gateway stops: all ends."""
        now = self._clock()
        for limiter, throttled in list(self._throttled.items()):
            self._end(limiter, throttled, now)

    def _limit(self, limiter: Limiter) -> int | None:
        """In the manifest's unit; None when the limit or its zone is gone."""
        state = self._zones.zones.get(limiter.zone)
        if limiter.limit is None or state is None or state.traffic[limiter.kind] is not limiter:
            return None
        return round(limiter.limit * limiter.kind.seconds)

    def _end(self, limiter: Limiter, throttled: _Throttled, now: float) -> None:
        del self._throttled[limiter]
        self._audit.throttling_ended(
            limiter.zone,
            limiter.kind,
            throttled.limit,
            round(throttled.episode.seconds(now), 3),
            limiter.throttled_requests - throttled.requests_before,
            round(limiter.charged - throttled.charged_before),
        )
        self._tell("throttling has ended", "ended", limiter, throttled.limit)

    @staticmethod
    def _tell(message: str, state: str, limiter: Limiter, limit: int) -> None:
        extra = {"event": "throttling", "state": state, "zone": limiter.zone, "kind": str(limiter.kind), "limit": limit}
        _log.info(message, extra=extra)
