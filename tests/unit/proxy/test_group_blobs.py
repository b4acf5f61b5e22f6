"""Members' subscriptions and assignments: backing topics for the coordinator, what the client sent for clients."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.subscriptions import meaning, words
from policies.zone import ZoneRules
from protocol.consumer_protocol import Assignment, Subscription, attach, attached
from protocol.errors import ProtocolError
from protocol.schema import Message, request_struct, response_struct
from proxy.apis.member_blobs import Kind, readable, to_broker, to_client
from proxy.subscriptions import Subscription as Known
from tests.unit.protocol.consumer_blobs import (
    VERSIONS,
    assignment,
    read_assignment,
    read_subscription,
    subscription,
)
from tests.unit.proxy.playbook import BROKER_VERSIONS, ZONE, BrokerGot, Dialogue, Playbook, versions_of

JOIN, SYNC, DESCRIBE = 11, 14, 69
RULES = ZoneRules(ZONE)
MARKED = "partner:?"
TAIL = attach(b"", b"")[5:]

NAMES = st.sampled_from(["orders", "twin", "stock", "invoices", "kafka-stock", "elsewhere", "", "partner:?x"])
PARTITIONS = st.lists(st.tuples(NAMES, st.lists(st.integers(0, 9), max_size=4)), max_size=5)
USER_DATA = st.sampled_from([None, b"", b"user data", TAIL])
subscriptions = st.builds(
    subscription, st.sampled_from(VERSIONS), st.lists(NAMES, max_size=5), PARTITIONS, USER_DATA, st.integers(-1, 9)
)
assignments = st.builds(assignment, st.sampled_from(VERSIONS), PARTITIONS, USER_DATA)
blobs = st.tuples(st.just(Subscription), subscriptions) | st.tuples(st.just(Assignment), assignments)


@given(blobs, st.sampled_from([b"", b"rest", b"rest" + TAIL, attach(b"", b"x")]))
def test_what_comes_back_is_what_was_sent(kind_and_data: tuple[Kind, bytes], rest: bytes) -> None:
    kind, data = kind_and_data
    sent = to_broker(RULES, kind, data + rest)
    assert to_client(RULES, kind, sent) == data + rest
    assert to_broker(RULES, kind, data + rest) == sent
    known = {"kafka-orders", "kafka-stock", "kafka-invoices"}
    assert all(name in known or name.startswith(MARKED) for name in kind.parse(sent).names)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_subscription_with_one_alias_per_topic_is_renamed_and_carries_nothing(version: int) -> None:
    data = subscription(version, ["invoices", "stock"], [("stock", [2, 0])], b"\0sticky", 7, "rack-1")
    sent = to_broker(RULES, Subscription, data)
    expected = subscription(
        version, ["kafka-invoices", "kafka-stock"], [("kafka-stock", [2, 0])], b"\0sticky", 7, "rack-1"
    )
    assert sent == expected


@pytest.mark.parametrize("version", VERSIONS)
def test_two_aliases_of_a_topic_become_one_and_the_blob_carries_both(version: int) -> None:
    data = subscription(version, ["orders", "stock", "twin"], [("orders", [1]), ("stock", [0]), ("twin", [0, 1])])
    sent = to_broker(RULES, Subscription, data)
    topics, owned, others = read_subscription(sent)
    assert topics == ["kafka-orders", "kafka-stock"]
    assert owned == ([("kafka-orders", [0, 1]), ("kafka-stock", [0])] if version else [])
    assert others == read_subscription(data)[2]
    assert attached(sent) == (data, False)


def test_even_one_alias_of_a_shared_topic_is_carried() -> None:
    """Otherwise what comes back would be the primary alias, `orders`."""
    data = assignment(1, [("twin", [0])])
    sent = to_broker(RULES, Assignment, data)
    assert read_assignment(sent) == ([("kafka-orders", [0])], None)
    assert to_client(RULES, Assignment, sent) == data


def test_names_outside_the_zone_are_never_passed_literally() -> None:
    data = subscription(1, ["kafka-stock", "elsewhere", "stock"], [("kafka-orders", [0])])
    topics, owned, _ = read_subscription(to_broker(RULES, Subscription, data))
    assert topics == ["partner:?kafka-stock", "partner:?elsewhere", "kafka-stock"]
    assert owned == [("partner:?kafka-orders", [0])]


def test_a_name_twice_is_sent_once() -> None:
    data = subscription(0, ["stock", "stock"])
    sent = to_broker(RULES, Subscription, data)
    assert read_subscription(sent)[0] == ["kafka-stock"]
    assert to_client(RULES, Subscription, sent) == data


def test_a_blob_made_elsewhere_is_renamed_as_far_as_it_goes() -> None:
    made = assignment(0, [("kafka-stock", [1]), ("kafka-orders", [0]), ("foreign", [5]), ("partner:?mine", [2])])

    def renamed(*subscribed: str) -> list[tuple[str, list[int]]]:
        return read_assignment(to_client(RULES, Assignment, made, subscribed))[0]

    assert renamed() == [("stock", [1]), ("orders", [0]), ("mine", [2])]
    assert renamed("twin", "stock") == [("stock", [1]), ("twin", [0]), ("mine", [2])]
    assert renamed("twin", "orders") == [("stock", [1]), ("orders", [0]), ("twin", [0]), ("mine", [2])]


@pytest.mark.parametrize("kind", [Subscription, Assignment])
def test_no_blob_stays_none_and_an_unreadable_one_is_refused(kind: Kind) -> None:
    assert to_broker(RULES, kind, b"") == to_client(RULES, kind, b"") == b""
    with pytest.raises(ProtocolError):
        to_broker(RULES, kind, b"\0\0\0\0")
    assert readable(RULES, kind, b"\0\0\0\1\0\5kafka-orders") == b""


# dialogues


def protocols(version: int, *metadata: bytes) -> tuple[Message, ...]:
    entry = request_struct(JOIN, version).nested("protocols")
    return tuple(entry.new(name=f"protocol-{n}", metadata=each) for n, each in enumerate(metadata))


def joins(dialogue: Dialogue, version: int, *metadata: bytes, protocol_type: str = "consumer") -> None:
    message = request_struct(JOIN, version).fit(
        group_id="g", member_id="m-1", protocol_type=protocol_type, protocols=protocols(version, *metadata)
    )
    dialogue.client_sends(JOIN, version, message)


def broker_gets_join(dialogue: Dialogue, *members: Message) -> BrokerGot:
    """The JoinGroup of a member with an alias of a shared topic, whose group's newer members are looked at first."""
    got = dialogue.broker_gets()
    assert (got.key, got.message.group_ids) == (DESCRIBE, ("partner:g",))
    group = response_struct(DESCRIBE, got.version).nested("groups")
    error = 0 if members else 69
    dialogue.broker_answers(got, groups=(group.new(group_id="partner:g", error_code=error, members=members),))
    return dialogue.broker_gets()


