"""The topics that zonegate has for itself: that they are there and as they must be. And the state topic, with the
clients that read and write it."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from proxy.config import ClusterConfig

REPLICAS: Final = 3
"""Where there are so many brokers: the state survives the loss of one, and goes on being written."""

REQUEST_MS: Final = 10_000
AGAIN_SECONDS: Final = 0.2
MAX_RECORD_BYTES: Final = 900_000
"""Of what a broker takes by default (`max.message.bytes`, 1 MiB), with room for a batch's header."""

FETCH_BYTES: Final = 8 * 1024 * 1024

SETTINGS: Final = {
    "cleanup.policy": "compact",
    # heartbeats come every two seconds: what a gateway reads at its start is little more than what is in force
    "segment.ms": "3600000",
    "segment.bytes": "16777216",
    "min.cleanable.dirty.ratio": "0.1",
    "max.compaction.lag.ms": "7200000",
}

_log = logging.getLogger("zonegate.state")


class UnusableTopic(Exception):
    """The topic is there, and not what it must be. The message says what to do."""


class OwnTopic:
    """Where a topic is. `context` gives the TLS context of the moment; None is without TLS."""

    kind: ClassVar[str]
    """In a word, for the log."""
    policy: ClassVar[str]
    """What its `cleanup.policy` must be."""
    harm: ClassVar[str]
    """What comes of another one."""

    def __init__(self, name: str, cluster: ClusterConfig, context: Callable[[], ssl.SSLContext | None]) -> None:
        self.name = name
        self._cluster = cluster
        self._context = context

    @property
    def partition(self) -> TopicPartition:
        return TopicPartition(self.name, 0)

    async def ensure(self) -> None:
        """Creates it where it is missing. Raises UnusableTopic, KafkaError, OSError."""
        admin = AIOKafkaAdminClient(**self._connection())
        try:
            await admin.start()
            while not await self._is_there(admin) and not await self._create(admin):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(AGAIN_SECONDS)  # somebody else has, and not all brokers have heard of it
        finally:
            await admin.close()

    async def _create(self, admin: AIOKafkaAdminClient) -> bool:
        """False where it is there by now."""
        brokers = len((await admin.describe_cluster())["brokers"])
        replicas = min(brokers, REPLICAS)
        settings = self._settings(replicas)
        answer = await admin.create_topics([NewTopic(self.name, 1, replicas, topic_configs=settings)])
        for _, code, *message in answer.topic_errors:
            if code == TopicAlreadyExistsError.errno:
                return False
            if code:
                raise for_code(code)(*message)
        extra = {"event": f"{self.kind}_topic_created", "topic": self.name, "replicas": replicas}
        _log.info("the %s topic was created", self.kind, extra=extra)
        return True

    def _settings(self, replicas: int) -> Mapping[str, str]:
        """For its creation."""
        raise NotImplementedError

    async def _is_there(self, admin: AIOKafkaAdminClient) -> bool:
        """And as it must be, or UnusableTopic is raised."""
        # asked first: a question for metadata would create a missing topic, with the brokers' own settings
        return await self._is_kept(admin) and await self._is_one_log(admin)

    async def _is_one_log(self, admin: AIOKafkaAdminClient) -> bool:
        """False where a broker doesn't know the topic. Raises UnusableTopic where it has several partitions."""
        (described,) = await admin.describe_topics([self.name])
        code, partitions = described["error_code"], len(described["partitions"])
        if code == UnknownTopicOrPartitionError.errno:
            return False
        if code:
            raise for_code(code)(f"{for_code(code).description} (topic {self.name})")
        if partitions > 1:
            raise UnusableTopic(
                f"topic {self.name} has {partitions} partitions and must have one; delete it if it isn't zonegate's, "
                "or name another in state_topic"
            )
        return True

    async def _is_kept(self, admin: AIOKafkaAdminClient) -> bool:
        """The same. Raises UnusableTopic where it forgets what it must keep, or the other way round."""
        resource = ConfigResource(ConfigResourceType.TOPIC, self.name, {"cleanup.policy": None})
        (answer,) = await admin.describe_configs([resource])
        ((code, message, _type, _name, entries),) = answer.resources
        if code == UnknownTopicOrPartitionError.errno:
            return False
        if code:
            raise for_code(code)(f"{message or for_code(code).description} (the configuration of topic {self.name})")
        policy = next((entry[1] for entry in entries if entry[0] == "cleanup.policy"), self.policy)
        if policy != self.policy:
            raise UnusableTopic(
                f"topic {self.name} has cleanup.policy={policy}, {self.harm}; set it: "
                f"kafka-configs --alter --entity-type topics --entity-name {self.name} "
                f"--add-config cleanup.policy={self.policy}"
            )
        return True

    def _connection(self) -> dict[str, Any]:
        cluster = self._cluster
        options: dict[str, Any] = {
            "bootstrap_servers": [f"{host}:{port}" for host, port in cluster.bootstrap_servers],
            "client_id": f"zonegate-{self.kind}",
            "security_protocol": cluster.security_protocol,
            "ssl_context": self._context(),
            "request_timeout_ms": REQUEST_MS,
        }
        if cluster.security_protocol.startswith("SASL"):
            options |= {
                "sasl_mechanism": cluster.mechanism,
                "sasl_plain_username": cluster.username,
                "sasl_plain_password": cluster.password,
            }
        return options


class StateTopic(OwnTopic):
    kind = "state"
    policy = "compact"
    harm = "and what is stored would be lost in time"

    def _settings(self, replicas: int) -> Mapping[str, str]:
        return {**SETTINGS, "min.insync.replicas": str(max(1, replicas - 1))}

    async def consumer(self, offset: int) -> AIOKafkaConsumer:
        """A started one, that reads from this offset on. Raises KafkaError, OSError."""
        consumer = AIOKafkaConsumer(
            **self._connection(),
            auto_offset_reset="none",
            enable_auto_commit=False,
            max_partition_fetch_bytes=FETCH_BYTES,
        )
        try:
            await consumer.start()
            consumer.assign([self.partition])
            if offset == 0:
                offset = (await consumer.beginning_offsets([self.partition]))[self.partition]
            consumer.seek(self.partition, offset)
        except BaseException:
            await stop(consumer)
            raise
        return consumer

    async def producer(self) -> AIOKafkaProducer:
        """A started one. Raises KafkaError, OSError."""
        producer = AIOKafkaProducer(**self._connection(), enable_idempotence=True, acks="all")
        try:
            await producer.start()
        except BaseException:
            await stop(producer)
            raise
        return producer


@contextlib.contextmanager
def no_stray_cancellation() -> Iterator[None]:
    """aiokafka lets cancellations of its own tasks out, which would end ours without a word: a KafkaError instead."""
    try:
        yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise KafkaError("a task of the Kafka client was cancelled") from None


async def stop(client: AIOKafkaConsumer | AIOKafkaProducer) -> None:
    """Stops it as a whole, whatever fails on the way."""
    try:
        with contextlib.suppress(KafkaError, OSError, TimeoutError), no_stray_cancellation():
            await client.stop()
    finally:
        # where a fetch that has failed was about to be tried again, `stop` ends before it has closed the connections
        connections = client._client if isinstance(client, AIOKafkaConsumer) else client.client
        await connections.close()


def kafka_problem(error: BaseException) -> str:
    """What went wrong with the topic, in words."""
    if isinstance(error, TimeoutError):
        return "the brokers did not answer in time"
    if isinstance(error, KafkaError) and not str(error):
        return type(error).__name__
    return str(error) or type(error).__name__
