"""Where the API is, how to sign in, and what is said when that fails."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from controlplane.commands import api as api_module
from controlplane.settings import load_settings
from tests.pki import Authority
from tests.unit.controlplane.commands.conftest import zone
from tests.unit.controlplane.commands.fake_api import KEY, FakeApi
from tests.unit.controlplane.conftest import WriteFile
from tests.unit.controlplane.test_cli import zonegate

LIST = ("get", "PartnerZone", "-o", "name")


@pytest.mark.parametrize(
    ("arguments", "environment", "url"),
    [
        ([], {}, "http://localhost:8080"),
        ([], {"CDK_BASE_URL": "https://console.example.com"}, "https://console.example.com"),
        ([], {"CDK_BASE_URL": "http://a", "ZONEGATE_URL": "http://b:1/api/"}, "http://b:1"),
        ([], {"CDK_BASE_URL": "http://a/api", "ZONEGATE_URL": ""}, "http://a"),
        (["--url", "http://c/"], {"ZONEGATE_URL": "http://b"}, "http://c"),
        (["--url", "http://c/zonegate/api"], {}, "http://c/zonegate"),
    ],
)
def test_where_the_api_is(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch, arguments: list[str], environment: dict[str, str], url: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    api.instead = lambda request: httpx.Response(200, json=[])

    assert zonegate(*LIST, *arguments).exit_code == 0
    assert str(api.requests[0].url) == f"{url}/api/public/console/v2/partner-zone"


def test_what_is_no_url(api: FakeApi) -> None:
    result = zonegate(*LIST, "--url", "console.example.com")

    assert (result.exit_code, api.requests) == (2, [])
    assert result.stderr == (
        "zonegate: 'console.example.com' is not a URL; write for example http://localhost:8080 "
        "(--url, or ZONEGATE_URL)\n"
    )


@pytest.mark.parametrize(
    ("own", "vendors", "file", "sent"),
    [("a", "b", "c\n", "c"), ("a", "b", None, "a"), ("", "b", None, "b"), (" a \n", "", None, "a")],
)
def test_where_the_key_is(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch, write: WriteFile, own: str, vendors: str, file: str | None, sent: str
) -> None:
    monkeypatch.setenv("ZONEGATE_API_KEY", own)
    monkeypatch.setenv("CDK_API_KEY", vendors)
    arguments = ["--api-key-file", str(write("key", file))] if file is not None else []

    zonegate(*LIST, *arguments)

    assert api.requests[0].headers["Authorization"] == f"Bearer {sent}"


@pytest.mark.parametrize("content", ["", "two words", "kéy", "a\nb"])
def test_a_file_that_holds_no_key(api: FakeApi, write: WriteFile, content: str) -> None:
    result = zonegate(*LIST, "--api-key-file", str(write("key", content)))

    assert (result.exit_code, api.requests) == (2, [])
    assert result.stderr == "zonegate: key does not hold an API key; write it there, on one line\n"


def test_a_key_file_that_is_not_there(api: FakeApi, write: WriteFile) -> None:
    result = zonegate(*LIST, "--api-key-file", "missing")

    assert (result.exit_code, result.stderr) == (
        2,
        "zonegate: missing cannot be read: No such file or directory\n",
    )


def test_no_key(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZONEGATE_API_KEY")
    result = zonegate(*LIST)

    assert (result.exit_code, api.requests) == (2, [])
    assert result.stderr == (
        "zonegate: there is no API key; set ZONEGATE_API_KEY (or CDK_API_KEY), or name a file that holds it: "
        "--api-key-file FILE\n"
    )


def test_a_variable_that_holds_no_key_is_not_shown(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZONEGATE_API_KEY", "sécret")
    result = zonegate(*LIST)

    assert (result.exit_code, api.requests) == (2, [])
    assert result.stderr == "zonegate: ZONEGATE_API_KEY is not an API key; it holds characters that none has\n"


def test_a_key_that_is_refused_is_told_by_where_it_was_found(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZONEGATE_API_KEY")
    monkeypatch.setenv("CDK_API_KEY", "wrong")
    result = zonegate(*LIST)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "zonegate: http://localhost:8080 refused the API key of CDK_API_KEY: this API key is not known; set "
        "ZONEGATE_API_KEY (or --api-key-file) to a valid one; 'zonegate api-keys create NAME' makes them\n"
    )


def _raise(error: httpx.HTTPError) -> Callable[[httpx.Request], httpx.Response | None]:
    def instead(request: httpx.Request) -> httpx.Response | None:
        raise error

    return instead


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            httpx.ConnectError("[Errno 111] Connection refused"),
            "cannot reach http://localhost:8080: [Errno 111] Connection refused; --url (or ZONEGATE_URL) says where "
            "the API is",
        ),
        (httpx.ReadTimeout("slow"), "http://localhost:8080 did not answer within 30 s"),
        (
            httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate"),
            "http://localhost:8080 has a certificate that is not trusted ([SSL: CERTIFICATE_VERIFY_FAILED] self-signed "
            "certificate); name who signed it with --ca FILE (or ZONEGATE_CA)",
        ),
        (
            httpx.RemoteProtocolError(""),
            "cannot reach http://localhost:8080: RemoteProtocolError; --url (or ZONEGATE_URL) says where the API is",
        ),
    ],
)
def test_an_api_that_does_not_answer(api: FakeApi, error: httpx.HTTPError, message: str) -> None:
    api.instead = _raise(error)
    result = zonegate(*LIST)

    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"zonegate: {message}\n")


def test_a_refused_connection_for_real() -> None:
    result = zonegate(*LIST, "--url", "http://127.0.0.1:1")

    assert result.exit_code == 1
    assert result.stderr.startswith("zonegate: cannot reach http://127.0.0.1:1: ")
    assert "ZONEGATE_URL" in result.stderr


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (httpx.Response(409, json={"title": "t", "msg": "m", "cause": "c"}), "c"),
        (httpx.Response(409, json={"title": "t", "msg": "m", "cause": None}), "m"),
        (httpx.Response(409, json={"title": "t", "msg": "", "cause": " "}), "t"),
        (httpx.Response(400, json={"title": "one\ntwo \x1b[31mred"}), "one\ntwo �[31mred"),
        (httpx.Response(503, json={"detail": "x"}), "503 Service Unavailable"),
        (httpx.Response(502, text="<html>"), "502 Bad Gateway"),
        (httpx.Response(302, headers={"Location": "/login"}), "302 Found"),
        (
            httpx.Response(200, text="<html>"),
            "http://localhost:8080 answered with something that zonegate's API does not say; does --url (or "
            "ZONEGATE_URL) name the right server?",
        ),
        (
            httpx.Response(200, json={"not": "a list"}),
            "http://localhost:8080 answered with something that zonegate's API does not say; does --url (or "
            "ZONEGATE_URL) name the right server?",
        ),
    ],
)
def test_what_the_server_says(api: FakeApi, response: httpx.Response, message: str) -> None:
    api.instead = lambda request: response
    result = zonegate(*LIST)

    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"zonegate: {message}\n")


def test_names_are_no_paths(api: FakeApi) -> None:
    zonegate("delete", "PartnerZone", "../../token/v1/x?y")

    assert api.calls == ["DELETE /api/public/console/v2/partner-zone/..%2F..%2Ftoken%2Fv1%2Fx%3Fy"]


def _verify(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> "tuple[bool, int]":
    """Whether names are checked, and how many authorities are known, in the TLS that a command would speak."""
    seen: list[tuple[bool, int]] = []

    def transport(tls: object) -> httpx.MockTransport:
        seen.append((tls.check_hostname, len(tls.get_ca_certs())))  # type: ignore[attr-defined]
        return httpx.MockTransport(lambda request: httpx.Response(200, json=[]))

    monkeypatch.setattr(api_module, "new_transport", transport)
    result = zonegate(*LIST, *arguments)
    assert result.exit_code == 0, result.stderr
    return seen[0]


def test_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)

    assert _verify(monkeypatch)[0]
    assert _verify(monkeypatch, "--ca", str(authority.file)) == (True, 1)
    assert not _verify(monkeypatch, "--insecure")[0]
    monkeypatch.setenv("CDK_CACERT", str(authority.file))
    monkeypatch.setenv("CDK_INSECURE", "true")
    assert _verify(monkeypatch) == (False, 1)


@pytest.mark.parametrize(
    ("variables", "arguments", "message"),
    [
        ({"CDK_CERT": "c.pem"}, [], "set both CDK_CERT and CDK_KEY, or neither"),
        ({"CDK_KEY": "k.pem"}, [], "set both CDK_CERT and CDK_KEY, or neither"),
        (
            {"CDK_CERT": "c.pem", "CDK_KEY": "k.pem"},
            [],
            "CDK_CERT (c.pem) and CDK_KEY (k.pem) are not a certificate and its key (PEM): No such file or directory",
        ),
        ({}, ["--ca", "ca.pem"], "ca.pem does not hold certificates (PEM): No such file or directory"),
    ],
)
def test_certificates_that_are_none(
    api: FakeApi,
    write: WriteFile,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    arguments: list[str],
    message: str,
) -> None:
    write("other", "")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    result = zonegate(*LIST, *arguments)

    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"zonegate: {message}\n")
    assert api.requests == []


def test_serve_does_not_take_these_variables_for_settings() -> None:
    variables = {"ZONEGATE_URL": "http://a", "ZONEGATE_API_KEY": KEY, "ZONEGATE_CA": "ca.pem"}

    settings = load_settings(None, variables | {"ZONEGATE_CLUSTER_BOOTSTRAP_SERVERS": "b:1"})

    assert settings.workers == 1


def test_all_commands_that_call_the_api_have_the_same_options(api: FakeApi) -> None:
    api.store(zone())
    for command in (
        ["apply"],
        ["get"],
        ["delete"],
        ["explain"],
        ["status"],
        ["api-keys", "list"],
        ["credentials", "generate"],
    ):
        shown = zonegate(*command, "--help").stdout
        for option in ("--url", "--api-key-file", "--ca", "--insecure"):
            assert option in shown
        assert "--api-key " not in shown, "a secret on the command line is seen by everybody on the machine"
