"""InitProducerId (22)."""

from collections.abc import Mapping
from typing import Any

from tests.equivalence.apis import Api
from tests.equivalence.names import Role
from tests.equivalence.scenario import ALL_VERSIONS, Scenario
from tests.equivalence.side import Seat

WITH_PRODUCER = (3, 99)
MINUTE = 60_000
TRANSACTIONS = (Api.ADD_PARTITIONS_TO_TXN,)


def starting(
    name: str,
    own: str | None,
    role: Role = Role.PARTNER,
    versions: tuple[int, int] = ALL_VERSIONS,
    **fields: Any,
) -> Scenario:
    """With a transactional id of the scenario's own when `own` is a suffix, none when it is None."""

    def play(seat: Seat) -> Mapping[str, Any]:
        transactional_id = seat.name(own) if own is not None else None
        answer = seat.ask({"transactional_id": transactional_id, "transaction_timeout": MINUTE, **fields})
        return {"answer": answer}

    return Scenario(Api.INIT_PRODUCER_ID, name, play, role, versions, TRANSACTIONS if own is not None else ())


def twice(seat: Seat) -> Mapping[str, Any]:
    """The same producer in its next epoch."""
    fields = {"transactional_id": seat.name(), "transaction_timeout": MINUTE}
    return {"first": seat.ask(fields), "second": seat.ask(fields)}


def goes_on(seat: Seat) -> Mapping[str, Any]:
    """With the producer id and epoch that it has, then with those that it had, then with somebody else's."""
    fields = {"transactional_id": seat.name(), "transaction_timeout": MINUTE}
    first = seat.ask(fields)
    own = {"producer_id": first.producer_id, "producer_epoch": first.producer_epoch}
    second = seat.ask({**fields, **own})
    third = seat.ask(fields)
    late = seat.ask({**fields, **own})
    foreign = seat.ask({**fields, "producer_id": first.producer_id + 1_000_000, "producer_epoch": 0})
    return {"first": first, "second": second, "third": third, "late": late, "foreign": foreign}


SCENARIOS = (
    starting("idempotent", None),
    starting("idempotent-reader", None, Role.READER),
    starting("idempotent-with-a-producer", None, versions=WITH_PRODUCER, producer_id=4711, producer_epoch=1),
    starting("idempotent-with-half-a-producer", None, versions=WITH_PRODUCER, producer_id=4711, producer_epoch=-1),
    starting("empty-id", None, transactional_id=""),
    starting("empty-id-of-a-reader", None, Role.READER, transactional_id=""),
    starting("id", ""),
    starting("odd-id", " Ä:*?"),
    starting("id-of-a-reader", "", Role.READER),
    starting("long-timeout", "", transaction_timeout=1 << 30),
    starting("no-timeout", "", transaction_timeout=0),
    starting("half-a-producer", "", versions=WITH_PRODUCER, producer_id=4711, producer_epoch=-1),
    starting("producer-of-nothing", "", versions=WITH_PRODUCER, producer_id=4711, producer_epoch=3),
    Scenario(Api.INIT_PRODUCER_ID, "twice", twice, needs=TRANSACTIONS),
    Scenario(Api.INIT_PRODUCER_ID, "goes-on", goes_on, versions=WITH_PRODUCER, needs=TRANSACTIONS),
)
