"""What `zonegate --help` says of the commands, and how quickly."""

import subprocess
import sys

import pytest

from tests.unit.controlplane.test_cli import zonegate


@pytest.mark.parametrize(
    ("command", "example"),
    [
        (["apply"], "zonegate apply -f zones/ --dry-run --diff"),
        (["get"], "zonegate get PartnerZone external-partner-zone -o yaml > zone.yaml"),
        (["delete"], "zonegate delete -f zones/old/ --dry-run"),
        (["template"], "zonegate template PartnerZone --all --output zone.yaml"),
        (["explain"], "zonegate explain external-partner-zone --api Produce --alias topic-b"),
        (["status"], "zonegate status --output json"),
        (["completion"], "zonegate completion fish > ~/.config/fish/completions/zonegate.fish"),
        (["api-keys"], "zonegate api-keys create ci-pipeline > api-key"),
        (["api-keys", "create"], "zonegate api-keys create ci-pipeline > api-key"),
        (["api-keys", "list"], "zonegate api-keys list --output json"),
        (["api-keys", "revoke"], "zonegate api-keys revoke 5c0f8f5e"),
        (["credentials", "generate"], "zonegate credentials generate external-partner-zone --expires-in 30d"),
    ],
)
def test_help_teaches_with_an_example(command: list[str], example: str) -> None:
    result = zonegate(*command, "--help")

    assert result.exit_code == 0
    assert example in result.stdout


def test_help_tells_the_exit_codes() -> None:
    shown = " ".join(zonegate("--help").stdout.split())

    assert "Exit codes 0: done. 1: the server said no" in shown
    assert "4 and 5: 'apply --wait' found a zone FAILED, or not READY in time." in shown


def test_help_loads_no_more_than_it_shows() -> None:
    heavy = ("httpx", "kio", "fastapi", "aiokafka", "proxy.apis.table", "controlplane.partner_zone")
    loaded = subprocess.run(
        [sys.executable, "-c", f"import sys, controlplane.cli; print([n for n in {heavy} if n in sys.modules])"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert loaded.stdout == "[]\n"
