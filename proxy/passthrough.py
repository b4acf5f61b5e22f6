"""The session of an admin: the real cluster, unrenamed, for the tools that manage it.

Every API that we know and the broker offers passes in both directions byte for byte, but for correlation ids and for
the addresses of brokers, which become the gateway's so that the client comes back through it. Fetch and share sessions
are the broker's own: one client connection has one broker connection. What the admin may do is what the cluster's ACLs
allow the gateway's own user. Nothing here looks at names, records or rights: of a request, the header and the acks are
read.

Signing in with a token is `proxy/mechanisms/passthrough.py`'s business.
"""

from collections.abc import Mapping
from functools import cache, lru_cache
from struct import error as StructError
from typing import Final, NoReturn

from policies.names import PASSTHROUGH
from protocol import produce
from protocol.addresses import AddressBook, AddressStream, has_addresses
from protocol.api_versions import BrokerVersions, build_with_features, intersect
from protocol.errors import BrokerProtocolError, ClientProtocolError, DecodeError
from protocol.framing import Sink
from protocol.headers import PEEK, RESPONSE_PEEK, encode_client_id, response_body
from protocol.schema import API_NAMES, Message, known_versions, request_struct, response_struct
from protocol.session_state import API_VERSIONS, SASL_AUTHENTICATE, SASL_HANDSHAKE
from protocol.spans import INT16, read_length
from proxy.apis.plan import ApiEntry, Connection, RequestPlan, Treatment
from proxy.apis.table import TABLE
from proxy.broker import BrokerConnection
from proxy.config import Limits
from proxy.exchange import Brokers, Endpoints, Exchange, Pieces
from proxy.metrics import ApiMeter, GatewayMetrics
from proxy.pipeline import Client, Pipeline

_LOCAL: Final = frozenset((SASL_HANDSHAKE, API_VERSIONS, SASL_AUTHENTICATE))

_CORRELATION_END: Final = RESPONSE_PEEK.size

OFFERED: Final[Mapping[int, tuple[int, int]]] = {
    key: known_versions(key) for key in API_NAMES if TABLE[key].treatment is not Treatment.INTERNAL
}
"""API key -> versions: all that clients may ask a broker, and not what brokers and controllers ask each other."""


def versions_answer(version: int, broker: BrokerVersions) -> Message:
    """The answer to ApiVersions: what the broker has, as far as we know it, with all of its features."""
    return build_with_features(version, intersect(OFFERED, broker.apis), broker.features)


class PassthroughPipeline(Pipeline):
    """A pipeline without a zone: clients keep their client ids, and requests are counted under a name of their own."""

    def __init__(
        self,
        client: Client,
        broker: BrokerConnection,
        endpoints: Endpoints,
        brokers: Brokers,
        limits: Limits,
        metrics: GatewayMetrics,
    ) -> None:
        self._metrics = metrics
        super().__init__(client, broker, plans_for(broker.versions.apis), _no_zone, endpoints, brokers, limits)

    def meter(self, api_key: int) -> ApiMeter:
        return self._metrics.api(PASSTHROUGH, api_key)

    def apply_limits(self) -> None:
        """An admin's session has none."""

    def _qualify_client_id(self, client_id: bytes | None) -> bytes:
        return encode_client_id(client_id)

    def endpoint(self, broker_id: int) -> tuple[str, int] | None:
        """The address of a broker here. One that has none yet is looked up."""
        address = self.endpoints.endpoint(broker_id)
        if address is None:
            self.brokers.saw_brokers((broker_id,))
        return address


def _no_zone() -> NoReturn:
    raise LookupError("an admin's session has no zone")


