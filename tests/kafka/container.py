"""The same three brokers in containers, for machines that have a Docker engine but no JDK.

The containers share the host's network and the cluster's folder, so that settings and addresses are KafkaCluster's, and
Kafka's tools, which run in one of the containers, reach the gateway as well. This takes an engine with host networking.
testcontainers removes the containers when the run ends, also when it is killed.
"""

import os
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from typing import Any

from docker.errors import DockerException
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient

from tests.kafka.cluster import TOOL_SECONDS, BrokerProcess, KafkaCluster
from tests.kafka.distribution import kafka_version

BIN = "/opt/kafka/bin"


def docker_answers() -> bool:
    try:
        return bool(DockerClient().client.ping())
    except DockerException:
        return False


class ContainerBroker:
    """A running container in the role of a broker's process."""

    def __init__(self, container: DockerContainer) -> None:
        self._container = container.start()
        self._engine = self._container.get_wrapped_container()

    @property
    def id(self) -> str:
        return str(self._engine.id)

    @property
    def pid(self) -> int:
        return int(self._state()["Pid"])

    def poll(self) -> int | None:
        state = self._state()
        return None if state["Running"] else int(state["ExitCode"])

    def terminate(self) -> None:
        self._engine.kill(signal="SIGTERM")

    def kill(self) -> None:
        if self.poll() is None:
            self._engine.kill()

    def wait(self, timeout: float | None = None) -> int:
        return int(self._engine.wait(timeout=timeout)["StatusCode"])

    def remove(self) -> None:
        self._container.stop()

    def log_tail(self, lines: int) -> str:
        return str(self._engine.logs(tail=lines).decode(errors="replace"))

    def _state(self) -> dict[str, Any]:
        self._engine.reload()
        return dict(self._engine.attrs["State"])


class ContainerCluster(KafkaCluster):
    """Three brokers in containers of our own."""

    def run_tool(
        self,
        tool: str,
        args: Sequence[str],
        input: str | None = None,  # noqa: A002 - as subprocess.run calls it
        timeout: float = TOOL_SECONDS,
    ) -> subprocess.CompletedProcess[str]:
        command = ["docker", "exec", "--interactive", self._containers()[0].id, f"{BIN}/{tool}.sh", *args]
        return subprocess.run(command, input=input or "", capture_output=True, text=True, timeout=timeout, check=False)

    def _format(self) -> None:
        """Each container formats its storage itself, when it starts for the first time."""

    def _spawn(self, broker_id: int) -> BrokerProcess:
        formatting = shlex.join(self._format_args(broker_id))
        properties = self._properties_file(broker_id)
        start = (
            f"{BIN}/kafka-storage.sh {formatting} --ignore-formatted && exec {BIN}/kafka-server-start.sh {properties}"
        )
        # As our own user, with the folder of temporary files under its own name: the brokers' data can be removed
        # again, and the files that tests hand to tools are found.
        container = DockerContainer(
            f"apache/kafka:{kafka_version()}",
            user=f"{os.getuid()}:{os.getgid()}",
            network_mode="host",
            entrypoint=["sh", "-c"],
        ).with_command([start])
        container.with_volume_mapping(tempfile.gettempdir(), tempfile.gettempdir(), "rw")
        container.with_envs(KAFKA_HEAP_OPTS="-Xmx384m", KAFKA_GC_LOG_OPTS=" ", LOG_DIR=str(self.folder))
        return ContainerBroker(container)

    def _forget(self, process: BrokerProcess) -> None:
        if isinstance(process, ContainerBroker):
            process.remove()

    def _containers(self) -> list[ContainerBroker]:
        return [process for process in self._processes.values() if isinstance(process, ContainerBroker)]

    def _log_tail(self, broker_id: int, lines: int = 30) -> str:
        process = self._processes[broker_id]
        return process.log_tail(lines) if isinstance(process, ContainerBroker) else ""
