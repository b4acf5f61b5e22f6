"""Tokens over HTTP: who gets one, for how long, and what everybody else is told."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from time import time
from typing import Any

import httpx
import jwt
import pytest

from controlplane import passthrough_http
from controlplane.http import create_app
from controlplane.passthrough_http import MAX_AT_ONCE
from proxy.config import PassthroughConfig
from proxy.mechanisms.passthrough import PassthroughTokens
from tests.unit.controlplane.fake_gateway import FakeGateway

ADMIN, PASSWORD = "admin", "a password of the admin"
PATH = "/admin/vclusters/v1/vcluster/passthrough/username/admin"
LOGIN = (ADMIN, PASSWORD)


@pytest.fixture(scope="module")
def tokens() -> PassthroughTokens:
    tokens = PassthroughTokens(PassthroughConfig(username=ADMIN, password=PASSWORD))
    tokens.derive_key()
    return tokens


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refusals without their delay."""
    monkeypatch.setattr(passthrough_http, "FAILURE_DELAY_SECONDS", 0)


@pytest.fixture
async def client(tokens: PassthroughTokens) -> AsyncIterator[httpx.AsyncClient]:
    gateway = FakeGateway()
    gateway.passthrough = tokens
    transport = httpx.ASGITransport(app=create_app(gateway))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield client


def claims(response: httpx.Response) -> Any:
    assert response.status_code == 201, response.text
    assert response.headers["cache-control"] == "no-store"
    (token,) = response.json().values()
    return jwt.decode(token, options={"verify_signature": False})


async def test_the_example_of_the_documentation(client: httpx.AsyncClient, tokens: PassthroughTokens) -> None:
    response = await client.post(PATH, auth=LOGIN, json={"lifeTimeSeconds": 7776000})
    assert list(response.json()) == ["token"]
    said = claims(response)
    assert (said["username"], said["vcluster"], said["exp"] - said["iat"]) == (ADMIN, "passthrough", 7776000)
    assert abs(said["iat"] - time()) < 5
    assert tokens.check(ADMIN, response.json()["token"], time()).__class__.__name__ == "Accepted"


@pytest.mark.parametrize("body", ["", "{}", "  "])
async def test_an_hour_unless_said_otherwise(client: httpx.AsyncClient, body: str) -> None:
    said = claims(await client.post(PATH, auth=LOGIN, content=body))
    assert said["exp"] - said["iat"] == 3600


async def test_each_token_is_another_one(client: httpx.AsyncClient) -> None:
    ids = {claims(await client.post(PATH, auth=LOGIN))["jti"] for _ in range(3)}
    assert len(ids) == 3


RANGE = "lifeTimeSeconds must be a whole number from 1 to 7776000."
BAD_BODIES = {
    "nothing": ({"lifeTimeSeconds": 0}, RANGE, "lifeTimeSeconds"),
    "negative": ({"lifeTimeSeconds": -1}, RANGE, "lifeTimeSeconds"),
    "too long": ({"lifeTimeSeconds": 7776001}, RANGE, "lifeTimeSeconds"),
    "a fraction": ({"lifeTimeSeconds": 1.5}, RANGE, "lifeTimeSeconds"),
    "a flag": ({"lifeTimeSeconds": True}, RANGE, "lifeTimeSeconds"),
    "text": ({"lifeTimeSeconds": "60"}, RANGE, "lifeTimeSeconds"),
    "null": ({"lifeTimeSeconds": None}, RANGE, "lifeTimeSeconds"),
    "an unknown field": (
        {"lifetimeSeconds": 60},
        "Unknown field 'lifetimeSeconds'; the only field is lifeTimeSeconds.",
        "lifetimeSeconds",
    ),
    "a list": ([], 'The body is no object; send {"lifeTimeSeconds": 3600}.', "body"),
    "no JSON": ("{", 'The body is not JSON; send {"lifeTimeSeconds": 3600}.', "body"),
    "deep JSON": ("[" * 4000, 'The body is not JSON; send {"lifeTimeSeconds": 3600}.', "body"),
    "no UTF-8": (b"\xff\xff{", 'The body is not JSON; send {"lifeTimeSeconds": 3600}.', "body"),
    "large": (" " * 5000, "The body has more than 4096 bytes.", "body"),
}


@pytest.mark.parametrize(("body", "msg", "cause"), BAD_BODIES.values(), ids=BAD_BODIES.keys())
async def test_a_body_that_does_not_fit(client: httpx.AsyncClient, body: Any, msg: str, cause: str) -> None:
    content = body if isinstance(body, str | bytes) else json.dumps(body)
    response = await client.post(PATH, auth=LOGIN, content=content)
    assert (response.status_code, response.json()) == (400, {"title": "Bad Request", "msg": msg, "cause": cause})


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "login", [(ADMIN, "wrong"), ("root", PASSWORD), (ADMIN, ""), ("", ""), (ADMIN, PASSWORD + "x"), ("ä", "☃")]
)
async def test_a_wrong_login_is_told_nothing(client: httpx.AsyncClient, login: tuple[str, str]) -> None:
    for path in (PATH, PATH.replace("passthrough", "partner"), PATH + "2"):
        response = await client.post(path, auth=login)
        assert (response.status_code, response.json()) == (
            401,
            {
                "title": "Unauthorized",
                "msg": "Log in with the user name and password of the setting passthrough.",
                "cause": "wrong user name or password",
            },
        )
        assert response.headers["www-authenticate"] == 'Basic realm="zonegate"'


