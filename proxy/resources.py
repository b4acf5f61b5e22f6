"""What a refused request was about, in the words of Kafka's ACLs: a resource, and the operation that it takes.

Only refusals look here; nothing decides by it.
"""

import enum
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Final, NamedTuple

from protocol.schema import ZERO_ID


class ResourceType(enum.StrEnum):
    TOPIC = "topic"
    GROUP = "group"
    TRANSACTIONAL_ID = "transactional_id"
    CLUSTER = "cluster"
    NONE = ""


class Resource(NamedTuple):
    """As the client named it: a topic by its alias, or by an id that is no alias's."""

    type: ResourceType
    name: str = ""
    topic_id: bytes = ZERO_ID


_CONFIG_TYPES: Final[Mapping[int, ResourceType]] = {
    2: ResourceType.TOPIC,
    32: ResourceType.GROUP,
    4: ResourceType.CLUSTER,
    8: ResourceType.CLUSTER,
    16: ResourceType.CLUSTER,
}
"""TOPIC, GROUP; BROKER, BROKER_LOGGER, CLIENT_METRICS."""

CLUSTER: Final = Resource(ResourceType.CLUSTER)
NOTHING: Final = Resource(ResourceType.NONE)
"""For what Kafka has no ACLs."""


def topic(name: str | None, topic_id: bytes = ZERO_ID) -> Resource:
    """The name is enough where there is one."""
    return Resource(ResourceType.TOPIC, name) if name else Resource(ResourceType.TOPIC, "", topic_id)


def topic_id_text(topic_id: bytes) -> str:
    """As Kafka's tools print a topic id."""
    return urlsafe_b64encode(topic_id).decode().rstrip("=")


def of_config(kind: int, name: str) -> Resource:
    """What the configuration APIs name, by their own numbers of types."""
    return Resource(_CONFIG_TYPES.get(kind, ResourceType.NONE), name)


def group(name: str) -> Resource:
    return Resource(ResourceType.GROUP, name)


def transaction(name: str) -> Resource:
    return Resource(ResourceType.TRANSACTIONAL_ID, name)


_T, _G, _X, _C = ResourceType.TOPIC, ResourceType.GROUP, ResourceType.TRANSACTIONAL_ID, ResourceType.CLUSTER

_OPERATIONS: Final[Mapping[int, Mapping[ResourceType, str]]] = {
    0: {_T: "WRITE", _X: "WRITE"},
    1: {_T: "READ"},
    2: {_T: "DESCRIBE"},
    3: {_T: "DESCRIBE"},
    8: {_G: "READ", _T: "READ"},
    9: {_G: "DESCRIBE", _T: "DESCRIBE"},
    10: {_G: "DESCRIBE", _X: "DESCRIBE"},
    11: {_G: "READ"},
    12: {_G: "READ"},
    13: {_G: "READ"},
    14: {_G: "READ"},
    15: {_G: "DESCRIBE"},
    19: {_T: "CREATE"},
    20: {_T: "DELETE"},
    21: {_T: "DELETE"},
    22: {_X: "WRITE", _C: "IDEMPOTENT_WRITE"},
    23: {_T: "DESCRIBE"},
    24: {_X: "WRITE", _T: "WRITE"},
    25: {_X: "WRITE", _G: "READ"},
    26: {_X: "WRITE"},
    27: {_C: "CLUSTER_ACTION"},
    28: {_X: "WRITE", _G: "READ", _T: "READ"},
    29: {_C: "DESCRIBE"},
    30: {_C: "ALTER"},
    31: {_C: "ALTER"},
    32: {_T: "DESCRIBE_CONFIGS", _G: "DESCRIBE_CONFIGS", _C: "DESCRIBE_CONFIGS"},
    33: {_T: "ALTER_CONFIGS", _G: "ALTER_CONFIGS", _C: "ALTER_CONFIGS"},
    34: {_C: "ALTER"},
    35: {_C: "DESCRIBE"},
    37: {_T: "ALTER"},
    42: {_G: "DELETE"},
    43: {_C: "ALTER"},
    44: {_T: "ALTER_CONFIGS", _G: "ALTER_CONFIGS", _C: "ALTER_CONFIGS"},
    45: {_C: "ALTER"},
    46: {_C: "DESCRIBE"},
    47: {_G: "DELETE", _T: "READ"},
    48: {_C: "DESCRIBE_CONFIGS"},
    49: {_C: "ALTER_CONFIGS"},
    50: {_C: "DESCRIBE"},
    51: {_C: "ALTER"},
    55: {_C: "DESCRIBE"},
    57: {_C: "ALTER"},
    60: {_C: "DESCRIBE"},
    61: {_T: "READ"},
    64: {_C: "ALTER"},
    65: {_X: "DESCRIBE"},
    66: {_X: "DESCRIBE"},
    68: {_G: "READ", _T: "DESCRIBE"},
    69: {_G: "DESCRIBE"},
    74: {_C: "DESCRIBE_CONFIGS"},
    75: {_T: "DESCRIBE"},
    76: {_G: "READ"},
    77: {_G: "DESCRIBE"},
    78: {_G: "READ"},
    79: {_G: "READ"},
    80: {_C: "ALTER"},
    81: {_C: "ALTER"},
    88: {_G: "READ"},
    89: {_G: "DESCRIBE"},
    90: {_G: "DESCRIBE"},
    91: {_G: "READ"},
    92: {_G: "DELETE"},
}
"""API key -> what Kafka's broker authorises it for. Not here: what it asks no permission for (telemetry, tokens)."""


def operation(api_key: int, resource: Resource) -> str:
    """The ACL operation that the API takes on such a resource; empty where Kafka knows none."""
    return _OPERATIONS.get(api_key, {}).get(resource.type, "")
