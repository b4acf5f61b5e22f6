"""How long a worker that has died waits for its next start. A pure decision; the clock is an argument."""

from typing import Final

FIRST_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 30.0
"""What always fails must not keep a processor busy, and what fails no longer is back within this time."""

STEADY_SECONDS: Final = 60.0
"""Whoever has lived that long has not died of its start: twice the longest pause."""


class Restarts:
    """Of one worker."""

    def __init__(self) -> None:
        self._next = FIRST_SECONDS

    def pause(self, lived: float) -> float:
        """Seconds until the next start of a worker that has lived for so many: twice as long each time."""
        if lived >= STEADY_SECONDS:
            self._next = FIRST_SECONDS
        pause, self._next = self._next, min(2 * self._next, LONGEST_SECONDS)
        return pause
