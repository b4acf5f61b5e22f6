"""Metadata (3): the zone's aliases as topics, brokers at the gateway's addresses.

Versions: 0 empty list = all, 1+ null = all and [] = none, 4+ auto-creation flag, 8-10 authorised operations, 9+
flexible, 10+ topic ids in answers, 12+ topic ids in requests, 13 top-level error. The broker is always asked in the
newest version with auto-creation off (before 4 it means on, and would re-create a deleted backing topic), always by
name, and never for "all"; the answer is built here, so the versions need not agree.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from policies.zone import Alias
from protocol.error_codes import ErrorCode
from protocol.schema import ZERO_ID, Message, request_struct
from proxy.exchange import Answer, BrokerRequest, Call, Forward, Outcome
from proxy.resources import topic as topic_resource

KEY: Final = 3
NEWEST: Final = 13
FIRST_WITH_ID_REQUESTS: Final = 12

NOT_ASKED: Final = -(2**31)
READ_OPERATIONS: Final = 1 << 3 | 1 << 8 | 1 << 10
"""READ, DESCRIBE and DESCRIBE_CONFIGS: bit n is AclOperation n."""
WRITE_OPERATIONS: Final = READ_OPERATIONS | 1 << 4


def handle(call: Call) -> Outcome:
    wanted = call.request.topics
    if wanted is None or (call.version == 0 and not wanted):
        return _ask(call, [(None, alias) for alias in call.zone.rules.aliases], everything=True)
    if 10 <= call.version < FIRST_WITH_ID_REQUESTS and any(_needs_id(topic) for topic in wanted):
        return _refuse_ids(call)
    by_id = [topic for topic in wanted if getattr(topic, "topic_id", ZERO_ID) != ZERO_ID]
    asked: dict[str | bytes, tuple[Message, Alias | None]] = {}
    for topic in by_id or wanted:
        # with any id in the request a broker looks at ids alone; repeated topics are answered once
        if by_id:
            asked.setdefault(topic.topic_id, (topic, call.zone.alias_with_id(topic.topic_id)))
        else:
            asked.setdefault(topic.name or "", (topic, call.zone.rules.alias(topic.name)))
    return _ask(call, list(asked.values()), everything=False)


def _needs_id(topic: Message) -> bool:
    return topic.topic_id != ZERO_ID or topic.name is None


def _refuse_ids(call: Call) -> Outcome:
    entry = call.response.nested("topics")
    for topic in call.request.topics:
        call.refuse(ErrorCode.INVALID_REQUEST, topic_resource(topic.name, topic.topic_id))
    topics = tuple(
        entry.new(error_code=ErrorCode.INVALID_REQUEST, name=topic.name or "", topic_id=topic.topic_id)
        for topic in call.request.topics
    )
    return Answer(call.response.fit(topics=topics))


def _ask(call: Call, asked: Sequence[tuple[Message | None, Alias | None]], everything: bool) -> Outcome:
    request = broker_request(call, [alias.topic for _, alias in asked if alias is not None])
    return Forward((request,), lambda responses: _finish(call, asked, responses[0], everything))


def broker_request(call: Call, topics: Iterable[str]) -> BrokerRequest:
    """Ask the broker for these backing topics."""
    version = min(NEWEST, call.brokers.version_range(KEY)[1])
    struct = request_struct(KEY, version)
    named = tuple(struct.nested("topics").new(name=topic) for topic in dict.fromkeys(topics))
    return BrokerRequest(KEY, version, struct.new(topics=named, allow_auto_topic_creation=False))


def learn_topics(call: Call, response: Message) -> dict[str, Message]:
    """The backing topics of the broker's answer, whose ids are known here from now on."""
    for topic in response.topics:
        if not topic.error_code:
            call.zone.learn(topic.name, topic.topic_id)
        call.zone.note_broker_error(KEY, topic.error_code)
    return {topic.name: topic for topic in response.topics}


