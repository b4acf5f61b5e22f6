"""`zonegate apply`, and what it reads."""

import json
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from controlplane.cli import app
from controlplane.commands import waiting
from controlplane.manifests import load_partner_zones
from controlplane.problems import ConfigurationError
from tests.unit.controlplane.commands.conftest import zone
from tests.unit.controlplane.commands.fake_api import FakeApi
from tests.unit.controlplane.conftest import WriteFile
from tests.unit.controlplane.test_cli import ZONE, zonegate

NAME = "PartnerZone/external-partner-zone"


def manifest(name: str, account: str) -> str:
    return ZONE.replace("external-partner-zone", name).replace("johndoe", account)


def test_created_updated_not_changed(api: FakeApi, write: WriteFile) -> None:
    file = write("a.yaml", ZONE)
    assert (result := zonegate("apply", "-f", "a.yaml")).stdout == f"{NAME}: Created\n"
    assert (result.exit_code, result.stderr) == (0, "")
    assert zonegate("apply", "-f", "a.yaml").stdout == f"{NAME}: NotChanged\n"
    file.write_text(ZONE.replace("kafka-topic-a", "kafka-topic-b"))
    assert zonegate("apply", "-f", "a.yaml").stdout == f"{NAME}: Updated\n"

    assert api.calls == ["PUT /api/public/console/v2/partner-zone?dryMode=false"] * 3
    assert json.loads(api.requests[0].content) == {
        "apiVersion": "v2",
        "kind": "PartnerZone",
        "metadata": {"name": "external-partner-zone"},
        "spec": {
            "cluster": "partner1",
            "serviceAccount": "johndoe",
            "topics": [{"name": "topic-a", "backingTopic": "kafka-topic-a"}],
        },
    }


def test_a_dry_run_changes_nothing(api: FakeApi, write: WriteFile) -> None:
    write("a.yaml", ZONE)
    result = zonegate("apply", "-f", "a.yaml", "--dry-run", "--wait")

    assert (result.exit_code, result.stdout) == (0, f"{NAME}: Created (dry-run)\n")
    assert api.calls == ["PUT /api/public/console/v2/partner-zone?dryMode=true"]
    assert api.zones == {}


def test_what_get_shows_can_be_applied(api: FakeApi, write: WriteFile) -> None:
    api.store(zone(displayName="External"))
    write("got.yaml", zonegate("get", "pz", "-o", "yaml").stdout)

    assert zonegate("apply", "-f", "got.yaml").stdout == f"{NAME}: NotChanged\n"


def test_files_folders_and_standard_input_in_their_order(api: FakeApi, write: WriteFile) -> None:
    write("z/b.yml", manifest("b", "b"))
    write("z/a.yaml", manifest("a2", "a2") + "---\n# nothing\n---\n" + manifest("a1", "a1"))
    write("z/inner/c.yaml", manifest("c", "c"))
    write("z/.git/x.yaml", "not ours")
    write("z/.hidden.yaml", "not ours")
    write("z/readme.md", "not ours")
    write("other.txt", manifest("d", "d"))

    def applied(*arguments: str) -> list[str]:
        result = CliRunner().invoke(app, ["apply", "--dry-run", *arguments], input=manifest("stdin", "stdin"))
        assert result.exit_code == 0, result.stderr
        return [line.split(":")[0].removeprefix("PartnerZone/") for line in result.stdout.splitlines()]

    assert applied("-f", "z") == ["a2", "a1", "b"]
    assert applied("-r", "-f", "z") == ["a2", "a1", "b", "c"]
    assert applied("-f", "other.txt", "--file", "-", "--file", "z/b.yml") == ["d", "stdin", "b"]


def test_nothing_to_apply(api: FakeApi, write: WriteFile) -> None:
    write("empty/readme.md", "")
    result = zonegate("apply", "-f", "empty")

    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "No resources found to apply\n")


def test_nothing_is_sent_when_one_file_is_wrong(api: FakeApi, write: WriteFile) -> None:
    write("z/a.yaml", ZONE)
    write("z/b.yaml", manifest("b", "johndoe"))
    write("z/c.yaml", manifest("c", "c").replace("cluster", "clutser"))
    write("z/d.yaml", "a: [")
    write("z/e.yaml", "kind: Topic")
    result = zonegate("apply", "-f", "z")

    assert (result.exit_code, result.stdout, api.requests) == (2, "", [])
    assert result.stderr == (
        "z/b.yaml:6: spec.serviceAccount: 'johndoe' belongs to zone 'external-partner-zone' already (z/a.yaml:6); a "
        "service account belongs to one zone only\n"
        "z/c.yaml:4: spec.cluster: is missing; add it, for example 'cluster: partner1'\n"
        "z/c.yaml:5: spec.clutser: unknown field; did you mean cluster?\n"
        "z/d.yaml:2: is not valid YAML: did not find expected node content, while parsing a flow node\n"
        "z/e.yaml:1: kind: 'Topic' is not known here; the only kind is PartnerZone\n"
    )
    with pytest.raises(ConfigurationError) as served:
        load_partner_zones(Path("z"))
    assert result.stderr == f"{served.value}\n", "'serve --zones' says the same"


