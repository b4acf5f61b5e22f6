"""Flow control: one side that can't take more stops the reading of the other side, per pair of connections."""

import asyncio
import enum
from collections import deque
from collections.abc import Callable
from weakref import WeakValueDictionary


class Hold(enum.IntFlag):
    """Why a connection isn't read at the moment."""

    CONNECTING = enum.auto()
    BROKER_FULL = enum.auto()
    CLIENT_FULL = enum.auto()
    IN_FLIGHT = enum.auto()
    EXCLUSIVE = enum.auto()
    MEMORY = enum.auto()
    REAUTHENTICATING = enum.auto()
    PENDING = enum.auto()
    TURN = enum.auto()
    THROTTLED = enum.auto()
    CLOSING = enum.auto()


class ReadGate:
    """Pauses a transport while there is at least one reason to, and resumes it when the last one is gone."""

    __slots__ = ("_holds", "_transport", "on_release")

    def __init__(self) -> None:
        self._holds = Hold(0)
        self.on_release: Callable[[], None] | None = None
        """Called whenever one of the reasons is gone."""
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
        if self.on_release is not None:
            self.on_release()


class MemoryBudget:
    """Bytes that all connections together may keep in frames that must be assembled. Waiters are served in order.

    Each owner has a `share` at most. Who finds the budget or the share spent waits, unread, until others give back;
    those who wait for their own share keep nobody else waiting. A single frame larger than all of it passes when
    nothing else is taken, so that every legal frame passes in the end.
    """

    __slots__ = ("_shares", "_taken", "_waiting", "limit", "share_limit")

    def __init__(self, limit: int, share_limit: int | None = None) -> None:
        self.limit = limit
        self.share_limit = limit if share_limit is None else share_limit
        self._taken = 0
        self._waiting: dict[ReadGate, tuple[int, Share]] = {}
        self._shares: WeakValueDictionary[str, Share] = WeakValueDictionary()

    def share(self, owner: str) -> "Share":
        """An owner's part; the same one for all who ask while somebody uses it."""
        share = self._shares.get(owner)
        if share is None:
            share = self._shares[owner] = Share(self)
        return share

    def take(self, share: "Share", size: int, gate: ReadGate) -> None:
        """Take `size` bytes, or hold `gate` until they can be taken."""
        self._waiting[gate] = size, share
        self._serve()
        if gate in self._waiting:
            gate.hold(Hold.MEMORY)

    def give(self, share: "Share", size: int) -> None:
        """Give back what was taken."""
        self._taken -= size
        share.taken -= size
        self._serve()

    def give_up(self, gate: ReadGate) -> bool:
        """Stop waiting; False when there was nothing to wait for any more."""
        if self._waiting.pop(gate, None) is None:
            return False
        gate.release(Hold.MEMORY)
        self._serve()
        return True

    def _serve(self) -> None:
        served = []
        for gate, (size, share) in self._waiting.items():
            if not _fits(share.taken, size, self.share_limit):
                continue
            if not _fits(self._taken, size, self.limit):
                break
            self._taken += size
            share.taken += size
            served.append(gate)
        for gate in served:
            del self._waiting[gate]
        for gate in served:
            gate.release(Hold.MEMORY)


class Share:
    """One owner's part of a budget."""

    __slots__ = ("__weakref__", "budget", "taken")

    def __init__(self, budget: MemoryBudget) -> None:
        self.budget = budget
        self.taken = 0


def _fits(taken: int, size: int, limit: int) -> bool:
    return taken == 0 or taken + size <= limit


class Assembly:
    """What one direction of a connection has of the budget: for the frame that is being assembled, and for whole ones
    that still are in memory."""

    __slots__ = ("_gate", "_share", "frame", "kept")

    def __init__(self, share: Share, gate: ReadGate) -> None:
        self.frame = 0
        self.kept = 0
        self._share = share
        self._gate = gate

    def move(self, share: Share) -> None:
        """The connection belongs to somebody else from now on."""
        self.free()
        self._share = share

    def begin(self, size: int) -> None:
        """A frame of so many bytes will be assembled; until there is room for it, the gate is held."""
        self.frame = size
        self._share.budget.take(self._share, size, self._gate)

    def end(self) -> None:
        """The frame is whole; what was taken for it is kept until `settle` or `free`."""
        size, self.frame = self.frame, 0
        if size and not self._share.budget.give_up(self._gate):
            self.kept += size

    def settle(self, needed: int = 0) -> None:
        """Of whole frames no more than this is in memory."""
        if self.kept > needed:
            size, self.kept = self.kept - needed, needed
            self._share.budget.give(self._share, size)

    def free(self) -> None:
        """Nothing is in memory any more."""
        self.end()
        self.settle()


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
