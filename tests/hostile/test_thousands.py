"""Connections by the thousand: idle ones, and those that are one too many.

The last of these files: what so many connections leave free in the gateway's heap would hide what others take.
"""

import socket

import pytest

from tests.hostile.attacker import Attacker, many
from tests.hostile.bystander import Bystander
from tests.hostile.conftest import PATIENT
from tests.hostile.fort import MIB, Fort
from tests.kafka.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.alone]

IDLE = 10_000
SPARE = 100
"""Places that are left for others, and descriptors for the test itself."""

ADDRESSES = 100
IDLE_BYTES = 8 * 1024
"""Of an idle connection that has not signed in: the session and its mechanisms, the event loop's handle."""

SIGNED_IN = 1_000
SIGNED_IN_BYTES = 32 * 1024
"""With its broker connection."""

FLOOD = 1_000
OPEN_SECONDS = 20.0


def test_ten_thousand_idle_connections(patient: Fort, beside_patient: Bystander) -> None:
    count = min(IDLE, patient.clients_that_fit() - SPARE)
    assert count >= 1000, "the limit of open files is too low for this test: raise it (ulimit -n)"
    opened = patient.gateway.metric("zonegate_connections_opened_total")
    address = (patient.gateway.host, patient.gateway.port)
    clients: list[socket.socket] = []
    try:
        with patient.memory_grows_less_than(count * IDLE_BYTES), beside_patient.is_served():
            for number in range(count):
                source = f"127.1.{number % ADDRESSES}.1"
                clients.append(socket.create_connection(address, OPEN_SECONDS, (source, 0)))
            wait_until(
                lambda: patient.gateway.metric("zonegate_connections_opened_total") - opened >= count,
                f"{count} accepted connections",
                OPEN_SECONDS,
            )
            with Attacker(patient, "127.0.0.3").sign_in(patient.steady):
                pass
    finally:
        for client in clients:
            client.close()


def test_a_thousand_idle_connections_that_have_signed_in(patient: Fort, beside_patient: Bystander) -> None:
    with (
        patient.memory_grows_less_than(SIGNED_IN * SIGNED_IN_BYTES),
        beside_patient.is_served(),
        many(lambda n: Attacker(patient, f"127.2.{n % 10}.1").sign_in(patient.mallory), SIGNED_IN),
    ):
        wait_until(
            lambda: patient.gateway.metric("zonegate_connections", zone=patient.mallory.zone) == SIGNED_IN,
            f"{SIGNED_IN} connections of the zone",
            OPEN_SECONDS,
        )


def test_a_flood_from_one_address(patient: Fort, beside_patient: Bystander) -> None:
    before = refused_now(patient)
    lines = len(refusals(patient))
    address = (patient.gateway.host, patient.gateway.port)
    flood = []
    with patient.memory_grows_less_than(32 * MIB), beside_patient.is_served():
        for _ in range(FLOOD):
            flood.append(socket.create_connection(address, OPEN_SECONDS, ("127.3.0.1", 0)))
        refused = FLOOD - PATIENT["connections_per_address"]
        wait_until(lambda: refused_now(patient) - before >= refused, "connections turned away", OPEN_SECONDS)
        with Attacker(patient, "127.3.0.2").sign_in(patient.steady):
            pass
    assert refused_now(patient) - before == refused
    assert 1 <= len(refusals(patient)) - lines <= 4, "the first of each reason, and counts"
    for client in flood:
        client.close()


def refused_now(fort: Fort) -> int:
    ends = fort.ends()
    return ends["address_limit"] + ends["address_rate"]


def refusals(fort: Fort) -> list[str]:
    events = (str(entry.get("event")) for entry in fort.gateway.log())
    return [event for event in events if event.startswith("connection") and event.endswith("refused")]
