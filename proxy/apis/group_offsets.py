"""OffsetCommit (8) and OffsetFetch (9): a position per alias, also where two aliases share a backing topic.

OffsetCommit 2-10 (6 leader epoch, 8+ flexible, 10 topic ids); OffsetFetch 1-10 (2+ null = all topics, 8+ several
groups, 10 topic ids). The broker keeps one position per group and backing partition. Where the zone has several aliases
of a topic, `policies.positions` keeps theirs in the commit's metadata: a commit first fetches what is stored and is
merged into it, one group at a time; a fetch unfolds. All other commits and fetches take no extra step.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from policies import positions
from policies.positions import Position
from policies.zone import Alias
from protocol.error_codes import ErrorCode
from protocol.errors import BrokerProtocolError
from protocol.schema import Message, Struct, request_struct
from proxy.apis.topics import Asked, Shape, Split, name_or_id
from proxy.exchange import Answer, BrokerRequest, Call, Forward, InTurn, Outcome

COMMIT_KEY: Final = 8
FETCH_KEY: Final = 9
FIRST_WITH_GROUPS: Final = 8
COMMIT: Final = Shape()
FETCH: Final = Shape(
    request_partitions="partition_indexes",
    refused=(("committed_offset", -1), ("committed_leader_epoch", -1), ("metadata", "")),
)
STORED_VERSION: Final = 8
"""In which stored positions are fetched for a merge: several topics by name, with leader epochs."""

Stored = dict[tuple[str, int], Position]


def commit(call: Call) -> Outcome:
    split = Split(call, COMMIT, call.request.topics)
    if not call.request.group_id:
        return _refuse_commit(call, split, ErrorCode.INVALID_GROUP_ID)
    if not split.layers:
        return _finish_commit(call, split, [], {})
    shared = [(asked, alias) for asked, alias in _granted(split) if _must_merge(call, asked, alias)]
    if not shared:
        request = _commit_request(call, split, split.topics_of(0))
        return Forward((request,), lambda responses: _finish_commit(call, split, responses, {}))
    return InTurn(call.zone.commits, call.request.group_id, lambda: _fetch_stored(call, split, shared))


def _granted(split: Split) -> Iterable[tuple[Asked, Alias]]:
    return ((asked, asked.alias) for asked in split.asked if asked.alias is not None and not asked.error)


def _must_merge(call: Call, asked: Asked, alias: Alias) -> bool:
    """Where aliases share a topic; and where a client's own metadata looks like ours, so that it comes back intact."""
    return call.zone.rules.is_shared(alias.topic) or any(_looks_merged(partition) for partition in asked.partitions)


def _looks_merged(partition: Message) -> bool:
    return (partition.committed_metadata or "").startswith(positions.MARK)


def _refuse_commit(call: Call, split: Split, error: ErrorCode) -> Outcome:
    for asked in split.asked:
        asked.error = error
    call.refuse(error)
    return _finish_commit(call, split, [], {})


def _commit_request(call: Call, split: Split, topics: tuple[Message, ...]) -> BrokerRequest:
    message = call.request.copy()
    message.group_id = call.zone.rules.qualify(call.request.group_id)
    message.topics = topics
    return BrokerRequest(COMMIT_KEY, call.version, message)


def _fetch_stored(call: Call, split: Split, shared: Sequence[tuple[Asked, Alias]]) -> Outcome:
    """Ask for what the group has stored on the partitions of shared backing topics."""
    struct = request_struct(FETCH_KEY, STORED_VERSION)
    group = struct.nested("groups")
    wanted: dict[str, dict[int, None]] = {}
    for asked, alias in shared:
        wanted.setdefault(alias.topic, {}).update(dict.fromkeys(p.partition_index for p in asked.partitions))
    topics = tuple(
        group.nested("topics").new(name=topic, partition_indexes=tuple(indexes)) for topic, indexes in wanted.items()
    )
    group_id = call.zone.rules.qualify(call.request.group_id)
    message = struct.new(groups=(group.new(group_id=group_id, topics=topics),))
    request = BrokerRequest(FETCH_KEY, STORED_VERSION, message)
    return Forward((request,), lambda responses: _merge_commit(call, split, responses[0]), exclusive=True)


def _merge_commit(call: Call, split: Split, response: Message) -> Outcome:
    if not response.groups:
        raise BrokerProtocolError("the positions of one group were asked for, and the answer has none")
    group = response.groups[0]
    if group.error_code:
        return _fail_commit(call, split, group.error_code)
    stored: Stored = {}
    for topic in group.topics:
        for partition in topic.partitions:
            if partition.error_code:
                return _fail_commit(call, split, partition.error_code)
            stored[topic.name, partition.partition_index] = _position(partition)
    topics, refused = _fold(call, split, stored)
    if not topics:
        return _finish_commit(call, split, [], refused)
    request = _commit_request(call, split, topics)
    return Forward((request,), lambda responses: _finish_commit(call, split, responses, refused), exclusive=True)


