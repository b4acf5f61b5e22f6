"""The metrics of a gateway with several workers: theirs, and the supervisor's own."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from controlplane.worker_metrics import merge

SUPERVISOR = "supervisor"
"""In place of a worker's number, on what the supervisor's process has as workers have it."""


class SupervisorMetrics(Collector):
    def __init__(self, workers: int) -> None:
        self._workers = workers
        self.restarts = Counter[int]()
        """By worker."""
        self.turn = asyncio.Lock()
        """One scrape at a time: each may hold a hundred megabytes."""
        self._up: frozenset[int] = frozenset()
        self.process = CollectorRegistry()
        """Of what workers have, too."""
        ProcessCollector(registry=self.process)
        self._own = CollectorRegistry()
        self._own.register(self)

    def joined(self, texts: Mapping[int, str]) -> bytes:
        """All in one text, given those of the workers that have answered."""
        self._up = frozenset(texts)
        named = {str(worker): texts[worker] for worker in sorted(texts)}
        process = generate_latest(self.process).decode()
        return generate_latest(self._own) + merge({**named, SUPERVISOR: process}).encode()

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("zonegate_workers", "Worker processes that there should be.", self._workers)
        up = GaugeMetricFamily("zonegate_worker_up", "1 for a worker whose metrics are here.", labels=["worker"])
        restarts = CounterMetricFamily(
            "zonegate_worker_restarts", "Times that a worker has ended and was started again.", labels=["worker"]
        )
        for worker in range(self._workers):
            up.add_metric([str(worker)], int(worker in self._up))
            restarts.add_metric([str(worker)], self.restarts[worker])
        yield from (up, restarts)
