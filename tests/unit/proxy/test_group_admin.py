"""DescribeGroups, ListGroups and DeleteGroups: the zone's own groups, and nothing of anybody else's."""

import dataclasses
from typing import Any

import pytest

from policies.zone import ZoneRules
from protocol.consumer_protocol import Assignment, Subscription
from protocol.schema import Message, request_struct, response_struct
from proxy.apis.member_blobs import to_broker
from proxy.subscriptions import Subscription as Subscribed
from tests.unit.protocol.consumer_blobs import assignment, read_assignment, subscription
from tests.unit.proxy.playbook import ZONE, Playbook, versions_of

DESCRIBE, LIST, DELETE = 15, 16, 42
RULES = ZoneRules(ZONE)
BARREN = dataclasses.replace(ZONE, aliases=())
INT_MIN = -(2**31)
TOO_LONG = "g" * (0x7FFF - len("partner:") + 1)


def described(version: int, group_id: str, *members: Message, **fields: Any) -> Message:
    entry = response_struct(DESCRIBE, version).nested("groups")
    state = {"group_state": "Stable", "protocol_type": "consumer", "protocol_data": "range"}
    return entry.fit(group_id=group_id, members=members, **(state | fields))


def member(version: int, metadata: bytes = b"", blob: bytes = b"", **fields: Any) -> Message:
    entry = response_struct(DESCRIBE, version).nested("groups").nested("members")
    told = {"member_id": "partner:app-1-uuid", "client_id": "partner:app-1", "client_host": "/10.1.2.3"} | fields
    return entry.fit(member_metadata=metadata, member_assignment=blob, **told)


@pytest.mark.parametrize("version", versions_of(DESCRIBE))
@pytest.mark.parametrize("asked", [False, True])
def test_describing_a_group(version: int, asked: bool) -> None:
    wants = subscription(1, ["orders", "stock", "twin"], [("stock", [1])])
    has = assignment(1, [("orders", [0]), ("twin", [0]), ("stock", [1])])
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        asks = request_struct(DESCRIBE, version).fit(groups=("g",), include_authorized_operations=asked)
        dialogue.client_sends(DESCRIBE, version, asks)
        got = dialogue.broker_gets()
        assert got.message.groups == ("partner:g",)
        sent = to_broker(RULES, Subscription, wants), to_broker(RULES, Assignment, has)
        theirs = described(version, "partner:g", member(version, *sent), authorized_operations=8191)
        dialogue.broker_answers(got, response_struct(DESCRIBE, version).fit(groups=(theirs,), throttle_time=7))
        answer = dialogue.client_receives()
        expected = described(
            version,
            "g",
            member(version, wants, has, client_id="app-1", client_host="-"),
            authorized_operations=1352 if asked and version >= 3 else INT_MIN,
        )
        assert answer == answer.struct.fit(groups=(expected,), throttle_time=7)


@pytest.mark.parametrize("version", versions_of(DESCRIBE))
def test_describing_several_groups(version: int) -> None:
    """In the order of the request, a repeated one repeated; texts of the broker don't pass."""
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        groups = ("b", "", TOO_LONG, "a", "b", "lost")
        asks = request_struct(DESCRIBE, version).fit(groups=groups, include_authorized_operations=True)
        dialogue.client_sends(DESCRIBE, version, asks)
        got = dialogue.broker_gets()
        assert got.message.groups == ("partner:b", "partner:", "partner:a", "partner:lost")
        dialogue.broker_answers(
            got,
            groups=(
                described(version, "partner:a", error_code=16, error_message="partner:a moved", group_state=""),
                described(version, "partner:", group_state="Dead", protocol_type="", protocol_data=""),
                described(version, "partner:b"),
                described(version, "other:b"),
            ),
        )
        answer = dialogue.client_receives()
        assert [(g.group_id, g.error_code, g.group_state) for g in answer.groups] == [
            ("b", 0, "Stable"),
            ("", 0, "Dead"),
            (TOO_LONG, 24, ""),
            ("a", 16, ""),
            ("b", 0, "Stable"),
            ("lost", -1, ""),
        ]
        assert "partner" not in str(answer)
        if version >= 3:
            bits = [group.authorized_operations for group in answer.groups]
            assert bits == [1352, 1352, INT_MIN, INT_MIN, 1352, INT_MIN]


@pytest.mark.parametrize("version", versions_of(DESCRIBE))
def test_describing_groups_of_other_protocols(version: int) -> None:
    blobs = b"\0\1workers", b"\xff"
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(DESCRIBE, version, groups=("g",))
        theirs = described(version, "partner:g", member(version, *blobs), protocol_type="connect")
        dialogue.broker_answers(dialogue.broker_gets(), groups=(theirs,))
        (group,) = dialogue.client_receives().groups
        assert (group.members[0].member_metadata, group.members[0].member_assignment) == blobs


