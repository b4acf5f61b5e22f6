"""Produce (0): WRITE aliases become backing topics; record batches are never looked into.

Versions: 3-8 plain, 9+ flexible, 10+ new leaders in tagged fields (KIP-951), 12 transactions v2 (KIP-890), 13 topic ids
(KIP-516). acks=0 gets no response: when anything was refused, the connection is closed behind the rest, so that the
producer learns that something is wrong, as a broker does it.
"""

from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from policies.zone import Alias
from protocol import produce
from protocol.codec import decode, encode
from protocol.error_codes import ErrorCode, text_of
from protocol.errors import BrokerProtocolError, DecodeError
from protocol.framing import Sink
from protocol.headers import PEEK, RESPONSE_PEEK
from protocol.schema import Message
from proxy.apis.plan import RequestPlan
from proxy.apis.topics import Shape, Split, rewrite_leaders
from proxy.close import CloseReason
from proxy.exchange import Answer, BrokerRequest, Call, Exchange, Forward, Outcome, Send
from proxy.zones import BY_ID, COMPACT, PLAIN, Route, ZoneState

if TYPE_CHECKING:
    from proxy.pipeline import Pipeline

SHAPE: Final = Shape(
    request_topics="topic_data",
    request_partitions="partition_data",
    request_index="index",
    response_topics="responses",
    response_partitions="partition_responses",
    response_index="index",
    refused=(("base_offset", -1),),
    write=True,
)


def handle(call: Call) -> Outcome:
    """The typed path: anything that the byte path leaves alone."""
    request = call.request
    if request.transactional_id is not None:
        return _refuse_transaction(call)
    split = Split(call, SHAPE, request.topic_data)
    for asked in split.asked:
        if asked.alias is not None and not asked.error:
            meter = call.zone.routes_by_name[asked.alias.name.encode()].meter
            meter.produce_requests += 1
            meter.produce_bytes += sum(len(partition.records or b"") for partition in asked.partitions)
    requests = [_broker_request(call, split, layer) for layer in range(split.layers)]
    if request.acks == 0:
        return Send(requests, CloseReason.ACKS_0_REFUSED if split.refused_any else None)
    if not requests:
        return _finish(call, split, [])
    return Forward(requests, lambda responses: _finish(call, split, responses))


def _broker_request(call: Call, split: Split, layer: int) -> BrokerRequest:
    request = call.request
    message = request.struct.new(acks=request.acks, timeout=request.timeout, topic_data=split.topics_of(layer))
    return BrokerRequest(produce.KEY, call.version, message)


def _finish(call: Call, split: Split, responses: list[Message]) -> Answer:
    topics = split.merge(
        call.response.nested("responses"),
        [response.responses for response in responses],
        ErrorCode.REQUEST_TIMED_OUT,
        _replace_texts,
    )
    endpoints = tuple(node for response in responses for node in getattr(response, "node_endpoints", ()))
    answer = call.response.fit(
        responses=topics,
        throttle_time=max((response.throttle_time for response in responses), default=0),
        node_endpoints=endpoints,
    )
    rewrite_leaders(call, answer, [partition for topic in topics for partition in topic.partition_responses])
    return Answer(answer)


def _replace_texts(partition: Message, _alias: Alias) -> Message:
    """A broker's texts name the backing topic."""
    if "error_message" in partition.struct.names:
        text = text_of(partition.error_code)
        partition.error_message = text if partition.error_code else None
        for record in partition.record_errors:
            record.batch_index_error_message = None
    return partition


def _refuse_transaction(call: Call) -> Outcome:
    """Transactions are not offered: every partition gets the error, as for a transactional id without permission."""
    error = ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    if call.request.acks == 0:
        return Send((), CloseReason.ACKS_0_REFUSED)
    split = Split(call, SHAPE, call.request.topic_data)
    for asked in split.asked:
        asked.error = error
        call.refuse(error, len(asked.partitions))
    return _finish(call, split, [])


# the byte path


def spelling(version: int, first_flexible: int, first_with_ids: int) -> int:
    """How a version names topics."""
    return BY_ID if version >= first_with_ids else COMPACT if version >= first_flexible else PLAIN


def _routes(zone: ZoneState, spans: produce.ProduceSpans, kind: int) -> list[Route] | None:
    """The routes of all topics, or None when one of them may not be written."""
    known = zone.routes_by_id if kind == BY_ID else zone.routes_by_name
    routes = []
    for topic in spans.topics:
        route = known.get(topic.key)
        if route is None or not route.writable:
            return None
        routes.append(route)
    return routes


def _count(spans: produce.ProduceSpans, routes: list[Route]) -> None:
    for topic, route in zip(spans.topics, routes, strict=True):
        route.meter.produce_requests += 1
        route.meter.produce_bytes += topic.record_bytes


