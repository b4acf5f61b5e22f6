"""Transactions: AddPartitionsToTxn (24), AddOffsetsToTxn (25), EndTxn (26), TxnOffsetCommit (28), and what Produce and
Fetch do in them.

A transaction that a scenario begins is ended by it, so that no log is held back later on.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.equivalence.apis import Api
from tests.equivalence.names import (
    BAD_PARTITION,
    GHOST,
    ILLEGAL,
    LEDGER,
    ORDERS,
    PRICES,
    SECRET,
    VANISHED,
    WITHHELD,
    Role,
)
from tests.equivalence.records import batch
from tests.equivalence.scenario import ALL_VERSIONS, Scenario
from tests.equivalence.scenarios.produce import data, since_before
from tests.equivalence.side import Seat

Topics = Sequence[Mapping[str, Any]]

NEEDS = (
    Api.INIT_PRODUCER_ID, Api.ADD_PARTITIONS_TO_TXN, Api.ADD_OFFSETS_TO_TXN, Api.END_TXN, Api.TXN_OFFSET_COMMIT,
)  # fmt: skip
LAST_OF_CLIENTS = 3
"""Of AddPartitionsToTxn: later versions are between brokers."""
IMPLICIT_PRODUCE, IMPLICIT_COMMIT = 12, 5
"""From these versions on a partition or group belongs to the transaction by being written to."""


@dataclass
class Transaction:
    """One transactional producer at work."""

    seat: Seat
    id: str
    producer_id: int
    producer_epoch: int

    @property
    def producer(self) -> dict[str, Any]:
        return {
            "transactional_id": self.id,
            "producer_id": self.producer_id,
            "producer_epoch": self.producer_epoch,
        }

    def version(self, api: Api, otherwise: int) -> int:
        return self.seat.version if self.seat.api == api else otherwise

    def add(self, *topics: Mapping[str, Any], **changes: Any) -> Any:
        """AddPartitionsToTxn, as a client does it."""
        fields = {**self.producer, **changes}
        asked = {f"v3_and_below_{key}": value for key, value in {**fields, "topics": topics}.items()}
        version = self.version(Api.ADD_PARTITIONS_TO_TXN, LAST_OF_CLIENTS)
        return self.seat.ask(asked, api=Api.ADD_PARTITIONS_TO_TXN, version=version)

    def add_offsets(self, group: str, **changes: Any) -> Any:
        version = self.version(Api.ADD_OFFSETS_TO_TXN, LAST_OF_CLIENTS)
        return self.seat.ask(
            {**self.producer, "group_id": group, **changes}, api=Api.ADD_OFFSETS_TO_TXN, version=version
        )

    def commit_offsets(self, group: str, topics: Topics, **changes: Any) -> Any:
        fields = {**self.producer, "group_id": group, "topics": topics, "generation_id": -1, **changes}
        return self.seat.ask(fields, api=Api.TXN_OFFSET_COMMIT, version=self.version(Api.TXN_OFFSET_COMMIT, 3))

    def produce(self, version: int, *topics: Mapping[str, Any]) -> Any:
        fields = {"transactional_id": self.id, "acks": -1, "timeout": 10_000, "topic_data": topics}
        return self.seat.ask(fields, api=Api.PRODUCE, version=version)

    def end(self, committed: bool, version: int = 3, **changes: Any) -> Any:
        """EndTxn; returns once it has ended, if it was told to."""
        fields = {**self.producer, "committed": committed, **changes}
        answer = self.seat.ask(fields, api=Api.END_TXN, version=self.version(Api.END_TXN, version))
        self.seat.side.operator.wait_for_end(self.seat.upstream(self.id))
        if getattr(answer, "producer_id", -1) >= 0:
            self.producer_id, self.producer_epoch = answer.producer_id, answer.producer_epoch
        return answer


def begin(seat: Seat, suffix: str = "") -> Transaction:
    own = seat.name(suffix)
    fields = {"transactional_id": own, "transaction_timeout": 60_000}
    told = seat.ask(fields, api=Api.INIT_PRODUCER_ID, version=4)
    assert told.error_code == 0, told
    return Transaction(seat, own, told.producer_id, told.producer_epoch)


@contextmanager
def transaction(seat: Seat) -> Iterator[Transaction]:
    """Aborted at its end, unless it was ended before."""
    work = begin(seat)
    yield work
    if seat.transaction(work.id)["state"] == "Ongoing":
        work.end(False)


def of(name: str, *partitions: int) -> Mapping[str, Any]:
    return {"name": name, "partitions": partitions}


def at(partition: int, offset: int = 3, metadata: str | None = "note") -> Mapping[str, Any]:
    return {"partition_index": partition, "committed_offset": offset, "committed_metadata": metadata}


def positions(*names: str) -> Callable[[Seat], Topics]:
    return lambda seat: [seat.topic(name, partitions=[at(1), at(0, 2, None)]) for name in names]


# AddPartitionsToTxn, AddOffsetsToTxn


def adding(name: str, *topics: Mapping[str, Any], **changes: Any) -> Scenario:
    def play(seat: Seat) -> Mapping[str, Any]:
        with transaction(seat) as work:
            answer = work.add(*topics, **changes)
            return {"answer": answer, "transaction": seat.transaction(work.id)}

    return Scenario(Api.ADD_PARTITIONS_TO_TXN, name, play, versions=(0, LAST_OF_CLIENTS), needs=NEEDS)


def asking_without(api: Api, name: str, role: Role, transactional_id: str | None) -> Scenario:
    """By somebody who has begun nothing."""

    def play(seat: Seat) -> Mapping[str, Any]:
        own = seat.name() if transactional_id is None else transactional_id
        work = Transaction(seat, own, 4711, 0)
        group = seat.name("-group")
        if api == Api.ADD_PARTITIONS_TO_TXN:
            return {"answer": work.add(of(SECRET, 0), of(ORDERS, 1, 0))}
        if api == Api.ADD_OFFSETS_TO_TXN:
            return {"answer": work.add_offsets(group)}
        if api == Api.TXN_OFFSET_COMMIT:
            topics = positions(SECRET, ORDERS)(seat)
            return {"answer": work.commit_offsets(group, topics), "stored": seat.positions(group)}
        return {"answer": seat.ask({**work.producer, "committed": True})}

    last = LAST_OF_CLIENTS if api == Api.ADD_PARTITIONS_TO_TXN else 99
    return Scenario(api, name, play, role, (0, last), NEEDS)


def adding_offsets(name: str, group: str | None = None, **changes: Any) -> Scenario:
    def play(seat: Seat) -> Mapping[str, Any]:
        with transaction(seat) as work:
            answer = work.add_offsets(seat.name("-group") if group is None else group, **changes)
            return {"answer": answer, "transaction": seat.transaction(work.id)}

    return Scenario(Api.ADD_OFFSETS_TO_TXN, name, play, needs=NEEDS)


def added_twice(seat: Seat) -> Mapping[str, Any]:
    with transaction(seat) as work:
        answers = [work.add(of(LEDGER, 0)), work.add(of(LEDGER, 0, 1), of(ORDERS, 0))]
        return {"answers": answers, "transaction": seat.transaction(work.id)}


# EndTxn


def ending(name: str, committed: bool, **changes: Any) -> Scenario:
    def play(seat: Seat) -> Mapping[str, Any]:
        with transaction(seat) as work:
            added = work.add(of(LEDGER, 0))
            answer = work.end(committed, **changes)
            return {"added": added, "answer": answer, "transaction": seat.transaction(work.id)}

    return Scenario(Api.END_TXN, name, play, needs=NEEDS)


def ends_twice(seat: Seat) -> Mapping[str, Any]:
    with transaction(seat) as work:
        work.add(of(LEDGER, 0))
        return {"first": work.end(True), "second": work.end(True), "other": work.end(False)}


def ends_nothing(seat: Seat) -> Mapping[str, Any]:
    with transaction(seat) as work:
        return {"answer": work.end(True), "transaction": seat.transaction(work.id)}


# TxnOffsetCommit


def committing(
    name: str, topics: Callable[[Seat], Topics], versions: tuple[int, int] = ALL_VERSIONS, **changes: Any
) -> Scenario:
    def play(seat: Seat) -> Mapping[str, Any]:
        group = seat.name("-group")
        with transaction(seat) as work:
            if seat.version < IMPLICIT_COMMIT:
                work.add_offsets(group)
            answer = work.commit_offsets(group, topics(seat), **changes)
            before = seat.positions(group)
            ended = work.end(True, version=5 if seat.version >= IMPLICIT_COMMIT else 3)
            return {"answer": answer, "before": before, "ended": ended, "stored": seat.positions(group)}

    return Scenario(Api.TXN_OFFSET_COMMIT, name, play, versions=versions, needs=NEEDS)


def not_added(seat: Seat) -> Mapping[str, Any]:
    group = seat.name("-group")
    with transaction(seat) as work:
        return {"answer": work.commit_offsets(group, positions(ORDERS)(seat)), "stored": seat.positions(group)}


# Produce and Fetch


def producing(name: str, committed: bool, topics: Sequence[str] = (LEDGER,)) -> Scenario:
    def play(seat: Seat) -> Mapping[str, Any]:
        before = seat.ends(LEDGER)
        with transaction(seat) as work:
            if seat.version < IMPLICIT_PRODUCE:
                work.add(of(LEDGER, 0))
            answer = work.produce(seat.version, *(written(work, name, 0) for name in topics))
            since_before(seat, answer, before)
            state = seat.transaction(work.id)
            ended = work.end(committed, version=5 if seat.version >= IMPLICIT_PRODUCE else 3)
            return {"answer": answer, "state": state, "ended": ended, "logs": seat.written_since(before)}

    return Scenario(Api.PRODUCE, name, play, needs=NEEDS)


def written(work: Transaction, name: str, sequence: int) -> Mapping[str, Any]:
    producer = (work.producer_id, work.producer_epoch, sequence)
    return data(work.seat, name, (0, batch(b"in a transaction", producer=producer, transactional=True)))


def never_added(seat: Seat) -> Mapping[str, Any]:
    before = seat.ends(LEDGER)
    with transaction(seat) as work:
        answer = work.produce(seat.version, written(work, LEDGER, 0))
        since_before(seat, answer, before)
        return {"answer": answer, "state": seat.transaction(work.id), "logs": seat.written_since(before)}


def fetching(name: str, isolation_level: int) -> Scenario:
    """What somebody else sees of a transaction that goes on, and after its end."""

    def play(seat: Seat) -> Mapping[str, Any]:
        start = seat.ends(LEDGER)[LEDGER, 0]
        with transaction(seat) as work:
            work.add(of(LEDGER, 0))
            work.produce(9, written(work, LEDGER, 0))
            during = fetched(seat, start, isolation_level)
            work.end(False)
            return {"during": during, "after": fetched(seat, start, isolation_level)}

    return Scenario(Api.FETCH, name, play, needs=NEEDS)


def fetched(seat: Seat, start: int, isolation_level: int) -> Any:
    """Records hold the producer's id, so only their size is compared, and offsets from the start."""
    partition = {"partition": 0, "fetch_offset": start, "partition_max_bytes": 1 << 20}
    topics = [seat.topic(LEDGER, partitions=[partition])]
    fields = {"replica_id": -1, "max_wait": 0, "isolation_level": isolation_level, "topics": topics}
    answer = seat.ask(fields)
    for topic in getattr(answer, "responses", ()):
        for told in topic.partitions:
            told.records = len(told.records or b"")
    return answer


