"""JoinGroup (11), Heartbeat (12), LeaveGroup (13) and SyncGroup (14): classic groups.

A member that a scenario brings in leaves again, so that no group changes later on by itself.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from tests.equivalence.apis import Api
from tests.equivalence.names import ORDERS, PARTITIONS, PRICES, SECRET, Role
from tests.equivalence.scenario import ALL_VERSIONS, Scenario, asks
from tests.equivalence.side import Seat

MEMBER_ID_REQUIRED = 79
LIFE = (Api.JOIN_GROUP, Api.SYNC_GROUP, Api.HEARTBEAT, Api.LEAVE_GROUP)
STATIC = {Api.JOIN_GROUP: 5, Api.SYNC_GROUP: 3, Api.HEARTBEAT: 3, Api.LEAVE_GROUP: 3}
"""The first version with static members."""
TIMEOUT = {"session_timeout": 10_000, "rebalance_timeout": 10_000}
NOT_THE_COORDINATOR = {1: 2, 2: 3, 3: 1}


# the consumers' own protocol


def text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack(">h", len(raw)) + raw


def blob(value: bytes | None) -> bytes:
    return struct.pack(">i", -1) if value is None else struct.pack(">i", len(value)) + value


def owned(topics: Mapping[str, Sequence[int]]) -> bytes:
    parts = [struct.pack(">i", len(topics))]
    for name, partitions in topics.items():
        parts.append(text(name) + struct.pack(f">i{len(partitions)}i", len(partitions), *partitions))
    return b"".join(parts)


def subscription(*topics: str, version: int = 1, user_data: bytes | None = b"user data") -> bytes:
    raw = struct.pack(">hi", version, len(topics)) + b"".join(map(text, topics)) + blob(user_data)
    if version >= 1:
        raw += owned({topics[0]: [0]} if topics else {})
    if version >= 2:
        raw += struct.pack(">i", 1)
    if version >= 3:
        raw += text("a rack")
    return raw


def assignment(topics: Mapping[str, Sequence[int]], version: int = 1) -> bytes:
    return struct.pack(">h", version) + owned(topics) + blob(b"more data")


# steps


def join(seat: Seat, group: str, member: str = "", instance: str | None = None, **fields: Any) -> list[Any]:
    """Join as Kafka wants it: a second time, where it first gives out a member id."""
    own = {"version": seat.version} if seat.api == Api.JOIN_GROUP else {}
    asked = {
        "group_id": group,
        "member_id": member,
        "group_instance_id": instance,
        "protocol_type": "consumer",
        "protocols": [{"name": "range", "metadata": subscription(ORDERS, PRICES)}],
        **TIMEOUT,
        **fields,
    }
    answers = [seat.ask(asked, api=Api.JOIN_GROUP, **own)]
    if getattr(answers[0], "error_code", 0) == MEMBER_ID_REQUIRED:
        answers.append(seat.ask({**asked, "member_id": answers[0].member_id}, api=Api.JOIN_GROUP, **own))
    return answers


def membership(seat: Seat, group: str, joined: Any, instance: str | None = None) -> dict[str, Any]:
    return {
        "group_id": group,
        "generation_id": joined.generation_id,
        "member_id": joined.member_id,
        "group_instance_id": instance,
    }


def leave(seat: Seat, group: str, member: str, instance: str | None = None) -> Any:
    members = [{"member_id": member, "group_instance_id": instance}]
    return seat.ask({"group_id": group, "member_id": member, "members": members}, api=Api.LEAVE_GROUP)


def sync(seat: Seat, member: Mapping[str, Any], given: bytes, **fields: Any) -> Any:
    shares = [{"member_id": member["member_id"], "assignment": given}]
    asked = {**member, "protocol_type": "consumer", "protocol_name": "range", "assignments": shares, **fields}
    return seat.ask(asked, api=Api.SYNC_GROUP)


def live(seat: Seat, instance: str | None = None, given: bytes | None = None, **fields: Any) -> Mapping[str, Any]:
    """The whole life of one member."""
    group = seat.name()
    *first, joined = join(seat, group, instance=instance, **fields)
    if joined.error_code:
        return {"first": first, "joined": joined}
    member = membership(seat, group, joined, instance)
    share = assignment({ORDERS: range(PARTITIONS), PRICES: [0]}) if given is None else given
    synced = sync(seat, member, share, **{key: fields[key] for key in ("protocol_type",) if key in fields})
    beaten = seat.ask(member, api=Api.HEARTBEAT)
    late = seat.ask({**member, "generation_id": joined.generation_id + 1}, api=Api.HEARTBEAT)
    left = leave(seat, group, joined.member_id, instance)
    gone = seat.ask(member, api=Api.HEARTBEAT)
    return {
        "first": first,
        "joined": joined,
        "synced": synced,
        "beaten": beaten,
        "late": late,
        "left": left,
        "gone": gone,
    }


def rejoins(seat: Seat) -> Mapping[str, Any]:
    """Again with the same subscription, then with another one."""
    group = seat.name()
    *_, joined = join(seat, group)
    member = membership(seat, group, joined)
    synced = sync(seat, member, assignment({ORDERS: [0]}))
    again = join(seat, group, joined.member_id)[-1]
    synced_again = sync(seat, membership(seat, group, again), assignment({ORDERS: [0, 1]}))
    fewer = [{"name": "range", "metadata": subscription(PRICES)}]
    changed = join(seat, group, joined.member_id, protocols=fewer)[-1]
    leave(seat, group, joined.member_id)
    return {
        "synced": synced,
        "again": again,
        "synced again": synced_again,
        "changed": changed,
    }


def commits(seat: Seat) -> Mapping[str, Any]:
    """A member's own commit, and one of a generation that is not there yet."""
    group = seat.name()
    *_, joined = join(seat, group)
    member = membership(seat, group, joined)
    sync(seat, member, assignment({ORDERS: [0]}))
    topics = [seat.topic(ORDERS, partitions=[{"partition_index": 0, "committed_offset": 2, "committed_metadata": ""}])]
    answers = []
    for generation in (joined.generation_id, joined.generation_id + 1):
        asked = {**member, "generation_id": generation, "generation_id_or_member_epoch": generation, "topics": topics}
        answers.append(seat.ask(asked, api=Api.OFFSET_COMMIT))
    leave(seat, group, joined.member_id)
    return {"answers": answers, "stored": seat.positions(group)}


