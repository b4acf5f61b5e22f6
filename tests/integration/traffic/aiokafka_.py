"""aiokafka's part. It neither pauses by itself nor tells of throttle times."""

import asyncio
import logging
import sys
from typing import Any

import aiokafka

from tests.integration.security import PLAINTEXT
from tests.integration.traffic.case import Case, Complaints, Progress, Report, load, number, show, value


def config(case: Case) -> dict[str, Any]:
    login = PLAINTEXT.python(case.user, case.password)
    return {"bootstrap_servers": case.bootstrap, **login, "client_id": "aiokafka-client"}


async def produce(case: Case, report: Report) -> None:
    producer = aiokafka.AIOKafkaProducer(**config(case), enable_idempotence=True)
    progress = Progress(case, report)
    free = asyncio.Semaphore(case.outstanding)
    await producer.start()
    sent = 0

    def delivered(number: int, future: asyncio.Future[Any]) -> None:
        free.release()
        if future.exception() is not None:
            report.errors.append(repr(future.exception()))
        else:
            metadata = future.result()
            report.arrived(metadata.partition, metadata.offset, number, case.value_bytes)

    while not progress.complete:
        try:
            await asyncio.wait_for(free.acquire(), 0.1)
        except TimeoutError:
            continue
        data = value(sent, case.value_bytes)
        future = await producer.send(case.topic, data, partition=sent % case.partitions)
        future.add_done_callback(lambda done, number=sent: delivered(number, done))
        sent += 1
    await producer.stop()


class Listener(aiokafka.ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, report: Report) -> None:
        self._report = report

    def on_partitions_assigned(self, assigned: Any) -> None:
        self._report.assigned()

    def on_partitions_revoked(self, revoked: Any) -> None:
        pass


async def consume(case: Case, report: Report) -> None:
    session = {"session_timeout_ms": case.session_ms} if case.session_ms else {}
    consumer = aiokafka.AIOKafkaConsumer(**config(case), group_id=case.group, auto_offset_reset="earliest", **session)
    progress = Progress(case, report)
    consumer.subscribe([case.topic], listener=Listener(report))
    await consumer.start()
    while not progress.complete:
        for records in (await consumer.getmany(timeout_ms=200)).values():
            for each in records:
                report.arrived(each.partition, each.offset, number(each.value), len(each.value))
    await consumer.stop()


async def guarded(case: Case, report: Report) -> None:
    try:
        await (produce if case.produces else consume)(case, report)
    except Exception as error:  # noqa: BLE001 - it is reported
        report.errors.append(repr(error))


async def main() -> None:
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    cases = load(sys.stdin.read())
    reports = [Report(case.name, throttle_ms=-1) for case in cases]
    await asyncio.gather(*(guarded(case, report) for case, report in zip(cases, reports, strict=True)))
    for report in reports:
        report.errors += complaints.lines
        show(report)


if __name__ == "__main__":
    asyncio.run(main())
