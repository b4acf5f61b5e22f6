"""A Kafka cluster for tests: what every cluster can do, and three brokers in processes of our own.

`Cluster` is one that runs already, wherever it came from. `KafkaCluster` starts three KRaft nodes (broker and
controller in one) as JVMs in a temporary folder, and can stop, kill and restart each. Everything blocks and may be
called from any thread. The brokers end with the process that started them, even when that is killed: see watchdog.py.
"""

import contextlib
import subprocess
import sys
import tempfile
import threading
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from kio.schema.errors import ErrorCode

from tests.kafka import settings, wire
from tests.kafka.distribution import QUICK_COMPILER, Distribution, distribution
from tests.kafka.ports import free_ports
from tests.kafka.waiting import wait_until

START_SECONDS = 120.0
"""Ten are enough, but not on a machine on which other clusters start as well."""

STOP_SECONDS = 60.0
PORTS_PER_BROKER = 5
TOOL_SECONDS = 60.0


class KafkaStartError(Exception):
    """A broker did not start; the message ends with the last lines of its log."""


class BrokersNotOurs(Exception):
    """The cluster existed before the test run, which must not stop or start its brokers."""


class BrokerProcess(Protocol):
    """What a running broker can be told; subprocess.Popen is one."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...
    def wait(self, timeout: float | None = None) -> int: ...


class Cluster:
    """A cluster that runs already, reached over a plaintext listener."""

    def __init__(self, bootstrap: str, kafka: Distribution | None = None) -> None:
        self._bootstrap = bootstrap
        self._given_kafka = kafka

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Nothing to start: it only has to answer."""
        self.broker_addresses()

    def stop(self) -> None:
        """Leave it running."""

    @property
    def bootstrap(self) -> str:
        """Addresses of the plaintext listener, as Kafka clients take them."""
        return self._bootstrap

    @property
    def sasl_bootstrap(self) -> str:
        raise BrokersNotOurs("a cluster that already existed gives the tests no SASL users")

    @property
    def broker_ids(self) -> tuple[int, ...]:
        return tuple(sorted(self.broker_addresses()))

    def broker_address(self, broker_id: int) -> wire.Address:
        return self.broker_addresses()[broker_id]

    def broker_addresses(self) -> dict[int, wire.Address]:
        """The brokers that the cluster holds to be alive, as the first one that answers says."""
        answer = wire.metadata(self._any_address())
        return {broker.node_id: (broker.host, broker.port) for broker in answer.brokers}

    def stop_broker(self, broker_id: int) -> None:
        raise BrokersNotOurs(f"broker {broker_id} belongs to a cluster that already existed")

    def kill_broker(self, broker_id: int) -> None:
        raise BrokersNotOurs(f"broker {broker_id} belongs to a cluster that already existed")

    def start_broker(self, broker_id: int) -> None:
        raise BrokersNotOurs(f"broker {broker_id} belongs to a cluster that already existed")

    def create_topic(
        self, name: str, partitions: int = 3, replication: int = 3, configs: Mapping[str, str] | None = None
    ) -> None:
        """Create a topic; returns once every broker knows a leader for each of its partitions."""
        wire.create_topic(self._any_address(), name, partitions, replication, configs or {})
        wait_until(
            lambda: all(len(self._leaders(address, name)) == partitions for address in self._live_addresses()),
            f"a leader for each partition of {name} on every broker",
            START_SECONDS,
        )

    def leader(self, topic: str, partition: int) -> int:
        """The partition's leader; -1 while there is none."""
        return self._leaders(self._any_address(), topic).get(partition, -1)

    def wait_in_sync(self, timeout: float = START_SECONDS) -> None:
        """Wait until every replica of every partition is in sync, for example after a broker came back."""

        def in_sync() -> bool:
            topics = wire.metadata(self._any_address()).topics
            partitions = [partition for topic in topics for partition in topic.partitions]
            return all(set(item.isr_nodes) == set(item.replica_nodes) for item in partitions)

        wait_until(in_sync, "every replica in sync", timeout)

    def run_tool(
        self,
        tool: str,
        args: Sequence[str],
        input: str | None = None,  # noqa: A002 - as subprocess.run calls it
        timeout: float = TOOL_SECONDS,
    ) -> subprocess.CompletedProcess[str]:
        """Run one of Kafka's own tools to its end. The arguments are the tool's: name --bootstrap-server yourself."""
        command = self._kafka.tool_command(tool, args)
        return subprocess.run(command, input=input or "", capture_output=True, text=True, timeout=timeout, check=False)

    def run_java(
        self, source: Path, args: Sequence[str], timeout: float = TOOL_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Compile and run a program of one file, which may use all of Kafka's classes, to its end."""
        command = self._kafka.source_command(source, args)
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)

    @cached_property
    def _kafka(self) -> Distribution:
        return self._given_kafka or distribution()

    def _live_addresses(self) -> Iterable[wire.Address]:
        return self.broker_addresses().values()

    def _any_address(self) -> wire.Address:
        host, _, port = self._bootstrap.split(",")[0].rpartition(":")
        return host, int(port)

    @staticmethod
    def _leaders(address: wire.Address, topic: str) -> dict[int, int]:
        (answer,) = wire.metadata(address, topic).topics
        return {
            partition.partition_index: partition.leader_id
            for partition in answer.partitions
            if partition.error_code is ErrorCode.none and partition.leader_id >= 0
        }


