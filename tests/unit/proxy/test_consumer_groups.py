"""The consumer protocol (KIP-848): subscriptions and owned partitions to the broker, assignments to the member."""

from typing import Any

import pytest

from policies.subscriptions import meaning, recall, words
from policies.zone import Alias, Permission, Zone
from protocol.schema import Message, response_struct
from tests.unit.proxy.members import (
    HEARTBEAT,
    MEMBER,
    METADATA,
    UNKNOWN_ID,
    accepts,
    assigned_to,
    describes,
    heartbeat,
    joins,
    member,
    owned,
    partitions,
    zone_with,
)
from tests.unit.proxy.playbook import BrokerGot, Playbook, backing_id, versions_of


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
        assert answer.error_code == error
        assert "partner" not in answer.error_message and "kafka-stock" not in answer.error_message
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
