"""Three gateways that share a state topic, two of them with a console: what an edit through one is to all."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.canary import Canaries
from tests.integration import wire
from tests.integration.clients.librdkafka import Librdkafka
from tests.integration.control_plane import API_KEY, Fleet, Node
from tests.integration.gateway import Manifest, manifest
from tests.integration.wire import Connection
from tests.integration.workload import Writer, read_back
from tests.integration.world import MARKER, Account, World
from tests.kafka.waiting import wait_until

pytestmark = pytest.mark.kafka

DRIFTING = f"{MARKER}drifting"

SOON_SECONDS = 10.0
"""An edit takes milliseconds (docs/benchmarks.md); a machine that tests keep busy may take longer."""

NOTICE_SECONDS = 15.0
"""A gateway that has died is counted for ten seconds more."""


class Shared(Fleet):
    """With a zone that changes, and one that doesn't."""

    def __init__(self, world: World, canaries: Canaries) -> None:
        super().__init__(world.kafka, canaries, "serve", "serve", "gateway")
        self.topic, self.other = world.topic().backing, world.topic().backing
        self.rows = [("kept", self.topic, "WRITE"), ("removed", self.other, "READ")]
        self.changing: Account
        self.steady: Account

    def begin(self) -> None:
        self.changing = self.share("changing-fleet", "changer", self.rows)
        self.steady = self.share("steady-fleet", "steady", [("orders", self.topic, "WRITE")])

    def edited(self, *rows: tuple[str, str, str]) -> Manifest:
        return manifest(self.changing.zone, self.changing.user, rows)

    def edit(self, *rows: tuple[str, str, str]) -> float:
        """When it was sent."""
        since = time.monotonic()
        self.api.put(self.edited(*rows)).raise_for_status()
        return since

    def restore(self) -> None:
        self.edit(*self.rows)
        self.api.wait_for(self.changing.zone, "READY")


@pytest.fixture(scope="module")
def fleet(world: World, canaries: Canaries) -> Iterator[Shared]:
    with Shared(world, canaries) as fleet:
        fleet.begin()
        yield fleet


def topics_seen(connection: Connection, *names: str) -> set[str]:
    connection.send(wire.metadata(3))
    seen = connection.receive(3)
    return {name for name in names if wire.text(name) in seen}


def signed_in(stack: ExitStack, node: Node, account: Account) -> Connection:
    connection = stack.enter_context(Connection(node))
    connection.sign_in(account)
    return connection


def test_an_edit_is_in_force_on_every_gateway_soon_and_only_its_zone_notices(fleet: Shared) -> None:
    with ExitStack() as stack:
        connections = [signed_in(stack, node, fleet.changing) for node in fleet.nodes]
        since = fleet.edit(*fleet.rows, ("added", fleet.other, "READ"))
        for connection in connections:
            wait_until(lambda at=connection: "added" in topics_seen(at, "added"), "the new alias", SOON_SECONDS)  # type: ignore[misc]
        assert time.monotonic() - since < SOON_SECONDS
        fleet.api.wait_for(fleet.changing.zone, "READY")

        bystanders = [signed_in(stack, node, fleet.steady) for node in fleet.nodes]
        since = fleet.edit(("renamed", fleet.topic, "WRITE"))
        for connection in connections:
            assert connection.is_ended()
        assert time.monotonic() - since < SOON_SECONDS
        assert [connection.end()["reason"] for connection in connections] == ["zone_changed"] * 3
        for bystander in bystanders:
            assert topics_seen(bystander, "orders", "renamed") == {"orders"}
    fleet.restore()


def test_lowered_permission_and_limits_take_effect_on_every_gateway(fleet: Shared) -> None:
    with ExitStack() as stack:
        writers = [signed_in(stack, node, fleet.changing) for node in fleet.nodes]
        since = fleet.edit(("kept", fleet.topic, "READ"), fleet.rows[1])
        assert all(writer.is_ended() for writer in writers), "whoever loses WRITE signs in anew"
        assert time.monotonic() - since < SOON_SECONDS
    limited = dict(fleet.edited(*fleet.rows))
    limited["spec"] = {**limited["spec"], "trafficControlPolicies": {"maxProduceRate": 12345}}  # type: ignore[dict-item]
    assert fleet.api.put(limited).json()["upsertResult"] == "Updated"
    for node in fleet.nodes:
        wait_until(
            lambda at=node: (
                at.gateway.metric("zonegate_traffic_limit_bytes_per_second", zone=fleet.changing.zone) == 12345
            ),  # type: ignore[misc]
            "the limit in force",
            SOON_SECONDS,
        )
    fleet.restore()


