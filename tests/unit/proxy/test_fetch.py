"""Fetch: permissions, ids, sessions, replica ids, two aliases of one partition, per version."""

from typing import Any

import pytest
from prometheus_client import generate_latest

from protocol.schema import Message, request_struct, response_struct
from proxy.apis.fetch import REFUSED_WAIT_MS
from proxy.apis.table import plans_for
from proxy.close import CloseReason
from tests.unit.protocol.batches import batch, control_batch
from tests.unit.proxy.playbook import (
    UNMAPPED_BROKER,
    BrokerGot,
    Plans,
    Playbook,
    backing_id,
    typed_plans,
    versions_of,
)
from tests.unit.proxy.test_produce import topic_key

KEY = 1


def naming(key: str | bytes) -> dict[str, Any]:
    return {"topic_id": key} if isinstance(key, bytes) else {"topic": key}


def key_of(topic: Message) -> Any:
    return topic.topic_id if "topic_id" in topic.struct.names else topic.topic


def alias_key(playbook: Playbook, version: int, alias: str) -> Any:
    return playbook.alias_id(alias) if version >= 13 else alias


def wanted(version: int, topics: list[tuple[Any, dict[int, int]]], **fields: Any) -> Message:
    """A request for these partitions (index -> offset) of each topic."""
    struct = request_struct(KEY, version)
    topic_struct = struct.nested("topics")
    partition = topic_struct.nested("partitions")
    return struct.fit(
        **{"max_wait": 500, "min_bytes": 1, "max_bytes": 1000, "session_epoch": -1, **fields},
        topics=tuple(
            topic_struct.new(
                **naming(key),
                partitions=tuple(partition.new(partition=i, fetch_offset=offset) for i, offset in offsets.items()),
            )
            for key, offsets in topics
        ),
    )


def asked(got: BrokerGot) -> list[tuple[Any, dict[int, int]]]:
    return [
        (key_of(topic), {partition.partition: partition.fetch_offset for partition in topic.partitions})
        for topic in got.message.topics
    ]


def records(got: BrokerGot, *, empty: bool = False, **values: Any) -> Message:
    """The broker's answer: each partition has records that tell its offset."""
    struct = response_struct(KEY, got.version)
    topic_struct = struct.nested("responses")
    partition = topic_struct.nested("partitions")
    return struct.fit(
        responses=tuple(
            topic_struct.new(
                **naming(key),
                partitions=tuple(
                    partition.fit(
                        partition_index=index,
                        high_watermark=99,
                        records=b"" if empty else b"from %d" % offset,
                        **values,
                    )
                    for index, offset in offsets.items()
                ),
            )
            for key, offsets in asked(got)
        )
    )


def results(response: Message) -> list[tuple[Any, list[tuple[int, int, bytes]]]]:
    return [
        (key_of(topic), [(p.partition_index, p.error_code, p.records) for p in topic.partitions])
        for topic in response.responses
    ]


