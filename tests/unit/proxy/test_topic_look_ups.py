"""What a cluster tells of topics that are asked for by name, and of all."""

import asyncio

import pytest

from proxy import cluster as module
from proxy.cluster import Cluster
from proxy.config import ClusterConfig
from proxy.flow import MemoryBudget
from proxy.metrics import GatewayMetrics
from tests.unit.proxy.fake_broker import FakeBroker


@pytest.mark.parametrize("at_once", [500, 2])
async def test_ids_of_those_that_are_shown_and_codes_of_those_that_are_not(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOPICS_PER_REQUEST", at_once)
    async with FakeBroker() as broker:
        broker.topics = {"there": 0, "missing": 3, "hidden": 29, "also there": 0}
        config = ClusterConfig(bootstrap_servers=(broker.address,))
        cluster = Cluster(config, MemoryBudget(2**20).share(""), GatewayMetrics())
        try:
            assert list(await cluster.topic_ids(list(broker.topics))) == ["there", "also there"]
            assert await cluster.topic_errors(list(broker.topics)) == {"missing": 3, "hidden": 29}
            assert await cluster.topic_errors([]) == {}
        finally:
            assert cluster._connection is not None
            cluster._connection.abort()


async def test_all_topics_in_turns_with_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LISTED_PER_TURN", 3)
    async with FakeBroker() as broker:
        broker.topics = {**{f"t{n}": 0 for n in range(7)}, "hidden": 29}
        config = ClusterConfig(bootstrap_servers=(broker.address,))
        cluster = Cluster(config, MemoryBudget(2**20).share(""), GatewayMetrics())
        turns: list[None] = []
        other = asyncio.create_task(_counting(turns))
        try:
            found, turns_seen = [], []
            async for topics in cluster.all_topics():
                found += [(topic.name, topic.error_code) for topic in topics]
                turns_seen.append(len(turns))
            assert found == list(broker.topics.items())
            assert len(set(turns_seen)) == 3, "somebody else had a turn after each"
            assert await cluster.topic_errors(["hidden"]) == {"hidden": 29}, "the connection goes on"
        finally:
            other.cancel()
            assert cluster._connection is not None
            cluster._connection.abort()


async def test_a_cluster_out_of_reach_tells_of_no_topics() -> None:
    async with FakeBroker() as broker:
        config = ClusterConfig(bootstrap_servers=(broker.address,))
    cluster = Cluster(config, MemoryBudget(2**20).share(""), GatewayMetrics())
    with pytest.raises(OSError, match=str(broker.address[1])):
        _ = [topics async for topics in cluster.all_topics()]


async def _counting(turns: list[None]) -> None:
    while True:
        turns.append(None)
        await asyncio.sleep(0)