def joined(dialogue: Dialogue, got: BrokerGot, member_id: str, *metadata: bytes, error_code: int = 0) -> Message:
    struct = response_struct(JOIN, got.version)
    entry = struct.nested("members")
    members = tuple(entry.fit(member_id=f"m-{n}", metadata=each) for n, each in enumerate(metadata))
    dialogue.broker_answers(got, struct.fit(error_code=error_code, member_id=member_id, members=members))
    return dialogue.client_receives()


def assignments_of(version: int, *blobs: bytes) -> tuple[Message, ...]:
    entry = request_struct(SYNC, version).nested("assignments")
    return tuple(entry.new(member_id=f"m-{n}", assignment=each) for n, each in enumerate(blobs))


def syncs(dialogue: Dialogue, version: int, *blobs: bytes, member_id: str = "m-1", protocol_type: str | None) -> None:
    message = request_struct(SYNC, version).fit(
        group_id="g",
        member_id=member_id,
        protocol_type=protocol_type,
        protocol_name="range",
        assignments=assignments_of(version, *blobs),
    )
    dialogue.client_sends(SYNC, version, message)


def synced(dialogue: Dialogue, got: BrokerGot, blob: bytes) -> bytes:
    dialogue.broker_answers(got, response_struct(SYNC, got.version).fit(assignment=blob))
    received: bytes = dialogue.client_receives().assignment
    return received


