"""What a gateway serves after each change is what it would serve if it read the whole topic then."""

import random

import pytest

from controlplane.state import log as state_log
from controlplane.state.log import StateLog
from controlplane.state.records import CredentialRecord, ZoneRecord
from controlplane.state.served import ServedState
from policies.credentials import Credential
from policies.zone import Zone
from tests.unit.controlplane.state.edits import Topic, credential, deletion, edit

ADMIN = "admin"


class _Writer:
    """Writes all kinds of records about a few zones, some of which lose."""

    def __init__(self, seed: int) -> None:
        self.topic = Topic()
        self._random = random.Random(seed)  # noqa: S311 - no secrets
        self._credentials = 0

    def write(self) -> None:
        pick = self._random
        name, zone_id = pick.choice("abc"), pick.choice(("id-1", "id-2"))
        match pick.randrange(8):
            case 0 | 1 | 2:
                account = pick.choice(("joe", "ann", ADMIN))
                self._append(edit(name, self._version(name), account, zone_id, topic=pick.choice(("one", "two"))))
            case 3:
                self._append(deletion(name, self._version(name), zone_id))
            case 4 | 5:
                self._append(credential(f"c{pick.randrange(4)}", name, zone_id))
            case 6:
                self.topic.append(f"credential/c{pick.randrange(4)}".encode(), None)
            case _:
                first, then = self.topic.read().garbage()
                for key in (*first, *then):
                    self.topic.append(key, None)

    def _version(self, name: str) -> int:
        return self.topic.read().version(name) + self._random.choice((0, 1, 1, 1))

    def _append(self, record: ZoneRecord | CredentialRecord) -> None:
        self.topic.append(record.key, record.value())


def _served(log: StateLog) -> tuple[dict[str, Zone], dict[str, Credential], dict[str, str]]:
    return _content(_refreshed(ServedState(log, ADMIN)))


def _refreshed(served: ServedState) -> ServedState:
    served.refresh()
    return served


def _content(served: ServedState) -> tuple[dict[str, Zone], dict[str, Credential], dict[str, str]]:
    zones, credentials = ({each.name: each for each in served.zones}, {each.id: each for each in served.credentials})
    assert (len(zones), len(credentials)) == (len(served.zones), len(served.credentials))
    return zones, credentials, dict(served.refused)


def test_a_change_makes_what_a_new_reader_would_see() -> None:
    for seed in range(30):
        writer, log = _Writer(seed), StateLog()
        served = ServedState(log, ADMIN)
        for step in range(40):
            writer.write()
            writer.topic.read(log)
            if step % 3 != 1:  # others come together
                assert _content(_refreshed(served)) == _served(writer.topic.read()), (seed, step)
                assert log.garbage() == writer.topic.read().garbage(), (seed, step)


def test_more_changes_than_are_remembered_are_all_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_log, "KEPT_CHANGES", 3)
    topic = Topic()
    log = StateLog()
    served = ServedState(log)
    for number in range(9):
        record = edit(f"zone-{number}", 1, f"account-{number}")
        topic.append(record.key, record.value())
        if number in (1, 8):
            topic.read(log)
            served.refresh()
    assert [zone.name for zone in served.zones] == [f"zone-{number}" for number in range(9)]


def test_what_was_revoked_while_the_reader_was_away_is_gone() -> None:
    """Brokers have compacted the password and its tombstone away: the topic has nothing that says so."""
    topic, record = Topic(), credential("c", "a")
    for each in (edit("a", 1), record):
        topic.append(each.key, each.value())
    log = topic.read()
    served = ServedState(log)
    served.refresh()
    assert [each.id for each in served.credentials] == ["c"]
    topic.append(record.key, None)
    topic.append(b"gateway/g", b"{}")
    topic.records = [topic.records[0], topic.records[-1]]
    topic.read(log)
    served.refresh()
    assert served.credentials == []


def test_what_has_not_changed_stays_the_same_object() -> None:
    topic = Topic()
    for record in (edit("a", 1, "ann"), edit("b", 1, "bob"), credential("c", "a"), credential("d", "b")):
        topic.append(record.key, record.value())
    log = topic.read()
    served = ServedState(log)
    served.refresh()
    before = {each.name: each for each in served.zones}, {each.id: each for each in served.credentials}
    assert served.applied == 3
    changed = edit("b", 2, "bob", topic="other")
    topic.append(changed.key, changed.value())
    topic.append(b"used/c", b'{"format":1,"at":"2025-01-27T12:55:05Z"}')
    topic.read(log)
    served.refresh()
    zones, credentials = {each.name: each for each in served.zones}, {each.id: each for each in served.credentials}
    assert zones["a"] is before[0]["a"]
    assert zones["b"].aliases[0].topic == "other"
    assert all(credentials[each] is before[1][each] for each in ("c", "d"))
    assert served.applied == 4


def test_a_deleted_zone_goes_with_its_credentials_and_one_of_the_same_name_has_none() -> None:
    topic = Topic()
    for record in (edit("a", 1, zone_id="old"), credential("c", "a", "old")):
        topic.append(record.key, record.value())
    log = topic.read()
    served = ServedState(log)
    served.refresh()
    assert [each.id for each in served.credentials] == ["c"]
    for record in (deletion("a", 2, "old"), edit("a", 3, zone_id="new")):
        topic.append(record.key, record.value())
        topic.read(log)
        served.refresh()
        assert list(served.credentials) == []
    assert [each.name for each in served.zones] == ["a"]


def test_a_zone_with_the_admin_s_account_is_refused_with_a_reason() -> None:
    topic = Topic()
    for record in (edit("a", 1, "root"), edit("b", 1, "bob")):
        topic.append(record.key, record.value())
    log = topic.read()
    served = ServedState(log, admin="root")
    served.refresh()
    assert [each.name for each in served.zones] == ["b"]
    assert served.refused == {"a": "its service account 'root' is the admin of the settings' section passthrough"}
    moved = edit("a", 2, "ann")
    topic.append(moved.key, moved.value())
    topic.read(log)
    served.refresh()
    assert ({each.name for each in served.zones}, served.refused) == ({"a", "b"}, {})
