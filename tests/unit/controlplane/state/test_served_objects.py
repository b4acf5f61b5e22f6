"""What a gateway serves of the log."""

from controlplane.state.served import ServedState
from tests.unit.controlplane.state.edits import Topic, credential, deletion, edit


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
