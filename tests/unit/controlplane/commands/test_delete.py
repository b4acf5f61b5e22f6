"""`zonegate delete`."""

import pytest

from tests.unit.controlplane.commands.conftest import zone
from tests.unit.controlplane.commands.fake_api import FakeApi
from tests.unit.controlplane.conftest import WriteFile
from tests.unit.controlplane.test_cli import ZONE, zonegate

NAME = "PartnerZone/external-partner-zone"
MISSING = f"Could not delete resource {NAME}: No partner-zone with this technical id exists\n"


def test_by_name(api: FakeApi) -> None:
    api.store(zone())
    result = zonegate("delete", "partnerzone", "external-partner-zone")

    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{NAME}: Deleted\n", "")
    assert api.zones == {}
    result = zonegate("delete", "partnerzone", "external-partner-zone")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", MISSING)


def test_by_manifests_whatever_else_they_say(api: FakeApi, write: WriteFile) -> None:
    api.store(zone("a", "a"))
    api.store(zone("b", "b"))
    write("z/a.yaml", "kind: PartnerZone\nmetadata: {name: a}\nspec: {unknown: 1}\n---\n" + ZONE)
    write("z/inner/b.yaml", "kind: PartnerZone\nmetadata: {name: b}\n")
    result = zonegate("delete", "-f", "z", "-r")

    assert (result.exit_code, result.stdout) == (1, "PartnerZone/a: Deleted\nPartnerZone/b: Deleted\n")
    assert result.stderr == MISSING, "the others are deleted all the same"


def test_a_dry_run_checks_that_they_exist(api: FakeApi, write: WriteFile) -> None:
    api.store(zone("a", "a"))
    write("a.yaml", "kind: PartnerZone\nmetadata: {name: a}\n---\n" + ZONE)
    result = zonegate("delete", "-f", "a.yaml", "--dry-run")

    assert (result.exit_code, result.stdout, result.stderr) == (1, "PartnerZone/a: Deleted (dry-run)\n", MISSING)
    assert list(api.zones) == ["a"]
    assert all(call.startswith("GET ") for call in api.calls)


def test_manifests_without_names(api: FakeApi, write: WriteFile) -> None:
    write("a.yaml", "kind: PartnerZone\nmetadata: {}\n---\nkind: Topic\nmetadata: {name: a}\n---\n- a\n")
    result = zonegate("delete", "-f", "a.yaml")

    assert (result.exit_code, result.stdout, api.requests) == (2, "", [])
    assert result.stderr == (
        "a.yaml:2: metadata.name: is missing; it says what to delete\n"
        "a.yaml:4: kind: is not PartnerZone; nothing else can be deleted\n"
        "a.yaml:7: kind: is not PartnerZone; nothing else can be deleted\n"
    )


def test_nothing_to_delete(api: FakeApi, write: WriteFile) -> None:
    write("a.yaml", "# nothing\n")
    result = zonegate("delete", "-f", "a.yaml")

    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "No resources found to delete\n")


@pytest.mark.parametrize("arguments", [[], ["pz"], ["pz", "a", "-f", "a.yaml"], ["pz", "-f", "a.yaml"]])
def test_what_to_delete_must_be_clear(api: FakeApi, arguments: list[str]) -> None:
    result = zonegate("delete", *arguments)

    assert (result.exit_code, api.requests) == (2, [])
    assert result.stderr == "zonegate: name what to delete: PartnerZone NAME, or -f FILE\n"
