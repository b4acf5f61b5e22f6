"""Transactions through a zone: every record exactly once with librdkafka (transactions v1) and Java (v2), fencing
producers and aborted transactions included; and what Kafka's own tools show of them on both sides."""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from tests.integration.clients.base import CLIENT_SECONDS
from tests.integration.clients.librdkafka import Librdkafka, take, to_record
from tests.integration.world import Account, Topic, World, new_group

pytestmark = pytest.mark.kafka

COPIER = Path(__file__).parent / "java" / "ExactlyOnceCopy.java"
RECORDS = 60
PARTITIONS = 2
PER_TRANSACTION = 10

APIS = ("init_producer_id", "add_partitions_to_txn", "add_offsets_to_txn", "txn_offset_commit", "end_txn")

Tool = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def source(world: World) -> Topic:
    return world.topic()


@pytest.fixture
def sink(world: World) -> Topic:
    return world.topic()


@pytest.fixture
def tool(world: World, tmp_path: Path) -> Tool:
    """Runs a tool in the supplier's zone: tool(name, *args), or as the cluster's operator: tool(…, direct=True)."""

    def run(name: str, *args: str, direct: bool = False) -> subprocess.CompletedProcess[str]:
        server = ["--bootstrap-server", world.kafka.bootstrap if direct else world.supplier.bootstrap]
        signing_in = [] if direct else ["--command-config", world.supplier.java_properties(tmp_path)]
        done = world.kafka.run_tool(name, [*server, *signing_in, *args])
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run


@contextmanager
def counted(world: World) -> Iterator[dict[str, int]]:
    """How many requests of each API of transactions the gateway answers in the supplier's zone meanwhile."""
    counts: dict[str, int] = {}

    def now() -> dict[str, int]:
        zone = world.supplier.zone
        return {api: int(world.gateway.metric("zonegate_requests_total", zone=zone, api=api)) for api in APIS}

    before = now()
    yield counts
    counts.update({api: count - before[api] for api, count in now().items()})


def fill(world: World, topic: Topic) -> list[str]:
    """Half of the records in each partition."""
    values = [f"record-{n:03}" for n in range(RECORDS)]
    for partition in range(PARTITIONS):
        Librdkafka(world.supplier).produce(topic.alias, values[partition::PARTITIONS], partition=partition)
    return values


def read_to_end(account: Account, topic: Topic, isolation: str) -> list[str]:
    """Everything that a consumer of this isolation level is given."""
    values: list[str] = []
    config: dict[str, Any] = {"isolation.level": isolation, "enable.partition.eof": True}
    with Librdkafka(account).consumer(new_group(), **config) as consumer:
        consumer.assign([TopicPartition(topic.alias, partition, 0) for partition in range(PARTITIONS)])
        ends = 0
        while ends < PARTITIONS:
            message = consumer.poll(CLIENT_SECONDS)
            assert message is not None, f"the topic's end does not come; read so far: {values}"
            error = message.error()
            if error is None:
                values.append(to_record(message).value)
            else:
                assert error.code() == KafkaError._PARTITION_EOF, str(error)
                ends += 1
    return values


def transactional(account: Account, transactional_id: str) -> Producer:
    producer = Producer({**Librdkafka(account).config, "transactional.id": transactional_id})
    producer.init_transactions(CLIENT_SECONDS)
    return producer


