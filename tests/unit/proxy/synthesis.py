"""Messages of any API and version, made from the schema: names where `field_rules` says so, canaries everywhere else.

A `Cast` has the names that appear; a `Canaries` remembers which of its values must not cross the gateway.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from protocol.schema import FieldSpec, Message, Struct
from tests.unit.proxy import blobs
from tests.unit.proxy.field_rules import PASSING, Paths, Rule

DEFAULT: Final = object()
"""As an override: the schema's own default."""
INDEXES: Final = (0, 1)
INDEX_NAMES: Final = frozenset(("partition_index", "partition", "index"))
SYNONYM_SOURCES: Final = range(1, 7)
SHOWN_SYNONYMS: Final = (1, 5)
REAL_PORT: Final = 9092
OTHER_NUMBERS: Final[Mapping[Rule, int]] = {
    Rule.PORT: REAL_PORT,
    Rule.OPERATIONS: 0xFFF,
    Rule.SESSION: 4711,
    Rule.REPLICA: 5,
    Rule.DROPPED: 3,
    Rule.PRODUCER: 4711,
}


@dataclass(frozen=True, slots=True)
class Cast:
    """Who appears in a message."""

    topics: tuple[tuple[str, bytes], ...]
    """(name, id)"""
    groups: tuple[str, ...]
    transactions: tuple[str, ...]
    coordinators: tuple[str, ...]
    resources: tuple[tuple[int, str], ...]
    """(type, name)"""
    nodes: tuple[int, ...] = (1, 2)
    error: int = 0
    """In the entries of a response."""
    failure: int = 0
    """At its top level."""

    def __add__(self, other: "Cast") -> "Cast":
        """Both casts, each name once; numbers are those of the second."""
        return replace(
            other,
            topics=_both(self.topics, other.topics),
            groups=_both(self.groups, other.groups),
            transactions=_both(self.transactions, other.transactions),
            coordinators=_both(self.coordinators, other.coordinators),
            resources=_both(self.resources, other.resources),
        )

    def of(self, rule: Rule) -> tuple[Any, ...]:
        return {
            Rule.TOPIC: self.topics,
            Rule.GROUP: self.groups,
            Rule.TRANSACTION: self.transactions,
            Rule.COORDINATOR: self.coordinators,
            Rule.RESOURCE: self.resources,
            Rule.HOST: self.nodes,
        }[rule]


def _both(one: tuple[Any, ...], other: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys((*one, *other)))


@dataclass(slots=True)
class Canaries:
    """Values that occur nowhere else."""

    label: str
    forbidden: dict[bytes, str] = field(default_factory=dict)
    """What must not cross -> what it is."""
    _count: int = 0

    def forbid(self, value: str | bytes, what: str) -> None:
        self.forbidden[value.encode() if isinstance(value, str) else value] = what

    def value(self, kafka_type: str, path: str, may_pass: bool) -> Any:
        """The next canary of a wire type."""
        self._count += 1
        text = f"{self.label}-canary-{self._count:04d}-"
        value: Any = text
        if kafka_type == "uuid":
            value = topic_id(text)
        elif kafka_type in ("bytes", "records"):
            value = text.encode()
        if not may_pass:
            self.forbid(value, path)
        return value

    def found_in(self, data: bytes, said_before: bytes = b"") -> list[str]:
        """What crossed nevertheless, except what the receiver has said itself."""
        return sorted(
            f"{what}: {value!r}" for value, what in self.forbidden.items() if value in data and value not in said_before
        )


def topic_id(name: str) -> bytes:
    """An id that belongs to nothing but this name."""
    return hashlib.sha256(name.encode()).digest()[:16]


Keys = Mapping[Rule | str, Any]


