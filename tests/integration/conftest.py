"""Fixtures of the integration tests. Whatever a client received is scanned after each test."""

from collections.abc import Iterator

import pytest

from tests.canary import Canaries
from tests.integration.world import Account, Pair, Topic, World
from tests.kafka import Cluster


@pytest.fixture(scope="session")
def canaries() -> Iterator[Canaries]:
    canaries = Canaries()
    yield canaries
    late = canaries.take_hits()
    assert not late, "\n".join(map(str, late))


@pytest.fixture(autouse=True)
def no_canary(canaries: Canaries) -> Iterator[None]:
    """No test's client may be shown what the partner must not see."""
    yield
    hits = canaries.take_hits()
    assert not hits, "\n".join(map(str, hits))


@pytest.fixture(scope="session")
def world(kafka: Cluster, canaries: Canaries) -> Iterator[World]:
    world = World(kafka, canaries)
    with world.front:
        yield world


@pytest.fixture
def supplier(world: World) -> Account:
    """A zone of ordinary topics and of pairs."""
    return world.supplier


@pytest.fixture
def topic(world: World) -> Topic:
    return world.topic()


@pytest.fixture
def pair(world: World) -> Pair:
    return world.pair()
