"""Reports in, grants out: the supervisor's part in the limits that workers share."""

import asyncio
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, Final, Protocol

BREAK: Final = 3
"""Times the last division: three quarters of a processor are left for reports and whatever else workers ask."""

LONGEST_SECONDS: Final = 0.2
"""Whatever a division takes: parts are lent for 1.5 s from a report on, and workers report every 0.25 s."""


class Divider(Protocol):
    """Who gets which part of a zone's limits: `policies.shares.ShareDivider`. It never waits."""

    def join(self, worker: int) -> None: ...

    def leave(self, worker: int) -> None: ...

    def report(self, worker: int, message: dict[str, Any]) -> None: ...

    def grants(self) -> Mapping[int, dict[str, Any]]:
        """What is to be sent now, by worker."""
        ...


class Granting:
    """Divides anew after every change, once for all that came in since the last time.

    A division looks at all workers in all limits that were reported. Done for each report, it would take workers times
    longer, and beyond one processor every grant would come when its time is over.
    """

    def __init__(
        self,
        divider: Divider,
        send: Callable[[int, dict[str, Any]], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`send` is given a worker's number and its grant."""
        self._divider = divider
        self._send = send
        self._clock = clock
        self._took = 0.0
        self._due: asyncio.TimerHandle | None = None

    def join(self, worker: int) -> None:
        self._divider.join(worker)
        self._soon()

    def leave(self, worker: int) -> None:
        self._divider.leave(worker)
        self._soon()

    def report(self, worker: int, message: dict[str, Any]) -> None:
        self._divider.report(worker, message)
        self._soon()

    def close(self) -> None:
        if self._due is not None:
            self._due.cancel()

    @property
    def pause(self) -> float:
        """Seconds from a change to the division after it."""
        return min(BREAK * self._took, LONGEST_SECONDS)

    def _soon(self) -> None:
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(self.pause, self._grant)

    def _grant(self) -> None:
        self._due = None
        began = self._clock()
        for worker, message in self._divider.grants().items():
            self._send(worker, message)
        self._took = self._clock() - began