def test_members_that_did_not_come_through_a_gateway() -> None:
    """What they named in the zone is shown, what they named outside of it is not, nor who they are."""
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        playbook.zone().subscriptions.remember("g", "m-2", Subscribed(("twin",)))
        dialogue.client_sends(DESCRIBE, 5, groups=("g",))
        has = assignment(0, [("kafka-orders", [0]), ("secret", [1])])
        theirs = described(
            5,
            "partner:g",
            member(5, b"\0", has, member_id="m-1", client_id="operator"),
            member(5, subscription(0, ["secret"]), has, member_id="m-2"),
        )
        dialogue.broker_answers(dialogue.broker_gets(), groups=(theirs,))
        first, second = dialogue.client_receives().groups[0].members
        assert (first.client_id, first.member_metadata) == ("", b"")
        assert read_assignment(first.member_assignment)[0] == [("orders", [0])]
        assert (second.client_id, second.member_metadata) == ("app-1", subscription(0, []))
        assert read_assignment(second.member_assignment)[0] == [("twin", [0])]


@pytest.mark.parametrize("version", versions_of(LIST))
def test_listing_groups(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        asks = request_struct(LIST, version).fit(states_filter=("Stable",), types_filter=("classic",))
        dialogue.client_sends(LIST, version, asks)
        got = dialogue.broker_gets()
        assert got.message == asks
        struct = response_struct(LIST, version)
        entry = struct.nested("groups")
        ids = ("partner:a", "other:a", "partner", "a", "partner:other:b", "partners:c", "partner:")
        groups = tuple(entry.fit(group_id=each, protocol_type="consumer", group_state="Stable") for each in ids)
        dialogue.broker_answers(got, struct.fit(groups=groups, error_code=15, throttle_time=3))
        shown = tuple(
            entry.fit(group_id=each, protocol_type="consumer", group_state="Stable") for each in ("a", "other:b", "")
        )
        assert dialogue.client_receives() == struct.fit(groups=shown, error_code=15, throttle_time=3)


@pytest.mark.parametrize("version", versions_of(DELETE))
def test_deleting_groups(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(DELETE, version, groups_names=("b", TOO_LONG, "a", "b", "", "lost"))
        got = dialogue.broker_gets()
        assert got.message.groups_names == ("partner:b", "partner:a", "partner:", "partner:lost")
        entry = response_struct(DELETE, version).nested("results")
        dialogue.broker_answers(
            got,
            results=(
                entry.new(group_id="partner:a", error_code=68),
                entry.new(group_id="partner:", error_code=69),
                entry.new(group_id="partner:b"),
                entry.new(group_id="b", error_code=30),
            ),
            throttle_time=5,
        )
        answer = dialogue.client_receives()
        assert answer.throttle_time == 5
        assert [(result.group_id, result.error_code) for result in answer.results] == [
            ("b", 0),
            (TOO_LONG, 24),
            ("a", 68),
            ("", 69),
            ("lost", -1),
        ]


@pytest.mark.parametrize(("key", "field"), [(DESCRIBE, "groups"), (DELETE, "groups_names")])
def test_an_empty_list_is_asked_as_it_is(key: int, field: str) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        for version in versions_of(key):
            dialogue.client_sends(key, version, request_struct(key, version).fit(**{field: ()}))
            got = dialogue.broker_gets()
            assert getattr(got.message, field) == ()
            dialogue.broker_answers(got)
            answer = dialogue.client_receives()
            assert answer == answer.struct.new()


@pytest.mark.parametrize(("key", "version"), [(key, v) for key in (DESCRIBE, LIST, DELETE) for v in versions_of(key)])
def test_a_zone_without_any_alias_has_no_groups(key: int, version: int) -> None:
    with Playbook([BARREN]) as playbook:
        dialogue = playbook.signed_in()
        asks = request_struct(key, version).fit(groups=("b", "a"), groups_names=("b", "a"))
        dialogue.client_sends(key, version, asks)
        dialogue.broker_gets_nothing()
        answer = dialogue.client_receives()
        if key == LIST:
            assert answer == answer.struct.new()
            return
        entries = answer.groups if key == DESCRIBE else answer.results
        texts = [getattr(each, "error_message", "Group authorization failed.") for each in entries]
        assert [(each.group_id, each.error_code) for each in entries] == [("b", 30), ("a", 30)]
        assert texts == ["Group authorization failed."] * 2
