"""One connection to one broker: handshake, requests out, responses matched in order.

A broker answers a connection's requests in their order (it works on one at a time), so the queue of those who wait is
a plain deque, and a response with another correlation id than its head's ends the connection.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

from protocol import api_versions, sasl
from protocol.codec import decode, encode
from protocol.error_codes import ErrorCode
from protocol.errors import BrokerProtocolError, ProtocolError
from protocol.framing import FrameReader, Sink
from protocol.headers import RESPONSE_PEEK, encode_client_id, request_head, response_body
from protocol.schema import Message, Struct, request_struct, response_struct
from proxy.close import CloseReason
from proxy.config import ClusterConfig
from proxy.exchange import Awaited, Pieces
from proxy.flow import Assembly, Hold, ReadGate, Share

_log = logging.getLogger("zonegate.broker")

MAX_RESPONSE_BYTES: Final = 1 << 30
"""A broker is trusted and bounds its fetches itself (fetch.max.bytes); this catches what doesn't speak Kafka."""

CONNECT_SECONDS: Final = 10.0
"""Kafka's clients give a connection 10 s (`socket.connection.setup.timeout.ms`)."""

REQUEST_SECONDS: Final = 10.0
"""For requests of the gateway's own, which a broker answers at once."""

JOIN_BYTES: Final = 16_384
"""Below this, joining the pieces costs less than handing them to the transport one by one."""

_MAX_CORRELATION_ID: Final = 0x7FFFFFFF

OnLost = Callable[[CloseReason, str], None]


def write_pieces(transport: asyncio.Transport, pieces: Pieces, size: int) -> None:
    """Write without copying what is large."""
    if size <= JOIN_BYTES:
        transport.write(b"".join(pieces))
    else:
        transport.writelines(pieces)


class _OwnRequest:
    """A request of the gateway itself."""

    __slots__ = ("broker_correlation_id", "flexible", "future", "struct")

    def __init__(self, struct: Struct, flexible: bool, future: "asyncio.Future[Message]") -> None:
        self.struct = struct
        self.flexible = flexible
        self.future = future
        self.broker_correlation_id = -1

    def on_frame(self, data: bytes, start: int, end: int) -> None:
        message = decode(self.struct, data, response_body(data, start, end, self.flexible), end)
        if not self.future.done():
            self.future.set_result(message)

    def on_head(self, data: bytes, start: int, size: int) -> Sink | None:
        return None


