"""What a cluster tells of topics that are asked for by name."""

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
