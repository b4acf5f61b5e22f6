"""The audit log of the real process: a session's story, floods, edits, rotation, and no secret anywhere."""

import json
import stat
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.canary import Canaries
from tests.integration import wire
from tests.integration.gateway import manifest
from tests.integration.wire import Connection
from tests.integration.world import Account, Front, World
from tests.kafka.waiting import wait_until

pytestmark = pytest.mark.kafka

SOON_SECONDS = 5.0
FLOOD = 2_000
ROUNDS = 150
WRONG_PASSWORD = "hunter2-marker"

Line = dict[str, Any]


class Audited:
    """A gateway of its own with one zone that may read one alias."""

    def __init__(self, world: World, canaries: Canaries) -> None:
        self.front = Front(world.kafka, canaries)
        self.gateway = self.front.gateway
        self.canaries = canaries
        self.rows = [("reading", world.reading.backing, "READ")]
        self.account = self.front.add_zone("audited-zone", "auditee", self.rows)

    def write_to(self, output: str) -> None:
        """Before it is started."""
        settings = self.gateway.folder / "zonegate.yaml"
        data = yaml.safe_load(settings.read_text(encoding="utf-8"))
        settings.write_text(yaml.safe_dump({**data, "audit": {"output": output}}), encoding="utf-8")

    def lines(self, wanted: Callable[[Line], bool], count: int) -> list[Line]:
        """The lines that are wanted, once there are so many."""
        found: list[Line] = []

        def are_there() -> bool:
            found[:] = [line for line in self.gateway.audit() if wanted(line)]
            return len(found) >= count

        wait_until(are_there, f"{count} audit lines", SOON_SECONDS)
        assert len(found) == count, found
        return found

    def lines_of(self, connection: Connection, count: int) -> list[Line]:
        port = int(connection.peer.rpartition(":")[2])
        return self.lines(lambda line: line.get("peer_port") == port, count)


@pytest.fixture(scope="module")
def audited(world: World, canaries: Canaries) -> Iterator[Audited]:
    audited = Audited(world, canaries)
    with audited.front:
        yield audited


def refused(connection: Connection, correlation_id: int, topic: str) -> None:
    connection.send(wire.metadata_of(correlation_id, topic, 1))
    connection.receive(correlation_id)


def fails(place: Audited, user: str, password: str) -> Connection:
    with Connection(place) as connection:
        connection.send(wire.handshake(1))
        connection.receive(1)
        connection.send(wire.authenticate(2, user, password))
        assert connection.receive(2)[:2] == b"\0\x3a"
        assert connection.is_ended()
    return connection


def test_a_sessions_story(audited: Audited) -> None:
    account = audited.account
    with Connection(audited) as connection:
        connection.sign_in(account)
        refused(connection, 3, "out-of-the-zone")
    signed_in, refusal, ended = audited.lines_of(connection, 3)
    who = {"zone": account.zone, "user": account.user, "mechanism": "PLAIN"}
    for line in (signed_in, refusal, ended):
        assert line["version"] == 1
        assert line["count"] == 1
        assert line["connection"] == signed_in["connection"]
        assert line["credential_id"] == signed_in["credential_id"]
        assert f"{line['peer_address']}:{line['peer_port']}" == connection.peer
        assert {name: line[name] for name in who} == who
    assert (signed_in["event"], signed_in["outcome"]) == ("authentication", "success")
    assert (refusal["event"], refusal["api"], refusal["alias"]) == ("refusal", "metadata", "out-of-the-zone")
    assert (refusal["operation"], refusal["error"]) == ("DESCRIBE", "topic_authorization_failed")
    assert (ended["event"], ended["reason"], ended["requests"]) == ("connection", "client_closed", 1)
    assert signed_in["time"] <= refusal["time"] <= ended["time"]
    logged = connection.end()
    assert (logged["bytes_in"], logged["bytes_out"]) == (ended["bytes_in"], ended["bytes_out"])


def test_failed_sign_ins(audited: Audited) -> None:
    failed, ended = audited.lines_of(fails(audited, audited.account.user, WRONG_PASSWORD), 2)
    assert (failed["event"], failed["outcome"], failed["user"]) == ("authentication", "failure", audited.account.user)
    assert failed["reason"] == "invalid_credentials"
    assert (ended["event"], ended["reason"]) == ("connection", "authentication_failed")
    (swapped,) = audited.lines_of(fails(audited, WRONG_PASSWORD, audited.account.user), 1)
    assert "user" not in swapped
    assert swapped["user_tag"]


