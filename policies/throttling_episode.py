"""When throttling begins and ends, so that it can be told: an episode lasts until nobody was throttled for a while.

A zone at its limit is in and out of debt many times a second; it is one episode. Pure: the clock, monotonic and in
seconds, is an argument.
"""

from typing import Final

QUIET_SECONDS: Final = 10.0
"""Without throttling, until the episode is over: a zone that hovers around its limit makes one pair of lines in that
time at most, and a client that pauses as long as it is ever told to doesn't begin a new episode with each request."""


class ThrottlingEpisode:
    """`note` each throttled request, and `look` now and then."""

    __slots__ = ("_since", "_until")

    def __init__(self, now: float, wait: float) -> None:
        """Somebody is throttled, for so many seconds as it seems."""
        self._since = now
        self._until = now + wait

    def note(self, now: float, wait: float) -> None:
        """Somebody is, again."""
        self._until = max(self._until, now + wait)

    def look(self, now: float, throttled: bool) -> bool:
        """Whether it goes on. `throttled` is whether anybody is, now."""
        if throttled:
            self._until = max(self._until, now)
        else:
            self._until = min(self._until, now)
        return now - self._until < QUIET_SECONDS

    def seconds(self, now: float) -> float:
        """How long it has lasted, without the quiet time after it."""
        return min(self._until, now) - self._since
