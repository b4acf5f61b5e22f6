"""What each refused or hidden API is asked, and the exact answer: data for test_refusals.

Request and answer are as the newest version has them; older versions lack some of the fields.
"""

from collections.abc import Mapping
from typing import Any, Final

from protocol.schema import ZERO_ID

Tree = Mapping[str, Any]

TEXTS: Final = {
    29: "Topic authorization failed.",
    30: "Group authorization failed.",
    31: "Cluster authorization failed.",
    35: "This API, or this version of it, is not supported.",
    42: "The request is not valid.",
    64: None,
    100: "This server does not host this topic ID.",
}


def error(code: int) -> dict[str, Any]:
    return {"error_code": code, "error_message": TEXTS[code]}


def created(name: str, code: int = 29) -> Tree:
    unknown = {"topic_id": ZERO_ID, "topic_config_error_code": 0, "num_partitions": -1, "replication_factor": -1}
    return {"name": name, **error(code), **unknown, "configs": ()}


def partition(index: int, code: int, name: str = "partition_index", **more: Any) -> Tree:
    return {name: index, **error(code), **more}


def deletable(*names: str) -> Tree:
    """The topics in the words of all versions: names, and from 6 on structs."""
    return {"topic_names": names, "topics": tuple({"name": name, "topic_id": ZERO_ID} for name in names)}


def deleted(name: str | None, code: int = 29, topic_id: bytes = ZERO_ID) -> Tree:
    return {"name": name, "topic_id": topic_id, **error(code)}


def resource(kind: int, name: str) -> Tree:
    value = {"name": "retention.ms", "config_operation": 0, "value": "1"}
    return {"resource_type": kind, "resource_name": name, "configs": (value,)}


def unaltered(kind: int, name: str, code: int) -> Tree:
    return {**error(code), "resource_type": kind, "resource_name": name}


def config_cases(logger: int) -> tuple[tuple[Tree, Tree, int], ...]:
    """Of either API; they differ in what they make of a broker's logger."""
    codes = {
        (2, "orders"): 29,
        (8, "1"): logger,
        (2, "elsewhere"): 29,
        (32, "readers"): 30,
        (4, "1"): 31,
        (4, ""): 31,
        (16, "m"): 31,
        (0, "x"): 42,
        (99, "y"): 42,
    }
    answers = tuple(unaltered(*each, code) for each, code in codes.items())
    return (
        ({"resources": ()}, {"responses": ()}, 0),
        ({"resources": tuple(resource(*each) for each in codes)}, {"responses": answers}, 9),
        (
            {"resources": (resource(2, "orders"), resource(4, "orders"), resource(2, "orders"))},
            {"responses": (unaltered(2, "orders", 42), unaltered(4, "orders", 31), unaltered(2, "orders", 42))},
            3,
        ),
    )


ACL: Final = {
    "resource_type": 2,
    "resource_name": "orders",
    "resource_pattern_type": 3,
    "principal": "User:somebody",
    "host": "*",
    "operation": 3,
    "permission_type": 3,
}
ACL_FILTER: Final = {
    "resource_type_filter": 2,
    "resource_name_filter": "orders",
    "pattern_type_filter": 3,
    "operation": 1,
    "permission_type": 1,
}
ENTITY: Final = (
    {"entity_type": "user", "entity_name": "somebody"},
    {"entity_type": "client-id", "entity_name": None},
)
QUOTA: Final = {"entity": ENTITY, "ops": ({"key": "producer_byte_rate", "value": 1.0, "remove": False},)}
NO_GROUP: Final = {
    "group_state": "",
    "group_epoch": 0,
    "assignment_epoch": 0,
    "members": (),
    "authorized_operations": -(1 << 31),
}
NO_TOKEN: Final = {
    "error_code": 64,
    "principal_type": "",
    "principal_name": "",
    "token_requester_principal_type": "",
    "token_requester_principal_name": "",
    "issue_timestamp": 0,
    "expiry_timestamp": 0,
    "max_timestamp": 0,
    "token_id": "",
    "hmac": b"",
}
TOPICS_OF_MARKERS: Final = ({"name": "b", "partition_indexes": (1, 0)}, {"name": "a", "partition_indexes": (0,)})
MARKER_ANSWERS: Final = (
    {"name": "b", "partitions": (partition(1, 31), partition(0, 31))},
    {"name": "a", "partitions": (partition(0, 31),)},
)
CREATIONS: Final = {"num_partitions": 1, "replication_factor": 1}