def _finish(
    call: Call, asked: Sequence[tuple[Message | None, Alias | None]], response: Message, everything: bool
) -> Outcome:
    found = learn_topics(call, response)
    topics = []
    for wanted, alias in asked:
        topic = found.get(alias.topic) if alias is not None else None
        if alias is None or topic is None:
            topics.append(_refused(call, wanted, alias))
        elif not (everything and topic.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION):
            topics.append(_topic(call, wanted, alias, topic))
    answer = call.response.fit(
        throttle_time=response.throttle_time,
        brokers=_brokers(call, response.brokers),
        cluster_id=call.zone.cluster_id,
        controller_id=_controller(call, response),
        topics=tuple(topics),
        cluster_authorized_operations=(
            0 if getattr(call.request, "include_cluster_authorized_operations", False) else NOT_ASKED
        ),
        error_code=getattr(response, "error_code", 0),
    )
    return Answer(answer)


def _brokers(call: Call, brokers: Sequence[Message]) -> tuple[Message, ...]:
    """Every broker that has a port here, at that port."""
    call.brokers.saw_brokers([broker.node_id for broker in brokers])
    entry = call.response.nested("brokers")
    mapped = []
    for broker in brokers:
        endpoint = call.endpoints.endpoint(broker.node_id)
        if endpoint is not None:
            mapped.append(entry.fit(node_id=broker.node_id, host=endpoint[0], port=endpoint[1], rack=broker.rack))
    return tuple(mapped)


def _controller(call: Call, response: Message) -> int:
    mapped = [b.node_id for b in response.brokers if call.endpoints.endpoint(b.node_id) is not None]
    return response.controller_id if response.controller_id in mapped else next(iter(mapped), -1)


def _refused(call: Call, wanted: Message | None, alias: Alias | None) -> Message:
    """A topic that is not the zone's: the name or id echoed, nothing else, whether it exists or not."""
    entry = call.response.nested("topics")
    topic_id = getattr(wanted, "topic_id", ZERO_ID)
    if topic_id != ZERO_ID:
        call.refuse(ErrorCode.UNKNOWN_TOPIC_ID, topic_resource(None, topic_id))
        return entry.fit(error_code=ErrorCode.UNKNOWN_TOPIC_ID, name=None, topic_id=topic_id)
    name = alias.name if alias is not None else wanted.name if wanted is not None else ""
    error = ErrorCode.TOPIC_AUTHORIZATION_FAILED if alias is None else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    call.refuse(error, topic_resource(name))
    return entry.fit(error_code=error, name=name)


def _topic(call: Call, wanted: Message | None, alias: Alias, topic: Message) -> Message:
    struct = call.response.nested("topics")
    asked_id = getattr(wanted, "topic_id", ZERO_ID)
    alias_id = call.zone.alias_id(alias) if not topic.error_code else ZERO_ID
    if asked_id != ZERO_ID and asked_id != alias_id:
        # its backing topic is gone, or was created anew and has another id now
        return struct.fit(error_code=ErrorCode.UNKNOWN_TOPIC_ID, name=None, topic_id=asked_id)
    return struct.fit(
        error_code=topic.error_code,
        name=alias.name,
        topic_id=alias_id,
        partitions=tuple(_partition(call, partition) for partition in topic.partitions),
        topic_authorized_operations=(
            operations(alias) if getattr(call.request, "include_topic_authorized_operations", False) else NOT_ASKED
        ),
    )


def operations(alias: Alias) -> int:
    """What the zone may do with an alias, as Kafka's bits."""
    return WRITE_OPERATIONS if alias.writable else READ_OPERATIONS


def _partition(call: Call, partition: Message) -> Message:
    """Every partition is there, in any case; one led by a broker without a port here has no leader for the client."""
    leader, error = partition.leader_id, partition.error_code
    if leader >= 0 and call.endpoints.endpoint(leader) is None:
        leader, error = -1, int(ErrorCode.LEADER_NOT_AVAILABLE)
    return (
        call.response.nested("topics")
        .nested("partitions")
        .fit(
            error_code=error,
            partition_index=partition.partition_index,
            leader_id=leader,
            leader_epoch=partition.leader_epoch,
            replica_nodes=partition.replica_nodes,
            isr_nodes=partition.isr_nodes,
            offline_replicas=partition.offline_replicas,
        )
    )
