"""kafka-python."""

import gc
import socket
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tests.integration.clients.base import (
    CLIENT_SECONDS,
    NotAuthenticated,
    Partition,
    Record,
    Refused,
    missing,
    python_settings,
)
from tests.integration.world import Account, new_group

with warnings.catch_warnings():
    # it reads its own schemas in a way that Python 3.11 calls deprecated
    warnings.simplefilter("ignore", DeprecationWarning)
    import kafka
    from kafka.errors import KafkaError, KafkaTimeoutError
    from kafka.net.inet import KafkaNetSocket


class _Socket(socket.socket):
    """A client that is closed while it connects leaves its socket to the garbage collection, whose complaint would fail
    whatever test is next."""

    def __del__(self) -> None:
        self.close()


def _new_socket(_self: KafkaNetSocket, *args: int) -> socket.socket:
    return _Socket(*args)


KafkaNetSocket.socket = _new_socket


def topic_partition(topic: str, partition: int) -> Any:
    return kafka.TopicPartition(topic, partition)


def offset_to_commit(offset: int) -> Any:
    return kafka.structs.OffsetAndMetadata(offset, "", -1)


class KafkaPython:
    name = "kafka-python"
    idempotent = True

    def __init__(self, account: Account) -> None:
        self.config = {**python_settings(account, "kafka-python-client"), "bootstrap_timeout_ms": 5000}

    def topics(self) -> dict[str, int]:
        with _shared_errors():
            admin = kafka.KafkaAdminClient(**self.config)
            try:
                described = admin.describe_topics()
            finally:
                admin.close()
        return {topic["name"]: len(topic["partitions"]) for topic in described}

    def produce(
        self,
        topic: str,
        values: Sequence[str],
        *,
        acks: str = "all",
        compression: str = "none",
        idempotent: bool = False,
        timestamp: int | None = None,
    ) -> None:
        with _shared_errors():
            producer = kafka.KafkaProducer(
                **self.config,
                acks=acks if acks == "all" else int(acks),
                compression_type=None if compression == "none" else compression,
                enable_idempotence=idempotent,
                max_request_size=2_000_000,
                max_block_ms=CLIENT_SECONDS * 1000,
            )
            try:
                sent = [producer.send(topic, value.encode(), timestamp_ms=timestamp) for value in values]
                producer.flush(CLIENT_SECONDS)
                for future in sent:
                    future.get(CLIENT_SECONDS)
            finally:
                producer.close(CLIENT_SECONDS)

    def consume(
        self, topics: Sequence[str], count: int, *, group: str | None = None, partitions: int = 2
    ) -> list[Record]:
        if group is None:
            return self.consume_from({(topic, n): 0 for topic in topics for n in range(partitions)}, count)
        with self.consumer(group_id=group) as consumer:
            consumer.subscribe(topics)
            found = take(consumer, count)
            consumer.commit()
        return found

    def consume_from(self, positions: Mapping[Partition, int], count: int) -> list[Record]:
        with self.consumer(group_id=None) as consumer:
            consumer.assign([kafka.TopicPartition(*partition) for partition in positions])
            for partition, offset in positions.items():
                consumer.seek(kafka.TopicPartition(*partition), offset)
            return take(consumer, count)

    def offsets_at(self, topic: str, timestamp: int) -> dict[int, int | None]:
        with self.consumer(group_id=new_group()) as consumer:
            wanted = {kafka.TopicPartition(topic, partition): timestamp for partition in range(2)}
            found = consumer.offsets_for_times(wanted)
        return {each.partition: at.offset if at is not None else None for each, at in found.items()}

    @contextmanager
    def consumer(self, **config: Any) -> Iterator[Any]:
        with _shared_errors():
            consumer = kafka.KafkaConsumer(
                **self.config,
                **{"auto_offset_reset": "earliest", "enable_auto_commit": False, "fetch_max_wait_ms": 100, **config},
            )
            try:
                yield consumer
            finally:
                consumer.close()


def take(consumer: Any, count: int) -> list[Record]:
    found: list[Record] = []
    deadline = time.monotonic() + CLIENT_SECONDS
    while len(found) < count:
        missing(time.monotonic() > deadline, found, count)
        # Patient: a poll that gives up while the consumer joins its group leaves it without partitions for good.
        batches = consumer.poll(timeout_ms=CLIENT_SECONDS * 1000, max_records=count - len(found))
        for records in batches.values():
            found += [Record(each.topic, each.partition, each.offset, each.value.decode()) for each in records]
    return found


@contextmanager
def _shared_errors() -> Iterator[None]:
    """The errors that all clients share."""
    refused = False
    try:
        yield
    except KafkaTimeoutError as error:
        # it tries on until its time is over, also when a real broker refuses it, and does not say why
        refused = "Unable to bootstrap" in str(error)
        if not refused:
            raise
    except KafkaError as error:
        if getattr(error, "errno", -1) > 0:
            raise Refused(error.errno) from error
        raise
    if refused:
        with warnings.catch_warnings():
            # it leaves the sockets of its failed attempts to the garbage collection
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
        raise NotAuthenticated()
