"""Metrics of a gateway's place in the state topic."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from controlplane.state.follower import Follower


class StateMetrics(Collector):
    def __init__(self, follower: Follower) -> None:
        self._follower = follower

    def collect(self) -> Iterator[Metric]:
        log, reachable = self._follower.log, not self._follower.problem
        yield GaugeMetricFamily("zonegate_state_reachable", "1 while the state topic can be read.", int(reachable))
        yield GaugeMetricFamily(
            "zonegate_state_offset", "Of the last record of the state topic that was read.", log.offset
        )
        yield GaugeMetricFamily(
            "zonegate_state_changed_offset", "Of the last one that changed what gateways serve.", log.changed_at
        )
