"""Several workers as real processes, in front of one made-up broker: how they live and end."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.kafka.ports import free_ports
from tests.kafka.waiting import wait_until
from tests.unit.controlplane.test_cli import ZONE
from tests.unit.proxy.fake_broker import FakeBroker
from tests.workers import is_alive, workers_of

DEADLINE_SECONDS = 60.0

ZONEGATE = Path(sys.executable).with_name("zonegate")

OF_EACH = ("upstream", "too_few_descriptors")
"""What each worker may say in its own time, and what depends on the machine."""

PASSWORD = "of-an-admin-who-may-see-it-all"


class Broker:
    """A broker in a thread of its own: broker 1, and all of its cluster."""

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._broker = FakeBroker()
        asyncio.run_coroutine_threadsafe(self._broker.__aenter__(), self._loop).result(DEADLINE_SECONDS)
        self.port = self._broker.address[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._broker.__aexit__(None, None, None), self._loop).result(DEADLINE_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Served:
    """`zonegate serve --workers 2` with files of its own."""

    def __init__(self, folder: Path, broker: Broker) -> None:
        self.folder = folder
        self.port, self.admin_port, self.broker_port = free_ports(3)
        (folder / "zones").mkdir()
        (folder / "zones" / "a.yaml").write_text(ZONE)
        (folder / "zonegate.yaml").write_text(
            textwrap.dedent(f"""\
                listen: 127.0.0.1:{self.port}
                admin_listen: 127.0.0.1:{self.admin_port}
                broker_ports: {{start: {self.broker_port}, min_broker_id: 1}}
                cluster: {{bootstrap.servers: "127.0.0.1:{broker.port}"}}
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
            command = [str(ZONEGATE), "serve", "--config", "zonegate.yaml", "--zones", "zones", "--workers", "2"]
            self._process = subprocess.Popen(command, cwd=self.folder, stdout=audit, stderr=log)

    def workers(self) -> dict[int, int]:
        """Number -> process id."""
        assert self._process is not None
        found = workers_of(self._process.pid)
        self.seen |= set(found.values())
        return found

    def wait_ready(self) -> dict[int, int]:
        """Its workers, once all are ready."""
        wait_until(self.is_ready, "two workers that are ready", DEADLINE_SECONDS)
        return self.workers()

    def is_ready(self) -> bool:
        answer = self.get("/health/ready")
        return answer is not None and answer.json() == {"status": "READY"}

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


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Served]:
    with Broker() as broker:
        yield Served(tmp_path, broker)


@pytest.fixture
def served(files: Served) -> Iterator[Served]:
    with files:
        yield files


def test_a_worker_that_is_killed_is_started_again_and_a_signal_stops_all(served: Served) -> None:
    before = served.wait_ready()
    os.kill(before[1], signal.SIGKILL)
    wait_until(lambda: served.metrics("zonegate_worker_restarts_total") == {"0": 0, "1": 1}, "a restart", 10)
    after = served.wait_ready()
    assert after[0] == before[0]
    assert after[1] != before[1]
    assert served.metrics("zonegate_worker_up") == {"0": 1, "1": 1}
    assert served.metrics("zonegate_upstream_reachable") == {"0": 1, "1": 1}
    login = httpx.BasicAuth("admin", PASSWORD)
    address = f"http://127.0.0.1:{served.admin_port}/admin/vclusters/v1/vcluster/passthrough/username/admin"
    assert httpx.post(address, auth=login).status_code == 201

    served.signal(signal.SIGTERM)
    assert served.wait() == 0
    assert not any(map(is_alive, served.seen))
    log = served.log()
    said = [(entry["event"], entry.get("worker")) for entry in log if entry["event"] not in OF_EACH]
    assert said == [
        ("configuration_loaded", 0),
        ("no_credentials", 0),
        *(("listening", 0), ("listening", 0)),
        ("ready", None),
        *(("worker_ended", 1), ("worker_ready", 1)),
        ("passthrough_issued", None),
        *(("stopping", None), ("stopped", None)),
    ]
    assert [entry["message"] for entry in log if entry["event"] == "worker_ended"] == [
        "worker 1 was ended by SIGKILL; it is started again in 1 s"
    ]
    assert sorted((line["event"], line.get("worker", "")) for line in served.audit() if line.get("worker") != 0) == [
        ("admin_token", ""),
        *(("gateway_start", 1), ("gateway_start", 1)),
        ("gateway_stop", 1),
    ]


def test_nobody_outlives_a_supervisor_that_is_killed(served: Served) -> None:
    workers = served.wait_ready()

    served.signal(signal.SIGKILL)
    served.wait()

    wait_until(lambda: not any(map(is_alive, workers.values())), "the workers' end", DEADLINE_SECONDS)
    stopped = [line["worker"] for line in served.audit() if line["event"] == "gateway_stop"]
    assert sorted(stopped) == [0, 1], "they stop gracefully"


def test_a_second_signal_ends_all_at_once(served: Served) -> None:
    workers = served.wait_ready()
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


def test_a_brokers_port_that_is_taken_ends_the_command(files: Served) -> None:
    with socket.create_server(("127.0.0.1", files.broker_port)), files:
        assert files.wait() == 1
    *_, last = files.log_text().splitlines()
    assert last == (
        f"zonegate: broker_ports.start: 127.0.0.1:{files.broker_port} is in use by another process; "
        "free it or set another address"
    )


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
