"""DescribeTopicPartitions: pages of aliases, in the order of the aliases, whatever their backing topics are called."""

from typing import Any

import pytest

from policies.zone import Alias, Permission, Zone
from protocol.schema import Message, request_struct, response_struct
from tests.unit.proxy.playbook import UNMAPPED_BROKER, BrokerGot, Dialogue, Playbook, backing_id, versions_of

KEY, METADATA = 75, 3
READ_BITS, WRITE_BITS, NOT_FILLED = 1288, 1304, -(2**31)
PARTITIONS = {"kafka-orders": 3, "kafka-stock": 1, "kafka-invoices": 2}
SORTED = ["invoices", "orders", "stock", "twin"]

versions = pytest.mark.parametrize("version", versions_of(KEY))

Page = list[tuple[str, int, list[int]]]


def request(version: int, *names: str, limit: int = 2000, cursor: tuple[str, int] | None = None) -> Message:
    struct = request_struct(KEY, version)
    at = None
    if cursor is not None:
        at = struct.nested("cursor").new(topic_name=cursor[0], partition_index=cursor[1])
    topics = tuple(struct.nested("topics").new(name=name) for name in names)
    return struct.new(topics=topics, response_partition_limit=limit, cursor=at)


def metadata(got: BrokerGot, missing: tuple[str, ...] = (), leader: int = 2) -> Message:
    struct = response_struct(METADATA, got.version)
    entry = struct.nested("topics")
    partition = entry.nested("partitions")
    topics = tuple(
        entry.new(name=topic.name, error_code=3)
        if topic.name in missing
        else entry.new(
            name=topic.name,
            topic_id=backing_id(topic.name),
            partitions=tuple(
                partition.new(
                    partition_index=index,
                    error_code=9,
                    leader_id=leader,
                    leader_epoch=4,
                    replica_nodes=(1, 2),
                    isr_nodes=(2,),
                    offline_replicas=(1,),
                )
                for index in reversed(range(PARTITIONS[topic.name]))
            ),
        )
        for topic in got.message.topics
    )
    return struct.new(topics=topics, throttle_time=6)


def described(dialogue: Dialogue, version: int, message: Message, **broker: Any) -> Message:
    dialogue.client_sends(KEY, version, message)
    if dialogue.broker.sent:
        got = dialogue.broker_gets()
        assert (got.key, got.message.allow_auto_topic_creation) == (METADATA, False)
        assert got.message.topics
        dialogue.broker_answers(got, metadata(got, **broker))
    return dialogue.client_receives()


def page(answer: Message) -> Page:
    return [(t.name, t.error_code, [p.partition_index for p in t.partitions]) for t in answer.topics]


def next_page(answer: Message) -> tuple[str, int] | None:
    cursor = answer.next_cursor
    return (cursor.topic_name, cursor.partition_index) if cursor is not None else None


@versions
def test_all_topics_are_the_zone_s(version: int) -> None:
    with Playbook() as playbook:
        answer = described(playbook.signed_in(), version, request(version))
        assert page(answer) == [
            ("invoices", 0, [0, 1]),
            ("orders", 0, [0, 1, 2]),
            ("stock", 0, [0]),
            ("twin", 0, [0, 1, 2]),
        ]
        assert next_page(answer) is None
        assert answer.throttle_time == 6
        assert [t.topic_id for t in answer.topics] == [playbook.alias_id(name) for name in SORTED]
        assert [t.topic_authorized_operations for t in answer.topics] == [WRITE_BITS, WRITE_BITS, READ_BITS, READ_BITS]
        partition = answer.topics[1].partitions[2]
        assert partition == partition.struct.new(
            partition_index=2,
            leader_id=2,
            leader_epoch=4,
            replica_nodes=(1, 2),
            isr_nodes=(2,),
            eligible_leader_replicas=(),
            last_known_elr=(),
            offline_replicas=(1,),
        )


@versions
def test_named_topics_and_what_is_none(version: int) -> None:
    """In order, what is refused behind, each once."""
    with Playbook() as playbook:
        wanted = request(version, "twin", "kafka-orders", "stock", "elsewhere", "invoices", "twin")
        answer = described(playbook.signed_in(), version, wanted, missing=("kafka-stock",))
        assert page(answer) == [
            ("invoices", 0, [0, 1]),
            ("stock", 3, []),
            ("twin", 0, [0, 1, 2]),
            ("elsewhere", 29, []),
            ("kafka-orders", 29, []),
        ]
        missing, refused = answer.topics[1], answer.topics[3]
        assert (missing.topic_id, missing.topic_authorized_operations) == (bytes(16), READ_BITS)
        assert refused == refused.struct.new(error_code=29, name="elsewhere", topic_authorized_operations=NOT_FILLED)