class BrokerConnection(asyncio.Protocol):
    """Sends on behalf of one client connection (or of the gateway), in order."""

    def __init__(self, on_lost: OnLost, client_gate: ReadGate, share: Share) -> None:
        self.on_lost = on_lost
        self.gate = ReadGate()
        self.versions = api_versions.BrokerVersions()
        self._client_gate = client_gate
        self._assembly = Assembly(share, self.gate)
        self._transport: asyncio.Transport | None = None
        self._awaiting: deque[Awaited] = deque()
        self._last_correlation_id = 0
        self._reader = FrameReader(MAX_RESPONSE_BYTES, self._on_frame, self._on_head, self._on_assemble)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's in all but inheritance
        self._transport = cast(asyncio.Transport, transport)
        self.gate.attach(self._transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
        except ProtocolError as error:
            self._lose(CloseReason.BROKER_PROTOCOL_ERROR, str(error))
        except Exception:  # noqa: BLE001 - a failure in one pair of connections must not reach another
            _log.exception("a response failed", extra={"event": "internal_error"})
            self._lose(CloseReason.INTERNAL_ERROR, "")

    def pause_writing(self) -> None:
        self._client_gate.hold(Hold.BROKER_FULL)

    def resume_writing(self) -> None:
        self._client_gate.release(Hold.BROKER_FULL)

    def connection_lost(self, exc: Exception | None) -> None:
        self._assembly.free()
        self._lose(CloseReason.BROKER_CLOSED, str(exc) if exc is not None else "")

    def _lose(self, reason: CloseReason, detail: str) -> None:
        waiting, self._awaiting = self._awaiting, deque()
        for awaited in waiting:
            if isinstance(awaited, _OwnRequest) and not awaited.future.done():
                awaited.future.set_exception(BrokerProtocolError(detail or reason.value))
        if self._transport is not None:
            self._transport.abort()
        self.on_lost(reason, detail)

    @property
    def closed(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def close(self) -> None:
        """Close after what was written has left."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # requests

    def next_correlation_id(self) -> int:
        self._last_correlation_id = self._last_correlation_id % _MAX_CORRELATION_ID + 1
        return self._last_correlation_id

    def send(self, pieces: Pieces, size: int, awaited: Awaited | None) -> None:
        """Send a frame (or the beginning of one, see `write`); `awaited` gets the response, None when there is none."""
        assert self._transport is not None
        if awaited is not None:
            self._awaiting.append(awaited)
        write_pieces(self._transport, pieces, size)

    def write(self, chunk: bytes) -> None:
        """More of a frame whose beginning `send` has sent."""
        assert self._transport is not None
        self._transport.write(chunk)

    async def request(self, api_key: int, version: int, message: Message) -> Message:
        """Ask something on the gateway's own behalf. Raises ProtocolError or TimeoutError."""
        struct = response_struct(api_key, version)
        flexible = request_struct(api_key, version).flexible
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        own = _OwnRequest(struct, struct.flexible and api_key != api_versions.KEY, future)
        own.broker_correlation_id = self.next_correlation_id()
        body = encode(message)
        client_id = encode_client_id(b"zonegate")
        head = request_head(len(body), api_key, version, own.broker_correlation_id, client_id, flexible)
        self.send((head, body), len(head) + len(body), own)
        async with asyncio.timeout(REQUEST_SECONDS):
            return await future

    # responses

    def _on_frame(self, data: bytes, start: int, end: int) -> None:
        if self._assembly.frame:
            self._assembly.end()
        if end - start < RESPONSE_PEEK.size:
            raise BrokerProtocolError(f"a response of {end - start - 4} bytes has no header")
        correlation_id = RESPONSE_PEEK.unpack_from(data, start)[1]
        if not self._awaiting or self._awaiting[0].broker_correlation_id != correlation_id:
            raise BrokerProtocolError(f"a response with correlation id {correlation_id}, which is not awaited next")
        self._awaiting.popleft().on_frame(data, start, end)
        if self._assembly.kept:
            self.settle()

    def _on_head(self, data: bytes, start: int, size: int) -> Sink | None:
        awaited = self._awaiting[0] if self._awaiting else None
        if awaited is None or RESPONSE_PEEK.unpack_from(data, start)[1] != awaited.broker_correlation_id:
            return None
        sink = awaited.on_head(data, start, size)
        if sink is not None:
            self._awaiting.popleft()
        return sink

    def _on_assemble(self, size: int) -> None:
        self._assembly.begin(size)

    def settle(self) -> None:
        """Give back what an assembled response has taken, once the client takes what is written to it."""
        if not self._client_gate.holds(Hold.CLIENT_FULL):
            self._assembly.settle()


async def connect(
    address: tuple[str, int], config: ClusterConfig, on_lost: OnLost, client_gate: ReadGate, share: Share
) -> BrokerConnection:
    """An authenticated connection that knows the broker's versions. Raises OSError, TimeoutError, ProtocolError."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(CONNECT_SECONDS):
        _, connection = await loop.create_connection(lambda: BrokerConnection(on_lost, client_gate, share), *address)
        try:
            if config.security_protocol == "SASL_PLAINTEXT":
                await _authenticate(connection, config)
            request = request_struct(api_versions.KEY, 4).new(
                client_software_name="zonegate", client_software_version="0"
            )
            connection.versions = api_versions.versions_of(await connection.request(api_versions.KEY, 4, request))
        except BaseException:
            connection.abort()
            raise
    return connection


async def _authenticate(connection: BrokerConnection, config: ClusterConfig) -> None:
    handshake: Any = await connection.request(17, 1, request_struct(17, 1).new(mechanism=sasl.PLAIN))
    if handshake.error_code:
        raise BrokerProtocolError(f"the broker offers {', '.join(handshake.mechanisms)}, not {sasl.PLAIN}")
    token = sasl.build_plain(config.username or "", config.password or "")
    answer: Any = await connection.request(36, 2, request_struct(36, 2).new(auth_bytes=token))
    if answer.error_code:
        name = ErrorCode.SASL_AUTHENTICATION_FAILED.name
        raise BrokerProtocolError(f"the broker refused sasl.username {config.username!r} ({name})")
