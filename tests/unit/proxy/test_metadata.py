"""Metadata and DescribeCluster: only the zone's aliases, only brokers that have a port here, never real names."""

from typing import Any

import pytest

from protocol.schema import Message, request_struct, response_struct
from tests.unit.proxy.playbook import UNMAPPED_BROKER, BrokerGot, Playbook, backing_id, versions_of

KEY = 3
DESCRIBE_CLUSTER = 60
NOT_ASKED = -(2**31)
READ_BITS, WRITE_BITS = 1288, 1304
ALL = ["orders", "stock", "twin", "invoices"]


def topics(version: int, *names: Any) -> tuple[Message, ...]:
    entry = request_struct(KEY, version).nested("topics")
    return tuple(entry.new(topic_id=n, name=None) if isinstance(n, bytes) else entry.new(name=n) for n in names)


def described(got: BrokerGot, missing: tuple[str, ...] = (), leader: int = 2, **fields: Any) -> Message:
    """The broker's answer: three partitions per topic, four brokers, one of which has no port."""
    struct = response_struct(KEY, got.version)
    entry = struct.nested("topics")
    partition = entry.nested("partitions")
    broker = struct.nested("brokers")
    found = tuple(
        entry.fit(error_code=3, name=topic.name)
        if topic.name in missing
        else entry.fit(
            name=topic.name,
            topic_id=backing_id(topic.name),
            partitions=tuple(
                partition.fit(
                    partition_index=index, leader_id=leader, leader_epoch=4, replica_nodes=(1, 2), isr_nodes=(2,)
                )
                for index in range(3)
            ),
            topic_authorized_operations=0xFFF,
        )
        for topic in reversed(got.message.topics)
    )
    nodes = tuple(broker.fit(node_id=n, host=f"kafka-{n}", port=9092, rack=f"r{n}") for n in (1, 2, 3, UNMAPPED_BROKER))
    values = {"controller_id": 3, "cluster_id": "the-real-cluster", "throttle_time": 8, **fields}
    return struct.fit(brokers=nodes, topics=found, cluster_authorized_operations=0xFFF, **values)


def shown(answer: Message) -> list[tuple[str | None, int, int]]:
    return [(topic.name, topic.error_code, len(topic.partitions)) for topic in answer.topics]


