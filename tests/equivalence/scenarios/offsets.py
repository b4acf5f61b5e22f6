"""ListOffsets (2) and OffsetForLeaderEpoch (23)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.equivalence.apis import Api
from tests.equivalence.names import BAD_PARTITION, GHOST, ILLEGAL, ORDERS, PRICES, SECRET, VANISHED, WITHHELD, Role
from tests.equivalence.records import FIRST_TIME, SECOND
from tests.equivalence.scenario import ALL_VERSIONS, Scenario, asks
from tests.equivalence.side import Seat

Topics = Callable[[Seat], Sequence[Mapping[str, Any]]]

LATEST = -1
NO_LEADER = 2


def at(partition: int, time: int = LATEST, **fields: Any) -> Mapping[str, Any]:
    return {"partition_index": partition, "timestamp": time, **fields}


def listing(
    name: str,
    topics: Topics,
    role: Role = Role.PARTNER,
    versions: tuple[int, int] = ALL_VERSIONS,
    broker: int | None = None,
    **fields: Any,
) -> Scenario:
    common = {"replica_id": -1, "timeout": 5000, **fields}
    return asks(Api.LIST_OFFSETS, name, lambda seat: {"topics": topics(seat), **common}, role, versions, broker)


def of_orders(*partitions: Mapping[str, Any]) -> Topics:
    return lambda seat: [seat.topic(ORDERS, partitions=partitions)]


def mixed(seat: Seat) -> Sequence[Mapping[str, Any]]:
    return [
        seat.topic(SECRET, partitions=[at(0)]),
        seat.topic(ORDERS, partitions=[at(1), at(0)]),
        seat.topic(GHOST, partitions=[at(1), at(0)]),
        seat.topic(PRICES, partitions=[at(0, -2)]),
        seat.topic(VANISHED, partitions=[at(0)]),
    ]


def denied(seat: Seat) -> Sequence[Mapping[str, Any]]:
    return [seat.topic(name, partitions=[at(0)]) for name in (SECRET, GHOST, WITHHELD, ILLEGAL, "")]


LIST_OFFSETS = (
    *(
        listing(name, of_orders(at(1, time), at(0, time)))
        for name, time in (
            ("latest", -1),
            ("earliest", -2),
            ("highest-time", -3),
            ("earliest-local", -4),
            ("latest-tiered", -5),
            ("earliest-not-uploaded", -6),
            ("no-such-time", -7),
            ("first-time", FIRST_TIME),
            ("later-time", FIRST_TIME + 5 * SECOND),
            ("future-time", 1 << 60),
        )
    ),
    listing("mixed", mixed),
    listing("denied", denied),
    listing("reader", mixed, Role.READER),
    listing("unknown-partition", of_orders(at(BAD_PARTITION), at(0), at(-1))),
    listing("not-the-leader", of_orders(at(0), at(1)), broker=NO_LEADER),
    listing("partition-twice", of_orders(at(0), at(0, -2), at(1))),
    listing("same-partition-twice", of_orders(at(0), at(0), at(1))),
    listing("topic-twice", lambda seat: [seat.topic(ORDERS, partitions=[at(n)]) for n in (1, 0)]),
    listing("denied-partition-twice", lambda seat: [seat.topic(SECRET, partitions=[at(0), at(0, -2)])]),
    listing("nothing", lambda _: []),
    listing("no-partitions", of_orders()),
    listing("read-committed", of_orders(at(0), at(1)), isolation_level=1),
    listing("later-leader-epoch", of_orders(at(0, current_leader_epoch=9), at(1)), versions=(4, 99)),
    listing("current-leader-epoch", of_orders(at(0, current_leader_epoch=0)), versions=(4, 99)),
    listing("as-a-follower", of_orders(at(0), at(1)), replica_id=2),
    listing("as-a-debugger", of_orders(at(0), at(1)), replica_id=-2),
)


def epoch(partition: int, number: int = 0, current: int = -1) -> Mapping[str, Any]:
    return {"partition": partition, "leader_epoch": number, "current_leader_epoch": current}


def asking(
    name: str, topics: Topics, role: Role = Role.PARTNER, broker: int | None = None, replica_id: int = -1
) -> Scenario:
    return asks(
        Api.OFFSET_FOR_LEADER_EPOCH,
        name,
        lambda seat: {"topics": topics(seat), "replica_id": replica_id},
        role,
        broker=broker,
    )


def epochs_of_many(seat: Seat) -> Sequence[Mapping[str, Any]]:
    names = (SECRET, ORDERS, GHOST, PRICES, VANISHED, WITHHELD, ILLEGAL)
    return [seat.topic(name, partitions=[epoch(1), epoch(0)]) for name in names]


LEADER_EPOCHS = (
    asking("allowed", lambda seat: [seat.topic(name, partitions=[epoch(0), epoch(1)]) for name in (PRICES, ORDERS)]),
    asking("mixed", epochs_of_many),
    asking("reader", epochs_of_many, Role.READER),
    asking("denied", lambda seat: [seat.topic(SECRET, partitions=[epoch(0)])]),
    asking("later-epochs", of_orders(epoch(0, 9), epoch(1, 0, 9))),
    asking("current-epoch", of_orders(epoch(0, 0, 0))),
    asking("negative-epoch", of_orders(epoch(0, -1))),
    asking("unknown-partition", of_orders(epoch(BAD_PARTITION), epoch(0))),
    asking("not-the-leader", of_orders(epoch(0)), broker=NO_LEADER),
    asking("partition-twice", of_orders(epoch(0), epoch(0, 9))),
    asking("topic-twice", lambda seat: [seat.topic(ORDERS, partitions=[epoch(n)]) for n in (1, 0)]),
    asking("no-partitions", of_orders()),
    asking("nothing", lambda _: []),
    asking("as-a-follower", of_orders(epoch(0)), replica_id=2),
    asking("as-a-debugger", of_orders(epoch(0)), replica_id=-2),
)

SCENARIOS = (*LIST_OFFSETS, *LEADER_EPOCHS)
