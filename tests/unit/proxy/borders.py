"""What may be seen on either side of the gateway, field by field as `field_rules` says."""

import re
from collections.abc import Callable, Container, Mapping
from typing import Any, Final

from protocol.schema import ZERO_ID, FieldSpec, Message
from tests.unit.proxy import blobs
from tests.unit.proxy.field_rules import REQUEST, RESPONSE, RULES, Rule, walk
from tests.unit.proxy.playbook import LISTENER, MAPPED_BROKERS, ZONE, BrokerGot, Playbook, backing_id
from tests.unit.proxy.synthesis import SHOWN_SYNONYMS, leaves

PREFIX: Final = f"{ZONE.name}:"
ALIASES: Final = tuple(alias.name for alias in ZONE.aliases)
BACKING: Final = tuple(dict.fromkeys(alias.topic for alias in ZONE.aliases))
BACKING_IDS: Final = tuple(map(backing_id, BACKING))
PORTS: Final = tuple(LISTENER.broker_ports_start + broker for broker in MAPPED_BROKERS)
COMPUTED_OPERATIONS: Final = (0, -(2**31), 1288, 1304, 1352)
"""Nothing, not asked, a READ alias, a WRITE alias, a group."""
GROUPS: Final = ("g", "h")
TRANSACTIONS: Final = ("tx", "ty")
"""The ids that clients use in these tests."""
DESCRIBE_CONFIGS: Final = 32
TOPIC_RESOURCE: Final = 2
GROUP_RESOURCE: Final = 32

MEMO: Final = re.compile(r"zonegate:\d+:[\w=-]*")
"""What the gateway may tell a broker for a pattern: its own notes, which match no topic."""
CONSUMER_GROUP_HEARTBEAT: Final = 68

Check = Callable[[Any], bool]


def _qualified(value: str | None) -> bool:
    return value is None or (value.startswith(PREFIX) and value != PREFIX)


def _qualified_group(value: str | None) -> bool:
    """The group without a name is one like any other."""
    return value is None or value.startswith(PREFIX)


def _blob_names(path: str, blob: bytes) -> list[str]:
    if not blob:
        return []
    return blobs.topics_of_subscription(blob) if path.endswith("metadata") else blobs.topics_of_assignment(blob)


TO_BROKER: Final[Mapping[Rule, Check]] = {
    Rule.TOPIC: lambda name: name in BACKING,
    Rule.TOPIC_ID: lambda topic_id: topic_id in (*BACKING_IDS, ZERO_ID),
    Rule.GROUP: _qualified_group,
    Rule.TRANSACTION: _qualified,
    Rule.COORDINATOR: _qualified_group,
    Rule.PATTERN: lambda pattern: not pattern or MEMO.fullmatch(pattern) is not None,
    Rule.CLUSTER_ID: lambda cluster_id: cluster_id is None,
    Rule.OFF: lambda flag: flag is False,
    Rule.SESSION: lambda number: number in (0, -1),
    Rule.REPLICA: lambda number: number == -1,
}
TO_CLIENT: Final[Mapping[Rule, Check]] = {
    Rule.HOST: lambda host: host in (LISTENER.advertised_host, ""),
    Rule.PORT: lambda port: port in (*PORTS, -1),
    Rule.SHOWN_NODE: lambda node: node in (*MAPPED_BROKERS, -1),
    Rule.OPERATIONS: lambda bits: bits in COMPUTED_OPERATIONS,
    Rule.SESSION: lambda number: number == 0,
    Rule.BLANK: lambda value: value in ("", "-", None),
}


def inspect_request(got: BrokerGot, ignored: Container[Rule] = ()) -> list[str]:
    """What a broker got and should not have."""
    rules = RULES.get((got.key, REQUEST), {})
    wrong = []
    for path, spec, value in leaves(got.message):
        rule = rules.get(path)
        if rule is not None and rule not in ignored and not _may_reach_broker(rule, spec, path, value):
            wrong.append(f"the broker got {path} = {value!r}")
    if got.key == DESCRIBE_CONFIGS:
        asked = [(resource.resource_type, resource.resource_name) for resource in got.message.resources]
        wrong += [f"the broker got {resource!r}" for resource in asked if not _is_mapped(*resource)]
    return wrong