def test_files_that_cannot_be_read(api: FakeApi, write: WriteFile) -> None:
    write("a.yaml", ZONE)
    result = CliRunner().invoke(app, ["apply", "-f", "missing.yaml", "-f", "a.yaml", "-f", "-"], input=b"\xff")

    assert (result.exit_code, result.stdout, api.requests) == (2, "", [])
    assert result.stderr == "<stdin>: is not UTF-8 text\nmissing.yaml: cannot be read: No such file or directory\n"


def test_failures_do_not_stop_the_others(api: FakeApi, write: WriteFile) -> None:
    api.store(zone("holder", "johndoe"))
    write("a.yaml", ZONE + "---\n" + manifest("b", "b"))
    result = zonegate("apply", "-f", "a.yaml")

    assert (result.exit_code, result.stdout) == (1, "PartnerZone/b: Created\n")
    assert result.stderr == f"Could not apply resource {NAME}: johndoe is taken\n"


def test_variables(api: FakeApi, write: WriteFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCOUNT", "from-environment")
    monkeypatch.setenv("TOPICS", "[{name: a, backingTopic: b}]")
    text = ZONE.replace("johndoe", "${ACCOUNT}").replace("partner1", "${CLUSTER:-main} # ${NOBODY}")
    write("a.yaml", text.replace("[{name: topic-a, backingTopic: kafka-topic-a}]", "${TOPICS}"))

    assert zonegate("apply", "-f", "a.yaml").exit_code == 0
    spec = api.zones["external-partner-zone"]["spec"]
    assert (spec["serviceAccount"], spec["cluster"]) == ("from-environment", "main")
    assert spec["topics"] == [{"name": "a", "backingTopic": "b", "permission": "READ"}]


def test_missing_variables(api: FakeApi, write: WriteFile) -> None:
    write("a.yaml", ZONE.replace("johndoe", "${ACCOUNT}").replace("partner1", "${CLUSTER}"))
    write("b.yaml", manifest("b", "b") + "  displayName: x${TITLE}\n")
    result = zonegate("apply", "-f", "a.yaml", "-f", "b.yaml")

    assert (result.exit_code, api.requests) == (2, [])
    assert result.stderr == (
        "a.yaml:5: Missing environment variables: CLUSTER, ACCOUNT\nb.yaml:8: Missing environment variables: TITLE\n"
    )
    result = zonegate("apply", "-f", "b.yaml", "--permissive")
    assert (result.exit_code, api.zones["b"]["spec"]["displayName"]) == (0, "x")


def test_complaints_name_the_line_of_the_file(api: FakeApi, write: WriteFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELS", "{\na: b,\nc: d}")
    write("a.yaml", ZONE.replace("zone}", "zone, labels: ${LABELS}}").replace("serviceAccount", "serviceAcount"))
    result = zonegate("apply", "-f", "a.yaml")

    assert "a.yaml:6: spec.serviceAcount: unknown field; did you mean serviceAccount?\n" in result.stderr


def test_the_diff_of_what_is_stored(api: FakeApi, write: WriteFile) -> None:
    api.store(zone(displayName="Old"))
    write("a.yaml", ZONE)
    result = zonegate("apply", "-f", "a.yaml", "--diff", "--dry-run")

    assert result.exit_code == 0
    assert result.stdout == (
        f"--- {NAME} (stored)\n"
        f"+++ {NAME} (a.yaml)\n"
        "@@ -3,9 +3,8 @@\n"
        "     serviceAccount: johndoe\n"
        "     type: PLAIN\n"
        "   cluster: partner1\n"
        "-  displayName: Old\n"
        "   serviceAccount: johndoe\n"
        "   topics:\n"
        "   - backingTopic: kafka-topic-a\n"
        "     name: topic-a\n"
        "-    permission: WRITE\n"
        "+    permission: READ\n"
        f"{NAME}: Updated (dry-run)\n"
    )


def test_the_diff_of_what_is_new(api: FakeApi, write: WriteFile) -> None:
    write("a.yaml", ZONE.replace("zone}", "zone, labels: {b: c, a: d}}"))
    result = zonegate("apply", "-f", "a.yaml", "--diff")

    assert result.stdout == (
        f"--- {NAME} (new)\n"
        f"+++ {NAME} (a.yaml)\n"
        "@@ -0,0 +1,13 @@\n"
        "+labels:\n"
        "+  a: d\n"
        "+  b: c\n"
        "+spec:\n"
        "+  authenticationMode:\n"
        "+    serviceAccount: johndoe\n"
        "+    type: PLAIN\n"
        "+  cluster: partner1\n"
        "+  serviceAccount: johndoe\n"
        "+  topics:\n"
        "+  - backingTopic: kafka-topic-a\n"
        "+    name: topic-a\n"
        "+    permission: READ\n"
        f"{NAME}: Created\n"
    )


def test_no_diff_where_only_the_spelling_differs(api: FakeApi, write: WriteFile) -> None:
    api.store(zone(topics=[{"name": "topic-a", "backingTopic": "kafka-topic-a"}]))
    write("a.yaml", ZONE.replace("serviceAccount: johndoe", "authenticationMode: {serviceAccount: johndoe}"))

    assert zonegate("apply", "-f", "a.yaml", "--diff").stdout == f"{NAME}: NotChanged\n"


def test_the_diff_with_a_newer_server(api: FakeApi, write: WriteFile) -> None:
    api.store(zone())["spec"]["newer"] = 1
    write("a.yaml", ZONE)

    assert "-  newer: 1\n" in zonegate("apply", "-f", "a.yaml", "--diff", "--dry-run").stdout


@pytest.mark.usefixtures("terminal")
def test_a_diff_is_coloured_on_a_terminal(api: FakeApi, write: WriteFile) -> None:
    api.store(zone(displayName="[bold]Old"))
    write("a.yaml", ZONE)
    shown = zonegate("apply", "-f", "a.yaml", "--diff", "--dry-run").stdout

    assert "\x1b[31m-  displayName: '[bold]Old'\x1b[0m\n" in shown
    assert "\x1b[32m+    permission: READ\x1b[0m\n" in shown


def test_a_diff_that_cannot_be_made_is_a_failure(api: FakeApi, write: WriteFile) -> None:
    write("a.yaml", ZONE)
    api.instead = lambda request: httpx.Response(503, json={"title": "out of reach"})
    result = zonegate("apply", "-f", "a.yaml", "--diff")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"Could not apply resource {NAME}: out of reach\n"


class Clock:
    """Time passes by sleeping only."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(waiting, "time", clock)
    return clock


@pytest.mark.parametrize(
    ("option", "statuses", "code", "seconds", "stderr"),
    [
        ("--wait", ["READY"], 0, 0, ""),
        ("--wait", ["PENDING", "PENDING", "READY"], 0, 1, ""),
        ("--wait=5", ["PENDING", "FAILED"], 4, 0.5, f"{NAME}: FAILED: topic kafka-topic-a does not exist\n"),
        ("--wait=2", ["PENDING"], 5, 2, f"{NAME}: not READY after 2 s\n"),
        ("--wait", ["PENDING"], 5, 60, f"{NAME}: not READY after 60 s\n"),
        ("--wait=0", ["PENDING"], 5, 0, f"{NAME}: not READY after 0 s\n"),
    ],
)
def test_waiting(
    api: FakeApi,
    write: WriteFile,
    clock: Clock,
    option: str,
    statuses: Sequence[str],
    code: int,
    seconds: float,
    stderr: str,
) -> None:
    api.statuses["external-partner-zone"] = list(statuses)
    write("a.yaml", ZONE)
    result = zonegate("apply", "-f", "a.yaml", option)

    assert (result.exit_code, result.stdout, result.stderr) == (code, f"{NAME}: Created\n", stderr)
    assert clock.now == seconds


def test_waiting_for_several(api: FakeApi, write: WriteFile, clock: Clock) -> None:
    api.statuses = {"a": ["PENDING", "READY"], "b": ["PENDING"], "c": ["FAILED"]}
    write("a.yaml", "---\n".join(manifest(name, name) for name in "abc"))
    result = zonegate("apply", "-f", "a.yaml", "--wait=1")

    assert result.exit_code == 4, "FAILED counts more than what may still come"
    assert result.stderr == (
        "PartnerZone/c: FAILED: topic kafka-topic-a does not exist\nPartnerZone/b: not READY after 1 s\n"
    )


def test_what_was_not_applied_is_not_waited_for(api: FakeApi, write: WriteFile, clock: Clock) -> None:
    api.store(zone("holder", "johndoe"))
    write("a.yaml", ZONE + "---\n" + manifest("b", "b"))

    assert zonegate("apply", "-f", "a.yaml", "--wait").exit_code == 1
    assert [call for call in api.calls if call.startswith("GET")] == ["GET /api/public/console/v2/partner-zone/b"]


def test_some_file_must_be_named(api: FakeApi) -> None:
    assert zonegate("apply").exit_code == 2
    assert zonegate("apply", "-f", "a.yaml", "--wait=soon").exit_code == 2
