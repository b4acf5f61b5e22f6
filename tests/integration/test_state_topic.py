"""The state topic on a real Kafka: how it is made, what is refused, and that readers agree whatever writers do."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from controlplane.state.client import StateClient
from controlplane.state.topic import MAX_RECORD_BYTES, StateTopic, UnusableTopic
from controlplane.state.writer import Write
from controlplane.zone_service import InvalidRequest
from proxy.config import ClusterConfig
from tests.kafka import Cluster
from tests.kafka.waiting import wait_until
from tests.unit.controlplane.state.edits import deletion, edit, manifest

pytestmark = pytest.mark.kafka

SECONDS = 30.0
COMPACTION_SECONDS = 120.0


def state_topic(kafka: Cluster, name: str) -> StateTopic:
    servers = [server.rpartition(":") for server in kafka.bootstrap.split(",")]
    config = ClusterConfig(bootstrap_servers=tuple((host, int(port)) for host, _, port in servers))
    return StateTopic(name, config, lambda: None)


@pytest.fixture
def name() -> str:
    return f"_zonegate-{uuid.uuid4().hex[:8]}"


async def until(condition: Callable[[], bool], what: str) -> None:
    await asyncio.to_thread(wait_until, condition, what, SECONDS)


@contextlib.asynccontextmanager
async def following(topic: StateTopic) -> AsyncIterator[StateClient]:
    client = StateClient(topic)
    async with asyncio.timeout(SECONDS):
        await client.follower.load()
    task = asyncio.create_task(client.follower.run())
    try:
        yield client
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.close()


@contextlib.asynccontextmanager
async def administering(kafka: Cluster) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def settings_of(kafka: Cluster, name: str) -> Mapping[str, str]:
    async with administering(kafka) as admin:
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    return {entry[0]: entry[1] for entry in answer.resources[0][4]}


async def test_it_is_made_as_it_must_be_by_whoever_comes_first(kafka: Cluster, name: str) -> None:
    topics = [state_topic(kafka, name) for _ in range(3)]
    await asyncio.gather(*(topic.ensure() for topic in topics))
    await topics[0].ensure()
    settings = await settings_of(kafka, name)
    assert (settings["cleanup.policy"], settings["min.insync.replicas"]) == ("compact", "2")
    async with administering(kafka) as admin:
        (described,) = await admin.describe_topics([name])
    (partition,) = described["partitions"]
    assert len(partition["replicas"]) == 3


@pytest.mark.parametrize(
    ("partitions", "settings", "complaint"),
    [
        (2, {"cleanup.policy": "compact"}, "has 2 partitions and must have one"),
        (1, {}, "has cleanup.policy=delete, and what is stored would be lost in time"),
    ],
)
async def test_a_topic_that_can_not_hold_the_state_is_refused(
    kafka: Cluster, name: str, partitions: int, settings: dict[str, str], complaint: str
) -> None:
    async with administering(kafka) as admin:
        await admin.create_topics([NewTopic(name, partitions, 3, topic_configs=settings)])
    with pytest.raises(UnusableTopic, match=complaint):
        await StateClient(state_topic(kafka, name)).follower.load()


async def test_writers_at_once_and_readers_that_begin_later_agree(kafka: Cluster, name: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(following(state_topic(kafka, name))) for _ in range(3)]
        for round_ in range(20):
            records = [edit("a", node.log.version("a") + 1, topic=f"t-{round_}-{id(node)}") for node in nodes]
            writes = (
                node.writer.write(Write(each.key, each.value())) for node, each in zip(nodes, records, strict=True)
            )
            outcomes = [won for (won,) in await asyncio.gather(*writes)]
            assert sum(outcomes) >= 1
            if round_ % 5 == 4:
                await nodes[round_ % 3].writer.sweep()
        gone = deletion("a", nodes[0].log.version("a") + 1)
        await nodes[0].writer.write(Write(gone.key, gone.value()))
        last = edit("a", gone.version + 1)
        await nodes[0].writer.write(Write(last.key, last.value()))
        await until(lambda: all(node.log.offset == nodes[0].log.offset for node in nodes), "all at the same offset")
        newcomer = await stack.enter_async_context(following(state_topic(kafka, name)))
        for node in (*nodes[1:], newcomer):
            assert node.log.version("a") == last.version
            assert node.log.zones["a"].resource == nodes[0].log.zones["a"].resource


async def test_a_record_that_no_broker_takes_is_refused_with_a_reason(kafka: Cluster, name: str) -> None:
    async with following(state_topic(kafka, name)) as client:
        large = edit("a", 1)
        assert large.manifest is not None
        large.manifest["spec"]["description"] = "x" * MAX_RECORD_BYTES
        with pytest.raises(InvalidRequest, match="share fewer topics, or use several zones"):
            await client.writer.write(Write(large.key, large.value()))
        assert client.log.zones == {}


async def test_a_reader_that_was_away_while_brokers_compacted_begins_anew(kafka: Cluster, name: str) -> None:
    """What it had not read is gone: to go on would leave it with what is not in force any more."""
    settings = {
        "cleanup.policy": "compact",
        "segment.ms": "200",
        "min.cleanable.dirty.ratio": "0.001",
        "delete.retention.ms": "100",
    }
    async with administering(kafka) as admin:
        await admin.create_topics([NewTopic(name, 1, 3, topic_configs=settings)])
    topic = state_topic(kafka, name)
    away = StateClient(topic)
    async with following(topic) as client:
        first = edit("a", 1)
        await client.writer.write(Write(first.key, first.value()))
        await away.follower.load()
        for version in range(2, 5):
            record = edit("a", version)
            await client.writer.write(Write(record.key, record.value()))
        await client.writer.sweep()
        async with asyncio.timeout(COMPACTION_SECONDS):
            while await _offsets(topic) >= 6:
                await client.writer.send(Write(b"other/key", b"{}"))  # rolls the segment, which is not compacted before
                await asyncio.sleep(0.3)
        running = asyncio.create_task(away.follower.run())
        await until(lambda: away.log.version("a") == 4, "the last version")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert away.log.zones["a"].resource.metadata.name == manifest("a")["metadata"]["name"]


async def _offsets(topic: StateTopic) -> int:
    """How many records of zones the log still has."""
    consumer = await topic.consumer(0)
    try:
        end = (await consumer.end_offsets([topic.partition]))[topic.partition]
        count = 0
        while await consumer.position(topic.partition) < end:
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                count += sum((record.key or b"").startswith(b"zone/") for record in batch)
        return count
    finally:
        await consumer.stop()
