"""Several workers as real processes, in front of a Kafka that never answers: how they live and end."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.kafka.ports import free_ports
from tests.kafka.waiting import wait_until
from tests.unit.controlplane.test_cli import ZONE

DEADLINE_SECONDS = 30.0

ZONEGATE = Path(sys.executable).with_name("zonegate")

PASSWORD = "of-an-admin-who-may-see-it-all"


class Served:
    """`zonegate serve --workers 2` with files of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.admin_port, nobody = free_ports(3)
        (folder / "zones").mkdir()
        (folder / "zones" / "a.yaml").write_text(ZONE)
        (folder / "zonegate.yaml").write_text(
            textwrap.dedent(f"""\
                listen: 127.0.0.1:{self.port}
                admin_listen: 127.0.0.1:{self.admin_port}
                cluster: {{bootstrap.servers: "127.0.0.1:{nobody}"}}
                passthrough: {{username: admin, password: {PASSWORD}}}
                log: {{format: json}}
                """)
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.launch()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
        if self._process is not None:
            self._process.wait()
        wait_until(lambda: not any(map(is_alive, self.seen)), "the workers' end", DEADLINE_SECONDS)

    def launch(self) -> None:
        self.seen: set[int] = set()
        with (self.folder / "log").open("ab") as log, (self.folder / "audit").open("ab") as audit:
            command = [ZONEGATE, "serve", "--config", "zonegate.yaml", "--zones", "zones", "--workers", "2"]
            self._process = subprocess.Popen(command, cwd=self.folder, stdout=audit, stderr=log)

    def workers(self) -> dict[int, int]:
        """Number -> process id."""
        assert self._process is not None
        lines = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        rows = [line.split() for line in lines]
        found = {
            int(row[row.index("controlplane.worker") + 1]): int(row[0])
            for row in rows
            if row[1] == str(self._process.pid) and "controlplane.worker" in row
        }
        self.seen |= set(found.values())
        return found

    def wait_up(self) -> dict[int, int]:
        wait_until(lambda: self.metrics("zonegate_worker_up") == {"0": 1, "1": 1}, "two workers", DEADLINE_SECONDS)
        return self.workers()

    def get(self, path: str) -> httpx.Response | None:
        try:
            return httpx.get(f"http://127.0.0.1:{self.admin_port}{path}", timeout=DEADLINE_SECONDS)
        except httpx.TransportError:
            return None

    def metrics(self, name: str) -> dict[str, float]:
        """Worker -> value."""
        answer = self.get("/metrics")
        return {
            sample.labels["worker"]: sample.value
            for family in text_string_to_metric_families(answer.text if answer is not None else "")
            for sample in family.samples
            if sample.name == name
        }

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        assert self._process is not None
        return self._process.wait(DEADLINE_SECONDS)

    def log_text(self) -> str:
        return (self.folder / "log").read_text()

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_text().splitlines()]

    def audit(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "audit").read_text().splitlines()]


def is_alive(pid: int) -> bool:
    """A process that has ended and that nobody has asked about is not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


@pytest.fixture
def files(tmp_path: Path) -> Served:
    return Served(tmp_path)


@pytest.fixture
def served(files: Served) -> Iterator[Served]:
    with files:
        yield files


def test_a_worker_that_is_killed_is_started_again_and_a_signal_stops_all(served: Served) -> None:
    before = served.wait_up()
    answer = served.get("/health/ready")
    assert answer is not None
    assert answer.status_code == 503
    assert answer.json()["reason"].startswith("worker 0: the Kafka cluster does not answer")

    os.kill(before[1], signal.SIGKILL)

    wait_until(lambda: served.metrics("zonegate_worker_restarts_total") == {"0": 0, "1": 1}, "a restart", 10)
    after = served.wait_up()
    assert after[0] == before[0]
    assert after[1] != before[1]
    login = httpx.BasicAuth("admin", PASSWORD)
    address = f"http://127.0.0.1:{served.admin_port}/admin/vclusters/v1/vcluster/passthrough/username/admin"
    assert httpx.post(address, auth=login).status_code == 201

    served.signal(signal.SIGTERM)
    assert served.wait() == 0
    assert not any(map(is_alive, served.seen))
    log = served.log()
    said = [(entry["event"], entry.get("worker")) for entry in log]
    assert said.count(("configuration_loaded", 0)) == 1
    assert [worker for event, worker in said if event == "no_credentials"] == [0]
    assert [entry["message"] for entry in log if entry["event"] == "worker_ended"] == [
        "worker 1 was ended by SIGKILL; it is started again in 1 s"
    ]
    assert said[-2:] == [("stopping", None), ("stopped", None)]
    assert sorted((line["event"], line.get("worker", "")) for line in served.audit() if line.get("worker") != 0) == [
        ("admin_token", ""),
        ("gateway_stop", 1),
    ]


def test_nobody_outlives_a_supervisor_that_is_killed(served: Served) -> None:
    workers = served.wait_up()

    served.signal(signal.SIGKILL)
    served.wait()

    wait_until(lambda: not any(map(is_alive, workers.values())), "the workers' end", DEADLINE_SECONDS)
    assert [line["event"] for line in served.audit()] == ["gateway_stop"] * 2, "they stop gracefully"


def test_a_second_signal_ends_all_at_once(served: Served) -> None:
    workers = served.wait_up()
    os.kill(workers[1], signal.SIGSTOP)  # it doesn't hear that it is to stop
    served.signal(signal.SIGTERM)
    wait_until(lambda: not is_alive(workers[0]), "the end of the one that hears", DEADLINE_SECONDS)
    assert is_alive(workers[1])

    served.signal(signal.SIGTERM)

    assert served.wait() == 128 + signal.SIGTERM
    wait_until(lambda: not is_alive(workers[1]), "the other's end", DEADLINE_SECONDS)


@pytest.mark.parametrize("setting", ["listen", "admin_listen"])
def test_a_port_that_is_taken_ends_the_command(files: Served, setting: str) -> None:
    port = files.port if setting == "listen" else files.admin_port
    with socket.create_server(("127.0.0.1", port)), files:
        assert files.wait() == 1
        assert files.workers() == {}
    *_, last = files.log_text().splitlines()
    assert last == f"zonegate: {setting}: 127.0.0.1:{port} is in use by another process; free it or set another address"


def test_wrong_settings_end_the_command(files: Served) -> None:
    (files.folder / "zones" / "b.yaml").write_text("kind: PartnerZone\n")
    with files:
        assert files.wait() == 2
    assert {line.partition(":")[0] for line in files.log_text().splitlines()} == {"zones/b.yaml"}


_HANGING = """
import socket, sys, time
from controlplane.worker import LastResort
LastResort(int(sys.argv[1])).seconds = 0
print("hanging", flush=True)
time.sleep(600)
"""


def test_a_worker_that_hangs_without_a_supervisor_ends_itself() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen(
            [sys.executable, "-c", _HANGING, str(theirs.fileno())], pass_fds=[theirs.fileno()], stdout=subprocess.PIPE
        )
        theirs.close()
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"hanging\n"
            ours.close()

            assert process.wait(DEADLINE_SECONDS) == 1
        finally:
            process.kill()
            process.communicate()