@pytest.mark.parametrize("version", versions_of(JOIN))
def test_joining(version: int) -> None:
    ours = subscription(3, ["orders", "stock", "twin"], [("twin", [0])], b"u", 3, "r")
    theirs = subscription(1, ["stock"])
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        joins(dialogue, version, ours, theirs)
        got = broker_gets_join(dialogue)
        sent = [each.metadata for each in got.message.protocols]
        assert sent == [to_broker(RULES, Subscription, ours), to_broker(RULES, Subscription, theirs)]
        assert read_subscription(sent[0])[:2] == (["kafka-orders", "kafka-stock"], [("kafka-orders", [0])])
        answer = joined(dialogue, got, "m-0", *sent)
        assert [each.metadata for each in answer.members] == [ours, theirs]


CLASSIC, CONSUMER = 0, 1


@pytest.mark.parametrize("version", versions_of(JOIN))
@pytest.mark.parametrize(
    ("member_id", "member_type", "topic", "names", "error"),
    [
        ("other", CONSUMER, "kafka-orders", ("orders",), 23),
        ("other", CONSUMER, "kafka-orders", ("orders", "twin"), 23),
        ("other", CONSUMER, "kafka-orders", ("twin",), 0),
        ("other", CONSUMER, "kafka-orders", None, 0),
        ("other", CONSUMER, "kafka-stock", ("stock",), 0),
        ("known", CLASSIC, "kafka-orders", (), 0),
        ("other", CLASSIC, "kafka-orders", (), 23),
        ("m-1", CLASSIC, "kafka-orders", (), 0),
    ],
)
def test_in_a_group_of_the_newer_protocol_all_mean_the_same_aliases_of_a_topic(
    version: int, member_id: str, member_type: int, topic: str, names: tuple[str, ...] | None, error: int
) -> None:
    """Its coordinator gives each partition to one member; another one's alias would miss the records."""
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        playbook.zone().subscriptions.remember("g", "known", Known(("stock", "twin")))
        joins(dialogue, version, subscription(0, ["twin", "stock"]))
        struct = response_struct(DESCRIBE, 1).nested("groups").nested("members")
        memo = meaning(RULES, words(names, "")).memo if names else ""
        other = struct.new(
            member_id=member_id, subscribed_topic_names=(topic,), subscribed_topic_regex=memo, member_type=member_type
        )
        if error:
            with pytest.raises(AssertionError, match="the broker got nothing"):
                broker_gets_join(dialogue, other)
            answer = dialogue.client_receives()
        else:
            answer = joined(dialogue, broker_gets_join(dialogue, other), "m-1")
        assert answer.error_code == error


def test_a_broker_without_the_newer_protocol_is_not_asked_about_it() -> None:
    versions = {key: known for key, known in BROKER_VERSIONS.items() if key not in (68, 69)}
    with Playbook(broker_versions=versions) as playbook:
        dialogue = playbook.signed_in()
        joins(dialogue, 5, subscription(0, ["twin"]))
        assert dialogue.broker_gets().key == JOIN


