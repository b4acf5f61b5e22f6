"""kafka-python's part. It pauses the connection for as long as it is told."""

import threading
import warnings
from typing import Any

from tests.integration.security import PLAINTEXT
from tests.integration.traffic.case import Case, Progress, Report, number, run_in_threads, value

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import kafka


def config(case: Case) -> dict[str, Any]:
    login = PLAINTEXT.python(case.user, case.password)
    return {"bootstrap_servers": case.bootstrap, **login, "client_id": "kafka-python-client"}


def produce(case: Case, report: Report) -> None:
    producer = kafka.KafkaProducer(**config(case))
    progress = Progress(case, report)
    free = threading.Semaphore(case.outstanding)

    def delivered(sent: int, metadata: Any) -> None:
        report.arrived(metadata.partition, metadata.offset, sent, case.value_bytes)
        free.release()

    def failed(error: BaseException) -> None:
        report.errors.append(repr(error))
        free.release()

    sent = 0
    while not progress.complete:
        if not free.acquire(timeout=0.1):
            continue
        future = producer.send(case.topic, value(sent, case.value_bytes), partition=sent % case.partitions)
        future.add_callback(delivered, sent)
        future.add_errback(failed)
        sent += 1
    producer.flush(60)
    report.seen = told(producer.metrics())
    report.throttle_ms = longest(report)
    producer.close(10)


def consume(case: Case, report: Report) -> None:
    session = {"session_timeout_ms": case.session_ms} if case.session_ms else {}
    consumer = kafka.KafkaConsumer(**config(case), group_id=case.group, auto_offset_reset="earliest", **session)
    progress = Progress(case, report)

    class Listener(kafka.ConsumerRebalanceListener):  # type: ignore[misc]
        def on_partitions_assigned(self, _assigned: Any) -> None:
            report.assigned()

        def on_partitions_revoked(self, _revoked: Any) -> None:
            pass

    consumer.subscribe([case.topic], listener=Listener())
    while not progress.complete:
        for records in consumer.poll(timeout_ms=20_000 if not report.arrivals else 200).values():
            for each in records:
                report.arrived(each.partition, each.offset, number(each.value), len(each.value))
    report.seen = told(consumer.metrics())
    report.throttle_ms = longest(report)
    consumer.close()


def told(metrics: dict[str, dict[str, float]]) -> dict[str, object]:
    """Metrics of throttling, retries and errors."""
    return {
        f"{group}.{name}": measured
        for group, named in metrics.items()
        for name, measured in named.items()
        if "throttle" in name or "retr" in name or "error" in name or "rebalance" in name or "join" in name
    }


def longest(report: Report) -> float:
    return max(
        float(measured)
        for name, measured in report.seen.items()
        if name.endswith("throttle-time-max") and isinstance(measured, int | float)
    )


if __name__ == "__main__":
    run_in_threads(lambda case, report: (produce if case.produces else consume)(case, report))
