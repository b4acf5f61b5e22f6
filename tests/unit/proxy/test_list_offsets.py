"""ListOffsets and OffsetForLeaderEpoch: names both ways, everybody a consumer, two aliases of one partition."""

from typing import Any

import pytest

from protocol.schema import Message, request_struct, response_struct
from tests.unit.proxy.playbook import BrokerGot, Playbook, versions_of

LIST_OFFSETS, LEADER_EPOCH = 2, 23


def list_offsets(version: int, topics: dict[str, dict[int, int]], **fields: Any) -> Message:
    struct = request_struct(LIST_OFFSETS, version)
    entry = struct.nested("topics")
    partition = entry.nested("partitions")
    return struct.fit(
        **fields,
        topics=tuple(
            entry.new(
                name=name,
                partitions=tuple(partition.fit(partition_index=i, timestamp=t) for i, t in timestamps.items()),
            )
            for name, timestamps in topics.items()
        ),
    )


def listed(got: BrokerGot) -> Message:
    """The broker's answer: an offset of 100 plus the timestamp."""
    struct = response_struct(got.key, got.version)
    entry = struct.nested("topics")
    partition = entry.nested("partitions")
    return struct.fit(
        topics=tuple(
            entry.new(
                name=topic.name,
                partitions=tuple(
                    partition.fit(partition_index=p.partition_index, timestamp=5, offset=100 + p.timestamp)
                    for p in reversed(topic.partitions)
                ),
            )
            for topic in reversed(got.message.topics)
        )
    )


@pytest.mark.parametrize("version", versions_of(LIST_OFFSETS))
def test_list_offsets_with_two_aliases_of_one_partition(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        wanted = {"twin": {0: -2}, "elsewhere": {0: -1, 1: -1}, "orders": {0: -1, 1: -2}, "stock": {4: -1}}
        dialogue.client_sends(LIST_OFFSETS, version, list_offsets(version, wanted, replica_id=-2))
        sent = [dialogue.broker_gets(), dialogue.broker_gets()]
        assert [
            {topic.name: {p.partition_index: p.timestamp for p in topic.partitions} for topic in got.message.topics}
            for got in sent
        ] == [{"kafka-orders": {0: -2, 1: -2}, "kafka-stock": {4: -1}}, {"kafka-orders": {0: -1}}]
        assert [got.message.replica_id for got in sent] == [-1, -1]
        for got in sent:
            dialogue.client_receives_nothing()
            dialogue.broker_answers(got, listed(got))
        answer = dialogue.client_receives()
        assert [
            (t.name, [(p.partition_index, p.error_code, p.offset) for p in t.partitions]) for t in answer.topics
        ] == [
            ("twin", [(0, 0, 98)]),
            ("elsewhere", [(0, 29, -1), (1, 29, -1)]),
            ("orders", [(0, 0, 99), (1, 0, 98)]),
            ("stock", [(4, 0, 99)]),
        ]
        refused = answer.topics[1].partitions[0]
        assert refused == refused.struct.fit(partition_index=0, error_code=29, timestamp=-1, offset=-1, leader_epoch=-1)


@pytest.mark.parametrize("version", versions_of(LIST_OFFSETS))
def test_list_offsets_all_refused(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(LIST_OFFSETS, version, list_offsets(version, {"kafka-orders": {0: -1}}))
        dialogue.broker_gets_nothing()
        assert dialogue.client_receives().topics[0].partitions[0].error_code == 29


@pytest.mark.parametrize("version", versions_of(LEADER_EPOCH))
def test_offset_for_leader_epoch(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        struct = request_struct(LEADER_EPOCH, version)
        entry = struct.nested("topics")
        partition = entry.nested("partitions")
        topics = tuple(
            entry.new(topic=name, partitions=(partition.new(partition=3, current_leader_epoch=1, leader_epoch=2),))
            for name in ("elsewhere", "orders", "twin")
        )
        dialogue.client_sends(LEADER_EPOCH, version, struct.fit(replica_id=5, topics=topics))
        sent = [dialogue.broker_gets(), dialogue.broker_gets()]
        assert [[topic.topic for topic in got.message.topics] for got in sent] == [["kafka-orders"]] * 2
        answered = response_struct(LEADER_EPOCH, version).nested("topics")
        for number, got in enumerate(sent):
            assert getattr(got.message, "replica_id", -1) == -1
            end = answered.nested("partitions").new(partition=3, leader_epoch=2, end_offset=70 + number)
            dialogue.broker_answers(got, topics=(answered.new(topic="kafka-orders", partitions=(end,)),))
        assert [
            (t.topic, [(p.partition, p.error_code, p.leader_epoch, p.end_offset) for p in t.partitions])
            for t in dialogue.client_receives().topics
        ] == [
            ("elsewhere", [(3, 29, -1, -1)]),
            ("orders", [(3, 0, 2, 70)]),
            ("twin", [(3, 0, 2, 71)]),
        ]
