"""APIs that no zone permits: administration, and what only brokers or features that are not offered here would send.

Each request gets Kafka's error at the level at which a broker puts it (the whole request, or each thing that it
names, in its order), so that tools say what is wrong instead of hanging or breaking. No broker ever hears of one.
`ANSWERS` has them all, for every version that `protocol.schema` knows; which are advertised is the table's to say.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from protocol.error_codes import ErrorCode, text_of
from protocol.schema import ZERO_ID, Message, Struct
from proxy.apis.topics import Shape, index_of
from proxy.exchange import Answer, Call
from proxy.resources import CLUSTER as THE_CLUSTER
from proxy.resources import NOTHING, Resource, group, of_config, operation
from proxy.resources import topic as topic_resource

TOPIC: Final = ErrorCode.TOPIC_AUTHORIZATION_FAILED
CLUSTER: Final = ErrorCode.CLUSTER_AUTHORIZATION_FAILED
NOT_OFFERED: Final = ErrorCode.UNSUPPORTED_VERSION
INVALID: Final = ErrorCode.INVALID_REQUEST
"""What is named twice, too: a broker says so before it looks at permissions."""

CONFIG_ERRORS: Final = {2: TOPIC, 32: ErrorCode.GROUP_AUTHORIZATION_FAILED, 4: CLUSTER, 8: CLUSTER, 16: CLUSTER}
"""By type of resource: TOPIC, GROUP, BROKER, BROKER_LOGGER, CLIENT_METRICS."""
LOGGER: Final = 8
ALTER_CONFIGS: Final = 33
"""Unlike IncrementalAlterConfigs, it knows no loggers."""

DELETES_BY_ID_FROM: Final = 6

PARTITIONS: Final = Shape()
INDEXES: Final = Shape(request_partitions="partition_indexes")
RECORDS: Final = Shape(refused=(("low_watermark", -1),))
ELECTIONS: Final = Shape(
    request_topics="topic_partitions",
    topic_name="topic",
    response_topics="replica_election_results",
    response_partitions="partition_result",
    response_index="partition_id",
)
REASSIGNMENTS: Final = Shape(response_topics="responses")
UNCHANGED: Final = ("active_tasks", "standby_tasks", "warmup_tasks", "partitions_by_user_endpoint")
"""What a Streams heartbeat's answer leaves null."""

Refusal = Callable[[Call], Answer]


def refused(call: Call, struct: Struct, error: ErrorCode, resource: Resource, **values: Any) -> Message:
    """The answer for one refused thing, counted; its text is left out where the version has none."""
    call.refuse(error, resource)
    return struct.fit(error_code=error, error_message=text_of(error), **values)


def whole(error: ErrorCode, **values: Any) -> Refusal:
    """One error for the whole request. Versions without a field for it answer an empty list."""
    return lambda call: Answer(refused(call, call.response, error, _whole_of(call), **values))


def _whole_of(call: Call) -> Resource:
    """What a request as a whole is about: its group, the cluster, or nothing that Kafka has ACLs for."""
    if "group_id" in call.request.struct.names:
        return group(call.request.group_id or "")
    return THE_CLUSTER if operation(call.api_key, THE_CLUSTER) else NOTHING


def each(asked: str, answered: str, error: ErrorCode) -> Refusal:
    """An error for each element, repeated ones too: clients know them by their position."""

    def handle(call: Call) -> Answer:
        struct = call.response.nested(answered)
        answers = tuple(refused(call, struct, error, THE_CLUSTER) for _ in getattr(call.request, asked))
        return Answer(call.response.new(**{answered: answers}))

    return handle


def each_topic(answered: str, **values: Any) -> Refusal:
    """An error for each distinct topic."""

    def handle(call: Call) -> Answer:
        topics = _distinct_topics(call, answered, (topic.name for topic in call.request.topics), **values)
        return Answer(call.response.new(**{answered: topics}))

    return handle


def _distinct_topics(call: Call, answered: str, names: Iterable[str], **values: Any) -> tuple[Message, ...]:
    struct = call.response.nested(answered)
    counts = Counter(names)
    return tuple(
        refused(call, struct, TOPIC if count == 1 else INVALID, topic_resource(name), name=name, **values)
        for name, count in counts.items()
    )


def each_partition(shape: Shape, error: ErrorCode) -> Refusal:
    """An error for each partition, and for the whole request where the version has a field for it."""

    def handle(call: Call) -> Answer:
        struct = call.response.nested(shape.response_topics)
        # ElectLeaders means all partitions of the cluster by null
        asked: Sequence[Message] = getattr(call.request, shape.request_topics) or ()
        topics = _partitions(call, struct, shape, asked, error)
        if not topics and error is CLUSTER:
            call.refuse(error, THE_CLUSTER)
        values = {shape.response_topics: topics, "error_code": error, "error_message": text_of(error)}
        return Answer(call.response.fit(**values))

    return handle


def _partitions(
    call: Call, struct: Struct, shape: Shape, asked: Sequence[Message], error: ErrorCode
) -> tuple[Message, ...]:
    partition = struct.nested(shape.response_partitions)
    topics = []
    for topic in asked:
        name = getattr(topic, shape.topic_name)
        resource = THE_CLUSTER if error is CLUSTER else topic_resource(name)
        indexes = (index_of(wanted, shape.request_index) for wanted in getattr(topic, shape.request_partitions))
        answers = tuple(
            refused(call, partition, error, resource, **{shape.response_index: index, **dict(shape.refused)})
            for index in indexes
        )
        topics.append(struct.fit(name=name, topic=name, topic_name=name, **{shape.response_partitions: answers}))
    return tuple(topics)


