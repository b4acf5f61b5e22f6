"""A streamed Fetch response holds what the decoded and renamed one does, however the bytes are cut."""

import itertools
import random
from typing import Any

import pytest

from protocol.codec import decode, encode
from protocol.errors import BrokerProtocolError
from protocol.fetch_stream import FetchStream, fill
from protocol.record_batches import count_records
from protocol.schema import Message, response_struct
from tests.unit.protocol.batches import batch, control_batch

FETCH = 1
VERSIONS = range(4, 19)
MAPPED = {1: ("gateway", 9095), 2: ("gateway-with-a-name-that-is-longer-than-a-brokers", 9096)}
BATCHES = batch(3) + control_batch() + batch(200) + batch(1)
TOPICS = {"orders": "o", "payments": "payments-of-the-partner", "kafka-x": "x"}


def spell(name: str, version: int) -> bytes:
    raw = name.encode()
    return bytes((len(raw) + 1,)) + raw if version >= 12 else len(raw).to_bytes(2, "big") + raw


def names_for(version: int) -> dict[bytes, tuple[bytes, bytes]]:
    if version >= 13:
        return {bytes([i + 1]) * 16: (bytes([i + 1]) * 16, bytes([i + 101]) * 16) for i in range(len(TOPICS))}
    return {topic.encode(): (spell(topic, version), spell(alias, version)) for topic, alias in TOPICS.items()}


def build(version: int, rng: random.Random, leaders: bool) -> Message:
    struct = response_struct(FETCH, version)
    topic, partition = struct.nested("responses"), struct.nested("responses").nested("partitions")
    topics = []
    for i, name in enumerate(TOPICS):
        partitions = []
        for index in range(rng.randrange(0, 5)):
            aborted = [{"producer_id": rng.randrange(99), "first_offset": 1} for _ in range(rng.randrange(0, 4))]
            values: dict[str, Any] = {
                "partition_index": index,
                "error_code": rng.choice((0, 0, 6)),
                "records": rng.choice((b"", b"r", rng.randbytes(3000), BATCHES, BATCHES[:-1])),
                "aborted_transactions": tuple(
                    partition.nested("aborted_transactions").new(**entry) for entry in aborted
                ),
            }
            if leaders and version >= 12 and values["error_code"]:
                leader = partition.nested("current_leader").new(leader_id=rng.choice((1, 2, 3)), leader_epoch=4)
                values["current_leader"] = leader
            partitions.append(partition.fit(**values))
        naming = {"topic_id": bytes([i + 1]) * 16} if version >= 13 else {"topic": name}
        topics.append(topic.new(**naming, partitions=tuple(partitions)))
    nodes: tuple[Message, ...] = ()
    if leaders and version >= 16:
        node = struct.nested("node_endpoints")
        nodes = tuple(node.new(node_id=i, host="broker-host", port=9092) for i in rng.sample((1, 2, 3), 2))
    return struct.fit(throttle_time=7, responses=tuple(topics), node_endpoints=nodes)


def expected(message: Message, version: int, drop_endpoints: bool) -> Message:
    for i, topic in enumerate(message.responses):
        if version >= 13:
            topic.topic_id = bytes([i + 101]) * 16
        else:
            topic.topic = TOPICS[topic.topic]
        for partition in topic.partitions:
            if version >= 12 and partition.current_leader.leader_id not in (-1, 1, 2):
                partition.current_leader = partition.current_leader.struct.new()
    if version >= 16:
        kept = [node for node in message.node_endpoints if node.node_id in MAPPED and not drop_endpoints]
        for node in kept:
            node.host, node.port = MAPPED[node.node_id]
        message.node_endpoints = tuple(kept)
    return message


def stream(version: int, body: bytes, cuts: list[int]) -> tuple[int | None, bytes, list[tuple[int, int]]]:
    """The size that was announced, the client's body, and the (bytes, records) that were told of each topic."""
    counted = dict.fromkeys(names_for(version), (0, 0))

    def count(topic: bytes, size: int, records: int) -> None:
        counted[topic] = counted[topic][0] + size, counted[topic][1] + records

    one = FetchStream(version, names_for(version), MAPPED.get, count)
    bounds = [0, *sorted(cuts), len(body)]
    size = one.begin(body[: bounds[1]], 0, len(body))
    out = b""
    for start, stop in itertools.pairwise(bounds):
        out += b"".join(one.feed(body[start:stop]))
    assert one.finished
    return size, out, list(counted.values())


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("leaders", [False, True])
def test_streamed_equals_renamed_at_any_cut(version: int, leaders: bool) -> None:
    rng = random.Random(version * 2 + leaders)  # noqa: S311 - reproducible, not secret
    for _ in range(40):
        message = build(version, rng, leaders)
        body = bytes(encode(message))
        cuts = [rng.randrange(30, len(body)) for _ in range(rng.randrange(0, 6))] if len(body) > 31 else []
        size, out, counted = stream(version, body, cuts)
        assert size == len(out)
        got = decode(message.struct, out)
        spans = [[partition.records for partition in topic.partitions] for topic in message.responses]
        assert counted == [
            (sum(map(len, topic)), sum(count_records(records, 0, len(records)) for records in topic)) for topic in spans
        ]
        dropped = version >= 16 and leaders and not got.node_endpoints
        assert got == expected(decode(message.struct, body), version, dropped)
        if not leaders:
            assert out == bytes(encode(got)), "nothing to fill up, so nothing may differ"


