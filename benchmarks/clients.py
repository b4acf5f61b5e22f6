"""The same load made by a real client, librdkafka, with its defaults for batches: what a partner would see."""

import random
import time

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from driver import Load, WrongAnswer
from targets import Target

TIMEOUT_SECONDS = 60.0
CHUNK_RECORDS = 10_000
LINGER_MILLISECONDS = 50
LOG_ERRORS = 3
"""Of syslog's levels: a client that ends says which of its queues were not empty, which is of no interest."""


def produce(target: Target, topic: str, value_bytes: int, records: int) -> Load:
    failures: list[KafkaError] = []

    def on_delivery(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            failures.append(error)

    producer = Producer(
        {
            **_connection(target),
            "acks": "all",
            "linger.ms": LINGER_MILLISECONDS,
            "queue.buffering.max.messages": records + 1,
            "queue.buffering.max.kbytes": 2_000_000,
            "on_delivery": on_delivery,
        }
    )
    producer.list_topics(topic, timeout=TIMEOUT_SECONDS)
    value = random.Random(value_bytes).randbytes(value_bytes)  # noqa: S311 - filler
    started = time.perf_counter()
    for _ in range(records):
        producer.produce(topic, value, partition=0)
    left = producer.flush(TIMEOUT_SECONDS)
    seconds = time.perf_counter() - started
    if failures or left:
        raise WrongAnswer(f"{target.name}: {left} records not delivered, {len(failures)} refused: {failures[:1]}")
    return Load(records, records, records * value_bytes, seconds)


def consume(target: Target, topic: str, records: int) -> Load:
    consumer = Consumer({**_connection(target), "group.id": "benchmark", "enable.auto.commit": False})
    try:
        consumer.list_topics(topic, timeout=TIMEOUT_SECONDS)
        consumer.assign([TopicPartition(topic, 0, 0)])
        started = time.perf_counter()
        received = payload = 0
        while received < records:
            messages = consumer.consume(min(CHUNK_RECORDS, records - received), timeout=TIMEOUT_SECONDS)
            if not messages:
                raise WrongAnswer(f"{target.name}: {received} records of {records} came")
            received += len(messages)
            payload += sum(map(_size, messages))
        return Load(received, received, payload, time.perf_counter() - started)
    finally:
        consumer.close()


def end_offset(bootstrap: str, topic: str) -> int:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "benchmark"})
    try:
        offsets = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=TIMEOUT_SECONDS)
    finally:
        consumer.close()
    assert offsets is not None
    return offsets[1]


def delete_topic(bootstrap: str, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": LOG_ERRORS})
    for done in admin.delete_topics([topic], operation_timeout=TIMEOUT_SECONDS).values():
        done.result(TIMEOUT_SECONDS)


def _size(message: Message) -> int:
    if (error := message.error()) is not None:
        raise WrongAnswer(str(error))
    return len(message)


def _connection(target: Target) -> dict[str, str | int | float | bool]:
    assert target.bootstrap is not None
    settings: dict[str, str | int | float | bool] = {"bootstrap.servers": target.bootstrap}
    if target.login is not None:
        settings |= {
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN",
            "sasl.username": target.login.username,
            "sasl.password": target.login.password,
        }
    return settings
