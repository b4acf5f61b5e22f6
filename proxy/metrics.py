"""Metrics of the data plane: plain integers on the hot path, turned into Prometheus series when scraped.

Every label comes from configuration or from a fixed set (API names, error names, close reasons), never from a client.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from protocol.schema import API_NAMES

BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds from a request's arrival to its answer. A fetch that waits for records counts its wait."""


class ApiMeter:
    """What one zone did with one API."""

    __slots__ = ("buckets", "request_bytes", "requests", "response_bytes", "seconds")

    def __init__(self) -> None:
        self.requests = 0
        self.request_bytes = 0
        self.response_bytes = 0
        self.seconds = 0.0
        self.buckets = [0] * (len(BUCKETS) + 1)

    def observe(self, seconds: float, request_bytes: int, response_bytes: int) -> None:
        self.requests += 1
        self.request_bytes += request_bytes
        self.response_bytes += response_bytes
        self.seconds += seconds
        self.buckets[bisect_left(BUCKETS, seconds)] += 1


class AliasMeter:
    """Bytes and records, and the requests, of one alias."""

    __slots__ = (
        "fetch_bytes",
        "fetch_records",
        "fetch_requests",
        "produce_bytes",
        "produce_records",
        "produce_requests",
    )

    def __init__(self) -> None:
        self.produce_requests = 0
        self.produce_bytes = 0
        self.produce_records = 0
        self.fetch_requests = 0
        self.fetch_bytes = 0
        self.fetch_records = 0


