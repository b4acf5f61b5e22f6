"""How much a second, lately: units counted in slots of a second, of which the last few are kept.

Adding costs the same however much is added and however long ago the last was. Pure: the clock, monotonic and in
seconds, is an argument.
"""

from typing import Final

SLOTS: Final = 10
"""The second that is passing and nine whole ones: long enough to be steady where a request takes seconds to pay back,
short enough to show what a partner does now. Kafka's brokers measure over 11 s (`quota.window.num`)."""


class SlidingRate:
    """Units per second over the last nine to ten seconds, whatever was before."""

    __slots__ = ("_second", "_units")

    def __init__(self, now: float) -> None:
        self._second = int(now)
        self._units = [0.0] * SLOTS

    def add(self, units: float, now: float) -> None:
        """So much more; less than nothing takes back what was added too much."""
        if int(now) != self._second:
            self._move(int(now))
        self._units[self._second % SLOTS] += units

    def rate(self, now: float) -> float:
        """Units per second now."""
        self._move(int(now))
        return max(sum(self._units), 0.0) / (SLOTS - 1 + now % 1)

    def _move(self, second: int) -> None:
        for gone in range(self._second + 1, min(second, self._second + SLOTS) + 1):
            self._units[gone % SLOTS] = 0.0
        self._second = max(second, self._second)
