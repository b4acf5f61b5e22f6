"""The admin interface: live while the process is, ready only while the gateway is."""

import asyncio
import importlib.metadata

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from controlplane import passthrough_http
from controlplane.http import AdminServer, create_app
from controlplane.settings_fields import HostPort
from proxy.config import PassthroughConfig
from proxy.mechanisms.passthrough import PassthroughTokens
from tests.unit.controlplane.fake_gateway import FakeGateway


async def get(gateway: FakeGateway, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(app=create_app(gateway))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        return await client.get(path)


async def test_live_whatever_upstream_does() -> None:
    response = await get(FakeGateway(), "/health/live")

    assert (response.status_code, response.json()) == (200, {"status": "LIVE"})


async def test_not_ready_says_why() -> None:
    response = await get(FakeGateway(), "/health/ready")

    assert (response.status_code, response.json()) == (503, {"status": "NOT_READY", "reason": "no broker answers"})


async def test_ready() -> None:
    gateway = FakeGateway()
    gateway.ready = True

    response = await get(gateway, "/health/ready")

    assert (response.status_code, response.json()) == (200, {"status": "READY"})


async def test_metrics_are_those_of_the_gateway() -> None:
    response = await get(FakeGateway(), "/metrics")

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    samples = {
        sample.name: sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }
    assert samples["zonegate_requests_total"] == 3


async def test_nothing_else_is_served() -> None:
    for path in ("/", "/docs", "/openapi.json", "/redoc"):
        assert (await get(FakeGateway(), path)).status_code == 404


async def test_versions() -> None:
    assert (await get(FakeGateway(), "/versions")).json() == {"gateway": importlib.metadata.version("zonegate")}


async def test_secured_metrics_ask_for_the_admins_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passthrough_http, "FAILURE_DELAY_SECONDS", 0)
    gateway = FakeGateway()
    gateway.passthrough = PassthroughTokens(PassthroughConfig(username="admin", password="a password of the admin"))
    transport = httpx.ASGITransport(app=create_app(gateway, secured_metrics=True))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        for login in (None, ("admin", "wrong"), ("root", "a password of the admin")):
            response = await client.get("/metrics", auth=login)
            assert (response.status_code, response.json()["title"]) == (401, "Unauthorized")
            assert response.headers["www-authenticate"] == 'Basic realm="zonegate"'
        response = await client.get("/metrics", auth=("admin", "a password of the admin"))
        assert response.status_code == 200
        assert "zonegate_requests_total 3.0" in response.text
        assert (await client.get("/health/live")).status_code == 200


async def test_a_stop_that_is_interrupted_cuts_nobody_off() -> None:
    app, came, answer = FastAPI(), asyncio.Event(), asyncio.Event()

    @app.get("/slow")
    async def slow() -> str:
        came.set()
        await answer.wait()
        return "done"

    server = AdminServer(app, HostPort("127.0.0.1", 0))
    server.start()
    async with httpx.AsyncClient() as client, asyncio.timeout(10):
        request = asyncio.create_task(client.get(f"http://127.0.0.1:{server.port}/slow"))
        await came.wait()
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0)
        stopping.cancel()
        await asyncio.gather(stopping, return_exceptions=True)
        answer.set()
        await server.stop()
        assert (await request).json() == "done"


def test_metrics_are_not_secured_without_an_admin() -> None:
    with pytest.raises(ValueError, match="without an admin"):
        create_app(FakeGateway(), secured_metrics=True)
