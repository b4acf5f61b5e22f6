"""The command line: what is printed where, and with which exit code."""

import importlib.metadata
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from controlplane.cli import app
from controlplane.credential_file import load_credentials
from controlplane.settings import Settings
from controlplane.start_errors import StartError
from controlplane.times import format_unix_time
from policies.credentials import verify_password
from tests.unit.controlplane.conftest import WriteFile

ZONE = """\
apiVersion: v2
kind: PartnerZone
metadata: {name: external-partner-zone}
spec:
  cluster: partner1
  serviceAccount: johndoe
  topics: [{name: topic-a, backingTopic: kafka-topic-a}]
"""


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("ZONEGATE_", "CDK_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "120")


def zonegate(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


@pytest.mark.parametrize(
    ("arguments", "example"),
    [
        ([], "zonegate apply -f pz.yaml --wait"),
        (["serve"], "ZONEGATE_CONSOLE_API_KEY=$(openssl rand -hex 24) zonegate serve --config zonegate.yaml"),
        (["gateway"], "zonegate gateway --config zonegate.yaml --workers 4"),
        (["console"], "ZONEGATE_CONSOLE_API_KEY=$(openssl rand -hex 24) zonegate console --config zonegate.yaml"),
        (["credentials"], "PASSWORD=$(zonegate credentials generate external-partner-zone --config zonegate.yaml)"),
        (["credentials", "generate"], "zonegate credentials generate external-partner-zone --credentials-file"),
        (["credentials", "list"], "zonegate credentials list --config zonegate.yaml --output json"),
        (["credentials", "revoke"], "zonegate credentials revoke 3f0c9a51d2e84b67 --config zonegate.yaml"),
    ],
)
def test_help_teaches_with_an_example(arguments: Sequence[str], example: str) -> None:
    result = zonegate(*arguments, "--help")

    assert result.exit_code == 0
    assert example in result.stdout


@pytest.mark.parametrize("columns", [80, 120])
def test_help_fills_the_terminal_s_lines(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = zonegate("serve", "--help").stdout.splitlines()

    begin = next(number for number, line in enumerate(lines) if line.startswith(" Zones and credentials"))
    end = next(number for number in range(begin, len(lines)) if not lines[number].strip())
    for line, following in pairwise(lines[begin:end]):
        assert len(line.strip()) + 1 + len(following.split()[0]) > columns - 2, "the next word had room"


def test_version() -> None:
    assert zonegate("version").stdout == f"zonegate {importlib.metadata.version('zonegate')}\n"


def test_the_password_alone_goes_to_standard_output(write: WriteFile) -> None:
    write("zones/a.yaml", ZONE)

    result = zonegate(
        "credentials", "generate", "external-partner-zone", "--credentials-file", "c.yaml", "--zones", "zones"
    )

    assert result.exit_code == 0
    (credential,) = load_credentials(Path("c.yaml"))
    assert credential.expires is not None
    assert 90 * 86_400 - 60 < credential.expires - time.time() <= 90 * 86_400
    password = result.stdout.removesuffix("\n")
    assert verify_password(password, credential.password_hash)
    assert password not in result.stderr
    assert result.stderr == (
        f"Credential {credential.id} of zone external-partner-zone; user name: johndoe; "
        f"expires: {format_unix_time(credential.expires or 0)}.\n"
        "The password is shown this once; c.yaml keeps only its hash.\n"
    )


def test_the_settings_name_the_credentials_file(write: WriteFile) -> None:
    write("etc/zonegate.yaml", "cluster: {id: partner1, bootstrap.servers: 'b:1'}\ncredentials_file: secrets.yaml\n")

    result = zonegate("credentials", "generate", "external-partner-zone", "--config", "etc/zonegate.yaml")

    assert result.exit_code == 0
    assert len(load_credentials(Path("etc/secrets.yaml"))) == 1


@pytest.mark.parametrize(
    ("zone", "message"),
    [
        ("external-partner-zon", "there is no zone 'external-partner-zon'; did you mean external-partner-zone?"),
        ("other", "there is no zone 'other'; the zones are: external-partner-zone"),
        ("Zone", "'Zone' is not a zone name; use 1 to 63 lower-case letters, digits, '_', '.' and '-'"),
    ],
)
def test_a_zone_that_does_not_exist_gets_no_password(write: WriteFile, zone: str, message: str) -> None:
    write("zones/a.yaml", ZONE)

    result = zonegate("credentials", "generate", zone, "--credentials-file", "c.yaml", "--zones", "zones")

    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"zonegate: {message}\n")
    assert not Path("c.yaml").exists()


def test_a_credentials_file_or_the_api_must_be_named() -> None:
    result = zonegate("credentials", "generate", "z")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "zonegate: set ZONEGATE_API_KEY (or CDK_API_KEY, or --api-key-file FILE) for the API; or name the credentials "
        "file: --credentials-file FILE, or --config FILE for settings that name it\n"
    )


def test_a_named_credentials_file_counts_more_than_the_settings(write: WriteFile) -> None:
    write("zonegate.yaml", "cluster: {bootstrap.servers: 'b:1'}\n")

    result = zonegate("credentials", "generate", "z", "--credentials-file", "c.yaml", "--config", "zonegate.yaml")

    assert result.exit_code == 0
    assert Path("c.yaml").exists()


def test_serve_reports_wrong_settings_without_a_stack_trace(write: WriteFile) -> None:
    write("zonegate.yaml", "listen: 0.0.0.0:99999\ncluster: {bootstrap.servers: 'b:1'}\nlgo: {}\n")
    write("zones/a.yaml", ZONE)

    result = zonegate("serve", "--config", "zonegate.yaml", "--zones", "zones")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "zonegate.yaml:1: listen: 99999 is not a port; use a number between 1 and 65535\n"
        "zonegate.yaml:3: lgo: unknown field; known here: listen, advertised_host, broker_ports, security_protocol, "
        "sasl_mechanisms, routing, sni, tls, listeners, cluster, clusters, oauth, principal_mapping_rules, "
        "credentials_file, admin_listen, secured_metrics, shutdown_grace_seconds, max_reauthentication_seconds, log, "
        "limits, passthrough, audit, workers, console, state_topic\n"
    )