@versions
def test_nothing_that_is_granted_asks_no_broker(version: int) -> None:
    with Playbook() as playbook:
        answer = described(playbook.signed_in(), version, request(version, "kafka-orders"))
        assert (page(answer), next_page(answer)) == ([("kafka-orders", 29, [])], None)
    with Playbook([Zone("partner", "cluster", "johndoe", ())]) as playbook:
        assert page(described(playbook.signed_in(), version, request(version))) == []


@versions
def test_an_alias_without_a_backing_topic_is_left_out_of_all_topics(version: int) -> None:
    with Playbook() as playbook:
        answer = described(playbook.signed_in(), version, request(version), missing=("kafka-orders",))
        assert page(answer) == [("invoices", 0, [0, 1]), ("stock", 0, [0])]


@versions
@pytest.mark.parametrize("limit", [-1, 0, 1, 2, 3, 4, 5, 6, 8, 9, 2000])
@pytest.mark.parametrize("names", [(), ("twin", "orders", "stock", "invoices")])
def test_pages_hold_everything_once(version: int, limit: int, names: tuple[str, ...]) -> None:
    """As an admin client goes through them, which leaves out what it has been answered."""
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        cursor: tuple[str, int] | None = None
        seen: list[tuple[str, int]] = []
        while True:
            left = [name for name in names if cursor is None or name >= cursor[0]]
            answer = described(dialogue, version, request(version, *left, limit=limit, cursor=cursor))
            indexes = [(name, index) for name, _, several in page(answer) for index in several]
            assert 0 < len(indexes) <= max(limit, 1)
            seen += indexes
            cursor = next_page(answer)
            if cursor is None:
                break
            assert len(indexes) == max(limit, 1)
        counts = {"invoices": 2, "orders": 3, "stock": 1, "twin": 3}
        assert seen == [(name, index) for name in SORTED for index in range(counts[name])]


@versions
def test_a_page_is_never_larger_than_a_broker_s(version: int) -> None:
    zone = Zone("partner", "cluster", "johndoe", tuple(Alias(f"a{n}", "kafka-many", Permission.READ) for n in range(3)))
    with Playbook([zone]) as playbook, pytest.MonkeyPatch.context() as patch:
        patch.setitem(PARTITIONS, "kafka-many", 900)
        answer = described(playbook.signed_in(), version, request(version, limit=2**31 - 1))
        assert [(name, len(indexes)) for name, _, indexes in page(answer)] == [("a0", 900), ("a1", 900), ("a2", 200)]
        assert next_page(answer) == ("a2", 200)


@versions
@pytest.mark.parametrize(
    ("names", "cursor"),
    [
        (("orders", "twin"), ("stock", 0)),
        (("orders",), ("twin", 0)),
        (("orders",), ("orders", -1)),
        ((), ("orders", -1)),
    ],
)
def test_a_cursor_that_makes_no_sense(version: int, names: tuple[str, ...], cursor: tuple[str, int]) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(KEY, version, request(version, *names, cursor=cursor))
        dialogue.broker_gets_nothing()
        answer = dialogue.client_receives()
        entry = answer.struct.nested("topics")
        assert answer.topics == tuple(entry.new(name=name, error_code=42) for name in names)


@versions
@pytest.mark.parametrize(
    ("names", "cursor", "expected"),
    [
        ((), ("p", 1), [("stock", 0, [0]), ("twin", 0, [0, 1, 2])]),
        ((), ("orders", 2), [("orders", 0, [2]), ("stock", 0, [0]), ("twin", 0, [0, 1, 2])]),
        ((), ("stock", 9), [("stock", 0, []), ("twin", 0, [0, 1, 2])]),
        (("elsewhere", "a", "twin"), ("elsewhere", 1), [("twin", 0, [0, 1, 2]), ("elsewhere", 29, [])]),
    ],
)
def test_where_a_page_begins(version: int, names: tuple[str, ...], cursor: tuple[str, int], expected: Page) -> None:
    with Playbook() as playbook:
        answer = described(playbook.signed_in(), version, request(version, *names, cursor=cursor))
        assert (page(answer), next_page(answer)) == (expected, None)


@versions
@pytest.mark.parametrize("leader", [-1, UNMAPPED_BROKER])
def test_a_leader_that_cannot_be_reached_is_none(version: int, leader: int) -> None:
    with Playbook() as playbook:
        answer = described(playbook.signed_in(), version, request(version, "stock"), leader=leader)
        assert [(p.leader_id, p.error_code) for p in answer.topics[0].partitions] == [(-1, 0)]
