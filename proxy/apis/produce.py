"""Produce (0): WRITE aliases become backing topics; record batches are never decoded, only counted.

Versions: 3-8 plain, 9+ flexible, 10+ new leaders in tagged fields (KIP-951), 12 transactions v2 (KIP-890), 13 topic ids
(KIP-516). A transactional id is put into the zone's namespace; whether records are transactional and their partitions
part of the transaction is the broker's business. acks=0 gets no response: when anything was refused, the connection is
closed behind the rest, so that the producer learns that something is wrong, as a broker does it.
"""

from typing import Final

from policies.zone import Alias
from protocol import produce
from protocol.error_codes import ErrorCode, own_text
from protocol.framing import Sink
from protocol.record_batches import RecordCounter, count_records
from protocol.schema import Message
from protocol.spans import INT32, TopicSpan, splice
from proxy.apis.ids import transaction_refusal
from proxy.apis.plan import Connection, RequestPlan
from proxy.apis.spliced import SplicedExchange, spelling
from proxy.apis.topics import Shape, Split, rewrite_leaders
from proxy.close import CloseReason
from proxy.exchange import Answer, BrokerRequest, Call, Forward, Outcome, Pieces, Send
from proxy.metrics import AliasMeter
from proxy.resources import transaction
from proxy.traffic import Kind
from proxy.zones import BY_ID, PLAIN, Route, ZoneState, spell

SHAPE: Final = Shape(
    request_topics="topic_data",
    request_partitions="partition_data",
    request_index="index",
    response_topics="responses",
    response_partitions="partition_responses",
    response_index="index",
    refused=(("base_offset", -1),),
    write=True,
    skips_empty=True,
    groups=True,
)


def handle(call: Call) -> Outcome:
    """The typed path: anything that the byte path leaves alone."""
    request = call.request
    if request.transactional_id is not None:
        error = transaction_refusal(call.zone.rules, request.transactional_id)
        if error is not None:
            return _refuse_transaction(call, error)
        request.transactional_id = call.zone.rules.qualify(request.transactional_id)
    split = Split(call, SHAPE, request.topic_data)
    for asked in split.asked:
        if asked.alias is not None and not asked.error:
            route = call.zone.route(asked.alias)
            call.used.add(route)
            meter = route.meter
            spans = [partition.records or b"" for partition in asked.partitions]
            record_bytes = sum(map(len, spans))
            meter.produce_requests += 1
            meter.produce_bytes += record_bytes
            meter.produce_records += sum(count_records(records, 0, len(records)) for records in spans)
            call.units += record_bytes
    requests = [_broker_request(call, split, layer) for layer in range(split.layers)]
    if request.acks == 0:
        return Send(requests, CloseReason.ACKS_0_REFUSED if split.refused_any else None)
    if not requests:
        return _finish(call, split, [])
    return Forward(requests, lambda responses: _finish(call, split, responses))


def _broker_request(call: Call, split: Split, layer: int) -> BrokerRequest:
    request = call.request
    message = request.struct.new(
        transactional_id=request.transactional_id,
        acks=request.acks,
        timeout=request.timeout,
        topic_data=split.topics_of(layer),
    )
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
    rewrite_leaders(call.endpoints, answer, [partition for topic in topics for partition in topic.partition_responses])
    return Answer(answer)


def _replace_texts(partition: Message, _alias: Alias) -> Message:
    """A broker's texts name the backing topic."""
    if "error_message" in partition.struct.names:
        partition.error_message = own_text(partition.error_code, partition.error_message)
        for record in partition.record_errors:
            record.batch_index_error_message = None
    return partition


def _refuse_transaction(call: Call, error: ErrorCode) -> Outcome:
    """A transactional id that the zone can't use: every partition gets the error."""
    resource = transaction(call.request.transactional_id)
    split = Split(call, SHAPE, call.request.topic_data)
    for asked in split.asked:
        asked.error = error
        call.refuse(error, resource, len(asked.partitions))
    if call.request.acks == 0:
        return Send((), CloseReason.ACKS_0_REFUSED)
    return _finish(call, split, [])


# the byte path


