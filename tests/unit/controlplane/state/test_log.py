"""What readers make of the state topic, and that all of them make the same of it."""

import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from controlplane.state.log import Raw, StateLog, compacted
from controlplane.state.records import FORMAT, ZoneRecord
from tests.unit.controlplane.state.edits import Topic, credential, deletion, edit


def put(topic: Topic, *records: Any) -> StateLog:
    for record in records:
        topic.append(record.key, record.value())
    return topic.read()


def test_the_first_edit_of_a_version_is_in_force() -> None:
    first, second = edit("a", 1, "joe"), edit("a", 1, "ann")
    log = put(Topic(), first, second)
    assert log.zones["a"].resource.spec.service_account == "joe"
    assert (log.in_force(first), log.in_force(second)) == (True, False)


def test_an_edit_replaces_the_one_that_its_writer_knew() -> None:
    log = put(Topic(), edit("a", 1, "joe"), edit("a", 2, "ann"), edit("a", 2, "eve"))
    assert (log.zones["a"].version, log.zones["a"].resource.spec.service_account) == (2, "ann")


def test_an_edit_that_skips_a_version_has_lost() -> None:
    assert put(Topic(), edit("a", 1), edit("a", 3)).zones["a"].version == 1


def test_an_account_belongs_to_the_zone_that_claimed_it_first() -> None:
    log = put(Topic(), edit("a", 1, "joe"), edit("b", 1, "joe"))
    assert (list(log.zones), log.owner("joe")) == (["a"], "a")


def test_an_account_that_its_zone_gives_up_is_free() -> None:
    log = put(Topic(), edit("a", 1, "joe"), edit("a", 2, "ann"), edit("b", 1, "joe"))
    assert (log.owner("joe"), log.owner("ann")) == ("b", "a")


def test_a_deletion_ends_the_zone_and_keeps_its_count() -> None:
    log = put(Topic(), edit("a", 1), deletion("a", 2), edit("a", 1, topic="late"))
    assert (log.zones, log.version("a"), log.owner("johndoe")) == ({}, 2, None)


def test_an_edit_that_arrives_twice_counts_once() -> None:
    topic, record = Topic(), edit("a", 1)
    log = put(topic, record, record, edit("a", 2))
    assert log.zones["a"].version == 2
    assert log.garbage() == ([], [record.key])


def test_credentials_are_those_of_living_zones() -> None:
    topic = Topic()
    log = put(topic, edit("a", 1, zone_id="old"), credential("c", "a", "old"))
    assert [each.id for each in log.credentials] == ["c"]
    log = put(topic, deletion("a", 2, "old"), edit("a", 3, zone_id="new"))
    assert (list(log.credentials), log.credential("c")) == ([], None)
    assert credential("c", "a").key in log.garbage()[0]


def test_a_credential_may_stand_before_the_edit_that_its_zone_has_now() -> None:
    """As in a compacted log."""
    assert [each.id for each in put(Topic(), credential("c", "a"), edit("a", 2)).credentials] == ["c"]


def test_changes_behind_an_offset_are_counted() -> None:
    topic = Topic()
    put(topic, edit("a", 1))
    topic.append(b"gateway/g", json.dumps({"format": FORMAT, "host": ""}).encode())
    log = put(topic, edit("a", 2))
    assert (log.changed_at, log.lag(0), log.lag(2)) == (2, 1, 0)


# what is not understood


def newer(record: ZoneRecord) -> bytes:
    return json.dumps({"format": FORMAT + 1, "something": "else"}).encode()


def test_unknown_kinds_and_foreign_keys_are_left_alone() -> None:
    topic = Topic()
    for key in (b"quota/a", b"zone", b"", b"\xff", b"zone/a/b/c", b"credential/a/b"):
        topic.append(key, b'{"format":1}')
        topic.append(key, b"no JSON")
        topic.append(key, None)
    log = put(topic, edit("b", 1))
    assert list(log.zones) == ["b"]
    assert log.garbage() == ([], [])


def test_a_zone_that_a_newer_version_has_written_stays_as_it_was() -> None:
    topic, first = Topic(), edit("a", 1)
    put(topic, first, edit("b", 1, "bob"))
    topic.append(edit("a", 2).key, newer(first))
    log = put(topic, edit("a", 2, topic="other"), edit("b", 2, "bob"), edit("b", 2, "eve"))
    assert log.zones["a"].version == 1
    assert log.unreadable["a"] == "it was written by a newer version of zonegate; upgrade this one"
    assert log.zones["b"].version == 2
    assert log.garbage() == ([], []), "nothing is removed by one who does not understand all"


def test_an_edit_whose_manifest_is_refused_here_counts_all_the_same() -> None:
    topic, bad = Topic(), edit("a", 2)
    assert bad.manifest is not None
    log = put(topic, edit("a", 1), bad.__class__(*_fields(bad, {**bad.manifest, "extra": 1})))
    assert (log.zones["a"].version, log.version("a")) == (1, 2)
    assert "extra" in log.unreadable["a"]
    log = put(topic, edit("a", 3))
    assert (log.zones["a"].version, log.unreadable) == (3, {})


