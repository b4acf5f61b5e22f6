"""From requests to responses on one authenticated client connection and its broker connection.

Responses leave in the order of the requests: each request has an `Exchange` in a queue, and what is ready waits until
everything before it has left. A request is taken by its API's byte path where there is one and the request is an
ordinary one; else it is decoded and given to the API's handler.
"""

from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Final, Protocol

from protocol.codec import Elements, decode, encode
from protocol.error_codes import ErrorCode
from protocol.errors import ClientProtocolError, DecodeError
from protocol.framing import HEAD_BYTES, FrameReader, Sink
from protocol.headers import (
    PEEK,
    encode_client_id,
    parse_request_header,
    request_head,
    response_head,
)
from protocol.session_state import API_VERSIONS, SASL_AUTHENTICATE, SASL_HANDSHAKE
from proxy.activity import shown_bytes
from proxy.apis import joined_commit
from proxy.apis.plan import RequestPlan
from proxy.broker import BrokerConnection
from proxy.close import CloseReason
from proxy.config import Limits
from proxy.exchange import (
    BrokerRequest,
    Brokers,
    Call,
    Endpoints,
    Exchange,
    Pieces,
    Send,
)
from proxy.flow import Hold, ReadGate
from proxy.joined_requests import take_joined
from proxy.metrics import ApiMeter
from proxy.resources import Resource
from proxy.throttling import Throttle
from proxy.traffic import Kind
from proxy.typed_exchange import Part, TypedExchange
from proxy.zones import Route, ZoneState

LOCAL_KEYS: Final = frozenset((SASL_HANDSHAKE, API_VERSIONS, SASL_AUTHENTICATE))

HOLDS_REQUESTS: Final = (
    Hold.CONNECTING
    | Hold.IN_FLIGHT
    | Hold.EXCLUSIVE
    | Hold.PENDING
    | Hold.TURN
    | Hold.THROTTLED
    | Hold.CLIENT_FULL
    | Hold.CLOSING
)
"""While one of these holds, not even requests that have been read are taken. The others only stop the reading."""

ELEMENT_BYTES: Final = 200
"""What an entry of a decoded list takes in memory, about; on the wire it may be two bytes."""

MAX_CLIENT_ID_BYTES: Final = 200
"""Of a client id upstream; brokers make metric names and member ids of it."""


class Client(Protocol):
    """The client's side, as the pipeline needs it."""

    gate: ReadGate
    reader: FrameReader

    def write(self, pieces: Pieces, size: int) -> None: ...

    def close(self, reason: CloseReason, detail: str = "") -> None: ...

    def on_refused(self, api_key: int, error: ErrorCode, resource: Resource, count: int) -> None:
        """So many entries of a request were refused."""

    def answer_locally(self, data: bytes, start: int, end: int, respond: Callable[[bytes], None]) -> None:
        """Give `respond` the whole response to ApiVersions, SaslHandshake or SaslAuthenticate, now or later."""

    def resume_soon(self) -> None:
        """Take requests again that have been read already, in a turn of the event loop of their own."""

    def run(self, work: Callable[[], None]) -> None:
        """Do what this client asked for; whatever goes wrong ends this client's connection."""

    def settle(self) -> None:
        """Less is in memory for requests that are being worked on."""

    def seconds_open(self) -> float:
        """Until the client must have signed in again."""

    def drained(self) -> None:
        """While draining: no request is waiting for an answer any more."""


