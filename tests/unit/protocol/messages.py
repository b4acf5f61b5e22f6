"""Random messages of any API and version, drawn field by field from the schema."""

from collections.abc import Iterator
from copy import copy
from dataclasses import field
from functools import cache
from random import Random
from typing import Any, Final

from kio.schema.errors import ErrorCode as KioErrorCode

from protocol.schema import API_NAMES, FieldSpec, Message, Struct, known_versions, request_struct, response_struct

ERROR_CODES: Final = tuple(int(code) for code in KioErrorCode)
TEXTS: Final = ("", "a", "topic-a", "naïve ☃", "x" * 127, "y" * 300)
BLOBS: Final = (b"", b"\0", b"records", bytes(range(256)))
INTEGERS: Final = {"int8": 8, "int16": 16, "int32": 32, "int64": 64, "timedelta_i32": 32}
MILLISECONDS: Final = 10**12
"""Python's own dates and durations, in which kio holds them, end far below 64 bits."""


def every_struct() -> Iterator[tuple[int, int, str, Struct]]:
    """(key, version, "request" or "response", struct) of everything that kio knows."""
    for key in API_NAMES:
        low, high = known_versions(key)
        for version in range(low, high + 1):
            yield key, version, "request", request_struct(key, version)
            yield key, version, "response", response_struct(key, version)


def _integer(rng: Random, bits: int) -> int:
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    return rng.choice((0, 1, -1, low, high, rng.randint(low, high)))


def _scalar(rng: Random, kafka_type: str) -> Any:
    bits = INTEGERS.get(kafka_type)
    if bits is not None:
        return _integer(rng, bits)
    match kafka_type:
        case "bool":
            return rng.random() < 0.5
        case "uint16":
            return rng.randint(0, 0xFFFF)
        case "float64":
            return rng.choice((0.0, -1.5, 1e300))
        case "error_code":
            return rng.choice(ERROR_CODES)
        case "timedelta_i64" | "datetime_i64":
            return rng.randint(0, MILLISECONDS)
        case "uuid":
            return rng.choice((bytes(16), rng.randbytes(16)))
        case "string":
            return rng.choice(TEXTS)
        case "bytes" | "records":
            return rng.choice(BLOBS)
    raise AssertionError(f"no values for {kafka_type}")


def _value(rng: Random, spec: FieldSpec, items: int) -> Any:
    if spec.tag is not None and rng.random() < 0.4:
        return spec.default
    if spec.nullable and (spec.tag is None or spec.default is None) and rng.random() < 0.2:
        return None
    if not spec.array:
        return random_message(rng, spec.nested, items) if spec.nested is not None else _scalar(rng, spec.kafka_type)
    count = rng.randint(0, items)
    if spec.nested is not None:
        return tuple(random_message(rng, spec.nested, max(items - 1, 1)) for _ in range(count))
    return tuple(_scalar(rng, spec.kafka_type) for _ in range(count))


def random_message(rng: Random, struct: Struct, items: int = 3) -> Message:
    """A message with every field drawn; arrays have at most `items` elements, nested ones fewer."""
    return struct.new(**{spec.name: _value(rng, spec, items) for spec in struct.fields})


@cache
def with_unknown_tag(struct: Struct) -> Struct:
    """The same struct as a later version of Kafka might have it: one more tagged field at every level."""
    specs = []
    for spec in struct.fields:
        twin = copy(spec)
        if spec.nested is not None:
            twin.nested = with_unknown_tag(spec.nested)
            if not spec.array and not spec.nullable:
                twin.default = twin.nested.new()
        specs.append(twin)
    if struct.flexible:
        unknown: Any = field(default=b"", metadata={"tag": 70_000, "kafka_type": "bytes"})
        unknown.name, unknown.type = "unknown", bytes
        specs.append(FieldSpec(unknown))
    return Struct(struct.name, tuple(specs), struct.flexible)


def with_unknown_values(message: Message, value: bytes) -> Message:
    """The same message with that value in every unknown field."""
    twin = with_unknown_tag(message.struct)

    def convert(spec: FieldSpec, held: Any) -> Any:
        if spec.nested is None or held is None:
            return held
        return (
            tuple(with_unknown_values(one, value) for one in held) if spec.array else with_unknown_values(held, value)
        )

    values = {spec.name: convert(spec, getattr(message, spec.name)) for spec in message.struct.fields}
    return twin.fit(**values, unknown=value)


def as_known(struct: Struct, message: Message) -> Message:
    """The message without the unknown fields."""

    def convert(spec: FieldSpec, value: Any) -> Any:
        if spec.nested is None or value is None:
            return value
        if spec.array:
            return tuple(as_known(spec.nested, item) for item in value)
        return as_known(spec.nested, value)

    return struct.new(**{spec.name: convert(spec, getattr(message, spec.name)) for spec in struct.fields})
