"""The activity topic, beside the state topic: gateways tell there what partners do, and an hour of it is kept.

Nothing depends on it. It forgets, and who writes to it waits for one broker only.
"""

import ssl
from collections.abc import Callable, Mapping
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import ClusterAuthorizationFailedError, TopicAuthorizationFailedError

from controlplane.activity.records import RECORD_BYTES
from controlplane.state.topic import OwnTopic, kafka_problem, stop
from proxy.config import ClusterConfig

SUFFIX: Final = "-activity"

SETTINGS: Final = {
    "cleanup.policy": "delete",
    # an hour is shown; a segment goes when its last record is so old
    "retention.ms": "7200000",
    "segment.ms": "600000",
    "segment.bytes": "67108864",
    # the brokers' clocks agree better than those of gateways and consoles
    "message.timestamp.type": "LogAppendTime",
}


class ActivityTopic(OwnTopic):
    kind = "activity"
    policy = "delete"
    harm = "and takes no records without keys"

    def __init__(self, state_topic: str, cluster: ClusterConfig, context: Callable[[], ssl.SSLContext | None]) -> None:
        super().__init__(state_topic + SUFFIX, cluster, context)

    def _settings(self, replicas: int) -> Mapping[str, str]:
        return SETTINGS

    async def consumer_since(self, seconds: float) -> AIOKafkaConsumer:
        """A started one, that reads what was written since this Unix time. Raises KafkaError, OSError."""
        consumer = await self._consumer()
        try:
            found = (await consumer.offsets_for_times({self.partition: int(seconds * 1000)}))[self.partition]
            if found is None:
                consumer.seek(self.partition, (await consumer.end_offsets([self.partition]))[self.partition])
            else:
                consumer.seek(self.partition, found.offset)
        except BaseException:
            await stop(consumer)
            raise
        return consumer

    async def consumer_at(self, offset: int) -> AIOKafkaConsumer:
        """A started one, that reads from there on, or from where there still is something. Raises KafkaError,
        OSError."""
        consumer = await self._consumer()
        consumer.seek(self.partition, offset)
        return consumer

    async def _consumer(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(**self._connection(), auto_offset_reset="earliest", enable_auto_commit=False)
        try:
            await consumer.start()
        except BaseException:
            await stop(consumer)
            raise
        consumer.assign([self.partition])
        return consumer

    async def producer(self) -> AIOKafkaProducer:
        """A started one. Raises KafkaError, OSError."""
        producer = AIOKafkaProducer(
            **self._connection(), acks=1, compression_type="gzip", max_batch_size=RECORD_BYTES, linger_ms=0
        )
        try:
            await producer.start()
        except BaseException:
            await stop(producer)
            raise
        return producer


def activity_problem(error: BaseException) -> str:
    """What went wrong with the topic, in words."""
    if isinstance(error, TopicAuthorizationFailedError | ClusterAuthorizationFailedError):
        return "Kafka refuses zonegate's user there; it needs Create, Read, Write and DescribeConfigs on the topic"
    return kafka_problem(error)
