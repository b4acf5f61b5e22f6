"""Flow control: one side that can't take more stops the reading of the other side, per pair of connections."""

import asyncio
import enum
from collections import deque
from collections.abc import Callable


class Hold(enum.IntFlag):
    """Why a connection isn't read at the moment."""

    CONNECTING = enum.auto()
    BROKER_FULL = enum.auto()
    CLIENT_FULL = enum.auto()
    IN_FLIGHT = enum.auto()
    EXCLUSIVE = enum.auto()
    MEMORY = enum.auto()
    REAUTHENTICATING = enum.auto()
    CLOSING = enum.auto()


class ReadGate:
    """Pauses a transport while there is at least one reason to, and resumes it when the last one is gone."""

    __slots__ = ("_holds", "_transport")

    def __init__(self) -> None:
        self._holds = Hold(0)
        self._transport: asyncio.Transport | None = None

    def attach(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        if self._holds:
            transport.pause_reading()

    @property
    def closed(self) -> bool:
        return bool(self._holds)

    def holds(self, reasons: Hold) -> bool:
        """True while any of these reasons holds it."""
        return bool(self._holds & reasons)

    def hold(self, reason: Hold) -> None:
        if not self._holds and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
        self._holds |= reason

    def release(self, reason: Hold) -> None:
        if not self._holds & reason:
            return
        self._holds &= ~reason
        if not self._holds and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()


class MemoryBudget:
    """Bytes that all connections together may keep in frames that must be assembled. Waiters are served in order.

    A taker that finds the budget spent waits, unread, until another gives back; a single frame larger than all of it
    passes when nothing else is taken, so that every legal frame passes in the end.
    """

    __slots__ = ("_taken", "_waiting", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._taken = 0
        self._waiting: list[tuple[int, ReadGate]] = []

    def take(self, size: int, gate: ReadGate) -> None:
        """Take `size` bytes, or hold `gate` until they can be taken."""
        if self._fits(size) and not self._waiting:
            self._taken += size
        else:
            gate.hold(Hold.MEMORY)
            self._waiting.append((size, gate))

    def give(self, size: int, gate: ReadGate) -> None:
        """Give back what was taken, or give up waiting for it."""
        if (size, gate) in self._waiting:
            self._waiting.remove((size, gate))
            gate.release(Hold.MEMORY)
        else:
            self._taken -= size
        while self._waiting and self._fits(self._waiting[0][0]):
            waiting_size, waiting = self._waiting.pop(0)
            self._taken += waiting_size
            waiting.release(Hold.MEMORY)

    def _fits(self, size: int) -> bool:
        return self._taken == 0 or self._taken + size <= self.limit


Begin = Callable[[], bool]
"""Begins the work whose turn has come; False when there is no work to do any more."""


class Turnstile:
    """Lets one at a time work on a key. Whoever enters must leave, also before its turn; who declined has left."""

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines: dict[str, deque[Begin]] = {}

    def enter(self, key: str, begin: Begin) -> None:
        """`begin` is called when it is its turn, at once when nobody is working."""
        line = self._lines.setdefault(key, deque())
        line.append(begin)
        if len(line) == 1:
            self._next(key, line)

    def leave(self, key: str, begin: Begin) -> None:
        """The work is done, or given up."""
        line = self._lines[key]
        working = line[0] is begin
        line.remove(begin)
        if working:
            self._next(key, line)

    def _next(self, key: str, line: deque[Begin]) -> None:
        """Whoever declines is passed over in this loop, so that many who leave together don't nest."""
        while line and not line[0]():
            line.popleft()
        if not line:
            self._lines.pop(key, None)
