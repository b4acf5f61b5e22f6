"""Byte path = typed path, on every version of Produce and Fetch; streamed = whole.

The same requests of a client and the same responses of a broker run through two sessions, one of which has no byte
paths. All bytes to the broker and to the client must be equal, and so must be what is counted.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from random import Random
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.zone import Alias, Permission, Zone
from protocol import fetch, produce
from protocol.produce import MAX_PLAIN_ID_BYTES
from protocol.schema import Message, Struct, request_struct, response_struct
from proxy.apis.fetch import REFUSED_WAIT_MS
from proxy.apis.plan import RequestPlan
from proxy.apis.table import plans_for
from proxy.metrics import AliasMeter
from tests.unit.protocol.batches import batch, control_batch
from tests.unit.protocol.messages import random_message
from tests.unit.proxy.playbook import (
    MAPPED_BROKERS,
    UNMAPPED_BROKER,
    BrokerGot,
    Dialogue,
    Plans,
    Playbook,
    typed_plans,
    versions_of,
)

ZONE: Final = Zone(
    "partner",
    "cluster",
    "johndoe",
    (
        Alias("a", "kafka-topic-with-a-longer-name", Permission.WRITE),
        Alias("topic-b", "b", Permission.WRITE),
        Alias("c" * 130, "kafka-c", Permission.WRITE),
        Alias("read-only", "kafka-read-only", Permission.READ),
        Alias("twin", "b", Permission.READ),
    ),
)
NAMES: Final = tuple(alias.name for alias in ZONE.aliases)
LEADERS: Final = (-1, *MAPPED_BROKERS, UNMAPPED_BROKER)
BATCHES: Final = batch(2) + control_batch() + batch(3)
SEEDS: Final = st.integers(0, 1 << 40)


class Counting:
    """Plans that note how often a byte path took a request."""

    def __init__(self) -> None:
        self.taken = 0
        self.left = 0
        self.streamed = 0

    def plans(self, broker: Mapping[int, tuple[int, int]]) -> dict[int, RequestPlan]:
        return {number: self._counting(plan) for number, plan in plans_for(dict(broker)).items()}

    def _counting(self, plan: RequestPlan) -> RequestPlan:
        on_bytes, on_large_head = plan.entry.on_bytes, plan.entry.on_large_head

        def count(*args: Any) -> bool:
            assert on_bytes is not None
            taken = on_bytes(*args)
            self.taken += taken
            self.left += not taken
            return taken

        def count_large(*args: Any) -> Any:
            assert on_large_head is not None
            sink = on_large_head(*args)
            self.streamed += sink is not None
            return sink

        entry = dataclasses.replace(
            plan.entry,
            on_bytes=count if on_bytes is not None else None,
            on_large_head=count_large if on_large_head is not None else None,
        )
        return dataclasses.replace(plan, entry=entry)


@contextmanager
def signed_in(plans: Plans) -> Iterator[Dialogue]:
    with Playbook((ZONE,), plans=plans) as playbook:
        yield playbook.signed_in()


def some(rng: Random, *choices: Any) -> Any:
    return rng.choice(choices)


def choose_topics(rng: Random, dialogue: Dialogue, ordinary: bool, by_id: bool) -> list[dict[str, Any]]:
    """Different aliases of different topics that may be written; or, now and then, any, one twice, and none."""
    names = rng.sample(NAMES[:3], rng.randint(1, 3)) if ordinary else rng.choices(NAMES, k=rng.randint(0, 4))
    keys = {name: dialogue.playbook.alias_id(name) if by_id else name for name in NAMES}
    chosen: list[Any] = [keys[name] for name in names]
    if not ordinary and rng.random() < 0.3:
        chosen.insert(rng.randint(0, len(chosen)), bytes(range(16)) if by_id else "elsewhere")
    return [{"topic_id": key} if by_id else {"name": key} for key in chosen]


def indexes(rng: Random, ordinary: bool) -> list[int]:
    return rng.sample(range(5), rng.randint(int(ordinary), 3))


def fill(rng: Random, struct: Struct, **values: Any) -> Message:
    """A message with these values where the version has them, and random ones elsewhere."""
    message = random_message(rng, struct, 2)
    for name, value in values.items():
        if name in struct.names:
            setattr(message, name, value)
    return message


def produce_request(rng: Random, dialogue: Dialogue, version: int) -> Message:
    struct = request_struct(produce.KEY, version)
    topic_struct = struct.nested("topic_data")
    partition_struct = topic_struct.nested("partition_data")
    ordinary = rng.random() < 0.6
    blobs = (b"", b"records", bytes(200), BATCHES) if ordinary else (None, b"", b"records", BATCHES)
    topics = tuple(
        topic_struct.new(
            **topic,
            partition_data=tuple(
                partition_struct.new(index=index, records=rng.choice(blobs)) for index in indexes(rng, ordinary)
            ),
        )
        for topic in choose_topics(rng, dialogue, ordinary, version >= produce.FIRST_WITH_IDS)
    )
    unusual = () if ordinary else ("", "t\u00e4glich", "y" * (MAX_PLAIN_ID_BYTES + 1), "z" * 0x7FFF)
    transactional_id = some(rng, None, None, "tx", "x" * 125, "y" * MAX_PLAIN_ID_BYTES, *unusual)
    return struct.new(transactional_id=transactional_id, acks=some(rng, -1, 1, 0), timeout=30_000, topic_data=topics)


def leader(rng: Random, struct: Struct) -> dict[str, Any]:
    """The tagged leader of a partition, absent most of the time."""
    if "current_leader" not in struct.names:
        return {}
    nested = struct.nested("current_leader")
    known = rng.random() < 0.3
    return {"current_leader": nested.new(leader_id=rng.choice(LEADERS), leader_epoch=5) if known else nested.new()}


def endpoints(rng: Random, struct: Struct) -> dict[str, Any]:
    if "node_endpoints" not in struct.names or rng.random() < 0.8:
        return {"node_endpoints": ()}
    nested = struct.nested("node_endpoints")
    return {
        "node_endpoints": tuple(
            nested.new(node_id=node_id, host=f"kafka-{node_id}", port=9092, rack=some(rng, None, "r"))
            for node_id in rng.sample([*MAPPED_BROKERS, UNMAPPED_BROKER], 2)
        )
    }


def produce_response(rng: Random, got: BrokerGot) -> Message:
    struct = response_struct(got.key, got.version)
    topic_struct = struct.nested("responses")
    partition_struct = topic_struct.nested("partition_responses")
    fine = rng.random() < 0.6

    def partition(index: int) -> Message:
        error = 0 if fine else some(rng, 0, 3, 6, 7, 10, 29, 87)
        values: dict[str, Any] = {"index": index, "error_code": error, **leader(rng, partition_struct)}
        if fine:
            values |= {"record_errors": (), "error_message": None}
            values |= {name: partition_struct.nested(name).new() for name in ("current_leader",) if name in values}
        return fill(rng, partition_struct, **values)

    topics = tuple(
        topic_struct.fit(
            name=getattr(topic, "name", ""),
            topic_id=getattr(topic, "topic_id", b""),
            partition_responses=tuple(partition(entry.index) for entry in topic.partition_data),
        )
        for topic in got.message.topic_data
    )
    return fill(rng, struct, responses=topics, **({"node_endpoints": ()} if fine else endpoints(rng, struct)))


def fetch_request(rng: Random, dialogue: Dialogue, version: int) -> Message:
    struct = request_struct(fetch.KEY, version)
    topic_struct = struct.nested("topics")
    partition_struct = topic_struct.nested("partitions")
    ordinary = rng.random() < 0.6

    def partition(index: int) -> Message:
        tags = {} if not ordinary else {"replica_directory_id": bytes(16), "high_watermark": 0x7FFFFFFFFFFFFFFF}
        return fill(rng, partition_struct, partition=index, **tags)

    topics = []
    for topic in choose_topics(rng, dialogue, ordinary, version >= fetch.FIRST_WITH_IDS):
        naming = {"topic": topic["name"]} if "name" in topic else topic
        topics.append(
            topic_struct.new(**naming, partitions=tuple(partition(index) for index in indexes(rng, ordinary)))
        )
    session_id, session_epoch = some(rng, (0, -1), (0, 0), (77, 0), (77, -1 if ordinary else 3))
    values: dict[str, Any] = {"cluster_id": None, "forgotten_topics_data": ()}
    if ordinary and "replica_state" in struct.names:
        values["replica_state"] = struct.nested("replica_state").new()
    return fill(
        rng,
        struct,
        topics=tuple(topics),
        max_wait=some(rng, 0, 500),
        max_bytes=1 << 20,
        isolation_level=some(rng, 0, 1),
        replica_id=some(rng, -1, -1, -3, 5),
        session_id=session_id,
        session_epoch=session_epoch,
        rack_id=some(rng, "", "rack-1"),
        **(values if ordinary else {}),
    )


def fetch_response(rng: Random, got: BrokerGot) -> Message:
    struct = response_struct(got.key, got.version)
    if "error_code" in struct.names and rng.random() < 0.1:
        return struct.fit(error_code=56, throttle_time=7)
    topic_struct = struct.nested("responses")
    partition_struct = topic_struct.nested("partitions")
    fine = rng.random() < 0.5
    tags = ("diverging_epoch", "current_leader", "snapshot_id")
    no_tags = {name: partition_struct.nested(name).new() for name in tags if name in partition_struct.names}

    def partition(index: int) -> Message:
        values = no_tags if fine else leader(rng, partition_struct)
        records = some(rng, b"", b"records", bytes(300), BATCHES) if fine else some(rng, None, b"", b"r", BATCHES)
        return fill(rng, partition_struct, partition_index=index, records=records, **values)

    topics = tuple(
        topic_struct.fit(
            topic=getattr(topic, "topic", ""),
            topic_id=getattr(topic, "topic_id", b""),
            partitions=tuple(partition(entry.partition) for entry in topic.partitions),
        )
        for topic in got.message.topics
    )
    values = {"node_endpoints": ()} if fine else endpoints(rng, struct)
    return fill(rng, struct, responses=topics, error_code=0, session_id=0 if fine else some(rng, 0, 9), **values)


MakeRequest = Callable[[Random, Dialogue, int], Message]
MakeResponse = Callable[[Random, BrokerGot], Message]


def pass_time(*dialogues: Dialogue) -> None:
    """A fetch that is wholly refused is answered after a pause."""
    for dialogue in dialogues:
        dialogue.playbook.loop.advance(REFUSED_WAIT_MS / 1000)


def metered(dialogue: Dialogue) -> dict[str, dict[str, int]]:
    """What was counted of each alias. A fetch that fails as a whole is a request on the byte path alone."""
    meters = {name: dialogue.playbook.metrics.alias(ZONE.name, name) for name in NAMES}
    counts = [field for field in AliasMeter.__slots__ if field != "fetch_requests"]
    return {name: {field: getattr(meter, field) for field in counts} for name, meter in meters.items()}


def compare(
    byte: Dialogue, typed: Dialogue, rng: Random, message: Message, key: int, version: int, respond: MakeResponse
) -> None:
    correlation_id, data = byte.request(key, version, message)
    byte.client_sends_bytes(data)
    typed.client_sends_bytes(data)
    while True:
        assert byte.broker.sent == typed.broker.sent
        if not byte.broker.sent:
            break
        got = byte.broker_gets()
        assert typed.broker_gets() == got
        if key == produce.KEY and got.message.acks == 0:
            continue
        response = byte.response(got, respond(rng, got))
        for dialogue in (byte, typed):
            if not dialogue.broker.closed:
                dialogue.broker_sends_bytes(response)
    pass_time(byte, typed)
    assert byte.client.sent == typed.client.sent
    assert byte.ended == typed.ended
    assert metered(byte) == metered(typed)
    if not byte.ended and not (key == produce.KEY and message.acks == 0):
        byte.client_receives(correlation_id)
        byte.client_receives_nothing()


def run_both(key: int, version: int, request: MakeRequest, respond: MakeResponse, examples: int) -> None:
    counting = Counting()

    @settings(max_examples=examples, deadline=None, database=None)
    @given(SEEDS)
    def run(seed: int) -> None:
        rng = Random(seed)  # noqa: S311 - test data
        with signed_in(counting.plans) as byte, signed_in(typed_plans) as typed:
            compare(byte, typed, rng, request(rng, byte, version), key, version, respond)

    run()
    assert counting.taken, "no request took the byte path"
    assert counting.left, "no request took the typed path"


@pytest.mark.parametrize("version", versions_of(produce.KEY))
def test_produce_gives_the_same_bytes_on_both_paths(version: int) -> None:
    run_both(produce.KEY, version, produce_request, produce_response, 40)


@pytest.mark.parametrize("version", versions_of(fetch.KEY))
def test_fetch_gives_the_same_bytes_on_both_paths(version: int) -> None:
    run_both(fetch.KEY, version, fetch_request, fetch_response, 40)
