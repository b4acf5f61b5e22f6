"""Who is in a group of the consumer protocol: described as its members said it, and of one mind about shared topics."""

import pytest

from policies.subscriptions import recall, words
from policies.zone import Alias, Permission
from protocol.schema import Message, response_struct
from tests.unit.proxy.members import (
    DESCRIBE,
    HEARTBEAT,
    MATCH_EVERYTHING,
    MEMBER,
    accepts,
    describes,
    heartbeat,
    joins,
    member,
    memo_of,
    zone_with,
)
from tests.unit.proxy.playbook import Playbook, backing_id, versions_of


def test_members_that_agree_may_be_in_one_group() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        others = (
            member(1, "same", ("kafka-orders",), memo_of(playbook, "twin")),
            member(1, "pattern", ("kafka-orders", "kafka-stock"), memo_of(playbook, regex="twin|stock")),
            member(1, "elsewhere", ("kafka-stock",), ""),
        )
        joins(dialogue, 1, *others, names=("twin", "stock"))


@pytest.mark.parametrize(
    ("other", "regex", "member_type"),
    [
        (("orders",), "", 1),
        (("orders", "twin"), "", 1),
        ((), "o.*", 1),
        ((), MATCH_EVERYTHING, 1),
        ((), "", 0),
    ],
)
def test_members_that_do_not_agree_are_told_so(other: tuple[str, ...], regex: str, member_type: int) -> None:
    """The broker would give each some of the partitions, and no alias would deliver everything."""
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(HEARTBEAT, 1, heartbeat(1, names=("twin", "stock"), instance_id="i"))
        accepts(dialogue, dialogue.broker_gets(), {"kafka-orders": (0,)})
        memo = memo_of(playbook, *other, regex=regex)
        describes(dialogue, member(1, "other", ("kafka-orders",), memo, member_type=member_type))
        got = dialogue.broker_gets()
        assert got.message == heartbeat(1, -1, group_id="partner:g", instance_id="i")
        accepts(dialogue, got, member_epoch=-1)
        answer = dialogue.client_receives()
        assert (answer.error_code, answer.member_id, answer.assignment) == (42, None, None)
        assert "twin" in answer.error_message
        assert "group.protocol=classic" in answer.error_message
        assert playbook.zone().subscriptions.find("g", MEMBER) is None


@pytest.mark.parametrize("known_here", [True, False])
def test_members_of_a_topic_that_becomes_shared_go_on(known_here: bool) -> None:
    """None has a memo at first; the second one may be another gateway's."""
    with Playbook() as playbook:
        dialogues = {"a": playbook.signed_in(), "b": playbook.signed_in()}
        for name, dialogue in dialogues.items():
            if known_here or name == "a":
                joins(dialogue, 1, names=("stock",), member_id=name)
        playbook.apply([zone_with(Alias("another", "kafka-stock", Permission.READ))])
        for name, dialogue in dialogues.items():
            dialogue.client_sends(HEARTBEAT, 1, heartbeat(1, 1, member_id=name))
            assert dialogue.client_receives().error_code == 16
        memos = {"a": "", "b": ""}
        for name, dialogue in dialogues.items():
            full = heartbeat(1, 1, member_id=name, names=("stock",), rebalance_timeout=9, topic_partitions=())
            dialogue.client_sends(HEARTBEAT, 1, full)
            got = dialogue.broker_gets()
            memos[name] = got.message.subscribed_topic_regex
            accepts(dialogue, got, member_id=name)
            describes(dialogue, *(member(1, each, ("kafka-stock",), memo) for each, memo in memos.items()))
            assert dialogue.client_receives().error_code == 0
        assert recall(memos["b"]) == words(["stock"], "")


def assignment(version: int, *assigned: tuple[str, tuple[int, ...]]) -> Message:
    struct = response_struct(DESCRIBE, version).nested("groups").nested("members").nested("assignment")
    entry = struct.nested("topic_partitions")
    return struct.new(
        topic_partitions=tuple(
            entry.new(topic_id=backing_id(topic), topic_name=topic, partitions=indexes) for topic, indexes in assigned
        )
    )


def shown(playbook: Playbook, described: Message) -> dict[str, tuple[int, ...]]:
    for each in described.topic_partitions:
        assert each.topic_id == playbook.alias_id(each.topic_name)
    return {each.topic_name: each.partitions for each in described.topic_partitions}


@pytest.mark.parametrize("version", versions_of(DESCRIBE))
@pytest.mark.parametrize("operations", [False, True])
def test_groups_are_described_in_the_order_of_the_request(version: int, operations: bool) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(
            DESCRIBE, version, group_ids=("a", "", "b", "c"), include_authorized_operations=operations
        )
        got = dialogue.broker_gets()
        assert got.message.group_ids == ("partner:a", "partner:b", "partner:c")
        assert got.message.include_authorized_operations is False
        group = response_struct(DESCRIBE, version).nested("groups")
        dialogue.broker_answers(
            got,
            throttle_time=5,
            groups=(
                group.new(group_id="partner:b", error_code=69, error_message="Group partner:b not found."),
                group.new(
                    group_id="partner:a",
                    group_state="Stable",
                    group_epoch=4,
                    assignment_epoch=3,
                    assignor_name="uniform",
                ),
            ),
        )
        answer = dialogue.client_receives()
        assert [(g.group_id, g.error_code, g.error_message) for g in answer.groups] == [
            ("a", 0, None),
            ("", 24, None),
            ("b", 69, "The group id does not exist."),
            ("c", -1, None),
        ]
        first = answer.groups[0]
        assert (first.group_state, first.group_epoch, first.assignment_epoch, first.assignor_name) == (
            "Stable",
            4,
            3,
            "uniform",
        )
        bits = [g.authorized_operations for g in answer.groups]
        assert bits == [1352 if operations else -(2**31), *[-(2**31)] * 3]
        assert answer.throttle_time == 5
        assert "partner" not in str(answer)


