"""Clients with certificates at SSL listeners, by port and by host name, before the real Kafka."""

import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration import wire
from tests.integration.clients.aiokafka_client import Aiokafka
from tests.integration.clients.base import Client
from tests.integration.clients.librdkafka import Librdkafka
from tests.integration.gateway import Gateway, manifest
from tests.integration.security import Security
from tests.integration.tls_front import NATIVE_HOST, NATIVE_PATTERN
from tests.integration.world import GATEWAY_HOST, Account, Topic, World, contiguous_ports, new_group
from tests.kafka.waiting import wait_until
from tests.pki import Authority

pytestmark = pytest.mark.kafka

ZONE, USER = "mtls-zone", "certified"
PASSWORD_ZONE, PASSWORD_USER = "password-only-zone", "johnny"
RULES = "RULE:^(?:.*,)?CN=([a-z]+)(?:,.*)?$/$1/"
RECORDS = 30
CELLS = 5
SECONDS = 10.0
ANY_HOST = "0.0.0.0"  # noqa: S104 - brokers' names are different addresses of this machine


@dataclass(frozen=True, slots=True)
class Stage:
    """A gateway with SSL listeners, and the authority that both sides trust."""

    gateway: Gateway
    authority: Authority
    bootstraps: dict[str, str]
    topics: Iterator[Topic]

    def account(self, listener: str, common_name: str = USER) -> Account:
        """Who shows a certificate with that name."""
        # with a host name as well: Java reads no certificate whose list of names is empty
        pair = self.authority.issue(common_name, "client.example.com", common_name=common_name)
        return Account(self.bootstraps[listener], ZONE, USER, "", Security("SSL", "", self.authority.file, pair))


@pytest.fixture(scope="module")
def stage(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("mtls")
    authority = Authority(folder)
    brokers = world.kafka.broker_ids
    names = [NATIVE_PATTERN.replace("{id}", str(broker)) for broker in brokers]
    pair = authority.issue("gateway", GATEWAY_HOST, NATIVE_HOST, *names)
    tls = {"certificate": str(pair.certificate), "key": str(pair.key), "client_ca": str(authority.file)}
    span = max(brokers) - min(brokers) + 1
    ports = contiguous_ports(1 + span + 2)
    port, first_broker_port, sni, admin = ports[0], ports[1], ports[-2], ports[-1]
    listeners = [
        {
            "name": "ports",
            "listen": f"{GATEWAY_HOST}:{port}",
            "advertised_host": GATEWAY_HOST,
            "broker_ports": {"start": first_broker_port, "min_broker_id": min(brokers)},
            "security_protocol": "SSL",
            "tls": dict(tls),
        },
        {
            "name": "sni",
            "listen": f"{ANY_HOST}:{sni}",
            "advertised_host": NATIVE_HOST,
            "routing": "sni",
            "sni": {"pattern": NATIVE_PATTERN},
            "security_protocol": "SSL",
            "tls": dict(tls),
        },
    ]
    topics = [world.topic() for _ in range(CELLS)]
    rows = [(topic.alias, topic.backing, "WRITE") for topic in topics]
    settings = {"listeners": listeners, "principal_mapping_rules": RULES}
    with Gateway(
        world.kafka.bootstrap, brokers, GATEWAY_HOST, GATEWAY_HOST, [*ports[:-2], admin], settings=settings
    ) as gateway:
        gateway.write_zone(manifest(ZONE, USER, rows, "MTLS"))
        gateway.write_zone(manifest(PASSWORD_ZONE, PASSWORD_USER, rows))
        gateway.start()
        bootstraps = {"ports": f"{GATEWAY_HOST}:{port}", "sni": f"{NATIVE_HOST}:{sni}"}
        yield Stage(gateway, authority, bootstraps, iter(topics))


@pytest.mark.parametrize("listener", ["ports", "sni"])
@pytest.mark.parametrize("make", [Librdkafka, Aiokafka])
def test_a_certificate_is_all_that_it_takes(stage: Stage, listener: str, make: Callable[[Account], Client]) -> None:
    topic = next(stage.topics).alias
    client = make(stage.account(listener))
    sent = [f"{make.__name__}-{n}" for n in range(RECORDS)]
    client.produce(topic, sent)
    assert sorted(each.value for each in client.consume([topic], RECORDS, group=new_group())) == sorted(sent)


def test_javas_client(stage: Stage, world: World, tmp_path: Path) -> None:
    topic = next(stage.topics).alias
    account = stage.account("ports")
    sent = [f"java-{n}" for n in range(RECORDS)]

    def tool(who: Account, name: str, *args: str, given: str = "") -> subprocess.CompletedProcess[str]:
        server = ["--bootstrap-server", who.bootstrap, "--command-config", who.java_properties(tmp_path)]
        return world.kafka.run_tool(name, [*server, *args], input=given)

    produced = tool(account, "kafka-console-producer", "--topic", topic, given="\n".join(sent) + "\n")
    assert (produced.returncode, "ERROR" in produced.stderr) == (0, False), produced.stderr
    options = ("--topic", topic, "--from-beginning", "--max-messages", str(RECORDS), "--timeout-ms", "15000")
    consumed = tool(account, "kafka-console-consumer", *options)
    assert sorted(consumed.stdout.split()) == sorted(sent), consumed.stderr
    refused = tool(stage.account("ports", "nobody"), "kafka-console-consumer", "--topic", topic, "--timeout-ms", "2000")
    assert "Received error CLUSTER_AUTHORIZATION_FAILED from node" in refused.stderr


@pytest.mark.parametrize(("common_name", "reason"), [("nobody", "unknown_certificate"), (PASSWORD_USER, "wrong_mode")])
def test_a_certificate_of_somebody_else(stage: Stage, common_name: str, reason: str) -> None:
    """Told once, logged with its subject, counted."""
    pair = stage.authority.issue(common_name, common_name=common_name)
    before = stage.gateway.metric("zonegate_authentication_failures_total", reason=reason)
    with (
        socket.create_connection((GATEWAY_HOST, stage.gateway.port), SECONDS) as raw,
        stage.authority.client_context(pair).wrap_socket(raw, server_hostname=GATEWAY_HOST) as client,
    ):
        peer = "{}:{}".format(*client.getsockname()[:2])
        client.sendall(wire.api_versions(7))
        answer = b""
        while chunk := client.recv(1024):
            answer += chunk
        # correlation id, CLUSTER_AUTHORIZATION_FAILED, no APIs
        assert answer == wire.frame(struct.pack(">ihi", 7, 31, 0))
    line = stage.gateway.wait_for_log(
        lambda each: each.get("peer") == peer and each["event"] == "connection_end", "the end"
    )
    assert (line["reason"], line["detail"]) == ("authentication_failed", reason)
    refused = stage.gateway.wait_for_log(
        lambda each: each.get("peer") == peer and each["event"] == "certificate_refused", "the refusal"
    )
    assert f"CN={common_name}" in refused["subject"]
    wait_until(
        lambda: stage.gateway.metric("zonegate_authentication_failures_total", reason=reason) > before,
        "the failure is counted",
        SECONDS,
    )
