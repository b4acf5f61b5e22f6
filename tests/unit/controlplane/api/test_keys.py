"""API keys over HTTP, and what is answered to whoever has none."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from controlplane.api import authentication
from controlplane.api.authentication import GUESSES_AT_ONCE, REQUESTS_AT_ONCE
from controlplane.zone_service import ApiKeyView, ZoneView
from tests.unit.controlplane.api.conftest import BEARER, PEER, ZONE, ZONES
from tests.unit.controlplane.api.memory_service import KEY, KEY_VIEW, MemoryService

KEYS = "/token/v1/admin_tokens"
NOBODY = {"title": "The user is not authenticated"}


async def test_the_list_as_the_vendors_client_reads_it(client: httpx.AsyncClient) -> None:
    response = await client.get(KEYS)
    assert (response.status_code, response.json()) == (
        200,
        [{"id": KEY_VIEW.id, "name": "tests", "createdAt": "2025-01-27T12:55:05Z"}],
    )


async def test_a_new_key_opens_the_api_until_it_is_deleted(client: httpx.AsyncClient, quick: None) -> None:
    response = await client.post(KEYS, json={"name": "deployment"})
    assert response.status_code == 201
    made = response.json()
    assert list(made) == ["id", "name", "createdAt", "token"]
    assert (await client.get(KEYS)).json()[-1] == {name: made[name] for name in ("id", "name", "createdAt")}
    bearer = {"authorization": f"Bearer {made['token']}"}
    assert (await client.get(ZONES, headers=bearer)).status_code == 200
    response = await client.delete(f"/token/v1/{made['id']}", headers=bearer)
    assert (response.status_code, response.content) == (204, b"")
    assert (await client.get(ZONES, headers=bearer)).status_code == 401


async def test_a_key_that_is_not_there(client: httpx.AsyncClient) -> None:
    response = await client.delete("/token/v1/nobody")
    assert (response.status_code, response.json()) == (
        404,
        {"title": "No API key with this id exists", "cause": "there is no API key 'nobody'"},
    )


RULE = "use 1 to 255 printable characters without a space at either end"


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ({}, "name: is missing; add it, for example 'name: deployment'"),
        ({"name": ""}, f"name: '' is not a name; {RULE}"),
        ({"name": " a"}, f"name: ' a' is not a name; {RULE}"),
        ({"name": "a\nb"}, f"name: 'a\\nb' is not a name; {RULE}"),
        ({"name": "a" * 256}, f"name: '{'a' * 256}' is not a name; {RULE}"),
        ({"name": 1}, "name: 1 is a number and text is needed; put it in quotes"),
        ({"name": "a", "admin": True}, "admin: unknown field; known here: name"),
        ([], "the body is no API key; send an object with name"),
    ],
)
async def test_a_key_that_is_not_made(client: httpx.AsyncClient, service: MemoryService, body: Any, cause: str) -> None:
    response = await client.post(KEYS, json=body)
    assert (response.status_code, response.json()) == (400, {"title": "The request is not valid", "cause": cause})
    assert len(service.api_keys()) == 1


async def test_while_the_state_is_out_of_reach(client: httpx.AsyncClient, service: MemoryService) -> None:
    service.problem = "no broker answers"
    assert (await client.post(KEYS, json={"name": "a"})).status_code == 503
    assert (await client.delete(f"/token/v1/{KEY_VIEW.id}")).status_code == 503


# who has none


def protected(app: FastAPI) -> list[tuple[str, str]]:
    return [
        (method.upper(), path.replace("{", "").replace("}", ""))
        for path, operations in app.openapi()["paths"].items()
        for method, operation in operations.items()
        if operation["security"]
    ]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", f"Basic {KEY}", KEY, f"Token {KEY}"])
async def test_no_call_is_answered_without_a_key(app: FastAPI, stranger: httpx.AsyncClient, header: str | None) -> None:
    calls = protected(app)
    assert len(calls) == 15
    for method, path in calls:
        response = await stranger.request(method, path, headers={} if header is None else {"authorization": header})
        assert (response.status_code, response.json()) == (
            401,
            NOBODY | {"cause": "no API key; send the header 'Authorization: Bearer <API key>'"},
        )
        assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("key", ["wrong", KEY + "x", KEY[:-1], KEY.upper(), "x" * 2000, f"{KEY} {KEY}", b"\xff\xfe"])
async def test_nor_with_a_wrong_one(app: FastAPI, stranger: httpx.AsyncClient, key: str | bytes) -> None:
    header = b"Bearer " + (key if isinstance(key, bytes) else key.encode())
    for method, path in protected(app):
        response = await stranger.request(method, path, headers=[(b"authorization", header)])
        assert (response.status_code, response.json()) == (
            401,
            NOBODY | {"cause": "the API key is wrong, or was deleted"},
        )
        assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("header", [f"bearer {KEY}", f"BEARER   {KEY}  "])
async def test_how_the_header_may_be_written(stranger: httpx.AsyncClient, header: str) -> None:
    assert (await stranger.get(ZONES, headers={"authorization": header})).status_code == 200


async def test_two_keys_are_none(client: httpx.AsyncClient) -> None:
    headers = [("authorization", f"Bearer {KEY}"), ("authorization", "Bearer another")]
    assert (await client.get(ZONES, headers=headers)).status_code == 401


async def test_what_is_there_is_not_told_without_a_key(stranger: httpx.AsyncClient) -> None:
    for path in (ZONE, ZONES + "/nobody"):
        assert (await stranger.get(path)).status_code == 401


class CountingService(MemoryService):
    """Tells when as many wrong keys were looked at as may be at once."""

    def __init__(self) -> None:
        super().__init__()
        self.looked_at = 0
        self.all_there = asyncio.Event()

    def api_key(self, key: str) -> ApiKeyView | None:
        self.looked_at += 1
        if self.looked_at == GUESSES_AT_ONCE:
            self.all_there.set()
        return super().api_key(key)


class TestGuesses:
    @pytest.fixture
    def service(self) -> CountingService:
        return CountingService()

    async def test_they_wait_and_are_few_at_once(
        self,
        app: FastAPI,
        stranger: httpx.AsyncClient,
        service: CountingService,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """While the bound is reached, nothing from there is looked at; others are not kept waiting."""
        monkeypatch.setattr(authentication, "FAILURE_DELAY_SECONDS", 3600)
        wrong = {"authorization": "Bearer wrong"}
        guesses = [asyncio.create_task(stranger.get(ZONES, headers=wrong)) for _ in range(GUESSES_AT_ONCE)]
        async with asyncio.timeout(10):
            await service.all_there.wait()
        response = await stranger.get(ZONES, headers=BEARER)
        assert (response.status_code, response.json()["title"]) == (429, "Too Many Requests")
        assert response.headers["retry-after"] == "1"
        assert service.looked_at == GUESSES_AT_ONCE
        assert not any(guess.done() for guess in guesses)
        transport = httpx.ASGITransport(app=app, client=("203.0.113.8", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://console") as other:
            assert (await other.get(ZONES, headers=BEARER)).status_code == 200
        for guess in guesses:
            guess.cancel()
        await asyncio.gather(*guesses, return_exceptions=True)
        assert (await stranger.get(ZONES, headers=BEARER)).status_code == 200


class SlowService(MemoryService):
    """Deletes nothing before it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = 0
        self.all_there = asyncio.Event()
        self.go = asyncio.Event()

    def zone(self, name: str) -> ZoneView:
        return None  # type: ignore[return-value]

    async def delete(self, name: str, version: int | None = None) -> None:
        self.waiting += 1
        if self.waiting == REQUESTS_AT_ONCE:
            self.all_there.set()
        await self.go.wait()


class TestRequests:
    @pytest.fixture
    def service(self) -> SlowService:
        return SlowService()

    async def test_they_are_bounded_too(self, client: httpx.AsyncClient, service: SlowService) -> None:
        requests = [asyncio.create_task(client.delete(ZONE)) for _ in range(REQUESTS_AT_ONCE)]
        async with asyncio.timeout(10):
            await service.all_there.wait()
        assert (await client.get(ZONES)).status_code == 429
        assert (await client.get("/health/live")).status_code == 200
        service.go.set()
        assert {response.status_code for response in await asyncio.gather(*requests)} == {200}
        assert (await client.get(ZONES)).status_code == 200


@pytest.mark.usefixtures("quick")
async def test_the_log_has_no_key(stranger: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    await stranger.get(ZONES, headers={"authorization": "Bearer guessed-key"})
    (record,) = (vars(record) for record in caplog.records if record.name == "zonegate.api")
    assert (record["event"], record["levelname"], record["peer"]) == ("api_key_refused", "WARNING", PEER)
    assert "guessed-key" not in repr([vars(record) for record in caplog.records])
