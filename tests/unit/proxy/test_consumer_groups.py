"""The consumer protocol (KIP-848): subscriptions and owned partitions to the broker, assignments to the member."""

from typing import Any

import pytest

from policies.subscriptions import meaning, recall, words
from policies.zone import Alias, Permission, Zone
from protocol.schema import Message, request_struct, response_struct
from tests.unit.proxy.playbook import ZONE, BrokerGot, Dialogue, Playbook, backing_id, versions_of

HEARTBEAT, DESCRIBE, METADATA = 68, 69, 3
MEMBER = "member-1"
UNKNOWN_ID = bytes(range(16))
MATCH_EVERYTHING = "(?:.*)"


def heartbeat(version: int, epoch: int = 0, **fields: Any) -> Message:
    """A member's request; a joining one tells everything."""
    values: dict[str, Any] = {"group_id": "g", "member_id": MEMBER, "member_epoch": epoch, "topic_partitions": None}
    if epoch == 0:
        values |= {"rebalance_timeout": 300_000, "topic_partitions": ()}
    if "names" in fields:
        values["subscribed_topic_names"] = fields.pop("names")
    if "regex" in fields:
        values["subscribed_topic_regex"] = fields.pop("regex")
    return request_struct(HEARTBEAT, version).fit(**values | fields)


def partitions(struct: Any, assigned: dict[bytes, tuple[int, ...]]) -> tuple[Message, ...]:
    entry = struct.nested("topic_partitions")
    return tuple(entry.new(topic_id=topic_id, partitions=indexes) for topic_id, indexes in assigned.items())


def owned(version: int, assigned: dict[bytes, tuple[int, ...]]) -> tuple[Message, ...]:
    return partitions(request_struct(HEARTBEAT, version), assigned)


def accepts(
    dialogue: Dialogue, got: BrokerGot, assigned: dict[str, tuple[int, ...]] | None = None, **fields: Any
) -> None:
    """The broker is content; `assigned` are backing topics."""
    struct = response_struct(HEARTBEAT, got.version)
    assignment = None
    if assigned is not None:
        entry = struct.nested("assignment")
        by_id = {backing_id(topic): indexes for topic, indexes in assigned.items()}
        assignment = entry.new(topic_partitions=partitions(entry, by_id))
    values = {
        "member_id": got.message.member_id,
        "member_epoch": 1,
        "heartbeat_interval": 5000,
        "assignment": assignment,
        **fields,
    }
    dialogue.broker_answers(got, struct.new(**values))


def assigned_to(answer: Message) -> dict[bytes, tuple[int, ...]] | None:
    if answer.assignment is None:
        return None
    return {each.topic_id: each.partitions for each in answer.assignment.topic_partitions}


def member(version: int, member_id: str, topics: tuple[str, ...], memo: str | None, **fields: Any) -> Message:
    """A member as the broker describes it."""
    entry = response_struct(DESCRIBE, version).nested("groups").nested("members")
    values = {"member_id": member_id, "subscribed_topic_names": topics, "subscribed_topic_regex": memo}
    return entry.fit(**values, client_id="partner:app", client_host="/10.0.0.1", **fields)


def describes(dialogue: Dialogue, *members: Message, error: int = 0) -> None:
    """The gateway asks who else is in the group, and is told."""
    got = dialogue.broker_gets()
    assert (got.key, got.version, got.message.group_ids) == (DESCRIBE, 1, ("partner:g",))
    group = response_struct(DESCRIBE, got.version).nested("groups")
    dialogue.broker_answers(got, groups=(group.new(group_id="partner:g", error_code=error, members=members),))


def memo_of(playbook: Playbook, *names: str, regex: str = "") -> str:
    return meaning(playbook.zone().rules, words(names, regex)).memo


