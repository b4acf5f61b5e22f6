"""What a partner is given with new credentials does what it says, as it is: saved to files, and run."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from controlplane.client_snippets import client_snippets
from controlplane.zone_service import ClientAccess
from tests.integration.clients import kcat
from tests.integration.clients.base import NotAuthenticated
from tests.integration.clients.librdkafka import Librdkafka
from tests.integration.gateway import manifest
from tests.integration.world import Account, World
from tests.kafka.waiting import wait_until

pytestmark = pytest.mark.kafka

ODD = "o'dd \"one\\; $HOME `x` %s {x} é€😀 \\u0041"
"""A service account with whatever some language takes for its own."""

ZONE = "snippets-zone"
VALUES = [f"snippet-{number}" for number in range(10)]
RUN_SECONDS = 60.0
WITHIN_SECONDS = 10.0


@pytest.fixture(scope="module")
def aliases(world: World) -> list[str]:
    return sorted(world.topic().alias for _ in range(2))


@pytest.fixture(scope="module")
def account(world: World, aliases: list[str]) -> Account:
    rows = [(alias, backing, "WRITE") for alias, backing, _ in world.supplier_rows() if alias in aliases]
    world.gateway.write_zone(manifest(ZONE, ODD, rows))
    account = Account(world.gateway.bootstrap, ZONE, ODD, world.gateway.new_password(ZONE))
    wait_until(lambda: _lets_in(account), "the zone in force", WITHIN_SECONDS)
    Librdkafka(account).produce(aliases[0], VALUES)
    return account


def _lets_in(account: Account) -> bool:
    try:
        return bool(Librdkafka(account).topics())
    except NotAuthenticated:
        return False


@pytest.fixture
def folder(account: Account, aliases: list[str], tmp_path: Path) -> Path:
    access = ClientAccess(account.bootstrap, "SASL_PLAINTEXT", "PLAIN", account.user)
    for each in client_snippets(access, account.password, aliases[0]):
        (tmp_path / each.file_name).write_text(each.text, encoding="utf-8")
    return tmp_path


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=RUN_SECONDS, check=False, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_python(folder: Path, aliases: list[str]) -> None:
    lines = run(folder, sys.executable, "consume.py").splitlines()
    assert lines[:2] == aliases
    assert sorted(lines[2:]) == sorted(str(value.encode()) for value in VALUES)


@pytest.mark.skipif(not kcat.installed(), reason="kcat is not installed")
def test_librdkafka(folder: Path, aliases: list[str]) -> None:
    first = (folder / "librdkafka.config").read_text(encoding="utf-8").splitlines()[0]
    shown = run(folder, *shlex.split(first.removeprefix("# ")))
    assert [line.split('"')[1] for line in shown.splitlines() if line.startswith('  topic "')] == aliases


def test_kafka_topics(world: World, folder: Path, aliases: list[str]) -> None:
    tool, *arguments = shlex.split((folder / "list-topics.sh").read_text(encoding="utf-8"))
    arguments[arguments.index("config.properties")] = str(folder / "config.properties")
    done = world.kafka.run_tool(tool, arguments)
    assert (done.returncode, done.stdout.split()) == (0, aliases), done.stderr


def test_java(world: World, folder: Path, aliases: list[str]) -> None:
    done = world.kafka.run_java(folder / "ListTopics.java", [])
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split()) == aliases
