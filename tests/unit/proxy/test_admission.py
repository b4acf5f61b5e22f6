"""Tickets: counted once, given back once; turned-away connections in the log and in the metrics."""

import logging
from dataclasses import replace
from time import monotonic

import pytest

from proxy.accept import Door
from proxy.admission import SUMMARY_SECONDS, Admission
from proxy.audit import Audit, Origin
from proxy.close import CloseReason
from proxy.config import Limits
from proxy.metrics import GatewayMetrics
from proxy.node import Node
from tests.unit.proxy.playbook import Playbook
from tests.unit.proxy.transports import FakeTransport


def origin(address: str, port: int = 1) -> Origin:
    return Origin("c-1", address, port, "default", None, None, None)


def admission(**limits: int) -> tuple[Admission, GatewayMetrics]:
    metrics = GatewayMetrics()
    return Admission(replace(Limits(), **limits), metrics, Audit()), metrics


def test_a_ticket_is_given_back_once() -> None:
    door, _ = admission(connections_per_address=1)
    first = door.admit(origin("192.0.2.1", 1))
    assert first is not None
    assert door.admit(origin("192.0.2.1", 2)) is None
    first.leave()
    first.leave()
    second = door.admit(origin("192.0.2.1", 3))
    assert second is not None
    assert door.admit(origin("192.0.2.1", 4)) is None


def test_a_zone_s_place_is_given_back_with_the_ticket() -> None:
    door, _ = admission(connections_per_zone=1)
    first, second = (door.admit(origin("192.0.2.1")) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.enter_zone("partner")
    assert not second.enter_zone("partner")
    second.leave()
    first.leave()
    assert not first.enter_zone("partner"), "who has left doesn't come in again"
    third = door.admit(origin("192.0.2.1"))
    assert third is not None
    assert third.enter_zone("partner")


def test_of_a_flood_the_log_tells_the_first_and_then_counts(caplog: pytest.LogCaptureFixture) -> None:
    door, metrics = admission(connections=1)
    door.admit(origin("192.0.2.1", 1))
    began = monotonic()
    with caplog.at_level(logging.WARNING, "zonegate.connection"):
        for port in range(100):
            assert door.admit(origin("192.0.2.2", port)) is None
        assert [(r.__dict__["event"], r.__dict__["reason"], r.__dict__["peer"]) for r in caplog.records] == [
            ("connection_refused", "connection_limit", "192.0.2.2:0")
        ]
        caplog.clear()
        door.report(began + SUMMARY_SECONDS - 1)
        assert not caplog.records
        door.report(began + SUMMARY_SECONDS + 1)
        assert [(r.__dict__["event"], r.__dict__["count"]) for r in caplog.records] == [("connections_refused", 99)]
        caplog.clear()
        door.report(began + 3 * SUMMARY_SECONDS)
        assert not caplog.records, "nothing new"
        door.admit(origin("192.0.2.2", 100))
        assert [r.__dict__["peer"] for r in caplog.records] == ["192.0.2.2:100"], "the first of the next flood"
    assert metrics.connections_closed[CloseReason.CONNECTION_LIMIT] == 101
    assert metrics.connections_opened == 101


def test_a_connection_counts_from_the_door_to_its_end() -> None:
    with Playbook() as playbook:
        playbook.services.admission = Admission(replace(Limits(), connections=1), playbook.metrics, playbook.audit)

        def knocks(port: int) -> FakeTransport:
            client = FakeTransport(playbook.loop, ("client", port))
            door = Door(playbook.services, playbook.listener, Node("", 1))
            client.set_protocol(door)
            door.connection_made(client)
            return client

        first, second = knocks(1), knocks(2)
        assert (first.closed, second.closed) == (False, True)
        first.hang_up()
        playbook.loop.run_due()
        third = knocks(3)
        assert not third.closed
        assert playbook.metrics.connections_closed == {"connection_limit": 1, "client_closed": 1}


def test_a_zone_that_is_full_ends_the_connection_after_the_sign_in() -> None:
    with Playbook() as playbook:
        playbook.services.admission = Admission(
            replace(Limits(), connections_per_zone=1), playbook.metrics, playbook.audit
        )
        first, second = playbook.connects(), playbook.connects()
        for dialogue in (first, second):
            dialogue.session._ticket = playbook.services.admission.admit(origin("192.0.2.1"))
        first.signs_in()
        second.signs_in()
        second.expect_end(CloseReason.ZONE_LIMIT)
        assert first.ended == ""
        assert playbook.metrics.connections == {"partner": 1}
        first.client.hang_up()
        assert first.ended == CloseReason.CLIENT_CLOSED
        third = playbook.connects()
        third.session._ticket = playbook.services.admission.admit(origin("192.0.2.1"))
        third.signs_in()
        assert third.ended == ""
