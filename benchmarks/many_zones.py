"""A gateway with ten thousand zones beside one with a single zone, both from a state topic.

Starts, memory, edits, what other connections notice of edits, and what a request costs.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import clients
import frames
import machine
import populations
from cases import IN_FLIGHT, check_end
from driver import Connection, WrongAnswer
from populations import ALIASES, MEASURED, TOPICS, ZONES_PATH, Gateway, Population

from tests.kafka import Cluster

NAME = "many-zones"
ZONES = 10_000
QUICK_SHARE = 20

STARTS = 3
EDITS = 20
EDIT_INTERVAL = 0.3
"""Between the end of one and the next."""
EDIT_SECONDS = 30.0
LOOK_INTERVAL = 0.002
"""Between two questions of the client that waits for an edit."""
SETTLING_SECONDS = 6.0
"""What a start leaves to be done: the first looks at the cluster, and what is read of it."""
IDLE_SECONDS = 10.0
REQUEST_BYTES = 200
REQUESTS = 4000
ROUNDS = 5
ANSWERS = 3
"""Of each long answer."""
BESIDE_BYTES = 100
BESIDE_INTERVAL = 0.005
BESIDE_REQUESTS = 50
"""At a time; as many times as it takes."""
ALONE_SECONDS = 10.0


@dataclass(slots=True)
class Answers:
    """The same request, several times, and what another connection saw meanwhile."""

    seconds: list[float] = field(default_factory=list)
    size: int = 0
    beside: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Found:
    """What was measured of one population; times in seconds, one for each."""

    population: Population
    ready: list[float] = field(default_factory=list)
    ready_cpu: list[float] = field(default_factory=list)
    read: list[float] = field(default_factory=list)
    resident_megabytes: float = 0.0
    idle_cpu: float = 0.0
    cpu_per_1000: list[float] = field(default_factory=list)
    cpu_of_one: list[float] = field(default_factory=list)
    """The same in the gateway with a single zone, in turn with these."""
    beside_alone: list[float] = field(default_factory=list)
    beside_edits: list[float] = field(default_factory=list)
    put: list[float] = field(default_factory=list)
    seen: list[float] = field(default_factory=list)
    """From the beginning of a PUT until a client has seen the new alias."""
    edit_cpu: float = 0.0
    """CPU seconds of an edit, when nobody asks for anything else."""
    zones: Answers = field(default_factory=Answers)
    metrics: Answers = field(default_factory=Answers)
    resident_at_end_megabytes: float = 0.0


def measure(cluster: Cluster, folder: Path, quick: bool) -> Iterator[Found]:
    """First the single zone's, whose gateway lives on beside each of the others. Raises WrongAnswer when a record is
    missing."""
    for topic in TOPICS:
        cluster.create_topic(topic, partitions=1, replication=1, configs={"min.insync.replicas": "1"})
    zones = ZONES // (QUICK_SHARE if quick else 1)
    run = _Run(cluster, folder, 1 if quick else STARTS)
    with run.opened(Population("one", 1)) as (alone, found):
        run.measure(alone, found)
        yield found
        for population in (Population("many", zones), Population("many-topics", zones, own_topics=True)):
            with run.opened(population) as (gateway, found):
                run.take_turns(alone, gateway, found)
                run.measure(gateway, found)
                yield found
    check_end(cluster, TOPICS[0], run.end)
    for topic in TOPICS:
        clients.delete_topic(cluster.bootstrap, topic)


class _Run:
    def __init__(self, cluster: Cluster, folder: Path, starts: int) -> None:
        self._cluster, self._folder, self._starts = cluster, folder, starts
        self._leader = cluster.leader(TOPICS[0], 0)
        self.end = 0
        """Records that must be there."""

    @contextmanager
    def opened(self, population: Population) -> Iterator[tuple[Gateway, Found]]:
        """Started several times; the last one stays."""
        populations.fill(self._cluster, population)
        found = Found(population)
        with ExitStack() as stack:
            for number in range(self._starts):
                stack.close()
                folder = self._folder / f"{population.name}-{number}"
                gateway = stack.enter_context(populations.gateway(self._cluster, population, folder))
                found.ready.append(gateway.ready_seconds)
                found.ready_cpu.append(gateway.ready_cpu)
                found.read.append(gateway.read_seconds)
            time.sleep(SETTLING_SECONDS)
            found.resident_megabytes = machine.resident_megabytes(gateway.pid)
            found.idle_cpu = populations.idle_cpu(gateway.pid, IDLE_SECONDS)
            yield gateway, found

    def take_turns(self, alone: Gateway, gateway: Gateway, found: Found) -> None:
        """The same load through both."""
        for each in (alone, gateway):
            self._produce(each)
        for _ in range(ROUNDS):
            found.cpu_of_one.append(self._produce(alone))
            found.cpu_per_1000.append(self._produce(gateway))

    def _produce(self, gateway: Gateway) -> float:
        """CPU seconds per 1,000 requests."""
        batch = frames.record_batch(REQUEST_BYTES, 1)
        with self._connect(gateway) as connection:
            before = machine.cpu_seconds(gateway.pid)
            connection.produce(populations.alias(0), batch, 1, IN_FLIGHT, REQUESTS)
            self.end += REQUESTS
            return (machine.cpu_seconds(gateway.pid) - before) / REQUESTS * 1e3

    def measure(self, gateway: Gateway, found: Found) -> None:
        found.beside_alone = self._beside(gateway, lambda: time.sleep(ALONE_SECONDS))
        found.beside_edits = self._beside(gateway, lambda: self._edit(gateway, found))
        found.edit_cpu = self._edit_cpu(gateway)
        found.zones = self._answers(gateway, ZONES_PATH)
        found.metrics = self._answers(gateway, gateway.metrics_url)
        found.resident_at_end_megabytes = machine.resident_megabytes(gateway.pid)

    def _beside(self, gateway: Gateway, work: Callable[[], None]) -> list[float]:
        """The latencies of a connection that asks steadily while something is done."""
        question = frames.produce_question(populations.alias(0), frames.record_batch(BESIDE_BYTES, 1))
        latencies: list[float] = []
        with self._connect(gateway) as connection, ThreadPoolExecutor(1) as pool:
            connection.ask_steadily(question, BESIDE_INTERVAL, BESIDE_REQUESTS)
            working = pool.submit(work)
            while not working.done():
                latencies += connection.ask_steadily(question, BESIDE_INTERVAL, BESIDE_REQUESTS).latencies
            working.result()
        self.end += BESIDE_REQUESTS + len(latencies)
        return latencies

    def _edit(self, gateway: Gateway, found: Found) -> None:
        """Share one more topic each time, and wait until a client sees it."""
        with self._connect(gateway) as client, ThreadPoolExecutor(1) as pool:
            resource = populations.manifest(MEASURED, TOPICS)
            for number in range(EDITS):
                time.sleep(EDIT_INTERVAL)
                added = f"added-{number:02}"
                resource["spec"]["topics"].append({"name": added, "backingTopic": TOPICS[number % ALIASES]})
                began = time.perf_counter()
                put = pool.submit(_put, gateway, resource)
                while not client.sees(added):
                    if time.perf_counter() - began > EDIT_SECONDS:
                        raise WrongAnswer(f"an edit has no effect after {EDIT_SECONDS:.0f} s")
                    time.sleep(LOOK_INTERVAL)
                found.seen.append(time.perf_counter() - began)
                found.put.append(put.result() - began)

    def _edit_cpu(self, gateway: Gateway) -> float:
        """One alias gets another name each time."""
        resource = populations.manifest(MEASURED, TOPICS)
        last = resource["spec"]["topics"][-1]
        before = machine.cpu_seconds(gateway.pid)
        for number in range(EDITS):
            last["name"] = f"renamed-{number}"
            _put(gateway, resource)
            time.sleep(EDIT_INTERVAL)
        return (machine.cpu_seconds(gateway.pid) - before) / EDITS

    def _answers(self, gateway: Gateway, url: str) -> Answers:
        answers = Answers()

        def ask() -> None:
            for _ in range(ANSWERS):
                began = time.perf_counter()
                answers.size = len(gateway.http.get(url).raise_for_status().content)
                answers.seconds.append(time.perf_counter() - began)
                time.sleep(EDIT_INTERVAL)

        answers.beside = self._beside(gateway, ask)
        return answers

    def _connect(self, gateway: Gateway) -> Connection:
        return Connection(gateway.addresses[self._leader], populations.LOGIN)


def _put(gateway: Gateway, resource: dict[str, Any]) -> float:
    """When it was answered."""
    gateway.http.put(ZONES_PATH, json=resource).raise_for_status()
    return time.perf_counter()
