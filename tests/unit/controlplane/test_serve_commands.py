"""`zonegate serve`, `gateway` and `console`: what each of them runs, and how it ends when it can't."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from controlplane import console, serve
from controlplane.cli import app
from controlplane.serve import Plan
from controlplane.start_errors import StartError
from tests.kafka.ports import free_ports

ZONEGATE = Path(sys.executable).with_name("zonegate")
FILE = Path("zonegate.yaml")
DEADLINE_SECONDS = 60


@pytest.mark.parametrize(
    ("line", "plan"),
    [
        ("serve", Plan(None, None, None)),
        ("serve --config zonegate.yaml --workers 3", Plan(FILE, None, 3)),
        ("serve --config zonegate.yaml --zones zones", Plan(FILE, Path("zones"), None)),
        ("gateway --config zonegate.yaml", Plan(FILE, None, None, console=False)),
        ("gateway --workers 2", Plan(None, None, 2, console=False)),
    ],
)
def test_what_is_run(line: str, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZONEGATE_ZONES", raising=False)
    plans: list[Any] = []
    monkeypatch.setattr(serve, "run", plans.append)
    assert CliRunner().invoke(app, line.split()).exit_code == 0
    assert plans == [plan]


@pytest.mark.parametrize(("line", "config"), [("console", None), ("console --config zonegate.yaml", FILE)])
def test_a_console_alone(line: str, config: Path | None, monkeypatch: pytest.MonkeyPatch) -> None:
    configs: list[Any] = []
    monkeypatch.setattr(console, "run", configs.append)
    assert CliRunner().invoke(app, line.split()).exit_code == 0
    assert configs == [config]


@pytest.mark.parametrize("command", ["serve", "gateway", "console"])
def test_what_keeps_it_from_starting_is_said_in_one_line(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise StartError("the topic has 2 partitions")

    for module in (serve, console):
        monkeypatch.setattr(module, "run", fail)
    result = CliRunner().invoke(app, [command])
    assert (result.exit_code, result.stderr) == (1, "zonegate: the topic has 2 partitions\n")


def test_a_console_or_a_gateway_has_no_folder_of_zones() -> None:
    for command in ("gateway", "console"):
        assert CliRunner().invoke(app, [command, "--zones", "zones"]).exit_code == 2
    assert CliRunner().invoke(app, ["console", "--workers", "2"]).exit_code == 2


@pytest.mark.parametrize("command", [["serve"], ["serve", "--workers", "2"], ["console"]])
def test_a_rest_api_needs_a_key_to_begin_with(command: list[str], tmp_path: Path) -> None:
    port, admin, broker = free_ports(3)
    (tmp_path / "zonegate.yaml").write_text(
        f"listen: 127.0.0.1:{port}\nadmin_listen: 127.0.0.1:{admin}\nbroker_ports: {{start: {broker}}}\n"
        "cluster: {bootstrap.servers: '127.0.0.1:1'}\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ZONEGATE_")}
    line = [str(ZONEGATE), *command, "--config", "zonegate.yaml"]
    done = subprocess.run(
        line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "zonegate: console.api_key is missing: the REST API needs a key to begin with. Set it, for example to what "
        "'openssl rand -hex 24' prints (the variable is ZONEGATE_CONSOLE_API_KEY); or serve a folder of manifests with "
        "--zones, or a gateway without the API with 'zonegate gateway'"
    )
    assert "Traceback" not in done.stderr
