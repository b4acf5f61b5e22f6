"""`zonegate status`."""

import json
from typing import Any

import pytest
import yaml

from tests.unit.controlplane.commands.conftest import zone
from tests.unit.controlplane.commands.fake_api import GATEWAY, FakeApi
from tests.unit.controlplane.test_cli import zonegate

WELL = (
    "State: topic _zonegate, offset 41\n"
    "\n"
    "GATEWAY    WORKER  VERSION  SEEN  ZONES  CONNECTIONS  APPLIED  LAG  PROBLEMS\n"
    "gateway-1  -       0.1.0    1s    2      17           41       0    -\n"
    "\n"
)


def test_all_is_well(api: FakeApi) -> None:
    api.store(zone())
    result = zonegate("status")

    assert (result.exit_code, result.stdout, result.stderr) == (0, WELL + "1 zone: 1 READY\n", "")


def test_no_zones_are_well(api: FakeApi) -> None:
    assert zonegate("status").stdout == WELL + "0 zones\n"


def test_zones_that_are_failed(api: FakeApi) -> None:
    for number, status in enumerate(("READY", "READY", "PENDING", "FAILED")):
        api.store(zone(f"z{number}", f"u{number}"), status)
    result = zonegate("status")

    assert result.exit_code == 1
    assert result.stdout == (
        f"{WELL}4 zones: 2 READY, 1 PENDING, 1 FAILED\n\n"
        "ZONE  STATUS  REASON\n"
        "z3    FAILED  topic kafka-topic-a does not exist\n"
    )


@pytest.mark.parametrize(
    ("state", "gateways", "shown"),
    [
        ({}, [GATEWAY, GATEWAY | {"worker": 1, "lag": 3, "applied": 38, "problems": ["a", "b"]}], "3    a; b\n"),
        ({"problem": "the topic is out of reach"}, [GATEWAY], "State: the topic is out of reach\n"),
        ({}, [], "There is no live gateway.\n"),
    ],
)
def test_what_is_not_well(api: FakeApi, state: dict[str, Any], gateways: list[dict[str, Any]], shown: str) -> None:
    api.state |= state
    api.gateways = gateways
    result = zonegate("status")

    assert result.exit_code == 1
    assert shown in result.stdout


def test_pending_zones_are_no_failure(api: FakeApi) -> None:
    api.store(zone(), "PENDING")

    assert zonegate("status").exit_code == 0


def test_for_programs(api: FakeApi) -> None:
    api.store(zone(), "FAILED")
    result = zonegate("status", "-o", "json")

    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "well": False,
        "state": api.state,
        "gateways": [GATEWAY],
        "zones": {
            "count": 1,
            "statuses": {"FAILED": 1},
            "failed": [{"name": "external-partner-zone", "failedReason": "topic kafka-topic-a does not exist"}],
        },
    }
    assert yaml.safe_load(zonegate("status", "-o", "yaml").stdout) == json.loads(result.stdout)


@pytest.mark.usefixtures("terminal")
def test_colours_on_a_terminal(api: FakeApi) -> None:
    api.store(zone(), "FAILED")
    api.gateways = [GATEWAY | {"lag": 2, "problems": ["[bold]trouble\x1b[2J"]}]
    shown = zonegate("status").stdout

    assert "\x1b[33m2" in shown
    assert "\x1b[31m[bold]trouble�[2J" in shown
    assert "\x1b[31m1 FAILED\x1b[0m" in shown