@pytest.mark.parametrize("version", versions_of(DESCRIBE))
def test_no_group_is_not_every_group(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        for group_ids in ((), ("",)):
            dialogue.client_sends(DESCRIBE, version, group_ids=group_ids)
            dialogue.broker_gets_nothing()
            assert [group.error_code for group in dialogue.client_receives().groups] == [24] * len(group_ids)


@pytest.mark.parametrize("version", versions_of(DESCRIBE))
def test_members_are_described_as_they_said_it(version: int) -> None:
    """By what the broker has stored, so that any gateway can."""
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(DESCRIBE, version, group_ids=("g",))
        got = dialogue.broker_gets()
        assigned = {
            "assignment": assignment(version, ("kafka-orders", (0, 1)), ("kafka-elsewhere", (7,))),
            "target_assignment": assignment(version, ("kafka-orders", (0,)), ("kafka-stock", (3,))),
        }
        members = (
            member(version, "plain", ("kafka-stock", "kafka-elsewhere"), "", member_type=1, **assigned),
            member(version, "both", ("kafka-orders",), memo_of(playbook, "orders", "twin"), **assigned),
            member(version, "twin", ("kafka-orders",), memo_of(playbook, "twin", regex="sto.*"), **assigned),
            member(version, "direct", ("kafka-orders",), "kafka-.*", rack_id="r", instance_id="i", **assigned),
            member(version, "none", (), None),
        )
        group = response_struct(DESCRIBE, version).nested("groups")
        dialogue.broker_answers(got, groups=(group.new(group_id="partner:g", members=members),))
        described = {m.member_id: m for m in dialogue.client_receives().groups[0].members}
        assert {m: (d.subscribed_topic_names, d.subscribed_topic_regex) for m, d in described.items()} == {
            "plain": (("stock",), ""),
            "both": (("orders", "twin"), ""),
            "twin": (("twin",), "sto.*"),
            "direct": (("orders",), ""),
            "none": ((), None),
        }
        assert {m: shown(playbook, d.assignment) for m, d in described.items()} == {
            "plain": {"orders": (0, 1)},
            "both": {"orders": (0, 1), "twin": (0, 1)},
            "twin": {"twin": (0, 1)},
            "direct": {"orders": (0, 1)},
            "none": {},
        }
        assert shown(playbook, described["both"].target_assignment) == {"orders": (0,), "twin": (0,), "stock": (3,)}
        assert {(d.client_id, d.client_host) for d in described.values()} == {("app", "-")}
        assert (described["direct"].rack_id, described["direct"].instance_id) == ("r", "i")
        if version >= 1:
            assert described["plain"].member_type == 1
        assert "kafka" not in str(described)


def test_a_member_that_the_gateway_knows_needs_no_memo() -> None:
    """It joined when its topic had one alias in the zone."""
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        joins(dialogue, 1, names=("stock",))
        playbook.apply([zone_with(Alias("another", "kafka-stock", Permission.WRITE))])
        dialogue.client_sends(DESCRIBE, 1, group_ids=("g",))
        group = response_struct(DESCRIBE, 1).nested("groups")
        held = assignment(1, ("kafka-stock", (0,)))
        described = member(1, MEMBER, ("kafka-stock",), "", assignment=held)
        dialogue.broker_answers(dialogue.broker_gets(), groups=(group.new(group_id="partner:g", members=(described,)),))
        (told,) = dialogue.client_receives().groups[0].members
        assert (told.subscribed_topic_names, shown(playbook, told.assignment)) == (("stock",), {"stock": (0,)})


def test_a_broken_memo_of_somebody_else_harms_nobody() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        memo = memo_of(playbook, "orders", regex="x").replace("zonegate:1:", "zonegate:1:!")
        invalid = "zonegate:1:W1tdLCIoIl0"  # [[],"("]
        others = [member(1, stored, ("kafka-orders",), stored) for stored in (memo, invalid)]
        joins(dialogue, 1, *others, names=("twin",))
        dialogue.client_sends(DESCRIBE, 1, group_ids=("g",))
        group = response_struct(DESCRIBE, 1).nested("groups")
        dialogue.broker_answers(
            dialogue.broker_gets(), groups=(group.new(group_id="partner:g", members=tuple(others)),)
        )
        described = dialogue.client_receives().groups[0].members
        assert [(d.subscribed_topic_names, d.subscribed_topic_regex) for d in described] == [(("orders",), "")] * 2
