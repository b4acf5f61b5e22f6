"""The original vendor's own command-line client, unmodified, against a real server on a port."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml
from fastapi import FastAPI

from controlplane.http import AdminServer
from controlplane.settings_fields import HostPort
from controlplane.zone_service import Status
from tests.unit.controlplane.api.conftest import RESOURCE, resource
from tests.unit.controlplane.api.memory_service import KEY, MemoryService
from tests.vendor_client import Ran, VendorClient, vendor_client

__all__ = ["vendor_client"]

NAME = "external-partner-zone"


class Shell:
    """Runs the client where the server is."""

    def __init__(self, client: VendorClient, port: int) -> None:
        self._client = client
        self._address = f"http://127.0.0.1:{port}"

    async def __call__(self, *arguments: str, key: str = KEY) -> Ran:
        environment = {"CDK_BASE_URL": self._address, "CDK_API_KEY": key}
        return await self._client.run(*arguments, environment=environment)


@pytest.fixture
async def ctl(vendor_client: VendorClient, app: FastAPI) -> AsyncIterator[Shell]:
    server = AdminServer(app, HostPort("127.0.0.1", 0))
    server.start()
    yield Shell(vendor_client, server.port)
    await server.stop()


@pytest.fixture
def manifest(tmp_path: Path) -> str:
    file = tmp_path / "pz.yaml"
    file.write_text(yaml.safe_dump(RESOURCE, sort_keys=False))
    return str(file)


def rewrite(manifest: str, text: str) -> None:
    Path(manifest).write_text(text)


async def test_apply_creates_then_changes_nothing_then_updates(
    ctl: Shell, manifest: str, service: MemoryService
) -> None:
    for expected in ("Created", "NotChanged"):
        ran = await ctl("apply", "-f", manifest)
        assert (ran.code, ran.out) == (0, f"PartnerZone/{NAME}: {expected}\n"), ran
    rewrite(manifest, yaml.safe_dump(resource(displayName="Another")))
    assert (await ctl("apply", "-f", manifest)).out == f"PartnerZone/{NAME}: Updated\n"
    assert service.zone(NAME).resource.spec.display_name == "Another"


async def test_a_dry_run_changes_nothing(ctl: Shell, manifest: str, service: MemoryService) -> None:
    ran = await ctl("apply", "-f", manifest, "--dry-run")
    assert (ran.code, ran.out) == (0, f"PartnerZone/{NAME}: Created\n"), ran
    assert not service.zones()


async def test_apply_many_at_once(ctl: Shell, tmp_path: Path, service: MemoryService) -> None:
    documents = [resource(f"zone-{n}", serviceAccount=f"account-{n}") for n in range(50)]
    file = tmp_path / "many.yaml"
    file.write_text(yaml.safe_dump_all(documents))
    ran = await ctl("apply", "-f", str(file), "--parallelism", "50")
    assert (ran.code, ran.out.count(": Created\n")) == (0, 50), ran
    assert len(service.zones()) == 50


async def test_print_diff(ctl: Shell, manifest: str) -> None:
    await ctl("apply", "-f", manifest)
    rewrite(manifest, yaml.safe_dump(resource(displayName="Another")))
    ran = await ctl("apply", "-f", manifest, "--print-diff")
    assert ran.code == 0, ran
    assert "displayName: " in ran.out
    assert ran.out.endswith(f"PartnerZone/{NAME}: Updated\n")


async def test_get_prints_fields_in_their_order(ctl: Shell, manifest: str, service: MemoryService) -> None:
    await ctl("apply", "-f", manifest)
    service.set_status(NAME, Status.FAILED, "broker1 is out of reach")
    ran = await ctl("get", "PartnerZone")
    assert ran.code == 0, ran
    (document,) = [each for each in yaml.safe_load_all(ran.out) if each is not None]
    assert list(document) == ["apiVersion", "kind", "metadata", "spec"]
    assert list(document["metadata"]) == ["name", "id", "updatedAt", "status", "failedReason"]
    assert list(document["spec"]) == [
        "cluster",
        "displayName",
        "url",
        "serviceAccount",
        "authenticationMode",
        "topics",
        "partner",
    ]
    assert document["metadata"]["status"] == "FAILED"


async def test_get_as_json_and_by_name(ctl: Shell, manifest: str) -> None:
    await ctl("apply", "-f", manifest)
    (listed,) = json.loads((await ctl("get", "PartnerZone", "-o", "json")).out)
    (named,) = json.loads((await ctl("get", "PartnerZone", NAME, "-o", "json")).out)
    assert listed == named
    assert named["spec"]["topics"] == RESOURCE["spec"]["topics"]
    assert (await ctl("get", "partnerzone", "-o", "name")).out == f"PartnerZone/{NAME}\n"


async def test_what_get_prints_can_be_applied(ctl: Shell, manifest: str) -> None:
    await ctl("apply", "-f", manifest)
    rewrite(manifest, (await ctl("get", "PartnerZone", NAME)).out)
    assert (await ctl("apply", "-f", manifest)).out == f"PartnerZone/{NAME}: NotChanged\n"


async def test_get_of_what_is_not_there(ctl: Shell) -> None:
    ran = await ctl("get", "PartnerZone", "nobody")
    assert ran.code == 1
    assert "No partner-zone with this technical id exists" in ran.err


async def test_delete(ctl: Shell, manifest: str, service: MemoryService) -> None:
    await ctl("apply", "-f", manifest)
    ran = await ctl("delete", "PartnerZone", NAME)
    assert (ran.code, ran.out) == (0, f"PartnerZone/{NAME}: Deleted\n"), ran
    assert not service.zones()
    ran = await ctl("delete", "PartnerZone", NAME)
    assert ran.code == 1
    assert "No partner-zone with this technical id exists" in ran.err
    await ctl("apply", "-f", manifest)
    assert (await ctl("delete", "-f", manifest)).code == 0
    assert not service.zones()


async def test_generate_credentials(ctl: Shell, manifest: str, service: MemoryService) -> None:
    await ctl("apply", "-f", manifest)
    ran = await ctl("run", "partnerZoneGenerateCredentials", "--partner-zone-name", NAME)
    assert ran.code == 0, ran
    assert len(ran.out.strip()) == 33
    ran = await ctl("run", "partnerZoneGenerateCredentials", "--partner-zone-name", NAME, "--expires-in", "never")
    assert ran.code == 0, ran
    assert [view.expires is None for view in service.credentials(NAME)] == [False, True]


async def test_the_error_text_is_the_whole_reason(ctl: Shell, tmp_path: Path) -> None:
    broken = resource(topics=[{"name": "a b", "backingTopic": "_zonegate", "permission": "ALL"}], color="red")
    file = tmp_path / "broken.yaml"
    file.write_text(yaml.safe_dump(broken))
    ran = await ctl("apply", "-f", str(file))
    assert ran.code == 1
    for told in (
        "spec.topics[0].name: 'a b' is not a legal topic name; use letters, digits, '.', '_' and '-' only",
        "spec.topics[0].backingTopic: '_zonegate' is an internal topic and cannot be shared; name a topic of your own",
        "spec.topics[0].permission: 'ALL' is not known here; use one of READ, WRITE",
        "spec.color: unknown field; known here: cluster,",
    ):
        assert told in ran.err


@pytest.mark.usefixtures("quick")
async def test_a_wrong_key(ctl: Shell, manifest: str) -> None:
    ran = await ctl("apply", "-f", manifest, key="wrong")
    assert ran.code == 1
    assert "the API key is wrong, or was deleted" in ran.err


async def test_keys(ctl: Shell, manifest: str) -> None:
    ran = await ctl("token", "create", "admin", "deployment")
    assert ran.code == 0, ran
    key = ran.out.strip()
    assert (await ctl("apply", "-f", manifest, key=key)).code == 0
    listed = (await ctl("token", "list", "admin")).out
    (line,) = [line for line in listed.splitlines() if line.startswith("deployment:")]
    ran = await ctl("token", "delete", line.split()[-1])
    assert (ran.code, ran.out) == (0, "Token deleted\n"), ran
    assert "deployment" not in (await ctl("token", "list", "admin")).out


async def test_a_template_is_a_valid_manifest(ctl: Shell, tmp_path: Path) -> None:
    file = tmp_path / "template.yaml"
    file.write_text((await ctl("template", "PartnerZone")).out)
    assert (await ctl("apply", "-f", str(file))).out == f"PartnerZone/{NAME}: Created\n"
