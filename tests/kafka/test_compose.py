"""The compose file, as far as it can be judged without a Docker engine."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from controlplane.manifests import load_zones
from controlplane.settings import load_settings
from tests.kafka.distribution import kafka_version

DOCKER = Path(__file__).parents[2] / "docker"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    compose = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
    return dict(compose["services"])


def test_kafka_is_the_version_that_the_tests_run(services: dict[str, Any]) -> None:
    images = {service["image"] for service in services.values() if "image" in service}
    assert images == {f"apache/kafka:{kafka_version()}"}


def test_the_gateway_takes_its_settings(services: dict[str, Any]) -> None:
    gateway = services["gateway"]
    settings = load_settings(None, {name: str(value) for name, value in gateway["environment"].items()})
    advertised = [service["environment"] for name, service in services.items() if name.startswith("kafka-")]
    ((_, cluster),) = settings.all_clusters()
    (zone,) = load_zones(DOCKER / "zones", settings.cluster_ids())
    assert zone.cluster == cluster.id
    assert settings.console.api_key is not None
    assert settings.console.api_key.get_secret_value() == gateway["environment"]["ZONEGATE_API_KEY"]
    assert f"{settings.console.listen.port}:{settings.console.listen.port}" in gateway["ports"]
    assert {f"{server}" for server in cluster.bootstrap_servers} == {
        re.sub(r"PLAINTEXT://(.+?),.*", r"\1", environment["KAFKA_ADVERTISED_LISTENERS"]) for environment in advertised
    }
    ids = [environment["KAFKA_NODE_ID"] for environment in advertised]
    first, last = (
        settings.broker_ports.start + node - settings.broker_ports.min_broker_id for node in (ids[0], ids[-1])
    )
    assert f"{first}-{last}:{first}-{last}" in gateway["ports"]


def test_the_zone_is_valid_and_its_topic_created(services: dict[str, Any]) -> None:
    (zone,) = load_zones(DOCKER / "zones")
    assert {f"--topic={alias.topic}" for alias in zone.aliases} <= set(services["topics"]["command"])
