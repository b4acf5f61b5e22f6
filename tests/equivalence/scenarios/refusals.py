"""What only administrators may do: as a user without any such permission. Nothing is changed on either side."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.equivalence.apis import Api
from tests.equivalence.names import GHOST, ILLEGAL, ORDERS, PRICES, SECRET, UNKNOWN_ID, VANISHED, WITHHELD
from tests.equivalence.scenario import ALL_VERSIONS, Scenario, asks
from tests.equivalence.side import Seat

NAMES = (SECRET, ORDERS, GHOST, PRICES, VANISHED, WITHHELD)
BY_NAME, BY_ID = (0, 5), (6, 99)
TIMEOUT = {"timeout": 10_000}

Fields = Mapping[str, Any] | Callable[[Seat], Mapping[str, Any]]


def refused(api: Api, name: str, fields: Fields, versions: tuple[int, int] = ALL_VERSIONS) -> Scenario:
    return asks(api, name, lambda seat: fields(seat) if callable(fields) else fields, versions=versions)


# topics


def new_topics(*names: str) -> Sequence[Mapping[str, Any]]:
    return [{"name": name, "num_partitions": 1, "replication_factor": 1} for name in names]


def ids(seat: Seat) -> Mapping[str, Any]:
    known = [{"topic_id": seat.topic_id(name), "name": None} for name in (ORDERS, PRICES)]
    return {"topics": [known[0], {"topic_id": UNKNOWN_ID, "name": None}, known[1]], **TIMEOUT}


def ungranted_id(seat: Seat) -> Mapping[str, Any]:
    return {"topics": [{"topic_id": seat.topic_id(SECRET), "name": None}], **TIMEOUT}


def counts(*names: str) -> Sequence[Mapping[str, Any]]:
    return [{"name": name, "count": 9, "assignments": None} for name in names]


def ends(*names: str) -> Sequence[Mapping[str, Any]]:
    return [{"name": name, "partitions": [{"partition_index": n, "offset": -1} for n in (1, 0)]} for name in names]


TOPICS = (
    refused(Api.CREATE_TOPICS, "new", {"topics": new_topics("fresh", "frank"), **TIMEOUT}),
    refused(Api.CREATE_TOPICS, "known", {"topics": new_topics(*NAMES, ILLEGAL, ""), **TIMEOUT}),
    refused(Api.CREATE_TOPICS, "twice", {"topics": new_topics("fresh", "fresh", "frank"), **TIMEOUT}),
    refused(Api.CREATE_TOPICS, "only-tried", {"topics": new_topics("fresh"), "validate_only": True, **TIMEOUT}),
    refused(Api.CREATE_TOPICS, "nothing", {"topics": [], **TIMEOUT}),
    refused(Api.DELETE_TOPICS, "names", {"topic_names": NAMES, **TIMEOUT}, BY_NAME),
    refused(Api.DELETE_TOPICS, "name-twice", {"topic_names": (ORDERS, ORDERS), **TIMEOUT}, BY_NAME),
    refused(Api.DELETE_TOPICS, "names-or-ids", {"topics": [{"name": name} for name in NAMES], **TIMEOUT}, BY_ID),
    refused(Api.DELETE_TOPICS, "ids", ids, BY_ID),
    refused(Api.DELETE_TOPICS, "ungranted-id", ungranted_id, BY_ID),
    refused(Api.DELETE_TOPICS, "nothing", {"topics": [], "topic_names": [], **TIMEOUT}),
    refused(Api.DELETE_RECORDS, "several", {"topics": ends(*NAMES), **TIMEOUT}),
    refused(Api.DELETE_RECORDS, "nothing", {"topics": [], **TIMEOUT}),
    refused(Api.CREATE_PARTITIONS, "several", {"topics": counts(*NAMES), **TIMEOUT}),
    refused(Api.CREATE_PARTITIONS, "twice", {"topics": counts(ORDERS, ORDERS), **TIMEOUT}),
    refused(Api.CREATE_PARTITIONS, "nothing", {"topics": [], **TIMEOUT}),
    refused(
        Api.DESCRIBE_PRODUCERS,
        "ungranted",
        {"topics": [{"name": n, "partition_indexes": [1, 0]} for n in (SECRET, GHOST)]},
    ),
    refused(Api.DESCRIBE_PRODUCERS, "several", {"topics": [{"name": n, "partition_indexes": [1, 0]} for n in NAMES]}),
    refused(Api.DESCRIBE_PRODUCERS, "nothing", {"topics": []}),
)

# ACLs, quotas, users


def acl(name: str = ORDERS, kind: int = 2, operation: int = 3) -> Mapping[str, Any]:
    return {
        "resource_type": kind,
        "resource_name": name,
        "resource_pattern_type": 3,
        "principal": "User:partner",
        "host": "*",
        "operation": operation,
        "permission_type": 3,
    }


EVERY_ACL = {"resource_type_filter": 1, "pattern_type_filter": 1, "operation": 1, "permission_type": 1}
ONE_ACL = {**EVERY_ACL, "resource_type_filter": 2, "resource_name_filter": ORDERS, "pattern_type_filter": 3}
QUOTA = {
    "entity": [{"entity_type": "user", "entity_name": "partner"}],
    "ops": [{"key": "producer_byte_rate", "value": 1.0}],
}
OTHER_QUOTA = {"entity": [{"entity_type": "client-id", "entity_name": None}], "ops": []}
SALT = {"salt": b"salt", "salted_password": b"password"}

USERS = (
    refused(Api.DESCRIBE_ACLS, "all", EVERY_ACL),
    refused(Api.DESCRIBE_ACLS, "one", ONE_ACL),
    refused(Api.CREATE_ACLS, "several", {"creations": [acl(), acl(SECRET), acl("kafka-cluster", 4, 12), acl("g", 3)]}),
    refused(Api.CREATE_ACLS, "nothing", {"creations": []}),
    refused(Api.DELETE_ACLS, "several", {"filters": [ONE_ACL, EVERY_ACL, ONE_ACL]}),
    refused(Api.DELETE_ACLS, "nothing", {"filters": []}),
    refused(Api.DESCRIBE_CLIENT_QUOTAS, "all", {"components": [], "strict": False}),
    refused(
        Api.DESCRIBE_CLIENT_QUOTAS,
        "one",
        {"components": [{"entity_type": "user", "match_type": 0, "match": "partner"}]},
    ),
    refused(Api.ALTER_CLIENT_QUOTAS, "several", {"entries": [QUOTA, OTHER_QUOTA]}),
    refused(Api.ALTER_CLIENT_QUOTAS, "nothing", {"entries": []}),
    refused(Api.DESCRIBE_USER_SCRAM_CREDENTIALS, "some", {"users": [{"name": "partner"}, {"name": "nobody"}]}),
    refused(
        Api.ALTER_USER_SCRAM_CREDENTIALS,
        "several",
        {
            "deletions": [{"name": "partner", "mechanism": 1}, {"name": "nobody", "mechanism": 2}],
            "upsertions": [{"name": "other", "mechanism": 1, "iterations": 4096, **SALT}],
        },
    ),
    refused(
        Api.ALTER_USER_SCRAM_CREDENTIALS,
        "user-twice",
        {"deletions": [{"name": "partner", "mechanism": 1}, {"name": "partner", "mechanism": 2}], "upsertions": []},
    ),
    refused(Api.ALTER_USER_SCRAM_CREDENTIALS, "nothing", {"deletions": [], "upsertions": []}),
)

# configurations

TOPIC, BROKER, LOGGER, METRICS, GROUP = 2, 4, 8, 16, 32
RESOURCES = (
    (TOPIC, ORDERS),
    (BROKER, "1"),
    (TOPIC, SECRET),
    (LOGGER, "1"),
    (TOPIC, GHOST),
    (GROUP, "pa-group"),
    (METRICS, "any"),
    (BROKER, ""),
)
ODD_RESOURCES = ((7, "x"), (TOPIC, ORDERS))


def settings(resources: Sequence[tuple[int, str]], value: str = "1") -> Mapping[str, Any]:
    return {
        "resources": [
            {"resource_type": kind, "resource_name": name, "configs": [{"name": "retention.ms", "value": value}]}
            for kind, name in resources
        ]
    }


CONFIGS = tuple(
    refused(api, name, fields)
    for api in (Api.ALTER_CONFIGS, Api.INCREMENTAL_ALTER_CONFIGS)
    for name, fields in (
        ("several", settings(RESOURCES)),
        ("unheard-of", settings(ODD_RESOURCES)),
        ("empty-names", settings(((TOPIC, ""), (GROUP, "")))),
        ("only-tried", {**settings(RESOURCES[:3]), "validate_only": True}),
        ("nothing", settings(())),
    )
)

# partitions' places

MOVES = [{"name": name, "partitions": [{"partition_index": n, "replicas": [1]} for n in (1, 0)]} for name in NAMES]

PLACES = (
    refused(Api.DESCRIBE_LOG_DIRS, "all", {"topics": None}),
    refused(Api.DESCRIBE_LOG_DIRS, "some", {"topics": [{"topic": name, "partitions": [0]} for name in NAMES]}),
    refused(Api.ELECT_LEADERS, "all", {"topic_partitions": None, **TIMEOUT}),
    refused(
        Api.ELECT_LEADERS, "some", {"topic_partitions": [{"topic": n, "partitions": [1, 0]} for n in NAMES], **TIMEOUT}
    ),
    refused(Api.ALTER_PARTITION_REASSIGNMENTS, "some", {"topics": MOVES, **TIMEOUT}),
    refused(Api.ALTER_PARTITION_REASSIGNMENTS, "nothing", {"topics": [], **TIMEOUT}),
    refused(Api.LIST_PARTITION_REASSIGNMENTS, "all", {"topics": None, **TIMEOUT}),
    refused(
        Api.LIST_PARTITION_REASSIGNMENTS,
        "some",
        {"topics": [{"name": name, "partition_indexes": [0]} for name in NAMES], **TIMEOUT},
    ),
)

SCENARIOS = (*TOPICS, *USERS, *CONFIGS, *PLACES)
