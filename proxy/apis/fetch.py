"""Fetch (1): aliases become backing topics and back; record batches are never decoded, only counted.

Versions: 4-11 plain, 7+ sessions (KIP-227), 11+ rack, 12+ flexible with leaders in tagged fields, 13+ topic ids
(KIP-516), 15+ replica state as a tag, 16+ endpoints of new leaders (KIP-951).

No fetch session ever reaches a broker: the client is answered with session 0 and so sends full requests. A session id
is a guessable number, an incremental request names no topics to authorise, and inside a session two aliases of one
partition are one entry. The replica id is always a consumer's: others read past the high watermark.
"""

from typing import Final

from protocol import fetch
from protocol.error_codes import ErrorCode
from protocol.fetch_stream import FetchStream
from protocol.framing import Sink
from protocol.headers import RESPONSE_PEEK
from protocol.record_batches import count_records
from protocol.schema import Message
from protocol.spans import INT32, TopicSpan
from proxy.apis.plan import Connection, RequestPlan
from proxy.apis.spliced import SplicedExchange, spelling
from proxy.apis.topics import Shape, Split, rewrite_leaders
from proxy.exchange import Answer, BrokerRequest, Call, Forward, Later, Outcome
from proxy.resources import NOTHING
from proxy.traffic import Kind
from proxy.zones import BY_ID, Route

SHAPE: Final = Shape(
    topic_name="topic",
    request_index="partition",
    response_topics="responses",
    refused=(
        ("high_watermark", -1),
        ("last_stable_offset", -1),
        ("log_start_offset", -1),
        ("aborted_transactions", ()),
        ("preferred_read_replica", -1),
        ("records", b""),
    ),
    skips_empty=True,
)


REFUSED_WAIT_MS: Final = 500
"""Before a fetch is answered in which everything is refused, at most; its own longest wait if that is less."""


def handle(call: Call) -> Outcome:
    """The typed path: refusals, two aliases of one partition, tagged fields."""
    request = call.request
    if getattr(request, "session_epoch", -1) > 0:
        call.refuse(ErrorCode.FETCH_SESSION_ID_NOT_FOUND, NOTHING)
        return Answer(call.response.fit(error_code=ErrorCode.FETCH_SESSION_ID_NOT_FOUND))
    split = Split(call, SHAPE, request.topics)
    if split.layers == 0:
        if split.asked:
            # naive clients ask again at once: as when there is nothing to read, the answer takes its time
            wait = min(max(call.request.max_wait, 0), REFUSED_WAIT_MS) / 1000
            return Later(wait, lambda: _finish(call, split, []))
        return Forward((_broker_request(call, split, 0, request.max_wait, 1),), lambda r: _finish(call, split, r))
    if split.layers == 1:
        return Forward((_broker_request(call, split, 0, request.max_wait, 1),), lambda r: _finish(call, split, r))
    return _fetch_in_layers(call, split)


def _fetch_in_layers(call: Call, split: Split) -> Outcome:
    """Ask for every layer at once without waiting; only when none has news, wait on the first one.

    Every partition of a further layer is in the first one under another alias. When no layer has anything, all aliases
    stand at the end of the log, and whatever arrives will end the wait of the first layer.
    """
    layers = split.layers

    def after_probe(probed: list[Message]) -> Outcome:
        if call.request.max_wait <= 0 or any(_has_news(response) for response in probed):
            return _finish(call, split, probed)
        wait = _broker_request(call, split, 0, call.request.max_wait, layers)
        return Forward((wait,), lambda waited: _finish(call, split, [*waited, *probed[1:]]), exclusive=True)

    probes = [_broker_request(call, split, layer, 0, layers) for layer in range(layers)]
    return Forward(probes, after_probe, exclusive=True)


def _has_news(response: Message) -> bool:
    if getattr(response, "error_code", 0):
        return True
    return any(
        partition.error_code or partition.records or getattr(partition, "preferred_read_replica", -1) >= 0
        for topic in response.responses
        for partition in topic.partitions
    )