def each_group(asked: str) -> Refusal:
    """An error for each group, repeated ones too."""

    def handle(call: Call) -> Answer:
        struct = call.response.nested("groups")
        groups: Sequence[Any] = getattr(call.request, asked)
        ids = (group if isinstance(group, str) else group.group_id for group in groups)
        return Answer(
            call.response.new(groups=tuple(refused(call, struct, NOT_OFFERED, group(i), group_id=i) for i in ids))
        )

    return handle


def delete_topics(call: Call) -> Answer:
    if call.version < DELETES_BY_ID_FROM:
        responses = _distinct_topics(call, "responses", call.request.topic_names)
    else:
        struct = call.response.nested("responses")
        counts = Counter((topic.name, topic.topic_id) for topic in call.request.topics)
        responses = tuple(_undeleted(call, struct, *topic, count) for topic, count in counts.items())
    return Answer(call.response.new(responses=responses))


def _undeleted(call: Call, struct: Struct, name: str | None, topic_id: bytes, count: int) -> Message:
    """By name or by id; a broker takes neither both nor none, and tells the name of an id to whoever may see it."""
    by_id = topic_id != ZERO_ID
    resource = topic_resource(name, topic_id)
    if count > 1 or by_id == (name is not None):
        return refused(call, struct, INVALID, resource, name=name, topic_id=topic_id)
    if not by_id:
        return refused(call, struct, TOPIC, resource, name=name)
    alias = call.zone.alias_with_id(topic_id)
    if alias is None:
        return refused(call, struct, ErrorCode.UNKNOWN_TOPIC_ID, resource, name=None, topic_id=topic_id)
    return refused(call, struct, TOPIC, topic_resource(alias.name), name=alias.name, topic_id=topic_id)


def alter_configs(call: Call) -> Answer:
    """AlterConfigs and IncrementalAlterConfigs."""
    struct = call.response.nested("responses")
    resources = [(resource.resource_type, resource.resource_name) for resource in call.request.resources]
    counts = Counter(resources)
    responses = []
    for kind, name in resources:
        legal = counts[kind, name] == 1 and (kind, call.api_key) != (LOGGER, ALTER_CONFIGS)
        error = CONFIG_ERRORS.get(kind, INVALID) if legal else INVALID
        responses.append(refused(call, struct, error, of_config(kind, name), resource_type=kind, resource_name=name))
    return Answer(call.response.new(responses=tuple(responses)))


def alter_client_quotas(call: Call) -> Answer:
    struct = call.response.nested("entries")
    entity = struct.nested("entity")
    entries = [
        refused(
            call,
            struct,
            CLUSTER,
            THE_CLUSTER,
            entity=tuple(entity.new(entity_type=e.entity_type, entity_name=e.entity_name) for e in entry.entity),
        )
        for entry in call.request.entries
    ]
    return Answer(call.response.new(entries=tuple(entries)))


def alter_scram_credentials(call: Call) -> Answer:
    """One answer per user, however many of his credentials are to change."""
    struct = call.response.nested("results")
    users = dict.fromkeys(change.name for change in (*call.request.deletions, *call.request.upsertions))
    return Answer(
        call.response.new(results=tuple(refused(call, struct, CLUSTER, THE_CLUSTER, user=user) for user in users))
    )


def write_txn_markers(call: Call) -> Answer:
    struct = call.response.nested("markers")
    topic = struct.nested("topics")
    markers = [
        struct.new(producer_id=marker.producer_id, topics=_partitions(call, topic, INDEXES, marker.topics, CLUSTER))
        for marker in call.request.markers
    ]
    return Answer(call.response.new(markers=tuple(markers)))


def alter_replica_log_dirs(call: Call) -> Answer:
    struct = call.response.nested("results")
    topics = [topic for directory in call.request.dirs for topic in directory.topics]
    return Answer(call.response.new(results=_partitions(call, struct, PARTITIONS, topics, CLUSTER)))


no_tokens: Final = whole(
    ErrorCode.DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, issue_timestamp=0, expiry_timestamp=0, max_timestamp=0
)

ANSWERS: Final[Mapping[int, Refusal]] = {
    19: each_topic("topics", num_partitions=-1, replication_factor=-1),
    20: delete_topics,
    21: each_partition(RECORDS, TOPIC),
    27: write_txn_markers,
    29: whole(CLUSTER),
    30: each("creations", "results", CLUSTER),
    31: each("filters", "filter_results", CLUSTER),
    33: alter_configs,
    34: alter_replica_log_dirs,
    35: whole(CLUSTER),
    37: each_topic("results"),
    38: no_tokens,
    39: no_tokens,
    40: no_tokens,
    41: no_tokens,
    43: each_partition(ELECTIONS, CLUSTER),
    44: alter_configs,
    45: each_partition(REASSIGNMENTS, CLUSTER),
    46: each_partition(INDEXES, CLUSTER),
    48: whole(CLUSTER, entries=None),
    49: alter_client_quotas,
    50: whole(CLUSTER),
    51: alter_scram_credentials,
    55: whole(CLUSTER),
    57: whole(CLUSTER),
    61: each_partition(INDEXES, TOPIC),
    64: whole(CLUSTER),
    71: whole(NOT_OFFERED),
    72: whole(NOT_OFFERED),
    74: whole(CLUSTER),
    76: whole(NOT_OFFERED),
    77: each_group("group_ids"),
    78: whole(NOT_OFFERED),
    79: whole(NOT_OFFERED),
    80: whole(CLUSTER),
    81: whole(CLUSTER),
    88: whole(NOT_OFFERED, **dict.fromkeys(UNCHANGED)),
    89: each_group("group_ids"),
    90: each_group("groups"),
    91: whole(NOT_OFFERED),
    92: whole(NOT_OFFERED),
}
"""API key -> what is answered, in place of asking a broker."""
