"""What the demo runs in: a temporary folder, a real Kafka, a real `zonegate serve`, and a shell that finds the tools.

Everything ends with the stage. Should the demo itself be killed, the watchdogs of tests.kafka end gateway and brokers.
"""

import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.demo.screen import Screen
from tests.kafka import KafkaCluster, watchdog
from tests.kafka.distribution import TOOLS, distribution, kafka_version
from tests.kafka.settings import BROKER_IDS
from tests.kafka.waiting import wait_until

DEFAULT_PORT = 9094
DEFAULT_ADMIN_PORT = 8888
DEFAULT_CONSOLE_PORT = 8080
MIN_PORT = 3000
MAX_PORT = 65_000
HOST = "127.0.0.1"
"""The demo's password is nobody else's business: nothing listens for other machines."""

COMMAND_SECONDS = 60.0
START_SECONDS = 30.0
STOP_SECONDS = 20.0


class DemoFailed(Exception):
    """A step did not come out as expected; the message says what was expected."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The gateway's bootstrap port; a port for each broker follows it, and admin and console keep their distance."""

    bootstrap: int

    @property
    def first_broker(self) -> int:
        return self.bootstrap + 1

    @property
    def admin(self) -> int:
        return self.bootstrap + DEFAULT_ADMIN_PORT - DEFAULT_PORT

    @property
    def console(self) -> int:
        return self.bootstrap + DEFAULT_CONSOLE_PORT - DEFAULT_PORT

    def check_free(self) -> None:
        for port in (*range(self.bootstrap, self.first_broker + len(BROKER_IDS)), self.admin, self.console):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((HOST, port))
                except OSError as error:
                    raise DemoFailed(
                        f"Port {port} cannot be used ({error.strerror}): perhaps another demo or gateway runs. "
                        'End it, or use other ports: make demo ARGS="--port 19094"'
                    ) from None


@dataclass(frozen=True, slots=True)
class Output:
    """What a command printed."""

    out: str
    err: str
    code: int


class Stage:
    def __init__(self, ports: Ports, screen: Screen) -> None:
        self.ports = ports
        self._screen = screen
        self.folder = Path()
        self.api_key = secrets.token_hex(24)
        self.kafka = KafkaCluster()
        self._gateway: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.ports.check_free()
        kafka = distribution()
        self.folder = Path(tempfile.mkdtemp(prefix="zonegate-demo-"))
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", watchdog.__file__, str(self.folder)],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        programs = self.folder / "bin"
        programs.mkdir()
        (programs / "zonegate").symlink_to(Path(sys.executable).with_name("zonegate"))
        for tool in TOOLS:
            script = programs / tool
            script.write_text(f'#!/bin/sh\nexec {shlex.join(kafka.tool_command(tool, []))} "$@"\n', encoding="utf-8")
            script.chmod(0o755)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._stop_gateway()
        finally:
            self.kafka.stop()
            if self._watchdog is not None:
                self._watchdog.communicate()  # closes the pipe; it removes the folder and ends

    def start_kafka(self) -> None:
        with self._screen.waiting("Starting three brokers", f"Three brokers of Apache Kafka {kafka_version()} run"):
            self.kafka.start()

    @property
    def bootstrap(self) -> str:
        """Where a partner connects."""
        return f"localhost:{self.ports.bootstrap}"

    @property
    def company_bootstrap(self) -> str:
        """Where the company's own people connect."""
        return self.kafka.bootstrap.split(",")[0]

    def start_gateway(self, command: str) -> None:
        self._screen.command(f"{command} &")
        with (self.folder / "gateway.log").open("wb") as log:
            # A session of its own: Ctrl-C is for the demo, which then stops the gateway.
            self._gateway = subprocess.Popen(
                shlex.split(command),
                cwd=self.folder,
                env=self._environment(),
                executable=self.folder / "bin" / "zonegate",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._tell_watchdog(f"+{self._gateway.pid}")
        with self._screen.waiting("Starting the gateway", f"The gateway is ready at {self.bootstrap}"):
            try:
                wait_until(self._is_ready, "a gateway that is ready", START_SECONDS)
            except TimeoutError as late:
                raise DemoFailed(f"{late}:\n{self._gateway_log()}") from None

    def stay(self) -> None:
        """Until the demo is interrupted."""
        if self._gateway is not None:
            code = self._gateway.wait()
            raise DemoFailed(f"The gateway ended with exit code {code}:\n{self._gateway_log()}")

    def run(self, command: str) -> Output:
        """Show a command line and run just that, in the demo's folder."""
        self._screen.command(command)
        with subprocess.Popen(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                out, err = process.communicate(timeout=COMMAND_SECONDS)
            except subprocess.TimeoutExpired:
                raise DemoFailed(f"This command did not end within {COMMAND_SECONDS:g} s: {command}") from None
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)  # with whatever the shell has started
        return Output(out, err, process.returncode)

    def get(self, path: str) -> str:
        """A page of the gateway's admin interface."""
        with urllib.request.urlopen(f"http://{HOST}:{self.ports.admin}{path}", timeout=10) as answer:
            return str(answer.read().decode())

    def _gateway_log(self) -> str:
        lines = (self.folder / "gateway.log").read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-20:])

    def _is_ready(self) -> bool:
        if self._gateway is not None and self._gateway.poll() is not None:
            raise DemoFailed(f"The gateway ended at its start:\n{self._gateway_log()}")
        try:
            self.get("/health/ready")
        except OSError:  # nobody listens yet, or the answer is 503
            return False
        return True

    def _stop_gateway(self) -> None:
        if self._gateway is None:
            return
        self._gateway.terminate()
        try:
            code = self._gateway.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._gateway.kill()
            self._gateway.wait()
            raise DemoFailed(f"The gateway did not stop within {STOP_SECONDS:g} s:\n{self._gateway_log()}") from None
        finally:
            self._tell_watchdog(f"-{self._gateway.pid}")
        if code != 0:
            raise DemoFailed(f"The gateway ended with exit code {code} instead of 0:\n{self._gateway_log()}")

    def _tell_watchdog(self, line: str) -> None:
        if self._watchdog is not None and self._watchdog.stdin is not None:
            self._watchdog.stdin.write(line + "\n")
            self._watchdog.stdin.flush()

    def _environment(self) -> dict[str, str]:
        """The user's own, without variables that would override the demo's settings."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("ZONEGATE_")}
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return own | self.variables | {"PATH": path, "ZONEGATE_CONSOLE_API_KEY": self.api_key}

    @property
    def variables(self) -> dict[str, str]:
        """What the command line needs to find the REST API, and to be let in."""
        return {"ZONEGATE_URL": f"http://localhost:{self.ports.console}", "ZONEGATE_API_KEY": self.api_key}


def has_kcat() -> bool:
    return shutil.which("kcat") is not None
