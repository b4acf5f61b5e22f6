"""What a partner does, as a console is told of it through the activity topic."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from confluent_kafka import Consumer, Producer

from controlplane.activity.reader import ActivityReader
from controlplane.activity.topic import ActivityTopic
from controlplane.zone_activity import ZoneActivity
from proxy.config import ClusterConfig
from tests.canary import Canaries
from tests.integration.control_plane import Node
from tests.integration.gateway import manifest
from tests.integration.test_state_topic import settings_of
from tests.integration.world import CLIENT_HOST, Account, World, new_group
from tests.kafka import Cluster
from tests.kafka.waiting import wait_until

pytestmark = pytest.mark.kafka

ZONE, USER = "watched-zone", "watched"
SECONDS = 30.0
RECORDS, VALUE = 20, b"x" * 1000


class Watched(Node):
    def __init__(self, world: World, canaries: Canaries) -> None:
        self.state_topic = f"_zonegate-{uuid.uuid4().hex[:8]}"
        super().__init__(world.kafka, canaries, self.state_topic, "serve")
        self.rows = [("orders", world.topic().backing, "WRITE"), ("stock", world.topic().backing, "READ")]

    def begin(self) -> Account:
        self.api.put(manifest(ZONE, USER, self.rows)).raise_for_status()
        self.canaries.add(f"{ZONE}:", f"the name of {ZONE}, another zone", USER)
        self.api.wait_for(ZONE, "READY")
        return Account(self.gateway.bootstrap, ZONE, USER, self.api.new_password(ZONE))


@pytest.fixture(scope="module")
def node(world: World, canaries: Canaries) -> Iterator[Watched]:
    with Watched(world, canaries) as node:
        yield node


def settings(account: Account, client_id: str) -> dict[str, str]:
    return {
        "bootstrap.servers": account.bootstrap,
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": account.user,
        "sasl.password": account.password,
        "client.id": client_id,
    }


@contextlib.asynccontextmanager
async def reading(kafka: Cluster, state_topic: str) -> AsyncIterator[ActivityReader]:
    """As a console does."""
    servers = [server.rpartition(":") for server in kafka.bootstrap.split(",")]
    config = ClusterConfig(bootstrap_servers=tuple((host, int(port)) for host, _, port in servers))
    reader = ActivityReader(ActivityTopic(state_topic, config, lambda: None), lambda: ())
    task = asyncio.create_task(reader.run())
    try:
        yield reader
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def produce(producer: Producer, alias: str, count: int) -> None:
    for _ in range(count):
        producer.produce(alias, VALUE)
    assert producer.flush(SECONDS) == 0


def consume(consumer: Consumer, alias: str) -> None:
    consumer.subscribe([alias])
    assert len(consumer.consume(RECORDS, SECONDS)) == RECORDS
    consumer.commit(asynchronous=False)


async def test_a_console_is_told_what_a_partner_does(node: Watched, world: World) -> None:
    account = await asyncio.to_thread(node.begin)
    producer = Producer({**settings(account, "till-7"), "acks": "all"})
    group = {"group.id": new_group(), "auto.offset.reset": "earliest"}
    consumer = Consumer({**settings(account, "ledger"), **group})
    async with reading(world.kafka, node.state_topic) as reader:

        async def until(condition: Callable[[ZoneActivity], bool], what: str) -> None:
            await asyncio.to_thread(wait_until, lambda: condition(reader.zone(ZONE)), what, SECONDS)

        await asyncio.to_thread(produce, producer, "orders", RECORDS)
        await until(lambda told: told.rates.produce > 0, "the rate of producing")
        await asyncio.to_thread(produce, producer, "stock", 1)
        await asyncio.to_thread(consume, consumer, "orders")
        await until(lambda told: told.rates.consume > 0, "the rate of consuming")
        await until(lambda told: told.rates.commit > 0, "the rate of commits")
        (described,) = node.api.gateways()
        await until(lambda _: reader.gateway(described["gateway"], None).consume > 0, "the gateway's traffic")

        minutes = reader.zone(ZONE).minutes
        assert sum(minute.produced_bytes for minute in minutes) > RECORDS * len(VALUE)
        assert sum(minute.consumed_bytes for minute in minutes) > RECORDS * len(VALUE)
        assert sum(minute.produced_records for minute in minutes) == RECORDS
        assert sum(minute.consumed_records for minute in minutes) == RECORDS
        await until(lambda told: {"till-7", "ledger"} <= {each.client_id for each in told.clients}, "clients")
        told = reader.zone(ZONE)
        client = next(each for each in told.clients if each.client_id == "till-7")
        assert client.software.startswith("confluent-kafka-python ")
        assert (client.user, client.address) == (USER, CLIENT_HOST)
        assert told.connections >= len(told.clients)

        await until(lambda told: bool(told.refusals), "the refusal")
        refusal = reader.zone(ZONE).refusals[0]
        assert (refusal.api, refusal.operation, refusal.resource_type) == ("produce", "WRITE", "topic")
        assert (refusal.resource, refusal.error, refusal.user) == ("stock", "topic_authorization_failed", USER)
        await until(lambda told: len(told.uses.get("orders", ())) == 2, "who has used the alias")
        assert "stock" not in reader.zone(ZONE).uses

        assert reader.problem == ""

        del producer
        await asyncio.to_thread(consumer.close)
        await until(lambda told: told.connections == 0, "that they have gone")
        await until(lambda told: told.rates.produce == 0, "that nothing more comes")
    kept = await settings_of(world.kafka, f"{node.state_topic}-activity")
    assert (kept["cleanup.policy"], kept["retention.ms"]) == ("delete", "7200000")
