"""Producers and consumers that go on in the background while a test does harm to what they depend on."""

import threading
from collections import defaultdict
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.integration.clients.base import Record
from tests.integration.clients.librdkafka import Librdkafka, to_record
from tests.integration.world import Account, World, new_group

JOIN_SECONDS = 60.0
PACE_SECONDS = 0.005
"""Between two records, so that a test's wait does not become a benchmark."""


class _Background:
    """A thread that works until the with statement ends; its failure fails the test."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run_and_keep_failure, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join(JOIN_SECONDS)
        assert not self._thread.is_alive(), "a client hangs"
        if self._failure is not None and error is None:
            raise self._failure

    def _run_and_keep_failure(self) -> None:
        try:
            self._run()
        except BaseException as failure:  # noqa: BLE001 - raised again in the test's thread
            self._failure = failure

    def _run(self) -> None:
        raise NotImplementedError


class Writer(_Background):
    """An idempotent producer (acks=all) of numbered records."""

    def __init__(self, account: Account, topic: str, prefix: str) -> None:
        super().__init__()
        self.acknowledged: list[str] = []
        self._producer = Producer(
            {**Librdkafka(account).config, "enable.idempotence": True, "linger.ms": 2, "retry.backoff.ms": 50}
        )
        self._topic = topic
        self._prefix = prefix

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        value = message.value()
        assert error is None, f"a record was not written: {error}"
        assert isinstance(value, bytes)
        self.acknowledged.append(value.decode())

    def _run(self) -> None:
        number = 0
        while not self._stopping.wait(PACE_SECONDS):
            value = f"{self._prefix}-{number:06}".encode()
            self._producer.produce(self._topic, value, partition=number % 2, on_delivery=self._delivered)
            self._producer.poll(0)
            number += 1
        assert self._producer.flush(JOIN_SECONDS / 2) == 0, "records are left over"
        assert len(self.acknowledged) == number


class Reader(_Background):
    """A consumer in a group of its own, from the beginning on."""

    def __init__(self, account: Account, topic: str) -> None:
        super().__init__()
        self.values: list[str] = []
        self._account = account
        self._topic = topic

    def _run(self) -> None:
        with Librdkafka(self._account).consumer(new_group()) as consumer:
            consumer.subscribe([self._topic])
            while not self._stopping.is_set():
                message = consumer.poll(0.1)
                if message is not None and message.error() is None:
                    self.values.append(to_record(message).value)


class Member(_Background):
    """A member of a group of the classic protocol, which commits what it has read when partitions are taken from it."""

    def __init__(self, account: Account, group: str, topics: Sequence[str], **config: str) -> None:
        super().__init__()
        self.records: list[Record] = []
        self.holds: frozenset[tuple[str, int]] = frozenset()
        self.assignments = 0
        """How often it was assigned partitions."""
        self._config = {
            **Librdkafka(account).config,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "heartbeat.interval.ms": 500,
            **config,
        }
        self._topics = list(topics)

    def _assigned(self, _consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        self.assignments += 1

    def _run(self) -> None:
        consumer = Consumer(self._config)
        try:
            consumer.subscribe(self._topics, on_assign=self._assigned)
            while not self._stopping.is_set():
                message = consumer.poll(0.1)
                if message is not None:
                    assert message.error() is None, str(message.error())
                    self.records.append(to_record(message))
                self.holds = frozenset((each.topic, each.partition) for each in consumer.assignment())
        finally:
            consumer.close()


def read_back(world: World, topic: str, prefix: str) -> list[str]:
    """What a topic holds with that prefix, in the order of each partition, asked of the cluster itself."""
    config: dict[str, str | int | float | bool] = {
        "bootstrap.servers": world.kafka.bootstrap,
        "group.id": new_group(),
        "enable.auto.commit": False,
    }
    partitions = len(AdminClient(config).list_topics(topic, timeout=10).topics[topic].partitions)
    values: dict[int, list[str]] = defaultdict(list)
    consumer = Consumer({**config, "enable.partition.eof": True})
    try:
        consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
        ends = 0
        while ends < partitions:
            message = consumer.poll(10)
            assert message is not None, "the cluster does not answer"
            error = message.error()
            if error is not None:
                assert error.code() == KafkaError._PARTITION_EOF, str(error)
                ends += 1
            else:
                record = to_record(message)
                values[record.partition].append(record.value)
    finally:
        consumer.close()
    return [value for partition in sorted(values) for value in values[partition] if value.startswith(prefix)]
