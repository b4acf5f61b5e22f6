"""Subscriptions and assignments as members of consumer groups write them, by kio's own writer and reader."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from kio.index import load_entity_module
from kio.serial import entity_reader, entity_writer
from kio.static.constants import EntityType

Owned = Sequence[tuple[str, Sequence[int]]]

VERSIONS = range(4)


def _types(name: str, version: int) -> Any:
    return load_entity_module(name, version, EntityType.data)


def _bytes(version: int, entity: Any) -> bytes:
    buffer = BytesIO()
    entity_writer(type(entity))(buffer, entity)
    return version.to_bytes(2, "big") + buffer.getvalue()


def _partitions(types: Any, partitions: Owned) -> tuple[Any, ...]:
    return tuple(types.TopicPartition(topic=topic, partitions=tuple(indexes)) for topic, indexes in partitions)


def subscription(
    version: int,
    topics: Sequence[str],
    owned: Owned = (),
    user_data: bytes | None = None,
    generation_id: int = -1,
    rack_id: str | None = None,
) -> bytes:
    """A subscription; what its version lacks is left out."""
    types = _types("consumer_protocol_subscription", version)
    values: dict[str, Any] = {"topics": tuple(topics), "user_data": user_data}
    if version >= 1:
        values["owned_partitions"] = _partitions(types, owned)
    if version >= 2:
        values["generation_id"] = generation_id
    if version >= 3:
        values["rack_id"] = rack_id
    return _bytes(version, types.ConsumerProtocolSubscription(**values))


def assignment(version: int, assigned: Owned, user_data: bytes | None = None) -> bytes:
    types = _types("consumer_protocol_assignment", version)
    entity = types.ConsumerProtocolAssignment(assigned_partitions=_partitions(types, assigned), user_data=user_data)
    return _bytes(version, entity)


def _read(name: str, version: int, data: bytes) -> Any:
    """As a coordinator does: by the blob's own version, higher ones as the highest, and no further than its fields."""
    assert version == int.from_bytes(data[:2], "big", signed=True)
    types = _types(name, min(version, VERSIONS[-1]))
    entity = types.ConsumerProtocolSubscription if "subscription" in name else types.ConsumerProtocolAssignment
    read: Any = entity_reader(entity)
    return read(data, 2)[0]


def read_subscription(data: bytes) -> tuple[list[str], list[tuple[str, list[int]]], dict[str, Any]]:
    """Topics, owned partitions and the other fields, as a coordinator reads them."""
    entity = _read("consumer_protocol_subscription", int.from_bytes(data[:2], "big", signed=True), data)
    owned = [(each.topic, list(each.partitions)) for each in getattr(entity, "owned_partitions", ())]
    others = {
        name: getattr(entity, name) for name in ("user_data", "generation_id", "rack_id") if hasattr(entity, name)
    }
    return list(entity.topics), owned, others


def read_assignment(data: bytes) -> tuple[list[tuple[str, list[int]]], bytes | None]:
    """Partitions and user data, as a coordinator reads them."""
    entity = _read("consumer_protocol_assignment", int.from_bytes(data[:2], "big", signed=True), data)
    return [(each.topic, list(each.partitions)) for each in entity.assigned_partitions], entity.user_data
