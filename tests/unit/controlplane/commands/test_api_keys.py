"""`zonegate api-keys`."""

import json

import httpx

from tests.unit.controlplane.commands.fake_api import FakeApi
from tests.unit.controlplane.test_cli import zonegate


def test_the_key_alone_goes_to_standard_output(api: FakeApi) -> None:
    result = zonegate("api-keys", "create", "ci-pipeline")

    assert (result.exit_code, result.stdout) == (0, "t0ken\n")
    assert result.stderr == (
        "API key key-1, named ci-pipeline.\nThe key is shown this once; zonegate keeps only its hash.\n"
    )
    assert api.calls == ["POST /api/token/v1/admin_tokens"]
    assert json.loads(api.requests[0].content) == {"name": "ci-pipeline"}


def test_a_key_that_is_not_told(api: FakeApi) -> None:
    api.instead = lambda request: httpx.Response(200, json={"id": "a"})
    result = zonegate("api-keys", "create", "ci-pipeline")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "zonegate: the API made a key and did not tell it; revoke it, and try again\n"


def test_the_list(api: FakeApi) -> None:
    assert zonegate("api-keys", "list").stderr == "There are no API keys.\n"
    api.keys["a"] = {"id": "a", "name": "ci", "createdAt": "not long ago"}
    result = zonegate("api-keys", "list")

    assert (result.exit_code, result.stdout) == (0, "ID  NAME  AGE\na   ci    not long ago\n")
    assert json.loads(zonegate("api-keys", "list", "-o", "json").stdout) == [api.keys["a"]]
    assert zonegate("api-keys", "list", "-o", "yaml").stdout == "- id: a\n  name: ci\n  createdAt: not long ago\n"


def test_revoking(api: FakeApi) -> None:
    api.keys["a"] = {"id": "a", "name": "ci", "createdAt": "2026-01-27T12:55:05Z"}
    result = zonegate("api-keys", "revoke", "a")

    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "Revoked API key a.\n")
    result = zonegate("api-keys", "revoke", "a")
    assert (result.exit_code, result.stderr) == (1, "zonegate: No token with this id exists\n")
