"""What whoever operates the gateway sees: metrics and health."""

import pytest

from tests.canary import Canaries
from tests.integration.clients.base import Refused
from tests.integration.clients.librdkafka import Librdkafka
from tests.integration.world import Account, Front, Topic, World
from tests.kafka import KafkaCluster
from tests.kafka.waiting import wait_until

pytestmark = pytest.mark.kafka

NOTICE_SECONDS = 20.0


def test_metrics_count_by_zone_api_and_alias(world: World, supplier: Account, topic: Topic) -> None:
    metric, zone, alias = world.gateway.metric, supplier.zone, topic.alias

    def counts() -> dict[str, float]:
        return {
            "produce requests": metric("zonegate_requests_total", zone=zone, api="produce"),
            "fetch requests": metric("zonegate_requests_total", zone=zone, api="fetch"),
            "produce bytes": metric("zonegate_request_bytes_total", zone=zone, api="produce"),
            "fetch bytes": metric("zonegate_response_bytes_total", zone=zone, api="fetch"),
            "timed": metric("zonegate_request_duration_seconds_count", zone=zone, api="produce"),
            "alias produced": metric("zonegate_alias_record_bytes_total", zone=zone, alias=alias, api="produce"),
            "alias fetched": metric("zonegate_alias_record_bytes_total", zone=zone, alias=alias, api="fetch"),
            "alias requests": metric("zonegate_alias_requests_total", zone=zone, alias=alias, api="produce"),
            "connections": metric("zonegate_connections_opened_total"),
        }

    before = counts()
    client = Librdkafka(supplier)
    client.produce(alias, ["x" * 1000] * 100)
    client.consume([alias], 100)
    grown = {name: count - before[name] for name, count in counts().items()}
    assert all(count > 0 for count in grown.values()), grown
    for name in ("produce bytes", "fetch bytes", "alias produced", "alias fetched"):
        assert grown[name] > 100_000, grown
    assert metric("zonegate_upstream_reachable") == 1


@pytest.mark.parametrize(
    ("values", "compression"),
    [(["x" * 100] * 10, "none"), (["x" * 1000] * 300, "gzip"), (["x" * 50_000] * 20, "none")],
    ids=["ordinary", "compressed", "streamed"],
)
def test_records_are_counted_exactly(
    world: World, supplier: Account, topic: Topic, values: list[str], compression: str
) -> None:
    client = Librdkafka(supplier)
    client.produce(topic.alias, values, compression=compression)
    client.consume([topic.alias], len(values))
    for api in ("produce", "fetch"):
        counted = world.gateway.metric("zonegate_alias_records_total", zone=supplier.zone, alias=topic.alias, api=api)
        assert counted == len(values), api


def test_refusals_are_counted_and_names_of_clients_are_no_labels(world: World, supplier: Account) -> None:
    labels = {"zone": supplier.zone, "error": "topic_authorization_failed"}
    before = world.gateway.metric("zonegate_refusals_total", **labels)
    with pytest.raises(Refused):
        Librdkafka(supplier).produce("a-name-that-a-client-made-up", ["x"])
    assert world.gateway.metric("zonegate_refusals_total", **labels) > before
    assert world.gateway.metric("zonegate_alias_requests_total", alias="a-name-that-a-client-made-up") == 0
    assert "a-name-that-a-client-made-up" not in world.gateway.metrics_text()


def test_connections_are_counted_while_they_last(world: World) -> None:
    def connected() -> float:
        return world.gateway.metric("zonegate_connections", zone=world.rival.zone)

    wait_until(lambda: connected() == 0, "no connection of the zone", NOTICE_SECONDS)
    with Librdkafka(world.rival).consumer("cgrp-metrics") as consumer:
        consumer.subscribe([world.hidden.alias])
        consumer.poll(0.5)
        assert connected() > 0
    wait_until(lambda: connected() == 0, "the connections' end", NOTICE_SECONDS)


def test_not_ready_without_a_broker(canaries: Canaries, own_kafka: KafkaCluster) -> None:
    del own_kafka  # only where brokers are ours
    with KafkaCluster() as kafka:
        front = Front(kafka, canaries)
        front.add_zone("lonely-zone", "lonely", [("orders", "orders", "READ")])
        with front:
            gateway = front.gateway
            assert gateway.readiness().json() == {"status": "READY"}
            kafka.stop()
            wait_until(lambda: gateway.readiness().status_code == 503, "the gateway unready", NOTICE_SECONDS)
            answer = gateway.readiness().json()
            assert answer["status"] == "NOT_READY"
            assert "does not answer" in answer["reason"]
            assert gateway.metric("zonegate_upstream_reachable") == 0
