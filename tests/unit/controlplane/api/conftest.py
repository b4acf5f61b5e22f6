"""The API with a service in memory behind it, and clients of it."""

import copy
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from controlplane.api import authentication
from controlplane.api.app import create_api
from tests.unit.controlplane.api.memory_service import KEY, MemoryService

ZONES = "/public/console/v2/partner-zone"
ZONE = f"{ZONES}/external-partner-zone"
PEER = "203.0.113.7"
BEARER = {"authorization": f"Bearer {KEY}"}

RESOURCE: dict[str, Any] = {
    "apiVersion": "v2",
    "kind": "PartnerZone",
    "metadata": {"name": "external-partner-zone"},
    "spec": {
        "cluster": "partner1",
        "displayName": "External Partner Zone",
        "url": "https://partner1.com",
        "serviceAccount": "johndoe",
        "topics": [
            {"name": "topic-a", "backingTopic": "kafka-topic-a", "permission": "WRITE"},
            {"name": "topic-b", "backingTopic": "kafka-topic-a", "permission": "READ"},
        ],
        "partner": {
            "name": "John Doe",
            "role": "Data analyst",
            "email": "johndoe@company.io",
            "phone": "07827 837 177",
        },
    },
}
"""The guide's example."""


def resource(name: str = "external-partner-zone", **spec: Any) -> dict[str, Any]:
    """The example under this name, with these fields in its specification; None takes one away."""
    changed = copy.deepcopy(RESOURCE)
    changed["metadata"]["name"] = name
    changed["spec"] = {key: value for key, value in (changed["spec"] | spec).items() if value is not None}
    return changed


class Lines:
    """An audit log that is read by tests."""

    def __init__(self) -> None:
        self.all: list[dict[str, object]] = []

    def write(self, event: str, fields: Mapping[str, object]) -> None:
        self.all.append({"event": event} | {name: value for name, value in fields.items() if value is not None})


@pytest.fixture
def service() -> MemoryService:
    return MemoryService()


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def app(service: MemoryService, lines: Lines) -> FastAPI:
    return create_api(service, lines)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refusals without their delay."""
    monkeypatch.setattr(authentication, "FAILURE_DELAY_SECONDS", 0)


@pytest.fixture(params=["", "/api"])
async def stranger(app: FastAPI, request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a key, at either prefix."""
    transport = httpx.ASGITransport(app=app, client=(PEER, 4711))
    async with httpx.AsyncClient(transport=transport, base_url=f"http://console:8080{request.param}") as client:
        yield client


@pytest.fixture
async def client(stranger: httpx.AsyncClient) -> httpx.AsyncClient:
    stranger.headers.update(BEARER)
    return stranger
