"""Kafka's message definitions, compiled from kio's generated dataclasses into `Struct`s.

kio is the source of every API, version, field, type and tag. Its dataclasses are not used as values: a message here is
a plain object with slots, made by `Struct.new`, whose fields hold wire values (error codes and milliseconds as ints,
topic ids as 16 bytes). `codec` reads and writes them.
"""

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin

from kio.index import load_payload_module
from kio.schema.errors import ErrorCode as KioErrorCode
from kio.schema.index import api_key_map, schema_name_map
from kio.schema.types import GroupId, TopicName, TransactionalId
from kio.static.constants import EntityType

ZERO_ID: Final = bytes(16)
"""The zero uuid: no topic id."""

API_NAMES: Final[Mapping[int, str]] = api_key_map

Message = Any
"""An instance of some `Struct.type`. Fields differ by API and version, so they are checked by tests, not by types."""


class FieldSpec:
    """One field of a struct: its wire type, whether it is an array, nullable, tagged, and which struct it nests."""

    __slots__ = ("array", "default", "kafka_type", "name", "nested", "nullable", "semantic", "tag")

    def __init__(self, field: "Field[Any]") -> None:
        self.name = field.name
        self.tag: int | None = field.metadata.get("tag")
        inner, nullable = _strip_none(field.type)
        self.array = get_origin(inner) is tuple
        if self.array:
            inner, _ = _strip_none(get_args(inner)[0])
        self.nested: Struct | None = compile_struct(inner) if isinstance(inner, type) and is_dataclass(inner) else None
        self.kafka_type: str = field.metadata["kafka_type"] if self.nested is None else "struct"
        self.nullable = nullable and (self.array or self.kafka_type not in ("uuid", "datetime_i64"))
        self.semantic: type | None = inner if inner in (TopicName, GroupId, TransactionalId) else None
        self.default = self._default(field)

    def _default(self, field: "Field[Any]") -> Any:
        default = None if field.default is MISSING else field.default
        if self.array:
            return None if self.nullable and field.default is None else ()
        if self.nested is not None:
            return None if self.nullable else self.nested.new()
        return _wire_default(self.kafka_type, default, self.nullable)


class Struct:
    """One struct of one version: a message body or a struct nested in one."""

    __slots__ = ("fields", "flexible", "name", "names", "tagged", "type", "untagged")

    def __init__(self, name: str, specs: tuple[FieldSpec, ...], flexible: bool) -> None:
        self.name = name
        self.fields = specs
        self.names = frozenset(spec.name for spec in specs)
        self.flexible = flexible
        self.untagged = tuple(spec for spec in specs if spec.tag is None)
        self.tagged = {spec.tag: spec for spec in specs if spec.tag is not None}
        slots = tuple(spec.name for spec in specs)
        self.type = type(name, (_MessageBase,), {"__slots__": slots, "struct": self})

    def new(self, **values: Any) -> Message:
        """A message with these values; fields not given take their defaults. Unknown names raise TypeError."""
        message = self.type()
        for spec in self.fields:
            setattr(message, spec.name, values.pop(spec.name, spec.default))
        if values:
            raise TypeError(f"{self.name} has no field {', '.join(values)}")
        return message

    def fit(self, **values: Any) -> Message:
        """Like `new`, but for values written for the newest version: those that this version lacks are left out."""
        return self.new(**{name: value for name, value in values.items() if name in self.names})

    def nested(self, name: str) -> "Struct":
        """The struct of a nested field."""
        for spec in self.fields:
            if spec.name == name and spec.nested is not None:
                return spec.nested
        raise KeyError(f"{self.name} has no nested struct {name}")

    def __repr__(self) -> str:
        return f"Struct({self.name})"


class _MessageBase:
    __slots__ = ()
    struct: Struct

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.struct.names)

    __hash__ = None  # type: ignore[assignment]

    def copy(self) -> Message:
        """Another message with the same field values (nested ones are shared)."""
        return self.struct.new(**{name: getattr(self, name) for name in self.struct.names})

    def __repr__(self) -> str:
        values = ", ".join(f"{spec.name}={getattr(self, spec.name)!r}" for spec in self.struct.fields)
        return f"{self.struct.name}({values})"


def _strip_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) in (UnionType, Union):
        args = [arg for arg in get_args(annotation) if arg is not NoneType]
        return args[0], len(args) < len(get_args(annotation))
    return annotation, False


def _wire_default(kafka_type: str, default: Any, nullable: bool) -> Any:
    match kafka_type:
        case "error_code":
            return int(default) if isinstance(default, KioErrorCode) else 0
        case "timedelta_i32" | "timedelta_i64":
            return round(default.total_seconds() * 1000) if default is not None else 0
        case "datetime_i64":
            return -1
        case "uuid":
            return ZERO_ID
        case "string" | "bytes" | "records" if default is None:
            return None if nullable else ("" if kafka_type == "string" else b"")
        case "bool":
            return bool(default)
        case "float64":
            return float(default or 0)
        case "string" | "bytes" | "records":
            return default
        case _:
            return int(default or 0)


@cache
def compile_struct(entity: Any) -> Struct:
    """The struct of a kio dataclass (one object per class, so that identity means sameness)."""
    return Struct(entity.__name__, tuple(FieldSpec(field) for field in fields(entity)), entity.__flexible__)


@cache
def _body(api_key: int, version: int, kind: Any) -> Struct:
    module = load_payload_module(api_key, version, kind)
    for value in vars(module).values():
        if isinstance(value, type) and is_dataclass(value) and getattr(value, "__type__", None) is kind:
            return compile_struct(value)
    raise LookupError(f"{API_NAMES[api_key]} v{version} has no {kind.name}")


def request_struct(api_key: int, version: int) -> Struct:
    """The request body of an API version. Raises kio's UnknownEntity where kio doesn't know it."""
    return _body(api_key, version, EntityType.request)


def response_struct(api_key: int, version: int) -> Struct:
    """The response body of an API version. Raises kio's UnknownEntity where kio doesn't know it."""
    return _body(api_key, version, EntityType.response)


def known_versions(api_key: int) -> tuple[int, int]:
    """The lowest and highest version that kio knows of an API."""
    versions = schema_name_map[API_NAMES[api_key]].keys()
    return min(versions), max(versions)
