"""Answers made comparable: what no two clusters have in common is replaced by what it stands for.

Left out are throttle times. Replaced are addresses, ids of topics, clusters, members and producers, and error texts (by
whether there is one). Elements of a list are told apart by their names and numbers, not by their order, which is
Kafka's own business; the order in which the gateway answers is checked in `order`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from protocol.schema import ZERO_ID, Message, Struct
from tests.equivalence.names import UNKNOWN_ID
from tests.equivalence.side import Seat

IDENTITY = (
    "name", "topic", "topic_name", "topic_id", "group_id", "key", "transactional_id", "resource_type", "resource_name",
    "partition_index", "partition", "index", "partition_id", "node_id", "broker_id", "member_id", "batch_index", "user",
    "source", "entity_type",
)  # fmt: skip
"""The fields that tell which element of a list one is; elements without any are told apart by their place."""

NUMBERED = ("topic_id", "member_id")

TEXTS = ("error_message", "batch_index_error_message")
PLAIN_TEXTS = (None, "", "NONE")
"""Error messages that say nothing; Kafka has all three where there is no error."""
MEMBER = re.compile(r".*[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")

Plain = Any
"""None, bool, int, str, bytes, lists and dicts of these."""


class Normaliser:
    """For all answers of one scenario on one side."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._side = seat.side
        self._names: dict[tuple[str, object], str] = {}
        real = {topic_id: name for name, topic_id in self._side.real_ids.items() if name not in self._backing()}
        self._topics = {**real, **{topic_id: name for name, topic_id in self._side.ids[seat.role].items()}}

    def _backing(self) -> set[str]:
        """Backing topics whose real ids must not show."""
        return set(self._side.backing.values()) if self._side.prefixed else set()

    def plain(self, value: Any) -> Plain:
        if isinstance(value, Mapping):
            return {str(key): self.plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return self._list(value)
        if hasattr(value, "struct"):
            return self._message(value)
        return value

    def _message(self, message: Message) -> Plain:
        struct: Struct = message.struct
        values = {}
        for spec in struct.fields:
            if spec.name == "throttle_time":
                continue
            value = getattr(message, spec.name)
            replace = getattr(self, f"replace_{spec.name}", None)
            if spec.name in TEXTS:
                value = value if value in PLAIN_TEXTS else "a text"
            elif spec.kafka_type == "uuid" and isinstance(value, bytes):
                value = self._id(value)
            elif replace is not None:
                value = replace(value, message)
            values[spec.name] = self.plain(value)
        return values

    def _list(self, items: Sequence[Any]) -> Plain:
        if not items or not hasattr(items[0], "struct"):
            return [self.plain(item) for item in items]
        keyed: dict[str, Plain] = {}
        for place, item in enumerate(sorted(items, key=_raw_identity)):
            plain = self.plain(item)
            parts = [str(plain[name]) for name in IDENTITY if name in plain]
            key = "/".join(parts) if parts else str(place)
            while key in keyed:
                key += " again"
            keyed[key] = plain
        return keyed

    def _numbered(self, kind: str, value: object) -> str:
        """The same word for the same value, in the order of appearance."""
        if (kind, value) not in self._names:
            count = sum(known == kind for known, _ in self._names)
            self._names[kind, value] = f"{kind} {count + 1}"
        return self._names[kind, value]

    def _id(self, value: bytes) -> str:
        if value == ZERO_ID:
            return "no id"
        if value == UNKNOWN_ID:
            return "an unknown id"
        name = self._topics.get(value)
        return f"the id of {name}" if name is not None else f"an id of nothing, {value.hex()}"

    # by field name

    def replace_host(self, value: str, message: Message) -> str:
        node = getattr(message, "node_id", getattr(message, "broker_id", -1))
        ours = self._side.brokers.get(node)
        return "its address" if (value, message.port) == ours else value

    def replace_port(self, value: int, message: Message) -> object:
        return "its address" if self.replace_host(message.host, message) == "its address" else value

    def replace_cluster_id(self, value: str | None, _: Message) -> str | None:
        return "the cluster" if value == self._side.cluster_ids[self._seat.role] else value

    def replace_controller_id(self, value: int, _: Message) -> object:
        """Kafka without ZooKeeper names any of its brokers."""
        return "a broker" if value in self._side.brokers else value

    def replace_member_id(self, value: str | None, _: Message) -> str | None:
        return self._numbered("member", value) if value and MEMBER.match(value) else value

    replace_leader = replace_member_id

    def replace_producer_id(self, value: int, _: Message) -> object:
        return self._numbered("producer", value) if value >= 0 else value

    def replace_session_id(self, value: int, _: Message) -> object:
        return "a session" if value else value

    def replace_isr_nodes(self, value: Sequence[int], _: Message) -> Sequence[int]:
        return sorted(value)

    def replace_partitions(self, value: Sequence[Any], _: Message) -> Sequence[Any]:
        """Bare numbers have no order of their own."""
        return sorted(value) if value and isinstance(value[0], int) else value

    def replace_log_append_time(self, value: int, _: Message) -> object:
        return "a time" if value >= 0 else value

    replace_transaction_start_time = replace_log_append_time


def _raw_identity(item: Message) -> list[str]:
    """What is numbered in the order of appearance must appear in the same order on both sides."""
    names = [name for name in IDENTITY if name in item.struct.names and name not in NUMBERED]
    return [str(getattr(item, name)) for name in names]


def compare(kafka: Plain, ours: Plain, path: str = "") -> list[tuple[str, Plain, Plain]]:
    """Where the two differ: path, Kafka's value, ours. What one side lacks is ABSENT there."""
    if isinstance(kafka, dict) and isinstance(ours, dict):
        found = []
        for key in dict.fromkeys((*kafka, *ours)):
            found += compare(kafka.get(key, ABSENT), ours.get(key, ABSENT), f"{path}.{key}".lstrip("."))
        return found
    return [] if type(kafka) is type(ours) and kafka == ours else [(path, kafka, ours)]


ABSENT = "(nothing)"
