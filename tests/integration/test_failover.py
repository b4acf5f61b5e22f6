"""Brokers that stop, die and come back under producers and consumers: nothing acknowledged is lost."""

from collections.abc import Callable

import pytest

from tests.integration.workload import Reader, Writer, read_back
from tests.integration.world import Account, Topic, World
from tests.kafka import KafkaCluster
from tests.kafka.waiting import wait_until

pytestmark = pytest.mark.kafka

RECOVERY_SECONDS = 60.0
MORE = 100


def go_on(writer: Writer, reader: Reader, what: str) -> None:
    """Wait until records written from now on have been acknowledged and read."""
    written = len(writer.acknowledged) + MORE
    wait_until(lambda: len(writer.acknowledged) >= written, f"a producer that writes {what}", RECOVERY_SECONDS)
    last = writer.acknowledged[-1]
    wait_until(lambda: last in reader.values[-10 * MORE :], f"a consumer that reads {what}", RECOVERY_SECONDS)


@pytest.mark.parametrize("end", [KafkaCluster.stop_broker, KafkaCluster.kill_broker])
def test_a_broker_goes_and_comes_back(
    world: World, own_kafka: KafkaCluster, supplier: Account, topic: Topic, end: Callable[[KafkaCluster, int], None]
) -> None:
    kafka = own_kafka
    prefix = end.__name__
    with Reader(supplier, topic.alias) as reader, Writer(supplier, topic.alias, prefix) as writer:
        go_on(writer, reader, "at first")
        leader = kafka.leader(topic.backing, 0)
        end(kafka, leader)
        try:
            wait_until(lambda: kafka.leader(topic.backing, 0) not in (leader, -1), "another leader", RECOVERY_SECONDS)
            go_on(writer, reader, "without the broker")
        finally:
            kafka.start_broker(leader)
        go_on(writer, reader, "after its return")
    kafka.wait_in_sync()
    held = read_back(world, topic.backing, prefix)
    assert sorted(held) == sorted(writer.acknowledged)
    assert len(set(held)) == len(held), "a record was written twice"
    assert set(reader.values) <= set(held)
    assert len(set(reader.values)) == len(reader.values), "a record was read twice by a consumer that never restarted"
