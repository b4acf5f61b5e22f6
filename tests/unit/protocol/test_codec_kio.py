"""Our codec against kio's: the same bytes for the same message, on every API and version, in both directions.

kio's native decoder gets only bytes that a writer made: on damaged ones it can end the process.
"""

from dataclasses import fields
from datetime import datetime, timedelta
from enum import IntEnum
from io import BytesIO
from random import Random
from typing import Any
from uuid import UUID

import pytest
from kio.index import load_request_schema, load_response_schema
from kio.serial import entity_reader, entity_writer

from protocol.codec import decode, encode
from protocol.schema import API_NAMES, ZERO_ID, FieldSpec, Message, Struct
from tests.unit.protocol.messages import every_struct, random_message

MESSAGES_PER_STRUCT = 8

STRUCTS = tuple(every_struct())
BY_API = {key: tuple(entry for entry in STRUCTS if entry[0] == key) for key in API_NAMES}


def load_kio(key: int, version: int, kind: str) -> Any:
    return load_request_schema(key, version) if kind == "request" else load_response_schema(key, version)


def as_wire(spec: FieldSpec, value: Any) -> Any:
    """kio's value as our messages hold it."""
    if isinstance(value, tuple):
        return tuple(ZERO_ID if item is None else as_wire(spec, item) for item in value)
    if spec.nested is not None and value is not None:
        return as_message(spec.nested, value)
    match value:
        case None if spec.kafka_type == "uuid" and not spec.array:
            return ZERO_ID
        case UUID():
            return value.bytes
        case timedelta():
            return round(value.total_seconds() * 1000)
        case datetime():
            return round(value.timestamp() * 1000)
        case IntEnum():
            return int(value)
    return value


def as_message(struct: Struct, entity: Any) -> Message:
    assert {field.name for field in fields(entity)} == struct.names
    return struct.new(**{spec.name: as_wire(spec, getattr(entity, spec.name)) for spec in struct.fields})


def kio_bytes(entity: Any) -> bytes:
    buffer = BytesIO()
    entity_writer(type(entity))(buffer, entity)
    return buffer.getvalue()


@pytest.mark.parametrize("key", API_NAMES, ids=API_NAMES.get)
def test_the_same_bytes_as_kio(key: int) -> None:
    for _, version, kind, struct in BY_API[key]:
        entity_type = load_kio(key, version, kind)
        read: Any = entity_reader(entity_type)
        for seed in range(MESSAGES_PER_STRUCT):
            message = random_message(Random(f"{key} {version} {kind} {seed}"), struct)  # noqa: S311 - test data
            ours = bytes(encode(message))
            entity, size = read(ours, 0)
            assert size == len(ours), f"v{version} {kind}: kio reads {size} of {len(ours)} bytes"
            assert as_message(struct, entity) == message, f"v{version} {kind}"
            assert kio_bytes(entity) == ours, f"v{version} {kind}"
            assert decode(struct, ours) == message, f"v{version} {kind}"


@pytest.mark.parametrize("key", API_NAMES, ids=API_NAMES.get)
def test_defaults_survive_a_round_trip(key: int) -> None:
    for _, _, _, struct in BY_API[key]:
        assert decode(struct, bytes(encode(struct.new()))) == struct.new()
