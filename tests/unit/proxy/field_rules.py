"""What becomes of every field that could name, place or describe something: one rule per path of each served API.

A path is the field's name behind those of the structs around it; it is the same in all versions. Rules for a request
say what the broker gets, rules for a response say what the client gets. APIs that never reach a broker have none: an
answer that is made here from the request alone holds nothing that isn't the client's.
"""

import re
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Final

from protocol.schema import FieldSpec, Struct


class Rule(Enum):
    """A treatment, and why, where a value passes as it is."""

    TOPIC = "alias <-> backing topic"
    TOPIC_ID = "virtual <-> backing topic id"
    GROUP = "group id <-> with the zone's prefix"
    TRANSACTION = "transactional id <-> with the zone's prefix"
    COORDINATOR = "group or transactional id, by the request's key type"
    RESOURCE = "topic, group or a name of the cluster's, by the resource's type"
    PATTERN = "evaluated here; the broker gets none, the client its own"
    BLOB = "consumer protocol: the topics in it are mapped, the user data is not"
    HOST = "the gateway's, beside a broker that has a port here"
    PORT = "the gateway's"
    SHOWN_NODE = "a broker that has a port here, or none"
    TEXT = "our own words or null: a broker's name what is behind the aliases"
    CLUSTER_ID = "the zone's virtual one; never the client's to a broker"
    OPERATIONS = "computed from the zone's permissions"
    SESSION = "none: every fetch is a full one"
    REPLICA = "always a consumer's"
    DROPPED = "the broker gets the default"
    OFF = "the broker gets false"
    SYNONYM = "the topic's own and Kafka's default; brokers' settings are left out"
    BLANK = "the client gets nothing of it"

    # these pass
    MEMBER = "a member's own: ids that the broker or the client made up for it, its client id, its generation"
    OWN_TEXT = "what the zone's clients wrote down for themselves"
    RECORDS = "the partner's data"
    WORD = "a word of Kafka's own: a state, a protocol, an assignor, a feature"
    CONFIG = "a setting of the zone's topic or group"
    RACK = "where a broker stands; consumers fetch from their own"
    NODE = "a broker's number, which says nothing without its address"
    PRODUCER = "numbers that producers and consumers need as the broker gave them"


PASSING: Final = frozenset(
    (Rule.MEMBER, Rule.OWN_TEXT, Rule.RECORDS, Rule.WORD, Rule.CONFIG, Rule.RACK, Rule.NODE, Rule.PRODUCER)
)

REQUEST: Final = "request"
RESPONSE: Final = "response"
Side = str

Paths = Mapping[str, Rule]


def _paths(rules: Mapping[Rule, str]) -> Paths:
    found: dict[str, Rule] = {}
    for rule, paths in rules.items():
        for path in paths.split():
            assert path not in found, f"{path} has two rules"
            found[path] = rule
    return found


