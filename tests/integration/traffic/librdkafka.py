"""librdkafka's part, by way of confluent-kafka. It doesn't pause by itself (KIP-219 is none of those that it knows)."""

import json
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, Producer

from tests.integration.security import PLAINTEXT
from tests.integration.traffic.case import Case, Progress, Report, number, run_in_threads, value


def config(case: Case, report: Report) -> dict[str, Any]:
    def on_statistics(text: str) -> None:
        brokers = json.loads(text)["brokers"].values()
        for counter in ("tx", "txerrs", "txretries", "req_timeouts", "rxerrs"):
            report.seen[counter] = sum(broker[counter] for broker in brokers)
        report.seen["throttle"] = max(broker["throttle"]["max"] for broker in brokers)

    def on_throttle(event: Any) -> None:
        report.throttle_ms = max(report.throttle_ms, event.throttle_time * 1000)

    return {
        "bootstrap.servers": case.bootstrap,
        **PLAINTEXT.librdkafka(case.user, case.password),
        "client.id": "librdkafka-client",
        "error_cb": lambda error: report.errors.append(str(error)),
        "throttle_cb": on_throttle,
        "stats_cb": on_statistics,
        "statistics.interval.ms": 1000,
    }


def produce(case: Case, report: Report) -> None:
    producer = Producer({**config(case, report), "enable.idempotence": True})
    progress = Progress(case, report)
    under_way = 0
    sent = 0

    def delivered(error: KafkaError | None, message: Message) -> None:
        nonlocal under_way
        under_way -= 1
        data, partition, offset = message.value(), message.partition(), message.offset()
        if error is not None or not isinstance(data, bytes) or partition is None or offset is None:
            report.errors.append(str(error))
        else:
            report.arrived(partition, offset, number(data), len(data))

    while not progress.complete:
        if under_way < case.outstanding:
            data = value(sent, case.value_bytes)
            producer.produce(case.topic, data, partition=sent % case.partitions, on_delivery=delivered)
            under_way += 1
            sent += 1
            producer.poll(0)
        else:
            producer.poll(0.1)
    if left := producer.flush(60):
        report.errors.append(f"{left} records are left over")


def consume(case: Case, report: Report) -> None:
    session = {"session.timeout.ms": case.session_ms} if case.session_ms else {}
    settings = {**config(case, report), "group.id": case.group, "auto.offset.reset": "earliest", **session}
    consumer = Consumer(settings)
    progress = Progress(case, report)

    def assigned(_consumer: Consumer, _partitions: Any) -> None:
        report.assigned()

    consumer.subscribe([case.topic], on_assign=assigned)
    while not progress.complete:
        message = consumer.poll(0.1)
        if message is None:
            continue
        data, partition, offset = message.value(), message.partition(), message.offset()
        if message.error() or not isinstance(data, bytes) or partition is None or offset is None:
            report.errors.append(str(message.error()))
        else:
            report.arrived(partition, offset, number(data), len(data))
    consumer.close()


if __name__ == "__main__":
    run_in_threads(lambda case, report: (produce if case.produces else consume)(case, report))