def joins(
    dialogue: Dialogue, version: int, *others: Message, names: tuple[str, ...] | None = (), **fields: Any
) -> None:
    """A member joins; where it must be seen who else is there, these are."""
    dialogue.client_sends(HEARTBEAT, version, heartbeat(version, names=names, **fields))
    accepts(dialogue, dialogue.broker_gets())
    if dialogue.broker.sent:
        describes(dialogue, *others)
    assert dialogue.client_receives().error_code == 0


@pytest.mark.parametrize("version", versions_of(HEARTBEAT))
def test_a_member_s_life(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        stock, invoices = playbook.alias_id("stock"), playbook.alias_id("invoices")
        correlation_id = dialogue.client_sends(
            HEARTBEAT,
            version,
            heartbeat(version, names=("stock", "invoices"), instance_id="i", rack_id="r", server_assignor="uniform"),
        )
        got = dialogue.broker_gets()
        expected = heartbeat(
            version,
            group_id="partner:g",
            names=("kafka-invoices", "kafka-stock"),
            regex="",
            instance_id="i",
            rack_id="r",
            server_assignor="uniform",
        )
        assert got.message == expected
        accepts(dialogue, got, {"kafka-stock": (0, 2), "kafka-invoices": (1,)}, throttle_time=7)
        answer = dialogue.client_receives(correlation_id)
        assert (answer.error_code, answer.member_id, answer.member_epoch) == (0, MEMBER, 1)
        assert (answer.heartbeat_interval, answer.throttle_time) == (5000, 7)
        assert assigned_to(answer) == {stock: (0, 2), invoices: (1,)}

        message = heartbeat(version, 1, topic_partitions=owned(version, {stock: (0, 2), UNKNOWN_ID: (4,)}))
        dialogue.client_sends(HEARTBEAT, version, message)
        got = dialogue.broker_gets()
        held = owned(version, {backing_id("kafka-stock"): (0, 2)})
        assert got.message == heartbeat(version, 1, group_id="partner:g", topic_partitions=held)
        accepts(dialogue, got)
        assert assigned_to(dialogue.client_receives()) is None

        dialogue.client_sends(HEARTBEAT, version, heartbeat(version, -1))
        got = dialogue.broker_gets()
        assert got.message == heartbeat(version, -1, group_id="partner:g")
        accepts(dialogue, got, member_epoch=-1)
        assert dialogue.client_receives().error_code == 0
        assert playbook.zone().subscriptions.find("g", MEMBER) is None


def test_the_broker_makes_member_ids_in_version_0() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(HEARTBEAT, 0, heartbeat(0, names=("stock",), member_id=""))
        accepts(dialogue, dialogue.broker_gets(), {"kafka-stock": (0,)}, member_id="made-by-the-broker")
        assert dialogue.client_receives().member_id == "made-by-the-broker"
        dialogue.client_sends(HEARTBEAT, 0, heartbeat(0, 1, member_id="made-by-the-broker"))
        accepts(dialogue, dialogue.broker_gets(), {"kafka-stock": (0, 1)})
        assert assigned_to(dialogue.client_receives()) == {playbook.alias_id("stock"): (0, 1)}


@pytest.mark.parametrize("version", versions_of(HEARTBEAT))
@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"group_id": "", "names": ("stock",)}, 42),
        ({"names": ("stock", "kafka-orders")}, 29),
        ({"names": ("no-such-topic",)}, 29),
        ({"names": (), "regex": "("}, 128),
    ],
)
def test_refused_here(version: int, fields: dict[str, Any], error: int) -> None:
    if version == 0 and "regex" in fields:
        return
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(HEARTBEAT, version, heartbeat(version, **fields))
        dialogue.broker_gets_nothing()
        answer = dialogue.client_receives()
        assert answer == answer.struct.new(error_code=error, error_message=answer.error_message)
        assert (answer.error_message is None) == (error == 29)
        assert playbook.zone().subscriptions.find("g", MEMBER) is None


