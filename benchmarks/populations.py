"""State topics with many zones or one, and a gateway that serves from one: as users run it, with its REST API."""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import machine
from driver import Address, Login
from targets import HOST, answers, port_range, running, wait_for_start

from controlplane.partner_zone import PartnerZone
from controlplane.state.log import manifest_of
from controlplane.state.records import CredentialRecord, ZoneRecord
from controlplane.state.topic import StateTopic
from policies.credentials import hash_password, new_salt, scram_keys
from proxy.config import ClusterConfig
from tests.kafka import Cluster
from tests.kafka.ports import free_ports

ALIASES = 10
"""Of each zone; the first has WRITE."""
TOPICS = tuple(f"company.benchmark.many-zones-{number}" for number in range(ALIASES))
"""Those that exist."""
MEASURED = "measured"
"""The zone that everything is measured in, and its user; its aliases are for TOPICS."""
PASSWORD = "a-password-that-all-zones-have"  # noqa: S105 - hashing ten thousand takes long
LOGIN = Login(MEASURED, PASSWORD)
API_KEY = "a-key-for-benchmarks-to-begin-with"
API_SECONDS = 60.0
START_SECONDS = 120.0
ZONES_PATH = "/public/console/v2/partner-zone"

_CREATED = "2025-01-27T12:55:05Z"


@dataclass(frozen=True, slots=True)
class Population:
    """The zones of one state topic: MEASURED, and as many others as make `zones`."""

    name: str
    zones: int
    own_topics: bool = False
    """Each alias of the others has a backing topic of its own, which doesn't exist; else all share TOPICS."""

    @property
    def state_topic(self) -> str:
        return f"_zonegate-bench-{self.name}"

    def _names(self) -> Iterator[str]:
        yield MEASURED
        yield from (f"partner-{number}" for number in range(self.zones - 1))

    def _backing_topics(self, zone: str) -> tuple[str, ...]:
        own = self.own_topics and zone != MEASURED
        return tuple(f"company.{zone}.topic-{number}" for number in range(ALIASES)) if own else TOPICS

    def records(self) -> Iterator[ZoneRecord | CredentialRecord]:
        """Each zone with a password."""
        salt = new_salt()
        hidden, keys = hash_password(PASSWORD), scram_keys(PASSWORD, salt)
        for name in self._names():
            resource = PartnerZone.model_validate(manifest(name, self._backing_topics(name)))
            yield ZoneRecord(name, "first", 1, f"id-of-{name}", _CREATED, salt, manifest_of(resource))
            yield CredentialRecord(f"password-of-{name}", name, f"id-of-{name}", _CREATED, None, hidden, keys)


def manifest(name: str, topics: tuple[str, ...]) -> dict[str, Any]:
    shared = [
        {"name": alias(number), "backingTopic": topic, "permission": "READ" if number else "WRITE"}
        for number, topic in enumerate(topics)
    ]
    spec = {"cluster": "benchmark", "displayName": f"Zone {name}", "serviceAccount": name, "topics": shared}
    return {"apiVersion": "v2", "kind": "PartnerZone", "metadata": {"name": name}, "spec": spec}


def alias(number: int) -> str:
    return f"topic-{number}"


def fill(cluster: Cluster, population: Population) -> None:
    """Write the state topic, which must not exist yet."""
    asyncio.run(_fill(cluster, population))


async def _fill(cluster: Cluster, population: Population) -> None:
    servers = tuple(cluster.broker_addresses().values())
    topic = StateTopic(population.state_topic, ClusterConfig(bootstrap_servers=servers), lambda: None)
    await topic.ensure()
    producer = await topic.producer()
    try:
        records = population.records()
        sent = [await producer.send(topic.name, record.value(), record.key, partition=0) for record in records]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running `zonegate serve`."""

    pid: int
    addresses: Mapping[int, Address]
    http: httpx.Client
    metrics_url: str
    ready_seconds: float
    """From the process's start until it was ready."""
    ready_cpu: float
    """CPU seconds that it took."""
    read_seconds: float
    """Of these, until it had read the state topic."""


@contextlib.contextmanager
def gateway(cluster: Cluster, population: Population, folder: Path) -> Iterator[Gateway]:
    """One that is ready."""
    listen, admin, console, *_ = free_ports(3)
    broker_ids = sorted(cluster.broker_ids)
    start = port_range(broker_ids[-1] - broker_ids[0] + 1, {listen, admin, console})
    folder.mkdir(exist_ok=True)
    (folder / "zonegate.yaml").write_text(
        f"listen: {HOST}:{listen}\nadvertised_host: {HOST}\nadmin_listen: {HOST}:{admin}\n"
        f"broker_ports: {{start: {start}, min_broker_id: {broker_ids[0]}}}\n"
        f'cluster: {{bootstrap.servers: "{cluster.bootstrap}"}}\nstate_topic: {population.state_topic}\n'
        f"console: {{listen: '{HOST}:{console}', api_key: {API_KEY}}}\nlog: {{format: json}}\n",
        encoding="utf-8",
    )
    command = [str(Path(sys.executable).with_name("zonegate")), "serve", "--config", str(folder / "zonegate.yaml")]
    addresses = {broker_id: (HOST, start + broker_id - broker_ids[0]) for broker_id in broker_ids}
    log, began = folder / "gateway.log", time.time()
    with running(command, log) as process:
        wait_for_start(lambda: answers(f"http://{HOST}:{admin}/health/ready"), process, log, START_SECONDS)
        ready, cpu = time.time() - began, machine.cpu_seconds(process.pid)
        headers = {"authorization": f"Bearer {API_KEY}"}
        with httpx.Client(base_url=f"http://{HOST}:{console}", headers=headers, timeout=API_SECONDS) as http:
            metrics_url = f"http://{HOST}:{admin}/metrics"
            read = _time_of("state_loaded", log) - began
            yield Gateway(process.pid, addresses, http, metrics_url, ready, cpu, read)


def _time_of(event: str, log: Path) -> float:
    """Unix time of the first line of this kind."""
    for line in log.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line) if line.startswith("{") else {}
        if entry.get("event") == event:
            return datetime.fromisoformat(entry["time"]).timestamp()
    raise ValueError(f"{log.name} has no line of {event}")


def idle_cpu(pid: int, seconds: float) -> float:
    """CPU seconds per second while nobody asks for anything."""
    before, began = machine.cpu_seconds(pid), time.perf_counter()
    time.sleep(seconds)
    return (machine.cpu_seconds(pid) - before) / (time.perf_counter() - began)
