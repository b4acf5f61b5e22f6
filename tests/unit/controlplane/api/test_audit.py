"""What the audit log is told: who changed what, and who tried to."""

import httpx
import pytest

from controlplane.api import audit
from proxy.audit import Audit
from tests.unit.controlplane.api.conftest import PEER, RESOURCE, ZONE, ZONES, Lines, resource
from tests.unit.controlplane.api.memory_service import KEY_VIEW, MemoryService

NAME = "external-partner-zone"
CREDENTIALS = "/public/partner-zone/v2"
WHO: dict[str, object] = {"event": "api_change", "api_key_id": KEY_VIEW.id, "api_key": "tests", "peer_address": PEER}


def line(action: str, **fields: str) -> dict[str, object]:
    return WHO | {"outcome": "success", "action": action} | fields


async def test_changes(client: httpx.AsyncClient, lines: Lines) -> None:
    await client.put(ZONES, json=RESOURCE)
    await client.put(ZONES, json=resource(displayName="x"))
    made = (await client.post(f"{CREDENTIALS}/{NAME}/credentials")).json()
    await client.post(f"{CREDENTIALS}/{NAME}/generate-credentials")
    await client.delete(f"/public/zonegate/v1/credentials/{made['id']}")
    await client.delete(ZONE)
    key = (await client.post("/token/v1/admin_tokens", json={"name": "deployment"})).json()
    await client.delete(f"/token/v1/{key['id']}")
    generated = str(lines.all[3].get("credential_id"))
    assert len(generated) == 16
    assert lines.all == [
        line("Admin.PartnerZone.Create", zone=NAME),
        line("Admin.PartnerZone.Update", zone=NAME),
        line("Admin.PartnerZone.TokenCreate", zone=NAME, credential_id=made["id"]),
        line("Admin.PartnerZone.TokenCreate", zone=NAME, credential_id=generated),
        line("Admin.PartnerZone.TokenRevoke", zone=NAME, credential_id=made["id"]),
        line("Admin.PartnerZone.Delete", zone=NAME),
        line("Admin.ApiKey.Create", changed_api_key="deployment", changed_api_key_id=key["id"]),
        line("Admin.ApiKey.Delete", changed_api_key="deployment", changed_api_key_id=key["id"]),
    ]
    assert made["password"] not in repr(lines.all)
    assert key["token"] not in repr(lines.all)


async def test_what_changes_nothing_is_not_told(client: httpx.AsyncClient, lines: Lines) -> None:
    await client.put(ZONES, json=RESOURCE)
    del lines.all[:]
    await client.put(ZONES, json=RESOURCE)
    await client.put(ZONES, json=resource(displayName="x"), params={"dryMode": "true"})
    await client.put(ZONES, json=resource("other"), params={"dryMode": "true"})
    await client.put(ZONES, json={})
    for path in (ZONES, ZONE, "/versions", "/nothing"):
        await client.get(path)
    assert not lines.all


async def test_attempts(client: httpx.AsyncClient, lines: Lines, service: MemoryService) -> None:
    def failure(action: str, reason: str, **fields: str) -> dict[str, object]:
        return line(action, reason=reason, **fields) | {"outcome": "failure"}

    await client.put(ZONES, json=RESOURCE)
    del lines.all[:]
    await client.put(ZONES, json=resource("other"))
    await client.put(ZONES, json=resource(topics=[{"name": "a", "backingTopic": "b"}] * 2))
    await client.put(ZONES, json=RESOURCE, headers={"if-match": '"7"'})
    await client.delete(f"{ZONES}/nobody")
    await client.post(f"{CREDENTIALS}/nobody/generate-credentials")
    await client.delete(f"/public/zonegate/v1/credentials/{'x' * 1000}")
    service.problem = "no broker answers"
    await client.delete(ZONE)
    service.failure = RuntimeError()
    await client.delete(ZONE)
    assert lines.all == [
        failure("Admin.PartnerZone.Create", "conflict", zone="other"),
        failure("Admin.PartnerZone.Update", "invalid", zone=NAME),
        failure("Admin.PartnerZone.Update", "stale", zone=NAME),
        failure("Admin.PartnerZone.Delete", "not_found", zone="nobody"),
        failure("Admin.PartnerZone.TokenCreate", "not_found", zone="nobody"),
        failure("Admin.PartnerZone.TokenRevoke", "not_found", credential_id="x" * 255 + "…"),
        failure("Admin.PartnerZone.Delete", "unavailable", zone=NAME),
        failure("Admin.PartnerZone.Delete", "internal_error", zone=NAME),
    ]


@pytest.mark.usefixtures("quick")
async def test_wrong_keys_are_counted(
    stranger: httpx.AsyncClient, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(audit, "monotonic", lambda: now)
    refused = {"event": "api_authentication", "outcome": "failure", "reason": "wrong_key", "peer_address": PEER}
    await stranger.get(ZONES)
    assert not lines.all
    for _ in range(5):
        await stranger.get(ZONES, headers={"authorization": "Bearer guessed"})
    assert lines.all == [refused | {"count": 1}]
    now += 11
    await stranger.get("/health/live")
    since = lines.all[-1].pop("since")
    assert str(since).endswith("Z")
    assert lines.all[1:] == [refused | {"count": 4}]
    assert "guessed" not in repr(lines.all)


def test_the_gateways_audit_log_takes_the_lines() -> None:
    written: list[object] = []
    log: audit.AuditLog = Audit(written.append)
    with audit.ApiAudit(log).change("203.0.113.7", KEY_VIEW, audit.Change(audit.DELETE, zone="z")):
        pass
    (entry,) = written
    assert isinstance(entry, dict)
    assert list(entry)[:3] == ["time", "version", "event"]
    assert entry["event"] == "api_change"
