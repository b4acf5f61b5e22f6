"""A member of a consumer protocol group (KIP-848), and the broker that it talks to."""

from typing import Any

from policies.subscriptions import meaning, words
from policies.zone import Alias, Zone
from protocol.schema import Message, request_struct, response_struct
from tests.unit.proxy.playbook import ZONE, BrokerGot, Dialogue, Playbook, backing_id

HEARTBEAT, DESCRIBE, METADATA = 68, 69, 3
MEMBER = "member-1"
UNKNOWN_ID = bytes(range(16))
MATCH_EVERYTHING = "(?:.*)"


def heartbeat(version: int, epoch: int = 0, **fields: Any) -> Message:
    """A member's request; a joining one tells everything."""
    values: dict[str, Any] = {"group_id": "g", "member_id": MEMBER, "member_epoch": epoch, "topic_partitions": None}
    if epoch == 0:
        values |= {"rebalance_timeout": 300_000, "topic_partitions": ()}
    if "names" in fields:
        values["subscribed_topic_names"] = fields.pop("names")
    if "regex" in fields:
        values["subscribed_topic_regex"] = fields.pop("regex")
    return request_struct(HEARTBEAT, version).fit(**values | fields)


def partitions(struct: Any, assigned: dict[bytes, tuple[int, ...]]) -> tuple[Message, ...]:
    entry = struct.nested("topic_partitions")
    return tuple(entry.new(topic_id=topic_id, partitions=indexes) for topic_id, indexes in assigned.items())


def owned(version: int, assigned: dict[bytes, tuple[int, ...]]) -> tuple[Message, ...]:
    return partitions(request_struct(HEARTBEAT, version), assigned)


def accepts(
    dialogue: Dialogue, got: BrokerGot, assigned: dict[str, tuple[int, ...]] | None = None, **fields: Any
) -> None:
    """The broker is content; `assigned` are backing topics."""
    struct = response_struct(HEARTBEAT, got.version)
    assignment = None
    if assigned is not None:
        entry = struct.nested("assignment")
        by_id = {backing_id(topic): indexes for topic, indexes in assigned.items()}
        assignment = entry.new(topic_partitions=partitions(entry, by_id))
    values = {
        "member_id": got.message.member_id,
        "member_epoch": 1,
        "heartbeat_interval": 5000,
        "assignment": assignment,
        **fields,
    }
    dialogue.broker_answers(got, struct.new(**values))


def assigned_to(answer: Message) -> dict[bytes, tuple[int, ...]] | None:
    if answer.assignment is None:
        return None
    return {each.topic_id: each.partitions for each in answer.assignment.topic_partitions}


def member(version: int, member_id: str, topics: tuple[str, ...], memo: str | None, **fields: Any) -> Message:
    """A member as the broker describes it."""
    entry = response_struct(DESCRIBE, version).nested("groups").nested("members")
    values = {"member_id": member_id, "subscribed_topic_names": topics, "subscribed_topic_regex": memo}
    return entry.fit(**values, client_id="partner:app", client_host="/10.0.0.1", **fields)


def describes(dialogue: Dialogue, *members: Message, error: int = 0) -> None:
    """The gateway asks who else is in the group, and is told."""
    got = dialogue.broker_gets()
    assert (got.key, got.version, got.message.group_ids) == (DESCRIBE, 1, ("partner:g",))
    group = response_struct(DESCRIBE, got.version).nested("groups")
    dialogue.broker_answers(got, groups=(group.new(group_id="partner:g", error_code=error, members=members),))


def memo_of(playbook: Playbook, *names: str, regex: str = "") -> str:
    return meaning(playbook.zone().rules, words(names, regex)).memo


def joins(
    dialogue: Dialogue, version: int, *others: Message, names: tuple[str, ...] | None = (), **fields: Any
) -> None:
    """A member joins; where it must be seen who else is there, these are."""
    dialogue.client_sends(HEARTBEAT, version, heartbeat(version, names=names, **fields))
    accepts(dialogue, dialogue.broker_gets())
    if dialogue.broker.sent:
        describes(dialogue, *others)
    assert dialogue.client_receives().error_code == 0


def zone_with(*more: Alias) -> Zone:
    return Zone(ZONE.name, ZONE.cluster, ZONE.service_account, (*ZONE.aliases, *more))
