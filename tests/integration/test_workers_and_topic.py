"""Two workers and a console behind one set of ports, all of which follow the state topic."""

import os
import signal
import uuid
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.canary import Canaries
from tests.integration.control_plane import Node
from tests.integration.gateway import manifest
from tests.integration.test_fleet import signed_in, topics_seen
from tests.integration.test_workers import BOTH, MANY
from tests.integration.wire import Connection
from tests.integration.world import Account, World
from tests.kafka.waiting import wait_until
from tests.workers import workers_of

pytestmark = pytest.mark.kafka

SECONDS = 60.0
ADMIN, PASSWORD = "admin", "of-an-admin-who-may-see-it-all"
ZONE, USER = "joint-zone", "joint"


class Joint(Node):
    def __init__(self, world: World, canaries: Canaries) -> None:
        secured = {"passthrough": {"username": ADMIN, "password": PASSWORD}, "secured_metrics": True}
        super().__init__(world.kafka, canaries, f"_zonegate-{uuid.uuid4().hex[:8]}", "serve", secured, workers=2)
        self.topic = world.topic().backing
        self.rows = [("orders", self.topic, "WRITE")]
        self.account: Account

    def begin(self) -> None:
        self.edit()
        self.canaries.add(f"{ZONE}:", f"the name of {ZONE}, another zone", USER)
        self.api.wait_for(ZONE, "READY")
        self.account = Account(self.gateway.bootstrap, ZONE, USER, self.api.new_password(ZONE))

    def edit(self, *rows: tuple[str, str, str]) -> None:
        self.api.put(manifest(ZONE, USER, rows or self.rows)).raise_for_status()

    def workers(self) -> dict[int, str]:
        """Number -> when it was started, of those that live."""
        return {each["worker"]: each["started"] for each in self.api.gateways()}

    def metrics(self, name: str, **labels: str) -> list[float]:
        """Of both workers."""
        address = f"http://127.0.0.1:{self.gateway.admin_port}/metrics"
        assert httpx.get(address, timeout=20).status_code == httpx.codes.UNAUTHORIZED
        text = httpx.get(address, auth=(ADMIN, PASSWORD), timeout=20).raise_for_status().text
        samples = [each for family in text_string_to_metric_families(text) for each in family.samples]
        return [
            sum(
                each.value
                for each in samples
                if each.name == name and {**labels, "worker": worker}.items() <= each.labels.items()
            )
            for worker in BOTH
        ]


@pytest.fixture(scope="module")
def joint(world: World, canaries: Canaries) -> Iterator[Joint]:
    with Joint(world, canaries) as joint:
        joint.begin()
        yield joint


def sign_in_at_both(stack: ExitStack, joint: Joint) -> list[Connection]:
    connections = [signed_in(stack, joint, joint.account) for _ in range(MANY)]
    assert min(joint.metrics("zonegate_connections", zone=ZONE)) > 0
    return connections


def test_both_are_seen_and_serve_what_the_api_says(joint: Joint) -> None:
    assert sorted(joint.workers()) == [0, 1]
    assert len({each["gateway"] for each in joint.api.gateways()}) == 1
    assert joint.gateway.readiness().json() == {"status": "READY"}
    assert joint.metrics("zonegate_state_reachable") == [1, 1]
    with ExitStack() as stack:
        for connection in sign_in_at_both(stack, joint):
            assert topics_seen(connection, "orders", "renamed") == {"orders"}


def test_an_edit_ends_the_sessions_that_it_takes_something_from_at_both(joint: Joint) -> None:
    with ExitStack() as stack:
        connections = sign_in_at_both(stack, joint)
        joint.edit(("renamed", joint.topic, "WRITE"))
        assert all(connection.is_ended() for connection in connections)
    joint.api.wait_for(ZONE, "READY")
    joint.edit()
    joint.api.wait_for(ZONE, "READY")


def test_a_worker_that_is_killed_comes_back_with_what_is_in_force_now(joint: Joint) -> None:
    before, victim = joint.workers(), workers_of(joint.gateway.pid)[1]
    os.kill(victim, signal.SIGKILL)
    joint.edit(("meanwhile", joint.topic, "WRITE"))
    assert joint.api.status(ZONE)[0] == "PENDING", "the killed one is still counted, and has not told of the edit"
    wait_until(lambda: joint.workers().get(1, before[1]) != before[1], "the worker's next start", SECONDS)
    joint.api.wait_for(ZONE, "READY")
    wait_until(lambda: joint.gateway.readiness().status_code == httpx.codes.OK, "both ready", SECONDS)
    assert sorted(joint.workers()) == [0, 1], "it has its own place again"
    assert joint.metrics("zonegate_worker_restarts_total") == [0, 1]
    offsets = joint.metrics("zonegate_state_changed_offset")
    assert min(offsets) >= 2, offsets
    with ExitStack() as stack:
        for connection in sign_in_at_both(stack, joint):
            assert topics_seen(connection, "orders", "meanwhile") == {"meanwhile"}
