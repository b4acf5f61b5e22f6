"""Generated passwords in the hands of real clients: SCRAM, expiry, revoking, signing in again on a connection."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.canary import Canaries
from tests.integration import wire
from tests.integration.clients.aiokafka_client import Aiokafka
from tests.integration.clients.base import Client, NotAuthenticated
from tests.integration.clients.kafka_python import KafkaPython
from tests.integration.clients.librdkafka import Librdkafka
from tests.integration.wire import Connection
from tests.integration.workload import Reader, Writer, read_back
from tests.integration.world import Account, Front, World
from tests.kafka.waiting import wait_until

pytestmark = pytest.mark.kafka

WITHIN_SECONDS = 10.0
"""Promised is a second; a machine that other tests keep busy may take longer."""

SESSION_SECONDS = 4
"""Java clients sign in again after 85 to 95 % of it: that leaves them 0.2 seconds at least."""

TRAFFIC_SECONDS = 10
"""Two sessions and a half."""

STEADY_TRAFFIC = Path(__file__).parent / "java" / "SteadyTraffic.java"
SCRAM = "SCRAM-SHA-512"


def scram_properties(account: Account, folder: Path) -> str:
    """A Java client's settings."""
    path = folder / f"{account.user}-scram.properties"
    path.write_text(
        f"security.protocol=SASL_PLAINTEXT\nsasl.mechanism={SCRAM}\n"
        "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required"
        f' username="{account.user}" password="{account.password}";\n',
        encoding="utf-8",
    )
    return str(path)


def with_scram(library: Callable[[Account], Any], account: Account) -> Any:
    client = library(account)
    client.config["sasl.mechanism" if library is Librdkafka else "sasl_mechanism"] = SCRAM
    return client


# SCRAM


@pytest.mark.parametrize("library", [Librdkafka, Aiokafka, KafkaPython])
def test_scram_with_each_library(world: World, library: Callable[[Account], Any]) -> None:
    topic = world.topic()
    client: Client = with_scram(library, world.supplier)
    sent = [f"{client.name}-{number}" for number in range(10)]
    client.produce(topic.alias, sent)
    assert sorted(record.value for record in client.consume([topic.alias], 10)) == sorted(sent)
    wrong = Account(world.supplier.bootstrap, world.supplier.zone, world.supplier.user, "wrong")
    with pytest.raises(NotAuthenticated):
        with_scram(library, wrong).topics()


# a gateway of its own


