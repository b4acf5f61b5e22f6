"""Produce: mixed permissions, acks 0, 1 and -1, ids, texts and leaders, per version."""

from typing import Any

import pytest
from prometheus_client import generate_latest

from policies.zone import Alias, Permission, Zone
from protocol.schema import Message, request_struct, response_struct
from proxy.close import CloseReason
from tests.unit.protocol import batches
from tests.unit.proxy.playbook import UNMAPPED_BROKER, ZONE, BrokerGot, Dialogue, Playbook, backing_id, versions_of

KEY = 0
BY_NAME, BY_ID = range(3, 13), (13,)


def batch(version: int, topics: dict[Any, list[int]], **fields: Any) -> Message:
    """A request for these partitions of each topic, named by name or id."""
    struct = request_struct(KEY, version)
    topic_struct = struct.nested("topic_data")
    partition = topic_struct.nested("partition_data")
    return struct.new(
        **{"acks": -1, "timeout": 1000, **fields},
        topic_data=tuple(
            topic_struct.new(
                **naming(key),
                partition_data=tuple(partition.new(index=index, records=b"r%d" % index) for index in indexes),
            )
            for key, indexes in topics.items()
        ),
    )


def naming(key: str | bytes) -> dict[str, Any]:
    return {"topic_id": key} if isinstance(key, bytes) else {"name": key}


def alias_key(playbook: Playbook, version: int, alias: str) -> Any:
    return playbook.alias_id(alias) if version >= 13 else alias


def topic_key(version: int, topic: str) -> Any:
    return backing_id(topic) if version >= 13 else topic


def asked(got: BrokerGot) -> dict[Any, list[int]]:
    return {key_of(topic): [p.index for p in topic.partition_data] for topic in got.message.topic_data}


def key_of(topic: Message) -> Any:
    return topic.topic_id if "topic_id" in topic.struct.names else topic.name


def stored(got: BrokerGot, **values: Any) -> Message:
    """The broker's answer: every partition got base offset 40 plus its index."""
    struct = response_struct(KEY, got.version)
    topic_struct = struct.nested("responses")
    partition = topic_struct.nested("partition_responses")
    return struct.fit(
        throttle_time=5,
        responses=tuple(
            topic_struct.new(
                **naming(key),
                partition_responses=tuple(
                    partition.fit(index=index, base_offset=40 + index, **values) for index in indexes
                ),
            )
            for key, indexes in asked(got).items()
        ),
    )


def results(response: Message) -> list[tuple[Any, list[tuple[int, int, int]]]]:
    """[(topic, [(index, error, base offset)])]"""
    return [
        (key_of(topic), [(p.index, p.error_code, p.base_offset) for p in topic.partition_responses])
        for topic in response.responses
    ]