class PassthroughExchange(Exchange):
    """A request that has passed; its response passes in its turn."""

    __slots__ = ("_book", "_connection", "_left", "_plan", "_stream")

    def __init__(self, connection: PassthroughPipeline, plan: RequestPlan, correlation_id: int, size: int) -> None:
        super().__init__(correlation_id, size, connection.meter(plan.key))
        self._connection = connection
        self._plan = plan
        self._book = address_book(plan.key, plan.version)
        self._left = 0

    def on_frame(self, data: bytes, start: int, end: int) -> None:
        pieces: Pieces = (data[start + _CORRELATION_END : end],)
        if self._book is not None:
            try:
                body = response_body(data, start, end, self._plan.response.flexible)
            except DecodeError as error:
                raise BrokerProtocolError(str(error)) from None
            head = data[start + _CORRELATION_END : body]
            pieces = (head, *self._book.replace(data[body:end], self._connection.endpoint))
        self._connection.respond(self, self._plan, pieces, sum(map(len, pieces)))

    def on_head(self, data: bytes, start: int, size: int) -> Sink | None:
        """Stream a large response when it is this request's turn, and its addresses don't stand before the rest."""
        if not self._connection.is_next(self):
            return None
        begin = start + _CORRELATION_END
        self._left = start + size - len(data)
        body_size = size - _CORRELATION_END
        if self._book is None:
            self._connection.begin_stream(self, self._plan, (data[begin:],), body_size)
            return self._pass_on
        if not self._book.streams:
            return None
        try:
            body = response_body(data, start, len(data), self._plan.response.flexible)
        except (DecodeError, IndexError):
            return None
        self._stream = AddressStream(self._book, start + size - body, self._connection.endpoint)
        pieces = (data[begin:body], *self._stream.feed(data[body:]))
        self._connection.begin_stream(self, self._plan, pieces, body_size)
        return self._pass_on_followed

    def _pass_on(self, chunk: bytes) -> None:
        self._left -= len(chunk)
        self._connection.stream(chunk)
        if not self._left:
            self._connection.end_stream()

    def _pass_on_followed(self, chunk: bytes) -> None:
        for piece in self._stream.feed(chunk):
            self._connection.stream(piece)
        if self._stream.finished:
            self._connection.end_stream()


def on_bytes(connection: Connection, plan: RequestPlan, data: bytes, start: int, body: int, end: int) -> bool:
    """Take a request, whatever it says."""
    _send(connection, plan, data, start, body, end, end)
    return True


def on_large_head(
    connection: Connection, plan: RequestPlan, data: bytes, start: int, body: int, end: int
) -> Sink | None:
    """Take a request as it comes in, whatever it says; a Produce request must have shown its acks."""
    try:
        _send(connection, plan, data, start, body, end, len(data))
    except ClientProtocolError:
        # the whole request tells
        return None
    return connection.forward_more


def _send(connection: Connection, plan: RequestPlan, data: bytes, start: int, body: int, end: int, here: int) -> None:
    assert isinstance(connection, PassthroughPipeline)
    exchange = None
    if plan.key == produce.KEY and _acks(plan, data, body, here) == 0:
        connection.meter(plan.key).observe(0.0, end - start, 0)
    else:
        exchange = PassthroughExchange(connection, plan, PEEK.unpack_from(data, start)[3], end - start)
        connection.enqueue(exchange)
    connection.forward(plan, (data[body:here],), end - body, exchange)


def _acks(plan: RequestPlan, data: bytes, pos: int, here: int) -> int:
    """A broker sends no response to a Produce request without acks, so this must be known."""
    try:
        if plan.request.flexible:
            length, pos = read_length(data, pos, True)
        else:
            length, pos = INT16.unpack_from(data, pos)[0], pos + INT16.size
        pos += max(length, 0)
        if pos + INT16.size > here:
            raise IndexError
        acks: int = INT16.unpack_from(data, pos)[0]
    except (StructError, IndexError, DecodeError):
        raise ClientProtocolError("a Produce request that ends before its acks") from None
    return acks


@cache
def address_book(api_key: int, version: int) -> AddressBook | None:
    """What replaces the addresses in an API's responses; None where there are none."""
    struct = response_struct(api_key, version)
    return AddressBook(api_key, struct) if has_addresses(api_key, struct) else None


@cache
def all_plans() -> dict[int, RequestPlan]:
    """key << 16 | version -> plan, of everything that passes."""
    plans = {}
    for key, (low, high) in OFFERED.items():
        if key in _LOCAL:
            continue
        entry = ApiEntry(key, Treatment.UNCHANGED, (low, high), on_bytes=on_bytes, on_large_head=on_large_head)
        for version in range(low, high + 1):
            # a response's header has its tagged fields pass with the body, so none is added to it here
            plans[key << 16 | version] = RequestPlan(
                entry, key, version, request_struct(key, version), response_struct(key, version), False
            )
    return plans


def plans_for(broker: Mapping[int, tuple[int, int]]) -> dict[int, RequestPlan]:
    """The plans for a broker with these version ranges; brokers that are alike share them."""
    return _plans_within(frozenset(broker.items()))


@lru_cache(maxsize=32)
def _plans_within(ranges: frozenset[tuple[int, tuple[int, int]]]) -> dict[int, RequestPlan]:
    offered = intersect(OFFERED, dict(ranges))
    return {
        number: plan
        for number, plan in all_plans().items()
        if plan.key in offered and offered[plan.key][0] <= plan.version <= offered[plan.key][1]
    }
