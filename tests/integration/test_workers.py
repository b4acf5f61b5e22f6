"""Two worker processes behind one set of ports: real clients, a worker that is killed under them, an edit."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.canary import Canaries
from tests.integration.clients.librdkafka import Librdkafka
from tests.integration.gateway import manifest
from tests.integration.test_changes import WITHIN_SECONDS, topics_seen
from tests.integration.wire import Connection
from tests.integration.workload import Reader, Writer, read_back
from tests.integration.world import Front, World
from tests.kafka.waiting import wait_until
from tests.workers import is_alive, workers_of

pytestmark = pytest.mark.kafka

SECONDS = 60.0
BOTH = ("0", "1")
MANY = 20
"""Connections, of which each worker gets one at least: that all go to one happens once in half a million runs."""


class Several:
    """A gateway of two workers with one zone."""

    def __init__(self, world: World, canaries: Canaries) -> None:
        self.front = Front(world.kafka, canaries, workers=2)
        self.gateway = self.front.gateway
        self.canaries = canaries
        self.topic = world.topic().backing
        self.rows = [("orders", self.topic, "WRITE")]
        self.account = self.front.add_zone("several-zone", "several", self.rows)

    def by_worker(self, name: str, **labels: str) -> list[float]:
        return [self.gateway.metric(name, worker=worker, **labels) for worker in BOTH]

    def open_files(self) -> int:
        """Of the supervisor, where the system tells."""
        return len(list(Path(f"/proc/{self.gateway.pid}/fd").iterdir())) if sys.platform == "linux" else 0


@pytest.fixture(scope="module")
def several(world: World, canaries: Canaries) -> Iterator[Several]:
    several = Several(world, canaries)
    with several.front:
        yield several


def test_both_serve_clients_and_both_are_seen(several: Several) -> None:
    client = Librdkafka(several.account)
    client.produce("orders", [f"first-{number}" for number in range(100)])
    assert len(client.consume(["orders"], 100)) == 100

    wait_until(lambda: several.by_worker("zonegate_connections") == [0, 0], "no connection left", SECONDS)
    with ExitStack() as stack:
        for _ in range(MANY):
            stack.enter_context(Connection(several)).sign_in(several.account)
        shares = several.by_worker("zonegate_connections", zone=several.account.zone)
        assert sum(shares) == MANY
        assert min(shares) > 0, shares
    assert sum(several.by_worker("zonegate_requests_total", zone=several.account.zone, api="produce")) > 0
    assert several.by_worker("zonegate_upstream_reachable") == [1, 1]
    assert several.by_worker("zonegate_worker_up") == [1, 1]
    audited = [line for line in several.gateway.audit() if line["event"] == "authentication"]
    assert {line["worker"] for line in audited} == {0, 1}


def test_an_edit_is_in_force_in_both(several: Several) -> None:
    with ExitStack() as stack:
        connections = [stack.enter_context(Connection(several)) for _ in range(MANY)]
        for connection in connections:
            connection.sign_in(several.account)
        assert min(several.by_worker("zonegate_connections", zone=several.account.zone)) > 0
        several.gateway.write_zone(
            manifest("several-zone", "several", [*several.rows, ("added", several.topic, "READ")])
        )
        for connection in connections:
            wait_until(
                lambda it=connection: topics_seen(it, 3) == {"orders", "added"},  # type: ignore[misc]
                "the new alias",
                WITHIN_SECONDS,
            )


def test_a_worker_that_is_killed_loses_nothing(several: Several, world: World) -> None:
    gateway = several.gateway
    files, workers = several.open_files(), workers_of(gateway.pid)
    with Reader(several.account, "orders") as reader, Writer(several.account, "orders", "killed") as writer:
        for worker in workers:
            goal = len(writer.acknowledged) + 100
            wait_until(lambda goal=goal: len(writer.acknowledged) > goal, "a producer at work", SECONDS)  # type: ignore[misc]
            os.kill(workers[worker], signal.SIGKILL)
            wait_until(
                lambda worker=worker: several.by_worker("zonegate_worker_restarts_total")[worker] == 1,  # type: ignore[misc]
                f"a restart of worker {worker}",
                SECONDS,
            )
            wait_until(lambda: gateway.readiness().status_code == 200, "both ready", SECONDS)
        goal = len(writer.acknowledged) + 100
        wait_until(lambda: len(writer.acknowledged) > goal, "a producer at work again", SECONDS)
        last = writer.acknowledged[-1]
        wait_until(lambda: last in reader.values, "a consumer that reads again", SECONDS)
    held = read_back(world, several.topic, "killed")
    assert sorted(held) == sorted(writer.acknowledged)
    assert len(set(held)) == len(held), "a record was written twice"
    assert several.by_worker("zonegate_worker_restarts_total") == [1, 1]
    wait_until(lambda: several.open_files() <= files, f"no more open files than before, {files}", SECONDS)


def test_nothing_is_left_after_a_stop(several: Several) -> None:
    workers = workers_of(several.gateway.pid)
    assert sorted(workers) == [0, 1]
    several.gateway.stop()
    assert not any(map(is_alive, workers.values()))
    reasons = {entry.get("event") for entry in several.gateway.log()}
    assert "killed" not in reasons
