"""The requests and answers of the mutation tests: who appears in them, and how one is played.

Requests and answers are made from the schema; `scenes` has the few values without which a request would mean nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from protocol.schema import ZERO_ID, Message, Struct, request_struct, response_struct
from proxy.apis.plan import Treatment
from proxy.apis.table import OFFERED, TABLE, all_plans
from tests.unit.proxy.borders import (
    ALIASES,
    BACKING,
    BACKING_IDS,
    GROUP_RESOURCE,
    GROUPS,
    PREFIX,
    TOPIC_RESOURCE,
    TRANSACTIONS,
    null_lists,
)
from tests.unit.proxy.field_rules import REQUEST, RESPONSE, RULES, Paths, Rule, needs_rule, walk
from tests.unit.proxy.playbook import UNMAPPED_BROKER, BrokerGot, Dialogue, Playbook, backing_id, versions_of
from tests.unit.proxy.synthesis import DEFAULT, Canaries, Cast, Synthesis, leaves, topic_id

PRODUCE, FETCH, METADATA, FIND_COORDINATOR = 0, 1, 3, 10
JOIN_GROUP, INIT_PRODUCER_ID, LIST_TRANSACTIONS, DESCRIBE_TOPIC_PARTITIONS = 11, 22, 66, 75
CONSUMER_GROUP_HEARTBEAT, CONSUMER_GROUP_DESCRIBE = 68, 69
BROKER_RESOURCE: Final = 4
MAX_ROUNDS: Final = 10
MAX_REQUESTS: Final = 20

FORWARDED: Final = [
    (key, version)
    for key in sorted(OFFERED)
    if TABLE[key].treatment in (Treatment.REWRITE, Treatment.FILTER)
    for version in versions_of(key)
]
"""(key, version) of what a broker is asked for."""
LOCAL: Final = sorted(
    {(key, version) for key in OFFERED for version in versions_of(key)}.union(
        (plan.key, plan.version) for plan in all_plans().values()
    )
    - set(FORWARDED)
)
"""(key, version) of what is answered here, advertised or not."""

Overrides = Mapping[str, Any]

_PLAIN_FETCH: Final = {
    "session_id": 4711,
    "session_epoch": 0,
    "cluster_id": None,
    "replica_state": DEFAULT,
    "topics.partitions.replica_directory_id": DEFAULT,
    "topics.partitions.high_watermark": DEFAULT,
}
_SCENES: Final[Mapping[int, Sequence[Overrides]]] = {
    PRODUCE: ({"acks": -1, "transactional_id": None}, {"acks": -1}),
    FETCH: (_PLAIN_FETCH, {"session_id": 0, "session_epoch": -1}),
    FIND_COORDINATOR: ({"key_type": 0}, {"key_type": 1}),
    INIT_PRODUCER_ID: ({"transactional_id": None}, {}),
    LIST_TRANSACTIONS: ({"transactional_id_pattern": None}, {"transactional_id_pattern": "t.*"}),
    CONSUMER_GROUP_HEARTBEAT: (
        {"member_epoch": 1, "rebalance_timeout": 1000, "subscribed_topic_regex": None},
        {"member_epoch": 1, "rebalance_timeout": 1000, "subscribed_topic_regex": "ord.*", "subscribed_topic_names": ()},
    ),
    DESCRIBE_TOPIC_PARTITIONS: ({"cursor": None}, {}),
}

_ANSWERS: Final[Mapping[tuple[int, int], Overrides]] = {
    # whether other members mean other aliases of a topic; there are none
    (CONSUMER_GROUP_HEARTBEAT, CONSUMER_GROUP_DESCRIBE): {"groups.members": ()},
    (JOIN_GROUP, CONSUMER_GROUP_DESCRIBE): {"groups.members": ()},
}
"""(what a client asked, what the broker is asked on the way) -> the answer's own values."""