def test_a_moved_service_account_ends_the_sessions_of_the_old_one(fleet: Shared) -> None:
    with ExitStack() as stack:
        connections = [signed_in(stack, node, fleet.changing) for node in fleet.nodes]
        moved = manifest(fleet.changing.zone, "newcomer", fleet.rows)
        fleet.api.put(moved).raise_for_status()
        assert all(connection.is_ended() for connection in connections)
    fleet.restore()


def test_a_revoked_password_ends_its_sessions_on_every_gateway(fleet: Shared) -> None:
    second = fleet.api.new_password(fleet.changing.zone)
    account = Account(fleet.changing.bootstrap, fleet.changing.zone, fleet.changing.user, second)
    (newest,) = [
        each
        for each in fleet.api.http.get(f"/public/partner-zone/v2/{account.zone}/credentials").json()
        if each["id"] not in _used_before(fleet)
    ]
    with ExitStack() as stack:
        for node in fleet.nodes:
            wait_until(lambda at=node: _accepts(at, account), "the password in force", SOON_SECONDS)  # type: ignore[misc]
        connections = [signed_in(stack, node, account) for node in fleet.nodes]
        others = [signed_in(stack, node, fleet.changing) for node in fleet.nodes]
        since = time.monotonic()
        path = f"/public/partner-zone/v2/{account.zone}/credentials/{newest['id']}"
        fleet.api.http.delete(path).raise_for_status()
        assert all(connection.is_ended() for connection in connections)
        assert time.monotonic() - since < SOON_SECONDS
        assert all(topics_seen(other, "kept") for other in others)
    assert not any(_accepts(node, account) for node in fleet.nodes)


def _used_before(fleet: Shared) -> set[str]:
    """The credential that the zone's account signs in with all the time: the one made first."""
    found = fleet.api.http.get(f"/public/partner-zone/v2/{fleet.changing.zone}/credentials").json()
    return {found[0]["id"]}


def _accepts(node: Node, account: Account) -> bool:
    with Connection(node) as connection:
        connection.send(wire.handshake(1))
        connection.receive(1)
        connection.send(wire.authenticate(2, account.user, account.password))
        return connection.receive(2)[:2] == b"\0\0"


def test_a_deleted_zone_is_gone_everywhere(fleet: Shared) -> None:
    account = fleet.share("doomed-fleet", "doomed", [("orders", fleet.topic, "READ")])
    with ExitStack() as stack:
        connections = [signed_in(stack, node, account) for node in fleet.nodes]
        since = time.monotonic()
        assert fleet.api.delete("doomed-fleet").status_code == httpx.codes.OK
        assert all(connection.is_ended() for connection in connections)
        assert time.monotonic() - since < SOON_SECONDS
    assert not any(_accepts(node, account) for node in fleet.nodes)
    assert fleet.api.delete("doomed-fleet").status_code == httpx.codes.NOT_FOUND


def test_a_refused_edit_changes_nothing_anywhere(fleet: Shared) -> None:
    before = fleet.api.zone(fleet.changing.zone)
    with ExitStack() as stack:
        connections = [signed_in(stack, node, fleet.changing) for node in fleet.nodes]
        taken = manifest(fleet.changing.zone, fleet.steady.user, fleet.rows)
        answer = fleet.api.put(taken)
        assert answer.status_code == httpx.codes.CONFLICT
        assert f"{fleet.steady.user!r} belongs to zone {fleet.steady.zone!r} already" in answer.json()["cause"]
        internal = fleet.edited(("kept", "__consumer_offsets", "READ"))
        assert fleet.api.put(internal).status_code == httpx.codes.BAD_REQUEST
        assert all(topics_seen(each, "kept", "removed") == {"kept", "removed"} for each in connections)
    for node in fleet.nodes[:2]:
        assert node.api.zone(fleet.changing.zone) == before