class ProduceExchange(SplicedExchange):
    """A request whose names were spliced; its response is spliced back."""

    __slots__ = ()

    shape = SHAPE

    def parse(self, data: bytes, pos: int, end: int) -> list[TopicSpan] | None:
        return produce.parse_response(data, pos, end, self.plan.version)

    def throttle_span(self, pos: int, end: int) -> tuple[int, int]:
        stop = end - self.plan.response.flexible
        return stop - INT32.size, stop

    def mend(self, partition: Message, route: Route) -> None:
        _replace_texts(partition, route.alias)


def on_bytes(connection: Connection, plan: RequestPlan, data: bytes, start: int, body: int, end: int) -> bool:
    """Take an ordinary request: every topic may be written and is there once, nothing else is special."""
    spans = produce.parse_request(data, body, end, plan.version)
    if spans is None:
        return False
    kind = spelling(plan.version, produce.FIRST_FLEXIBLE, produce.FIRST_WITH_IDS)
    routes = _routes(connection.zone(), spans, kind)
    if not routes or (len(routes) > 1 and len({route.alias.topic for route in routes}) != len(routes)):
        return False
    pieces, size = splice(data, body, end, *_replacements(connection.zone(), spans, routes, kind))
    _send(connection, plan, data, start, end, spans, routes, pieces, size)
    return True


def on_large_head(
    connection: Connection, plan: RequestPlan, data: bytes, start: int, body: int, end: int
) -> Sink | None:
    """Stream a large request of one topic and partition: only its head is rewritten, the rest passes as it comes in."""
    parsed = produce.parse_stream_head(data, body, end, plan.version)
    if parsed is None:
        return None
    spans, counter = parsed
    kind = spelling(plan.version, produce.FIRST_FLEXIBLE, produce.FIRST_WITH_IDS)
    routes = _routes(connection.zone(), spans, kind)
    if not routes:
        return None
    pieces, here = splice(data, body, len(data), *_replacements(connection.zone(), spans, routes, kind))
    _send(connection, plan, data, start, end, spans, routes, pieces, here + end - len(data))
    return connection.forward_more if counter.done else _counting(connection, counter, routes[0].meter)


def _counting(connection: Connection, counter: RecordCounter, meter: AliasMeter) -> Sink:
    """Where the rest of a large request goes when batches begin in it."""

    def forward_more(chunk: bytes) -> None:
        meter.produce_records += counter.feed(chunk, 0, len(chunk))
        connection.forward_more(chunk)

    return forward_more


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


def _replacements(
    zone: ZoneState, spans: produce.ProduceSpans, routes: list[Route], kind: int
) -> tuple[list[TopicSpan], list[bytes]]:
    """Spans, and what the broker is told instead; that a topic may be written means that a transactional id may be."""
    names = [route.broker[kind] for route in routes]
    if spans.transactional_id is None:
        return spans.topics, names
    qualified = spell(zone.transactional_prefix + spans.transactional_id.key)[kind != PLAIN]
    return [spans.transactional_id, *spans.topics], [qualified, *names]


def _send(
    connection: Connection,
    plan: RequestPlan,
    data: bytes,
    start: int,
    end: int,
    spans: produce.ProduceSpans,
    routes: list[Route],
    pieces: Pieces,
    size: int,
) -> None:
    record_bytes = 0
    used = connection.used
    for topic, route in zip(spans.topics, routes, strict=True):
        used.add(route)
        meter = route.meter
        meter.produce_requests += 1
        meter.produce_bytes += topic.record_bytes
        meter.produce_records += topic.records
        record_bytes += topic.record_bytes
    if connection.limited:
        connection.charge(Kind.PRODUCE, record_bytes)
    if spans.acks == 0:
        connection.zone().meter(plan.key).observe(0.0, end - start, 0)
        connection.forward(plan, pieces, size, None)
        return
    kind = spelling(plan.version, produce.FIRST_FLEXIBLE, produce.FIRST_WITH_IDS)
    by_key = {route.broker_keys[kind]: route for route in routes}
    exchange = ProduceExchange(connection, plan, data, start, end - start, kind, by_key)
    connection.enqueue(exchange)
    connection.forward(plan, pieces, size, exchange)