def scenes(key: int, version: int) -> Sequence[Overrides]:
    """What distinguishes the requests of an API that mean different things."""
    if key != METADATA:
        first, *further = _SCENES.get(key, ({},))
        paths = {path for path, _ in walk(request_struct(key, version))}
        return [first, *(overrides for overrides in further if overrides.keys() <= paths)]
    everything: Overrides = {"topics": None if version >= 1 else ()}
    by_name: Overrides = {"topics.topic_id": ZERO_ID}
    by_id: Overrides = {"topics.name": None}
    return (everything, by_name, by_id) if version >= 12 else (everything, by_name)


def zone_cast(playbook: Playbook, aliases: Sequence[str] = ALIASES) -> Cast:
    """The zone's own, as its clients name them."""
    return Cast(
        topics=tuple((alias, playbook.alias_id(alias)) for alias in aliases),
        groups=GROUPS,
        transactions=TRANSACTIONS,
        coordinators=(*GROUPS, *TRANSACTIONS),
        resources=(
            *((TOPIC_RESOURCE, alias) for alias in aliases),
            *((GROUP_RESOURCE, group) for group in GROUPS),
            (BROKER_RESOURCE, "1"),
        ),
    )


INTRUDERS: Final = Cast(
    topics=(("intruder-topic", topic_id("intruder-topic")), ("kafka-orders", backing_id("kafka-orders"))),
    groups=("other:g", "intruder-group"),
    transactions=("other:tx", "intruder-tx"),
    coordinators=("other:g", "intruder-key"),
    resources=((TOPIC_RESOURCE, "kafka-orders"), (TOPIC_RESOURCE, "intruder-topic"), (BROKER_RESOURCE, "1")),
)
"""What a client may name and nobody should get: real topics and ids, other zones' groups."""

STRANGERS: Final = Cast(
    topics=(("stranger-topic", topic_id("stranger-topic")),),
    groups=("other:stranger-group", "stranger-group"),
    transactions=("other:stranger-tx", "stranger-tx"),
    coordinators=("other:stranger-key", "stranger-key"),
    resources=((TOPIC_RESOURCE, "stranger-topic"), (GROUP_RESOURCE, "other:stranger-group")),
)
"""What else is in the cluster and in its answers."""

ZONE_AT_BROKER: Final = Cast(
    topics=tuple(zip(BACKING, BACKING_IDS, strict=True)),
    groups=tuple(PREFIX + group for group in GROUPS),
    transactions=tuple(PREFIX + transaction for transaction in TRANSACTIONS),
    coordinators=tuple(PREFIX + key for key in (*GROUPS, *TRANSACTIONS)),
    resources=(*((TOPIC_RESOURCE, topic) for topic in BACKING), (GROUP_RESOURCE, f"{PREFIX}g")),
)


@dataclass(frozen=True, slots=True)
class Variant:
    """A kind of answer: who is in it besides or instead of those that were asked for."""

    name: str
    cast: Callable[[Cast], Cast]
    whole: bool = True
    """The client gets an answer in any case, rather than an end of its connection."""


FINE: Final = Variant("what was asked", lambda asked: asked)
VARIANTS: Final = (
    FINE,
    Variant("others, too", lambda asked: replace(asked + STRANGERS, nodes=(1, UNMAPPED_BROKER)), whole=False),
    Variant("only others", lambda asked: replace(STRANGERS, nodes=(UNMAPPED_BROKER,)), whole=False),
    Variant("entries failed", lambda asked: replace(asked, error=87)),
    Variant("all failed", lambda asked: replace(asked, error=29, failure=29)),
)


def rules_of(key: int, side: str, struct: Struct) -> Paths:
    """The declared rules; for an API that never reaches a broker, the names that its schema itself tells of."""
    declared = RULES.get((key, side))
    if declared is not None:
        return declared
    kinds = {"TopicName": Rule.TOPIC, "GroupId": Rule.GROUP, "TransactionalId": Rule.TRANSACTION}
    rules = {}
    for path, spec in walk(struct):
        if needs_rule(spec) and "int" not in spec.kafka_type:
            kind = kinds.get(getattr(spec.semantic, "__name__", ""), Rule.WORD)
            rules[path] = Rule.TOPIC_ID if spec.name == "topic_id" else kind
    return rules


