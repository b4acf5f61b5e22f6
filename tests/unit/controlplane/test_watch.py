"""Following files: what is good is taken over, what is broken is reported and changes nothing."""

import logging
import os
from pathlib import Path

import pytest

from controlplane.problems import ConfigurationError
from controlplane.watch import DesiredState, file_signature, folder_signature
from policies.credentials import hash_password
from tests.unit.controlplane.conftest import WriteFile

ENTRY = f"- {{id: one, zone: a, created: 2025-01-27T12:55:05Z, hash: '{hash_password('secret')}'}}\n"


def zone(name: str, more: str = "") -> str:
    return f"""\
apiVersion: v2
kind: PartnerZone
metadata: {{name: {name}}}
spec:
  cluster: partner1
  serviceAccount: account-{name}
  topics: [{{name: topic-a, backingTopic: kafka-topic-a}}]
{more}"""


@pytest.fixture
def state(write: WriteFile) -> DesiredState:
    write("zones/a.yaml", zone("a"))
    write("c.yaml", ENTRY)
    return DesiredState(Path("zones"), Path("c.yaml"), ("partner1",))


def names(state: DesiredState) -> list[str]:
    return [found.name for found in state.zones]


def test_nothing_changed(state: DesiredState) -> None:
    assert names(state) == ["a"]
    assert [credential.id for credential in state.credentials] == ["one"]
    assert not state.refresh()


def test_a_new_file_and_a_removed_one(state: DesiredState, write: WriteFile) -> None:
    write("zones/b.yaml", zone("b"))
    assert state.refresh()
    assert names(state) == ["a", "b"]

    Path("zones/a.yaml").unlink()
    assert state.refresh()
    assert names(state) == ["b"]
    assert not state.refresh()


def test_a_broken_manifest_changes_nothing_and_is_reported_once(
    state: DesiredState, write: WriteFile, caplog: pytest.LogCaptureFixture
) -> None:
    write("zones/a.yaml", zone("a").replace("partner1", "other"))
    write("zones/b.yaml", zone("b"))

    assert not state.refresh()
    assert not state.refresh()

    assert names(state) == ["a"]
    assert caplog.messages == [
        "zones/a.yaml:5: spec.cluster: 'other' is not configured; the configured cluster is 'partner1'",
        "the change of the zones is not in force; the last good state stays",
    ]


def test_a_corrected_manifest_is_taken_over(state: DesiredState, write: WriteFile) -> None:
    write("zones/b.yaml", "{")
    assert not state.refresh()

    write("zones/b.yaml", zone("b"))
    assert state.refresh()
    assert names(state) == ["a", "b"]


def test_a_credential_is_revoked_even_while_a_manifest_is_broken(state: DesiredState, write: WriteFile) -> None:
    write("zones/b.yaml", "{")
    write("c.yaml", "")

    assert state.refresh()

    assert names(state) == ["a"]
    assert list(state.credentials) == []


def test_files_that_vanish_revoke_nothing(state: DesiredState, caplog: pytest.LogCaptureFixture) -> None:
    Path("c.yaml").unlink()
    Path("zones").rename("elsewhere")

    assert not state.refresh()

    assert names(state) == ["a"]
    assert len(state.credentials) == 1
    assert caplog.messages[0].startswith("zones: cannot be read: No such file or directory")
    assert "c.yaml: cannot be read: No such file or directory" in caplog.messages


def test_credentials_may_come_later(write: WriteFile) -> None:
    write("zones/a.yaml", zone("a"))
    state = DesiredState(Path("zones"), Path("c.yaml"), None)
    assert list(state.credentials) == []

    write("c.yaml", ENTRY)
    assert state.refresh()
    assert len(state.credentials) == 1


def test_what_is_wrong_at_first_is_raised_from_both_sources(write: WriteFile) -> None:
    write("zones/a.yaml", "{")
    write("c.yaml", "{")

    with pytest.raises(ConfigurationError) as caught:
        DesiredState(Path("zones"), Path("c.yaml"), None)

    assert [problem.source for problem in caught.value.problems] == ["c.yaml", "zones/a.yaml"]


def test_a_replaced_file_is_seen_although_size_and_time_are_the_same(write: WriteFile) -> None:
    file = write("a.yaml", "a: 1\n")
    before = file_signature(file)
    status = file.stat()
    write("b.yaml", "a: 2\n").replace(file)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert file_signature(file) != before


def test_a_folder_behind_a_link_is_followed(write: WriteFile) -> None:
    """As Kubernetes mounts a ConfigMap: files are links into a folder that is swapped."""
    write("v1/a.yaml", "a: 1\n")
    write("v2/a.yaml", "a: 1\n")
    Path("data").symlink_to("v1")
    Path("zones").mkdir()
    Path("zones/a.yaml").symlink_to("../data/a.yaml")
    before = folder_signature(Path("zones"))

    Path("next").symlink_to("v2")
    Path("next").rename("data")

    assert folder_signature(Path("zones")) != before


def test_the_report_warns_of_what_is_not_enforced_once(
    state: DesiredState, write: WriteFile, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "zonegate")
    limits = "  trafficControlPolicies: {maxProduceRate: 1}\n  headers: {removeOnConsume: [{keyRegex: x}]}\n"
    write("zones/b.yaml", zone("b", limits))
    write("zones/c.yaml", zone("c", "  trafficControlPolicies: {}\n  headers: {}\n"))
    assert state.refresh()

    state.report()
    state.report()

    assert caplog.messages == [
        "configuration loaded",
        "zone b sets spec.headers, which this version does not enforce yet",
        "configuration loaded",
    ]


def test_the_report_warns_of_credentials_that_fit_no_zone(
    state: DesiredState, write: WriteFile, caplog: pytest.LogCaptureFixture
) -> None:
    write("c.yaml", ENTRY.replace("zone: a", "zone: gone"))
    assert state.refresh()

    state.report()

    assert caplog.messages == ["zone gone has a credential, but there is no such zone"]


def test_the_report_warns_when_nobody_can_log_in(
    state: DesiredState, write: WriteFile, caplog: pytest.LogCaptureFixture
) -> None:
    write("c.yaml", "")
    assert state.refresh()

    state.report()

    assert caplog.messages == [
        "c.yaml holds no credential, so no partner can log in; 'zonegate credentials generate ZONE' adds one"
    ]


def test_what_an_edit_has_not_changed_are_the_same_objects(state: DesiredState, write: WriteFile) -> None:
    before, credentials = {zone.name: zone for zone in state.zones}, state.credentials
    write("zones/b.yaml", zone("b"))
    assert state.refresh()
    after = {zone.name: zone for zone in state.zones}
    assert after.keys() - before.keys() == {"b"}
    assert all(after[name] is zone for name, zone in before.items())
    assert all(one is other for one, other in zip(state.credentials, credentials, strict=True))