R = Rule
_ENDPOINTS: Final = {
    R.HOST: "node_endpoints.host",
    R.PORT: "node_endpoints.port",
    R.RACK: "node_endpoints.rack",
}
_REQUESTS: Final[Mapping[int, Mapping[Rule, str]]] = {
    0: {
        R.TRANSACTION: "transactional_id",
        R.TOPIC: "topic_data.name",
        R.TOPIC_ID: "topic_data.topic_id",
        R.RECORDS: "topic_data.partition_data.records",
    },
    1: {
        R.TOPIC: "topics.topic",
        R.TOPIC_ID: "topics.topic_id",
        R.DROPPED: (
            "forgotten_topics_data.topic forgotten_topics_data.topic_id"
            " topics.partitions.replica_directory_id topics.partitions.high_watermark"
        ),
        R.SESSION: "session_id session_epoch",
        R.REPLICA: "replica_id replica_state.replica_id replica_state.replica_epoch",
        R.CLUSTER_ID: "cluster_id",
        R.RACK: "rack_id",
    },
    2: {R.TOPIC: "topics.name", R.REPLICA: "replica_id"},
    3: {
        R.TOPIC: "topics.name",
        R.TOPIC_ID: "topics.topic_id",
        R.OFF: "allow_auto_topic_creation",
    },
    8: {
        R.GROUP: "group_id",
        R.TOPIC: "topics.name",
        R.TOPIC_ID: "topics.topic_id",
        R.MEMBER: "member_id group_instance_id",
        R.OWN_TEXT: "topics.partitions.committed_metadata",
    },
    9: {
        R.GROUP: "group_id groups.group_id",
        R.TOPIC: "topics.name groups.topics.name",
        R.TOPIC_ID: "groups.topics.topic_id",
        R.MEMBER: "groups.member_id",
    },
    10: {R.COORDINATOR: "key coordinator_keys"},
    11: {
        R.GROUP: "group_id",
        R.MEMBER: "member_id group_instance_id",
        R.OWN_TEXT: "reason",
        R.WORD: "protocol_type protocols.name",
        R.BLOB: "protocols.metadata",
    },
    12: {R.GROUP: "group_id", R.MEMBER: "generation_id member_id group_instance_id"},
    13: {
        R.GROUP: "group_id",
        R.MEMBER: "member_id members.member_id members.group_instance_id",
        R.OWN_TEXT: "members.reason",
    },
    14: {
        R.GROUP: "group_id",
        R.MEMBER: "generation_id member_id group_instance_id assignments.member_id",
        R.WORD: "protocol_type protocol_name",
        R.BLOB: "assignments.assignment",
    },
    15: {R.GROUP: "groups"},
    16: {R.WORD: "states_filter types_filter"},
    22: {R.TRANSACTION: "transactional_id", R.PRODUCER: "producer_id", R.OFF: "enable2_pc keep_prepared_txn"},
    23: {R.TOPIC: "topics.topic", R.REPLICA: "replica_id"},
    24: {
        R.TRANSACTION: "v3_and_below_transactional_id transactions.transactional_id",
        R.PRODUCER: "v3_and_below_producer_id transactions.producer_id",
        R.TOPIC: "v3_and_below_topics.name transactions.topics.name",
    },
    25: {R.TRANSACTION: "transactional_id", R.PRODUCER: "producer_id", R.GROUP: "group_id"},
    26: {R.TRANSACTION: "transactional_id", R.PRODUCER: "producer_id"},
    28: {
        R.TRANSACTION: "transactional_id",
        R.PRODUCER: "producer_id",
        R.GROUP: "group_id",
        R.MEMBER: "generation_id member_id group_instance_id",
        R.TOPIC: "topics.name",
        R.OWN_TEXT: "topics.partitions.committed_metadata",
    },
    32: {R.RESOURCE: "resources.resource_name", R.CONFIG: "resources.configuration_keys"},
    42: {R.GROUP: "groups_names"},
    47: {R.GROUP: "group_id", R.TOPIC: "topics.name"},
    60: {},
    65: {R.TRANSACTION: "transactional_ids"},
    66: {R.WORD: "state_filters", R.PRODUCER: "producer_id_filters", R.PATTERN: "transactional_id_pattern"},
    68: {
        R.GROUP: "group_id",
        R.MEMBER: "member_id instance_id",
        R.RACK: "rack_id",
        R.WORD: "server_assignor",
        R.TOPIC: "subscribed_topic_names",
        R.TOPIC_ID: "topic_partitions.topic_id",
        R.PATTERN: "subscribed_topic_regex",
    },
    69: {R.GROUP: "group_ids"},
    75: {R.TOPIC: "topics.name cursor.topic_name"},
}
_RESPONSES: Final[Mapping[int, Mapping[Rule, str]]] = {
    0: {
        R.TOPIC: "responses.name",
        R.TOPIC_ID: "responses.topic_id",
        R.TEXT: (
            "responses.partition_responses.error_message"
            " responses.partition_responses.record_errors.batch_index_error_message"
        ),
        R.SHOWN_NODE: "responses.partition_responses.current_leader.leader_id node_endpoints.node_id",
        **_ENDPOINTS,
    },
    1: {
        R.TOPIC: "responses.topic",
        R.TOPIC_ID: "responses.topic_id",
        R.SESSION: "session_id",
        R.PRODUCER: "responses.partitions.aborted_transactions.producer_id",
        R.RECORDS: "responses.partitions.records",
        R.NODE: "responses.partitions.preferred_read_replica",
        R.SHOWN_NODE: "responses.partitions.current_leader.leader_id node_endpoints.node_id",
        **_ENDPOINTS,
    },
    2: {R.TOPIC: "topics.name"},
    3: {
        R.TOPIC: "topics.name",
        R.TOPIC_ID: "topics.topic_id",
        R.HOST: "brokers.host",
        R.PORT: "brokers.port",
        R.RACK: "brokers.rack",
        R.SHOWN_NODE: "brokers.node_id controller_id topics.partitions.leader_id",
        R.NODE: "topics.partitions.replica_nodes topics.partitions.isr_nodes topics.partitions.offline_replicas",
        R.CLUSTER_ID: "cluster_id",
        R.OPERATIONS: "topics.topic_authorized_operations cluster_authorized_operations",
    },
    8: {R.TOPIC: "topics.name", R.TOPIC_ID: "topics.topic_id"},
    9: {
        R.GROUP: "groups.group_id",
        R.TOPIC: "topics.name groups.topics.name",
        R.TOPIC_ID: "groups.topics.topic_id",
        R.OWN_TEXT: "topics.partitions.metadata groups.topics.partitions.metadata",
    },
    10: {
        R.COORDINATOR: "coordinators.key",
        R.HOST: "host coordinators.host",
        R.PORT: "port coordinators.port",
        R.SHOWN_NODE: "node_id coordinators.node_id",
        R.TEXT: "error_message coordinators.error_message",
    },
    11: {
        R.WORD: "protocol_type protocol_name",
        R.MEMBER: "generation_id leader member_id members.member_id members.group_instance_id",
        R.BLOB: "members.metadata",
    },
    12: {},
    13: {R.MEMBER: "members.member_id members.group_instance_id"},
    14: {R.WORD: "protocol_type protocol_name", R.BLOB: "assignment"},
    15: {
        R.GROUP: "groups.group_id",
        R.WORD: "groups.group_state groups.protocol_type groups.protocol_data",
        R.MEMBER: "groups.members.member_id groups.members.client_id groups.members.group_instance_id",
        R.BLANK: "groups.members.client_host",
        R.BLOB: "groups.members.member_metadata groups.members.member_assignment",
        R.OPERATIONS: "groups.authorized_operations",
        R.TEXT: "groups.error_message",
    },
    16: {R.GROUP: "groups.group_id", R.WORD: "groups.protocol_type groups.group_state groups.group_type"},
    22: {R.PRODUCER: "producer_id ongoing_txn_producer_id"},
    23: {R.TOPIC: "topics.topic"},
    24: {
        R.TRANSACTION: "results_by_transaction.transactional_id",
        R.TOPIC: "results_by_topic_v3_and_below.name results_by_transaction.topic_results.name",
    },
    25: {},
    26: {R.PRODUCER: "producer_id"},
    28: {R.TOPIC: "topics.name"},
    32: {
        R.TEXT: "results.error_message",
        R.RESOURCE: "results.resource_name",
        R.CONFIG: "results.configs.name results.configs.value results.configs.documentation",
        R.SYNONYM: "results.configs.synonyms.name results.configs.synonyms.value",
    },
    42: {R.GROUP: "results.group_id"},
    47: {R.TOPIC: "topics.name"},
    60: {
        R.TEXT: "error_message",
        R.CLUSTER_ID: "cluster_id",
        R.HOST: "brokers.host",
        R.PORT: "brokers.port",
        R.RACK: "brokers.rack",
        R.SHOWN_NODE: "controller_id brokers.broker_id",
        R.OPERATIONS: "cluster_authorized_operations",
    },
    65: {
        R.TRANSACTION: "transaction_states.transactional_id",
        R.WORD: "transaction_states.transaction_state",
        R.PRODUCER: "transaction_states.producer_id",
        R.TOPIC: "transaction_states.topics.topic",
    },
    66: {
        R.TRANSACTION: "transaction_states.transactional_id",
        R.WORD: "unknown_state_filters transaction_states.transaction_state",
        R.PRODUCER: "transaction_states.producer_id",
    },
    68: {
        R.TEXT: "error_message",
        R.MEMBER: "member_id",
        R.TOPIC_ID: "assignment.topic_partitions.topic_id",
    },
    69: {
        R.TEXT: "groups.error_message",
        R.GROUP: "groups.group_id",
        R.WORD: "groups.group_state groups.assignor_name",
        R.MEMBER: "groups.members.member_id groups.members.instance_id groups.members.client_id",
        R.RACK: "groups.members.rack_id",
        R.BLANK: "groups.members.client_host",
        R.PATTERN: "groups.members.subscribed_topic_regex",
        R.TOPIC: (
            "groups.members.subscribed_topic_names groups.members.assignment.topic_partitions.topic_name"
            " groups.members.target_assignment.topic_partitions.topic_name"
        ),
        R.TOPIC_ID: (
            "groups.members.assignment.topic_partitions.topic_id"
            " groups.members.target_assignment.topic_partitions.topic_id"
        ),
        R.OPERATIONS: "groups.authorized_operations",
    },
    75: {
        R.TOPIC: "topics.name next_cursor.topic_name",
        R.TOPIC_ID: "topics.topic_id",
        R.SHOWN_NODE: "topics.partitions.leader_id",
        R.NODE: (
            "topics.partitions.replica_nodes topics.partitions.isr_nodes topics.partitions.eligible_leader_replicas"
            " topics.partitions.last_known_elr topics.partitions.offline_replicas"
        ),
        R.OPERATIONS: "topics.topic_authorized_operations",
    },
}

RULES: Final[Mapping[tuple[int, Side], Paths]] = {
    **{(key, REQUEST): _paths(rules) for key, rules in _REQUESTS.items()},
    **{(key, RESPONSE): _paths(rules) for key, rules in _RESPONSES.items()},
}

_NEEDS_RULE: Final = frozenset(("string", "bytes", "records", "uuid"))
_TELLING_NAME: Final = re.compile(
    r"(_id|_ids|_id_filters|_nodes|replicas?|elr|port|operations|leader|broker|session_\w+)$"
)


def needs_rule(spec: FieldSpec) -> bool:
    """True for what could hold a name, an id or an address: every text, blob and uuid, and numbers by their names."""
    if spec.kafka_type in _NEEDS_RULE or spec.semantic is not None:
        return True
    return "int" in spec.kafka_type and _TELLING_NAME.search(spec.name) is not None


def walk(struct: Struct, prefix: str = "") -> Iterator[tuple[str, FieldSpec]]:
    """(path, field) of a struct and everything nested in it."""
    for spec in struct.fields:
        yield prefix + spec.name, spec
        if spec.nested is not None:
            yield from walk(spec.nested, f"{prefix}{spec.name}.")
