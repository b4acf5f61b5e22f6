"""The topics that a console offers to share, as a real cluster tells of them."""

import uuid

import pytest

from controlplane.state.topic_names import TopicNames
from proxy.cluster import Cluster
from proxy.config import ClusterConfig
from proxy.flow import MemoryBudget
from proxy.metrics import GatewayMetrics
from tests import kafka as servers
from tests.kafka import wire

pytestmark = pytest.mark.kafka

WIDE_PARTITIONS = 130
"""More than a list whose length takes one byte can hold."""


async def test_all_but_those_that_hold_state(kafka: servers.Cluster) -> None:
    marker = uuid.uuid4().hex[:8]
    kafka.create_topic(f"choose-{marker}-wide", partitions=WIDE_PARTITIONS)
    kafka.create_topic(f"_zonegate-choose-{marker}")
    kafka.create_topic(f"choose-{marker}")
    address = kafka.broker_address(kafka.broker_ids[0])
    cluster = Cluster(ClusterConfig(bootstrap_servers=(address,)), MemoryBudget(2**20).share(""), GatewayMetrics())
    try:
        names = await TopicNames(cluster).sorted()
    finally:
        assert cluster._connection is not None
        cluster._connection.abort()
    assert [name for name in names if marker in name] == [f"choose-{marker}", f"choose-{marker}-wide"]
    shown = {topic.name or "" for topic in wire.metadata(address).topics}
    assert {name for name in shown if not name.startswith(("_zonegate", "__"))} == set(names)