def test_of_two_edits_at_once_one_wins(fleet: Shared) -> None:
    """At two consoles. Each round one of three things happens: the first wins, the second does, or the second had
    heard of the first; never do both win on the same version."""
    conflicts = 0
    for number in range(20):
        before = fleet.nodes[0].api.http.get(f"/public/console/v2/partner-zone/{fleet.changing.zone}")
        etag = before.headers["etag"]
        answers = asyncio.run(_put_at_both(fleet, number, etag))
        codes = sorted(answer.status_code for answer in answers)
        assert codes in ([200, 409], [200, 412]), [answer.text for answer in answers]
        conflicts += codes[1] == httpx.codes.CONFLICT
        winner = next(answer for answer in answers if answer.status_code == httpx.codes.OK)
        for node in fleet.nodes[:2]:
            wait_until(
                lambda at=node, won=winner: at.api.zone(fleet.changing.zone)["spec"] == won.json()["resource"]["spec"],  # type: ignore[misc]
                "the winner's edit everywhere",
                SOON_SECONDS,
            )
    assert conflicts, "twenty times the second console had heard of the first one's edit"
    fleet.restore()


async def _put_at_both(fleet: Shared, number: int, etag: str) -> list[httpx.Response]:
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {API_KEY}", "if-match": etag}) as http:
        edits = []
        for node in fleet.nodes[:2]:
            edit = dict(fleet.edited(*fleet.rows))
            edit["spec"] = {**edit["spec"], "description": f"{number} at {node.api.url}"}  # type: ignore[dict-item]
            edits.append(http.put(f"{node.api.url}/public/console/v2/partner-zone", json=edit))
        return await asyncio.gather(*edits)


def test_a_topic_that_is_deleted_fails_its_zone_and_comes_back(fleet: Shared, world: World) -> None:
    world.kafka.create_topic(DRIFTING)
    fleet.share("drifting-fleet", "drifter", [("orders", DRIFTING, "READ")])
    world.kafka.run_tool("kafka-topics", ["--bootstrap-server", world.kafka.bootstrap, "--delete", "--topic", DRIFTING])
    reason = fleet.api.wait_for("drifting-fleet", "FAILED")
    assert reason == f"backing topic {DRIFTING!r} does not exist"
    assert fleet.api.status(fleet.steady.zone) == ("READY", None)
    world.kafka.create_topic(DRIFTING)
    world.watch_ids()
    fleet.api.wait_for("drifting-fleet", "READY")
    fleet.api.delete("drifting-fleet").raise_for_status()


def test_a_killed_gateway_catches_up_before_it_takes_connections(fleet: Shared) -> None:
    node = fleet.nodes[2]
    wait_until(lambda: {each["lag"] for each in fleet.api.gateways()} == {0}, "no gateway behind", SOON_SECONDS)
    node.gateway.kill()
    fleet.edit(*fleet.rows, ("meanwhile", fleet.other, "READ"))
    assert fleet.api.status(fleet.changing.zone)[0] == "PENDING", "it is still counted, and has not told of the edit"
    node.gateway.launch()
    seen: list[set[str]] = []

    def is_connected() -> bool:
        try:
            connection = Connection(node)
        except ConnectionRefusedError:
            return False
        with connection:
            connection.sign_in(fleet.changing)
            seen.append(topics_seen(connection, "kept", "meanwhile"))
        return True

    wait_until(is_connected, "a first connection", 30)
    assert seen == [{"kept", "meanwhile"}]
    node.gateway.wait_until_up()
    fleet.api.wait_for(fleet.changing.zone, "READY")
    wait_until(lambda: len(fleet.api.gateways()) == 3, "the dead one forgotten", NOTICE_SECONDS)
    fleet.restore()


def test_partners_work_at_any_gateway_while_edits_come(fleet: Shared, world: World) -> None:
    accounts = [
        Account(node.gateway.bootstrap, fleet.steady.zone, fleet.steady.user, fleet.steady.password)
        for node in fleet.nodes
    ]
    with ExitStack() as stack:
        writers = [
            stack.enter_context(Writer(account, "orders", f"fleet-{number}")) for number, account in enumerate(accounts)
        ]
        for number in range(20):
            fleet.edit(*fleet.rows, (f"added-{number}", fleet.other, "READ"))
        for writer in writers:
            wait_until(lambda at=writer: len(at.acknowledged) > 100, "a producer at work", 20)  # type: ignore[misc]
    for number, writer in enumerate(writers):
        assert set(writer.acknowledged) <= set(read_back(world, fleet.topic, f"fleet-{number}"))
    assert Librdkafka(accounts[2]).topics() == {"orders": 2}
    fleet.restore()
