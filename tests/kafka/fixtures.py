"""pytest fixtures: the real cluster, one for the whole test session."""

from collections.abc import Iterator

import pytest

from tests.kafka import Cluster, open_cluster


@pytest.fixture(scope="session")
def kafka() -> Iterator[Cluster]:
    """Three brokers without ACLs. A test that stops a broker starts it again; topics get names of their own."""
    with open_cluster() as cluster:
        yield cluster
