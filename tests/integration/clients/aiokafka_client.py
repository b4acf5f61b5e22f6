"""aiokafka; each method runs an event loop of its own."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiokafka
import aiokafka.admin
from aiokafka.errors import KafkaConnectionError, KafkaError

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

T = TypeVar("T")


class Aiokafka:
    name = "aiokafka"
    idempotent = True

    def __init__(self, account: Account) -> None:
        self.config = python_settings(account, "aiokafka-client")

    def topics(self) -> dict[str, int]:
        return run(self._topics())

    async def _topics(self) -> dict[str, int]:
        admin = aiokafka.admin.AIOKafkaAdminClient(**self.config)
        await admin.start()
        try:
            described = await admin.describe_topics()
            return {topic["topic"]: len(topic["partitions"]) for topic in described}
        finally:
            await admin.close()

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
        run(self._produce(topic, values, acks, compression, idempotent, timestamp))

    async def _produce(
        self, topic: str, values: Sequence[str], acks: str, compression: str, idempotent: bool, timestamp: int | None
    ) -> None:
        producer = aiokafka.AIOKafkaProducer(
            **self.config,
            acks=acks if acks == "all" else int(acks),
            compression_type=None if compression == "none" else compression,
            enable_idempotence=idempotent,
            max_request_size=2_000_000,
        )
        await producer.start()
        try:
            sent = [await producer.send(topic, value.encode(), timestamp_ms=timestamp) for value in values]
            await producer.flush()
            await asyncio.gather(*sent)
        finally:
            await producer.stop()

    def consume(
        self, topics: Sequence[str], count: int, *, group: str | None = None, partitions: int = 2
    ) -> list[Record]:
        if group is None:
            return self.consume_from({(topic, n): 0 for topic in topics for n in range(partitions)}, count)
        return run(self._consume_in_group(topics, count, group))

    async def _consume_in_group(self, topics: Sequence[str], count: int, group: str) -> list[Record]:
        async with self.consumer(*topics, group_id=group) as consumer:
            found = await take(consumer, count)
            await consumer.commit()
            return found

    def consume_from(self, positions: Mapping[Partition, int], count: int) -> list[Record]:
        return run(self._consume_from(positions, count))

    async def _consume_from(self, positions: Mapping[Partition, int], count: int) -> list[Record]:
        async with self.consumer(group_id=None) as consumer:
            consumer.assign([aiokafka.TopicPartition(*partition) for partition in positions])
            for partition, offset in positions.items():
                consumer.seek(aiokafka.TopicPartition(*partition), offset)
            return await take(consumer, count)

    def offsets_at(self, topic: str, timestamp: int) -> dict[int, int | None]:
        return run(self._offsets_at(topic, timestamp))

    async def _offsets_at(self, topic: str, timestamp: int) -> dict[int, int | None]:
        async with self.consumer(group_id=new_group()) as consumer:
            wanted = {aiokafka.TopicPartition(topic, partition): timestamp for partition in range(2)}
            found = await consumer.offsets_for_times(wanted)
            return {each.partition: at.offset if at is not None else None for each, at in found.items()}

    @asynccontextmanager
    async def consumer(self, *topics: str, **config: Any) -> AsyncIterator[Any]:
        consumer = aiokafka.AIOKafkaConsumer(
            *topics,
            **self.config,
            **{"auto_offset_reset": "earliest", "enable_auto_commit": False, "fetch_max_wait_ms": 100, **config},
        )
        await consumer.start()
        try:
            yield consumer
        finally:
            await consumer.stop()


def run(work: Coroutine[Any, Any, T]) -> T:
    """In a loop of its own, with the errors that all clients share."""

    async def in_time() -> T:
        async with asyncio.timeout(CLIENT_SECONDS * 2):
            return await work

    try:
        return asyncio.run(in_time())
    except KafkaConnectionError as error:
        # why it could not is in its log only
        raise NotAuthenticated() if "Unable to bootstrap" in str(error) else error from None
    except KafkaError as error:
        raise Refused(error.errno) from None


async def take(consumer: Any, count: int) -> list[Record]:
    loop = asyncio.get_running_loop()
    found: list[Record] = []
    deadline = loop.time() + CLIENT_SECONDS
    while len(found) < count:
        missing(loop.time() > deadline, found, count)
        batches = await consumer.getmany(timeout_ms=200, max_records=count - len(found))
        for records in batches.values():
            found += [Record(each.topic, each.partition, each.offset, each.value.decode()) for each in records]
    return found