def make_request(key: int, version: int, cast: Cast, canaries: Canaries, overrides: Overrides) -> Message:
    struct = request_struct(key, version)
    return Synthesis(rules_of(key, REQUEST, struct), cast, canaries, overrides).message(struct)


def make_answer(got: BrokerGot, variant: Variant, canaries: Canaries, asked_by: int = -1) -> Message:
    """The broker's answer to what it got while the gateway worked on a client's request with the key `asked_by`."""
    struct = response_struct(got.key, got.version)
    overrides = _ANSWERS.get((asked_by, got.key), {})
    return Synthesis(rules_of(got.key, RESPONSE, struct), variant.cast(asked_of(got)), canaries, overrides).message(
        struct
    )


def asked_of(got: BrokerGot) -> Cast:
    """Whom a request asks for; where it has no room to say so, or a list is null, the whole zone."""
    rules = rules_of(got.key, REQUEST, got.message.struct)
    everything = bool(null_lists(got.message))
    room = {rules[path] for path, _ in walk(got.message.struct) if path in rules}
    found: dict[Rule, dict[Any, None]] = {}
    for path, _, value in leaves(got.message):
        if path in rules and value:
            found.setdefault(rules[path], {})[value] = None
    by_id = dict(zip(BACKING_IDS, BACKING, strict=True))
    names = [*found.get(Rule.TOPIC, ()), *(by_id[value] for value in found.get(Rule.TOPIC_ID, ()) if value in by_id)]
    if not names and (everything or not room & {Rule.TOPIC, Rule.TOPIC_ID}):
        names = [*BACKING]

    def asked(rule: Rule) -> tuple[Any, ...]:
        return tuple(found.get(rule, ())) or (() if rule in room else ZONE_AT_BROKER.of(rule))

    return Cast(
        topics=tuple((name, backing_id(name)) for name in dict.fromkeys(names)),
        groups=asked(Rule.GROUP),
        transactions=asked(Rule.TRANSACTION),
        coordinators=asked(Rule.COORDINATOR),
        resources=tuple((r.resource_type, r.resource_name) for r in getattr(got.message, "resources", ())),
    )


def emptied(struct: Struct) -> Iterator[Overrides]:
    """Each list of a message empty, and then all."""
    lists = {path: () for path, spec in walk(struct) if spec.array}
    yield from ({path: ()} for path in lists)
    yield lists


def nulled(struct: Struct) -> Iterator[Overrides]:
    """Each field null that may be, and then all."""
    fields = {path: None for path, spec in walk(struct) if spec.nullable}
    yield from ({path: None} for path in fields)
    yield fields


@dataclass(slots=True)
class Scene:
    """What happened: what the broker got, and what the client received."""

    got: list[BrokerGot]
    client_bytes: bytes
    answer: Message | None
    ended: str


def play(dialogue: Dialogue, request: bytes, respond: Callable[[BrokerGot], bytes]) -> Scene:
    """One request of a client until it is answered or its connection has ended. Time passes while all are silent."""
    dialogue.client_sends_bytes(request)
    got: list[BrokerGot] = []
    for _ in range(MAX_ROUNDS):
        while dialogue.broker.sent and not dialogue.broker.closed:
            got.append(dialogue.broker_gets())
            assert len(got) <= MAX_REQUESTS, f"the broker is asked again and again: {got[-1].message}"
            dialogue.broker_sends_bytes(respond(got[-1]))
        if dialogue.client.sent or dialogue.ended:
            break
        dialogue.playbook.loop.advance(1)
    received = bytes(dialogue.client.sent)
    return Scene(got, received, dialogue.client_receives() if received else None, dialogue.ended)
