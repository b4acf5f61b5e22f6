"""The real `zonegate serve` in a process of its own, configured through its files and its command line.

It ends with the run that started it, even when that is killed: see tests/kafka/watchdog.py.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Literal, Self

import httpx
import yaml
from prometheus_client.parser import text_string_to_metric_families

import tests.kafka.watchdog
from tests.kafka.waiting import wait_until

START_SECONDS = 90.0
"""A process is ready within two; several that start beside clusters and clients, on a busy machine, take their time."""

STOP_SECONDS = 15.0
LOG_SECONDS = 30.0
COMMAND_SECONDS = 30.0

ZONEGATE = Path(sys.executable).with_name("zonegate")

Manifest = Mapping[str, object]

Command = Literal["files", "serve", "gateway", "console"]
"""What is run: with a folder of manifests, or with the state topic."""


def manifest(
    zone: str, user: str, topics: Sequence[tuple[str, str, str]], mode: str = "PLAIN", cluster: str = "partner1"
) -> Manifest:
    """A PartnerZone; topics are (alias, backing topic, permission)."""
    account = {"authenticationMode": {"type": mode, "serviceAccount": user}}
    return {
        "apiVersion": "v2",
        "kind": "PartnerZone",
        "metadata": {"name": zone},
        "spec": {
            "cluster": cluster,
            **({"serviceAccount": user} if mode == "PLAIN" else account),
            "topics": [
                {"name": alias, "backingTopic": topic, "permission": permission} for alias, topic, permission in topics
            ],
        },
    }


class Gateway:
    """One gateway: `start`, `stop`, and its files in between. `port` is the bootstrap port, the brokers' follow it."""

    def __init__(
        self,
        bootstrap: str,
        broker_ids: Sequence[int],
        host: str,
        advertised_host: str,
        ports: Sequence[int],
        upstream: Mapping[str, str] = MappingProxyType({}),
        settings: Mapping[str, object] = MappingProxyType({}),
        workers: int = 1,
        command: Command = "files",
    ) -> None:
        """`upstream` holds further settings for the connections to the brokers, under the names of Kafka's clients;
        `settings` any others. With `listeners` among them, the first of these has the host and ports given here.
        """
        self.host = host
        self.port, self._first_broker_port, *_, self.admin_port = ports
        self._min_broker_id = min(broker_ids)
        self.ready_at = f"http://127.0.0.1:{self.admin_port}/health/ready"
        self.folder = Path(tempfile.mkdtemp(prefix="zonegate-gateway-"))
        self.zones = self.folder / "zones"
        self.zones.mkdir()
        self._config = self.folder / "zonegate.yaml"
        self._log = self.folder / "zonegate.log"
        self.audit_file = self.folder / "audit.jsonl"
        """Its standard output, where audit lines go unless it is configured otherwise."""
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog = self._start_watchdog()
        self.bootstrap = f"{advertised_host}:{self.port}"
        listener = {
            "listen": f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}",
            "advertised_host": advertised_host,
            "broker_ports": {"start": self._first_broker_port, "min_broker_id": self._min_broker_id},
        }
        whole = {
            **({} if "listeners" in settings else listener),
            "cluster": {"bootstrap.servers": bootstrap, **upstream},
            "credentials_file": "credentials.yaml",
            "admin_listen": f"127.0.0.1:{self.admin_port}",
            "log": {"format": "json"},
            "workers": workers,
            **settings,
        }
        self._config.write_text(yaml.safe_dump(whole), encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def broker_port(self, broker_id: int) -> int:
        return self._first_broker_port + broker_id - self._min_broker_id

    def _start_watchdog(self) -> subprocess.Popen[str]:
        program = tests.kafka.watchdog.__file__
        command = [sys.executable, "-I", program, str(self.folder)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, text=True, start_new_session=True)

    def _tell_watchdog(self, line: str) -> None:
        assert self._watchdog.stdin is not None
        self._watchdog.stdin.write(line + "\n")
        self._watchdog.stdin.flush()

    # its files

    def write_zone(self, zone: Manifest) -> None:
        """Write or replace a zone's manifest, as a whole."""
        metadata = zone["metadata"]
        assert isinstance(metadata, Mapping)
        path = self.zones / f"{metadata['name']}.yaml"
        written = path.with_suffix(".new")
        written.write_text(yaml.safe_dump(zone), encoding="utf-8")
        written.rename(path)

    def set(self, **settings: object) -> None:
        """Further settings, in force from the next start on."""
        known = yaml.safe_load(self._config.read_text(encoding="utf-8"))
        self._config.write_text(yaml.safe_dump({**known, **settings}), encoding="utf-8")

    def new_password(self, zone: str, *options: str) -> str:
        return self.credentials("generate", zone, "--zones", str(self.zones), *options).strip()

    def credentials(self, command: str, *arguments: str) -> str:
        """What `zonegate credentials COMMAND` prints."""
        line = [str(ZONEGATE), "credentials", command, *arguments, "--config", str(self._config)]
        done = subprocess.run(line, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def revoke_credentials(self, zone: str) -> None:
        """Remove all of a zone's entries, as an operator would with an editor."""
        path = self.folder / "credentials.yaml"
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
        kept = [entry for entry in entries if entry["zone"] != zone]
        assert len(kept) < len(entries)
        path.write_text(yaml.safe_dump(kept), encoding="utf-8")

    # its process

    def launch(self) -> None:
        """Start the process, ready or not."""
        subcommand = "serve" if self._command == "files" else self._command
        zones = ["--zones", str(self.zones)] if self._command == "files" else []
        with self._log.open("ab") as log, self.audit_file.open("ab") as audit:
            self._process = subprocess.Popen(
                [str(ZONEGATE), subcommand, "--config", str(self._config), *zones],
                stdin=subprocess.DEVNULL,
                stdout=audit,
                stderr=log,
                start_new_session=True,
            )
        self._tell_watchdog(f"+{self._process.pid}")

    def start(self) -> None:
        """Returns once the gateway says that it is ready."""
        self.launch()
        self.wait_until_up()

    def wait_until_up(self) -> None:
        try:
            wait_until(self.is_up, "a ready gateway", START_SECONDS)
        except (TimeoutError, AssertionError) as error:
            raise AssertionError(f"{error}; the gateway's log:\n{self.log_text()}") from None

    def is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the gateway ended with exit code {self._process.returncode}"
        try:
            return self.readiness().status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    @property
    def is_running(self) -> bool:
        return self._process is not None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End it at once, as a machine that loses its power."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        process, self._process = self._process, None
        process.wait()
        self._tell_watchdog(f"-{process.pid}")

    def terminate(self) -> None:
        """Ask it to stop, and return at once."""
        assert self._process is not None
        self._process.terminate()

    def wait_stopped(self) -> int:
        """Its exit code."""
        assert self._process is not None
        process, self._process = self._process, None
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"the gateway does not stop; its log:\n{self.log_text()}") from None
        finally:
            self._tell_watchdog(f"-{process.pid}")

    def stop(self) -> None:
        """A graceful stop, which must succeed. Harmless when it does not run."""
        if self._process is not None:
            self.terminate()
            code = self.wait_stopped()
            assert code == 0, f"exit code {code}; the gateway's log:\n{self.log_text()}"

    def remove(self) -> None:
        """Stop it and remove its files."""
        try:
            self.stop()
            errors = [entry for entry in self.log() if entry.get("event") == "internal_error"]
            assert not errors, f"the gateway failed inside: {errors}"
        finally:
            self._watchdog.communicate()
            shutil.rmtree(self.folder, ignore_errors=True)

    # what it says

    def log_text(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def log(self) -> list[dict[str, Any]]:
        """Every whole line so far."""
        whole, _, _ = self.log_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def audit(self) -> list[dict[str, Any]]:
        """Every whole line of the audit log so far."""
        whole, _, _ = self.audit_file.read_text(encoding="utf-8").rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def wait_for_log(self, wanted: Callable[[dict[str, Any]], bool], what: str, since: int = 0) -> dict[str, Any]:
        """The first line that is wanted, after so many lines, once it is there."""
        found: list[dict[str, Any]] = []

        def is_there() -> bool:
            found[:] = [entry for entry in self.log()[since:] if wanted(entry)]
            return bool(found)

        wait_until(is_there, f"a log line: {what}", LOG_SECONDS)
        return found[0]

    def readiness(self) -> httpx.Response:
        return httpx.get(self.ready_at, timeout=5)

    def metrics_text(self) -> str:
        return httpx.get(f"http://127.0.0.1:{self.admin_port}/metrics", timeout=5).raise_for_status().text

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's series that carry these labels."""
        (found,) = self.metrics_at_once((name, labels))
        return found

    def metrics_at_once(self, *wanted: tuple[str, Mapping[str, str]]) -> list[float]:
        """The same for several (name, labels), as of one moment."""
        samples = [
            sample for family in text_string_to_metric_families(self.metrics_text()) for sample in family.samples
        ]
        return [
            sum(each.value for each in samples if each.name == name and labels.items() <= each.labels.items())
            for name, labels in wanted
        ]