class Rotating:
    """A gateway with short sessions, and a zone whose passwords come and go."""

    def __init__(self, world: World, canaries: Canaries) -> None:
        self.front = Front(world.kafka, canaries)
        self.gateway = self.front.gateway
        self.gateway.set(max_reauthentication_seconds=SESSION_SECONDS)
        self.canaries = canaries
        self.topics = [world.topic() for _ in range(2)]
        rows = [(topic.alias, topic.backing, "WRITE") for topic in self.topics]
        self.account = self.front.add_zone("rotating-zone", "rotator", rows)

    def another(self, *options: str) -> Account:
        """A further password of the zone, once it is in force."""
        first = self.account
        account = Account(first.bootstrap, first.zone, first.user, self.gateway.new_password(first.zone, *options))
        wait_until(lambda: self.answer(account)[:2] == b"\0\0", "the new password in force", WITHIN_SECONDS)
        return account

    def answer(self, account: Account) -> bytes:
        """To a sign-in by PLAIN."""
        with Connection(self) as connection:
            connection.send(wire.handshake(1))
            connection.receive(1)
            connection.send(wire.authenticate(2, account.user, account.password))
            return connection.receive(2)

    def listed(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = json.loads(self.gateway.credentials("list", "-o", "json"))
        return found


@pytest.fixture(scope="module")
def rotating(world: World, canaries: Canaries) -> Iterator[Rotating]:
    rotating = Rotating(world, canaries)
    with rotating.front:
        yield rotating


def test_two_passwords_at_once_and_one_of_them_revoked(rotating: Rotating) -> None:
    known = {each["id"] for each in rotating.listed()}
    second = rotating.another()
    (second_id,) = {each["id"] for each in rotating.listed()} - known
    topics = {topic.alias: topic.partitions for topic in rotating.topics}
    for account in (rotating.account, second):
        assert with_scram(Librdkafka, account).topics() == topics
    with Connection(rotating) as first, Connection(rotating) as other:
        first.sign_in(rotating.account)
        other.sign_in(second)
        wait_until(
            lambda: rotating.gateway.metric("zonegate_credential_last_used_seconds", credential=second_id) > 0,
            "the second password's use in the metrics",
            WITHIN_SECONDS,
        )
        rotating.gateway.credentials("revoke", second_id)
        since = time.monotonic()
        assert other.is_ended()
        assert time.monotonic() - since < WITHIN_SECONDS
        end = other.end()
        assert (end["reason"], end["credential"]) == ("credential_revoked", second_id)
        first.send(wire.api_versions(3))
        first.receive(3)
    assert rotating.answer(second)[:2] == b"\0\x3a"
    assert rotating.answer(rotating.account)[:2] == b"\0\0"


def test_a_password_that_expires_while_its_client_is_connected(rotating: Rotating) -> None:
    short = rotating.another("--expires-in", "3s")
    with Connection(rotating) as connection, Connection(rotating) as bystander:
        bystander.sign_in(rotating.account)
        connection.sign_in(short)
        assert connection.is_ended()
        ended = time.time()
        end = connection.end()
        assert end["reason"] == "credential_expired"
        entry = next(each for each in rotating.listed() if each["id"] == end["credential"])
        assert entry["state"] == "expired"
        expires = rotating.gateway.metric("zonegate_credential_expires_seconds", credential=entry["id"])
        assert 0 <= ended - expires < WITHIN_SECONDS
        bystander.send(wire.api_versions(3))
        bystander.receive(3)
    before = rotating.gateway.metric("zonegate_authentication_failures_total", reason="expired_credential")
    wrong = Account(short.bootstrap, short.zone, short.user, "wrong")
    assert rotating.answer(short) == rotating.answer(wrong)
    after = rotating.gateway.metric("zonegate_authentication_failures_total", reason="expired_credential")
    assert after == before + 1
    wait_until(lambda: bool(_last_used(rotating, entry["id"])), "the last use in the list", 10)


def _last_used(rotating: Rotating, credential_id: str) -> str | None:
    return next(each["last_used"] for each in rotating.listed() if each["id"] == credential_id)


def test_clients_sign_in_again_while_they_produce_and_consume(rotating: Rotating, world: World, tmp_path: Path) -> None:
    ours, javas = rotating.topics
    account = rotating.account
    before = rotating.gateway.metric("zonegate_reauthentications_total", zone=account.zone)
    seen = len(rotating.gateway.log())
    with Writer(account, ours.alias, "again") as writer, Reader(account, ours.alias) as reader:
        arguments = [scram_properties(account, tmp_path), account.bootstrap, javas.alias, str(TRAFFIC_SECONDS)]
        done = world.kafka.run_java(STEADY_TRAFFIC, arguments)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("produced and consumed "), done.stdout
        count = len(writer.acknowledged)
        wait_until(lambda: len(reader.values) >= count, "what was written, read", 20)
    assert set(writer.acknowledged) <= set(read_back(world, ours.backing, "again"))
    ends = [
        entry
        for entry in rotating.gateway.log()[seen:]
        if entry.get("event") == "connection_end" and entry["zone"] == account.zone
    ]
    assert {entry["reason"] for entry in ends} == {"client_closed"}, ends
    lasting = [entry for entry in ends if entry["seconds"] > 2 * SESSION_SECONDS]
    assert len(lasting) >= 4, "a producer's and a consumer's connection of each library outlive two sessions"
    again = rotating.gateway.metric("zonegate_reauthentications_total", zone=account.zone) - before
    assert again >= 2 * len(lasting)
