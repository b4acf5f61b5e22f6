"""Two aliases of one topic are two topics to the clients: each with every record, at its own position."""

import contextlib
from collections.abc import Iterator
from typing import Any, Protocol

import aiokafka
import pytest
from confluent_kafka import TopicPartition

from tests.integration.clients.aiokafka_client import Aiokafka, run
from tests.integration.clients.aiokafka_client import take as take_async
from tests.integration.clients.base import Client, Record
from tests.integration.clients.kafka_python import KafkaPython, offset_to_commit, topic_partition
from tests.integration.clients.kafka_python import take as take_kafka_python
from tests.integration.clients.librdkafka import Librdkafka, take
from tests.integration.world import Account, Pair, World, new_group

pytestmark = pytest.mark.kafka

RECORDS = 30
Committed = dict[tuple[str, int], int]


class Grouped(Protocol):
    """What these tests do with a group, in each library's own words."""

    def __call__(self, account: Account, group: str, pair: Pair, count: int, commit: Committed) -> list[Record]:
        """Subscribe to both aliases, read `count` records, then commit these positions."""


def with_librdkafka(account: Account, group: str, pair: Pair, count: int, commit: Committed) -> list[Record]:
    with Librdkafka(account).consumer(group) as consumer:
        consumer.subscribe([pair.writable.alias, pair.readable.alias])
        found = list(take(consumer, count))
        offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in commit.items()]
        if offsets:
            consumer.commit(offsets=offsets, asynchronous=False)
        return found


def with_aiokafka(account: Account, group: str, pair: Pair, count: int, commit: Committed) -> list[Record]:
    async def work() -> list[Record]:
        topics = (pair.writable.alias, pair.readable.alias)
        async with Aiokafka(account).consumer(*topics, group_id=group) as consumer:
            found = await take_async(consumer, count)
            if commit:
                await consumer.commit({aiokafka.TopicPartition(*key): offset for key, offset in commit.items()})
            return found

    return run(work())


def with_kafka_python(account: Account, group: str, pair: Pair, count: int, commit: Committed) -> list[Record]:
    with KafkaPython(account).consumer(group_id=group) as consumer:
        consumer.subscribe([pair.writable.alias, pair.readable.alias])
        found = take_kafka_python(consumer, count)
        if commit:
            consumer.commit({topic_partition(*key): offset_to_commit(offset) for key, offset in commit.items()})
        return found


clients = pytest.mark.parametrize("kind", [Librdkafka, Aiokafka, KafkaPython], ids=lambda kind: kind.name)
groups = pytest.mark.parametrize(
    "read", [with_librdkafka, with_aiokafka, with_kafka_python], ids=["librdkafka", "aiokafka", "kafka-python"]
)


def fill(world: World, pair: Pair) -> dict[int, list[str]]:
    """Write through the one alias; returns what each partition holds, as the cluster itself shows it."""
    client = Librdkafka(world.supplier)
    held: dict[int, list[str]] = {0: [], 1: []}
    for partition in held:
        client.produce(pair.writable.alias, [f"record-{n:03}" for n in range(RECORDS // 2)], partition=partition)
    for record in sorted(client.consume([pair.readable.alias], RECORDS)):
        held[record.partition].append(record.value)
    assert sum(map(len, held.values())) == RECORDS
    return held


def expected(pair: Pair, held: dict[int, list[str]], start: Committed) -> list[Record]:
    return sorted(
        Record(alias.alias, partition, offset, value)
        for alias in (pair.writable, pair.readable)
        for partition, values in held.items()
        for offset, value in enumerate(values)
        if offset >= start.get((alias.alias, partition), 0)
    )


@groups
def test_one_consumer_of_both_reads_everything_on_both_and_goes_on_exactly(
    world: World, pair: Pair, read: Grouped
) -> None:
    held, group = fill(world, pair), new_group()
    positions = {
        (pair.writable.alias, 0): 3,
        (pair.writable.alias, 1): len(held[1]),
        (pair.readable.alias, 0): len(held[0]) - 1,
        (pair.readable.alias, 1): 0,
    }
    first = read(world.supplier, group, pair, 2 * RECORDS, positions)
    assert sorted(first) == expected(pair, held, {})
    left = expected(pair, held, positions)
    assert sorted(read(world.supplier, group, pair, len(left), {})) == left


@groups
def test_a_commit_of_one_alias_leaves_the_other_where_it_was(world: World, pair: Pair, read: Grouped) -> None:
    held, group = fill(world, pair), new_group()
    only_b = {(pair.readable.alias, 0): len(held[0]), (pair.readable.alias, 1): len(held[1])}
    read(world.supplier, group, pair, 2 * RECORDS, only_b)
    left = expected(pair, held, only_b)
    assert {record.topic for record in left} == {pair.writable.alias}
    assert sorted(read(world.supplier, group, pair, len(left), {})) == left


@clients
def test_one_consumer_reads_both_from_different_offsets(world: World, pair: Pair, kind: type[Client]) -> None:
    held = fill(world, pair)
    start = {
        (pair.writable.alias, 0): 2,
        (pair.readable.alias, 0): 5,
        (pair.writable.alias, 1): len(held[1]) - 1,
        (pair.readable.alias, 1): 0,
    }
    wanted = expected(pair, held, start)
    assert sorted(kind(world.supplier).consume_from(start, len(wanted))) == wanted


@contextlib.contextmanager
def standing_at_the_end(world: World, pair: Pair) -> Iterator[Any]:
    client = Librdkafka(world.supplier)
    with client.consumer(new_group()) as consumer:
        consumer.subscribe([pair.writable.alias, pair.readable.alias])
        client.produce(pair.writable.alias, ["before"])
        assert sorted(record.value for record in take(consumer, 2)) == ["before"] * 2
        yield consumer


def test_a_consumer_that_waits_on_both_gets_what_arrives_on_both(world: World, pair: Pair) -> None:
    with standing_at_the_end(world, pair) as consumer:
        for n in range(5):
            Librdkafka(world.supplier).produce(pair.writable.alias, [f"live-{n}"])
            arrived = list(take(consumer, 2))
            assert sorted((record.topic, record.value) for record in arrived) == sorted(
                [(pair.writable.alias, f"live-{n}"), (pair.readable.alias, f"live-{n}")]
            )
