"""librdkafka, by way of confluent-kafka."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.integration.clients.base import CLIENT_SECONDS, NotAuthenticated, Partition, Record, Refused, missing
from tests.integration.world import Account, new_group


class Librdkafka:
    name = "librdkafka"
    idempotent = True

    def __init__(self, account: Account) -> None:
        self.config: dict[str, Any] = {
            "bootstrap.servers": account.bootstrap,
            **account.security.librdkafka(account.user, account.password),
            "client.id": "librdkafka-client",
            "log_level": 2,
        }

    def topics(self) -> dict[str, int]:
        errors: list[KafkaError] = []
        config: dict[str, Any] = {**self.config, "error_cb": errors.append}
        admin = AdminClient(config)
        deadline = time.monotonic() + CLIENT_SECONDS
        while True:  # librdkafka itself would try on, and tell of wrong passwords by a callback
            try:
                metadata = admin.list_topics(timeout=1)
                break
            except KafkaException as error:
                admin.poll(0)
                if errors or time.monotonic() > deadline:
                    raise _refusal(error.args[0], errors) from None
        return {name: len(topic.partitions) for name, topic in metadata.topics.items()}

    def produce(
        self,
        topic: str,
        values: Sequence[str],
        *,
        acks: str = "all",
        compression: str = "none",
        idempotent: bool = False,
        timestamp: int | None = None,
        partition: int = -1,
    ) -> None:
        errors: list[KafkaError] = []
        producer = Producer(
            {
                **self.config,
                "acks": acks,
                "compression.type": compression,
                "enable.idempotence": idempotent,
                "message.max.bytes": 2_000_000,
                "message.timeout.ms": int(CLIENT_SECONDS * 1000),
            }
        )

        def delivered(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                errors.append(error)

        when: dict[str, Any] = {} if timestamp is None else {"timestamp": timestamp}
        try:
            for value in values:
                producer.produce(topic, value.encode(), partition=partition, on_delivery=delivered, **when)
            assert producer.flush(CLIENT_SECONDS) == 0, "the producer has not sent everything"
        finally:
            producer.close()
        if errors:
            raise _refusal(errors[0])

    def consume(
        self, topics: Sequence[str], count: int, *, group: str | None = None, partitions: int = 2
    ) -> list[Record]:
        if group is None:
            return self.consume_from({(topic, n): 0 for topic in topics for n in range(partitions)}, count)
        with self.consumer(group) as consumer:
            consumer.subscribe(list(topics))
            found = list(take(consumer, count))
            consumer.commit(asynchronous=False)
        return found

    def consume_from(self, positions: Mapping[Partition, int], count: int) -> list[Record]:
        with self.consumer(new_group()) as consumer:
            consumer.assign([TopicPartition(topic, partition, at) for (topic, partition), at in positions.items()])
            return list(take(consumer, count))

    def offsets_at(self, topic: str, timestamp: int) -> dict[int, int | None]:
        with self.consumer(new_group()) as consumer:
            wanted = [TopicPartition(topic, partition, timestamp) for partition in range(2)]
            found = consumer.offsets_for_times(wanted, timeout=CLIENT_SECONDS)
        return {each.partition: each.offset if each.offset >= 0 else None for each in found}

    @contextmanager
    def consumer(self, group: str, **config: Any) -> Iterator[Consumer]:
        consumer = Consumer(
            {
                **self.config,
                "group.id": group,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "fetch.message.max.bytes": 4_000_000,
                **config,
            }
        )
        try:
            yield consumer
        finally:
            consumer.close()


def take(consumer: Consumer, count: int, seconds: float = CLIENT_SECONDS) -> Iterator[Record]:
    """The next records, each as it comes."""
    found: list[Record] = []
    deadline = time.monotonic() + seconds
    while len(found) < count:
        missing(time.monotonic() > deadline, found, count)
        message = consumer.poll(0.1)
        if message is None:
            continue
        error = message.error()
        if error is not None:
            raise _refusal(error)
        record = to_record(message)
        found.append(record)
        yield record


def to_record(message: Message) -> Record:
    topic, partition, offset, value = message.topic(), message.partition(), message.offset(), message.value()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    assert isinstance(value, bytes)
    return Record(topic, partition, offset, value.decode())


def _refusal(error: KafkaError, others: Sequence[KafkaError] = ()) -> Exception:
    if any(each.code() == KafkaError._AUTHENTICATION for each in (error, *others)):
        return NotAuthenticated()
    return Refused(error.code())