@pytest.mark.parametrize(
    "header", [None, "", "Basic", "Basic !", "Basic YWRtaW4=", "Bearer YWRtaW46eA==", "Basic /////w=="]
)
async def test_no_login_is_asked_for_one(client: httpx.AsyncClient, header: str | None) -> None:
    response = await client.post(PATH, headers={"authorization": header} if header is not None else {})
    assert (response.status_code, response.json()["cause"]) == (401, "no user name and password")
    assert response.headers["www-authenticate"] == 'Basic realm="zonegate"'


async def test_other_virtual_clusters_and_users_are_not_there(client: httpx.AsyncClient) -> None:
    vcluster = await client.post("/admin/vclusters/v1/vcluster/partner/username/admin", auth=LOGIN)
    assert (vcluster.status_code, vcluster.json()) == (
        404,
        {"title": "Not Found", "msg": "The only virtual cluster here is passthrough.", "cause": "unknown vcluster"},
    )
    user = await client.post("/admin/vclusters/v1/vcluster/passthrough/username/johndoe", auth=LOGIN)
    assert (user.status_code, user.json()) == (
        404,
        {"title": "Not Found", "msg": "The only user of passthrough is its admin.", "cause": "unknown username"},
    )


async def test_nothing_is_issued_before_the_key_is_there() -> None:
    gateway = FakeGateway()
    gateway.passthrough = PassthroughTokens(PassthroughConfig(username=ADMIN, password=PASSWORD))
    transport = httpx.ASGITransport(app=create_app(gateway))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        response = await client.post(PATH, auth=LOGIN)
    assert (response.status_code, response.json()["title"]) == (503, "Service Unavailable")


async def test_without_the_setting_there_is_no_such_route() -> None:
    transport = httpx.ASGITransport(app=create_app(FakeGateway()))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        assert (await client.post(PATH, auth=LOGIN)).status_code == 404


class CountingTokens(PassthroughTokens):
    """Tells when as many logins were looked at as may be at once."""

    def __init__(self) -> None:
        super().__init__(PassthroughConfig(username=ADMIN, password=PASSWORD))
        self.derive_key()
        self.looked_at = 0
        self.all_there = asyncio.Event()

    def is_admin(self, username: str, password: str) -> bool:
        self.looked_at += 1
        if self.looked_at == MAX_AT_ONCE:
            self.all_there.set()
        return super().is_admin(username, password)


