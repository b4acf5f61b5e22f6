"""A gateway of two clusters comes up, over real sockets: one cluster never keeps the other's partners waiting."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from policies.zone import Alias, Permission, Zone
from proxy import cluster as cluster_module
from proxy import clusters as clusters_module
from proxy.config import ClusterConfig, GatewayConfig, ListenerConfig
from proxy.gateway import Gateway
from proxy.node import Node
from proxy.routing import Listener, ListenError, Routing
from tests.kafka.ports import free_ports
from tests.unit.proxy.fake_broker import METADATA, FakeBroker
from tests.unit.proxy.test_routing import accept

HOST = "127.0.0.1"
SECONDS = 10.0
ALIASES = (Alias("orders", "kafka-orders", Permission.WRITE),)
ZONES = (Zone("eastern", "east", "eve", ALIASES), Zone("western", "west", "will", ALIASES))


@pytest.fixture(autouse=True)
def _in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters_module, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(cluster_module, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(cluster_module, "REFRESH_SECONDS", 0.05)
    monkeypatch.setattr(clusters_module, "MOMENT_SECONDS", 0.2)


def config_of(east: tuple[str, int], west: tuple[str, int]) -> GatewayConfig:
    port, east_port, west_port = sorted(free_ports(3))
    listener = ListenerConfig(
        host=HOST,
        port=port,
        advertised_host=HOST,
        broker_ports_start=east_port,
        broker_ports_per_cluster=west_port - east_port,
        min_broker_id=1,
    )
    clusters = (
        ClusterConfig(id="east", bootstrap_servers=(east,)),
        ClusterConfig(id="west", bootstrap_servers=(west,)),
    )
    return GatewayConfig(listeners=(listener,), clusters=clusters, shutdown_grace_seconds=1)


@asynccontextmanager
async def started(config: GatewayConfig, zones: tuple[Zone, ...] = ZONES) -> AsyncIterator[Gateway]:
    gateway = Gateway(config, zones, [])
    try:
        async with asyncio.timeout(SECONDS):
            await gateway.start()
            yield gateway
    finally:
        await gateway.stop()


async def is_open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True


def port_of(gateway: Gateway, cluster: str) -> int:
    return gateway._services.routing.listeners[0].port_of(Node(cluster, 1))


def topics_asked(broker: FakeBroker) -> list[str]:
    return [topic.name for got in broker.got if got.key == METADATA for topic in got.message.topics]


async def test_both_clusters_have_their_ports_after_an_ordinary_start() -> None:
    async with FakeBroker() as east, FakeBroker() as west, started(config_of(east.address, west.address)) as gateway:
        assert gateway.ready
        assert gateway.cluster_problems() == {"east": "", "west": ""}
        assert gateway.zone_problems() == {}
        assert await is_open(port_of(gateway, "east"))
        assert await is_open(port_of(gateway, "west"))
        assert topics_asked(east) == topics_asked(west) == ["kafka-orders"]


@pytest.mark.parametrize("first", ["east", "west"])
async def test_a_cluster_that_is_out_of_reach_gets_its_ports_when_it_answers(first: str) -> None:
    second = "west" if first == "east" else "east"
    async with FakeBroker() as there, FakeBroker() as late:
        (nobody,) = free_ports(1)
        addresses = {first: there.address, second: (HOST, nobody)}
        async with started(config_of(addresses["east"], addresses["west"])) as gateway:
            assert gateway.ready, "the other's partners are served"
            problem = gateway.cluster_problems()[second]
            assert problem.startswith(f"the Kafka cluster does not answer: {HOST}:{nobody}: ")
            assert gateway.cluster_problems()[first] == ""
            assert await is_open(port_of(gateway, first))
            assert not await is_open(port_of(gateway, second))
            assert await is_open(gateway._config.listeners[0].port)

            cluster = gateway._services.clusters[second]
            cluster._config = replace(cluster._config, bootstrap_servers=(late.address,))
            while not await is_open(port_of(gateway, second)):  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.02)
            assert gateway.cluster_problems() == {"east": "", "west": ""}
            assert topics_asked(late) == ["kafka-orders"]


async def test_a_gateway_waits_for_a_first_cluster() -> None:
    nobody, neither = free_ports(2)
    gateway = Gateway(config_of((HOST, nobody), (HOST, neither)), ZONES, [])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await gateway.start()
    assert not gateway.ready
    assert gateway.why_not_ready().startswith(f"no Kafka cluster answers: east: {HOST}:{nobody}: ")
    assert f"; west: {HOST}:{neither}: " in gateway.why_not_ready()
    await gateway.stop()


async def test_a_gateway_is_ready_while_one_of_its_clusters_answers() -> None:
    async with FakeBroker() as east, FakeBroker() as west, started(config_of(east.address, west.address)) as gateway:
        clusters = gateway._services.clusters
        clusters["east"].reachable, clusters["east"].problem = False, "gone"
        assert gateway.ready
        assert gateway.cluster_problems() == {"east": "the Kafka cluster does not answer: gone", "west": ""}


async def test_a_port_that_is_taken_ends_the_start_and_says_whose_it_is() -> None:
    async with FakeBroker() as east, FakeBroker() as west:
        config = config_of(east.address, west.address)
        listener = config.listeners[0]
        taken = listener.broker_ports_start + listener.broker_ports_per_cluster
        server = await asyncio.start_server(lambda _reader, writer: writer.close(), HOST, taken)
        gateway = Gateway(config, ZONES, [])
        with pytest.raises(ListenError) as caught:
            await gateway.start()
        assert str(caught.value).startswith("the port of broker 1 of cluster west of listener default, ")
        server.close()
        await gateway.stop()


async def test_zones_of_other_clusters_are_told_of() -> None:
    zones = (*ZONES, Zone("northern", "north", "nora", ALIASES))
    gateway = Gateway(config_of((HOST, 1), (HOST, 1)), zones, [])
    assert gateway.zone_problems() == {
        "northern": "its cluster 'north' is not configured at this gateway; the configured clusters are 'east', 'west'"
    }
    gateway.apply(ZONES, [])
    assert gateway.zone_problems() == {}
    await gateway.stop()


async def test_new_contexts_are_for_one_cluster() -> None:
    gateway = Gateway(config_of((HOST, 1), (HOST, 1)), ZONES, [])
    context: Any = object()
    gateway.use_cluster_tls("west", context)
    contexts = [cluster.upstream.context for cluster in gateway._services.clusters]
    assert contexts == [None, context]
    await gateway.stop()


# ports


async def opened(per_cluster: int, *broker_ids: int) -> tuple[Listener, int]:
    start, port = sorted(free_ports(2))
    config = ListenerConfig(
        host=HOST,
        port=port,
        advertised_host="gw",
        broker_ports_start=start,
        broker_ports_per_cluster=per_cluster,
        min_broker_id=1,
    )
    routing = Routing([config], accept, clusters=("east", "west"))
    await routing.open("east", broker_ids)
    await routing.open("west", [])
    routing.stop()
    return routing.listeners[0], start


async def test_a_broker_in_the_next_clusters_range_is_invisible(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "zonegate.routing"):
        listener, start = await opened(2, 1, 3)
    (warning,) = caplog.records
    assert warning.getMessage() == (
        "broker has no port and stays invisible; raise broker_ports.per_cluster or broker_ports.min_broker_id"
    )
    told = {name: warning.__dict__[name] for name in ("event", "broker", "cluster", "port")}
    assert told == {"event": "broker_unmapped", "broker": 3, "cluster": "east", "port": start + 2}
    assert (listener.of_cluster("east").complete, listener.of_cluster("west").complete) == (False, True)


def test_the_last_cluster_has_no_next_range() -> None:
    config = ListenerConfig(advertised_host="gw", broker_ports_start=2000, broker_ports_per_cluster=10)
    listener = Listener(config, accept, clusters=("east", "west"))
    assert [listener.port_of(Node("east", 9)), listener.port_of(Node("west", 0))] == [2009, 2010]
    assert [listener._why_unmapped(Node(cluster, 10)) != "" for cluster in ("east", "west")] == [True, False]


def test_one_cluster_alone_has_all_ports() -> None:
    listener = Listener(ListenerConfig(advertised_host="gw", broker_ports_start=2000), accept)
    assert (listener.port_of(Node("", 1000)), listener._why_unmapped(Node("", 1000))) == (3000, "")