class ProduceExchange(Exchange):
    """A request whose names were spliced; its response is spliced back."""

    __slots__ = ("_kind", "_pipeline", "_plan", "_routes", "_zone")

    def __init__(
        self,
        pipeline: "Pipeline",
        plan: RequestPlan,
        correlation_id: int,
        request_bytes: int,
        kind: int,
        routes: list[Route],
    ) -> None:
        self.client_correlation_id = correlation_id
        self.request_bytes = request_bytes
        self.started = monotonic()
        self.pieces = None
        self._pipeline = pipeline
        self._plan = plan
        self._kind = kind
        self._routes = routes

    def on_frame(self, data: bytes, start: int, end: int) -> None:
        plan, kind = self._plan, self._kind
        pos = start + RESPONSE_PEEK.size + plan.flexible_response
        topics = produce.parse_response(data, pos, end, plan.version)
        if topics is None or len(topics) != len(self._routes):
            self._on_unusual(data, pos, end)
            return
        by_key = {route.broker_keys[kind]: route for route in self._routes}
        pieces: list[Any] = []
        size = 0
        for topic in topics:
            route = by_key.get(topic.key)
            if route is None:
                self._on_unusual(data, pos, end)
                return
            name = route.client[kind]
            pieces += (data[pos : topic.start], name)
            size += topic.start - pos + len(name)
            pos = topic.end
        pieces.append(data[pos:end])
        self._pipeline.respond(self, plan, pieces, size + end - pos)

    def _on_unusual(self, data: bytes, pos: int, end: int) -> None:
        """Errors, texts, leaders: the typed path's work on the same response."""
        try:
            response = decode(self._plan.response, data, pos, end)
        except DecodeError as error:
            raise BrokerProtocolError(str(error)) from None
        answer = rename_response(self._pipeline, self._plan, self._kind, self._routes, response)
        body = encode(answer)
        self._pipeline.respond(self, self._plan, (body,), len(body))

    def on_head(self, data: bytes, start: int, size: int) -> Sink | None:
        return None


def rename_response(
    pipeline: "Pipeline", plan: RequestPlan, kind: int, routes: list[Route], response: Message
) -> Message:
    """A decoded response under the client's names."""
    by_key = {route.broker_keys[kind]: route for route in routes}
    partitions = []
    for topic in response.responses:
        key = topic.topic_id if kind == BY_ID else topic.name.encode()
        route = by_key.get(key)
        if route is None:
            raise BrokerProtocolError("a produce response names a topic that was not produced to")
        if kind == BY_ID:
            topic.topic_id = route.client[BY_ID]
        else:
            topic.name = route.alias.name
        for partition in topic.partition_responses:
            _replace_texts(partition, route.alias)
            partitions.append(partition)
    call = Call(plan.key, plan.version, None, plan.response, pipeline.zone(), pipeline.endpoints, pipeline.brokers)
    rewrite_leaders(call, response, partitions)
    return response


def on_bytes(pipeline: "Pipeline", plan: RequestPlan, data: bytes, start: int, body: int, end: int) -> bool:
    """Take an ordinary request: every topic may be written, nothing else is special."""
    version = plan.version
    spans = produce.parse_request(data, body, end, version)
    if spans is None:
        return False
    kind = spelling(version, produce.FIRST_FLEXIBLE, produce.FIRST_WITH_IDS)
    routes = _routes(pipeline.zone(), spans, kind)
    if not routes:
        return False
    _count(spans, routes)
    pieces: list[Any] = []
    size, pos = 0, body
    view = memoryview(data)
    for topic, route in zip(spans.topics, routes, strict=True):
        name = route.broker[kind]
        pieces += (view[pos : topic.start], name)
        size += topic.start - pos + len(name)
        pos = topic.end
    pieces.append(view[pos:end])
    _send(pipeline, plan, data, start, end - start, spans, routes, pieces, size + end - pos)
    return True


def on_large_head(pipeline: "Pipeline", plan: RequestPlan, data: bytes, start: int, body: int, end: int) -> Sink | None:
    """Stream a large request of one topic and partition: only its head is rewritten, the rest passes as it comes in."""
    version = plan.version
    spans = produce.parse_stream_head(data, body, end, version)
    if spans is None:
        return None
    kind = spelling(version, produce.FIRST_FLEXIBLE, produce.FIRST_WITH_IDS)
    routes = _routes(pipeline.zone(), spans, kind)
    if not routes:
        return None
    _count(spans, routes)
    topic, name = spans.topics[0], routes[0].broker[kind]
    size = (topic.start - body) + len(name) + (end - topic.end)
    pieces = (data[body : topic.start], name, memoryview(data)[topic.end :])
    _send(pipeline, plan, data, start, end - start, spans, routes, pieces, size)
    return pipeline.broker.write


def _send(
    pipeline: "Pipeline",
    plan: RequestPlan,
    data: bytes,
    start: int,
    request_bytes: int,
    spans: produce.ProduceSpans,
    routes: list[Route],
    pieces: Any,
    size: int,
) -> None:
    correlation_id = PEEK.unpack_from(data, start)[3]
    kind = spelling(plan.version, produce.FIRST_FLEXIBLE, produce.FIRST_WITH_IDS)
    if spans.acks == 0:
        pipeline.zone().meter(plan.key).observe(0.0, request_bytes, 0)
        pipeline.forward(plan, pieces, size, None)
        return
    exchange = ProduceExchange(pipeline, plan, correlation_id, request_bytes, kind, routes)
    pipeline.enqueue(exchange)
    pipeline.forward(plan, pieces, size, exchange)
