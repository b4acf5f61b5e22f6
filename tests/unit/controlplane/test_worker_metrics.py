"""Metrics of several processes in one valid text."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from controlplane.supervisor_metrics import SupervisorMetrics
from controlplane.worker_metrics import merge


def exposed(zone: str, requests: int, seconds: float, extra: bool = False) -> str:
    registry = CollectorRegistry()
    Gauge("zonegate_tasks", "Tasks {with} odd words\nand lines.", registry=registry).set(3)
    Counter("zonegate_requests", "Requests.", ["zone"], registry=registry).labels(zone).inc(requests)
    Histogram("zonegate_seconds", "Time.", ["zone"], buckets=(1, 2), registry=registry).labels(zone).observe(seconds)
    if extra:
        Gauge("zonegate_extra", "Of one alone.", registry=registry).set(1)
    return generate_latest(registry).decode()


def samples(text: str) -> dict[tuple[str, str, str], float]:
    """(name, worker, zone) -> value; buckets are left out."""
    return {
        (sample.name, sample.labels["worker"], sample.labels.get("zone", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith(("_bucket", "_created"))
    }


def test_series_get_their_workers_number() -> None:
    merged = merge({"0": exposed("a", 2, 0.5), "1": exposed("b", 5, 1.5, extra=True)})

    assert samples(merged) == {
        ("zonegate_tasks", "0", ""): 3,
        ("zonegate_tasks", "1", ""): 3,
        ("zonegate_requests_total", "0", "a"): 2,
        ("zonegate_requests_total", "1", "b"): 5,
        ("zonegate_seconds_count", "0", "a"): 1,
        ("zonegate_seconds_sum", "0", "a"): 0.5,
        ("zonegate_seconds_count", "1", "b"): 1,
        ("zonegate_seconds_sum", "1", "b"): 1.5,
        ("zonegate_extra", "1", ""): 1,
    }


def test_a_metric_is_described_once_and_its_series_stand_together() -> None:
    text = exposed("a", 2, 0.5)
    merged = merge({"0": text, "1": text})

    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert [line for line in merged.splitlines() if line.startswith("#")] == comments
    families = {family.name: family for family in text_string_to_metric_families(merged)}
    assert families["zonegate_seconds"].type == "histogram"
    assert [
        (sample.labels["worker"], sample.labels["le"])
        for sample in families["zonegate_seconds"].samples
        if sample.name.endswith("_bucket")
    ] == [(worker, bound) for worker in "01" for bound in ("1.0", "2.0", "+Inf")]


def test_labels_may_hold_anything() -> None:
    odd = 'a"b\\c\nd{e} f\u2028g\x85h # TYPE x counter'
    merged = merge({"0": exposed(odd, 2, 0.5), "1": exposed(odd, 3, 0.5)})

    assert samples(merged)["zonegate_requests_total", "1", odd] == 3


def test_workers_that_did_not_answer_are_told() -> None:
    metrics = SupervisorMetrics(3)
    metrics.restarts[2] += 4

    text = metrics.joined({0: exposed("a", 2, 0.5), 2: exposed("a", 3, 0.5)}).decode()

    found = {
        (sample.name, sample.labels.get("worker")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["zonegate_workers", None] == 3
    assert [found["zonegate_worker_up", worker] for worker in "012"] == [1, 0, 1]
    assert [found["zonegate_worker_restarts_total", worker] for worker in "012"] == [0, 0, 4]
    assert found["zonegate_requests_total", "2"] == 3
    assert found["process_resident_memory_bytes", "supervisor"] > 0