class Synthesis:
    """Fills structs by rules. `overrides` has values for whole fields, by path."""

    def __init__(self, rules: Paths, cast: Cast, canaries: Canaries, overrides: Mapping[str, Any]) -> None:
        self._rules = rules
        self._cast = cast
        self._canaries = canaries
        self._overrides = overrides

    def message(self, struct: Struct) -> Message:
        return self._struct(struct, "", {})

    def _struct(self, struct: Struct, prefix: str, keys: Keys) -> Message:
        return struct.new(**{spec.name: self._field(spec, prefix + spec.name, keys) for spec in struct.fields})

    def _field(self, spec: FieldSpec, path: str, keys: Keys) -> Any:
        if path in self._overrides:
            value = self._overrides[path]
            return spec.default if value is DEFAULT else value
        if spec.nested is None:
            return self._several(spec, path) if spec.array else self._one(spec, path, keys)
        if not spec.array:
            return self._struct(spec.nested, f"{path}.", keys)
        return tuple(
            self._struct(spec.nested, f"{path}.", {**keys, **entry}) for entry in self._entries(spec.nested, f"{path}.")
        )

    def _entries(self, struct: Struct, prefix: str) -> Sequence[Keys]:
        """What tells the entries of an array apart: one entry for each of the cast, for each index, else two."""
        rules = {self._rules.get(prefix + spec.name) for spec in struct.fields}
        if Rule.TOPIC_ID in rules:
            rules.add(Rule.TOPIC)
        for rule in (Rule.TOPIC, Rule.GROUP, Rule.TRANSACTION, Rule.COORDINATOR, Rule.RESOURCE, Rule.HOST):
            if rule in rules:
                return [{rule: one} for one in self._cast.of(rule)]
        if Rule.SYNONYM in rules:
            return [{"source": source} for source in SYNONYM_SOURCES]
        return [{"index": index} for index in INDEXES]

    def _several(self, spec: FieldSpec, path: str) -> tuple[Any, ...]:
        rule = self._rules.get(path)
        if rule in (Rule.TOPIC, Rule.GROUP, Rule.TRANSACTION, Rule.COORDINATOR):
            return tuple(self._one(spec, path, {rule: one}) for one in self._cast.of(rule))
        if rule is Rule.NODE:
            return self._cast.nodes
        if rule is None:
            return INDEXES
        return tuple(self._one(spec, path, {}) for _ in range(2))

    def _one(self, spec: FieldSpec, path: str, keys: Keys) -> Any:
        rule = self._rules.get(path)
        if rule is None:
            return self._unruled(spec, path, keys)
        if rule in (Rule.TOPIC, Rule.TOPIC_ID):
            return keys.get(Rule.TOPIC, self._cast.topics[0])[rule is Rule.TOPIC_ID]
        if rule in (Rule.GROUP, Rule.TRANSACTION, Rule.COORDINATOR):
            return keys.get(rule, self._cast.of(rule)[0])
        if rule is Rule.RESOURCE:
            return keys[rule][1]
        if rule in (Rule.NODE, Rule.SHOWN_NODE):
            return keys.get(Rule.HOST, self._cast.nodes[-1])
        if rule is Rule.BLOB:
            return self._blob(spec, path)
        if spec.name == "protocol_type":
            return "consumer"
        if spec.kafka_type == "bool":
            return True
        if spec.kafka_type not in ("string", "bytes", "records", "uuid"):
            return OTHER_NUMBERS.get(rule, spec.default)
        may_pass = rule in PASSING or (rule is Rule.SYNONYM and keys["source"] in SHOWN_SYNONYMS)
        return self._canaries.value(spec.kafka_type, path, may_pass)

    def _unruled(self, spec: FieldSpec, path: str, keys: Keys) -> Any:
        if spec.kafka_type == "error_code":
            return self._cast.error if "." in path else self._cast.failure
        if spec.name == "resource_type":
            return keys.get(Rule.RESOURCE, (spec.default, ""))[0]
        if spec.name in INDEX_NAMES:
            return keys.get("index", 0)
        if spec.name.startswith("include_"):
            return True
        return keys.get(spec.name, spec.default)

    def _blob(self, spec: FieldSpec, path: str) -> bytes:
        names = sorted(name for name, _ in self._cast.topics)
        user_data: bytes = self._canaries.value("bytes", path, may_pass=True)
        if spec.name.endswith("metadata"):
            return blobs.subscription(names, user_data)
        return blobs.assignment(names, user_data)


def leaves(message: Message, prefix: str = "") -> Iterator[tuple[str, FieldSpec, Any]]:
    """(path, field, value) of all that a message holds; an array of plain values gives each of them."""
    for spec in message.struct.fields:
        value = getattr(message, spec.name)
        path = prefix + spec.name
        several = value if spec.array and value is not None else (value,)
        for one in several:
            if spec.nested is not None and one is not None:
                yield from leaves(one, f"{path}.")
            elif spec.nested is None:
                yield path, spec, one