def test_a_zone_without_aliases_has_no_groups() -> None:
    with Playbook([Zone("partner", "cluster", "johndoe", ())]) as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(HEARTBEAT, 1, heartbeat(1, names=()))
        dialogue.broker_gets_nothing()
        assert dialogue.client_receives().error_code == 30


@pytest.mark.parametrize("names", [None, (), ("invoices",)])
def test_a_regular_expression_is_evaluated_here(names: tuple[str, ...] | None) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(HEARTBEAT, 1, heartbeat(1, names=names, regex="^sto.*"))
        got = dialogue.broker_gets()
        topics = ("kafka-invoices", "kafka-stock") if names else ("kafka-stock",)
        assert got.message.subscribed_topic_names == topics
        assert recall(got.message.subscribed_topic_regex) == words(names or (), "^sto.*")
        accepts(dialogue, got, {"kafka-stock": (0,)})
        assert assigned_to(dialogue.client_receives()) == {playbook.alias_id("stock"): (0,)}


@pytest.mark.parametrize("regex", ["", "nothing", "kafka-.*"])
def test_a_regular_expression_that_matches_no_alias(regex: str) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(HEARTBEAT, 1, heartbeat(1, regex=regex))
        got = dialogue.broker_gets()
        assert got.message.subscribed_topic_names == ()
        accepts(dialogue, got, {})
        assert assigned_to(dialogue.client_receives()) == {}


def test_a_later_heartbeat_changes_what_it_names_only() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        joins(dialogue, 1, names=("invoices",), regex="sto.*")
        for changed, said in (
            ({"names": ("stock",)}, words(["stock"], "sto.*")),
            ({"regex": "invoices"}, words(["stock"], "invoices")),
            ({"regex": ""}, words(["stock"], "")),
        ):
            dialogue.client_sends(HEARTBEAT, 1, heartbeat(1, 1, **changed))
            got = dialogue.broker_gets()
            meant = meaning(playbook.zone().rules, said)
            assert got.message.subscribed_topic_names == meant.topics
            assert got.message.subscribed_topic_regex == meant.memo
            accepts(dialogue, got)
            dialogue.client_receives()


def test_two_aliases_of_a_topic_in_one_member() -> None:
    """Both are assigned what the broker assigns, and what either holds is held."""
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        orders, twin = playbook.alias_id("orders"), playbook.alias_id("twin")
        dialogue.client_sends(HEARTBEAT, 1, heartbeat(1, names=("twin", "orders")))
        got = dialogue.broker_gets()
        assert got.message.subscribed_topic_names == ("kafka-orders",)
        accepts(dialogue, got, {"kafka-orders": (0, 1)})
        describes(dialogue, member(1, MEMBER, ("kafka-orders",), got.message.subscribed_topic_regex))
        assert assigned_to(dialogue.client_receives()) == {orders: (0, 1), twin: (0, 1)}
        held = owned(1, {orders: (0,), twin: (0, 1)})
        dialogue.client_sends(HEARTBEAT, 1, heartbeat(1, 1, topic_partitions=held))
        got = dialogue.broker_gets()
        assert got.message.topic_partitions == owned(1, {backing_id("kafka-orders"): (0, 1)})
        accepts(dialogue, got, {"kafka-orders": (1,)})
        assert assigned_to(dialogue.client_receives()) == {orders: (1,), twin: (1,)}


@pytest.mark.parametrize("name", ["orders", "twin"])
def test_one_alias_of_a_shared_topic_is_assigned_under_its_own_id(name: str) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        joins(dialogue, 1, names=(name,))
        dialogue.client_sends(HEARTBEAT, 1, heartbeat(1, 1))
        accepts(dialogue, dialogue.broker_gets(), {"kafka-orders": (0,)})
        assert assigned_to(dialogue.client_receives()) == {playbook.alias_id(name): (0,)}


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