def test_a_flood_of_refusals_makes_few_lines_with_exact_counts(audited: Audited) -> None:
    api = {"zone": audited.account.zone, "api": "metadata"}
    before = audited.gateway.metric("zonegate_refusals_total", **api)
    with Connection(audited) as connection:
        connection.sign_in(audited.account)
        numbers = range(3, 3 + FLOOD)
        flood = b"".join(wire.metadata_of(number, "flooded", 1) for number in numbers)
        sender = threading.Thread(target=connection.send, args=(flood,))
        sender.start()
        for number in numbers:
            connection.receive(number)
        sender.join()
    assert audited.gateway.metric("zonegate_refusals_total", **api) - before == FLOOD

    def counts() -> list[int]:
        return [line["count"] for line in audited.gateway.audit() if line.get("alias") == "flooded"]

    assert counts()[0] == 1
    # the rest is told when ten seconds have passed, though the flood has stopped
    wait_until(lambda: sum(counts()) == FLOOD, "the sum of all counts", 15.0)
    assert len(counts()) <= 4


def test_edits_leave_lines(audited: Audited) -> None:
    zone, account = audited.account.zone, audited.account

    def changes(event: str, count: int) -> list[Line]:
        return audited.lines(lambda line: line["event"] == event and line["zone"] == zone, count)

    with Connection(audited) as connection:
        connection.sign_in(account)
        rows = [("another", audited.rows[0][1], "READ")]
        audited.gateway.write_zone(manifest(zone, account.user, rows))
        assert connection.is_ended()
    (change,) = changes("zone_change", 1)
    assert (change["change"], change["fields"], change["user"]) == ("changed", ["aliases"], account.user)
    assert (change["aliases_added"], change["aliases_removed"]) == (["another"], ["reading"])
    assert change["sessions_ended"] == 1

    password = audited.gateway.new_password(zone)
    (added,) = changes("credential_change", 1)
    assert (added["change"], added["sessions_ended"]) == ("added", 0)
    with Connection(audited) as first, Connection(audited) as second:
        first.sign_in(account)
        second.sign_in(Account(account.bootstrap, zone, account.user, password))
        audited.gateway.revoke_credentials(zone)
        assert first.is_ended()
        assert second.is_ended()
    removed = changes("credential_change", 3)[1:]
    assert [(line["change"], line["sessions_ended"]) for line in removed] == [("removed", 1)] * 2
    assert added["credential_id"] in {line["credential_id"] for line in removed}
    reasons = audited.lines(lambda line: line.get("reason") == "credential_revoked", 2)
    assert {line["credential_id"] for line in reasons} == {line["credential_id"] for line in removed}


def test_no_secret_is_anywhere(audited: Audited) -> None:
    fails(audited, audited.account.user, WRONG_PASSWORD)
    fails(audited, WRONG_PASSWORD, audited.account.password)
    gateway = audited.gateway
    assert gateway._process is not None
    secrets = (WRONG_PASSWORD, audited.account.password, "sha256:")
    places = {
        "log": gateway.log_text(),
        "audit": gateway.audit_file.read_text(),
        "metrics": gateway.metrics_text(),
        "command line": Path(f"/proc/{gateway._process.pid}/cmdline").read_bytes().decode(),
    }
    assert all(places.values())
    assert [(place, secret) for place, text in places.items() for secret in secrets if secret in text] == []


def test_rotation_by_renaming_loses_no_line(world: World, canaries: Canaries) -> None:
    audited = Audited(world, canaries)
    audited.write_to("./logs/audit.log")
    folder = audited.gateway.folder / "logs"
    folder.mkdir()
    stop = threading.Event()
    rotated: list[Path] = []

    def rotate() -> None:
        """As often as there is something new."""
        file = folder / "audit.log"
        while not stop.wait(0.05):
            if file.exists() and file.stat().st_size:
                rotated.append(file.rename(folder / f"audit.log.{len(rotated)}"))

    with audited.front:
        rotator = threading.Thread(target=rotate)
        rotator.start()
        for number in range(ROUNDS):
            with Connection(audited) as connection:
                connection.sign_in(audited.account)
                refused(connection, 3, f"nowhere-{number}")
        stop.set()
        rotator.join()
        audited.gateway.stop()
        assert audited.gateway.audit() == [], "nothing goes to standard output"
        lines = _lines_of([*rotated, folder / "audit.log"])
    assert len(rotated) > 3
    assert Counter(line["event"] for line in lines if line["event"] != "refusal") == {
        "gateway_start": 1,
        "authentication": ROUNDS,
        "connection": ROUNDS,
        "gateway_stop": 1,
    }
    assert sum(line["count"] for line in lines if line["event"] == "refusal") == ROUNDS
    assert len({line["connection"] for line in lines if line["event"] == "connection"}) == ROUNDS
    assert lines[0]["event"] == "gateway_start"
    assert lines[-1]["event"] == "gateway_stop"
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)


def _lines_of(files: list[Path]) -> list[Line]:
    texts = []
    for file in files:
        if file.exists():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            texts.append(file.read_text())
            assert texts[-1].endswith("\n"), f"{file} ends within a line"
    return [json.loads(line) for line in "".join(texts).splitlines()]
