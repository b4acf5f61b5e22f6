"""What the load goes to: the broker itself, the gateway, and what it is compared with, each started for the run."""

import contextlib
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import machine
from driver import Address, Login

from tests.kafka import Cluster
from tests.kafka.ports import free_ports
from tests.kafka.waiting import wait_until

HOST = "127.0.0.1"
ACCOUNT = "benchmark"
START_SECONDS = 30.0
STOP_SECONDS = 15.0
KAFKA_PROXY = "github.com/grepplabs/kafka-proxy"
KAFKA_PROXY_VERSION = "v0.4.3"


class Skipped(Exception):
    """A target that is not on this machine; the message says how to get it."""


@dataclass(frozen=True, slots=True)
class ZoneSpec:
    """A zone of the gateway; it may write all topics. `rate` limits its produce and consume, in bytes per second."""

    name: str
    rate: int | None = None

    @property
    def manifest_limits(self) -> str:
        limits = f"{{maxProduceRate: {self.rate}, maxConsumeRate: {self.rate}}}"
        return "" if self.rate is None else f"  trafficControlPolicies: {limits}\n"


OPEN_ZONE = ZoneSpec("zonegate")
UNREACHED_ZONE = ZoneSpec("limits-not-reached", 100_000_000_000)
LIMITED_ZONE = ZoneSpec("limited", 5_000_000)
ZONES = (OPEN_ZONE, UNREACHED_ZONE, LIMITED_ZONE)


@dataclass(frozen=True, slots=True)
class Target:
    """One way to the brokers. `addresses` are by broker id; a client library works where they are handed out too."""

    name: str
    version: str
    addresses: Mapping[int, Address]
    bootstrap: str | None = None
    login: Login | None = None
    pid: int | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)

    def topic(self, topic: str) -> str:
        """What clients of this target call the topic."""
        return self.aliases.get(topic, topic)


def direct(cluster: Cluster, version: str) -> Target:
    return Target("direct", version, cluster.broker_addresses(), cluster.bootstrap)


@contextlib.contextmanager
def gateway(
    cluster: Cluster, aliases: Mapping[str, str], folder: Path, arguments: Sequence[str] = (), pinned: bool = True
) -> Iterator[dict[ZoneSpec, Target]]:
    """`zonegate serve` with ZONES, which may write all topics (topic -> alias); one target for each."""
    program = Path(sys.executable).with_name("zonegate")
    listen, admin, *_ = free_ports(2)
    broker_ids = sorted(cluster.broker_ids)
    start = port_range(broker_ids[-1] - broker_ids[0] + 1, {listen, admin})
    folder.mkdir(exist_ok=True)
    _write_settings(cluster, folder, (listen, admin, start))
    logins = {zone: _write_zone(zone, aliases, folder, program) for zone in ZONES}
    command = [str(program), "serve", "--config", str(folder / "zonegate.yaml"), "--zones", str(folder / "zones")]
    addresses = {broker_id: (HOST, start + broker_id - broker_ids[0]) for broker_id in broker_ids}
    with running([*command, *arguments], folder / "gateway.log", pinned) as process:
        wait_for_start(lambda: answers(f"http://{HOST}:{admin}/health/ready"), process, folder / "gateway.log")
        version = output([str(program), "version"])
        yield {
            zone: Target(zone.name, version, addresses, f"{HOST}:{listen}", login, process.pid, aliases)
            for zone, login in logins.items()
        }


def _write_settings(cluster: Cluster, folder: Path, ports: tuple[int, int, int]) -> None:
    listen, admin, start = ports
    (folder / "zonegate.yaml").write_text(
        f"listen: {HOST}:{listen}\nadvertised_host: {HOST}\nadmin_listen: {HOST}:{admin}\n"
        f"broker_ports: {{start: {start}, min_broker_id: {min(cluster.broker_ids)}}}\n"
        f'cluster: {{bootstrap.servers: "{cluster.bootstrap}"}}\ncredentials_file: credentials.yaml\n',
        encoding="utf-8",
    )
    (folder / "zones").mkdir()


def _write_zone(zone: ZoneSpec, aliases: Mapping[str, str], folder: Path, program: Path) -> Login:
    topics = "".join(
        f"    - {{name: {alias}, backingTopic: {topic}, permission: WRITE}}\n" for topic, alias in aliases.items()
    )
    (folder / "zones" / f"{zone.name}.yaml").write_text(
        f"apiVersion: v2\nkind: PartnerZone\nmetadata: {{name: {zone.name}}}\nspec:\n  cluster: benchmark\n"
        f"  displayName: Benchmark\n  serviceAccount: {zone.name}\n{zone.manifest_limits}  topics:\n{topics}",
        encoding="utf-8",
    )
    file = str(folder / "credentials.yaml")
    return Login(zone.name, output([str(program), "credentials", "generate", zone.name, "--credentials-file", file]))


