"""Clients with tokens of an identity provider, before the real Kafka; its keys come over HTTP."""

import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from tests.canary import Canaries
from tests.integration import wire
from tests.integration.clients.aiokafka_client import Aiokafka
from tests.integration.clients.base import Client, NotAuthenticated
from tests.integration.clients.librdkafka import Librdkafka
from tests.integration.gateway import manifest
from tests.integration.security import Security
from tests.integration.world import Account, Front, Topic, World, new_group
from tests.kafka import Cluster
from tests.kafka.distribution import distribution
from tests.tokens import AUDIENCE, ISSUER, KeyServer, Signer, key_set

pytestmark = pytest.mark.kafka

ZONE, USER = "bearer-zone", "bearer-partner"
PASSWORD_ZONE, PASSWORD_USER = "password-zone", "password-partner"
TOPICS = 3
REFUSED = b'{"status":"invalid_token"}'


class Provider:
    """The identity provider, and the gateway that trusts it."""

    def __init__(self, front: Front, account: Account, topics: list[Topic]) -> None:
        self.signer = SIGNERS[0]
        self.front = front
        self.account = account
        self._topics = iter(topics)

    def topic(self) -> Topic:
        return next(self._topics)


SIGNERS = [Signer("rsa-1"), Signer("ec-1", "ES256")]


@pytest.fixture(scope="module")
def provider(world: World, canaries: Canaries) -> Iterator[Provider]:
    topics = [world.topic() for _ in range(TOPICS)]
    rows = [(topic.alias, topic.backing, "WRITE") for topic in topics]
    with KeyServer(key_set(*(signer.jwk() for signer in SIGNERS))) as server:
        settings = {"oauth": {"jwks": server.url, "issuer": ISSUER, "audience": AUDIENCE}}
        front = Front(world.kafka, canaries, settings)
        front.gateway.write_zone(manifest(ZONE, USER, rows, "OAUTHBEARER"))
        front.gateway.write_zone(manifest(PASSWORD_ZONE, PASSWORD_USER, rows))
        account = Account(front.gateway.bootstrap, ZONE, USER, "")
        with front:
            yield Provider(front, account, topics)


Bearer = Callable[[str], Account]
"""token -> the account of who has it"""


@pytest.fixture
def bearer(provider: Provider, tmp_path: Path) -> Bearer:
    def account(token: str) -> Account:
        file = tmp_path / "token"
        file.write_text(token, encoding="ascii")
        return replace(provider.account, security=Security("SASL_PLAINTEXT", "OAUTHBEARER", token=file))

    return account


@pytest.mark.parametrize("make", [Librdkafka, Aiokafka])
def test_a_client_writes_and_reads(provider: Provider, bearer: Bearer, make: Callable[[Account], Client]) -> None:
    client = make(bearer(provider.signer.token(USER)))
    topic = provider.topic().alias
    sent = [f"bearer-{n}" for n in range(20)]
    client.produce(topic, sent)
    assert sorted(record.value for record in client.consume([topic], 20, group=new_group())) == sorted(sent)


@pytest.mark.parametrize("make", [Librdkafka, Aiokafka])
def test_a_client_with_a_bad_token_is_refused(
    provider: Provider, bearer: Bearer, make: Callable[[Account], Client]
) -> None:
    client = make(bearer(provider.signer.token(USER, aud="somebody-else")))
    failures = failures_of(provider, "wrong_audience")
    with pytest.raises(NotAuthenticated):
        client.topics()
    assert failures_of(provider, "wrong_audience") > failures
    assert provider.front.gateway.metric("zonegate_connections", zone=ZONE) == 0


def failures_of(provider: Provider, reason: str) -> float:
    return provider.front.gateway.metric("zonegate_authentication_failures_total", reason=reason)


