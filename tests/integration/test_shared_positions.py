"""Committed positions of two aliases of one topic: through two gateways at once, and deleted one by one."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from tests.integration.clients.librdkafka import Librdkafka, take
from tests.integration.test_java_tools import Tool, tool
from tests.integration.world import Account, Front, Pair, World, new_group

pytestmark = pytest.mark.kafka

__all__ = ["tool"]

ROUNDS = 12
SECONDS = 30.0


@pytest.fixture
def elsewhere(world: World) -> Iterator[Account]:
    """The supplier's account at a second gateway, which knows nothing of the first."""
    supplier = world.supplier
    with Front(world.kafka, world.canaries) as front:
        yield front.add_zone(supplier.zone, supplier.user, world.supplier_rows())


def committed(account: Account, group: str, *partitions: tuple[str, int]) -> dict[tuple[str, int], int]:
    with Librdkafka(account).consumer(group) as consumer:
        found = consumer.committed([TopicPartition(*each) for each in partitions], timeout=SECONDS)
    return {(each.topic, each.partition): each.offset for each in found}


def test_two_members_at_two_gateways_commit_two_aliases_at_once(world: World, pair: Pair, elsewhere: Account) -> None:
    """Each member has one alias of the same partitions; what was acknowledged is there afterwards."""
    Librdkafka(world.supplier).produce(pair.writable.alias, [str(n) for n in range(2 * ROUNDS)], partition=0)
    group = new_group()
    together = threading.Barrier(2, timeout=SECONDS)
    has_read = {pair.writable.alias: threading.Event(), pair.readable.alias: threading.Event()}

    def member(account: Account, alias: str, first: int) -> None:
        with Librdkafka(account).consumer(group) as consumer:
            consumer.subscribe([alias])
            assert len(list(take(consumer, 2 * ROUNDS))) == 2 * ROUNDS
            has_read[alias].set()
            while not all(event.is_set() for event in has_read.values()):
                consumer.poll(0.1)  # the other one's joining needs this one to join again
            together.wait()
            for n in range(ROUNDS):
                position = TopicPartition(alias, 0, first + n)
                (done,) = consumer.commit(offsets=[position], asynchronous=False)
                assert done.error is None
                together.wait()
                (mine,) = consumer.committed([TopicPartition(alias, 0)], timeout=SECONDS)
                assert mine.offset == first + n, f"{alias} has lost its position to the other alias"
                together.wait()

    writable, readable = pair.writable.alias, pair.readable.alias
    with ThreadPoolExecutor(2) as threads:
        members = [
            threads.submit(member, world.supplier, writable, 0),
            threads.submit(member, elsewhere, readable, ROUNDS),
        ]
        for each in members:
            each.result(3 * SECONDS)
    wanted = {(writable, 0): ROUNDS - 1, (readable, 0): 2 * ROUNDS - 1}
    assert committed(elsewhere, group, *wanted) == committed(world.supplier, group, *wanted) == wanted


def test_an_alias_s_offsets_are_deleted_without_the_other_s(world: World, pair: Pair, tool: Tool) -> None:
    group, writable, readable = new_group(), pair.writable.alias, pair.readable.alias
    plain = world.topic().alias
    offsets: dict[tuple[str, int], int] = {(writable, 0): 3, (readable, 0): 5, (plain, 0): 7}
    with Librdkafka(world.supplier).consumer(group) as consumer:
        positions: list[Any] = [TopicPartition(*key, offset) for key, offset in offsets.items()]
        consumer.commit(offsets=positions, asynchronous=False)
    topics = [argument for alias in (writable, plain) for argument in ("--topic", alias)]
    done = tool(world.supplier, "kafka-consumer-groups", "--delete-offsets", "--group", group, *topics)
    assert (done.returncode, "Error" in done.stdout) == (0, False), done.stdout + done.stderr
    assert committed(world.supplier, group, *offsets) == {**dict.fromkeys(offsets, -1001), (readable, 0): 5}
