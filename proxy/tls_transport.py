"""The server's side of TLS over a connection: a transport to the session, a protocol to the socket's transport.

The event loops' own TLS is not used for listeners, because it ends a connection whose handshake fails without sending
the alert that says why, loses what a client sends before `start_tls` has begun, and waits for the client's own end of
the TLS session when a connection is closed. Cryptography and the protocol itself are OpenSSL's.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Iterable
from typing import Any, Final, Protocol

READ_BYTES: Final = 16_384
"""What a TLS record holds at most."""

WRITE_BYTES: Final = 262_144
"""Of plain text at a time, so that a large answer is not held twice as a whole."""

Data = bytes | bytearray | memoryview


class HandshakeObserver(Protocol):
    """Who waits for the end of the handshake: done, or lost, which may be after it has failed."""

    def handshake_done(self) -> asyncio.Protocol:
        """The protocol that the client talks to from now on; its `connection_made` is called next."""

    def handshake_failed(self, error: ssl.SSLError) -> None:
        """OpenSSL's alert has been written; what else the client sends is dropped. Closing is up to the observer."""

    def connection_lost_in_handshake(self) -> None:
        """The client has gone, or the connection was closed."""


class TlsTransport(asyncio.Transport, asyncio.Protocol):
    """Begins with the handshake. Flow control is the socket's transport's: nothing is kept here."""

    def __init__(self, raw: asyncio.Transport, context: ssl.SSLContext, observer: HandshakeObserver) -> None:
        super().__init__()
        self._raw = raw
        self._observer: HandshakeObserver | None = observer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._protocol: asyncio.Protocol | None = None
        self._closing = False
        self._ended = False
        """The client has ended its side of TLS; it is told as the end of a plain connection, when reading goes on."""
        self._problem: ssl.SSLError | None = None
        raw.set_protocol(self)

    # the protocol of the socket's transport

    def data_received(self, data: bytes) -> None:
        if self._problem is not None or self._closing:
            return
        self._incoming.write(data)
        if self._protocol is None:
            self._shake_hands()
        else:
            self._read()

    def eof_received(self) -> None:
        """Without TLS's own end; the socket's transport closes itself after what is still to be written."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            protocol.connection_lost(exc or self._problem)
        elif self._observer is not None:
            self._observer.connection_lost_in_handshake()
        self._observer = None

    def pause_writing(self) -> None:
        if self._protocol is not None:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        if self._protocol is not None:
            self._protocol.resume_writing()

    # TLS

    def _shake_hands(self) -> None:
        assert self._observer is not None
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            self._flush()
            self._problem = error
            self._observer.handshake_failed(error)
            return
        self._flush()
        observer, self._observer = self._observer, None
        self._protocol = observer.handshake_done()
        self._protocol.connection_made(self)
        self._read()

    def _read(self) -> None:
        """Hand on all that can be decrypted, in one piece."""
        pieces = []
        is_end = False
        try:
            while self._incoming.pending or self.tls.pending():
                piece = self.tls.read(READ_BYTES)
                if not piece:
                    is_end = True
                    break
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._problem = error
        if pieces and self._protocol is not None:
            self._protocol.data_received(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        self._flush()  # answers to key updates, or an alert
        if is_end:
            self._ended = True
            self._end()
        elif self._problem is not None:
            self.abort()

    def _end(self) -> None:
        if self._ended and self.is_reading():
            self.close()

    def _flush(self) -> None:
        if self._outgoing.pending and not self._raw.is_closing():
            self._raw.write(self._outgoing.read())

    def _encrypt(self, data: Data) -> None:
        view = memoryview(data)
        while view and self._problem is None:
            try:
                view = view[self.tls.write(view[:WRITE_BYTES]) :]
            except ssl.SSLError as error:
                self._problem = error
                self.abort()
            if self._outgoing.pending >= WRITE_BYTES:
                self._flush()

    # the transport of the session

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._protocol is not None
        return self._protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.tls if name == "ssl_object" else self._raw.get_extra_info(name, default)

    def is_closing(self) -> bool:
        return self._closing or self._raw.is_closing()

    def pause_reading(self) -> None:
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        self._raw.resume_reading()
        if self._ended:
            # after what is due already, which may pause again
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._end)

    def is_reading(self) -> bool:
        return self._raw.is_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._raw.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._raw.get_write_buffer_size()

    def write(self, data: Data) -> None:
        self.writelines((data,))

    def writelines(self, list_of_data: Iterable[Data]) -> None:
        for data in list_of_data:
            if self.is_closing():
                return
            self._encrypt(data)
        self._flush()

    def close(self) -> None:
        """End the connection after what was written has left. The client's own end of TLS is not waited for."""
        if self._closing:
            return
        self._closing = True
        if self._protocol is not None:
            with contextlib.suppress(ssl.SSLError):
                self.tls.unwrap()
            self._flush()
        self._raw.close()

    def abort(self) -> None:
        self._closing = True
        self._raw.abort()
