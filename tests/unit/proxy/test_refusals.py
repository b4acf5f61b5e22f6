"""What is refused, and what is hidden but sent anyway: the exact answer in every version, and no word to the broker."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import pytest

from protocol.schema import API_NAMES, Message, Struct, known_versions, request_struct
from proxy.apis.plan import Treatment
from proxy.apis.refusals import ANSWERS
from proxy.apis.table import TABLE
from tests.unit.proxy.playbook import BROKER_VERSIONS, ZONE, Dialogue, Playbook
from tests.unit.proxy.refusal_cases import CASES, Tree, deleted, error


def build(struct: Struct, tree: Tree) -> Message:
    """A message of this version, of a tree written for the newest."""
    values: dict[str, Any] = {}
    for field in struct.fields:
        if field.name in tree:
            value = tree[field.name]
            nested = field.nested
            if nested is not None and value is not None:
                value = tuple(build(nested, item) for item in value) if field.array else build(nested, value)
            values[field.name] = value
    return struct.new(**values)


def plain(message: Message) -> Tree:
    """All of a message but its throttle time."""
    return {name: _plain(getattr(message, name)) for name in message.struct.names if name != "throttle_time"}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return plain(value) if hasattr(value, "struct") else value


def trim(tree: Any, struct: Struct) -> Any:
    """The answer, without the fields that this version lacks."""
    if tree is None:
        return None
    trimmed = {}
    for name, value in tree.items():
        field = next((field for field in struct.fields if field.name == name), None)
        if field is not None and field.nested is not None and value is not None:
            value = tuple(trim(item, field.nested) for item in value) if field.array else trim(value, field.nested)
        if field is not None:
            trimmed[name] = value
    return trimmed


@pytest.fixture
def dialogue() -> Iterator[Dialogue]:
    with Playbook() as playbook:
        yield playbook.signed_in()


def counted(dialogue: Dialogue, key: int) -> Counter[str]:
    """The refusals of an API: error name -> times."""
    found: Counter[str] = Counter()
    for (zone, api, name), count in dialogue.playbook.metrics.refusals.items():
        assert zone == ZONE.name
        assert api == API_NAMES[key]
        found[name] += count
    return found


VERSIONS: Final = [
    (key, version) for key in sorted(ANSWERS) for version in range(known_versions(key)[0], known_versions(key)[1] + 1)
]


def test_there_are_cases_for_all() -> None:
    assert sorted(CASES) == sorted(ANSWERS)
    refused = {key for key, entry in TABLE.items() if entry.treatment is Treatment.DENY}
    assert refused <= ANSWERS.keys()
    assert {TABLE[key].treatment for key in ANSWERS} == {Treatment.DENY, Treatment.HIDE}
    assert {key: TABLE[key].versions for key in ANSWERS} == {key: known_versions(key) for key in ANSWERS}


@pytest.mark.parametrize(("key", "version"), VERSIONS, ids=[f"{API_NAMES[key]}-{v}" for key, v in VERSIONS])
def test_the_exact_answer(dialogue: Dialogue, key: int, version: int) -> None:
    before = 0
    for request, answer, count in CASES[key]:
        sent = dialogue.client_sends(key, version, build(request_struct(key, version), request))
        received = dialogue.client_receives(sent)
        assert plain(received) == trim(answer, received.struct)
        assert counted(dialogue, key).total() - before == count
        before += count
    dialogue.broker_gets_nothing()
    assert not dialogue.ended


def test_topics_are_deleted_by_id_no_more_than_by_name(dialogue: Dialogue) -> None:
    known, twin, unknown = dialogue.playbook.alias_id("stock"), dialogue.playbook.alias_id("twin"), b"u" * 16
    struct = request_struct(20, 6)
    topic = struct.nested("topics")
    topics = (
        topic.new(name=None, topic_id=twin),
        topic.new(name="stock"),
        topic.new(name=None, topic_id=unknown),
        topic.new(name=None, topic_id=known),
    )
    dialogue.client_sends(20, 6, struct.new(topics=topics))
    assert plain(dialogue.client_receives())["responses"] == (
        deleted("twin", 29, twin),
        deleted("stock"),
        deleted(None, 100, unknown),
        deleted("stock", 29, known),
    )
    assert counted(dialogue, 20) == {"topic_authorization_failed": 3, "unknown_topic_id": 1}
    dialogue.broker_gets_nothing()


def test_a_topic_to_delete_has_a_name_or_an_id_and_is_given_once(dialogue: Dialogue) -> None:
    known = dialogue.playbook.alias_id("stock")
    struct = request_struct(20, 6)
    topic = struct.nested("topics")
    topics = (
        topic.new(name=None),
        topic.new(name="stock", topic_id=known),
        topic.new(name=None, topic_id=known),
        topic.new(name=None, topic_id=known),
    )
    dialogue.client_sends(20, 6, struct.new(topics=topics))
    assert plain(dialogue.client_receives())["responses"] == (
        deleted(None, 42),
        deleted("stock", 42, known),
        deleted(None, 42, known),
    )


def test_what_the_brokers_call_it_is_not_found(dialogue: Dialogue) -> None:
    """A backing topic's name is a name like any other outside the zone."""
    dialogue.client_sends(37, 3, topics=(request_struct(37, 3).nested("topics").new(name="kafka-orders", count=9),))
    assert plain(dialogue.client_receives())["results"] == ({"name": "kafka-orders", **error(29)},)


def test_refusals_take_their_turn(dialogue: Dialogue) -> None:
    first = dialogue.client_sends(3, 12, topics=None)
    second = dialogue.client_sends(29, 3)
    dialogue.client_receives_nothing()
    dialogue.broker_answers(dialogue.broker_gets())
    dialogue.client_receives(first)
    assert dialogue.client_receives(second).error_code == 31


@pytest.mark.parametrize("key", sorted(key for key in ANSWERS if TABLE[key].treatment is Treatment.HIDE))
def test_what_is_hidden_is_answered_whatever_the_broker_has(key: int) -> None:
    versions = {broker_key: own for broker_key, own in BROKER_VERSIONS.items() if broker_key != key}
    with Playbook(broker_versions=versions) as playbook:
        dialogue = playbook.signed_in()
        sent = dialogue.client_sends(key, known_versions(key)[1])
        dialogue.client_receives(sent)
        dialogue.broker_gets_nothing()