class Pipeline:
    """`on_request` takes frames in; `respond` sends responses out."""

    def __init__(
        self,
        client: Client,
        broker: BrokerConnection,
        plans: dict[int, RequestPlan],
        zone: Callable[[], ZoneState],
        endpoints: Endpoints,
        brokers: Brokers,
        limits: Limits,
    ) -> None:
        self.client = client
        self.broker = broker
        self.zone = zone
        self.endpoints = endpoints
        self.brokers = brokers
        self.requests = 0
        self.used: set[Route] = set()
        """What was produced to, or fetched from, since somebody has looked."""
        self.draining = False
        self.limited = False
        """Whether the zone has any limit."""
        self.was_behind = False
        """What comes next was here before the last answer: it has waited behind another."""
        self.taken_along = 0
        """Requests that come next and have been taken together with an earlier one."""
        self.pending_bytes = 0
        """In memory for requests that are being worked on and for answers that wait for an earlier one."""
        self._max_pending = limits.pending_bytes
        self._max_elements = limits.request_elements
        self._plans = plans
        self._throttle = Throttle(self, plans)
        self._max_in_flight = limits.requests_in_flight
        self._max_request_bytes = limits.request_bytes
        self._queue: deque[Exchange] = deque()
        self._client_id: bytes | None = b""
        self._broker_client_id = self._qualify_client_id(b"")

    @property
    def in_flight(self) -> int:
        return len(self._queue)

    @property
    def client_id(self) -> str:
        """As the client calls itself, for people."""
        return shown_bytes(self._client_id)

    def meter(self, api_key: int) -> ApiMeter:
        """Where requests of this client are counted."""
        return self.zone().meter(api_key)

    def abandon(self) -> None:
        """The connection is gone: nobody waits for the answers any more."""
        for exchange in self._queue:
            if isinstance(exchange, TypedExchange):
                exchange.leave_turn()
        self._queue.clear()
        self._throttle.leave(self.client.reader.missing)

    # limits

    def apply_limits(self) -> None:
        """The zone has other limits than before."""
        self.limited = self.zone().traffic.limited
        self._throttle.has_waited = False
        self.client.reader.admit = self._throttle.admit if self.limited else None
        if not self.limited:
            self._throttle.lift()

    def charge(self, kind: Kind, units: float) -> None:
        """Count towards a limit of the zone."""
        if self.limited:
            self._throttle.charge(kind, units)

    def refund(self, kind: Kind, units: float) -> None:
        """Of what was charged, so much was not used."""
        if self.limited:
            self._throttle.refund(kind, units)

    def throttle_time(self, kind: Kind) -> int:
        """What a response tells, in milliseconds."""
        return self._throttle.told(kind) if self.limited else 0

    # requests

    def on_request(self, data: bytes, start: int, end: int) -> None:
        """One whole request. Raises ClientProtocolError."""
        self.requests += 1
        if self.taken_along:
            self.taken_along -= 1
            return
        self.take(data, start, end)

    def take(self, data: bytes, start: int, end: int) -> None:
        """One whole request that hasn't been taken yet. Raises ClientProtocolError."""
        plan, body = self._plan(data, start, end)
        if plan is None:
            self._answer_locally(data, start, end, PEEK.unpack_from(data, start)[1])
            return
        on_bytes = plan.entry.on_bytes
        if on_bytes is not None and on_bytes(self, plan, data, start, body, end):
            return
        if plan.key == joined_commit.KEY and self._throttle.has_waited:
            self.taken_along = take_joined(self, plan, data, start, body, end)
            if self.taken_along:
                return
        self._take_typed(plan, data, start, body, end)

    def on_token(self, data: bytes, start: int, end: int) -> None:
        """A frame of a client that signs in again; it may have no header. Raises ClientProtocolError."""
        self.requests += 1
        self._answer_locally(data, start, end, SASL_AUTHENTICATE)

    def _answer_locally(self, data: bytes, start: int, end: int, key: int) -> None:
        """ApiVersions and SASL requests take their turn like any other."""
        # the response is made as a whole elsewhere, with its correlation id
        exchange = Exchange(0, end - start, self.meter(key))
        self.enqueue(exchange)
        self.client.answer_locally(
            data, start, end, lambda response: self._release(exchange, (response,), len(response))
        )

    def on_large_head(self, data: bytes, start: int, size: int) -> Sink | None:
        """The beginning of a large request. Raises ClientProtocolError."""
        if PEEK.unpack_from(data, start)[4] > HEAD_BYTES // 2:
            # the header itself may not be here; the whole frame tells
            return None
        plan, body = self._plan(data, start, start + size)
        if plan is None or plan.entry.on_large_head is None:
            if size > self._max_request_bytes:
                raise ClientProtocolError(f"request of {size} bytes, allowed are {self._max_request_bytes}")
            return None
        sink = plan.entry.on_large_head(self, plan, data, start, body, start + size)
        self.requests += sink is not None
        return sink

    def _plan(self, data: bytes, start: int, end: int) -> tuple[RequestPlan | None, int]:
        """The plan of a request and where its body begins; no plan for what the session answers itself."""
        if end - start < PEEK.size:
            raise ClientProtocolError(f"a request of {end - start - 4} bytes has no header")
        _, key, version, _, length = PEEK.unpack_from(data, start)
        plan = self._plans.get(key << 16 | version)
        if plan is None:
            if key in LOCAL_KEYS:
                return None, start
            raise UnsupportedApiError(f"API key {key} version {version} is not offered")
        body = start + PEEK.size + max(length, 0)
        client_id = data[start + PEEK.size : body] if length >= 0 else None
        if plan.request.flexible:
            # the header's own tagged fields, nearly always none
            if body < min(end, len(data)) and data[body] == 0:
                body += 1
            else:
                body = parse_request_header(data, start, end, True).body
        if body > end:
            raise ClientProtocolError(f"client id of {length} bytes in a request of {end - start - 4}")
        if client_id != self._client_id:
            self._client_id = client_id
            self._broker_client_id = self._qualify_client_id(client_id)
        return plan, body

    def _qualify_client_id(self, client_id: bytes | None) -> bytes:
        """`<zone>:<client id>`: per-zone quotas upstream, and none of the ids that brokers treat specially."""
        name = self.zone().rules.qualify((client_id or b"").decode(errors="ignore"))
        # cut in bytes, and then to whole characters
        return encode_client_id(name.encode()[:MAX_CLIENT_ID_BYTES].decode(errors="ignore").encode())

    def _take_typed(self, plan: RequestPlan, data: bytes, start: int, body: int, end: int) -> None:
        handler = plan.entry.handler
        assert handler is not None
        call, pending = self.decode_call(plan, data, body, end)
        exchange = TypedExchange(self, plan, PEEK.unpack_from(data, start)[3], end - start, call)
        outcome = handler(call)
        exchange.charge()
        if isinstance(outcome, Send):
            for broker_request in outcome.requests:
                self.send_typed(broker_request, None)
            exchange.meter.observe(0.0, end - start, 0)
            if outcome.close is not None:
                self.client.close(outcome.close)
            return
        self.place(exchange, end - start + pending)
        exchange.go_on(outcome)

    def decode_call(self, plan: RequestPlan, data: bytes, body: int, end: int) -> tuple[Call, int]:
        """A request, and what it takes in memory besides its bytes. Raises ClientProtocolError."""
        elements = Elements(self._max_elements)
        try:
            # brokers ignore the rest, too: librdkafka's Metadata request for all topics has three bytes too many
            request = decode(plan.request, data, body, end, ignore_rest=True, elements=elements)
        except DecodeError as error:
            raise ClientProtocolError(str(error)) from None
        zone = self.zone()
        call = Call(
            plan.key,
            plan.version,
            request,
            plan.response,
            zone,
            self.endpoints,
            self.brokers,
            self.client.on_refused,
            self.used,
        )
        return call, elements.count * ELEMENT_BYTES

    def place(self, exchange: Exchange, pending: int) -> None:
        """Give a decoded request its place in the queue; `pending` is what it takes in memory."""
        self.enqueue(exchange)
        self._note_pending(exchange, pending)

    def enqueue(self, exchange: Exchange) -> None:
        """Give a request its place in the queue."""
        self._queue.append(exchange)
        if len(self._queue) >= self._max_in_flight:
            self.hold(Hold.IN_FLIGHT)

    @property
    def pending_room(self) -> int:
        """Bytes that further requests may take in memory."""
        return self._max_pending - self.pending_bytes

    def _note_pending(self, exchange: Exchange, size: int) -> None:
        exchange.pending += size
        self.pending_bytes += size
        if self.pending_bytes > self._max_pending:
            self.hold(Hold.PENDING)

    def hold(self, reason: Hold) -> None:
        """Take no more requests until `release`, not even those that have been read."""
        self.client.reader.held = True
        self.client.gate.hold(reason)

    def release(self, reason: Hold) -> None:
        if reason is not Hold.THROTTLED and self.client.reader.held:
            self.was_behind = self.client.reader.keeps
        self.client.gate.release(reason)
        if self.client.reader.held and not self.client.gate.holds(HOLDS_REQUESTS):
            self.client.resume_soon()

    # the broker's side

    def forward_more(self, chunk: bytes) -> None:
        """More of a body whose beginning `forward` has sent."""
        self.broker.write(chunk)

    def forward(self, plan: RequestPlan, pieces: Pieces, size: int, exchange: Exchange | None) -> None:
        """Send a body with our header; `size` is the whole body's, of which `pieces` may be the beginning."""
        correlation_id = self.broker.next_correlation_id()
        flexible = plan.request.flexible
        head = request_head(size, plan.key, plan.version, correlation_id, self._broker_client_id, flexible)
        if exchange is not None:
            exchange.broker_correlation_id = correlation_id
        self.broker.send((head, *pieces), len(head) + size, exchange)  # type: ignore[arg-type]

    def send_typed(self, request: BrokerRequest, part: Part | None) -> None:
        body = encode(request.message)
        correlation_id = self.broker.next_correlation_id()
        flexible = request.message.struct.flexible
        head = request_head(
            len(body), request.api_key, request.version, correlation_id, self._broker_client_id, flexible
        )
        if part is not None:
            part.broker_correlation_id = correlation_id
        self.broker.send((head, body), len(head) + len(body), part)

    # responses

    def is_next(self, exchange: Exchange) -> bool:
        """True when nothing before it is still to leave."""
        return self._queue[0] is exchange

    def respond(self, exchange: Exchange, plan: RequestPlan, pieces: Pieces, size: int) -> None:
        """The whole response is here: `pieces` of the body, `size` bytes in all."""
        head = response_head(size, exchange.client_correlation_id, plan.flexible_response)
        self._release(exchange, (head, *pieces), size + len(head))

    def _release(self, exchange: Exchange, pieces: Pieces, size: int) -> None:
        """Send a response when it is its turn."""
        if not self._queue:
            return  # abandoned
        exchange.meter.observe(monotonic() - exchange.started, exchange.request_bytes, size)
        if self._queue[0] is exchange:
            self.client.write(pieces, size)
            self._leave()
        else:
            exchange.pieces = pieces
            self._note_pending(exchange, size)

    def begin_stream(self, exchange: Exchange, plan: RequestPlan, pieces: Pieces, size: int) -> None:
        """The beginning of a response that is next; the rest comes through `stream`, then `end_stream`."""
        head = response_head(size, exchange.client_correlation_id, plan.flexible_response)
        exchange.meter.observe(monotonic() - exchange.started, exchange.request_bytes, size + len(head))
        pieces = (head, *pieces)
        self.client.write(pieces, sum(map(len, pieces)))

    def stream(self, chunk: bytes | memoryview) -> None:
        self.client.write((chunk,), len(chunk))

    def end_stream(self) -> None:
        self._leave()

    def _leave(self) -> None:
        """The head of the queue has left; so do those behind it that are ready."""
        queue = self._queue
        freed = queue.popleft().pending
        while queue and (pieces := queue[0].pieces) is not None:
            freed += queue.popleft().pending
            self.client.write(pieces, sum(map(len, pieces)))
        if freed:
            self._free(freed)
        if self.client.reader.held and len(queue) < self._max_in_flight:
            self.release(Hold.IN_FLIGHT)
        if self.draining and not queue:
            self.client.drained()

    def _free(self, size: int) -> None:
        self.pending_bytes -= size
        if self.pending_bytes <= self._max_pending and self.client.gate.holds(Hold.PENDING):
            self.release(Hold.PENDING)
        self.client.settle()


class UnsupportedApiError(ClientProtocolError):
    """An API or version that was never offered: the connection is closed, as a broker does."""
