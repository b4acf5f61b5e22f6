"""Metrics of the zones' limits, read from the limiters when scraped.

Series exist for limits that are configured; the counters of one that was removed stay as long as its zone, so that they
never go backwards. Every label comes from configuration or is a kind of traffic.
"""

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from proxy.traffic import Kind, Limiter
from proxy.zones import ZoneRegistry

_LABELS: Final = ["zone", "kind"]
_UNITS: Final = (
    ("bytes_per_second", "bytes of record batches per second", (Kind.PRODUCE, Kind.CONSUME)),
    ("commits_per_minute", "requests that commit offsets, per minute", (Kind.COMMIT,)),
)


class TrafficMetrics(Collector):
    """Of one gateway process."""

    def __init__(self, zones: ZoneRegistry) -> None:
        self._zones = zones

    def collect(self) -> Iterator[Metric]:
        limiters = [limiter for state in self._zones.zones.values() for limiter in state.traffic if limiter.was_limited]
        for unit, words, kinds in _UNITS:
            yield from _gauges(unit, words, [each for each in limiters if each.kind in kinds])
        yield from _throttling(limiters)


def _gauges(unit: str, words: str, limiters: list[Limiter]) -> Iterator[Metric]:
    limit = GaugeMetricFamily(f"zonegate_traffic_limit_{unit}", f"The zone's limit: {words}.", labels=_LABELS)
    share = GaugeMetricFamily(
        f"zonegate_traffic_limit_share_{unit}", f"This process's share of the zone's limit: {words}.", labels=_LABELS
    )
    rate = GaugeMetricFamily(
        f"zonegate_traffic_rate_{unit}",
        f"What counts towards the limit, in this process, over the last ten seconds: {words}.",
        labels=_LABELS,
    )
    for limiter in limiters:
        if limiter.limit is not None and limiter.share is not None:
            labels = [limiter.zone, limiter.kind]
            seconds = limiter.kind.seconds
            limit.add_metric(labels, round(limiter.limit * seconds))
            share.add_metric(labels, limiter.share * seconds)
            rate.add_metric(labels, limiter.rate * seconds)
    yield from (limit, share, rate)


def _throttling(limiters: list[Limiter]) -> Iterator[Metric]:
    connections = GaugeMetricFamily(
        "zonegate_throttled_connections", "Connections that are throttled now, by the limit's kind.", labels=_LABELS
    )
    requests = CounterMetricFamily(
        "zonegate_throttled_requests",
        "Requests that went beyond the zone's limit: served, then paid back by waiting.",
        labels=_LABELS,
    )
    seconds = CounterMetricFamily(
        "zonegate_throttled_seconds",
        "Time that connections were throttled, in sum. Each second of a connection counts once, as it passes, whether "
        "the client waits by itself or its next request is held.",
        labels=_LABELS,
    )
    for limiter in limiters:
        labels = [limiter.zone, limiter.kind]
        requests.add_metric(labels, limiter.throttled_requests)
        seconds.add_metric(labels, limiter.throttled_seconds)
        if limiter.limit is not None:
            connections.add_metric(labels, limiter.throttled_connections)
    yield from (connections, requests, seconds)