def _fields(record: ZoneRecord, content: dict[str, Any]) -> tuple[Any, ...]:
    return (record.name, record.attempt, record.version, record.id, record.updated_at, record.salt, content)


def test_what_is_removed_by_hand_is_gone() -> None:
    topic, record = Topic(), edit("a", 1)
    put(topic, record)
    topic.append(record.key, None)
    assert topic.read().zones == {}


# all readers alike


NAMES, ACCOUNTS = ("a", "b"), ("joe", "ann")


def seen(log: StateLog) -> object:
    """All that interfaces and gateways can see."""
    zones = {name: (zone.id, zone.version, zone.resource) for name, zone in log.zones.items()}
    return zones, {name: log.version(name) for name in NAMES}, sorted(each.id for each in log.credentials)


class Nodes(RuleBasedStateMachine):
    """Three nodes write, each with its own idea of the log's end; brokers compact; readers begin at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.topic = Topic()
        self.nodes = [StateLog() for _ in range(3)]
        self.count = 0

    @initialize()
    def begin(self) -> None:
        self.first = self.topic.read()

    @rule(node=st.integers(0, 2), records=st.one_of(st.just(1000), st.integers(1, 6)))
    def read(self, node: int, records: int) -> None:
        log = self.nodes[node]
        self.topic.read(log, log.offset + records)

    @rule(
        node=st.integers(0, 2), name=st.sampled_from(NAMES), account=st.sampled_from(ACCOUNTS), late=st.integers(0, 3)
    )
    def upsert(self, node: int, name: str, account: str, late: int) -> None:
        """`late`: so many edits ago its writer has looked last."""
        log = self.nodes[node]
        self.count += 1
        known = log.zones.get(name)
        zone_id = known.id if known is not None else f"id-{self.count}"
        version = max(1, log.version(name) + 1 - late)
        record = edit(name, version, account, zone_id, f"topic-{self.count}")
        self.topic.append(record.key, record.value())

    @rule(name=st.sampled_from(NAMES), accounts=st.lists(st.sampled_from(ACCOUNTS), min_size=1, max_size=4))
    def edit_again_and_again(self, name: str, accounts: list[str]) -> None:
        """By one who knows all."""
        for account in accounts:
            self.topic.read(self.nodes[0])
            self.upsert(0, name, account, 0)

    @rule(node=st.integers(0, 2), name=st.sampled_from(NAMES))
    def delete(self, node: int, name: str) -> None:
        log = self.nodes[node]
        if (known := log.zones.get(name)) is not None:
            record = deletion(name, log.version(name) + 1, known.id)
            self.topic.append(record.key, record.value())

    @rule(node=st.integers(0, 2), name=st.sampled_from(NAMES))
    def issue(self, node: int, name: str) -> None:
        if (known := self.nodes[node].zones.get(name)) is not None:
            self.count += 1
            record = credential(f"c-{self.count}", name, known.id)
            self.topic.append(record.key, record.value())

    @rule(node=st.integers(0, 2), only=st.one_of(st.just(1000), st.integers(0, 8)))
    def sweep(self, node: int, only: int) -> None:
        """Tombstones in their order; the node may die in between."""
        first, then = self.nodes[node].garbage()
        for key in [*first, *then][:only]:
            self.topic.append(key, None)

    @rule(where=st.floats(0, 1))
    def compact(self, where: float) -> None:
        """A broker compacts some of the log, where tombstones for it are; they stay."""
        border = int(len(self.topic.records) * where)
        head, tail = self.topic.records[:border], self.topic.records[border:]
        last = {key: offset for offset, key, _ in self.topic.records}
        self.topic.records = [each for each in head if each[0] == last[each[1]]] + tail

    @rule()
    def forget_tombstones(self) -> None:
        """Long after, tombstones go, once all that they stand for is gone."""
        last = {key: offset for offset, key, _ in self.topic.records}
        self.topic.records = [
            each for each in self.topic.records[:-1] if each[0] == last[each[1]] and each[2] is not None
        ] + self.topic.records[-1:]

    @invariant()
    def all_readers_agree(self) -> None:
        self.topic.read(self.first)
        for records in (self.topic.records, fully_swept(self.topic.records)):
            restarted = StateLog()
            for record in compacted(records):
                restarted.apply(*record)
            assert seen(restarted) == seen(self.first)


def fully_swept(records: list[Raw]) -> list[Raw]:
    """As somebody would leave them who sweeps now, having read all."""
    log, swept = StateLog(), list(records)
    for record in compacted(records):
        log.apply(*record)
    first, then = log.garbage()
    for key in (*first, *then):
        swept.append((swept[-1][0] + 1, key, None))
    return swept


Nodes.TestCase.settings = settings(max_examples=400, stateful_step_count=40, deadline=None)
TestNodes = Nodes.TestCase