CASES: Final[Mapping[int, tuple[tuple[Tree, Tree, int], ...]]] = {
    19: (
        ({"topics": ()}, {"topics": ()}, 0),
        ({"topics": ({"name": "orders", **CREATIONS},)}, {"topics": (created("orders"),)}, 1),
        (
            {"topics": tuple({"name": name, **CREATIONS} for name in ("b", "a", "b"))},
            {"topics": (created("b", 42), created("a"))},
            2,
        ),
    ),
    20: (
        (deletable(), {"responses": ()}, 0),
        (deletable("stock"), {"responses": (deleted("stock"),)}, 1),
        (deletable("b", "orders", "b"), {"responses": (deleted("b", 42), deleted("orders"))}, 2),
    ),
    21: (
        ({"topics": ()}, {"topics": ()}, 0),
        ({"topics": ({"name": "a", "partitions": ()},)}, {"topics": ({"name": "a", "partitions": ()},)}, 0),
        (
            {
                "topics": (
                    {"name": "b", "partitions": tuple({"partition_index": n, "offset": 5} for n in (1, 0))},
                    {"name": "orders", "partitions": ({"partition_index": 0, "offset": -1},)},
                )
            },
            {
                "topics": (
                    {"name": "b", "partitions": tuple(partition(n, 29, low_watermark=-1) for n in (1, 0))},
                    {"name": "orders", "partitions": (partition(0, 29, low_watermark=-1),)},
                )
            },
            3,
        ),
    ),
    27: (
        ({"markers": ()}, {"markers": ()}, 0),
        (
            {
                "markers": tuple(
                    {"producer_id": n, "topics": TOPICS_OF_MARKERS, "producer_epoch": 0, "coordinator_epoch": 0}
                    for n in (2, 1)
                )
            },
            {"markers": tuple({"producer_id": n, "topics": MARKER_ANSWERS} for n in (2, 1))},
            6,
        ),
    ),
    29: (({"operation": 1}, {**error(31), "resources": ()}, 1),),
    30: (
        ({"creations": ()}, {"results": ()}, 0),
        ({"creations": (ACL, {**ACL, "resource_name": "b"}, ACL)}, {"results": (error(31),) * 3}, 3),
    ),
    31: (
        ({"filters": ()}, {"filter_results": ()}, 0),
        ({"filters": (ACL_FILTER,) * 2}, {"filter_results": ({**error(31), "matching_acls": ()},) * 2}, 2),
    ),
    33: config_cases(logger=42),
    34: (
        ({"dirs": ()}, {"results": ()}, 0),
        (
            {
                "dirs": (
                    {"path": "/x", "topics": ({"name": "b", "partitions": (1, 0)},)},
                    {"path": "/y", "topics": ({"name": "orders", "partitions": (0,)},)},
                )
            },
            {
                "results": (
                    {"topic_name": "b", "partitions": (partition(1, 31), partition(0, 31))},
                    {"topic_name": "orders", "partitions": (partition(0, 31),)},
                )
            },
            3,
        ),
    ),
    35: tuple(
        ({"topics": topics}, {"error_code": 31, "results": ()}, 1)
        for topics in (None, (), ({"topic": "orders", "partitions": (0,)},))
    ),
    37: (
        ({"topics": ()}, {"results": ()}, 0),
        (
            {"topics": tuple({"name": name, "count": 4, "assignments": None} for name in ("b", "orders", "b"))},
            {"results": ({"name": "b", **error(42)}, {"name": "orders", **error(29)})},
            2,
        ),
    ),
    38: (({"renewers": (), "max_lifetime": 1}, NO_TOKEN, 1),),
    39: (({"hmac": b"secret"}, {"error_code": 64, "expiry_timestamp": 0}, 1),),
    40: (({"hmac": b"secret"}, {"error_code": 64, "expiry_timestamp": 0}, 1),),
    41: tuple(({"owners": owners}, {"error_code": 64, "tokens": ()}, 1) for owners in (None, ())),
    43: (
        ({"topic_partitions": None}, {**error(31), "replica_election_results": ()}, 1),
        ({"topic_partitions": ()}, {**error(31), "replica_election_results": ()}, 1),
        (
            {"topic_partitions": ({"topic": "b", "partitions": (1, 0)}, {"topic": "orders", "partitions": (0,)})},
            {
                **error(31),
                "replica_election_results": (
                    {"topic": "b", "partition_result": tuple(partition(n, 31, "partition_id") for n in (1, 0))},
                    {"topic": "orders", "partition_result": (partition(0, 31, "partition_id"),)},
                ),
            },
            3,
        ),
    ),
    44: config_cases(logger=31),
    45: (
        ({"topics": ()}, {**error(31), "responses": (), "allow_replication_factor_change": True}, 1),
        (
            {"topics": ({"name": "b", "partitions": ({"partition_index": 1, "replicas": (2,)},)},)},
            {
                **error(31),
                "responses": ({"name": "b", "partitions": (partition(1, 31),)},),
                "allow_replication_factor_change": True,
            },
            1,
        ),
    ),
    46: (
        *(({"topics": topics}, {**error(31), "topics": ()}, 1) for topics in (None, ())),
        (
            {"topics": ({"name": "orders", "partition_indexes": (1, 0)},)},
            {
                **error(31),
                "topics": (
                    {
                        "name": "orders",
                        "partitions": tuple(
                            {"partition_index": n, "replicas": (), "adding_replicas": (), "removing_replicas": ()}
                            for n in (1, 0)
                        ),
                    },
                ),
            },
            2,
        ),
    ),
    48: (({"components": ()}, {**error(31), "entries": None}, 1),),
    49: (
        ({"entries": ()}, {"entries": ()}, 0),
        ({"entries": (QUOTA,) * 2}, {"entries": ({**error(31), "entity": ENTITY},) * 2}, 2),
    ),
    50: tuple(
        ({"users": users}, {**error(31), "results": ()}, 1) for users in (None, (), ({"name": "a"}, {"name": "b"}))
    ),
    51: (
        ({"deletions": (), "upsertions": ()}, {"results": ()}, 0),
        (
            {
                "deletions": ({"name": "b", "mechanism": 1}, {"name": "a", "mechanism": 1}),
                "upsertions": tuple(
                    {"name": name, "mechanism": 2, "iterations": 4096, "salt": b"s", "salted_password": b"p"}
                    for name in ("c", "b")
                ),
            },
            {"results": tuple({"user": user, **error(31)} for user in ("b", "a", "c"))},
            3,
        ),
    ),
    55: (({"topics": ()}, {**error(31), "topics": (), "nodes": ()}, 1),),
    57: (({"feature_updates": ()}, {**error(31), "results": ()}, 1),),
    61: (
        ({"topics": ()}, {"topics": ()}, 0),
        (
            {"topics": ({"name": "orders", "partition_indexes": (1, 0)}, {"name": "b", "partition_indexes": (0,)})},
            {
                "topics": (
                    {"name": "orders", "partitions": tuple(partition(n, 29, active_producers=()) for n in (1, 0))},
                    {"name": "b", "partitions": (partition(0, 29, active_producers=()),)},
                )
            },
            3,
        ),
    ),
    64: (({"broker_id": 1}, error(31), 1),),
    71: (
        (
            {"client_instance_id": b"i" * 16},
            {
                "error_code": 35,
                "client_instance_id": ZERO_ID,
                "subscription_id": 0,
                "accepted_compression_types": (),
                "push_interval": 0,
                "telemetry_max_bytes": 0,
                "delta_temporality": False,
                "requested_metrics": (),
            },
            1,
        ),
    ),
    72: (({"client_instance_id": b"i" * 16, "metrics": b"m"}, {"error_code": 35}, 1),),
    74: (({"resource_types": ()}, {"error_code": 31, "config_resources": ()}, 1),),
    76: (
        (
            {"group_id": "readers", "member_id": "m", "subscribed_topic_names": ("orders",)},
            {**error(35), "member_id": None, "member_epoch": 0, "heartbeat_interval": 0, "assignment": None},
            1,
        ),
    ),
    77: (
        ({"group_ids": ()}, {"groups": ()}, 0),
        (
            {"group_ids": ("b", "a", "b")},
            {"groups": tuple({**error(35), "group_id": g, "assignor_name": "", **NO_GROUP} for g in ("b", "a", "b"))},
            3,
        ),
    ),
    78: (
        (
            {"group_id": "readers", "topics": ({"topic_id": b"t" * 16, "partitions": ({"partition_index": 0},)},)},
            {**error(35), "acquisition_lock_timeout": 0, "responses": (), "node_endpoints": ()},
            1,
        ),
    ),
    79: (
        (
            {"group_id": "readers", "topics": ()},
            {**error(35), "acquisition_lock_timeout": 0, "responses": (), "node_endpoints": ()},
            1,
        ),
    ),
    80: (({"voter_id": 4}, error(31), 1),),
    81: (({"voter_id": 4}, error(31), 1),),
    88: (
        (
            {"group_id": "app", "member_id": "m"},
            {
                **error(35),
                "member_id": "",
                "member_epoch": 0,
                "heartbeat_interval": 0,
                "acceptable_recovery_lag": 0,
                "task_offset_interval": 0,
                "status": (),
                "active_tasks": None,
                "standby_tasks": None,
                "warmup_tasks": None,
                "endpoint_information_epoch": 0,
                "partitions_by_user_endpoint": None,
            },
            1,
        ),
    ),
    89: (
        ({"group_ids": ()}, {"groups": ()}, 0),
        (
            {"group_ids": ("b", "a")},
            {"groups": tuple({**error(35), "group_id": g, "topology": None, **NO_GROUP} for g in ("b", "a"))},
            2,
        ),
    ),
    90: (
        ({"groups": ()}, {"groups": ()}, 0),
        (
            {"groups": ({"group_id": "b", "topics": None}, {"group_id": "a", "topics": ()})},
            {"groups": tuple({**error(35), "group_id": group, "topics": ()} for group in ("b", "a"))},
            2,
        ),
    ),
    91: (({"group_id": "readers", "topics": ()}, {**error(35), "responses": ()}, 1),),
    92: (({"group_id": "readers", "topics": ()}, {**error(35), "responses": ()}, 1),),
}
"""key -> (request, answer, refusals counted); null, nothing, one and several, repeated ones too."""