def replaced(seat: Seat) -> Mapping[str, Any]:
    """A static member comes again without its member id; the first one is fenced."""
    group = seat.name()
    first = join(seat, group, instance="static")[-1]
    member = membership(seat, group, first, "static")
    sync(seat, member, assignment({ORDERS: [0]}))
    second = join(seat, group, instance="static")[-1]
    fenced = seat.ask(member, api=Api.HEARTBEAT)
    left = leave(seat, group, "", "static")
    return {"first": first, "second": second, "fenced": fenced, "left": left}


def sent(name: str, **fields: Any) -> Sequence[Scenario]:
    """The same ids in each of the four APIs, in a group that has no such member."""
    scenarios = []
    for api in LIFE:
        member = {"member_id": "nobody", "generation_id": 1}
        extra: dict[str, Any] = {}
        if api == Api.JOIN_GROUP:
            extra = {
                **TIMEOUT,
                "protocol_type": "consumer",
                "protocols": [{"name": "range", "metadata": subscription()}],
            }
        elif api == Api.LEAVE_GROUP:
            extra = {"members": [{"member_id": "nobody"}, {"member_id": "", "group_instance_id": "no instance"}]}
        # JoinGroup has no generation, LeaveGroup from version 3 on no member of its own
        values = {key: value for key, value in {**member, **extra, **fields}.items() if key in FIELDS[api]}
        scenarios.append(
            asks(api, name, lambda seat, values=values: {"group_id": seat.name(), **values})  # type: ignore[misc]
        )
    return scenarios


FIELDS = {
    Api.JOIN_GROUP: {"group_id", "member_id", *TIMEOUT, "protocol_type", "protocols"},
    Api.SYNC_GROUP: {"group_id", "member_id", "generation_id"},
    Api.HEARTBEAT: {"group_id", "member_id", "generation_id"},
    Api.LEAVE_GROUP: {"group_id", "member_id", "members"},
}


def joining(name: str, role: Role = Role.PARTNER, versions: tuple[int, int] = ALL_VERSIONS, **fields: Any) -> Scenario:
    return Scenario(Api.JOIN_GROUP, name, lambda seat: live(seat, **fields), role, versions)


def consuming(*metadata: bytes) -> dict[str, Any]:
    names = ("range", "roundrobin", "sticky", "cooperative-sticky")
    return {"protocols": [{"name": n, "metadata": raw} for n, raw in zip(names, metadata, strict=False)]}


def not_the_coordinator(seat: Seat) -> Mapping[str, Any]:
    broker = NOT_THE_COORDINATOR[seat.broker_for(seat.api)]
    return {"answer": seat.ask({"group_id": seat.name(), "member_id": "nobody", "generation_id": 1}, broker=broker)}


SCENARIOS = (
    *(Scenario(api, "whole-life", live) for api in LIFE),
    *(Scenario(api, "whole-life-of-a-reader", live, Role.READER) for api in LIFE),
    *(
        Scenario(api, "static-life", lambda seat: live(seat, instance="an instance"), versions=(first, 99))
        for api, first in STATIC.items()
    ),
    *(Scenario(api, "static-member-replaced", replaced, versions=(first, 99)) for api, first in STATIC.items()),
    *(Scenario(api, "rejoins", rejoins) for api in (Api.JOIN_GROUP, Api.SYNC_GROUP)),
    *sent("unknown-member"),
    *sent("empty-group", group_id=""),
    *sent("empty-member", member_id=""),
    Scenario(Api.HEARTBEAT, "not-the-coordinator", not_the_coordinator),
    Scenario(Api.OFFSET_COMMIT, "member", commits),
    *(
        joining(f"subscription-v{version}", **consuming(subscription(ORDERS, SECRET, version=version)))
        for version in range(4)
    ),
    joining("subscribed-to-nothing", **consuming(subscription())),
    joining("several-assignors", **consuming(subscription(PRICES), subscription(ORDERS, user_data=None))),
    joining("no-protocols", protocols=[]),
    joining("no-protocol-type", protocol_type=""),
    joining("other-protocol-type", protocol_type="connect", given=b"opaque"),
    joining("short-session", session_timeout=1),
    joining("long-session", session_timeout=1 << 30),
    joining("empty-assignment", given=b""),
)
