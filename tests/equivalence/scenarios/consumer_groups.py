"""ConsumerGroupHeartbeat (68) and ConsumerGroupDescribe (69): groups of KIP-848."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from tests.equivalence.apis import Api
from tests.equivalence.client import SECONDS
from tests.equivalence.names import GHOST, ORDERS, PARTITIONS, PRICES, SECRET, UNKNOWN_ID, VANISHED, WITHHELD, Role
from tests.equivalence.scenario import ALL_VERSIONS, Scenario, asks
from tests.equivalence.scenarios.group_admin import member as classic_member
from tests.equivalence.side import Seat
from tests.kafka.waiting import wait_until

BOTH = (Api.CONSUMER_GROUP_HEARTBEAT, Api.CONSUMER_GROUP_DESCRIBE)
WITH_REGEX = (1, 99)
JOINS, LEAVES, LEAVES_FOR_A_WHILE = 0, -1, -2


def heartbeat(seat: Seat, group: str, member: str, epoch: int, **fields: Any) -> Any:
    """What isn't given is unchanged."""
    unchanged = {"subscribed_topic_names": None, "topic_partitions": None}
    asked = {"group_id": group, "member_id": member, "member_epoch": epoch, **unchanged, **fields}
    return seat.ask(asked, api=Api.CONSUMER_GROUP_HEARTBEAT)


def joining(*topics: str, **fields: Any) -> dict[str, Any]:
    return {"rebalance_timeout": 60_000, "subscribed_topic_names": topics, "topic_partitions": [], **fields}


def settle(seat: Seat, group: str, joined: Any, partitions: int) -> Any:
    """Heartbeats until the member has all that it will get: its last answer, and the assignment in it or before."""
    last = {"told": joined, "given": joined.assignment}

    def settled() -> bool:
        owned = last["given"].topic_partitions if last["given"] is not None else ()
        if sum(len(topic.partitions) for topic in owned) == partitions:
            return True
        mine = [{"topic_id": topic.topic_id, "partitions": topic.partitions} for topic in owned]
        told = heartbeat(
            seat, group, joined.member_id, last["told"].member_epoch, rebalance_timeout=-1, topic_partitions=mine
        )
        assert told.error_code == 0, told
        last.update(told=told, given=told.assignment if told.assignment is not None else last["given"])
        return False

    wait_until(settled, f"an assignment of {partitions} partitions", SECONDS)
    return last["given"]


@contextmanager
def member(seat: Seat, group: str, partitions: int, name: str = "", **fields: Any) -> Iterator[tuple[Any, Any]]:
    """A member, with its answer to joining and its assignment; it leaves at the end."""
    joined = heartbeat(seat, group, name or str(uuid4()), JOINS, **fields)
    assert joined.error_code == 0, joined
    yield joined, settle(seat, group, joined, partitions)
    heartbeat(seat, group, joined.member_id, LEAVES)


# ConsumerGroupHeartbeat


def lives(seat: Seat) -> Mapping[str, Any]:
    group = seat.name()
    joined = heartbeat(seat, group, str(uuid4()), JOINS, **joining(PRICES, ORDERS))
    given = settle(seat, group, joined, 2 * PARTITIONS)
    owned = [{"topic_id": topic.topic_id, "partitions": topic.partitions} for topic in given.topic_partitions]
    name = joined.member_id
    epoch = heartbeat(seat, group, name, joined.member_epoch, topic_partitions=owned).member_epoch
    beaten = heartbeat(seat, group, name, epoch)
    fewer = heartbeat(seat, group, name, epoch, subscribed_topic_names=[ORDERS])
    refused = heartbeat(seat, group, name, epoch, subscribed_topic_names=[ORDERS, SECRET])
    fenced = heartbeat(seat, group, str(uuid4()), epoch)
    early = heartbeat(seat, group, name, epoch + 5)
    left = heartbeat(seat, group, name, LEAVES)
    gone = heartbeat(seat, group, name, epoch)
    return {
        "joined": [joined.error_code, joined.heartbeat_interval, joined.member_epoch],
        "given": given,
        "beaten": beaten,
        "early": early,
        "fenced": fenced,
        "fewer": [fewer.error_code, fewer.member_epoch],
        "refused": refused,
        "left": left,
        "gone": gone,
    }


def static(seat: Seat) -> Mapping[str, Any]:
    """Leaves for a while, and comes again as somebody else under the same instance id."""
    group = seat.name()
    fields = joining(ORDERS, instance_id="an instance")
    first = heartbeat(seat, group, str(uuid4()), JOINS, **fields)
    given = settle(seat, group, first, PARTITIONS)
    taken = heartbeat(seat, group, str(uuid4()), JOINS, **fields)
    left = heartbeat(seat, group, first.member_id, LEAVES_FOR_A_WHILE, instance_id="an instance")
    second = heartbeat(seat, group, str(uuid4()), JOINS, **fields)
    again = settle(seat, group, second, PARTITIONS)
    heartbeat(seat, group, second.member_id, LEAVES, instance_id="an instance")
    return {"given": given, "taken": taken, "left": left, "again": again}


def without_epochs(described: Any) -> None:
    """Kafka looks up what fits a pattern some time after it was told, and counts that as a change."""
    for group in described.groups:
        group.group_epoch = group.assignment_epoch = 0
        for each in group.members:
            each.member_epoch = 0