def _fail_commit(call: Call, split: Split, error_code: int) -> Outcome:
    """The coordinator's own error (it moved, it is loading) becomes that of every granted partition."""
    failed = {
        (alias.name, partition.partition_index): error_code
        for asked, alias in _granted(split)
        for partition in asked.partitions
    }
    return _finish_commit(call, split, [], failed)


def _position(partition: Message) -> Position:
    if partition.committed_offset < 0:
        return positions.NONE
    epoch = getattr(partition, "committed_leader_epoch", -1)
    return Position(partition.committed_offset, epoch, partition.metadata or "")


Failures = dict[tuple[str, int], int]
"""(alias, partition) -> error code, for partitions that this gateway fails itself"""


def _fold(call: Call, split: Split, stored: Stored) -> tuple[tuple[Message, ...], Failures]:
    """The commit's topics as the broker gets them: one entry per backing partition."""
    commits: dict[str, dict[int, dict[str, Message]]] = {}
    templates: dict[str, Asked] = {}
    for asked, alias in _granted(split):
        templates.setdefault(alias.topic, asked)
        for partition in asked.partitions:
            commits.setdefault(alias.topic, {}).setdefault(partition.partition_index, {})[alias.name] = partition
    refused: Failures = {}
    topics = []
    for topic, by_index in commits.items():
        partitions = []
        for index, by_alias in by_index.items():
            partition = _folded(call, topic, by_alias, stored.get((topic, index), positions.NONE))
            if partition is None:
                refused |= {(alias, index): int(ErrorCode.OFFSET_METADATA_TOO_LARGE) for alias in by_alias}
            else:
                partitions.append(partition)
        if partitions:
            topics.append(_commit_topic(templates[topic], topic, tuple(partitions)))
    return tuple(topics), refused


def _folded(call: Call, topic: str, by_alias: dict[str, Message], stored: Position) -> Message | None:
    aliases = call.zone.rules.aliases_of(topic)
    partition: Message = next(iter(by_alias.values())).copy()
    if len(aliases) == 1 and not _looks_merged(partition):
        return partition
    folded = positions.fold(
        stored,
        {
            alias: Position(p.committed_offset, getattr(p, "committed_leader_epoch", -1), p.committed_metadata or "")
            for alias, p in by_alias.items()
        },
        tuple(alias.name for alias in aliases),
    )
    if folded is None:
        return None
    partition.committed_offset = folded.offset
    partition.committed_metadata = folded.metadata
    if "committed_leader_epoch" in partition.struct.names:
        partition.committed_leader_epoch = folded.leader_epoch
    return partition


def _commit_topic(asked: Asked, topic: str, partitions: tuple[Message, ...]) -> Message:
    struct: Struct = asked.topic.struct
    return struct.new(partitions=partitions, **name_or_id(struct, COMMIT, topic, asked.topic_id))


def _finish_commit(call: Call, split: Split, responses: Sequence[Message], failures: Failures) -> Answer:
    topics = split.merge(
        call.response.nested("topics"),
        [response.topics for response in responses for _ in range(split.layers)] or [()] * split.layers,
        ErrorCode.UNKNOWN_SERVER_ERROR,
        lambda partition, _alias: partition.copy(),
    )
    for asked, topic in zip(split.asked, topics, strict=True):
        for partition in topic.partitions:
            if asked.alias is not None and (asked.alias.name, partition.partition_index) in failures:
                partition.error_code = failures[asked.alias.name, partition.partition_index]
    throttle = max((getattr(response, "throttle_time", 0) for response in responses), default=0)
    return Answer(call.response.fit(topics=topics, throttle_time=throttle))


# OffsetFetch


def fetch(call: Call) -> Outcome:
    request = call.request
    several = call.version >= FIRST_WITH_GROUPS
    groups: Sequence[Message] = request.groups if several else (request,)
    splits = [Split(call, FETCH, group.topics) if group.topics is not None else None for group in groups]
    asked = [_broker_group(call, group, split) for group, split in zip(groups, splits, strict=True) if group.group_id]
    for group in groups:
        if not group.group_id:
            call.refuse(ErrorCode.INVALID_GROUP_ID)
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
        for asked, alias in _granted(split):
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
    found = {group.group_id: group for group in response.groups} if response is not None else {}
    answers = tuple(
        _fetched_group(
            call, entry, group, split, found.get(call.zone.rules.qualify(group.group_id)), group_id=group.group_id
        )
        for group, split in zip(groups, splits, strict=True)
    )
    return Answer(call.response.fit(throttle_time=throttle, groups=answers))


def _fetched_group(
    call: Call, struct: Struct, group: Message, split: Split | None, found: Message | None, **values: object
) -> Message:
    error = getattr(found, "error_code", 0) if found is not None else int(ErrorCode.UNKNOWN_SERVER_ERROR)
    if not group.group_id:
        error, found = int(ErrorCode.INVALID_GROUP_ID), None
        for asked in split.asked if split is not None else ():
            asked.error = ErrorCode.INVALID_GROUP_ID
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
    own = positions.unfold(_position(partition), alias.name)
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
