"""`zonegate get`."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from controlplane.commands.output import age, short_duration
from tests.unit.controlplane.commands.conftest import zone
from tests.unit.controlplane.commands.fake_api import FakeApi
from tests.unit.controlplane.test_cli import zonegate


@pytest.fixture
def stored(api: FakeApi) -> FakeApi:
    ago = datetime.now(UTC) - timedelta(hours=3)
    for name, status in (("external-partner-zone", "READY"), ("b", "FAILED")):
        limits = {"maxProduceRate": 1048576}
        api.store(zone(name, f"user-{name}", displayName="A [bold]\nzone", trafficControlPolicies=limits), status)
        api.zones[name]["metadata"]["updatedAt"] = ago.isoformat()
    return api


TABLE = (
    "NAME                   STATUS  TOPICS  CLUSTER   SERVICE ACCOUNT             UPDATED\n"
    "external-partner-zone  READY   1       partner1  user-external-partner-zone  3h\n"
    "b                      FAILED  1       partner1  user-b                      3h\n"
)


@pytest.mark.parametrize("kind", ["PartnerZone", "partnerzone", "PARTNERZONE", "pz"])
def test_a_plain_table_when_piped(stored: FakeApi, kind: str) -> None:
    result = zonegate("get", kind, "-o", "table")

    assert (result.exit_code, result.stdout, result.stderr) == (0, TABLE, "")


def test_more_columns_and_nothing_cut_off(stored: FakeApi) -> None:
    shown = zonegate("get", "pz", "-o", "wide").stdout.splitlines()

    heads = re.split(" {2,}", shown[0])
    assert heads[5:] == ["UPDATED", "ID", "DISPLAY NAME", "PRODUCE/S", "CONSUME/S", "COMMITS/MIN", "FAILED REASON"]
    assert shown[1].endswith("id-of-external-partner-zone  A [bold]�zone  1048576    -          -            -")
    assert shown[2].endswith("1048576    -          -            topic kafka-topic-a does not exist")


def test_a_table_on_a_terminal_for_a_list(stored: FakeApi, terminal: None) -> None:
    shown = zonegate("get", "PartnerZone").stdout

    assert "\x1b[32mREADY" in shown
    assert "\x1b[31mFAILED" in shown
    assert "1mNAME" in shown


def test_yaml_for_one_on_a_terminal_and_for_all_that_is_piped(stored: FakeApi, terminal: None) -> None:
    one = zonegate("get", "PartnerZone", "b").stdout

    assert one.startswith("---\napiVersion: v2\nkind: PartnerZone\nmetadata:\n  name: b\n")
    assert "\x1b" not in one


def test_yaml_is_the_default_when_piped(stored: FakeApi) -> None:
    shown = zonegate("get", "PartnerZone").stdout

    assert shown.count("---\n") == 2
    assert list(yaml.safe_load_all(shown)) == json.loads(zonegate("get", "PartnerZone", "-o", "json").stdout)
    first = next(iter(yaml.safe_load_all(shown)))
    assert list(first) == ["apiVersion", "kind", "metadata", "spec"], "the server's order"
    assert list(first["spec"])[:2] == ["cluster", "displayName"]


def test_json(stored: FakeApi) -> None:
    assert [each["metadata"]["name"] for each in json.loads(zonegate("get", "pz", "-o", "json").stdout)] == [
        "external-partner-zone",
        "b",
    ]
    one = json.loads(zonegate("get", "pz", "b", "-o", "json").stdout)
    assert (one["metadata"]["name"], one["metadata"]["failedReason"]) == ("b", stored.failed_reason)


def test_names(stored: FakeApi) -> None:
    assert zonegate("get", "pz", "-o", "name").stdout == "PartnerZone/external-partner-zone\nPartnerZone/b\n"
    assert zonegate("get", "pz", "b", "-o", "name").stdout == "PartnerZone/b\n"


def test_a_zone_that_is_not_there(api: FakeApi) -> None:
    result = zonegate("get", "PartnerZone", "x")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "zonegate: No partner-zone with this technical id exists\n"


def test_no_zones(api: FakeApi) -> None:
    result = zonegate("get", "pz", "-o", "table")

    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "There are no zones.\n")
    assert zonegate("get", "pz", "-o", "json").stdout == "[]\n"
    assert zonegate("get", "pz", "-o", "yaml").stdout == ""


def test_a_kind_that_is_not_known(api: FakeApi) -> None:
    for arguments in (["get", "Topic"], ["delete", "Topic", "x"], ["template", "Topic"]):
        result = zonegate(*arguments)
        assert (result.exit_code, result.stdout, api.requests) == (2, "", [])
        assert result.stderr == "zonegate: 'Topic' is not known here; the only kind is PartnerZone\n"


def test_what_a_server_leaves_out(api: FakeApi) -> None:
    stored = api.store(zone())
    stored["metadata"] |= {"updatedAt": None}
    stored["spec"] = {"cluster": "c", "trafficControlPolicies": None, "authenticationMode": {"serviceAccount": "u"}}

    assert zonegate("get", "pz", "-o", "table").stdout.splitlines()[1].split() == [
        "external-partner-zone",
        "READY",
        "0",
        "c",
        "u",
        "-",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"), [(-3, "0s"), (59.9, "59s"), (60, "1m"), (3600, "1h"), (86_399, "23h"), (86_400, "1d")]
)
def test_durations(seconds: float, text: str) -> None:
    assert short_duration(seconds) == text


def test_ages() -> None:
    now = datetime(2025, 1, 27, 12, 56, tzinfo=UTC)

    assert age("2025-01-27T12:55:05.387368Z", now) == "54s"
    assert (age(None), age("recently")) == ("-", "recently")
