"""Fetch (1)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.equivalence.apis import Api
from tests.equivalence.names import (
    BAD_PARTITION,
    GHOST,
    ILLEGAL,
    ORDERS,
    PRICES,
    SECRET,
    UNKNOWN_ID,
    VANISHED,
    WITHHELD,
    Role,
)
from tests.equivalence.scenario import ALL_VERSIONS, Scenario, asks
from tests.equivalence.side import Seat

Topics = Callable[[Seat], Sequence[Mapping[str, Any]]]

BY_NAME, BY_ID, WITH_SESSIONS, WITH_EPOCHS = (0, 12), (13, 99), (7, 99), (9, 99)
END = 5
"""Of partition 0 of a filled topic."""
A_MEGABYTE = 1 << 20
NO_LEADER = 2


def wanted(partition: int, offset: int = 0, **fields: Any) -> Mapping[str, Any]:
    return {"partition": partition, "fetch_offset": offset, "partition_max_bytes": A_MEGABYTE, **fields}


def fetching(
    name: str,
    topics: Topics,
    role: Role = Role.PARTNER,
    versions: tuple[int, int] = ALL_VERSIONS,
    broker: int | None = None,
    **fields: Any,
) -> Scenario:
    common = {"replica_id": -1, "max_wait": 50, "min_bytes": 1, **fields}
    return asks(Api.FETCH, name, lambda seat: {"topics": topics(seat), **common}, role, versions, broker)


def both(seat: Seat) -> Sequence[Mapping[str, Any]]:
    return [
        seat.topic(PRICES, partitions=[wanted(1), wanted(0, 3)]),
        seat.topic(ORDERS, partitions=[wanted(0)]),
    ]


def apart(seat: Seat) -> Sequence[Mapping[str, Any]]:
    """As a consumer asks that has just got something of partition 0 of ORDERS, which goes to the end."""
    first, last = (seat.topic(ORDERS, partitions=[wanted(partition)]) for partition in (1, 0))
    return [first, seat.topic(PRICES, partitions=[wanted(0)]), last]


def mixed(seat: Seat) -> Sequence[Mapping[str, Any]]:
    return [
        seat.topic(SECRET, partitions=[wanted(0), wanted(1)]),
        seat.topic(ORDERS, partitions=[wanted(1), wanted(0)]),
        seat.topic(GHOST, partitions=[wanted(0)]) | {"topic_id": UNKNOWN_ID},
        seat.topic(PRICES, partitions=[wanted(0)]),
    ]


def denied(seat: Seat) -> Sequence[Mapping[str, Any]]:
    return [seat.topic(name, partitions=[wanted(0)]) for name in (SECRET, GHOST, WITHHELD, ILLEGAL, "")]


def of_orders(*partitions: Mapping[str, Any]) -> Topics:
    return lambda seat: [seat.topic(ORDERS, partitions=partitions)]


def replica(number: int) -> Mapping[str, Any]:
    """A tag from version 15 on, a field before."""
    return {"replica_id": number, "replica_state": {"replica_id": number, "replica_epoch": -1}}


def follower(name: str, number: int, versions: tuple[int, int]) -> Scenario:
    return fetching(name, both, versions=versions, **replica(number))


SCENARIOS = (
    fetching("allowed", both),
    fetching("reader", both, Role.READER),
    fetching("mixed", mixed, versions=BY_NAME),
    fetching("mixed-with-an-ungranted-id", mixed, versions=BY_ID),
    fetching("denied", denied, versions=BY_NAME),
    fetching(
        "unknown-id",
        lambda seat: [
            seat.topic(GHOST, partitions=[wanted(1), wanted(0)]) | {"topic_id": UNKNOWN_ID},
            seat.topic(ORDERS, partitions=[wanted(0)]),
        ],
        versions=BY_ID,
    ),
    fetching(
        "unknown-ids-only",
        lambda seat: [seat.topic(GHOST, partitions=[wanted(0)]) | {"topic_id": UNKNOWN_ID}],
        versions=BY_ID,
    ),
    fetching("zero-id", lambda seat: [seat.topic(VANISHED, partitions=[wanted(0)])], versions=BY_ID),
    fetching(
        "vanished",
        lambda seat: [seat.topic(VANISHED, partitions=[wanted(0)]), seat.topic(ORDERS, partitions=[wanted(0)])],
        versions=BY_NAME,
    ),
    fetching("unknown-partition", of_orders(wanted(BAD_PARTITION), wanted(0), wanted(-1))),
    fetching("not-the-leader", both, broker=NO_LEADER),
    fetching("offset-out-of-range", of_orders(wanted(0, 99), wanted(1))),
    fetching("offset-below-zero", of_orders(wanted(0, -1), wanted(1))),
    fetching("at-the-end", of_orders(wanted(0, END))),
    fetching("at-the-end-without-waiting", of_orders(wanted(0, END)), max_wait=0, min_bytes=0),
    fetching("in-the-middle-of-a-batch", of_orders(wanted(0, 1))),
    fetching("read-committed", both, isolation_level=1),
    fetching("wrong-isolation-level", both, isolation_level=7),
    fetching("a-byte-at-most", both, max_bytes=1),
    fetching("a-byte-per-partition", of_orders(wanted(0, partition_max_bytes=1), wanted(1, partition_max_bytes=1))),
    fetching("no-bytes-per-partition", of_orders(wanted(0, partition_max_bytes=0))),
    fetching("current-leader-epoch", of_orders(wanted(0, current_leader_epoch=0)), versions=WITH_EPOCHS),
    fetching("later-leader-epoch", of_orders(wanted(0, current_leader_epoch=9), wanted(1)), versions=WITH_EPOCHS),
    fetching("diverging-epoch", of_orders(wanted(0, 2, last_fetched_epoch=3)), versions=(12, 99)),
    fetching("same-fetched-epoch", of_orders(wanted(0, 2, last_fetched_epoch=0)), versions=(12, 99)),
    fetching("nothing", lambda _: []),
    fetching("no-partitions", of_orders()),
    fetching("partition-twice", of_orders(wanted(0, 3), wanted(0, 0))),
    fetching("topic-twice", apart),
    fetching("new-session", both, session_epoch=0, versions=WITH_SESSIONS),
    fetching("new-session-of-nothing", lambda _: [], session_epoch=0, versions=WITH_SESSIONS),
    fetching("new-session-denied", denied, session_epoch=0, versions=(7, 12)),
    fetching("foreign-session", both, session_id=4711, session_epoch=3, versions=WITH_SESSIONS),
    fetching("foreign-session-of-nothing", lambda _: [], session_id=4711, session_epoch=3, versions=WITH_SESSIONS),
    fetching("no-session-with-an-epoch", both, session_id=0, session_epoch=3, versions=WITH_SESSIONS),
    fetching("foreign-session-ends", both, session_id=4711, session_epoch=-1, versions=WITH_SESSIONS),
    fetching(
        "forgotten-topics",
        both,
        forgotten_topics_data=[{"topic": ORDERS, "partitions": [0]}],
        versions=(7, 12),
    ),
    fetching("rack", both, rack_id="somewhere", versions=(11, 99)),
    follower("as-a-follower", 2, ALL_VERSIONS),
    follower("as-a-debugger", -2, ALL_VERSIONS),
    follower("as-a-future-replica", -3, ALL_VERSIONS),
)
