"""What is measured: for each case, every target in turn (A B A B), after a warm-up, with the same load."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import clients
import frames
import machine
from driver import Connection, Load, WrongAnswer
from targets import Target

from tests.kafka import Cluster

Kind = Literal["produce", "consume"]

IN_FLIGHT = 5
"""max.in.flight.requests.per.connection, the Java producer's default."""
JAVA_BATCH_BYTES = 16_384
"""batch.size, the Java producer's default."""
MINIMUM_CONSUMED_BYTES = 200_000_000
WARM_UP_SHARE = 4
QUICK_SHARE = 8


@dataclass(frozen=True, slots=True)
class Case:
    """One shape of records and requests; `client`: a client library makes the requests, and `requests` are records."""

    name: str
    value_bytes: int
    requests: int
    batch_bytes: int | None = None
    window: int = IN_FLIGHT
    kinds: tuple[Kind, ...] = ("produce", "consume")
    client: bool = False

    @property
    def topic(self) -> str:
        return f"company.benchmark.{self.name}"

    @property
    def batched(self) -> bool:
        return self.client or self.batch_bytes is not None

    @property
    def records(self) -> int:
        """In one request."""
        return 1 if self.batch_bytes is None else frames.records_per_batch(self.value_bytes, self.batch_bytes)


CASES: tuple[Case, ...] = (
    Case("single-100", 100, 6000, window=1, kinds=("produce",)),
    Case("single-200", 200, 6000, window=1, kinds=("produce",)),
    Case("unbatched-100", 100, 12_000),
    Case("unbatched-200", 200, 12_000, kinds=("produce",)),
    Case("unbatched-200-deep", 200, 20_000, window=50, kinds=("produce",)),
    Case("unbatched-1024", 1024, 12_000),
    Case("batched-100", 100, 200, frames.MAX_BATCH_BYTES),
    Case("batched-1024", 1024, 250, frames.MAX_BATCH_BYTES),
    Case("batched-1024-small", 1024, 10_000, JAVA_BATCH_BYTES),
    Case("librdkafka-1024", 1024, 200_000, client=True),
)


@dataclass(frozen=True, slots=True)
class Sample:
    load: Load
    cpu_seconds: float | None


@dataclass(slots=True)
class Measurement:
    """All runs of one case in one direction, by target."""

    case: Case
    kind: Kind
    samples: dict[str, list[Sample]] = field(default_factory=dict)


def measure(cluster: Cluster, case: Case, targets: Sequence[Target], runs: int, quick: bool) -> Iterator[Measurement]:
    """The case's measurements, one for each kind. Raises WrongAnswer when a record is missing."""
    # One replica: what replication costs the brokers is not the gateway's, and this machine is small.
    cluster.create_topic(case.topic, partitions=1, replication=1, configs={"min.insync.replicas": "1"})
    usable = [target for target in targets if target.bootstrap or not case.client]
    requests = case.requests // (QUICK_SHARE if quick else 1)
    run = _ClientRun(cluster, case, requests) if case.client else _Run(cluster, case, requests)
    for target in usable:
        run.produce(target, requests // WARM_UP_SHARE)
    for kind in case.kinds:
        measurement = Measurement(case, kind, {target.name: [] for target in usable})
        if kind == "consume":
            for target in usable:
                run.consume(target)
        for _ in range(runs):
            for target in usable:
                before = None if target.pid is None else machine.cpu_seconds(target.pid)
                load = run.produce(target, requests) if kind == "produce" else run.consume(target)
                used = None if target.pid is None or before is None else machine.cpu_seconds(target.pid) - before
                measurement.samples[target.name].append(Sample(load, used))
        yield measurement
    clients.delete_topic(cluster.bootstrap, case.topic)


class _Run:
    """The load of one case, made by the driver."""

    def __init__(self, cluster: Cluster, case: Case, requests: int) -> None:
        self._cluster, self._case, self._requests = cluster, case, requests
        self._batch = frames.record_batch(case.value_bytes, case.records)
        self._leader = cluster.leader(case.topic, 0)
        self._end = 0

    def produce(self, target: Target, requests: int) -> Load:
        case = self._case
        with Connection(target.addresses[self._leader], target.login) as connection:
            load = connection.produce(target.topic(case.topic), self._batch, case.records, case.window, requests)
        self._end += load.records
        check_end(self._cluster, case.topic, self._end)
        return load

    def consume(self, target: Target) -> Load:
        """The whole topic, as often as it takes to make a run of some length."""
        topic, total = target.topic(self._case.topic), Load(0, 0, 0, 0.0)
        enough = MINIMUM_CONSUMED_BYTES // (1 if self._requests == self._case.requests else QUICK_SHARE)
        with Connection(target.addresses[self._leader], target.login) as connection:
            while total.payload_bytes < enough:
                load = connection.consume(topic, 0, self._end)
                total = Load(
                    total.requests + load.requests,
                    total.records + load.records,
                    total.payload_bytes + load.payload_bytes,
                    total.seconds + load.seconds,
                )
        return total


class _ClientRun:
    """The load of one case, made by librdkafka."""

    def __init__(self, cluster: Cluster, case: Case, requests: int) -> None:
        self._cluster, self._case, self._requests = cluster, case, requests
        self._end = 0

    def produce(self, target: Target, requests: int) -> Load:
        case = self._case
        load = clients.produce(target, target.topic(case.topic), case.value_bytes, requests)
        self._end += load.records
        check_end(self._cluster, case.topic, self._end)
        return load

    def consume(self, target: Target) -> Load:
        return clients.consume(target, target.topic(self._case.topic), self._end)


def check_end(cluster: Cluster, topic: str, expected: int) -> None:
    """Ask the broker itself how many records arrived."""
    if (found := clients.end_offset(cluster.bootstrap, topic)) != expected:
        raise WrongAnswer(f"{topic} holds {found} records where {expected} were acknowledged")
