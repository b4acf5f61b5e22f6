"""One connection to one broker: requests out, responses matched in order. Signing in is broker_login.py's.

A broker answers a connection's requests in their order (it works on one at a time), so the queue of those who wait is
a plain deque, and a response with another correlation id than its head's ends the connection.
"""

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

from protocol import api_versions
from protocol.errors import BrokerProtocolError, ProtocolError
from protocol.framing import FrameReader, Sink
from protocol.headers import RESPONSE_PEEK
from protocol.schema import Message, request_struct
from proxy.broker_login import Conversation, RefusedLoginError, Upstream, sign_in
from proxy.close import CloseReason
from proxy.cluster_tls import tls_problem
from proxy.exchange import Awaited, BrokerRequest, Pieces
from proxy.flow import Assembly, Hold, ReadGate, Share
from proxy.own_request import Nobody, OnAnswer, OwnRequest, UnreadRequest
from proxy.reauthentication import Reauthentication

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


class BrokerConnection(asyncio.Protocol):
    """Sends on behalf of one client connection (or of the gateway), in order."""

    def __init__(self, on_lost: OnLost, client_gate: ReadGate, share: Share) -> None:
        self.on_lost = on_lost
        self.gate = ReadGate()
        self.versions = api_versions.BrokerVersions()
        self.reauthentication: Reauthentication | None = None
        self._client_gate = client_gate
        self._assembly = Assembly(share, self.gate)
        self._transport: asyncio.Transport | None = None
        self._awaiting: deque[Awaited] = deque()
        self._last_correlation_id = 0
        self._closing = False
        self._reader = FrameReader(MAX_RESPONSE_BYTES, self._on_frame, self._on_head, self._on_assemble)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's in all but inheritance
        self._transport = cast(asyncio.Transport, transport)
        self.gate.attach(self._transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
        except RefusedLoginError as error:
            self.lose(CloseReason.BROKER_LOGIN_REFUSED, str(error))
        except ProtocolError as error:
            self.lose(CloseReason.BROKER_PROTOCOL_ERROR, str(error))
        except Exception:  # noqa: BLE001 - a failure in one pair of connections must not reach another
            _log.exception("a response failed", extra={"event": "internal_error"})
            self.lose(CloseReason.INTERNAL_ERROR, "")

    def pause_writing(self) -> None:
        self._client_gate.hold(Hold.BROKER_FULL)

    def resume_writing(self) -> None:
        self._client_gate.release(Hold.BROKER_FULL)

    def connection_lost(self, exc: Exception | None) -> None:
        self._assembly.free()
        detail = tls_problem(exc) if isinstance(exc, ssl.SSLError) else str(exc or "")
        self.lose(CloseReason.BROKER_CLOSED, detail)

    def lose(self, reason: CloseReason, detail: str) -> None:
        """End the connection, which is of no use any more, and tell everybody who waits."""
        waiting, self._awaiting = [*self._awaiting], deque()
        if self.reauthentication is not None:
            waiting += self.reauthentication.abandon()
        for awaited in waiting:
            if isinstance(awaited, OwnRequest):
                awaited.on_lost(detail or "the broker closed the connection")
        if self._transport is not None:
            self._transport.abort()
        self.on_lost(reason, detail)

    @property
    def closed(self) -> bool:
        return self._closing or self._transport is None or self._transport.is_closing()

    def close(self) -> None:
        """Close after what was sent has left, and what a re-authentication keeps back if nobody would miss it."""
        if self._transport is None:
            return
        again = self.reauthentication
        if again is None or not again.keeps_unanswered or self._reader.streaming:
            self._transport.close()
            return
        self._closing = True
        self._awaiting = deque(
            awaited if isinstance(awaited, OwnRequest) else Nobody(awaited.broker_correlation_id)
            for awaited in self._awaiting
        )
        self.gate.release(Hold.CLIENT_FULL)
        asyncio.get_running_loop().call_later(REQUEST_SECONDS, self.abort)

    def on_reauthenticated(self) -> None:
        if self._closing and self._transport is not None:
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
        if self.reauthentication is None or not self.reauthentication.keeps(pieces, size, awaited):
            self.put(pieces, size, awaited)

    def put(self, pieces: Pieces, size: int, awaited: Awaited | None) -> None:
        """Send a frame at once."""
        assert self._transport is not None
        if awaited is not None:
            self._awaiting.append(awaited)
        write_pieces(self._transport, pieces, size)

    def write(self, chunk: bytes) -> None:
        """More of a frame whose beginning `send` has sent."""
        if self.reauthentication is None or not self.reauthentication.keeps_more(chunk):
            assert self._transport is not None
            self._transport.write(chunk)

    async def request(self, api_key: int, version: int, message: Message) -> Message:
        """Ask something on the gateway's own behalf. Raises ProtocolError or TimeoutError."""
        return await self._request(OwnRequest, BrokerRequest(api_key, version, message))

    async def request_unread(self, api_key: int, version: int, message: Message) -> bytes:
        """The same, for who reads the body of the answer himself, in turns with others."""
        body: bytes = await self._request(UnreadRequest, BrokerRequest(api_key, version, message))
        return body

    async def _request(self, kind: type[OwnRequest], request: BrokerRequest) -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def take(answer: Any) -> None:
            if not future.done():
                future.set_result(answer)

        def fail(detail: str) -> None:
            if not future.done():
                future.set_exception(BrokerProtocolError(detail))

        own = kind(request, self.next_correlation_id(), take, fail)
        frame = own.frame()
        self.send(frame, sum(map(len, frame)), own)
        async with asyncio.timeout(REQUEST_SECONDS):
            return await future

    def ask(self, request: BrokerRequest, take: OnAnswer) -> None:
        """Send a request of the gateway's own at once; `take` gets the answer, unless the connection ends first."""
        own = OwnRequest(request, self.next_correlation_id(), take, lambda _detail: None)
        frame = own.frame()
        self.put(frame, sum(map(len, frame)), own)

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
    address: tuple[str, int], upstream: Upstream, on_lost: OnLost, client_gate: ReadGate, share: Share
) -> BrokerConnection:
    """An authenticated connection that knows the broker's versions. Raises OSError, TimeoutError, ProtocolError."""
    loop = asyncio.get_running_loop()
    host, port = address
    context = upstream.context
    async with asyncio.timeout(CONNECT_SECONDS):
        try:
            _, connection = await loop.create_connection(
                lambda: BrokerConnection(on_lost, client_gate, share),
                host,
                port,
                ssl=context,
                server_hostname=None if context is None else host,
            )
        except OSError as error:
            if context is None:
                raise
            raise ConnectionError(tls_problem(error)) from None
        try:
            if upstream.signs_in:
                lifetime = await _converse(connection, sign_in(upstream))
                if lifetime > 0:
                    connection.reauthentication = Reauthentication(connection, upstream, client_gate, lifetime)
            request = request_struct(api_versions.KEY, 4).new(
                client_software_name="zonegate", client_software_version="0"
            )
            connection.versions = api_versions.versions_of(await connection.request(api_versions.KEY, 4, request))
        except BaseException:
            connection.abort()
            raise
    return connection


async def _converse(connection: BrokerConnection, conversation: Conversation) -> float:
    request = next(conversation)
    while True:
        answer = await connection.request(request.api_key, request.version, request.message)
        try:
            request = conversation.send(answer)
        except StopIteration as done:
            return float(done.value)
