"""DescribeTopicPartitions (75): the zone's aliases in pages, by alias. Version 0.

A page ends in the middle of an order of names, and the broker knows other names than the client. So the broker is asked
for Metadata, and the pages are made here, as it makes them: aliases in their order, then all that is refused. Metadata
does not tell eligible leader replicas (KIP-966); they are empty, as for a topic without any.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from policies.zone import Alias
from protocol.error_codes import ErrorCode
from protocol.schema import ZERO_ID, Message
from proxy.apis import metadata
from proxy.exchange import Answer, Call, Forward, Outcome
from proxy.resources import topic as topic_resource

MAX_PARTITIONS: Final = 2000
"""Of a page: Kafka's default `max.request.partition.size.limit`."""


def handle(call: Call) -> Outcome:
    cursor = call.request.cursor
    start = cursor.topic_name if cursor is not None else ""
    named = sorted({topic.name for topic in call.request.topics if topic.name >= start})
    if cursor is not None and (cursor.partition_index < 0 or (call.request.topics and start not in named)):
        return _refuse_all(call)
    names = named or sorted(alias.name for alias in call.zone.rules.aliases if alias.name >= start)
    aliases = [alias for alias in map(call.zone.rules.alias, names) if alias is not None]
    refused = [name for name in names if call.zone.rules.alias(name) is None]
    for name in refused:
        call.refuse(ErrorCode.TOPIC_AUTHORIZATION_FAILED, topic_resource(name))
    if not aliases:
        return _finish(call, (), refused, None)
    request = metadata.broker_request(call, [alias.topic for alias in aliases])
    return Forward((request,), lambda responses: _finish(call, aliases, refused, responses[0]))


def _refuse_all(call: Call) -> Answer:
    call.refuse(ErrorCode.INVALID_REQUEST, topic_resource(call.request.cursor.topic_name))
    names = dict.fromkeys(topic.name for topic in call.request.topics)
    entry = call.response.nested("topics")
    topics = tuple(entry.new(error_code=ErrorCode.INVALID_REQUEST, name=name) for name in names)
    return Answer(call.response.new(topics=topics))


def _finish(call: Call, aliases: Sequence[Alias], refused: Sequence[str], response: Message | None) -> Answer:
    found = metadata.learn_topics(call, response) if response is not None else {}
    topics, cursor = _page(call, aliases, found)
    entry = call.response.nested("topics")
    topics += [entry.new(error_code=ErrorCode.TOPIC_AUTHORIZATION_FAILED, name=name) for name in refused]
    throttle = response.throttle_time if response is not None else 0
    return Answer(call.response.new(throttle_time=throttle, topics=tuple(topics), next_cursor=cursor))


def _page(call: Call, aliases: Sequence[Alias], found: Mapping[str, Message]) -> tuple[list[Message], Message | None]:
    """Topics until the limit is reached, and where the next page begins (None: there is none)."""
    room = max(1, min(MAX_PARTITIONS, call.request.response_partition_limit))
    cursor = call.request.cursor
    next_cursor = call.response.nested("next_cursor")
    topics: list[Message] = []
    for alias in aliases:
        if not room:
            return topics, next_cursor.new(topic_name=alias.name, partition_index=0)
        topic = found.get(alias.topic)
        if topic is None or topic.error_code:
            if call.request.topics:
                error = topic.error_code if topic is not None else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
                topics.append(_topic(call, alias, (), error))
            continue
        start = cursor.partition_index if cursor is not None and cursor.topic_name == alias.name else 0
        partitions = sorted(topic.partitions, key=lambda partition: partition.partition_index)
        shown = partitions[start : start + room]
        topics.append(_topic(call, alias, shown))
        if start + room < len(partitions):
            return topics, next_cursor.new(topic_name=alias.name, partition_index=start + room)
        room -= len(shown)
    return topics, None


def _topic(call: Call, alias: Alias, partitions: Sequence[Message], error: int = 0) -> Message:
    return call.response.nested("topics").new(
        error_code=error,
        name=alias.name,
        topic_id=call.zone.alias_id(alias) if not error else ZERO_ID,
        partitions=tuple(_partition(call, partition) for partition in partitions),
        topic_authorized_operations=metadata.operations(alias),
    )


def _partition(call: Call, partition: Message) -> Message:
    """As in Metadata, but for the error: a partition without a leader has none here."""
    leader = partition.leader_id
    return (
        call.response.nested("topics")
        .nested("partitions")
        .new(
            partition_index=partition.partition_index,
            leader_id=leader if call.endpoints.endpoint(leader) is not None else -1,
            leader_epoch=partition.leader_epoch,
            replica_nodes=partition.replica_nodes,
            isr_nodes=partition.isr_nodes,
            eligible_leader_replicas=(),
            last_known_elr=(),
            offline_replicas=partition.offline_replicas,
        )
    )