@pytest.mark.parametrize("version", versions_of(KEY))
def test_all_topics_are_the_zone_s(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(KEY, version, topics=() if version == 0 else None)
        got = dialogue.broker_gets()
        assert [topic.name for topic in got.message.topics] == ["kafka-orders", "kafka-stock", "kafka-invoices"]
        assert got.version == 13
        assert got.message.allow_auto_topic_creation is False
        dialogue.broker_answers(got, described(got))
        answer = dialogue.client_receives()
        assert shown(answer) == [(name, 0, 3) for name in ALL]
        assert [(b.node_id, b.host, b.port) for b in answer.brokers] == [(n, "gateway", 9100 + n) for n in (1, 2, 3)]
        if version >= 1:
            assert answer.controller_id == 3
            assert [b.rack for b in answer.brokers] == ["r1", "r2", "r3"]
        if version >= 2:
            assert answer.cluster_id == playbook.zone().cluster_id
        if version >= 3:
            assert answer.throttle_time == 8
        if version >= 10:
            assert [topic.topic_id for topic in answer.topics] == [playbook.alias_id(name) for name in ALL]
        first = answer.topics[0].partitions[1]
        assert (first.partition_index, first.leader_id, first.replica_nodes, first.isr_nodes) == (1, 2, (1, 2), (2,))
        if version >= 8:
            assert answer.topics[0].topic_authorized_operations == NOT_ASKED


@pytest.mark.parametrize("version", range(1, 14))
def test_an_empty_list_asks_for_brokers_only(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(KEY, version, topics=())
        got = dialogue.broker_gets()
        assert got.message.topics == ()
        dialogue.broker_answers(got, described(got))
        answer = dialogue.client_receives()
        assert answer.topics == ()
        assert len(answer.brokers) == 3


@pytest.mark.parametrize("version", versions_of(KEY))
def test_named_topics_in_the_order_of_the_request(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        wanted = topics(version, "twin", "kafka-orders", "stock", "elsewhere", "orders", "twin")
        dialogue.client_sends(KEY, version, topics=wanted)
        got = dialogue.broker_gets()
        assert [topic.name for topic in got.message.topics] == ["kafka-orders", "kafka-stock"]
        dialogue.broker_answers(got, described(got, missing=("kafka-stock",)))
        answer = dialogue.client_receives()
        assert shown(answer) == [
            ("twin", 0, 3),
            ("kafka-orders", 29, 0),
            ("stock", 3, 0),
            ("elsewhere", 29, 0),
            ("orders", 0, 3),
        ]
        refused = answer.topics[1]
        assert refused == refused.struct.fit(error_code=29, name="kafka-orders")


@pytest.mark.parametrize("version", versions_of(KEY))
def test_an_alias_without_a_backing_topic_is_left_out_of_all_topics(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(KEY, version, topics=() if version == 0 else None)
        got = dialogue.broker_gets()
        dialogue.broker_answers(got, described(got, missing=("kafka-orders",)))
        assert shown(dialogue.client_receives()) == [("stock", 0, 3), ("invoices", 0, 3)]


@pytest.mark.parametrize("version", [12, 13])
def test_topics_by_id(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        orders, unknown, real = playbook.alias_id("orders"), bytes(range(16)), backing_id("kafka-orders")
        dialogue.client_sends(KEY, version, topics=topics(version, orders, unknown, "stock", real))
        got = dialogue.broker_gets()
        assert [topic.name for topic in got.message.topics] == ["kafka-orders"]
        dialogue.broker_answers(got, described(got))
        answer = dialogue.client_receives()
        assert [(t.name, t.topic_id, t.error_code) for t in answer.topics] == [
            ("orders", orders, 0),
            (None, unknown, 100),
            (None, real, 100),
        ]


@pytest.mark.parametrize("version", [10, 11])
def test_ids_before_version_12_are_invalid(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        orders = playbook.alias_id("orders")
        dialogue.client_sends(KEY, version, topics=topics(version, "stock", orders))
        dialogue.broker_gets_nothing()
        assert [(t.name, t.topic_id, t.error_code) for t in dialogue.client_receives().topics] == [
            ("stock", bytes(16), 42),
            ("", orders, 42),
        ]


def test_an_id_is_learnt_from_an_answer_and_replaced_when_the_topic_is_created_anew() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        before = playbook.alias_id("orders")
        dialogue.client_sends(KEY, 12, topics=topics(12, before))
        got = dialogue.broker_gets()
        response = described(got)
        response.topics[0].topic_id = bytes(range(16))
        dialogue.broker_answers(got, response)
        answer = dialogue.client_receives().topics[0]
        assert (answer.name, answer.topic_id, answer.error_code, answer.partitions) == (None, before, 100, ())
        assert playbook.alias_id("orders") != before


@pytest.mark.parametrize("version", range(8, 14))
def test_authorised_operations_are_the_zone_s(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        fields: dict[str, Any] = {"include_topic_authorized_operations": True}
        if version <= 10:
            fields["include_cluster_authorized_operations"] = True
        dialogue.client_sends(KEY, version, topics=topics(version, "orders", "stock"), **fields)
        got = dialogue.broker_gets()
        dialogue.broker_answers(got, described(got))
        answer = dialogue.client_receives()
        assert [topic.topic_authorized_operations for topic in answer.topics] == [WRITE_BITS, READ_BITS]
        if version <= 10:
            assert answer.cluster_authorized_operations == 0


@pytest.mark.parametrize("version", versions_of(KEY))
def test_a_leader_without_a_port_is_not_available(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(KEY, version, topics=topics(version, "orders"))
        got = dialogue.broker_gets()
        dialogue.broker_answers(got, described(got, leader=UNMAPPED_BROKER, controller_id=UNMAPPED_BROKER))
        answer = dialogue.client_receives()
        assert [(p.partition_index, p.error_code, p.leader_id) for p in answer.topics[0].partitions] == [
            (index, 5, -1) for index in range(3)
        ]
        if version >= 1:
            assert answer.controller_id == 1


@pytest.mark.parametrize("version", versions_of(DESCRIBE_CLUSTER))
@pytest.mark.parametrize("operations", [False, True])
def test_describe_cluster(version: int, operations: bool) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(DESCRIBE_CLUSTER, version, include_cluster_authorized_operations=operations)
        got = dialogue.broker_gets()
        assert got.message.include_cluster_authorized_operations is False
        broker = response_struct(DESCRIBE_CLUSTER, version).nested("brokers")
        dialogue.broker_answers(
            got,
            cluster_id="the-real-cluster",
            controller_id=UNMAPPED_BROKER,
            brokers=tuple(broker.new(broker_id=n, host="kafka", port=9092) for n in (UNMAPPED_BROKER, 2, 3)),
            cluster_authorized_operations=0xFFF,
        )
        answer = dialogue.client_receives()
        assert [(b.broker_id, b.host, b.port) for b in answer.brokers] == [(2, "gateway", 9102), (3, "gateway", 9103)]
        assert (answer.cluster_id, answer.controller_id) == (playbook.zone().cluster_id, 2)
        assert answer.cluster_authorized_operations == (0 if operations else NOT_ASKED)
        assert answer.error_message is None


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(("endpoint_type", "error"), [(2, 114), (3, 115), (0, 115)])
def test_controllers_are_not_described(version: int, endpoint_type: int, error: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(DESCRIBE_CLUSTER, version, endpoint_type=endpoint_type)
        dialogue.broker_gets_nothing()
        answer = dialogue.client_receives()
        assert (answer.error_code, answer.brokers, answer.cluster_id) == (error, (), "")