class KafkaCluster(Cluster):
    """Three brokers in processes of our own.

    users (name -> password) adds a SASL_PLAINTEXT listener with PLAIN. acl adds Kafka's StandardAuthorizer: users then
    may only what ACLs allow, except super_users; the plaintext listener's ANONYMOUS may do everything. config overrides
    broker settings. security adds listeners with TLS, users of SCRAM, and sessions that end.
    """

    is_short_lived = False
    """Brokers that live for a test run spend most of their work on getting started: they take the quick compiler, which
    halves that. Those that are measured or used don't."""

    def __init__(
        self,
        acl: bool = False,
        users: Mapping[str, str] | None = None,
        super_users: Sequence[str] = (),
        config: Mapping[str, str] | None = None,
        security: settings.Security | None = None,
        kafka: Distribution | None = None,
    ) -> None:
        ports = free_ports(PORTS_PER_BROKER * len(settings.BROKER_IDS), *map(settings.host, settings.BROKER_IDS))
        self._layout = settings.Layout(
            ports={
                node: settings.Ports(*(ports.pop() for _ in range(PORTS_PER_BROKER))) for node in settings.BROKER_IDS
            },
            users=dict(users or {}),
            super_users=tuple(super_users),
            acl=acl,
            config=dict(config or {}),
            security=security or settings.Security(),
        )
        super().__init__(self._addresses({node: each.broker for node, each in self._layout.ports.items()}), kafka)
        self.cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
        self._processes: dict[int, BrokerProcess] = {}
        self._watchdog: subprocess.Popen[str] | None = None
        self.folder = Path()
        self._lock = threading.RLock()

    @staticmethod
    def _addresses(ports: Mapping[int, int]) -> str:
        return ",".join(f"{settings.host(node)}:{port}" for node, port in ports.items())

    @property
    def sasl_bootstrap(self) -> str:
        if not self._layout.users:
            raise ValueError("KafkaCluster has a SASL listener only when it is given users")
        return self._addresses({node: each.sasl for node, each in self._layout.ports.items()})

    def bootstrap_of(self, listener: str) -> str:
        """Addresses of the listener SASL_PLAINTEXT, SASL_SSL or SSL."""
        return self._addresses({node: each.of(listener) for node, each in self._layout.ports.items()})

    @property
    def broker_ids(self) -> tuple[int, ...]:
        return settings.BROKER_IDS

    def broker_address(self, broker_id: int) -> wire.Address:
        return settings.host(broker_id), self._layout.ports[broker_id].broker

    def broker_pid(self, broker_id: int) -> int:
        return self._processes[broker_id].pid

    def start(self) -> None:
        """Start the three brokers; returns once each of them sees all three."""
        with self._lock:
            self.folder = Path(tempfile.mkdtemp(prefix="zonegate-kafka-"))
            self._watchdog = self._start_watchdog()
            try:
                self._write_properties()
                self._format()
                for broker_id in settings.BROKER_IDS:
                    self._processes[broker_id] = self._spawn(broker_id)
                self._wait_for_all_running()
            except BaseException:
                self.stop()
                raise

    def stop(self) -> None:
        """End all brokers and remove their data. Harmless when nothing runs."""
        with self._lock:
            # Not gently: what a clean shutdown would save is deleted here, and the last controllers to go would wait
            # in vain for a quorum.
            for process in self._processes.values():
                process.kill()
            for broker_id in tuple(self._processes):
                self._reap(broker_id)
            if self._watchdog is not None:
                self._watchdog.communicate()  # closes the pipe; it removes the folder and ends
                self._watchdog = None

    def stop_broker(self, broker_id: int) -> None:
        """Stop one broker cleanly: it hands its partitions over first."""
        with self._lock:
            process = self._processes[broker_id]
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                raise TimeoutError(f"broker {broker_id} does not stop:\n{self._log_tail(broker_id)}") from None
            self._reap(broker_id)

    def kill_broker(self, broker_id: int) -> None:
        """End one broker as a power cut would; the others notice when its session times out, after about 4 s."""
        with self._lock:
            self._processes[broker_id].kill()
            self._reap(broker_id)

    def start_broker(self, broker_id: int) -> None:
        """Start a stopped broker again, on its old port and data; returns once all running brokers see each other."""
        with self._lock:
            if broker_id in self._processes:
                raise ValueError(f"broker {broker_id} runs already")
            self._processes[broker_id] = self._spawn(broker_id)
            self._wait_for_all_running()

    def _start_watchdog(self) -> subprocess.Popen[str]:
        program = Path(__file__).with_name("watchdog.py")
        command = [sys.executable, "-I", str(program), str(self.folder)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, text=True, start_new_session=True)

    def _tell_watchdog(self, line: str) -> None:
        if self._watchdog is not None and self._watchdog.stdin is not None:
            self._watchdog.stdin.write(line + "\n")
            self._watchdog.stdin.flush()

    def _write_properties(self) -> None:
        for node in settings.BROKER_IDS:
            text = settings.render(settings.properties(self._layout, node, str(self.folder / f"data-{node}")))
            self._properties_file(node).write_text(text, encoding="utf-8")

    def _format(self) -> None:
        commands = [self._kafka.tool_command("kafka-storage", self._format_args(node)) for node in settings.BROKER_IDS]
        formatting = [
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for command in commands
        ]
        outputs = [process.communicate()[0] for process in formatting]
        for process, output in zip(formatting, outputs, strict=True):
            if process.returncode != 0:
                raise KafkaStartError(f"formatting a broker's storage failed:\n{output}")

    def _format_args(self, broker_id: int) -> list[str]:
        users = [
            f"{mechanism}=[name={name},password={password}]"
            for name, password in self._layout.security.scram_users.items()
            for mechanism in settings.SCRAM
        ]
        arguments = ["format", "--cluster-id", self.cluster_id, "--config", str(self._properties_file(broker_id))]
        return [*arguments, *(argument for user in users for argument in ("--add-scram", user))]

    def _spawn(self, broker_id: int) -> BrokerProcess:
        options = ["-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-Dkafka.log.level=INFO", "-Djava.awt.headless=true"]
        if self.is_short_lived:
            options.append(QUICK_COMPILER)
        command = self._kafka.command("kafka.Kafka", [str(self._properties_file(broker_id))], options)
        with self._log_file(broker_id).open("ab") as log:
            # A session of its own: Ctrl-C in the terminal is for the test run, which then stops its brokers.
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=self.folder
            )
        self._tell_watchdog(f"+{process.pid}")
        return process

    def _forget(self, process: BrokerProcess) -> None:
        self._tell_watchdog(f"-{process.pid}")

    def _reap(self, broker_id: int) -> None:
        process = self._processes.pop(broker_id)
        process.wait()
        self._forget(process)

    def _wait_for_all_running(self) -> None:
        wanted = set(self._processes)
        waiting = set(wanted)

        def each_sees_all() -> bool:
            for broker_id in tuple(waiting):
                if self._processes[broker_id].poll() is not None:
                    raise KafkaStartError(f"broker {broker_id} ended at its start:\n{self._log_tail(broker_id)}")
                if wanted <= self._brokers_seen_by(broker_id):
                    waiting.discard(broker_id)
            return not waiting

        try:
            wait_until(each_sees_all, "a cluster of all brokers", START_SECONDS)
        except TimeoutError as late:
            tails = "\n".join(f"broker {node}:\n{self._log_tail(node)}" for node in sorted(waiting))
            raise KafkaStartError(f"{late}\n{tails}") from late

    def _brokers_seen_by(self, broker_id: int) -> set[int]:
        with contextlib.suppress(OSError):
            return {broker.node_id for broker in wire.metadata(self.broker_address(broker_id)).brokers}
        return set()

    def _live_addresses(self) -> Iterable[wire.Address]:
        return [self.broker_address(broker_id) for broker_id in self._processes]

    def _any_address(self) -> wire.Address:
        return self.broker_address(next(iter(self._processes)))

    def _properties_file(self, broker_id: int) -> Path:
        return self.folder / f"broker-{broker_id}.properties"

    def _log_file(self, broker_id: int) -> Path:
        return self.folder / f"broker-{broker_id}.log"

    def _log_tail(self, broker_id: int, lines: int = 30) -> str:
        text = self._log_file(broker_id).read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])