ASKING_WITHOUT = tuple(
    asking_without(api, name, role, transactional_id)
    for api in (Api.ADD_PARTITIONS_TO_TXN, Api.ADD_OFFSETS_TO_TXN, Api.END_TXN, Api.TXN_OFFSET_COMMIT)
    for name, role, transactional_id in (
        ("reader", Role.READER, None),
        ("unknown-id", Role.PARTNER, None),
        ("empty-id", Role.PARTNER, ""),
    )
)
MANY = (of(SECRET, 0), of(LEDGER, 1, 0), of(GHOST, 0, 1), of(ORDERS, 0), of(PRICES, 0), of(VANISHED, 0))

SCENARIOS = (
    *ASKING_WITHOUT,
    adding("allowed", of(LEDGER, 1, 0), of(ORDERS, 0)),
    adding("mixed", *MANY),
    adding("denied", *(of(name, 0) for name in (SECRET, GHOST, WITHHELD, ILLEGAL))),
    adding("readable-only", of(PRICES, 0, 1)),
    adding("vanished", of(LEDGER, 0), of(VANISHED, 0)),
    adding("unknown-partition", of(LEDGER, BAD_PARTITION, 0)),
    adding("topic-twice", of(LEDGER, 0), of(LEDGER, 1)),
    adding("partition-twice", of(LEDGER, 0, 0)),
    adding("nothing"),
    adding("other-producer", of(LEDGER, 0), producer_id=4711),
    adding("other-epoch", of(LEDGER, 0), producer_epoch=7),
    Scenario(Api.ADD_PARTITIONS_TO_TXN, "again", added_twice, versions=(0, LAST_OF_CLIENTS), needs=NEEDS),
    adding_offsets("allowed"),
    adding_offsets("empty-group", ""),
    adding_offsets("odd-group", "Ä: *?"),
    adding_offsets("other-producer", producer_id=4711),
    adding_offsets("other-epoch", producer_epoch=7),
    ending("commits", True),
    ending("aborts", False),
    ending("other-producer", True, producer_id=4711),
    ending("other-epoch", True, producer_epoch=7),
    Scenario(Api.END_TXN, "twice", ends_twice, needs=NEEDS),
    Scenario(Api.END_TXN, "nothing", ends_nothing, needs=NEEDS),
    committing("allowed", positions(PRICES, ORDERS)),
    committing("mixed", positions(SECRET, ORDERS, GHOST, PRICES, VANISHED, WITHHELD)),
    committing("denied", positions(SECRET, GHOST)),
    committing("unknown-partition", lambda seat: [seat.topic(ORDERS, partitions=[at(BAD_PARTITION), at(0)])]),
    committing("partition-twice", lambda seat: [seat.topic(ORDERS, partitions=[at(0, 1), at(0, 2)])]),
    committing("long-metadata", lambda seat: [seat.topic(ORDERS, partitions=[at(0, 1, "x" * 4097), at(1)])]),
    committing("nothing", lambda _: []),
    committing("empty-group", positions(ORDERS, SECRET), group_id=""),
    committing("other-producer", positions(ORDERS), producer_id=4711),
    committing("other-epoch", positions(ORDERS), producer_epoch=7),
    committing("member-of-no-group", positions(ORDERS), (3, 99), member_id="nobody", generation_id=3),
    Scenario(Api.TXN_OFFSET_COMMIT, "not-added", not_added, needs=NEEDS),
    producing("transaction-commits", True),
    producing("transaction-aborts", False),
    producing("transaction-mixed", True, (PRICES, LEDGER, SECRET)),
    Scenario(Api.PRODUCE, "transaction-without-the-partition", never_added, needs=NEEDS),
    fetching("transaction-read-committed", 1),
    fetching("transaction-read-uncommitted", 0),
)
