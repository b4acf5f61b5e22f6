"""OffsetCommit (8) and OffsetFetch (9), and what is stored afterwards."""

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
from tests.equivalence.scenario import ALL_VERSIONS, Scenario
from tests.equivalence.side import Seat

Topics = Callable[[Seat], Sequence[Mapping[str, Any]]]

BY_NAME, BY_ID = (0, 9), (10, 99)
BATCHED, WITH_MEMBERS = (8, 99), (9, 99)
TOO_LONG = "x" * 4097
NOT_THE_COORDINATOR = {1: 2, 2: 3, 3: 1}


def at(partition: int, offset: int = 3, metadata: str | None = "note", **fields: Any) -> Mapping[str, Any]:
    return {"partition_index": partition, "committed_offset": offset, "committed_metadata": metadata, **fields}


def group_of(seat: Seat) -> Mapping[str, Any]:
    return {"group_id": seat.name(), "retention_time": -1, "generation_id": -1, "generation_id_or_member_epoch": -1}


def committing(
    name: str,
    topics: Topics,
    role: Role = Role.PARTNER,
    versions: tuple[int, int] = ALL_VERSIONS,
    elsewhere: bool = False,
    **fields: Any,
) -> Scenario:
    def play(seat: Seat) -> Mapping[str, Any]:
        broker = seat.broker_for(seat.api)
        broker = NOT_THE_COORDINATOR[broker] if elsewhere else broker
        answer = seat.ask({**group_of(seat), "topics": topics(seat), **fields}, broker=broker)
        group = fields.get("group_id", seat.name())
        stored = seat.positions(group)
        if not group:
            # which on Kafka is everybody's, whoever asks
            seat.side.operator.delete_group(seat.upstream(group))
        return {"answer": answer, "stored": stored}

    return Scenario(Api.OFFSET_COMMIT, name, play, role, versions)


def allowed(seat: Seat) -> Sequence[Mapping[str, Any]]:
    return [
        seat.topic(PRICES, partitions=[at(1), at(0, 2, None, committed_leader_epoch=0)]),
        seat.topic(ORDERS, partitions=[at(0, 5, "")]),
    ]


def mixed(seat: Seat) -> Sequence[Mapping[str, Any]]:
    return [
        seat.topic(SECRET, partitions=[at(0)]),
        seat.topic(ORDERS, partitions=[at(1), at(0)]),
        seat.topic(GHOST, partitions=[at(1), at(0)]) | {"topic_id": UNKNOWN_ID},
        seat.topic(PRICES, partitions=[at(0)]),
    ]


def denied(seat: Seat) -> Sequence[Mapping[str, Any]]:
    return [seat.topic(name, partitions=[at(0)]) for name in (SECRET, GHOST, WITHHELD, ILLEGAL, "")]


def of_orders(*partitions: Mapping[str, Any]) -> Topics:
    return lambda seat: [seat.topic(ORDERS, partitions=partitions)]


COMMITS = (
    committing("allowed", allowed),
    committing("reader", mixed, Role.READER, BY_NAME),
    committing("mixed", mixed, versions=BY_NAME),
    committing("mixed-with-an-ungranted-id", mixed, versions=BY_ID),
    committing("denied", denied, versions=BY_NAME),
    committing(
        "unknown-id",
        lambda seat: [seat.topic(GHOST, partitions=[at(0)]) | {"topic_id": UNKNOWN_ID}, *allowed(seat)],
        versions=BY_ID,
    ),
    committing("zero-id", lambda seat: [seat.topic(VANISHED, partitions=[at(0)])], versions=BY_ID),
    committing("vanished", lambda seat: [seat.topic(VANISHED, partitions=[at(0)]), *allowed(seat)], versions=BY_NAME),
    committing("unknown-partition", of_orders(at(BAD_PARTITION), at(0), at(-1))),
    committing("empty-group", mixed, versions=BY_NAME, group_id=""),
    committing("empty-group-by-id", allowed, versions=BY_ID, group_id=""),
    committing("odd-group", allowed, group_id="pa-Ä: *?"),
    committing("not-the-coordinator", allowed, elsewhere=True),
    committing("nothing", lambda _: []),
    committing("no-partitions", of_orders()),
    committing("partition-twice", of_orders(at(0, 1), at(0, 2))),
    committing("topic-twice", lambda seat: [seat.topic(ORDERS, partitions=[at(n)]) for n in (1, 0)]),
    committing("long-metadata", of_orders(at(0, 1, TOO_LONG), at(1))),
    committing("negative-offset", of_orders(at(0, -1), at(1, -5))),
    committing("member-of-no-group", allowed, generation_id=3, generation_id_or_member_epoch=3, member_id="nobody"),
    committing("member-without-generation", allowed, member_id="nobody"),
    committing("instance-of-no-group", allowed, group_instance_id="instance", versions=(7, 99)),
)