@pytest.mark.parametrize("version", versions_of(JOIN))
@pytest.mark.parametrize("metadata", [b"\0", b"\0\0\0\0\0\1\0\5ab", subscription(0, ["x" * 32767])])
def test_joining_with_a_subscription_that_can_t_be_read_or_renamed(version: int, metadata: bytes) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        joins(dialogue, version, subscription(0, ["stock"]), metadata)
        dialogue.broker_gets_nothing()
        answer = dialogue.client_receives()
        protocol_name = None if version >= 7 else ""
        assert answer == answer.struct.fit(
            error_code=23, generation_id=-1, protocol_name=protocol_name, leader="", member_id="m-1", members=()
        )


@pytest.mark.parametrize("version", versions_of(JOIN))
@pytest.mark.parametrize("protocol_type", ["connect", "sr", "", "Consumer"])
def test_subscriptions_of_other_protocols_pass(version: int, protocol_type: str) -> None:
    blobs = [subscription(0, ["orders"]), b"\0\1\xff", b"", attach(b"a", b"b")]
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        joins(dialogue, version, *blobs, protocol_type=protocol_type)
        got = dialogue.broker_gets()
        assert [each.metadata for each in got.message.protocols] == blobs
        answer = joined(dialogue, got, "m-0", *blobs)
        assert [each.metadata for each in answer.members] == blobs


@pytest.mark.parametrize("version", versions_of(SYNC))
def test_assigning(version: int) -> None:
    blobs = [
        assignment(1, [("twin", [1]), ("orders", [0])], b"u"),
        assignment(0, [("stock", [2, 1])]),
        assignment(0, [("elsewhere", [0])]),
        b"",
    ]
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        syncs(dialogue, version, *blobs, protocol_type="consumer")
        got = dialogue.broker_gets()
        sent = [each.assignment for each in got.message.assignments]
        assert [read_assignment(blob) for blob in sent[:3]] == [
            ([("kafka-orders", [0, 1])], b"u"),
            ([("kafka-stock", [2, 1])], None),
            ([("partner:?elsewhere", [0])], None),
        ]
        assert synced(dialogue, got, sent[0]) == blobs[0]
        for before, blob in zip(blobs, sent, strict=True):
            syncs(dialogue, version, protocol_type="consumer")
            assert synced(dialogue, dialogue.broker_gets(), blob) == before


@pytest.mark.parametrize("version", versions_of(SYNC))
@pytest.mark.parametrize(
    ("assigned", "alone"),
    [
        ([[("orders", [0]), ("twin", [0])], [("orders", [1]), ("twin", [1])]], [True, True]),
        ([[("orders", [0, 1])], [("twin", [0, 1])]], [False, False]),
        ([[("orders", [0, 1]), ("twin", [0])], [("twin", [1])], [("twin", [2])]], [False, False, True]),
        ([[("orders", [0]), ("stock", [0])], [("stock", [1])]], [True, False]),
    ],
)
def test_members_learn_whether_they_commit_their_partitions_alone(
    version: int, assigned: list[list[tuple[str, list[int]]]], alone: list[bool]
) -> None:
    """`stock` has one alias: nothing has to be known of it."""
    with Playbook() as playbook:
        leader, elsewhere = playbook.signed_in(), playbook.another_gateway()
        syncs(leader, version, *(assignment(0, each) for each in assigned), protocol_type="consumer")
        got = leader.broker_gets()
        for n, entry in enumerate(got.message.assignments):
            dialogue = elsewhere.signed_in()
            struct = request_struct(SYNC, version)
            dialogue.client_sends(
                SYNC,
                version,
                struct.fit(
                    group_id="g", generation_id=7, member_id=f"m-{n}", protocol_type="consumer", protocol_name="range"
                ),
            )
            synced(dialogue, dialogue.broker_gets(), entry.assignment)
            owners = elsewhere.zone().owners
            assert owners.covers("g", f"m-{n}", 7) == alone[n]
            assert not owners.covers("g", f"m-{n}", 8)


