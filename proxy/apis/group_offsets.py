"""OffsetFetch (9) and OffsetDelete (47): a position per alias, also where two aliases share a backing topic.

OffsetFetch 1-10 (2+ null = all topics, 8+ several groups, 10 topic ids); OffsetDelete 0. Where a backing topic has
several aliases, a fetch unfolds what `proxy.apis.merged_commit` has stored, and deleting one alias's position leaves
the others': it is a commit of these.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from policies import positions
from policies.positions import Position
from policies.zone import Alias
from protocol.error_codes import ErrorCode
from protocol.schema import Message, Struct, request_struct
from proxy.apis import stored_positions
from proxy.apis.ids import group_refusal
from proxy.apis.stored_positions import position_of
from proxy.apis.topics import Asked, Partition, Shape, Split, name_or_id
from proxy.exchange import Answer, BrokerRequest, Call, Forward, InTurn, Outcome
from proxy.resources import group as group_resource

FETCH_KEY: Final = 9
FIRST_WITH_GROUPS: Final = 8
FETCH: Final = Shape(
    request_partitions="partition_indexes",
    refused=(("committed_offset", -1), ("committed_leader_epoch", -1), ("metadata", "")),
)
DELETE_KEY: Final = 47
DELETE: Final = Shape(skips_empty=True)
COMMIT_KEY: Final = 8
COMMIT_VERSION: Final = 8
"""Topics by name, with leader epochs."""


def fetch(call: Call) -> Outcome:
    request = call.request
    several = call.version >= FIRST_WITH_GROUPS
    groups: Sequence[Message] = request.groups if several else (request,)
    splits = [Split(call, FETCH, group.topics) if group.topics is not None else None for group in groups]
    refused = {group.group_id: group_refusal(call.zone.rules, group.group_id, empty_allowed=True) for group in groups}
    asked = [
        _broker_group(call, group, split)
        for group, split in zip(groups, splits, strict=True)
        if refused[group.group_id] is None
    ]
    for group_id, error in refused.items():
        if error is not None:
            call.refuse(error, group_resource(group_id))
    if not asked:
        return _finish_fetch(call, groups, splits, None)
    if several:
        message = request.copy()
        message.groups = tuple(asked)
    else:
        message = asked[0]
    return Forward(
        (BrokerRequest(FETCH_KEY, call.version, message),),
        lambda responses: _finish_fetch(call, groups, splits, responses[0]),
    )


def _broker_group(call: Call, group: Message, split: Split | None) -> Message:
    """A group as the broker knows it. A list that has become empty stays a list: null would mean every topic."""
    message = group.copy()
    message.group_id = call.zone.rules.qualify(group.group_id)
    if split is not None:
        wanted: dict[str, dict[int, None]] = {}
        template: dict[str, Asked] = {}
        for asked, alias in split.granted:
            wanted.setdefault(alias.topic, {}).update(dict.fromkeys(asked.partitions))
            template.setdefault(alias.topic, asked)
        message.topics = tuple(
            template[topic].topic.struct.new(
                partition_indexes=tuple(indexes),
                **name_or_id(template[topic].topic.struct, FETCH, topic, template[topic].topic_id),
            )
            for topic, indexes in wanted.items()
        )
    return message


def _finish_fetch(
    call: Call, groups: Sequence[Message], splits: Sequence[Split | None], response: Message | None
) -> Answer:
    throttle = getattr(response, "throttle_time", 0)
    if call.version < FIRST_WITH_GROUPS:
        return Answer(_fetched_group(call, call.response, groups[0], splits[0], response, throttle_time=throttle))
    entry = call.response.nested("groups")
    found: dict[str, list[Message]] = {}
    for told in response.groups if response is not None else ():
        found.setdefault(told.group_id, []).append(told)

    def next_of(group_id: str) -> Message | None:
        """A group that was asked for twice is told of twice."""
        several = found.get(call.zone.rules.qualify(group_id))
        return several.pop(0) if several else None

    answers = tuple(
        _fetched_group(call, entry, group, split, next_of(group.group_id), group_id=group.group_id)
        for group, split in zip(groups, splits, strict=True)
    )
    return Answer(call.response.fit(throttle_time=throttle, groups=answers))


def _fetched_group(
    call: Call, struct: Struct, group: Message, split: Split | None, found: Message | None, **values: object
) -> Message:
    error = getattr(found, "error_code", 0) if found is not None else int(ErrorCode.UNKNOWN_SERVER_ERROR)
    refused = group_refusal(call.zone.rules, group.group_id, empty_allowed=True)
    if refused is not None:
        error, found = int(refused), None
        for asked in split.asked if split is not None else ():
            asked.error = refused
    topics: tuple[Message, ...] = ()
    if split is not None and (not error or "error_code" not in struct.names):
        answers = found.topics if found is not None else ()
        topics = split.merge(
            struct.nested("topics"), [answers] * split.layers, ErrorCode.UNKNOWN_SERVER_ERROR, _unfolded
        )
    elif split is None and found is not None:
        topics = tuple(_fan_out(call, struct.nested("topics"), found.topics))
    return struct.fit(topics=topics, error_code=error, **values)


def _unfolded(partition: Message, alias: Alias) -> Message:
    own = positions.unfold(position_of(partition), alias.name)
    answer: Message = partition.copy()
    answer.committed_offset = own.offset
    answer.metadata = own.metadata
    if "committed_leader_epoch" in partition.struct.names:
        answer.committed_leader_epoch = own.leader_epoch
    return answer


def _fan_out(call: Call, struct: Struct, topics: Sequence[Message]) -> Iterable[Message]:
    """Everything that a group has committed: the zone's topics, under each alias that has a position."""
    for topic in topics:
        for alias in _aliases_of(call, topic):
            partitions = [_unfolded(partition, alias) for partition in topic.partitions]
            partitions = [partition for partition in partitions if partition.committed_offset >= 0]
            if partitions:
                naming = name_or_id(struct, FETCH, alias.name, call.zone.alias_id(alias))
                yield struct.new(partitions=tuple(partitions), **naming)


