"""Transports without sockets and a loop without waiting, on which both ends of a session are played."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any


class FakeLoop:
    """Runs what is due when it is told to. Its time passes only in `advance`."""

    def __init__(self) -> None:
        self._now = 0.0
        self._ready: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._later: list[tuple[float, Callable[..., object], tuple[Any, ...]]] = []

    def time(self) -> float:
        return self._now

    @property
    def timers(self) -> int:
        """That have neither fired nor been cancelled."""
        return len(self._later)

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Any = None) -> Any:
        self._ready.append((callback, args))

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any, context: Any = None) -> Any:
        entry = (self._now + delay, callback, args)
        self._later.append(entry)
        return FakeTimer(self._later, entry)

    def run_due(self) -> None:
        """Run until nothing is due any more."""
        while self._ready:
            callback, args = self._ready.popleft()
            callback(*args)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.run_due()
        end = self._now + seconds
        while due := sorted((entry for entry in self._later if entry[0] <= end), key=lambda entry: entry[0]):
            time, callback, args = due[0]
            self._later.remove(due[0])
            self._now = max(time, self._now)
            self.call_soon(callback, *args)
            self.run_due()
        self._now = end


class FakeTimer:
    """What `call_later` gives back."""

    def __init__(self, timers: list[Any], entry: Any) -> None:
        self._timers = timers
        self._entry = entry

    def cancel(self) -> None:
        self._timers[:] = [each for each in self._timers if each is not self._entry]


class FakeTls:
    """The TLS side of a connection, after the handshake."""

    def __init__(self, certificate: bytes | None) -> None:
        self._certificate = certificate

    def getpeercert(self, binary_form: bool) -> bytes | None:
        assert binary_form
        return self._certificate

    def version(self) -> str:
        return "TLSv1.3"

    def cipher(self) -> tuple[str, str, int]:
        return "TLS_AES_256_GCM_SHA384", "TLSv1.3", 256


class FakeTransport(asyncio.Transport):
    """One connection: `sent` is what our side has written, `receive` what the peer sends.

    As a real one, it delivers nothing while reading is paused or after it was closed, and tells `connection_lost` in a
    turn of its own.
    """

    def __init__(self, loop: FakeLoop, peer: tuple[str, int], certificate: bytes | None = None) -> None:
        """`certificate` is what the peer has shown in a TLS handshake, in DER."""
        super().__init__({"peername": peer, "ssl_object": FakeTls(certificate) if certificate is not None else None})
        self.sent = bytearray()
        self.paused = False
        self.closed = False
        self.high_water = 0
        """With so much unread, our side is told to pause; 0 for a peer that reads everything at once."""
        self.takes_nothing = False
        """The peer reads nothing, so that what was written never leaves, and only `abort` ends the connection."""
        self._loop = loop
        self._incoming: deque[bytes] = deque()
        self._protocol: asyncio.Protocol | None = None
        self._lost = False
        self._writing_paused = False

    def attach(self, protocol: asyncio.Protocol) -> None:
        self._protocol = protocol
        protocol.connection_made(self)

    @property
    def protocol(self) -> asyncio.Protocol:
        assert self._protocol is not None
        return self._protocol

    # the peer's doing

    def receive(self, data: bytes) -> None:
        if data:
            self._incoming.append(data)
            self._deliver()

    def end_sending(self) -> bool:
        """The peer has shut down its sending side; False when our side closes the connection because of that."""
        assert not self.paused, "the end isn't seen while nothing is read"
        keeps_open = bool(self.protocol.eof_received())
        if not keeps_open:
            self.hang_up()
        return keeps_open

    def takes_all(self) -> bytes:
        """The peer reads all that was written."""
        taken = bytes(self.sent)
        self.sent.clear()
        if self._writing_paused:
            self._writing_paused = False
            self.protocol.resume_writing()
        return taken

    def hang_up(self) -> None:
        """The peer has closed the connection."""
        self.closed = True
        self._loop.call_soon(self._lose)

    def _deliver(self) -> None:
        """One read, and the next in a turn of its own, as an event loop does."""
        if self._incoming and not self.paused and not self.closed:
            self.protocol.data_received(self._incoming.popleft())
            if self._incoming:
                self._loop.call_soon(self._deliver)

    # asyncio.Transport

    def write(self, data: Any) -> None:
        assert not self.closed, "written to a closed transport"
        self.sent += data
        if self.high_water and len(self.sent) > self.high_water and not self._writing_paused:
            self._writing_paused = True
            self.protocol.pause_writing()

    def writelines(self, list_of_data: Any) -> None:
        for data in list_of_data:
            self.write(data)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol = protocol

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False
        # event loops look at sockets after what is due already
        self._loop.call_soon(self._loop.call_soon, self._deliver)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        if self.takes_nothing:
            self.closed = True
        elif not self.closed:
            self.hang_up()

    def abort(self) -> None:
        self.hang_up()

    def _lose(self) -> None:
        if not self._lost:
            self._lost = True
            self.protocol.connection_lost(None)
