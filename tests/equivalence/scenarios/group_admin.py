"""DescribeGroups (15), ListGroups (16), DeleteGroups (42) and OffsetDelete (47)."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tests.equivalence.apis import Api
from tests.equivalence.names import (
    BAD_PARTITION,
    GHOST,
    ORDERS,
    PARTITIONS,
    PRICES,
    SECRET,
    VANISHED,
    WITHHELD,
    Role,
)
from tests.equivalence.scenario import ALL_VERSIONS, Scenario, asks
from tests.equivalence.scenarios.groups import assignment, consuming, join, leave, membership, subscription, sync
from tests.equivalence.scenarios.positions import allowed, group_of
from tests.equivalence.side import Seat

WITH_OPERATIONS = (3, 99)


@contextmanager
def member(seat: Seat, group: str, **fields: Any) -> Iterator[Any]:
    """A group with one member, which leaves at the end."""
    joined = join(seat, group, **fields)[-1]
    sync(seat, membership(seat, group, joined), assignment({ORDERS: range(PARTITIONS), PRICES: [0]}))
    yield joined
    leave(seat, group, joined.member_id)


def commit(seat: Seat, group: str) -> None:
    told = seat.ask({**group_of(seat), "group_id": group, "topics": allowed(seat)}, api=Api.OFFSET_COMMIT)
    assert all(partition.error_code == 0 for topic in told.topics for partition in topic.partitions), told


# DescribeGroups


def describing(
    name: str, role: Role = Role.PARTNER, versions: tuple[int, int] = ALL_VERSIONS, **fields: Any
) -> Scenario:
    """A group with a member, one with positions only, one that isn't there, one without a name."""

    def play(seat: Seat) -> Mapping[str, Any]:
        busy, idle = seat.name("-busy"), seat.name("-idle")
        if role is Role.PARTNER:
            commit(seat, idle)
        with member(seat, busy):
            groups = [idle, "nobody-s", busy, "", busy]
            return {"answer": seat.ask({"groups": groups, **fields})}

    return Scenario(Api.DESCRIBE_GROUPS, name, play, role, versions)


def describes_another_kind(seat: Seat) -> Mapping[str, Any]:
    group = seat.name()
    joined = join(seat, group, protocol_type="connect", protocols=[{"name": "eager", "metadata": b"opaque"}])[-1]
    sync(seat, membership(seat, group, joined), b"given", protocol_type="connect", protocol_name="eager")
    answer = seat.ask({"groups": [group]})
    leave(seat, group, joined.member_id)
    return {"answer": answer, "after": seat.ask({"groups": [group]})}


def describes_ungranted_topics(seat: Seat) -> Mapping[str, Any]:
    """Nothing keeps a member from naming what it may not read."""
    group = seat.name()
    with member(seat, group, **consuming(subscription(SECRET, ORDERS, GHOST, version=3))):
        return {"answer": seat.ask({"groups": [group]})}


# ListGroups


def listing(name: str, role: Role = Role.PARTNER, versions: tuple[int, int] = ALL_VERSIONS, **fields: Any) -> Scenario:
    """All groups that the user can see: those of the scenarios before, too."""

    def play(seat: Seat) -> Mapping[str, Any]:
        if role is Role.PARTNER:
            commit(seat, seat.name("-idle"))
        with member(seat, seat.name("-busy")):
            return {"answer": seat.ask(fields)}

    return Scenario(Api.LIST_GROUPS, name, play, role, versions)


# DeleteGroups


def deletes(seat: Seat) -> Mapping[str, Any]:
    """The group without members goes, the other one stays."""
    busy, idle = seat.name("-busy"), seat.name("-idle")
    commit(seat, idle)
    with member(seat, busy):
        answer = seat.ask({"groups_names": [busy, idle, "nobody-s", ""]})
    return {"answer": answer, "stored": seat.positions(idle)}


def deletes_twice(seat: Seat) -> Mapping[str, Any]:
    commit(seat, seat.name())
    return {"answer": seat.ask({"groups_names": [seat.name(), seat.name()]}), "stored": seat.positions(seat.name())}


def deleting(name: str, groups: Sequence[str], role: Role = Role.PARTNER) -> Scenario:
    return asks(Api.DELETE_GROUPS, name, lambda _: {"groups_names": groups}, role)


# OffsetDelete


def forgetting(name: str, topics: Mapping[str, Sequence[int]], group: str | None = None) -> Scenario:
    def play(seat: Seat) -> Mapping[str, Any]:
        own = seat.name()
        commit(seat, own)
        asked = [
            seat.topic(name, partitions=[{"partition_index": index} for index in partitions])
            for name, partitions in topics.items()
        ]
        answer = seat.ask({"group_id": own if group is None else group, "topics": asked})
        return {"answer": answer, "stored": seat.positions(own)}

    return Scenario(Api.OFFSET_DELETE, name, play)


def forgets_what_is_read(seat: Seat) -> Mapping[str, Any]:
    """Of a topic that a member subscribes to, and of one that none does."""
    group = seat.name()
    commit(seat, group)
    topics = [
        seat.topic(name, partitions=[{"partition_index": n} for n in (1, 0)]) for name in (PRICES, ORDERS, SECRET)
    ]
    with member(seat, group, **consuming(subscription(ORDERS))):
        answer = seat.ask({"group_id": group, "topics": topics})
    return {"answer": answer, "stored": seat.positions(group)}


MANY = dict.fromkeys((SECRET, ORDERS, GHOST, PRICES, VANISHED, WITHHELD), (1, 0))

SCENARIOS = (
    describing("several"),
    describing("reader", Role.READER),
    describing("operations", versions=WITH_OPERATIONS, include_authorized_operations=True),
    asks(Api.DESCRIBE_GROUPS, "nothing", lambda _: {"groups": []}),
    Scenario(Api.DESCRIBE_GROUPS, "another-kind", describes_another_kind),
    Scenario(Api.DESCRIBE_GROUPS, "ungranted-topics", describes_ungranted_topics),
    listing("all"),
    listing("reader", Role.READER),
    listing("stable", versions=(4, 99), states_filter=["Stable"]),
    listing("idle-in-small-letters", versions=(4, 99), states_filter=["empty"]),
    listing("unheard-of-state", versions=(4, 99), states_filter=["Sleeping"]),
    listing("classic", versions=(5, 99), types_filter=["classic"]),
    listing("consumer", versions=(5, 99), types_filter=["Consumer"]),
    listing("unheard-of-type", versions=(5, 99), types_filter=["odd"]),
    Scenario(Api.DELETE_GROUPS, "several", deletes),
    Scenario(Api.DELETE_GROUPS, "twice", deletes_twice),
    deleting("reader", ["nobody-s"], Role.READER),
    deleting("nothing", []),
    forgetting("allowed", {PRICES: (1, 0), ORDERS: (0,)}),
    forgetting("mixed", MANY),
    forgetting("denied", {SECRET: (0,), GHOST: (0, 1)}),
    forgetting("unknown-partition", {ORDERS: (BAD_PARTITION, 0)}),
    forgetting("partition-twice", {ORDERS: (0, 0)}),
    forgetting("nothing", {}),
    forgetting("no-partitions", {ORDERS: ()}),
    forgetting("empty-group", MANY, ""),
    forgetting("nobody-s-group", MANY, "nobody-s"),
    Scenario(Api.OFFSET_DELETE, "what-is-read", forgets_what_is_read),
)