def test_a_group_that_cannot_be_described_is_asked_again() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(HEARTBEAT, 1, heartbeat(1, names=("twin",)))
        accepts(dialogue, dialogue.broker_gets(), {"kafka-orders": (0,)})
        describes(dialogue, error=14)
        assert dialogue.client_receives().error_code == 16
        joins(dialogue, 1, names=("twin",))


def test_version_0_has_no_room_for_a_shared_topic() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(HEARTBEAT, 0, heartbeat(0, names=("stock", "twin")))
        dialogue.broker_gets_nothing()
        answer = dialogue.client_receives()
        assert (answer.error_code, answer.error_message.startswith("twin and")) == (42, True)


@pytest.mark.parametrize("version", versions_of(HEARTBEAT))
def test_a_member_that_is_not_known_here_says_everything_again(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        stock = playbook.alias_id("stock")
        dialogue.client_sends(HEARTBEAT, version, heartbeat(version, 8, topic_partitions=owned(version, {stock: (0,)})))
        dialogue.broker_gets_nothing()
        assert dialogue.client_receives().error_code == 16
        full = heartbeat(
            version, 8, names=("stock",), rebalance_timeout=9, topic_partitions=owned(version, {stock: (0,)})
        )
        dialogue.client_sends(HEARTBEAT, version, full)
        got = dialogue.broker_gets()
        assert got.message.subscribed_topic_names == ("kafka-stock",)
        accepts(dialogue, got, {"kafka-stock": (0,)})
        assert assigned_to(dialogue.client_receives()) == {stock: (0,)}
        dialogue.client_sends(HEARTBEAT, version, heartbeat(version, 8))
        accepts(dialogue, dialogue.broker_gets())
        assert dialogue.client_receives().error_code == 0


def test_a_member_that_does_not_say_everything_again_joins_anew() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        errors = []
        for changed in ({}, {}, {"names": ("stock",)}):
            dialogue.client_sends(HEARTBEAT, 1, heartbeat(1, 8, **changed))
            dialogue.broker_gets_nothing()
            errors.append(dialogue.client_receives().error_code)
        assert errors == [16, 110, 110]
        joins(dialogue, 1, names=("stock",))


@pytest.mark.parametrize("error", [25, 69, 110])
def test_a_member_that_the_broker_does_not_know_is_forgotten(error: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        joins(dialogue, 1, names=("stock",))
        dialogue.client_sends(HEARTBEAT, 1, heartbeat(1, 1))
        got = dialogue.broker_gets()
        dialogue.broker_answers(got, error_code=error, error_message="partner:g has no kafka-stock")
        answer = dialogue.client_receives()
        assert (answer.error_code, answer.error_message) == (error, None)
        assert playbook.zone().subscriptions.find("g", MEMBER) is None


def test_a_broker_s_other_errors_change_nothing() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        joins(dialogue, 1, names=("stock",))
        dialogue.client_sends(HEARTBEAT, 1, heartbeat(1, 1, names=("invoices",)))
        dialogue.broker_answers(dialogue.broker_gets(), error_code=14, error_message="kafka-invoices")
        assert dialogue.client_receives().error_code == 14
        known = playbook.zone().subscriptions.find("g", MEMBER)
        assert known is not None
        assert known.names == ("stock",)


def zone_with(*more: Alias) -> Zone:
    return Zone(ZONE.name, ZONE.cluster, ZONE.service_account, (*ZONE.aliases, *more))


@pytest.mark.parametrize(
    ("names", "regex", "new"),
    [
        ((), "sto.*", Alias("store", "kafka-store", Permission.READ)),
        ((), "sto.*", Alias("stock-2", "kafka-stock", Permission.READ)),
        (("stock",), "", Alias("another", "kafka-stock", Permission.READ)),
    ],
    ids=["a pattern gains a topic", "a pattern gains an alias of the same topic", "an alias gains a sibling"],
)
def test_what_the_broker_was_told_is_renewed_when_the_zone_changes(
    names: tuple[str, ...], regex: str, new: Alias
) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        joins(dialogue, 1, names=names, regex=regex)
        playbook.apply([zone_with(new)])
        dialogue.client_sends(HEARTBEAT, 1, heartbeat(1, 1))
        dialogue.broker_gets_nothing()
        assert dialogue.client_receives().error_code == 16
        dialogue.client_sends(
            HEARTBEAT, 1, heartbeat(1, 1, names=names, regex=regex, rebalance_timeout=9, topic_partitions=())
        )
        got = dialogue.broker_gets()
        meant = meaning(playbook.zone().rules, words(names, regex))
        assert got.message.subscribed_topic_names == meant.topics
        assert got.message.subscribed_topic_regex == meant.memo != ""
        assert ("kafka-store" in meant.topics) == (new.topic == "kafka-store")


def test_a_change_of_the_zone_that_means_nothing_to_a_member_goes_unnoticed() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        joins(dialogue, 1, names=("stock",), regex="inv.*")
        playbook.apply([zone_with(Alias("more", "kafka-more", Permission.READ))])
        dialogue.client_sends(HEARTBEAT, 1, heartbeat(1, 1))
        accepts(dialogue, dialogue.broker_gets())
        assert dialogue.client_receives().error_code == 0


def metadata_of(got: BrokerGot, ids: dict[str, bytes]) -> Message:
    struct = response_struct(METADATA, got.version)
    entry = struct.nested("topics")
    topics = tuple(entry.new(name=name, topic_id=topic_id) for name, topic_id in ids.items())
    return struct.new(topics=topics)


def test_an_id_that_is_not_known_yet_is_looked_up() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(HEARTBEAT, 1, heartbeat(1, names=("stock", "invoices")))
        got = dialogue.broker_gets()
        struct = response_struct(HEARTBEAT, 1).nested("assignment")
        assignment = struct.new(topic_partitions=partitions(struct, {UNKNOWN_ID: (0, 1)}))
        dialogue.broker_answers(got, member_id=MEMBER, member_epoch=1, assignment=assignment)
        asked = dialogue.broker_gets()
        assert asked.key == METADATA
        assert [topic.name for topic in asked.message.topics] == ["kafka-invoices", "kafka-stock"]
        assert asked.message.allow_auto_topic_creation is False
        before = playbook.alias_id("stock")
        dialogue.broker_answers(asked, metadata_of(asked, {"kafka-stock": UNKNOWN_ID}))
        assert playbook.alias_id("stock") != before
        assert assigned_to(dialogue.client_receives()) == {playbook.alias_id("stock"): (0, 1)}


def test_an_id_that_nobody_knows_is_not_silently_left_out() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        joins(dialogue, 1, names=("stock",))
        dialogue.client_sends(HEARTBEAT, 1, heartbeat(1, 1))
        got = dialogue.broker_gets()
        struct = response_struct(HEARTBEAT, 1).nested("assignment")
        assignment = struct.new(topic_partitions=partitions(struct, {UNKNOWN_ID: (0,)}))
        dialogue.broker_answers(got, member_id=MEMBER, member_epoch=2, assignment=assignment)
        asked = dialogue.broker_gets()
        dialogue.broker_answers(asked, metadata_of(asked, {"kafka-stock": backing_id("kafka-stock")}))
        answer = dialogue.client_receives()
        assert (answer.error_code, answer.assignment) == (16, None)


def test_requests_behind_a_heartbeat_wait_for_it() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        frames = [dialogue.request(HEARTBEAT, 1, heartbeat(1, names=("twin",))), dialogue.request(12, 4, group_id="g")]
        dialogue.client_sends_bytes(b"".join(data for _, data in frames))
        accepts(dialogue, dialogue.broker_gets())
        describes(dialogue)
        dialogue.client_receives(frames[0][0])
        assert dialogue.broker_gets().key == 12


# ConsumerGroupDescribe


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
            ("b", 69, None),
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
        assert bits == [328 if operations else -(2**31), *[-(2**31)] * 3]
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
