"""What an operator changes while partners are connected: zones, credentials, the gateway itself."""

import time
from collections.abc import Iterator

import pytest

from tests.canary import Canaries
from tests.integration import wire
from tests.integration.clients.librdkafka import Librdkafka
from tests.integration.gateway import manifest
from tests.integration.wire import Connection
from tests.integration.workload import Writer, read_back
from tests.integration.world import Account, Front, World
from tests.kafka.waiting import wait_until

pytestmark = pytest.mark.kafka

WITHIN_SECONDS = 10.0
"""Promised is a second; a machine that other tests keep busy may take longer."""


class Changing:
    """A gateway of its own with two zones, of which one changes."""

    def __init__(self, world: World, canaries: Canaries) -> None:
        self.front = Front(world.kafka, canaries)
        self.gateway = self.front.gateway
        self.canaries = canaries
        self.topic = world.topic().backing
        self.rows = [("kept", self.topic, "WRITE"), ("removed", world.reading.backing, "READ")]
        self.changing = self.front.add_zone("changing-zone", "changer", self.rows)
        self.steady = self.front.add_zone("steady-zone", "steady", [("orders", self.topic, "WRITE")])

    def share(self, rows: list[tuple[str, str, str]]) -> None:
        self.gateway.write_zone(manifest(self.changing.zone, self.changing.user, rows))


@pytest.fixture(scope="module")
def changing(world: World, canaries: Canaries) -> Iterator[Changing]:
    changing = Changing(world, canaries)
    with changing.front:
        yield changing


def topics_seen(connection: Connection, correlation_id: int) -> set[str]:
    connection.send(wire.metadata(correlation_id))
    seen = connection.receive(correlation_id)
    return {name for name in ("kept", "removed", "added", "orders") if wire.text(name) in seen}


def assert_ended_soon(connection: Connection, since: float, reason: str) -> None:
    assert connection.is_ended()
    assert time.monotonic() - since < WITHIN_SECONDS
    assert connection.end()["reason"] == reason


def test_a_new_alias_is_seen_by_those_who_are_connected(changing: Changing) -> None:
    with Connection(changing) as connection:
        connection.sign_in(changing.changing)
        assert topics_seen(connection, 3) == {"kept", "removed"}
        changing.share([*changing.rows, ("added", changing.rows[0][1], "READ")])
        wait_until(lambda: topics_seen(connection, 4) == {"kept", "removed", "added"}, "the new alias", WITHIN_SECONDS)


def test_a_removed_alias_ends_its_zones_sessions_and_no_others(changing: Changing) -> None:
    with Connection(changing) as connection, Connection(changing) as bystander:
        connection.sign_in(changing.changing)
        bystander.sign_in(changing.steady)
        assert "removed" in topics_seen(connection, 3)
        changing.share([changing.rows[0]])
        assert_ended_soon(connection, time.monotonic(), "zone_changed")
        assert topics_seen(bystander, 3) == {"orders"}
    assert Librdkafka(changing.changing).topics() == {"kept": 2}


def test_a_broken_edit_changes_nothing(changing: Changing) -> None:
    with Connection(changing) as connection:
        connection.sign_in(changing.changing)
        changing.share([("no such name", "x", "WRITE")])
        changing.gateway.wait_for_log(lambda entry: entry.get("event") == "zones_refused", "the refusal of the edit")
        assert topics_seen(connection, 3) == {"kept"}
        changing.share([changing.rows[0]])


def test_a_second_password_works_beside_the_first_until_both_are_removed(changing: Changing) -> None:
    account = changing.changing
    second = Account(account.bootstrap, account.zone, account.user, changing.gateway.new_password(account.zone))

    def signs_in() -> bool:
        with Connection(changing) as connection:
            connection.send(wire.handshake(1))
            connection.receive(1)
            connection.send(wire.authenticate(2, second.user, second.password))
            return connection.receive(2)[:2] == b"\0\0"

    wait_until(signs_in, "the second password in force", WITHIN_SECONDS)
    with Connection(changing) as first, Connection(changing) as other, Connection(changing) as bystander:
        first.sign_in(account)
        other.sign_in(second)
        bystander.sign_in(changing.steady)
        changing.gateway.revoke_credentials(account.zone)
        since = time.monotonic()
        assert_ended_soon(first, since, "credential_revoked")
        assert_ended_soon(other, since, "credential_revoked")
        assert topics_seen(bystander, 3) == {"orders"}
    assert not signs_in()


def test_a_graceful_stop_lets_answers_arrive_and_loses_nothing(changing: Changing, world: World) -> None:
    leader = world.kafka.leader(changing.topic, 0)
    with Connection(changing, leader) as waiting, Writer(changing.steady, "orders", "stop") as writer:
        waiting.sign_in(changing.steady)
        wait_until(lambda: len(writer.acknowledged) > 50, "a producer at work", 20)
        waiting.send(wire.fetch(3, "orders", 0, 2**40, 1000))
        changing.gateway.terminate()
        assert wire.text("orders") in waiting.receive(3)
        assert waiting.is_ended()
        assert changing.gateway.wait_stopped() == 0
        reasons = [entry["reason"] for entry in changing.gateway.log() if entry.get("event") == "connection_end"]
        assert "shutdown" in reasons
        assert "internal_error" not in reasons
        before = len(writer.acknowledged)
        changing.gateway.start()
        wait_until(lambda: len(writer.acknowledged) > before + 50, "a producer at work again", 20)
    assert set(writer.acknowledged) <= set(read_back(world, changing.topic, "stop"))