@pytest.fixture
def java(bearer: Bearer, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs one of Kafka's tools with a token: java(token, name, *args, given=…)."""

    def run(token: str, name: str, *args: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        account = bearer(token)
        kafka = distribution()
        tools = Cluster("", replace(kafka, options=(*kafka.options, *account.security.java_options.split())))
        server = ["--bootstrap-server", account.bootstrap, "--command-config", account.java_properties(tmp_path)]
        return tools.run_tool(name, [*server, *args], input=given)

    return run


def test_javas_client(provider: Provider, java: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    topic = provider.topic().alias
    token = SIGNERS[1].token(USER)
    sent = [f"java-{n}" for n in range(20)]
    produced = java(token, "kafka-console-producer", "--topic", topic, given="\n".join(sent) + "\n")
    assert (produced.returncode, "ERROR" in produced.stderr) == (0, False), produced.stderr
    options = ("--topic", topic, "--from-beginning", "--max-messages", "20", "--timeout-ms", "15000")
    consumed = java(token, "kafka-console-consumer", *options)
    assert sorted(consumed.stdout.split()) == sorted(sent), consumed.stderr
    refused = java(SIGNERS[1].token(USER, iss="https://evil.example.com"), "kafka-topics", "--list")
    assert refused.returncode != 0
    assert 'SaslAuthenticationException: {"status":"invalid_token"}' in refused.stdout + refused.stderr


NOW = int(time.time())
BAD: MappingProxyType[str, tuple[Callable[[], str], str]] = MappingProxyType(
    {
        "wrong audience": (lambda: SIGNERS[0].token(USER, aud="another"), "wrong_audience"),
        "expired": (lambda: SIGNERS[0].token(USER, exp=NOW - 60), "expired_token"),
        "wrong issuer": (lambda: SIGNERS[0].token(USER, iss="https://evil.example.com"), "wrong_issuer"),
        "alg none": (lambda: SIGNERS[0].unsigned_token(USER), "wrong_algorithm"),
        "HS256 with the public key": (lambda: SIGNERS[0].hmac_token(USER), "wrong_algorithm"),
        "an unknown key": (lambda: Signer("unknown", "ES256").token(USER), "unknown_key"),
        "another key of that name": (lambda: Signer("ec-1", "ES256").token(USER), "invalid_signature"),
        "no token": (lambda: "opaque", "malformed_token"),
        "nobody": (lambda: SIGNERS[0].token("nobody"), "unknown_principal"),
        "an account with a password": (lambda: SIGNERS[0].token(PASSWORD_USER), "wrong_mode"),
    }
)


@pytest.mark.parametrize("case", BAD)
def test_a_bad_token(provider: Provider, case: str) -> None:
    """Answered as by a broker, logged and counted with the reason."""
    make, reason = BAD[case]
    before = failures_of(provider, reason)
    with wire.Connection(provider.front) as connection:
        connection.send(wire.request(wire.SASL_HANDSHAKE, 1, 1, wire.text("OAUTHBEARER")))
        assert connection.receive(1)[:2] == b"\0\0"
        connection.send(authenticate(2, f"n,,\x01auth=Bearer {make()}\x01\x01".encode()))
        assert connection.receive(2) == b"\0\0" + wire.text("") + struct.pack(">i", len(REFUSED)) + REFUSED
        connection.send(authenticate(3, b"\x01"))
        assert connection.receive(3) == b"\0\x3a" + wire.text(REFUSED.decode()) + bytes(4)
        assert connection.is_ended()
        line = connection.end()
    assert (line["event"], line["reason"], line["detail"]) == ("connection_end", "authentication_failed", reason)
    assert failures_of(provider, reason) == before + 1


def authenticate(correlation_id: int, token: bytes) -> bytes:
    return wire.request(wire.SASL_AUTHENTICATE, 0, correlation_id, struct.pack(">i", len(token)) + token)


def test_a_zone_that_changes_its_mode_ends_its_sessions(provider: Provider, world: World) -> None:
    gateway = provider.front.gateway
    topic = world.topic()
    rows = [(topic.alias, topic.backing, "READ")]
    gateway.write_zone(manifest("changing-zone", "changing", rows, "OAUTHBEARER"))
    gateway.wait_for_log(
        lambda entry: entry.get("event") == "configuration_loaded" and entry["zones"] == 3, "the new zone"
    )
    with wire.Connection(provider.front) as connection:
        connection.send(wire.request(wire.SASL_HANDSHAKE, 1, 1, wire.text("OAUTHBEARER")))
        connection.receive(1)
        connection.send(authenticate(2, f"n,,\x01auth=Bearer {SIGNERS[0].token('changing')}\x01\x01".encode()))
        assert connection.receive(2)[:2] == b"\0\0"
        connection.send(wire.metadata(3))
        assert topic.alias.encode() in connection.receive(3)
        gateway.write_zone(manifest("changing-zone", "changing", rows, "PLAIN"))
        assert connection.is_ended()
        line = connection.end()
    assert (line["reason"], line["user"]) == ("zone_changed", "changing")


def test_the_keys_are_counted(provider: Provider) -> None:
    gateway = provider.front.gateway
    assert gateway.metric("zonegate_jwks_keys") == 2
    assert gateway.metric("zonegate_jwks_refreshes_total", result="success") >= 1
    loaded: dict[str, Any] = gateway.wait_for_log(lambda entry: entry.get("event") == "jwks_loaded", "the keys")
    assert loaded["ids"] == "rsa-1, ec-1"
