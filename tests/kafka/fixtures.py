"""pytest fixtures: the real cluster, one for the whole test session."""

from collections.abc import Iterator

import pytest

from tests.kafka import Cluster, KafkaCluster, open_cluster

KafkaCluster.is_short_lived = True


@pytest.fixture(scope="session")
def kafka() -> Iterator[Cluster]:
    """Three brokers without ACLs. A test that stops a broker starts it again; topics get names of their own."""
    with open_cluster() as cluster:
        yield cluster


@pytest.fixture
def own_kafka(kafka: Cluster) -> KafkaCluster:
    """The same cluster, for tests that stop and start brokers: they leave a cluster alone that is not theirs."""
    if not isinstance(kafka, KafkaCluster):
        pytest.skip("the cluster existed before the tests, which therefore do not stop its brokers")
    return kafka