@contextlib.contextmanager
def haproxy(cluster: Cluster, folder: Path) -> Iterator[Target]:
    """The floor: what any proxy must pay. It relays bytes, so only a client that is told addresses can use it."""
    if (program := shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")) is None:
        raise Skipped("HAProxy is not installed; get it with 'sudo apt-get install haproxy'")
    brokers = cluster.broker_addresses()
    addresses = {broker_id: (HOST, port) for broker_id, port in zip(brokers, free_ports(len(brokers)), strict=True)}
    relays = "".join(
        f"listen broker-{broker_id}\n  bind {HOST}:{port}\n  server broker {_colon(brokers[broker_id])}\n"
        for broker_id, (_, port) in addresses.items()
    )
    (folder / "haproxy.cfg").write_text(
        "global\n  nbthread 1\n"
        f"defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n{relays}",
        encoding="utf-8",
    )
    log = folder / "haproxy.log"
    with running([program, "-db", "-f", str(folder / "haproxy.cfg")], log) as process:
        wait_for_start(lambda: all(_accepts(address) for address in addresses.values()), process, log)
        version = output([program, "-v"]).split()[2]
        yield Target("HAProxy", f"HAProxy {version} (mode tcp, nbthread 1)", addresses, pid=process.pid)


@contextlib.contextmanager
def kafka_proxy(cluster: Cluster, folder: Path) -> Iterator[Target]:
    """The peer in Go: it rewrites addresses and checks PLAIN passwords; it has no aliases and no permissions."""
    program, plugin = (_go_program(name) for name in (KAFKA_PROXY, f"{KAFKA_PROXY}/cmd/plugin-auth-user"))
    brokers = cluster.broker_addresses()
    addresses = {broker_id: (HOST, port) for broker_id, port in zip(brokers, free_ports(len(brokers)), strict=True)}
    login = Login(ACCOUNT, "benchmark-secret")
    command = [str(program), "server", "--default-listener-ip", HOST, "--http-disable", "--log-level", "warning"]
    for broker_id, address in addresses.items():
        command += ["--bootstrap-server-mapping", f"{_colon(brokers[broker_id])},{_colon(address)}"]
    command += ["--auth-local-enable", "--auth-local-command", str(plugin)]
    command += [f"--auth-local-param=--username={login.username}", f"--auth-local-param=--password={login.password}"]
    log = folder / "kafka-proxy.log"
    with running(["env", "GOMAXPROCS=1", *command], log) as process:
        wait_for_start(lambda: all(_accepts(address) for address in addresses.values()), process, log)
        bootstrap = ",".join(_colon(address) for address in addresses.values())
        version = f"kafka-proxy {KAFKA_PROXY_VERSION} (GOMAXPROCS=1)"
        yield Target("kafka-proxy", version, addresses, bootstrap, login, process.pid)


def _go_program(package: str) -> Path:
    """Installed where Go keeps programs, unless this very version is there already."""
    if (go := shutil.which("go")) is None:
        raise Skipped("there is no Go to install it with")
    folder = Path(output([go, "env", "GOBIN"]) or output([go, "env", "GOPATH"]) + "/bin")
    program = folder / package.rpartition("/")[2]
    if program.exists() and KAFKA_PROXY_VERSION in output([go, "version", "-m", str(program)]):
        return program
    wanted = f"{package}@{KAFKA_PROXY_VERSION}"
    print(f"Installing {wanted}", flush=True)
    done = subprocess.run([go, "install", wanted], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Skipped(f"'go install {wanted}' fails: {done.stderr.strip().splitlines()[-1].strip()}")
    return program


@contextlib.contextmanager
def running(command: Sequence[str], log: Path, pinned: bool = True) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with the block; what it says goes into the file."""
    cores = machine.proxy_core() if pinned else set(machine.cores())
    with log.open("wb") as output, machine.started_on(cores):
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield process
    finally:
        if process.poll() is not None:
            print(f"{log.stem} ended during the run:\n{_tail(log)}", file=sys.stderr)
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_start(
    condition: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, seconds: float = START_SECONDS
) -> None:
    def ready() -> bool:
        if process.poll() is not None:
            raise ChildProcessError(f"{log.stem} ended at its start")
        return condition()

    wait_until(ready, f"an answer of the process that writes {log.name}", seconds)


def answers(url: str) -> bool:
    """Whether it is 200 at the moment."""
    try:
        with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own http address
            return True
    except (urllib.error.URLError, OSError):
        return False


def _accepts(address: Address) -> bool:
    try:
        socket.create_connection(address, 5).close()
    except OSError:
        return False
    return True


def port_range(count: int, taken: set[int]) -> int:
    """The first of so many free ports in a row: a broker's port is counted from its id."""
    free = set(free_ports(4000)) - taken
    return next(port for port in sorted(free) if all(port + step in free for step in range(count)))


def _colon(address: Address) -> str:
    return f"{address[0]}:{address[1]}"


def output(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])