class GatewayMetrics(Collector):
    """All counters of one gateway process."""

    def __init__(self) -> None:
        self._apis: dict[tuple[str, str], ApiMeter] = {}
        self._aliases: dict[tuple[str, str], AliasMeter] = {}
        self.refusals: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        """(zone, API, error name) -> refused entries"""
        self.broker_refusals: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        """(zone, API, error name) -> times that the cluster refused the gateway's own user"""
        self.joined_commits: defaultdict[str, int] = defaultdict(int)
        """zone -> OffsetCommits that were handled together with an earlier one"""
        self.connections: defaultdict[str, int] = defaultdict(int)
        """zone -> authenticated connections now"""
        self.connections_opened = 0
        self.connections_closed: defaultdict[str, int] = defaultdict(int)
        self.authentication_failures: defaultdict[str, int] = defaultdict(int)
        self.reauthentications: defaultdict[str, int] = defaultdict(int)
        """zone -> clients that signed in again on their connections"""
        self.jwks_refreshes: defaultdict[str, int] = defaultdict(int)
        """success or failure -> attempts to fetch the keys that sign tokens; a file counts when it has changed"""
        self.jwks_keys = 0
        self.upstream_reachable: dict[str, bool] = {}
        """cluster -> whether it answers"""
        self.upstream_reauthentications: defaultdict[str, int] = defaultdict(int)
        """cluster -> times that a connection to one of its brokers signed in again"""
        self.certificate_not_after: dict[str, float] = {}
        """listener -> when the certificate that it shows ends, in Unix seconds"""
        self.tasks = 0
        """Of the gateway, now: one of them that never ends is a leak."""
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def api(self, zone: str, api_key: int) -> ApiMeter:
        """The meter of a zone and API; sessions keep it."""
        return self._apis.setdefault((zone, API_NAMES[api_key]), ApiMeter())

    def alias(self, zone: str, alias: str) -> AliasMeter:
        """The meter of a zone and alias; routes keep it."""
        return self._aliases.setdefault((zone, alias), AliasMeter())

    def collect(self) -> Iterator[Metric]:
        yield from self._collect_apis()
        yield from self._collect_aliases()
        yield from self._collect_connections()
        yield from self._collect_jwks()

    def _collect_apis(self) -> Iterator[Metric]:
        labels = ["zone", "api"]
        requests = CounterMetricFamily("zonegate_requests", "Requests answered.", labels=labels)
        received = CounterMetricFamily("zonegate_request_bytes", "Bytes of requests from clients.", labels=labels)
        sent = CounterMetricFamily("zonegate_response_bytes", "Bytes of responses to clients.", labels=labels)
        seconds = HistogramMetricFamily(
            "zonegate_request_duration_seconds", "From request to response, the broker's time included.", labels=labels
        )
        for key, meter in self._apis.items():
            requests.add_metric(key, meter.requests)
            received.add_metric(key, meter.request_bytes)
            sent.add_metric(key, meter.response_bytes)
            seconds.add_metric(key, list(_cumulative(meter.buckets)), meter.seconds)
        errors = CounterMetricFamily(
            "zonegate_refusals", "Entries that the gateway refused, by Kafka error.", labels=[*labels, "error"]
        )
        for refusal, count in self.refusals.items():
            errors.add_metric(refusal, count)
        refused = CounterMetricFamily(
            "zonegate_broker_refusals", "Times that the cluster's ACLs refused the gateway.", labels=[*labels, "error"]
        )
        for refusal, count in self.broker_refusals.items():
            refused.add_metric(refusal, count)
        joined = CounterMetricFamily(
            "zonegate_joined_commits", "OffsetCommits handled together with an earlier one.", labels=["zone"]
        )
        for zone, count in self.joined_commits.items():
            joined.add_metric([zone], count)
        yield from (requests, received, sent, seconds, errors, refused, joined)

    def _collect_aliases(self) -> Iterator[Metric]:
        labels = ["zone", "alias", "api"]
        requests = CounterMetricFamily("zonegate_alias_requests", "Requests that named the alias.", labels=labels)
        record_bytes = CounterMetricFamily("zonegate_alias_record_bytes", "Bytes of record batches.", labels=labels)
        records = CounterMetricFamily("zonegate_alias_records", "Records of whole batches.", labels=labels)
        for (zone, alias), meter in self._aliases.items():
            if not meter.produce_requests and not meter.fetch_requests:
                continue  # of a hundred thousand aliases few are used
            requests.add_metric((zone, alias, "produce"), meter.produce_requests)
            requests.add_metric((zone, alias, "fetch"), meter.fetch_requests)
            record_bytes.add_metric((zone, alias, "produce"), meter.produce_bytes)
            record_bytes.add_metric((zone, alias, "fetch"), meter.fetch_bytes)
            records.add_metric((zone, alias, "produce"), meter.produce_records)
            records.add_metric((zone, alias, "fetch"), meter.fetch_records)
        yield from (requests, record_bytes, records)

    def _collect_connections(self) -> Iterator[Metric]:
        now = GaugeMetricFamily("zonegate_connections", "Authenticated connections now.", labels=["zone"])
        for zone, count in self.connections.items():
            now.add_metric([zone], count)
        closed = CounterMetricFamily("zonegate_connections_closed", "Connections ended, by reason.", labels=["reason"])
        for reason, count in self.connections_closed.items():
            closed.add_metric([reason], count)
        failed = CounterMetricFamily(
            "zonegate_authentication_failures", "Failed authentications, by reason.", labels=["reason"]
        )
        for reason, count in self.authentication_failures.items():
            failed.add_metric([reason], count)
        again = CounterMetricFamily(
            "zonegate_reauthentications", "Clients that signed in again on their connections.", labels=["zone"]
        )
        for zone, count in self.reauthentications.items():
            again.add_metric([zone], count)
        certificates = GaugeMetricFamily(
            "zonegate_certificate_not_after_seconds", "When the certificate ends, Unix time.", labels=["listener"]
        )
        for listener, not_after in self.certificate_not_after.items():
            certificates.add_metric([listener], not_after)
        yield from (now, closed, failed, again, certificates)
        yield CounterMetricFamily("zonegate_connections_opened", "Connections accepted.", self.connections_opened)
        yield GaugeMetricFamily("zonegate_tasks", "Tasks of the gateway now.", self.tasks)
        yield from self._collect_clusters()

    def _collect_clusters(self) -> Iterator[Metric]:
        """With a label where there are several to tell apart."""
        labels = ["cluster"] if len(self.upstream_reachable) > 1 else []
        reachable = GaugeMetricFamily(
            "zonegate_upstream_reachable", "1 while the Kafka cluster answers.", labels=labels
        )
        again = CounterMetricFamily(
            "zonegate_upstream_reauthentications",
            "Times that a connection to a broker signed in again (KIP-368).",
            labels=labels,
        )
        for cluster, answers in self.upstream_reachable.items():
            reachable.add_metric([cluster][: len(labels)], int(answers))
            again.add_metric([cluster][: len(labels)], self.upstream_reauthentications[cluster])
        yield from (reachable, again)

    def _collect_jwks(self) -> Iterator[Metric]:
        refreshes = CounterMetricFamily("zonegate_jwks_refreshes", "Fetches of the token keys.", labels=["result"])
        for result, count in self.jwks_refreshes.items():
            refreshes.add_metric([result], count)
        yield refreshes
        yield GaugeMetricFamily("zonegate_jwks_keys", "Usable keys of the last good set.", self.jwks_keys)


def _cumulative(buckets: list[int]) -> Iterator[tuple[str, float]]:
    total = 0
    for bound, count in zip((*map(str, BUCKETS), "+Inf"), buckets, strict=True):
        total += count
        yield bound, total
