"""Gateways, health and versions; and what is the same for every path."""

import importlib.metadata
from collections.abc import Sequence

import httpx
import pytest
from fastapi import FastAPI

from controlplane.zone_service import GatewayView, ZoneView
from tests.unit.controlplane.api.conftest import BEARER, RESOURCE, ZONE, ZONES
from tests.unit.controlplane.api.memory_service import MemoryService

GATEWAYS = "/public/zonegate/v1/gateways"
NOT_FOUND = {"title": "The searched entity was not found"}


async def test_gateways(client: httpx.AsyncClient, service: MemoryService) -> None:
    state = {"kind": "topic", "name": "_zonegate", "offset": 17, "problem": ""}
    assert (await client.get(GATEWAYS)).json() == {"state": state, "gateways": []}
    service.gateway_views = [
        GatewayView("g1", None, "host1", "0.1.0", "2026-11-21T09:00:00Z", 0.5, 17, 0, 3, 42, [], ["partner1"]),
        GatewayView("g2", 1, "host2", "0.1.0", "2026-11-21T09:00:00Z", 9.25, 15, 2, 3, 0, ["broker1 does not answer"]),
    ]
    service.problem = "no broker answers"
    found = (await client.get(GATEWAYS)).json()
    assert found["state"] == state | {"problem": "no broker answers"}
    assert found["gateways"][1] == {
        "gateway": "g2",
        "worker": 1,
        "host": "host2",
        "version": "0.1.0",
        "started": "2026-11-21T09:00:00Z",
        "seenSecondsAgo": 9.25,
        "applied": 15,
        "lag": 2,
        "zones": 3,
        "connections": 0,
        "problems": ["broker1 does not answer"],
        "clusters": [],
    }
    assert found["gateways"][0]["worker"] is None


async def test_health_needs_no_key(stranger: httpx.AsyncClient, service: MemoryService) -> None:
    for path, status in (("/health/live", "LIVE"), ("/health/ready", "READY")):
        response = await stranger.get(path)
        assert (response.status_code, response.json()) == (200, {"status": status})
    service.problem = "no broker answers"
    response = await stranger.get("/health/ready")
    assert (response.status_code, response.json()) == (
        503,
        {"title": "The desired state is out of reach", "msg": "NOT_READY", "cause": "no broker answers"},
    )
    assert (await stranger.get("/health/live")).status_code == 200


async def test_versions(stranger: httpx.AsyncClient) -> None:
    assert (await stranger.get("/versions")).json() == {"zonegate": importlib.metadata.version("zonegate")}


# every path


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/docs", "/redoc", "/openapi.json", "/api", "/api/api/versions", f"{ZONES}/", "/Versions"]
)
async def test_paths_that_are_not_there(app: FastAPI, path: str) -> None:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://console", headers=BEARER) as client:
        for method in ("GET", "PUT", "POST", "DELETE", "OPTIONS", "TRACE"):
            response = await client.request(method, path)
            assert (response.status_code, response.json()) == (404, NOT_FOUND)
            assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        (ZONES, "GET, HEAD, OPTIONS, PUT"),
        (ZONE, "DELETE, GET, HEAD, OPTIONS"),
        ("/token/v1/admin_tokens", "GET, HEAD, OPTIONS, POST"),
        ("/health/live", "GET, HEAD, OPTIONS"),
    ],
)
async def test_methods(client: httpx.AsyncClient, path: str, allowed: str) -> None:
    response = await client.options(path)
    assert (response.status_code, response.headers["allow"], response.content) == (204, allowed, b"")
    for method in ("PATCH", "TRACE", "PROPFIND", "G"):
        response = await client.request(method, path)
        assert (response.status_code, response.json()) == (
            405,
            {"title": "This path does not know the method", "cause": f"known here: {allowed}"},
        )
        assert response.headers["allow"] == allowed


async def test_head_is_get_without_a_body(client: httpx.AsyncClient) -> None:
    await client.put(ZONES, json=RESOURCE)
    for path in (ZONES, ZONE, "/versions", ZONES + "/nobody", "/nothing"):
        full, head = await client.get(path), await client.head(path)
        assert (head.status_code, head.headers, head.content) == (full.status_code, full.headers, b"")


async def test_pages_of_others_are_not_let_in(client: httpx.AsyncClient) -> None:
    headers = {"origin": "https://elsewhere.example", "access-control-request-method": "GET"}
    for response in (await client.options(ZONES, headers=headers), await client.get(ZONES, headers=headers)):
        assert not [name for name in response.headers if name.startswith("access-control")]
        assert response.headers["x-content-type-options"] == "nosniff"


class BrokenService(MemoryService):
    def zones(self) -> Sequence[ZoneView]:
        raise ZeroDivisionError("internal secret")


class TestMistakesOfOurs:
    @pytest.fixture
    def service(self) -> BrokenService:
        return BrokenService()

    async def test_are_told_as_that(self, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
        response = await client.get(ZONES)
        assert (response.status_code, response.json()) == (
            500,
            {"title": "An unexpected error occurred in the server"},
        )
        assert response.headers["content-type"] == "application/json"
        assert "ZeroDivisionError" in caplog.text