async def test_guesses_wait_and_are_few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the bound is reached, not even the right password is looked at, or it would be found faster."""
    monkeypatch.setattr(passthrough_http, "FAILURE_DELAY_SECONDS", 3600)
    gateway, tokens = FakeGateway(), CountingTokens()
    gateway.passthrough = tokens
    transport = httpx.ASGITransport(app=create_app(gateway))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        guesses = [asyncio.create_task(client.post(PATH, auth=(ADMIN, str(n)))) for n in range(MAX_AT_ONCE)]
        async with asyncio.timeout(10):
            await tokens.all_there.wait()
        response = await client.post(PATH, auth=LOGIN)
        assert (response.status_code, response.json()["title"]) == (429, "Too Many Requests")
        assert response.headers["retry-after"] == "1"
        assert tokens.looked_at == MAX_AT_ONCE
        assert not any(guess.done() for guess in guesses)
        for guess in guesses:
            guess.cancel()
        await asyncio.gather(*guesses, return_exceptions=True)
        claims(await client.post(PATH, auth=LOGIN))


@pytest.mark.usefixtures("quick")
async def test_the_log_says_who_and_which_and_no_secret(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "zonegate")
    response = await client.post(PATH, auth=LOGIN, json={"lifeTimeSeconds": 60})
    said = claims(response)
    await client.post(PATH, auth=(ADMIN, "guessed-password"))
    issued, failed = (vars(record) for record in caplog.records if record.name == "zonegate.admin")
    assert (issued["event"], issued["user"], issued["id"], issued["expires"]) == (
        "passthrough_issued",
        ADMIN,
        said["jti"],
        said["exp"],
    )
    assert (failed["event"], failed["levelname"], failed["peer"]) == ("admin_login_failed", "WARNING", "127.0.0.1")
    for secret in (PASSWORD, "guessed-password", response.json()["token"]):
        assert secret not in repr([vars(record) for record in caplog.records])


async def test_tokens_and_failed_logins_are_in_the_audit_log(tokens: PassthroughTokens, quick: None) -> None:
    gateway = FakeGateway()
    gateway.passthrough = tokens
    transport = httpx.ASGITransport(app=create_app(gateway), client=("203.0.113.7", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        issued = claims(await client.post(PATH, auth=LOGIN))
        assert (await client.post(PATH, auth=(ADMIN, "a password of somebody"))).status_code == 401
    assert [
        {name: line.get(name) for name in ("event", "outcome", "peer_address", "user", "token_id", "reason")}
        for line in gateway.audited
    ] == [
        {
            "event": "admin_token",
            "outcome": "success",
            "peer_address": "203.0.113.7",
            "user": ADMIN,
            "token_id": issued["jti"],
            "reason": None,
        },
        {
            "event": "admin_token",
            "outcome": "failure",
            "peer_address": "203.0.113.7",
            "user": None,
            "token_id": None,
            "reason": "wrong_login",
        },
    ]


# the newer call, all in its body

NEWER = "/gateway/v2/token"


@pytest.mark.parametrize("vcluster", [{}, {"vCluster": "passthrough"}])
async def test_the_newer_call(client: httpx.AsyncClient, vcluster: dict[str, str]) -> None:
    response = await client.post(NEWER, auth=LOGIN, json=vcluster | {"username": ADMIN, "lifeTimeSeconds": 60})
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert list(response.json()) == ["token"]
    said = jwt.decode(response.json()["token"], options={"verify_signature": False})
    assert (said["username"], said["vcluster"], said["exp"] - said["iat"]) == (ADMIN, "passthrough", 60)


EXAMPLE = 'send {"username": "admin", "lifeTimeSeconds": 3600}.'
BAD_NEWER_BODIES = {
    "nothing": ("", f"username is missing; {EXAMPLE}", "username"),
    "no username": ({"lifeTimeSeconds": 1}, f"username is missing; {EXAMPLE}", "username"),
    "no lifetime": ({"username": ADMIN}, f"lifeTimeSeconds is missing; {EXAMPLE}", "lifeTimeSeconds"),
    "too long": ({"username": ADMIN, "lifeTimeSeconds": 7776001}, RANGE, "lifeTimeSeconds"),
    "text": ({"username": ADMIN, "lifeTimeSeconds": "60"}, RANGE, "lifeTimeSeconds"),
    "a number": ({"username": 1, "lifeTimeSeconds": 1}, "username must be text.", "username"),
    "null": ({"vCluster": None, "username": ADMIN, "lifeTimeSeconds": 1}, "vCluster must be text.", "vCluster"),
    "unknown": (
        {"user": ADMIN},
        "Unknown field 'user'; known here: vCluster, username, lifeTimeSeconds.",
        "user",
    ),
    "a list": ([], f"The body is no object; {EXAMPLE}", "body"),
    "no JSON": ("{", f"The body is not JSON; {EXAMPLE}", "body"),
    "large": (" " * 5000, "The body has more than 4096 bytes.", "body"),
}


@pytest.mark.parametrize(("body", "msg", "cause"), BAD_NEWER_BODIES.values(), ids=BAD_NEWER_BODIES.keys())
async def test_a_body_of_the_newer_call_that_does_not_fit(
    client: httpx.AsyncClient, body: Any, msg: str, cause: str
) -> None:
    content = body if isinstance(body, str) else json.dumps(body)
    response = await client.post(NEWER, auth=LOGIN, content=content)
    assert (response.status_code, response.json()) == (400, {"title": "Bad Request", "msg": msg, "cause": cause})


@pytest.mark.usefixtures("quick")
async def test_the_newer_call_is_as_careful(client: httpx.AsyncClient) -> None:
    body = {"username": ADMIN, "lifeTimeSeconds": 60}
    for login in (httpx.BasicAuth(ADMIN, "wrong"), httpx.Auth()):
        response = await client.post(NEWER, auth=login, json=body)
        assert (response.status_code, response.headers["www-authenticate"]) == (401, 'Basic realm="zonegate"')
    response = await client.post(NEWER, auth=LOGIN, json=body | {"vCluster": "partner"})
    assert (response.status_code, response.json()["cause"]) == (404, "unknown vcluster")
    response = await client.post(NEWER, auth=LOGIN, json=body | {"username": "johndoe"})
    assert (response.status_code, response.json()["cause"]) == (404, "unknown username")


async def test_the_newer_call_waits_for_the_key_and_for_the_setting() -> None:
    gateway = FakeGateway()
    for tokens, status in ((None, 404), (PassthroughTokens(PassthroughConfig(username=ADMIN, password=PASSWORD)), 503)):
        gateway.passthrough = tokens
        transport = httpx.ASGITransport(app=create_app(gateway))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            assert (await client.post(NEWER, auth=LOGIN)).status_code == status