def by_pattern(
    name: str, pattern: str, partitions: int, role: Role = Role.PARTNER, names: Sequence[str] = ()
) -> Scenario:
    def play(seat: Seat) -> Mapping[str, Any]:
        fields = joining(*names, subscribed_topic_regex=pattern)
        with member(seat, seat.name(), partitions, **fields) as (joined, given):
            described = seat.ask({"group_ids": [seat.name()]}, api=Api.CONSUMER_GROUP_DESCRIBE)
            without_epochs(described)
            return {"given": given, "interval": joined.heartbeat_interval, "described": described}

    return Scenario(Api.CONSUMER_GROUP_HEARTBEAT, name, play, role, WITH_REGEX, BOTH)


def commits(seat: Seat) -> Mapping[str, Any]:
    """A member's positions: with its epoch, and with another one."""
    group = seat.name()
    topics = [seat.topic(ORDERS, partitions=[{"partition_index": 0, "committed_offset": 2, "committed_metadata": ""}])]
    with member(seat, group, PARTITIONS, **joining(ORDERS)) as (joined, _):
        answers = []
        for epoch in (joined.member_epoch, joined.member_epoch + 5):
            asked = {"group_id": group, "member_id": joined.member_id, "generation_id_or_member_epoch": epoch}
            answers.append(seat.ask({**asked, "topics": topics}, api=Api.OFFSET_COMMIT))
        return {"answers": answers, "stored": seat.positions(group)}


def beating(
    name: str,
    fields: Mapping[str, Any],
    role: Role = Role.PARTNER,
    versions: tuple[int, int] = ALL_VERSIONS,
    group: str | None = None,
) -> Scenario:
    """One heartbeat that is refused."""

    def play(seat: Seat) -> Mapping[str, Any]:
        own = seat.name() if group is None else group
        return {"answer": heartbeat(seat, own, **{"member": "a-member", "epoch": JOINS, **fields})}

    return Scenario(Api.CONSUMER_GROUP_HEARTBEAT, name, play, role, versions)


# ConsumerGroupDescribe


def describing(name: str, role: Role = Role.PARTNER, **fields: Any) -> Scenario:
    """A group of this kind, a classic one, one that isn't there, one without a name."""

    def play(seat: Seat) -> Mapping[str, Any]:
        new, old = seat.name("-new"), seat.name("-old")
        with member(seat, new, 2 * PARTITIONS, **joining(PRICES, ORDERS)), classic_member(seat, old):
            return {"answer": seat.ask({"group_ids": [old, new, "nobody-s", "", new], **fields})}

    return Scenario(Api.CONSUMER_GROUP_DESCRIBE, name, play, role, needs=BOTH)


def describes_nothing_left(seat: Seat) -> Mapping[str, Any]:
    with member(seat, seat.name(), PARTITIONS, **joining(ORDERS)):
        pass
    return {
        "answer": seat.ask({"group_ids": [seat.name()]}),
        "as classic": seat.ask({"groups": [seat.name()]}, api=Api.DESCRIBE_GROUPS),
    }


NOT_A_LIST: Mapping[str, Any] = {"subscribed_topic_names": None}

SCENARIOS = (
    Scenario(Api.CONSUMER_GROUP_HEARTBEAT, "whole-life", lives),
    Scenario(Api.CONSUMER_GROUP_HEARTBEAT, "whole-life-of-a-reader", lives, Role.READER),
    Scenario(Api.CONSUMER_GROUP_HEARTBEAT, "static", static),
    Scenario(Api.CONSUMER_GROUP_HEARTBEAT, "commits", commits),
    by_pattern("pattern", "o.*s|pri.*", 2 * PARTITIONS),
    by_pattern("pattern-of-a-reader", ".*", 2 * PARTITIONS, Role.READER),
    by_pattern("pattern-and-name", "pric.s", 2 * PARTITIONS, names=[ORDERS]),
    by_pattern("pattern-of-nothing", "nothing", 0),
    by_pattern("pattern-of-a-part", "order", 0),
    by_pattern("pattern-of-the-ungranted", "secret|behind-.*", 0),
    beating("bad-pattern", joining(member_epoch=0, subscribed_topic_regex="(["), versions=WITH_REGEX),
    beating(
        "empty-pattern", {**joining(member_epoch=0), **NOT_A_LIST, "subscribed_topic_regex": ""}, versions=WITH_REGEX
    ),
    beating("mixed", joining(ORDERS, SECRET, PRICES)),
    beating("ghost", joining(ORDERS, GHOST)),
    beating("withheld", joining(WITHHELD)),
    beating("internal", joining("__consumer_offsets")),
    beating("mixed-for-a-reader", joining(ORDERS, VANISHED), Role.READER),
    beating("empty-group", joining(ORDERS), group=""),
    beating("subscribed-to-nothing", joining()),
    beating("without-a-subscription", {**joining(), **NOT_A_LIST}),
    beating("owns-something", joining(ORDERS, topic_partitions=[{"topic_id": UNKNOWN_ID, "partitions": [0]}])),
    beating("no-timeout", joining(ORDERS, rebalance_timeout=-1)),
    beating("no-assignor", joining(ORDERS, server_assignor="nobody-s")),
    beating("empty-instance", joining(ORDERS, instance_id="")),
    beating("empty-member", joining(ORDERS, member=""), versions=WITH_REGEX),
    beating("unknown-member", {"epoch": 3}),
    beating("unknown-member-leaves", {"epoch": LEAVES}),
    beating("odd-epoch", {"epoch": -7}),
    describing("several"),
    describing("reader", Role.READER),
    describing("operations", include_authorized_operations=True),
    asks(Api.CONSUMER_GROUP_DESCRIBE, "nothing", lambda _: {"group_ids": []}),
    Scenario(Api.CONSUMER_GROUP_DESCRIBE, "nothing-left", describes_nothing_left, needs=(*BOTH, Api.DESCRIBE_GROUPS)),
)
