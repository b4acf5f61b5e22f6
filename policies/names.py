"""Which names are legal: Kafka's rule for topics, and ours for zones."""

import re

ZONE_NAME = re.compile(r"[0-9a-z_.-]{1,63}", re.ASCII)
"""A zone's technical id. No colon, which separates it from a group or transactional id upstream."""

PASSTHROUGH = "passthrough"
"""What sessions of the admin are called where others have a zone's name; so no zone may be called that."""

INTERNAL_TOPICS = frozenset(
    {
        "__consumer_offsets",
        "__transaction_state",
        "__share_group_state",
        "__cluster_metadata",
    }
)
"""Topics that hold Kafka's own state: never shared, whatever a zone asks for."""

STATE_TOPICS = "_zonegate"
"""What names of topics that hold zonegate's own state begin with."""

MAX_TOPIC_NAME = 249
"""Kafka's own limit: the name, a dash and a partition number must fit a file name of 255 bytes."""

_TOPIC_NAME = re.compile(r"[a-zA-Z0-9._-]+", re.ASCII)


def is_internal_topic(name: str) -> bool:
    """Whether it holds state of Kafka's or zonegate's own."""
    return name in INTERNAL_TOPICS or name.startswith(STATE_TOPICS)


def check_topic_name(name: str) -> str | None:
    """Why Kafka would refuse a topic of this name; None when it is legal."""
    if not name:
        return "a topic name cannot be empty"
    if name in (".", ".."):
        return f"{name!r} is not a legal topic name"
    if len(name) > MAX_TOPIC_NAME:
        return f"a topic name has at most {MAX_TOPIC_NAME} characters, this one has {len(name)}"
    if not _TOPIC_NAME.fullmatch(name):
        return f"{name!r} is not a legal topic name; use letters, digits, '.', '_' and '-' only"
    return None


def check_zone_name(name: str) -> str | None:
    """Why a zone cannot have this name; None when it can."""
    if name == PASSTHROUGH:
        return f"{name!r} is reserved for the admin's access to the cluster itself; choose another name"
    if ZONE_NAME.fullmatch(name):
        return None
    return f"{name!r} is not a zone name; use 1 to 63 lower-case letters, digits, '_', '.' and '-'"