class Copier:
    """Reads, writes and commits in transactions of `PER_TRANSACTION` records."""

    def __init__(self, account: Account, consumer: Consumer, sink: Topic, transactional_id: str) -> None:
        self.producer = transactional(account, transactional_id)
        self._consumer = consumer
        self._sink = sink

    def begin(self) -> Sequence[TopicPartition]:
        """Copy some records, everything but the end of the transaction. Returns where the reading began."""
        self.producer.begin_transaction()
        first: dict[tuple[str, int], int] = {}
        for record in take(self._consumer, PER_TRANSACTION):
            first.setdefault((record.topic, record.partition), record.offset)
            self.producer.produce(self._sink.alias, record.value.encode(), partition=record.partition)
        positions = self._consumer.position(self._consumer.assignment())
        metadata = self._consumer.consumer_group_metadata()
        self.producer.send_offsets_to_transaction([each for each in positions if each.offset >= 0], metadata)
        assert self.producer.flush(CLIENT_SECONDS) == 0, "the producer has not sent everything"
        return [TopicPartition(*key, offset) for key, offset in first.items()]

    def commit(self) -> None:
        self.producer.commit_transaction(CLIENT_SECONDS)

    def abort(self, beginning: Sequence[TopicPartition]) -> None:
        self.producer.abort_transaction(CLIENT_SECONDS)
        for position in beginning:
            self._consumer.seek(position)


