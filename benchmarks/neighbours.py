"""What a modest connection notices of greedy ones: in its own zone, which has a limit, and in another, which has none.

The modest ones send a small request at fixed times and wait as they are told to; the greedy ones keep many requests
under way and never wait by themselves.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import clients
import frames
import machine
from cases import JAVA_BATCH_BYTES, Kind, check_end
from crowd import Moved, crowd
from driver import Connection, Steady
from frames import Question
from targets import LIMITED_ZONE, OPEN_ZONE, Target, ZoneSpec

from tests.kafka import Cluster

NAME = "neighbours"
SMALL, LARGE = (f"company.benchmark.{NAME}-{size}" for size in ("small", "large"))
"""Topics; what the greedy ones write is too large a batch for the modest ones to read."""
TOPICS = (SMALL, LARGE)

KINDS: tuple[Kind, ...] = ("produce", "consume")
GREEDY = (0, 1, 20)
GREEDY_VALUE_BYTES = 1024
GREEDY_FETCH_BYTES = 131_072
"""Of each answer. All that is under way has to come at the end, at the limit's pace, before the next measurement."""
GREEDY_IN_FLIGHT: dict[Kind, int] = {"produce": 20, "consume": 2}
MODEST_VALUE_BYTES = 100
MODEST_INTERVAL = 0.005
MODEST_REQUESTS = 400
SETTLING_REQUESTS = 100
SETTLING_SECONDS = 1.5
"""Until the greedy ones have moved as much as the limit allows in that time, they may still be using the burst."""
ROUNDS = 2


@dataclass(slots=True)
class Neighbours:
    """One kind of requests beside so many greedy connections, over all rounds."""

    kind: Kind
    greedy: int
    beside: Steady = field(default_factory=Steady)
    """In the zone of the greedy ones."""
    elsewhere: Steady = field(default_factory=Steady)
    """In the zone without limits."""
    greedy_bytes: int = 0
    modest_bytes: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0


def measure(cluster: Cluster, zones: Mapping[ZoneSpec, Target]) -> Iterator[Neighbours]:
    """All of it. Raises WrongAnswer when a record is missing."""
    for topic in TOPICS:
        cluster.create_topic(topic, partitions=1, replication=1, configs={"min.insync.replicas": "1"})
    run = _Run(cluster, zones)
    for kind in KINDS:
        found = [Neighbours(kind, greedy) for greedy in GREEDY]
        for _ in range(ROUNDS):
            for neighbours in found:
                run.add_round(neighbours)
        yield from found
    run.check()
    for topic in TOPICS:
        clients.delete_topic(cluster.bootstrap, topic)


class _Run:
    def __init__(self, cluster: Cluster, zones: Mapping[ZoneSpec, Target]) -> None:
        self._cluster = cluster
        self._limited, self._open = zones[LIMITED_ZONE], zones[OPEN_ZONE]
        self._leaders = {topic: cluster.leader(topic, 0) for topic in TOPICS}
        self._small = frames.record_batch(MODEST_VALUE_BYTES, 1)
        self._records = frames.records_per_batch(GREEDY_VALUE_BYTES, JAVA_BATCH_BYTES)
        self._large = frames.record_batch(GREEDY_VALUE_BYTES, self._records)
        self._ends = dict.fromkeys(TOPICS, 0)

    def add_round(self, neighbours: Neighbours) -> None:
        kind = neighbours.kind
        address = self._limited.addresses[self._leaders[LARGE]]
        large = self._greedy_question(self._limited.topic(LARGE), kind)
        with crowd(address, self._limited.login, large, GREEDY_IN_FLIGHT[kind], neighbours.greedy) as greedy:
            self._ask(kind, SETTLING_REQUESTS)
            if neighbours.greedy:
                assert LIMITED_ZONE.rate is not None
                greedy.wait_for(int(SETTLING_SECONDS * LIMITED_ZONE.rate))
            assert self._limited.pid is not None
            cpu, before = machine.cpu_seconds(self._limited.pid), greedy.moved()
            beside, elsewhere = self._ask(kind, MODEST_REQUESTS)
            moved = greedy.moved().since(before)
            neighbours.cpu_seconds += machine.cpu_seconds(self._limited.pid) - cpu
        self._note_written(kind, greedy.moved())
        for seen, more in ((neighbours.beside, beside), (neighbours.elsewhere, elsewhere)):
            seen.latencies += more.latencies
            seen.throttle_times += more.throttle_times
        neighbours.greedy_bytes += moved.record_bytes
        neighbours.modest_bytes += MODEST_REQUESTS * len(self._small)
        neighbours.seconds += moved.at

    def _ask(self, kind: Kind, requests: int) -> tuple[Steady, Steady]:
        """Both modest connections at the same time."""
        with ThreadPoolExecutor(2) as pool:
            beside, elsewhere = pool.map(
                lambda target: self._ask_one(target, kind, requests), (self._limited, self._open)
            )
        if kind == "produce":
            self._ends[SMALL] += 2 * requests
        return beside, elsewhere

    def _ask_one(self, target: Target, kind: Kind, requests: int) -> Steady:
        with Connection(target.addresses[self._leaders[SMALL]], target.login) as connection:
            return connection.ask_steadily(self._modest_question(target.topic(SMALL), kind), MODEST_INTERVAL, requests)

    def _greedy_question(self, topic: str, kind: Kind) -> Question:
        if kind == "produce":
            return frames.produce_question(topic, self._large)
        return frames.fetch_question(topic, GREEDY_FETCH_BYTES)

    def _modest_question(self, topic: str, kind: Kind) -> Question:
        # a broker sends one batch at least
        return frames.produce_question(topic, self._small) if kind == "produce" else frames.fetch_question(topic, 1)

    def _note_written(self, kind: Kind, moved: Moved) -> None:
        if kind == "produce":
            self._ends[LARGE] += moved.requests * self._records

    def check(self) -> None:
        for topic, end in self._ends.items():
            check_end(self._cluster, topic, end)