@pytest.mark.parametrize("version", versions_of(KEY))
def test_allowed_and_refused_in_one_request(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        orders, stock = (alias_key(playbook, version, name) for name in ("orders", "stock"))
        elsewhere: Any = bytes(range(16)) if version >= 13 else "kafka-stock"
        error = 100 if version >= 13 else 29
        dialogue.client_sends(KEY, version, wanted(version, [(elsewhere, {0: 1}), (stock, {3: 5}), (orders, {0: 7})]))
        got = dialogue.broker_gets()
        assert asked(got) == [
            (topic_key(version, "kafka-stock"), {3: 5}),
            (topic_key(version, "kafka-orders"), {0: 7}),
        ]
        dialogue.broker_answers(got, records(got))
        answer = dialogue.client_receives()
        assert results(answer) == [
            (elsewhere, [(0, error, b"")]),
            (stock, [(3, 0, b"from 5")]),
            (orders, [(0, 0, b"from 7")]),
        ]
        refused = answer.responses[0].partitions[0]
        assert (refused.high_watermark, refused.last_stable_offset, refused.aborted_transactions) == (-1, -1, ())
        if version >= 5:
            assert refused.log_start_offset == -1
        if version >= 11:
            assert refused.preferred_read_replica == -1


@pytest.mark.parametrize("version", versions_of(KEY))
def test_all_refused_is_answered_without_the_broker(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        elsewhere: Any = bytes(range(16)) if version >= 13 else "elsewhere"
        dialogue.client_sends(KEY, version, wanted(version, [(elsewhere, {0: 1, 1: 1})]))
        dialogue.broker_gets_nothing()
        dialogue.client_receives_nothing()
        playbook.loop.advance(REFUSED_WAIT_MS / 1000)
        error = 100 if version >= 13 else 29
        assert results(dialogue.client_receives()) == [(elsewhere, [(0, error, b""), (1, error, b"")])]


@pytest.mark.parametrize("version", range(11, 19))
@pytest.mark.parametrize("plans", [plans_for, typed_plans])
@pytest.mark.parametrize("complete", [True, False])
def test_a_replica_nearby_is_only_asked_for_where_every_broker_can_be_reached(
    version: int, plans: Plans, complete: bool
) -> None:
    with Playbook(plans=plans) as playbook:
        playbook.listener.every_broker_has_a_port = complete
        dialogue = playbook.signed_in()
        for rack in ("", "r", "rack-a"):
            topics = [(alias_key(playbook, version, "orders"), {0: 7})]
            dialogue.client_sends(KEY, version, wanted(version, topics, rack_id=rack))
            got = dialogue.broker_gets()
            assert got.message.rack_id == (rack if complete else "")
            dialogue.broker_answers(got, records(got))
            dialogue.client_receives()


@pytest.mark.parametrize("version", range(11, 19))
@pytest.mark.parametrize("plans", [plans_for, typed_plans])
def test_a_rack_that_is_no_text_never_reaches_the_broker(version: int, plans: Plans) -> None:
    """The byte path has passed it on as it was."""
    with Playbook(plans=plans) as playbook:
        dialogue = playbook.signed_in()
        topics = [(alias_key(playbook, version, "orders"), {0: 7})]
        _, data = dialogue.request(KEY, version, wanted(version, topics, rack_id="rack-a"))
        dialogue.client_sends_bytes(data.replace(b"rack-a", b"rack-\xff"))
        dialogue.expect_end(CloseReason.BAD_REQUEST)
        assert "FetchRequest.rack_id: not UTF-8" in dialogue.end_line["detail"]
        dialogue.broker_gets_nothing()


@pytest.mark.parametrize("version", range(7, 19))
@pytest.mark.parametrize(("session_id", "session_epoch"), [(0, 0), (0, -1), (77, 0), (77, -1)])
def test_no_session_reaches_the_broker(version: int, session_id: int, session_epoch: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        topics = [(alias_key(playbook, version, "orders"), {0: 7})]
        message = wanted(version, topics, session_id=session_id, session_epoch=session_epoch)
        forgotten = message.struct.nested("forgotten_topics_data")
        for left_out in ((), (forgotten.new(**naming(topics[0][0]), partitions=(5,)),)):
            message.forgotten_topics_data = left_out
            dialogue.client_sends(KEY, version, message)
            got = dialogue.broker_gets()
            assert (got.message.session_id, got.message.session_epoch) == (0, -1)
            assert got.message.forgotten_topics_data == ()
            response = records(got)
            response.session_id = 4711
            dialogue.broker_answers(got, response)
            assert dialogue.client_receives().session_id == 0


@pytest.mark.parametrize("version", range(7, 19))
def test_a_session_that_was_never_given_is_not_found(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(KEY, version, wanted(version, [], session_id=77, session_epoch=3))
        dialogue.broker_gets_nothing()
        answer = dialogue.client_receives()
        assert (answer.error_code, answer.session_id, answer.responses) == (70, 0, ())


@pytest.mark.parametrize("version", versions_of(KEY))
@pytest.mark.parametrize("replica_id", [-1, -2, -3, 0, 5])
def test_everybody_is_a_consumer(version: int, replica_id: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        message = wanted(version, [(alias_key(playbook, version, "orders"), {0: 7})])
        if version < 15:
            message.replica_id = replica_id
        else:
            message.replica_state = message.struct.nested("replica_state").new(replica_id=replica_id, replica_epoch=1)
        if "cluster_id" in message.struct.names:
            message.cluster_id = "the-real-cluster"
        partition = message.topics[0].partitions[0]
        if "replica_directory_id" in partition.struct.names:
            partition.replica_directory_id = bytes(range(16))
        if "high_watermark" in partition.struct.names:
            partition.high_watermark = 3
        dialogue.client_sends(KEY, version, message)
        sent = dialogue.broker_gets().message
        defaults = sent.struct.new()
        for name in ("replica_id", "replica_state", "cluster_id"):
            if name in sent.struct.names:
                assert getattr(sent, name) == getattr(defaults, name)
        partition_defaults = partition.struct.new()
        for name in ("replica_directory_id", "high_watermark"):
            if name in partition.struct.names:
                assert getattr(sent.topics[0].partitions[0], name) == getattr(partition_defaults, name)


@pytest.mark.parametrize("version", versions_of(KEY))
def test_two_aliases_of_one_partition_with_news(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        orders, twin, stock = (alias_key(playbook, version, name) for name in ("orders", "twin", "stock"))
        topics = [(orders, {0: 10, 1: 11}), (stock, {0: 30}), (twin, {0: 20})]
        dialogue.client_sends(KEY, version, wanted(version, topics))
        behind = dialogue.client_sends(12, 4, group_id="g")
        backing, other = topic_key(version, "kafka-orders"), topic_key(version, "kafka-stock")
        first, second = dialogue.broker_gets(), dialogue.broker_gets()
        assert asked(first) == [(backing, {0: 10, 1: 11}), (other, {0: 30})]
        assert asked(second) == [(backing, {0: 20})]
        assert {got.message.max_wait for got in (first, second)} == {0}
        assert {got.message.max_bytes for got in (first, second)} == {500}
        dialogue.broker_gets_nothing()
        dialogue.broker_answers(first, records(first, empty=True))
        dialogue.broker_answers(second, records(second))
        assert results(dialogue.client_receives()) == [
            (orders, [(0, 0, b""), (1, 0, b"")]),
            (stock, [(0, 0, b"")]),
            (twin, [(0, 0, b"from 20")]),
        ]
        dialogue.broker_answers(dialogue.broker_gets())
        dialogue.client_receives(behind)


@pytest.mark.parametrize("version", versions_of(KEY))
def test_records_are_counted_for_the_alias_that_asked(version: int) -> None:
    """By two aliases of one partition, and by one alias alone, which takes the byte path."""
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        orders, twin, stock = (alias_key(playbook, version, name) for name in ("orders", "twin", "stock"))
        for topics in ([(orders, {0: 1, 1: 1}), (twin, {0: 2})], [(stock, {0: 4})]):
            dialogue.client_sends(KEY, version, wanted(version, topics))
            while dialogue.broker.sent:
                got = dialogue.broker_gets()
                response = records(got)
                offsets = [offset for _, partitions in asked(got) for offset in partitions.values()]
                found = [partition for topic in response.responses for partition in topic.partitions]
                for partition, offset in zip(found, offsets, strict=True):
                    partition.records = control_batch() + batch(offset) + batch(10)
                dialogue.broker_answers(got, response)
            dialogue.client_receives()
        counted = {name: playbook.metrics.alias("partner", name) for name in ("orders", "twin", "stock")}
        assert {name: meter.fetch_records for name, meter in counted.items()} == {"orders": 22, "twin": 12, "stock": 14}
        assert sum(meter.produce_records for meter in counted.values()) == 0
        exposed = generate_latest(playbook.metrics.registry).decode()
        assert 'zonegate_alias_records_total{alias="twin",api="fetch",zone="partner"} 12.0' in exposed


@pytest.mark.parametrize("version", versions_of(KEY))
def test_two_aliases_of_one_partition_without_news_wait_on_the_first(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        orders, twin = (alias_key(playbook, version, name) for name in ("orders", "twin"))
        dialogue.client_sends(KEY, version, wanted(version, [(twin, {0: 20}), (orders, {0: 20})]))
        for got in (dialogue.broker_gets(), dialogue.broker_gets()):
            dialogue.client_receives_nothing()
            dialogue.broker_answers(got, records(got, empty=True))
        waiting = dialogue.broker_gets()
        assert waiting.message.max_wait == 500
        assert asked(waiting) == [(topic_key(version, "kafka-orders"), {0: 20})]
        dialogue.client_receives_nothing()
        dialogue.broker_answers(waiting, records(waiting))
        assert results(dialogue.client_receives()) == [(twin, [(0, 0, b"from 20")]), (orders, [(0, 0, b"")])]


@pytest.mark.parametrize("version", range(16, 19))
@pytest.mark.parametrize(("leader", "reachable"), [(2, True), (UNMAPPED_BROKER, False)])
def test_new_leaders_are_mapped_or_dropped(version: int, leader: int, reachable: bool) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(KEY, version, wanted(version, [(playbook.alias_id("orders"), {0: 7})]))
        got = dialogue.broker_gets()
        response = records(got, error_code=6)
        partition = response.responses[0].partitions[0]
        partition.current_leader = partition.struct.nested("current_leader").new(leader_id=leader, leader_epoch=9)
        node = response.struct.nested("node_endpoints")
        response.node_endpoints = (node.new(node_id=leader, host=f"kafka-{leader}", port=9092, rack="r"),)
        dialogue.broker_answers(got, response)
        answer = dialogue.client_receives()
        told = answer.responses[0].partitions[0].current_leader
        assert (told.leader_id, told.leader_epoch) == ((leader, 9) if reachable else (-1, -1))
        assert [(n.node_id, n.host, n.port) for n in answer.node_endpoints] == (
            [(leader, "gateway", 9100 + leader)] if reachable else []
        )


@pytest.mark.parametrize("version", versions_of(KEY))
def test_null_records_are_empty_for_the_client(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(KEY, version, wanted(version, [(alias_key(playbook, version, "orders"), {0: 7})]))
        got = dialogue.broker_gets()
        response = records(got)
        response.responses[0].partitions[0].records = None
        dialogue.broker_answers(got, response)
        assert dialogue.client_receives().responses[0].partitions[0].records == b""


def test_a_topic_that_was_created_anew_has_another_id() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        before = playbook.alias_id("orders")
        playbook.registry.learn("", {"kafka-orders": bytes(range(16))})
        after = playbook.alias_id("orders")
        assert before != after
        dialogue.client_sends(KEY, 13, wanted(13, [(before, {0: 7}), (after, {0: 8})]))
        got = dialogue.broker_gets()
        assert asked(got) == [(bytes(range(16)), {0: 8})]
        dialogue.broker_answers(got, records(got))
        assert results(dialogue.client_receives()) == [(before, [(0, 100, b"")]), (after, [(0, 0, b"from 8")])]


def test_a_response_is_renamed_as_its_request_was() -> None:
    """Also when the topic's id is learnt anew between the two."""
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        before, unknown = playbook.alias_id("orders"), bytes(range(16))
        for topics in ([(before, {0: 7})], [(before, {0: 7}), (unknown, {0: 1})]):
            dialogue.client_sends(KEY, 13, wanted(13, topics))
            got = dialogue.broker_gets()
            playbook.registry.learn("", {"kafka-orders": b"another id 16 by"})
            dialogue.broker_answers(got, records(got))
            assert results(dialogue.client_receives())[0] == (before, [(0, 0, b"from 7")])
            playbook.registry.learn("", {"kafka-orders": backing_id("kafka-orders")})