def _may_reach_broker(rule: Rule, spec: FieldSpec, path: str, value: Any) -> bool:
    if spec.array and value is None:
        # names nothing; whether it may be null is the question of `newly_null`
        return True
    if rule is Rule.DROPPED:
        return bool(value == spec.default)
    if rule is Rule.BLOB:
        return all(name in BACKING or name.startswith(f"{PREFIX}?") for name in _blob_names(path, value))
    return rule not in TO_BROKER or TO_BROKER[rule](value)


def _is_mapped(kind: int, name: str) -> bool:
    return name in BACKING if kind == TOPIC_RESOURCE else kind == GROUP_RESOURCE and name.startswith(PREFIX)


def newly_null(request: Message, got: BrokerGot, key: int) -> list[str]:
    """The lists that are null for the broker, which often means everything, and weren't for the client."""
    if got.key == CONSUMER_GROUP_HEARTBEAT:
        # there it means "as before", and its own members are all that it could tell of
        return []
    own = null_lists(request) if got.key == key else set()
    return [f"the broker got {path} = null" for path in sorted(null_lists(got.message) - own)]


def null_lists(message: Message, prefix: str = "") -> set[str]:
    """The paths of the lists that are null."""
    found = set()
    for spec in message.struct.fields:
        value = getattr(message, spec.name)
        if spec.array and value is None:
            found.add(prefix + spec.name)
        elif spec.nested is not None and value is not None:
            for one in value if spec.array else (value,):
                found |= null_lists(one, f"{prefix}{spec.name}.")
    return found


class ClientSide:
    """What one client may see: its zone's names, and what it asked for."""

    def __init__(self, playbook: Playbook, key: int, request: Message) -> None:
        asked_by = RULES.get((key, REQUEST), {})
        self._rules = RULES.get((key, RESPONSE), {})
        self._asked = {value for path, _, value in leaves(request) if path in asked_by and value}
        self._own: Mapping[Rule, set[Any]] = {
            Rule.TOPIC: set(ALIASES),
            Rule.TOPIC_ID: {playbook.alias_id(alias) for alias in ALIASES},
            Rule.GROUP: set(GROUPS),
            Rule.TRANSACTION: set(TRANSACTIONS),
            Rule.COORDINATOR: {*GROUPS, *TRANSACTIONS},
            Rule.RESOURCE: {*ALIASES, *GROUPS},
            Rule.CLUSTER_ID: {playbook.zone().cluster_id},
            Rule.HOST: {LISTENER.advertised_host},
        }

    def inspect(self, response: Message) -> list[str]:
        """What the client received and should not have."""
        wrong = []
        for path, spec, value in leaves(response):
            rule = self._rules.get(path)
            if rule is not None and not self._may_reach_client(rule, spec, path, value):
                wrong.append(f"the client received {path} = {value!r}")
            if path == "results.configs.synonyms.source" and value not in SHOWN_SYNONYMS:
                wrong.append(f"the client received a synonym of source {value}")
        return wrong

    def _may_reach_client(self, rule: Rule, spec: FieldSpec, path: str, value: Any) -> bool:
        if rule is Rule.BLOB:
            return set(_blob_names(path, value)) <= {*ALIASES, *self._asked}
        if rule in self._own and value != spec.default:
            return not value or value in self._own[rule] or value in self._asked
        return rule not in TO_CLIENT or TO_CLIENT[rule](value)

    def missing(self, response: Message) -> list[str]:
        """The kinds of names that the response has room for and doesn't show, so that a test of it would be idle."""
        expected = {self._rules[path] for path, _ in walk(response.struct) if path in self._rules}
        shown = {self._rules[path] for path, _, value in leaves(response) if self._is_own(path, value)}
        return sorted(rule.value for rule in (expected & {*self._own, Rule.BLOB}) - shown)

    def _is_own(self, path: str, value: Any) -> bool:
        rule = self._rules.get(path)
        if rule is Rule.BLOB:
            return bool(_blob_names(path, value))
        return rule is not None and value in self._own.get(rule, ())
