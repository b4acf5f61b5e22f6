"""Produce (0), and what is in the logs afterwards."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.equivalence.apis import Api
from tests.equivalence.client import SECONDS
from tests.equivalence.names import (
    BAD_PARTITION,
    DEPOT,
    GHOST,
    ILLEGAL,
    INTAKE,
    ORDERS,
    PRICES,
    SECRET,
    UNKNOWN_ID,
    VANISHED,
    WITHHELD,
    Role,
)
from tests.equivalence.records import batch
from tests.equivalence.scenario import ALL_VERSIONS, Scenario
from tests.equivalence.side import Seat
from tests.kafka.waiting import wait_until

Topics = Callable[[Seat], Sequence[Mapping[str, Any]]]
Part = tuple[int, bytes]

ONE = batch(b"one")
TWO = batch(b"two", b"more")
TRANSACTIONAL = batch(b"x", producer=(1, 0, 0), transactional=True)
BROKEN = ONE[:-1] + b"!"
BY_ID = (13, 99)
NO_LEADER = 2
"""A broker that leads nothing."""


def data(seat: Seat, name: str, *parts: Part, **fields: Any) -> Mapping[str, Any]:
    """A topic with records for some partitions."""
    partitions = [{"index": index, "records": records} for index, records in parts]
    return seat.topic(name, partition_data=partitions) | fields


def producing(
    name: str,
    topics: Topics,
    *,
    acks: int = -1,
    transactional_id: str | None = None,
    role: Role = Role.PARTNER,
    versions: tuple[int, int] = ALL_VERSIONS,
    broker: int | None = None,
) -> Scenario:
    def play(seat: Seat) -> Mapping[str, Any]:
        before = seat.ends(INTAKE, DEPOT)
        own = seat.name(transactional_id) if transactional_id is not None else None
        asked = topics(seat)
        fields = {"acks": acks, "timeout": 10_000, "topic_data": asked, "transactional_id": own}
        if acks == 0:
            answer = seat.tell(fields)
            wait_for_records(seat, before, asked)
        else:
            answer = seat.ask(fields, broker=broker)
            since_before(seat, answer, before)
        return {"answer": answer, "logs": seat.written_since(before)}

    return Scenario(Api.PRODUCE, name, play, role, versions)


def wait_for_records(seat: Seat, before: Mapping[tuple[str, int], int], topics: Sequence[Mapping[str, Any]]) -> None:
    """Nothing says when records without acknowledgement have arrived; what may be written must arrive."""
    due = {(topic["name"], each["index"]) for topic in topics for each in topic["partition_data"]} & before.keys()

    def arrived() -> bool:
        now = seat.ends(INTAKE, DEPOT)
        return all(now[each] > before[each] for each in due)

    wait_until(arrived, "the records", SECONDS)


def since_before(seat: Seat, answer: Any, before: Mapping[tuple[str, int], int]) -> None:
    """Count offsets from where the logs ended before."""
    names = {seat.topic_id(topic): topic for topic, _ in before}
    for topic in getattr(answer, "responses", ()):
        name = names.get(topic.topic_id, "") if "topic_id" in topic.struct.names else topic.name
        for partition in topic.partition_responses:
            if partition.base_offset >= 0:
                partition.base_offset -= before[name, partition.index]


def allowed(seat: Seat) -> Sequence[Mapping[str, Any]]:
    return [data(seat, INTAKE, (1, ONE), (0, TWO)), data(seat, DEPOT, (0, ONE))]


def mixed(seat: Seat) -> Sequence[Mapping[str, Any]]:
    return [
        data(seat, PRICES, (0, ONE)),
        data(seat, INTAKE, (0, ONE)),
        data(seat, SECRET, (0, ONE)),
        data(seat, DEPOT, (1, TWO), (0, ONE)),
        data(seat, GHOST, (0, ONE), topic_id=UNKNOWN_ID),
    ]


def readable_and_writable(seat: Seat) -> Sequence[Mapping[str, Any]]:
    return [data(seat, PRICES, (1, ONE), (0, ONE)), data(seat, INTAKE, (0, ONE))]


def readable(seat: Seat) -> Sequence[Mapping[str, Any]]:
    return [data(seat, PRICES, (0, ONE), (1, ONE))]


def denied(seat: Seat) -> Sequence[Mapping[str, Any]]:
    return [data(seat, name, (0, ONE)) for name in (SECRET, GHOST, WITHHELD, ILLEGAL, "")]


def of_intake(*parts: Part) -> Topics:
    return lambda seat: [data(seat, INTAKE, *parts)]


def of_a_reader(records: bytes) -> Topics:
    return lambda seat: [data(seat, ORDERS, (0, records)), data(seat, SECRET, (0, records))]


SCENARIOS = (
    producing("allowed", allowed),
    producing("allowed-with-acks-1", allowed, acks=1),
    producing("allowed-with-acks-0", allowed, acks=0),
    producing("mixed", mixed, versions=(0, 12)),
    producing("mixed-with-an-ungranted-id", mixed, versions=BY_ID),
    producing("readable-and-writable", readable_and_writable),
    producing("readable-and-writable-with-acks-1", readable_and_writable, acks=1),
    producing("readable-and-writable-with-acks-0", readable_and_writable, acks=0),
    producing("readable-only", readable),
    producing("readable-only-with-acks-0", readable, acks=0),
    producing("denied", denied, versions=(0, 12)),
    producing("reader", lambda seat: [data(seat, ORDERS, (0, ONE)), data(seat, PRICES, (0, ONE))], role=Role.READER),
    producing(
        "unknown-id",
        lambda seat: [data(seat, GHOST, (0, ONE), topic_id=UNKNOWN_ID), data(seat, INTAKE, (0, ONE))],
        versions=BY_ID,
    ),
    producing("zero-id", lambda seat: [data(seat, VANISHED, (0, ONE))], versions=BY_ID),
    producing(
        "vanished", lambda seat: [data(seat, VANISHED, (0, ONE)), data(seat, INTAKE, (0, ONE))], versions=(0, 12)
    ),
    producing("unknown-partition", of_intake((BAD_PARTITION, ONE), (0, ONE), (-1, ONE))),
    producing("unknown-partition-with-acks-0", of_intake((BAD_PARTITION, ONE)), acks=0),
    producing("not-the-leader", allowed, broker=NO_LEADER),
    producing("empty-records", of_intake((0, b""), (1, ONE))),
    producing("two-batches", of_intake((0, ONE + TWO), (1, ONE))),
    producing("broken-batch", of_intake((0, BROKEN), (1, ONE))),
    producing("cut-batch", of_intake((0, ONE[:-3]), (1, ONE))),
    producing("wrong-acks", allowed, acks=2),
    producing("wrong-acks-mixed", readable_and_writable, acks=2),
    producing("nothing", lambda _: []),
    producing("no-partitions", of_intake()),
    producing("topic-twice", lambda seat: [data(seat, INTAKE, (0, ONE)), data(seat, INTAKE, (1, TWO))]),
    producing("partition-twice", of_intake((0, ONE), (0, TWO))),
    producing("idempotent-without-an-id-of-its-own", of_intake((0, batch(b"x", producer=(123_456_789, 0, 0))))),
    producing("idempotent-from-the-middle", of_intake((0, batch(b"x", producer=(123_456_788, 0, 5))))),
    producing("transactional-id-of-a-reader", of_a_reader(TRANSACTIONAL), transactional_id="", role=Role.READER),
    producing("plain-batch-with-an-id-of-a-reader", of_a_reader(ONE), transactional_id="", role=Role.READER),
    producing("transactional-batch-without-an-id", of_intake((0, TRANSACTIONAL))),
)