def _broker_request(call: Call, split: Split, layer: int, max_wait: int, layers: int) -> BrokerRequest:
    """A consumer's full request without a session; replica state, cluster id and forgotten topics stay behind."""
    request = call.request
    topics = split.topics_of(layer)
    for topic in topics:
        for partition in topic.partitions:
            if "replica_directory_id" in partition.struct.names:
                partition.replica_directory_id = bytes(16)
            if "high_watermark" in partition.struct.names:
                partition.high_watermark = 0x7FFFFFFFFFFFFFFF
    limit = call.zone.traffic.fetch_bytes
    max_bytes = request.max_bytes if limit is None else min(request.max_bytes, limit)
    message = request.struct.fit(
        max_wait=max_wait,
        min_bytes=request.min_bytes,
        max_bytes=max(max_bytes // layers, 1) if layers > 1 else max_bytes,
        isolation_level=request.isolation_level,
        topics=topics,
        # a replica nearby that has no port here could not be read from
        rack_id=getattr(request, "rack_id", "") if call.endpoints.complete else "",
    )
    return BrokerRequest(fetch.KEY, call.version, message)


def _finish(call: Call, split: Split, responses: list[Message]) -> Answer:
    throttle = max((response.throttle_time for response in responses), default=0)
    error = next((response.error_code for response in responses if getattr(response, "error_code", 0)), 0)
    if error:
        return Answer(call.response.fit(error_code=error, throttle_time=throttle))
    topics = split.merge(
        call.response.nested("responses"),
        [response.responses for response in responses],
        ErrorCode.UNKNOWN_SERVER_ERROR,
        lambda partition, alias: _mend(call.zone.route(alias), partition),
    )
    call.units = sum(len(partition.records) for topic in topics for partition in topic.partitions)
    for asked in split.asked:
        if asked.alias is not None and not asked.error:
            route = call.zone.route(asked.alias)
            call.used.add(route)
            route.meter.fetch_requests += 1
    endpoints = tuple(node for response in responses for node in getattr(response, "node_endpoints", ()))
    answer = call.response.fit(responses=topics, throttle_time=throttle, node_endpoints=endpoints)
    rewrite_leaders(call.endpoints, answer, [partition for topic in topics for partition in topic.partitions])
    return Answer(answer)


def _mend(route: Route, partition: Message) -> Message:
    """Records are empty rather than null: some clients fail on null (FetchResponse.recordsOrFail in Kafka)."""
    records = partition.records = partition.records or b""
    route.meter.fetch_bytes += len(records)
    route.meter.fetch_records += count_records(records, 0, len(records))
    return partition


# the byte path


class FetchExchange(SplicedExchange):
    """A request whose names were spliced; its response is spliced back, streamed when it is large and simple."""

    __slots__ = ("_charged", "_stream")

    shape = SHAPE

    def parse(self, data: bytes, pos: int, end: int) -> list[TopicSpan] | None:
        return fetch.parse_response(data, pos, end, self.plan.version)

    def mend(self, partition: Message, route: Route) -> None:
        _mend(route, partition)

    def rename(self, response: Message) -> None:
        super().rename(response)
        if "session_id" in response.struct.names:
            response.session_id = 0

    def throttle_span(self, pos: int, end: int) -> tuple[int, int]:
        return pos, pos + INT32.size

    def client_spelling(self, topic: TopicSpan) -> bytes:
        meter = self.routes[topic.key].meter
        meter.fetch_bytes += topic.record_bytes
        meter.fetch_records += topic.records
        return super().client_spelling(topic)

    def on_head(self, data: bytes, start: int, size: int) -> Sink | None:
        """Stream a large response when it is this request's turn and its header has no tagged fields."""
        if not self.connection.is_next(self):
            return None
        kind = self.kind
        names = {key: (route.broker[kind], route.client[kind]) for key, route in self.routes.items()}
        self._stream = FetchStream(self.plan.version, names, self.connection.endpoints.endpoint, self._count)
        body = start + RESPONSE_PEEK.size + self.plan.flexible_response
        if self.plan.flexible_response and data[body - 1]:
            return None
        client_size = self._stream.begin(data, body, start + size)
        if client_size is None:
            return None
        # how many of these are record batches is known at the end
        self._charged = size
        self.connection.charge(Kind.CONSUME, size)
        self._stream.throttle_ms = self.connection.throttle_time(Kind.CONSUME)
        self.connection.begin_stream(self, self.plan, self._stream.feed(data, body), client_size)
        return self._pass_on

    def _pass_on(self, chunk: bytes) -> None:
        for piece in self._stream.feed(chunk):
            self.connection.stream(piece)
        if self._stream.finished:
            self.connection.refund(Kind.CONSUME, self._charged)
            self.connection.end_stream()

    def _count(self, topic: bytes, record_bytes: int, records: int) -> None:
        meter = self.routes[topic].meter
        meter.fetch_bytes += record_bytes
        meter.fetch_records += records
        self._charged -= record_bytes


def on_bytes(connection: Connection, plan: RequestPlan, data: bytes, start: int, body: int, end: int) -> bool:
    """Take an ordinary request: full, every topic an alias, no two of them of one backing topic."""
    spans = fetch.parse_request(data, body, end, plan.version)
    if spans is None or spans.session_epoch > 0:
        return False
    if not connection.endpoints.complete and data[slice(*spans.rack)] not in fetch.NO_RACK:
        return False
    kind = spelling(plan.version, fetch.FIRST_FLEXIBLE, fetch.FIRST_WITH_IDS)
    zone = connection.zone()
    known = zone.routes_by_id if kind == BY_ID else zone.routes_by_name
    routes: dict[bytes, Route] = {}
    for topic in spans.topics:
        route = known.get(topic.key)
        if route is None:
            return False
        routes[route.broker_keys[kind]] = route
    if len(routes) != len(spans.topics):
        return False
    connection.used.update(routes.values())
    for route in routes.values():
        route.meter.fetch_requests += 1
    names = [route.broker[kind] for route in routes.values()]
    limit = zone.traffic.fetch_bytes if connection.limited else None
    request = fetch.build_request(data, spans, names, plan.version, limit)
    exchange = FetchExchange(connection, plan, data, start, end - start, kind, routes)
    connection.enqueue(exchange)
    connection.forward(plan, (request,), len(request), exchange)
    return True