def test_one_byte_at_a_time() -> None:
    rng = random.Random(6)  # noqa: S311
    message = build(17, rng, True)
    body = bytes(encode(message))
    size, out, counted = stream(17, body, list(range(30, len(body))))
    assert size == len(out)
    whole = [partition.records for topic in message.responses for partition in topic.partitions]
    assert sum(records for _, records in counted) == 204 * whole.count(BATCHES) + 203 * whole.count(BATCHES[:-1]) > 0


def test_an_unknown_tag_of_a_partition_is_dropped() -> None:
    version = 12
    struct = response_struct(FETCH, version)
    topic = struct.nested("responses")
    partition = topic.nested("partitions").new(records=b"r" * 10)
    body = bytearray(encode(struct.new(responses=(topic.new(topic="orders", partitions=(partition,)),))))
    assert body.endswith(b"r" * 10 + b"\0\0\0")
    body[-3:-2] = b"\x01\x32\x06SECRET"
    names = {b"orders": names_for(version)[b"orders"]}
    one = FetchStream(version, names, MAPPED.get, lambda topic, size, records: None)
    size = one.begin(bytes(body), 0, len(body))
    out = b"".join(one.feed(bytes(body)))
    assert size == len(out)
    assert b"SECRET" not in out
    assert decode(struct, out).responses[0].partitions[0].records == b"r" * 10


@pytest.mark.parametrize("version", VERSIONS)
def test_a_response_that_ends_too_early_ends_the_connection(version: int) -> None:
    """Its frame is shorter than what is in it, as if records went on behind its end: the client got such frames."""
    names = {raw: (spelled, spelled) for raw, (spelled, _) in names_for(version).items()}
    rng = random.Random(version)  # noqa: S311 - reproducible, not secret
    body = bytes(encode(build(version, rng, True)))
    for end in (*rng.sample(range(30, len(body)), 60), *range(len(body) - 40, len(body))):
        one = FetchStream(version, names, MAPPED.get, lambda t, s, r: None)
        assert one.begin(body[:end], 0, end) is not None
        with pytest.raises(BrokerProtocolError):
            one.feed(body[:end])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("rest", [b"\0", b"\0\0", b"\1\0\0", b"rest"])
def test_bytes_after_the_end_of_a_response_end_the_connection(version: int, rest: bytes) -> None:
    """One zero byte was taken for the tagged fields that old versions don't have."""
    names = {raw: (spelled, spelled) for raw, (spelled, _) in names_for(version).items()}
    body = bytes(encode(build(version, random.Random(version), False))) + rest  # noqa: S311 - reproducible, not secret
    one = FetchStream(version, names, MAPPED.get, lambda t, s, r: None)
    assert one.begin(body, 0, len(body)) is not None
    with pytest.raises(BrokerProtocolError):
        one.feed(body)


def test_other_topics_than_asked_for_are_not_streamed() -> None:
    struct = response_struct(FETCH, 12)
    body = bytes(encode(struct.new(responses=(struct.nested("responses").new(topic="orders"),))))
    assert FetchStream(12, names_for(12), MAPPED.get, lambda t, s, r: None).begin(body, 0, len(body)) is None


def test_a_topic_that_was_not_asked_for_ends_the_connection() -> None:
    struct = response_struct(FETCH, 12)
    body = bytes(encode(struct.new(responses=(struct.nested("responses").new(topic="foreign"),))))
    one = FetchStream(12, {b"orders": (b"\x07orders", b"\x02o")}, MAPPED.get, lambda t, s, r: None)
    assert one.begin(body, 0, len(body)) is not None
    with pytest.raises(BrokerProtocolError, match="was not fetched"):
        one.feed(body)


@pytest.mark.parametrize("gap", range(3, 400))
def test_every_gap_of_three_bytes_and_more_can_be_filled(gap: int) -> None:
    filled = fill(b"\0", 1 + gap)
    assert filled is not None
    assert len(filled) == 1 + gap
