"""One gateway process and several (`--workers`), next to each other, through many connections."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import clients
import frames
import machine
from cases import IN_FLIGHT, JAVA_BATCH_BYTES, check_end
from crowd import crowd
from frames import Question
from targets import OPEN_ZONE, Target, gateway

from tests.kafka import Cluster

NAME = "workers"
COUNTS = (1, 2)
CROWDS = 2
"""Processes that make the load, each with a topic of its own."""
CONNECTIONS = 16
"""Of each crowd; the kernel gives each to one of the workers."""
SECONDS = 1.5
SETTLING_SECONDS = 0.3
ROUNDS = 2

TOPICS = tuple(f"company.benchmark.{NAME}-{number}" for number in range(CROWDS))


@dataclass(frozen=True, slots=True)
class Work:
    """What all connections send."""

    words: str
    value_bytes: int
    batch_bytes: int | None = None

    @property
    def records(self) -> int:
        return 1 if self.batch_bytes is None else frames.records_per_batch(self.value_bytes, self.batch_bytes)

    def question(self, topic: str) -> Question:
        return frames.produce_question(topic, frames.record_batch(self.value_bytes, self.records))


WORKS = (
    Work("produce 200 B, one record per request", 200),
    Work("produce 1 KiB, 16 kB batches", 1024, JAVA_BATCH_BYTES),
)


@dataclass(slots=True)
class Working:
    """One kind of work through one number of workers, over all rounds."""

    work: Work
    workers: int
    requests: int = 0
    record_bytes: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0


def measure(cluster: Cluster, folder: Path) -> Iterator[Working]:
    """All of it. Raises WrongAnswer when a record is missing."""
    for topic in TOPICS:
        cluster.create_topic(topic, partitions=1, replication=1, configs={"min.insync.replicas": "1"})
    ends = dict.fromkeys(TOPICS, 0)
    with contextlib.ExitStack() as stack:
        targets = {count: stack.enter_context(_opened(cluster, folder, count)) for count in COUNTS}
        for work in WORKS:
            found = [Working(work, count) for count in COUNTS]
            for _ in range(ROUNDS):
                for working in found:
                    _add_round(cluster, targets[working.workers], working, ends)
            yield from found
    for topic, end in ends.items():
        check_end(cluster, topic, end)
        clients.delete_topic(cluster.bootstrap, topic)


@contextlib.contextmanager
def _opened(cluster: Cluster, folder: Path, count: int) -> Iterator[Target]:
    aliases = {topic: topic.rpartition(".")[2] for topic in TOPICS}
    arguments = ("--workers", str(count))
    with gateway(cluster, aliases, folder / f"{NAME}-{count}", arguments, pinned=False) as zones:
        yield zones[OPEN_ZONE]


def _add_round(cluster: Cluster, target: Target, working: Working, ends: dict[str, int]) -> None:
    assert target.pid is not None
    with contextlib.ExitStack() as stack:
        crowds = [
            stack.enter_context(
                crowd(
                    target.addresses[cluster.leader(topic, 0)],
                    target.login,
                    working.work.question(target.topic(topic)),
                    IN_FLIGHT,
                    CONNECTIONS,
                )
            )
            for topic in TOPICS
        ]
        time.sleep(SETTLING_SECONDS)
        cpu, before = machine.cpu_seconds_of_all(target.pid), [each.moved() for each in crowds]
        time.sleep(SECONDS)
        after = [each.moved().since(start) for each, start in zip(crowds, before, strict=True)]
        working.cpu_seconds += machine.cpu_seconds_of_all(target.pid) - cpu
    for topic, each, moved in zip(TOPICS, crowds, after, strict=True):
        ends[topic] += each.moved().requests * working.work.records
        working.requests += moved.requests
        working.record_bytes += moved.record_bytes
    working.seconds += after[0].at


def by_work(found: Sequence[Working]) -> dict[Work, list[Working]]:
    """The same work in one row."""
    rows: dict[Work, list[Working]] = {}
    for working in found:
        rows.setdefault(working.work, []).append(working)
    return rows