@pytest.mark.parametrize(
    ("arguments", "environment", "workers"), [(["--workers", "3"], "2", 3), ([], "2", 2), ([], "", 1)]
)
def test_the_number_of_workers(
    write: WriteFile, monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str], environment: str, workers: int
) -> None:
    write("zonegate.yaml", "cluster: {bootstrap.servers: 'b:1'}\n")
    write("zones/a.yaml", ZONE)
    monkeypatch.setenv("ZONEGATE_WORKERS", environment)

    def start(settings: Settings, _sources: object, shared: bool) -> None:
        raise StartError(f"{settings.workers} would be started, shared: {shared}")

    monkeypatch.setattr("controlplane.serve.Inputs", start)

    result = zonegate("serve", "--config", "zonegate.yaml", "--zones", "zones", *arguments)

    assert result.stderr == f"zonegate: {workers} would be started, shared: {workers > 1}\n"


def test_serve_reports_wrong_zones_and_credentials_together(write: WriteFile) -> None:
    write("zonegate.yaml", "cluster: {id: main, bootstrap.servers: 'b:1'}\n")
    write("credentials.yaml", "- id: one\n")
    write("zones/a.yaml", ZONE)

    result = zonegate("serve", "--config", "zonegate.yaml", "--zones", "zones")

    assert result.exit_code == 2
    assert [line.partition(": ")[0] for line in result.stderr.splitlines()] == [
        "credentials.yaml:1",
        "credentials.yaml:1",
        "credentials.yaml:1",
        "zones/a.yaml:5",
    ]


def test_commands_run_at_the_same_time(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from controlplane.cli import main; main()", "credentials", "generate"]
    file = tmp_path / "c.yaml"
    processes = [
        subprocess.Popen(
            [*command, f"zone-{number}", "--credentials-file", str(file)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]

    passwords = {f"zone-{number}": process.communicate()[0].strip() for number, process in enumerate(processes)}

    assert [process.returncode for process in processes] == [0, 0, 0, 0]
    credentials = load_credentials(file)
    assert len(credentials) == 4
    assert all(verify_password(passwords[entry.zone], entry.password_hash) for entry in credentials)