@pytest.mark.parametrize("version", versions_of(KEY))
def test_allowed_and_refused_in_one_request(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        orders, stock, invoices = (alias_key(playbook, version, name) for name in ("orders", "stock", "invoices"))
        elsewhere: Any = bytes(range(16)) if version >= 13 else "kafka-orders"
        topics = {stock: [0, 1], orders: [2, 0], elsewhere: [7], invoices: [1]}
        correlation_id = dialogue.client_sends(KEY, version, batch(version, topics))
        got = dialogue.broker_gets()
        assert asked(got) == {topic_key(version, "kafka-orders"): [2, 0], topic_key(version, "kafka-invoices"): [1]}
        assert got.message.acks == -1
        dialogue.broker_answers(got, stored(got))
        answer = dialogue.client_receives(correlation_id)
        assert results(answer) == [
            (stock, [(0, 29, -1), (1, 29, -1)]),
            (orders, [(2, 0, 42), (0, 0, 40)]),
            (elsewhere, [(7, 100 if version >= 13 else 29, -1)]),
            (invoices, [(1, 0, 41)]),
        ]
        assert answer.throttle_time == 5
        refused = answer.responses[0].partition_responses[0]
        assert refused == refused.struct.fit(index=0, error_code=29, base_offset=-1)
        assert refused.log_append_time == -1
        if version >= 5:
            assert refused.log_start_offset == -1
        if version >= 8:
            assert (refused.record_errors, refused.error_message) == ((), None)


@pytest.mark.parametrize("version", versions_of(KEY))
def test_records_are_counted_where_they_are_forwarded(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        orders, stock, invoices = (alias_key(playbook, version, name) for name in ("orders", "stock", "invoices"))
        mixed, allowed = {stock: [0], orders: [0, 1]}, {orders: [1], invoices: [0]}
        for topics in (mixed, allowed):
            message = batch(version, topics)
            for topic in message.topic_data:
                for partition in topic.partition_data:
                    partition.records = batches.batch(10 + partition.index)
            dialogue.client_sends(KEY, version, message)
            got = dialogue.broker_gets()
            dialogue.broker_answers(got, stored(got))
            dialogue.client_receives()
        counted = {name: playbook.metrics.alias("partner", name) for name in ("orders", "stock", "invoices")}
        assert {name: meter.produce_records for name, meter in counted.items()} == {
            "orders": 10 + 11 + 11,
            "stock": 0,
            "invoices": 10,
        }
        exposed = generate_latest(playbook.metrics.registry).decode()
        assert 'zonegate_alias_records_total{alias="orders",api="produce",zone="partner"} 32.0' in exposed


@pytest.mark.parametrize("version", versions_of(KEY))
def test_all_refused_is_answered_without_the_broker(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        stock = alias_key(playbook, version, "stock")
        dialogue.client_sends(KEY, version, batch(version, {stock: [0]}, acks=1))
        dialogue.broker_gets_nothing()
        assert results(dialogue.client_receives()) == [(stock, [(0, 29, -1)])]
        assert playbook.metrics.refusals == {("partner", "produce", "topic_authorization_failed"): 1}


@pytest.mark.parametrize("version", versions_of(KEY))
def test_acks_0_takes_no_turn(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        orders = alias_key(playbook, version, "orders")
        for _ in range(70):
            dialogue.client_sends(KEY, version, batch(version, {orders: [0]}, acks=0))
            assert asked(dialogue.broker_gets()) == {topic_key(version, "kafka-orders"): [0]}
        heartbeat = dialogue.client_sends(12, 4, group_id="g")
        dialogue.broker_answers(dialogue.broker_gets())
        dialogue.client_receives(heartbeat)
        assert dialogue.ended == ""


@pytest.mark.parametrize("version", versions_of(KEY))
def test_acks_0_with_something_refused_ends_the_connection_behind_the_rest(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        orders, stock = (alias_key(playbook, version, name) for name in ("orders", "stock"))
        dialogue.client_sends(KEY, version, batch(version, {stock: [0], orders: [1]}, acks=0))
        assert asked(dialogue.broker_gets()) == {topic_key(version, "kafka-orders"): [1]}
        dialogue.client_receives_nothing()
        dialogue.expect_end(CloseReason.ACKS_0_REFUSED)


@pytest.mark.parametrize("version", versions_of(KEY))
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("acks", [-1, 0])
def test_a_transactional_id_is_in_the_zone_s_namespace(version: int, mixed: bool, acks: int) -> None:
    """Whatever else is in the request. Like any other, a transactional request may do without an answer."""
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        orders, stock = (alias_key(playbook, version, name) for name in ("orders", "stock"))
        topics = {stock: [3], orders: [0, 1]} if mixed else {orders: [0, 1]}
        dialogue.client_sends(KEY, version, batch(version, topics, acks=acks, transactional_id="my:tx"))
        got = dialogue.broker_gets()
        assert (got.message.transactional_id, got.message.acks) == ("partner:my:tx", acks)
        assert asked(got) == {topic_key(version, "kafka-orders"): [0, 1]}
        if acks:
            dialogue.broker_answers(got, stored(got, error_code=48))
            expected = [(orders, [(0, 48, 40), (1, 48, 41)])]
            assert results(dialogue.client_receives()) == ([(stock, [(3, 29, -1)])] if mixed else []) + expected
        elif mixed:
            dialogue.expect_end(CloseReason.ACKS_0_REFUSED)
        else:
            assert dialogue.ended == ""


READER = Zone("partner", "cluster", "johndoe", (Alias("orders", "kafka-orders", Permission.READ),))
LONGEST = "x" * (0x7FFF - len("partner:"))


@pytest.mark.parametrize("version", versions_of(KEY))
@pytest.mark.parametrize(
    ("zone", "transactional_id", "error"),
    [(READER, "tx", 53), (READER, "", 53), (ZONE, "", 42), (ZONE, LONGEST + "x", 42)],
)
@pytest.mark.parametrize("acks", [-1, 0])
def test_a_transactional_id_of_no_use(version: int, zone: Zone, transactional_id: str, error: int, acks: int) -> None:
    with Playbook((zone,)) as playbook:
        dialogue = playbook.signed_in()
        orders = alias_key(playbook, version, "orders")
        message = batch(version, {orders: [0, 1]}, acks=acks, transactional_id=transactional_id)
        dialogue.client_sends(KEY, version, message)
        dialogue.broker_gets_nothing()
        if acks:
            assert results(dialogue.client_receives()) == [(orders, [(0, error, -1), (1, error, -1)])]
        else:
            dialogue.expect_end(CloseReason.ACKS_0_REFUSED)


@pytest.mark.parametrize("version", versions_of(KEY))
def test_the_longest_transactional_id(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        orders = alias_key(playbook, version, "orders")
        dialogue.client_sends(KEY, version, batch(version, {orders: [0]}, transactional_id=LONGEST))
        assert dialogue.broker_gets().message.transactional_id == "partner:" + LONGEST


@pytest.mark.parametrize("version", range(8, 14))
def test_a_broker_s_texts_are_replaced(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(KEY, version, batch(version, {alias_key(playbook, version, "orders"): [0]}))
        got = dialogue.broker_gets()
        response = stored(got, error_code=87, error_message="bad record in kafka-orders-0")
        partition = response.responses[0].partition_responses[0]
        error = partition.struct.nested("record_errors")
        partition.record_errors = (error.new(batch_index=3, batch_index_error_message="kafka-orders-0: no key"),)
        dialogue.broker_answers(got, response)
        answer = dialogue.client_receives().responses[0].partition_responses[0]
        assert (answer.error_code, answer.error_message) == (87, "The broker answered INVALID_RECORD.")
        assert [(e.batch_index, e.batch_index_error_message) for e in answer.record_errors] == [(3, None)]


@pytest.mark.parametrize("version", range(10, 14))
@pytest.mark.parametrize(("leader", "reachable"), [(2, True), (UNMAPPED_BROKER, False)])
def test_new_leaders_are_mapped_or_dropped(version: int, leader: int, reachable: bool) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(KEY, version, batch(version, {alias_key(playbook, version, "orders"): [0]}))
        got = dialogue.broker_gets()
        response = stored(got, error_code=6)
        partition = response.responses[0].partition_responses[0]
        partition.current_leader = partition.struct.nested("current_leader").new(leader_id=leader, leader_epoch=9)
        node = response.struct.nested("node_endpoints")
        response.node_endpoints = (node.new(node_id=leader, host=f"kafka-{leader}", port=9092, rack="r"),)
        dialogue.broker_answers(got, response)
        answer = dialogue.client_receives()
        told = answer.responses[0].partition_responses[0].current_leader
        endpoints = [(n.node_id, n.host, n.port) for n in answer.node_endpoints]
        assert (told.leader_id, told.leader_epoch) == ((leader, 9) if reachable else (-1, -1))
        assert endpoints == ([(leader, "gateway", 9100 + leader)] if reachable else [])


def test_a_partition_that_the_broker_leaves_out_is_to_be_tried_again() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(KEY, 9, batch(9, {"orders": [0, 1], "stock": [0]}))
        got = dialogue.broker_gets()
        response = stored(got)
        topic = response.responses[0]
        topic.partition_responses = topic.partition_responses[:1]
        dialogue.broker_answers(got, response)
        assert results(dialogue.client_receives())[0] == ("orders", [(0, 0, 40), (1, 7, -1)])


@pytest.mark.parametrize("version", versions_of(KEY))
def test_two_writable_aliases_of_one_partition_go_in_two_requests(version: int) -> None:
    """No manifest may say so, but rules may come from elsewhere one day."""
    both = (Alias("orders", "kafka-orders", Permission.WRITE), Alias("twin", "kafka-orders", Permission.WRITE))
    with Playbook((Zone("partner", "cluster", "johndoe", both),)) as playbook:
        dialogue: Dialogue = playbook.signed_in()
        keys = [alias_key(playbook, version, alias.name) for alias in both]
        dialogue.client_sends(KEY, version, batch(version, {keys[0]: [0, 1], keys[1]: [1]}))
        first, second = dialogue.broker_gets(), dialogue.broker_gets()
        topic = topic_key(version, "kafka-orders")
        assert (asked(first), asked(second)) == ({topic: [0, 1]}, {topic: [1]})
        dialogue.broker_answers(first, stored(first))
        dialogue.client_receives_nothing()
        dialogue.broker_answers(second, stored(second, error_code=7))
        assert results(dialogue.client_receives()) == [(keys[0], [(0, 0, 40), (1, 0, 41)]), (keys[1], [(1, 7, 41)])]
