"""Which gateways live: those that have told of themselves lately, by this process's own clock and not by theirs."""

from collections.abc import Callable, Iterator
from time import monotonic
from typing import Final, NamedTuple

from controlplane.state.log import StateLog
from controlplane.state.records import GatewayRecord

HEARTBEAT_SECONDS: Final = 2.0

LIVE_SECONDS: Final = 10.0
"""Since the last sign of life: five of them were due."""

FORGET_SECONDS: Final = 3600.0
"""After which a record of one that has ended without a word may go."""


class Live(NamedTuple):
    record: GatewayRecord
    seen_seconds_ago: float


class Liveness:
    def __init__(self, log: StateLog, clock: Callable[[], float] = monotonic) -> None:
        self._log = log
        self._clock = clock
        self._seen: dict[bytes, float] = {}

    def saw(self, key: bytes) -> None:
        """A record of this gateway was read. What was read at the beginning counts as fresh: rather is a zone PENDING
        for ten seconds because of a gateway that has died than READY although one that lives doesn't serve it."""
        if key in self._log.gateways:
            self._seen[key] = self._clock()
        else:
            self._seen.pop(key, None)  # it has said farewell

    def live(self) -> Iterator[Live]:
        now = self._clock()
        for key, record in self._log.gateways.items():
            if (ago := now - self._seen.get(key, now)) < LIVE_SECONDS:
                yield Live(record, ago)

    def forgotten(self) -> list[bytes]:
        """Keys of records that say nothing any more."""
        now = self._clock()
        return [key for key in self._log.gateways if now - self._seen.get(key, now) > FORGET_SECONDS]
