"""A zone with limits, and requests whose size is known."""

import dataclasses
from collections.abc import Iterable
from typing import Any, Final

from policies.zone import Zone, ZoneLimits
from protocol.schema import Message, request_struct, response_struct
from proxy.flow import Hold
from proxy.traffic import Kind, Limiter
from tests.unit.proxy.playbook import ZONE, BrokerGot, Dialogue, Playbook, backing_id
from tests.unit.proxy.test_offsets import key_at

PRODUCE, FETCH, COMMIT, HEARTBEAT, TXN_COMMIT = 0, 1, 8, 12, 28
SECOND: Final = 1000
"""Milliseconds; and the rate and the burst in bytes, so that a byte more costs a millisecond."""


def limited(produce: int | None = None, consume: int | None = None, commits: int | None = None) -> Zone:
    return dataclasses.replace(ZONE, limits=ZoneLimits(produce, consume, commits))


PRODUCERS: Final = limited(produce=SECOND)
CONSUMERS: Final = limited(consume=SECOND)
COMMITTERS: Final = limited(commits=60)


def limiter(playbook: Playbook, kind: Kind) -> Limiter:
    return playbook.zone().traffic[kind]


def charged(playbook: Playbook, kind: Kind) -> float:
    return limiter(playbook, kind).charged


def alias_key(playbook: Playbook, version: int, first_with_ids: int, alias: str) -> Any:
    if version < first_with_ids:
        return alias
    return playbook.alias_id(alias) if alias in {each.name for each in ZONE.aliases} else bytes(range(16))


def produce_request(
    playbook: Playbook, version: int, sizes: Iterable[tuple[str, int]], acks: int = -1, **fields: Any
) -> Message:
    """So many bytes of records for each alias."""
    struct = request_struct(PRODUCE, version)
    topic = struct.nested("topic_data")
    partition = topic.nested("partition_data")
    return struct.new(
        acks=acks,
        timeout=1000,
        topic_data=tuple(
            topic.fit(
                **_naming("name", alias_key(playbook, version, 13, alias)),
                partition_data=(partition.new(index=0, records=bytes(size)),),
            )
            for alias, size in sizes
        ),
        **fields,
    )


def produces(dialogue: Dialogue, size: int, version: int = 9, acks: int = -1) -> int:
    message = produce_request(dialogue.playbook, version, [("orders", size)], acks)
    return dialogue.client_sends(PRODUCE, version, message)


def stored(got: BrokerGot, throttle_time: int = 0, **partition_fields: Any) -> Message:
    """A broker's answer to Produce."""
    struct = response_struct(PRODUCE, got.version)
    topic = struct.nested("responses")
    partition = topic.nested("partition_responses")
    return struct.fit(
        throttle_time=throttle_time,
        responses=tuple(
            topic.fit(
                name=getattr(each, "name", ""),
                topic_id=getattr(each, "topic_id", b""),
                partition_responses=tuple(
                    partition.fit(index=one.index, base_offset=7, **partition_fields) for one in each.partition_data
                ),
            )
            for each in got.message.topic_data
        ),
    )


def is_stored(dialogue: Dialogue, throttle_time: int = 0) -> None:
    """The broker takes the next Produce request."""
    got = dialogue.broker_gets()
    assert got.key == PRODUCE
    dialogue.broker_answers(got, stored(got, throttle_time))


def fetch_request(
    playbook: Playbook, version: int, aliases: Iterable[str], max_bytes: int = 1 << 20, min_bytes: int = 1
) -> Message:
    struct = request_struct(FETCH, version)
    topic = struct.nested("topics")
    partition = topic.nested("partitions")
    return struct.fit(
        max_wait=500,
        min_bytes=min_bytes,
        max_bytes=max_bytes,
        session_epoch=-1,
        topics=tuple(
            topic.fit(
                **_naming("topic", alias_key(playbook, version, 13, alias)),
                partitions=(partition.fit(partition=0, partition_max_bytes=1 << 20),),
            )
            for alias in aliases
        ),
    )


def fetches(dialogue: Dialogue, version: int = 12, *aliases: str) -> int:
    return dialogue.client_sends(FETCH, version, fetch_request(dialogue.playbook, version, aliases or ("orders",)))


