"""`zonegate credentials` on the API; on files it is tested in `test_credential_commands`."""

import json

import httpx
import pytest

from controlplane.commands.connection import KEY_VARIABLES
from controlplane.credential_commands import DEFAULT_EXPIRES_IN
from controlplane.credential_file import DEFAULT_VALIDITY, load_credentials
from controlplane.times import parse_duration
from tests.unit.controlplane.commands.conftest import zone
from tests.unit.controlplane.commands.fake_api import FakeApi
from tests.unit.controlplane.conftest import WriteFile
from tests.unit.controlplane.test_cli import zonegate

ZONE = "external-partner-zone"


def test_the_password_alone_goes_to_standard_output(api: FakeApi) -> None:
    api.store(zone())
    result = zonegate("credentials", "generate", ZONE)

    assert (result.exit_code, result.stdout) == (0, "s3cret\n")
    assert result.stderr == (
        f"Credential new-0 of zone {ZONE}; user name: johndoe; expires: 2026-04-27T12:55:05Z.\n"
        "The password is shown this once; zonegate keeps only its hash.\n"
    )
    assert api.calls == [f"POST /api/public/partner-zone/v2/{ZONE}/credentials?expiresIn=90d"]


def test_how_long_it_is_valid(api: FakeApi) -> None:
    api.store(zone())

    assert "expires: never." in zonegate("credentials", "generate", ZONE, "--expires-in", "never").stderr
    assert api.calls[0].endswith("?expiresIn=never")
    result = zonegate("credentials", "generate", ZONE, "--expires-in", "soon")
    assert (result.exit_code, len(api.calls)) == (2, 1)
    assert result.stderr.startswith("zonegate: --expires-in: 'soon' is not a duration;")
    assert parse_duration(DEFAULT_EXPIRES_IN) == DEFAULT_VALIDITY


def test_a_zone_that_is_not_there(api: FakeApi) -> None:
    for command in ("generate", "list"):
        result = zonegate("credentials", command, "nobody")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == "zonegate: No partner-zone with this technical id exists\n"
    result = zonegate("credentials", "generate", "No Zone")
    assert (result.exit_code, len(api.calls)) == (2, 2)


def test_a_password_that_is_not_told(api: FakeApi) -> None:
    api.instead = lambda request: httpx.Response(201, json={"id": "a"})
    result = zonegate("credentials", "generate", ZONE)

    assert (result.exit_code, result.stdout) == (1, "")
    assert "did not tell its password" in result.stderr


def test_the_list(api: FakeApi) -> None:
    api.store(zone())
    api.credential("a", ZONE, lastUsed="2026-01-28T12:55:05Z")
    api.credential("b", "gone", expires="2026-01-28T12:55:05Z", state="expired")

    assert zonegate("credentials", "list").stdout == (
        "ID  ZONE                   CREATED               EXPIRES               LAST USED             STATE\n"
        "a   external-partner-zone  2026-01-27T12:55:05Z  never                 2026-01-28T12:55:05Z  valid\n"
        "b   gone                   2026-01-27T12:55:05Z  2026-01-28T12:55:05Z  -                     expired\n"
    )
    assert json.loads(zonegate("credentials", "list", ZONE, "-o", "json").stdout) == [
        {
            "id": "a",
            "zone": ZONE,
            "created": "2026-01-27T12:55:05Z",
            "expires": None,
            "last_used": "2026-01-28T12:55:05Z",
            "state": "valid",
        }
    ], "as the list of a file has it"
    assert api.calls == [
        "GET /api/public/zonegate/v1/credentials",
        f"GET /api/public/partner-zone/v2/{ZONE}/credentials",
    ]


@pytest.mark.usefixtures("terminal")
def test_the_list_on_a_terminal(api: FakeApi) -> None:
    api.credential("a", ZONE)

    assert "\x1b[32mvalid" in zonegate("credentials", "list").stdout


def test_revoking_each_for_itself(api: FakeApi) -> None:
    api.credential("a", ZONE)
    api.credential("c", ZONE)
    result = zonegate("credentials", "revoke", "a", "b", "c")

    assert (result.exit_code, result.stdout, api.credentials) == (1, "", {})
    assert result.stderr == (
        "Revoked credential a.\n"
        "Could not revoke credential b: there is no credential b\n"
        "Revoked credential c.\n"
        "Running gateways end the connections within a second.\n"
    )
    assert zonegate("credentials", "revoke", "b").stderr == "Could not revoke credential b: there is no credential b\n"


def test_a_file_is_no_api(api: FakeApi, write: WriteFile, monkeypatch: pytest.MonkeyPatch) -> None:
    write("zonegate.yaml", "cluster: {bootstrap.servers: 'b:1'}\ncredentials_file: c.yaml\n")
    zonegate("credentials", "generate", "z", "--credentials-file", "c.yaml")
    zonegate("credentials", "generate", "z", "--config", "zonegate.yaml")
    monkeypatch.setenv("ZONEGATE_CONFIG", "zonegate.yaml")
    for name in KEY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    zonegate("credentials", "generate", "z")

    found = load_credentials(write("other", "").parent / "c.yaml")
    assert (len(found), api.requests) == (3, [])
    zonegate("credentials", "revoke", found[0].id)
    assert len(zonegate("credentials", "list").stdout.splitlines()) == 3
    assert api.requests == []


def test_where_there_is_a_key_the_settings_of_a_server_are_no_reason_not_to_use_it(
    api: FakeApi, write: WriteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the container of a gateway, which has both."""
    write("zonegate.yaml", "cluster: {bootstrap.servers: 'b:1'}\ncredentials_file: c.yaml\n")
    monkeypatch.setenv("ZONEGATE_CONFIG", "zonegate.yaml")
    zonegate("credentials", "list")
    assert len(api.requests) == 1