Groups = Callable[[Seat], Sequence[Mapping[str, Any]]]


def fetching(
    name: str,
    topics: Callable[[Seat], Sequence[Mapping[str, Any]] | None],
    role: Role = Role.PARTNER,
    versions: tuple[int, int] = ALL_VERSIONS,
    **fields: Any,
) -> Scenario:
    """Of one group, which has committed something."""
    return fetching_groups(
        name, lambda seat: [{"group_id": seat.name(), "topics": topics(seat), **fields}], role, versions, **fields
    )


def fetching_groups(
    name: str,
    groups: Groups,
    role: Role = Role.PARTNER,
    versions: tuple[int, int] = ALL_VERSIONS,
    **fields: Any,
) -> Scenario:
    """The first of them is asked for where a request can hold only one."""

    def play(seat: Seat) -> Mapping[str, Any]:
        asked = groups(seat)
        committed = seat.ask({**group_of(seat), "topics": allowed(seat)}, api=Api.OFFSET_COMMIT)
        first = {key: value for key, value in (*asked, {})[0].items() if key in ("group_id", "topics")}
        common = {key: value for key, value in fields.items() if key == "require_stable"}
        return {"committed": committed, "answer": seat.ask({**first, "groups": asked, **common})}

    return Scenario(Api.OFFSET_FETCH, name, play, role, versions)


def of(*names: str) -> Topics:
    return lambda seat: [seat.topic(name, partition_indexes=[1, 0]) for name in names]


def many_ids(seat: Seat) -> Sequence[Mapping[str, Any]]:
    (unknown,) = of(GHOST)(seat)
    return [*of(SECRET, ORDERS)(seat), {**unknown, "topic_id": UNKNOWN_ID}, *of(PRICES)(seat)]


def unknown_id(seat: Seat) -> Sequence[Mapping[str, Any]]:
    (unknown,) = of(GHOST)(seat)
    return [{**unknown, "topic_id": UNKNOWN_ID}, *of(ORDERS)(seat)]


MANY = of(SECRET, ORDERS, GHOST, PRICES, VANISHED, WITHHELD, ILLEGAL)


def several(seat: Seat) -> Sequence[Mapping[str, Any]]:
    return [
        {"group_id": seat.name("-nobody"), "topics": of(ORDERS)(seat)},
        {"group_id": seat.name(), "topics": of(PRICES, ORDERS)(seat)},
        {"group_id": "", "topics": of(ORDERS)(seat)},
        {"group_id": seat.name("-other"), "topics": None},
        {"group_id": seat.name("-third"), "topics": []},
    ]


def twice(seat: Seat) -> Sequence[Mapping[str, Any]]:
    return [{"group_id": seat.name(), "topics": of(name)(seat)} for name in (ORDERS, PRICES)]


FETCHES = (
    fetching("allowed", of(PRICES, ORDERS)),
    fetching("mixed", MANY, versions=BY_NAME),
    fetching("reader", MANY, Role.READER, BY_NAME),
    fetching("mixed-with-an-ungranted-id", many_ids, versions=BY_ID),
    fetching("unknown-id", unknown_id, versions=BY_ID),
    fetching("zero-id", of(VANISHED), versions=BY_ID),
    fetching("denied", of(SECRET, GHOST, WITHHELD), versions=BY_NAME),
    fetching("all", lambda _: None, versions=(2, 99)),
    fetching("nothing", lambda _: []),
    fetching("no-partitions", lambda seat: [seat.topic(ORDERS, partition_indexes=[])]),
    fetching("unknown-partition", lambda seat: [seat.topic(ORDERS, partition_indexes=[BAD_PARTITION, 0, -1])]),
    fetching("partition-twice", lambda seat: [seat.topic(ORDERS, partition_indexes=[0, 0])]),
    fetching("topic-twice", of(ORDERS, ORDERS)),
    fetching("stable", of(ORDERS, SECRET), versions=(7, 9), require_stable=True),
    fetching("stable-by-id", of(ORDERS), versions=BY_ID, require_stable=True),
    fetching("of-no-member", of(ORDERS), versions=WITH_MEMBERS, member_id="nobody", member_epoch=3),
    fetching_groups(
        "empty-group", lambda seat: [{"group_id": "", "topics": of(ORDERS, SECRET)(seat)}], versions=BY_NAME
    ),
    fetching_groups("all-of-an-empty-group", lambda _: [{"group_id": "", "topics": None}], versions=(2, 99)),
    fetching_groups("nobody-s-group", lambda seat: [{"group_id": seat.name("-none"), "topics": of(ORDERS)(seat)}]),
    fetching_groups("several-groups", several, versions=BATCHED),
    fetching_groups("group-twice", twice, versions=BATCHED),
    fetching_groups("no-groups", lambda _: [], versions=BATCHED),
)

SCENARIOS = (*COMMITS, *FETCHES)