def records(got: BrokerGot, sizes: dict[str, int], throttle_time: int = 0, **partition_fields: Any) -> Message:
    """A broker's answer to Fetch, with so many bytes of records of each backing topic."""
    struct = response_struct(FETCH, got.version)
    topic = struct.nested("responses")
    partition = topic.nested("partitions")
    by_id = {backing_id(name): size for name, size in sizes.items()}
    return struct.fit(
        throttle_time=throttle_time,
        responses=tuple(
            topic.fit(
                topic=getattr(each, "topic", ""),
                topic_id=getattr(each, "topic_id", b""),
                partitions=tuple(
                    partition.fit(
                        partition_index=one.partition,
                        records=bytes(
                            by_id[each.topic_id] if "topic_id" in each.struct.names else sizes.get(each.topic, 0)
                        ),
                        **partition_fields,
                    )
                    for one in each.partitions
                ),
            )
            for each in got.message.topics
        ),
    )


def commit_request(playbook: Playbook, key: int, version: int, aliases: Iterable[str]) -> Message:
    struct = request_struct(key, version)
    topic = struct.nested("topics")
    partition = topic.nested("partitions")
    keys = [key_at(playbook, version, alias) if key == COMMIT else alias for alias in aliases]
    return struct.fit(
        group_id="g",
        transactional_id="tx",
        topics=tuple(
            topic.fit(**_naming("name", each), partitions=(partition.fit(partition_index=0, committed_offset=5),))
            for each in keys
        ),
    )


def commits(dialogue: Dialogue, version: int = 8) -> int:
    message = commit_request(dialogue.playbook, COMMIT, version, ["stock"])
    return dialogue.client_sends(COMMIT, version, message)


def committed(got: BrokerGot, throttle_time: int = 0) -> Message:
    """A broker's answer to either kind of commit."""
    struct = response_struct(got.key, got.version)
    topic = struct.nested("topics")
    partition = topic.nested("partitions")
    return struct.fit(
        throttle_time=throttle_time,
        topics=tuple(
            topic.fit(
                name=getattr(each, "name", ""),
                topic_id=getattr(each, "topic_id", b""),
                partitions=tuple(partition.fit(partition_index=one.partition_index) for one in each.partitions),
            )
            for each in got.message.topics
        ),
    )


def is_committed(dialogue: Dialogue) -> None:
    got = dialogue.broker_gets()
    assert got.key in (COMMIT, TXN_COMMIT)
    dialogue.broker_answers(got, committed(got))


def beats(dialogue: Dialogue) -> None:
    """A heartbeat goes to the broker at once, and its answer to the client."""
    asked = dialogue.client_sends(HEARTBEAT, 4, group_id="g")
    got = dialogue.broker_gets()
    assert got.key == HEARTBEAT
    dialogue.broker_answers(got)
    dialogue.client_receives(asked)


def in_debt(playbook: Playbook, seconds: float = 2.0, acks: int = -1) -> Dialogue:
    """A producer that owes so many seconds; everything has been answered."""
    dialogue = playbook.signed_in()
    produces(dialogue, 1000 + int(1000 * seconds), acks=acks)
    if acks:
        is_stored(dialogue)
        dialogue.client_receives()
    else:
        dialogue.broker_gets()
    return dialogue


def holds(dialogue: Dialogue) -> bool:
    return dialogue.session.gate.holds(Hold.THROTTLED)


def produce_frame(dialogue: Dialogue, size: int, acks: int = -1) -> tuple[int, bytes]:
    return dialogue.request(PRODUCE, 9, produce_request(dialogue.playbook, 9, [("orders", size)], acks))


def passes_after(dialogue: Dialogue, seconds: float) -> None:
    """What is held goes to the broker after exactly so long, to the millisecond."""
    dialogue.broker_gets_nothing()
    dialogue.playbook.loop.advance(seconds - 0.001)
    dialogue.broker_gets_nothing()
    dialogue.playbook.loop.advance(0.001_001)
    assert dialogue.broker.sent, "it is still held"


def _naming(name: str, key: str | bytes) -> dict[str, Any]:
    return {"topic_id": key} if isinstance(key, bytes) else {name: key}