def test_exactly_once_with_librdkafka(world: World, source: Topic, sink: Topic) -> None:
    values, group, transactional_id = fill(world, source), new_group(), new_group()
    client = Librdkafka(world.supplier)
    with counted(world) as counts:
        with client.consumer(group) as consumer:
            consumer.subscribe([source.alias])
            zombie = Copier(world.supplier, consumer, sink, transactional_id)
            zombie.begin()
            zombie.commit()
            zombie.abort(zombie.begin())
            zombie.begin()
            zombie.commit()
            zombie.begin()
        with client.consumer(group) as consumer:
            # another one takes over while a transaction is open: that one is aborted, and its producer fenced
            copier = Copier(world.supplier, consumer, sink, transactional_id)
            with pytest.raises(KafkaException) as fenced:
                zombie.commit()
            assert fenced.value.args[0].code() == KafkaError._FENCED
            consumer.subscribe([source.alias])
            for _ in range(RECORDS // PER_TRANSACTION - 2):
                copier.begin()
                copier.commit()
    assert sorted(read_to_end(world.supplier, sink, "read_committed")) == values
    # the aborted ones are there, too, for those who want them
    assert len(read_to_end(world.supplier, sink, "read_uncommitted")) == RECORDS + 2 * PER_TRANSACTION
    assert counts["init_producer_id"] >= 2
    assert counts["add_partitions_to_txn"] >= 8, "librdkafka adds each transaction's partitions itself"
    # at least: it tries again while a transaction's end is still being written
    assert all(counts[api] >= 8 for api in ("add_offsets_to_txn", "txn_offset_commit", "end_txn")), counts


def test_exactly_once_with_java(world: World, source: Topic, sink: Topic, tmp_path: Path) -> None:
    values = fill(world, source)
    arguments = [source.alias, sink.alias, new_group(), new_group(), str(RECORDS), str(PER_TRANSACTION)]
    properties = world.supplier.java_properties(tmp_path)
    with counted(world) as counts:
        done = world.kafka.run_java(COPIER, [properties, world.supplier.bootstrap, *arguments])
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.split("\n")
    assert "fenced" in lines, done.stdout
    assert lines.count("aborted") >= 2, done.stdout
    assert f"copied {RECORDS}" in lines, done.stdout + done.stderr
    assert sorted(read_to_end(world.supplier, sink, "read_committed")) == values
    everything = read_to_end(world.supplier, sink, "read_uncommitted")
    assert everything.count("of a producer that was fenced") == 1
    assert len(everything) > RECORDS + 1
    assert counts["add_partitions_to_txn"] == counts["add_offsets_to_txn"] == 0, "the client leaves that to brokers"
    assert counts["txn_offset_commit"] >= RECORDS // PER_TRANSACTION
    assert counts["end_txn"] >= RECORDS // PER_TRANSACTION


def test_kafka_s_own_transactional_producer(world: World, sink: Topic, tmp_path: Path) -> None:
    properties = world.supplier.java_properties(tmp_path)
    arguments = ["--topic", sink.alias, "--num-records", "200", "--record-size", "100", "--throughput", "-1"]
    options = ["--bootstrap-server", world.supplier.bootstrap, "--command-config", properties]
    transactions = ["--transactional-id", new_group(), "--transaction-duration-ms", "5"]
    with counted(world) as counts:
        done = world.kafka.run_tool("kafka-producer-perf-test", [*arguments, *options, *transactions])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "200 records sent" in done.stdout
    assert len(read_to_end(world.supplier, sink, "read_committed")) == 200
    assert counts["add_partitions_to_txn"] == 0
    assert counts["end_txn"] >= 1


def rows(table: str) -> list[dict[str, str]]:
    """What a tool shows in columns."""
    header, *lines = (line.split("\t") for line in table.splitlines() if "\t" in line)
    names = [name.strip() for name in header]
    return [dict(zip(names, (cell.strip() for cell in line), strict=True)) for line in lines]


def test_tools_show_transactions_under_the_zone_s_ids_and_operators_the_real_ones(
    world: World, sink: Topic, tool: Tool
) -> None:
    open_id, done_id = new_group(), new_group()
    rival_id = new_group()
    rival = transactional(world.rival, rival_id)
    rival.begin_transaction()
    rival.produce(world.hidden.alias, b"hidden", partition=0)
    assert rival.flush(CLIENT_SECONDS) == 0
    finished, going_on = transactional(world.supplier, done_id), transactional(world.supplier, open_id)
    for producer in (finished, going_on):
        producer.begin_transaction()
        producer.produce(sink.alias, b"value", partition=1)
        assert producer.flush(CLIENT_SECONDS) == 0
    finished.commit_transaction(CLIENT_SECONDS)

    listed = {row["TransactionalId"]: row for row in rows(tool("kafka-transactions", "list").stdout)}
    assert listed[open_id]["TransactionState"] == "Ongoing"
    assert listed[done_id]["TransactionState"] in ("CompleteCommit", "PrepareCommit")
    assert rival_id not in listed
    found = tool("kafka-transactions", "list", "--transactional-id-pattern", f"{open_id[:-1]}.").stdout
    assert [row["TransactionalId"] for row in rows(found)] == [open_id]
    assert (
        rows(tool("kafka-transactions", "list", "--transactional-id-pattern", f"{world.supplier.zone}:.*").stdout) == []
    )

    described = rows(tool("kafka-transactions", "describe", "--transactional-id", open_id).stdout)
    assert [(row["TransactionState"], row["TopicPartitions"]) for row in described] == [("Ongoing", f"{sink.alias}-1")]

    upstream = {row["TransactionalId"] for row in rows(tool("kafka-transactions", "list", direct=True).stdout)}
    assert upstream >= {
        f"{world.supplier.zone}:{open_id}",
        f"{world.supplier.zone}:{done_id}",
        f"{world.rival.zone}:{rival_id}",
    }
    assert not {open_id, done_id, rival_id} & upstream
    real = f"{world.supplier.zone}:{open_id}"
    described = rows(tool("kafka-transactions", "describe", "--transactional-id", real, direct=True).stdout)
    assert [row["TopicPartitions"] for row in described] == [f"{sink.backing}-1"]
    for producer in (going_on, rival):
        producer.abort_transaction(CLIENT_SECONDS)


def test_only_features_that_hold_are_passed_on(tool: Tool) -> None:
    def features(direct: bool) -> dict[str, str]:
        """Name -> levels, without the epoch, which grows with everything that happens in the cluster."""
        lines = tool("kafka-features", "describe", direct=direct).stdout.splitlines()
        named = [line.partition("Epoch:")[0].split() for line in lines if line.startswith("Feature: ")]
        return {name: " ".join(levels) for _, name, *levels in named}

    here, there = features(False), features(True)
    assert there["transaction.version"] == "SupportedMinVersion: 0 SupportedMaxVersion: 2 FinalizedVersionLevel: 2"
    assert {"transaction.version"} <= here.keys() <= {"transaction.version", "group.version"}
    assert here == {name: there[name] for name in here}
