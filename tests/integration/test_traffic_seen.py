"""A zone at its limit, as its operator sees it: metrics, the audit log, and an edit that sets it free."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, Message, Producer, ThrottleEvent

from tests.canary import Canaries
from tests.integration.clients.librdkafka import Librdkafka
from tests.integration.gateway import manifest
from tests.integration.world import Account, Front, World
from tests.kafka.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.alone]

LIMIT = 250_000
VALUE_BYTES = 10_000
VALUES = 600
"""At the limit they would take 24 s."""

STEADY_SECONDS = 15.0
"""The rate is that of the last ten seconds, whatever was before."""
FREE_SECONDS = 5.0
"""For the edit to be seen, and for what is left to be written."""
SOON_SECONDS = 5.0

ZONE = "seen-zone"


class Seen:
    """A gateway of its own with one zone, whose limit is edited."""

    def __init__(self, world: World, canaries: Canaries) -> None:
        self.front = Front(world.kafka, canaries)
        self.gateway = self.front.gateway
        self.rows = [("orders", world.topic().backing, "WRITE")]
        self.account: Account = self.front.add_zone(ZONE, "seen", self.rows)

    def limit(self, **policies: int) -> None:
        definition = manifest(ZONE, self.account.user, self.rows)
        spec: Any = definition["spec"]
        self.gateway.write_zone({**definition, "spec": {**spec, "trafficControlPolicies": policies}})

    def metric(self, name: str) -> float:
        return self.gateway.metric(f"zonegate_{name}", zone=ZONE, kind="produce")

    def told(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.gateway.audit() if line["event"] == event and line["zone"] == ZONE]


@pytest.fixture(scope="module")
def seen(world: World, canaries: Canaries) -> Iterator[Seen]:
    seen = Seen(world, canaries)
    seen.limit(maxProduceRate=LIMIT)
    with seen.front:
        yield seen


class Sending:
    """A producer that sends `VALUES` as fast as it may, in requests of a tenth of a second's worth."""

    def __init__(self, account: Account) -> None:
        self.delivered = 0
        self.errors: list[KafkaError] = []
        self.throttled: list[float] = []
        self._producer = Producer(
            {
                **Librdkafka(account).config,
                "batch.size": LIMIT // 10,
                "throttle_cb": self._on_throttled,
                "on_delivery": self._on_delivery,
            }
        )
        for _ in range(VALUES):
            self._producer.produce("orders", bytes(VALUE_BYTES))
        self._thread = threading.Thread(target=self._producer.flush, args=(60.0,))
        self._thread.start()

    def _on_throttled(self, event: ThrottleEvent) -> None:
        self.throttled.append(event.throttle_time)

    def _on_delivery(self, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            self.delivered += 1
        else:
            self.errors.append(error)

    def join(self) -> None:
        self._thread.join()


def test_a_limit_is_seen_while_it_throttles_and_when_it_is_removed(seen: Seen) -> None:
    sending = Sending(seen.account)
    try:
        wait_until(lambda: seen.told("throttling_started"), "the audit line of the beginning", SOON_SECONDS)
        assert seen.metric("traffic_limit_bytes_per_second") == LIMIT
        (started,) = seen.told("throttling_started")
        assert (started["kind"], started["limit"]) == ("produce", LIMIT)
        wait_until(
            lambda: abs(seen.metric("traffic_rate_bytes_per_second") / LIMIT - 1) < 0.05,
            "a current rate within 5 % of the limit",
            STEADY_SECONDS,
        )
        # between the end of a pause and the arrival of the request that was put off there is none
        wait_until(lambda: seen.metric("throttled_connections") >= 1, "a connection as throttled", SOON_SECONDS)
        assert seen.metric("throttled_requests_total") > 10
        assert seen.metric("throttled_seconds_total") > 5
        assert sending.delivered < VALUES
        assert sending.throttled
        seen.limit()
        since = time.monotonic()
    finally:
        sending.join()
    assert (sending.delivered, sending.errors) == (VALUES, [])
    assert time.monotonic() - since < FREE_SECONDS
    _look_at_the_end(seen)


def _look_at_the_end(seen: Seen) -> None:
    wait_until(lambda: seen.told("throttling_ended"), "the audit line of the end", SOON_SECONDS)
    (ended,) = seen.told("throttling_ended")
    assert (ended["kind"], ended["limit"]) == ("produce", LIMIT)
    assert ended["throttled_requests"] == seen.metric("throttled_requests_total")
    # it has begun when the burst of a second was used up; the last request may have gone beyond
    assert ended["record_bytes"] == pytest.approx(ended["seconds"] * LIMIT, rel=0.1)
    (change,) = seen.told("zone_change")
    assert (change["fields"], change["produce_rate_before"], change["sessions_ended"]) == (["limits"], LIMIT, 0)
    assert "produce_rate" not in change
    assert "zonegate_traffic_rate_bytes_per_second{" not in seen.gateway.metrics_text()
    states = [entry["state"] for entry in seen.gateway.log() if entry.get("event") == "throttling"]
    assert states == ["started", "ended"]
