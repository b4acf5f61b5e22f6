"""Fixtures of the hostile suite: two gateways under attack, and what must hold after every attack."""

import sys
from collections.abc import Iterator, Mapping

import pytest

from tests.canary import Canaries
from tests.hostile.bystander import Bystander
from tests.hostile.fort import MIB, Fort
from tests.kafka import Cluster

PATIENT = {
    "connections_per_address": 300,
    "connection_rate_per_address": 100,
    "connection_burst_per_address": 300,
    "authentication_seconds": 60,
    "assembly_bytes": 64 * MIB,
    "assembly_bytes_per_zone": 32 * MIB,
}
"""Many may come and stay. An address has few connections, so that a flood from one is soon too much."""

STRICT = {
    "authentication_seconds": 1.5,
    "partial_frame_seconds": 2,
    "idle_seconds": 3,
    "half_closed_seconds": 1,
    "close_seconds": 1,
}
"""Deadlines that a test can wait for."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if sys.platform != "linux":
        for item in items:
            if "tests/hostile" in item.nodeid:
                item.add_marker(pytest.mark.skip(reason="source addresses and /proc are Linux's"))


@pytest.fixture(scope="session")
def canaries() -> Canaries:
    return Canaries()


@pytest.fixture(autouse=True)
def no_canary(canaries: Canaries) -> Iterator[None]:
    """Nobody is shown what it must not see, whatever it tries."""
    yield
    hits = canaries.take_hits()
    assert not hits, "\n".join(map(str, hits))


def _fort(kafka: Cluster, canaries: Canaries, limits: Mapping[str, float]) -> Iterator[Fort]:
    fort = Fort(kafka, canaries, limits)
    with fort.gateway:
        fort.start()
        # what is made once, at the first client, stays
        bystander = Bystander(fort)
        bystander.start()
        bystander.stop()
        yield fort


@pytest.fixture(scope="session")
def _patient(kafka: Cluster, canaries: Canaries) -> Iterator[Fort]:
    yield from _fort(kafka, canaries, PATIENT)


@pytest.fixture(scope="session")
def _strict(kafka: Cluster, canaries: Canaries) -> Iterator[Fort]:
    yield from _fort(kafka, canaries, STRICT)


def _under_attack(fort: Fort) -> Iterator[Fort]:
    fort.wait_alone()
    yield fort
    fort.wait_calm()


@pytest.fixture
def patient(_patient: Fort) -> Iterator[Fort]:
    yield from _under_attack(_patient)


@pytest.fixture
def strict(_strict: Fort) -> Iterator[Fort]:
    yield from _under_attack(_strict)


def _beside(fort: Fort) -> Iterator[Bystander]:
    bystander = Bystander(fort)
    bystander.start()
    try:
        yield bystander
    finally:
        bystander.stop()


@pytest.fixture
def beside_patient(patient: Fort) -> Iterator[Bystander]:
    yield from _beside(patient)


@pytest.fixture
def beside_strict(strict: Fort) -> Iterator[Bystander]:
    yield from _beside(strict)
