"""The commands with an API in memory, and a standard output that is a terminal or none."""

import os
from typing import Any

import httpx
import pytest

from controlplane.commands import api as api_module
from controlplane.commands import output
from tests.unit.controlplane.commands.fake_api import KEY, FakeApi


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("ZONEGATE_", "CDK_")) or name == "NO_COLOR"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("ZONEGATE_API_KEY", KEY)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    fake = FakeApi()
    monkeypatch.setattr(api_module, "new_transport", lambda verify: httpx.MockTransport(fake.answer))
    return fake


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output is a terminal with colours."""
    monkeypatch.setattr(output, "on_terminal", lambda: True)
    monkeypatch.setattr("controlplane.commands.get.on_terminal", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")


def zone(name: str = "external-partner-zone", account: str = "johndoe", **spec: Any) -> dict[str, Any]:
    """A resource that the API takes."""
    topics = [{"name": "topic-a", "backingTopic": "kafka-topic-a", "permission": "WRITE"}]
    return {
        "apiVersion": "v2",
        "kind": "PartnerZone",
        "metadata": {"name": name},
        "spec": {"cluster": "partner1", "serviceAccount": account, "topics": topics, **spec},
    }