def _aliases_of(call: Call, topic: Message) -> Sequence[Alias]:
    if "topic_id" not in topic.struct.names:
        return call.zone.rules.aliases_of(topic.name)
    return [alias for alias in call.zone.rules.aliases if call.zone.topic_id(alias) == topic.topic_id]


# OffsetDelete


def delete(call: Call) -> Outcome:
    split = Split(call, DELETE, call.request.topics)
    refused = group_refusal(call.zone.rules, call.request.group_id)
    if refused is not None:
        call.refuse(refused, group_resource(call.request.group_id))
        return Answer(call.response.new(error_code=refused))
    if any(call.zone.rules.is_shared(alias.topic) for _, alias in split.granted):
        return InTurn(call.zone.commits, call.request.group_id, lambda: _read_before_delete(call, split))
    if not split.layers and split.asked:
        return _finish_delete(call, split, [], {})
    request = _delete_request(call, split.topics_of(0))
    return Forward((request,), lambda responses: _finish_delete(call, split, responses, {}))


def _delete_request(call: Call, topics: tuple[Message, ...]) -> BrokerRequest:
    group_id = call.zone.rules.qualify(call.request.group_id)
    return BrokerRequest(DELETE_KEY, call.version, call.request.struct.new(group_id=group_id, topics=topics))


def _read_before_delete(call: Call, split: Split) -> Outcome:
    partitions = [(alias.topic, p.partition_index) for asked, alias in split.granted for p in asked.partitions]
    request = stored_positions.ask(call, partitions)
    return Forward((request,), lambda responses: _delete_or_commit(call, split, responses[0]), exclusive=True)


def _delete_or_commit(call: Call, split: Split, response: Message) -> Outcome:
    """What no other alias needs is deleted; elsewhere the other aliases' positions are committed without this one."""
    error, stored, failed = stored_positions.read(response)
    if error:
        return Answer(call.response.new(error_code=error))
    doomed: dict[Partition, set[str]] = {}
    for asked, alias in split.granted:
        for partition in asked.partitions:
            doomed.setdefault((alias.topic, partition.partition_index), set()).add(alias.name)
    kept: dict[Partition, Position] = {}
    deleted: dict[str, list[int]] = {}
    for (topic, index), names in doomed.items():
        aliases = tuple(alias.name for alias in call.zone.rules.aliases_of(topic))
        rest = positions.without(stored.get((topic, index), positions.NONE), names, aliases)
        if (topic, index) in failed:
            continue
        if rest == positions.NONE:
            deleted.setdefault(topic, []).append(index)
        else:
            kept[topic, index] = rest
    requests = [_delete_request(call, _doomed_topics(call, deleted))] if deleted else []
    if kept:
        requests.append(_commit_of_the_rest(call, kept))
    if not requests:
        return _finish_delete(call, split, [], failed)
    return Forward(requests, lambda responses: _finish_delete(call, split, responses, failed), exclusive=True)


def _doomed_topics(call: Call, deleted: dict[str, list[int]]) -> tuple[Message, ...]:
    topic_struct = call.request.struct.nested("topics")
    partition_struct = topic_struct.nested("partitions")
    return tuple(
        topic_struct.new(name=topic, partitions=tuple(partition_struct.new(partition_index=index) for index in indexes))
        for topic, indexes in deleted.items()
    )


def _commit_of_the_rest(call: Call, kept: dict[Partition, Position]) -> BrokerRequest:
    """As an administrator commits: without membership, which a broker takes only while the group has no members."""
    struct = request_struct(COMMIT_KEY, COMMIT_VERSION)
    topic_struct = struct.nested("topics")
    partition_struct = topic_struct.nested("partitions")
    by_topic: dict[str, list[Message]] = {}
    for (topic, index), position in kept.items():
        by_topic.setdefault(topic, []).append(
            partition_struct.new(
                partition_index=index,
                committed_offset=position.offset,
                committed_leader_epoch=position.leader_epoch,
                committed_metadata=position.metadata,
            )
        )
    topics = tuple(topic_struct.new(name=name, partitions=tuple(entries)) for name, entries in by_topic.items())
    group_id = call.zone.rules.qualify(call.request.group_id)
    return BrokerRequest(COMMIT_KEY, COMMIT_VERSION, struct.new(group_id=group_id, topics=topics))


def _finish_delete(call: Call, split: Split, responses: Sequence[Message], failed: dict[Partition, int]) -> Answer:
    codes = dict(failed)
    for response in responses:
        if getattr(response, "error_code", 0):
            return Answer(call.response.new(error_code=response.error_code, throttle_time=response.throttle_time))
        for topic in response.topics:
            codes |= {(topic.name, p.partition_index): _delete_code(p.error_code) for p in topic.partitions}
    topics = split.answer_codes(call.response.nested("topics"), codes)
    throttle = max((response.throttle_time for response in responses), default=0)
    return Answer(call.response.new(topics=topics, throttle_time=throttle))


def _delete_code(code: int) -> int:
    """A group with members refuses the commit of the rest, where it would refuse to delete what is subscribed to."""
    return int(ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC) if code == ErrorCode.UNKNOWN_MEMBER_ID else code