@pytest.mark.parametrize("version", versions_of(SYNC))
def test_an_assignment_that_can_t_be_read(version: int) -> None:
    """Before version 5 nothing tells that it isn't another protocol's."""
    damaged = b"\0\0\0\1\0"
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        syncs(dialogue, version, damaged, protocol_type="consumer")
        if version >= 5:
            dialogue.broker_gets_nothing()
            answer = dialogue.client_receives()
            assert answer == answer.struct.fit(error_code=23)
        else:
            got = dialogue.broker_gets()
            assert got.message.assignments[0].assignment == damaged
            assert synced(dialogue, got, damaged) == damaged
        syncs(dialogue, version, protocol_type="consumer")
        shown = synced(dialogue, dialogue.broker_gets(), damaged)
        assert shown == (b"" if version >= 5 else damaged)


@pytest.mark.parametrize("version", versions_of(SYNC))
@pytest.mark.parametrize("blob", [b'{"error":0}', b"\0\2\0\0\0\x24connect-1", attach(b"a", b"b"), TAIL])
def test_assignments_of_other_protocols_pass(version: int, blob: bytes) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        syncs(dialogue, version, blob, protocol_type="connect")
        got = dialogue.broker_gets()
        sent = got.message.assignments[0].assignment
        assert version < 5 or sent == blob
        assert synced(dialogue, got, sent) == blob


@pytest.mark.parametrize("version", versions_of(SYNC))
def test_an_assignment_made_by_the_coordinator(version: int) -> None:
    """A classic member of a group of the newer protocol: each alias that it has subscribed to gets the partitions."""
    made = assignment(3, [("kafka-orders", [0, 1]), ("kafka-stock", [2])])
    subscribed = {
        ("orders", "stock", "twin"): [("orders", [0, 1]), ("twin", [0, 1]), ("stock", [2])],
        ("stock", "twin"): [("twin", [0, 1]), ("stock", [2])],
        ("stock",): [("orders", [0, 1]), ("stock", [2])],
    }
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        for n, (topics, expected) in enumerate(subscribed.items()):
            joins(dialogue, 5, subscription(0, topics))
            got = dialogue.broker_gets() if topics == ("stock",) else broker_gets_join(dialogue)
            joined(dialogue, got, f"member-{n}")
            syncs(dialogue, version, member_id=f"member-{n}", protocol_type="consumer")
            assert read_assignment(synced(dialogue, dialogue.broker_gets(), made))[0] == expected


@pytest.mark.parametrize("version", range(6))
def test_what_a_member_has_subscribed_to_is_forgotten_when_it_leaves(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        known = playbook.zone().subscriptions
        joins(dialogue, 5, subscription(0, ["twin"]))
        joined(dialogue, broker_gets_join(dialogue), "m-1", error_code=79)
        assert known.find("g", "m-1") is None
        joins(dialogue, 5, subscription(0, ["twin", "stock", "elsewhere"]))
        joined(dialogue, broker_gets_join(dialogue), "m-1")
        found = known.find("g", "m-1")
        assert found is not None
        assert found.names == ("stock", "twin")
        struct = request_struct(13, version)
        members = (
            {"members": (struct.nested("members").fit(member_id="m-1"),)} if version >= 3 else {"member_id": "m-1"}
        )
        dialogue.client_sends(13, version, struct.fit(group_id="g", **members))
        assert known.find("g", "m-1") is None


def test_nothing_is_remembered_without_two_aliases_of_a_topic() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        joins(dialogue, 5, subscription(0, ["invoices", "stock"]))
        joined(dialogue, dialogue.broker_gets(), "m-1")
        assert playbook.zone().subscriptions.find("g", "m-1") is None


def test_version_5_is_refused_without_the_protocol_s_type_and_name() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        for protocol_type, protocol_name in ((None, "range"), ("consumer", None), (None, None)):
            dialogue.client_sends(SYNC, 5, group_id="", protocol_type=protocol_type, protocol_name=protocol_name)
            dialogue.broker_gets_nothing()
            assert dialogue.client_receives().error_code == 23
