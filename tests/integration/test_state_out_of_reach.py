"""The state topic on a cluster of its own, which freezes: partners work on, and nothing that was confirmed is lost."""

import os
import signal
from collections.abc import Iterator

import httpx
import pytest

from tests.canary import Canaries
from tests.integration import wire
from tests.integration.control_plane import Node
from tests.integration.gateway import manifest
from tests.integration.wire import Connection
from tests.integration.workload import Writer, read_back
from tests.integration.world import Account, World
from tests.kafka import KafkaCluster
from tests.kafka.waiting import wait_until

pytestmark = pytest.mark.kafka

NOTICE_SECONDS = 30.0
RETURN_SECONDS = 60.0


@pytest.fixture(scope="module")
def state_kafka() -> Iterator[KafkaCluster]:
    with KafkaCluster() as cluster:
        yield cluster


class Apart(Node):
    """A gateway with a console, whose state is on another cluster than the partner's topics."""

    def __init__(self, world: World, state: KafkaCluster, canaries: Canaries) -> None:
        clusters = [
            {"id": "state", "bootstrap.servers": state.bootstrap},
            {"id": "partner1", "bootstrap.servers": world.kafka.bootstrap},
        ]
        super().__init__(
            world.kafka, canaries, "_zonegate", "serve", {"cluster": None, "clusters": clusters}, clusters=2
        )
        self.topic = world.topic().backing
        self.account: Account

    def begin(self) -> None:
        rows = [("orders", self.topic, "WRITE")]
        self.api.put(manifest("apart-zone", "apart", rows)).raise_for_status()
        self.api.wait_for("apart-zone", "READY")
        self.account = Account(self.gateway.bootstrap, "apart-zone", "apart", self.api.new_password("apart-zone"))


@pytest.fixture(scope="module")
def apart(world: World, state_kafka: KafkaCluster, canaries: Canaries) -> Iterator[Apart]:
    with Apart(world, state_kafka, canaries) as node:
        node.begin()
        yield node


def test_partners_work_on_and_writes_are_refused_until_it_returns(
    apart: Apart, state_kafka: KafkaCluster, world: World
) -> None:
    edited = manifest("apart-zone", "apart", [("orders", apart.topic, "WRITE"), ("more", apart.topic, "READ")])
    with Writer(apart.account, "orders", "apart") as writer:
        wait_until(lambda: len(writer.acknowledged) > 50, "a producer at work", 20)
        for broker_id in state_kafka.broker_ids:
            os.kill(state_kafka.broker_pid(broker_id), signal.SIGSTOP)
        before = len(writer.acknowledged)
        wait_until(lambda: state_problem(apart) != "", "the console to notice", NOTICE_SECONDS)

        for refused in (
            apart.api.put(edited),
            apart.api.delete("apart-zone"),
            apart.api.http.post("/public/partner-zone/v2/apart-zone/generate-credentials"),
        ):
            assert refused.status_code == httpx.codes.SERVICE_UNAVAILABLE, refused.text
            assert "is out of reach" in refused.json()["cause"]
        assert apart.api.zone("apart-zone")["spec"]["topics"][0]["name"] == "orders", "what is known can be read"
        with Connection(apart) as newcomer:
            newcomer.sign_in(apart.account)
            newcomer.send(wire.metadata(3))
            seen = newcomer.receive(3)
            assert (wire.text("orders") in seen, wire.text("more") in seen) == (True, False)
        wait_until(lambda: len(writer.acknowledged) > before + 200, "the producer works on", 20)

        for broker_id in state_kafka.broker_ids:
            os.kill(state_kafka.broker_pid(broker_id), signal.SIGCONT)
        wait_until(lambda: state_problem(apart) == "", "the state topic again", RETURN_SECONDS)
        assert apart.api.put(edited).json()["upsertResult"] == "Updated"
        apart.api.wait_for("apart-zone", "READY")
    assert set(writer.acknowledged) <= set(read_back(world, apart.topic, "apart"))
    assert [each["id"] for each in apart.api.http.get("/public/zonegate/v1/credentials").json()], "nothing is lost"


def state_problem(apart: Apart) -> str:
    return str(apart.api.http.get("/public/zonegate/v1/gateways").raise_for_status().json()["state"]["problem"])
