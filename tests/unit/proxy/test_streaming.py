"""What is streamed = what is taken whole: large Produce requests and large Fetch responses, cut anywhere."""

from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings

from protocol import fetch, produce
from protocol.codec import decode
from protocol.framing import STREAM_MIN_BYTES
from protocol.headers import RESPONSE_PEEK
from protocol.schema import FieldSpec, Message, Struct, request_struct, response_struct
from proxy.apis.table import plans_for
from proxy.close import CloseReason
from tests.unit.protocol.batches import batch
from tests.unit.protocol.messages import with_unknown_tag
from tests.unit.proxy.playbook import BrokerGot, Dialogue, versions_of
from tests.unit.proxy.test_paths import (
    BATCHES,
    SEEDS,
    Counting,
    choose_topics,
    fetch_request,
    fetch_response,
    metered,
    pass_time,
    signed_in,
)

EXAMPLES = 12


def cut(rng: Random, data: bytes) -> list[bytes]:
    """The frame in pieces: the first has the head, so that it can be streamed; some of the others are tiny."""
    points = sorted({rng.randint(1024, 3000), *(rng.randint(1, len(data)) for _ in range(rng.randint(0, 6)))})
    points += [point + 1 for point in points[:3]]
    points = sorted({0, len(data), *(point for point in points if point < len(data))})
    return [data[low:high] for low, high in pairwise(points)]


def large_records(rng: Random) -> bytes:
    """Few batches or many, or none at all; the last one may be cut off."""
    size = rng.choice((STREAM_MIN_BYTES, 70_000))
    if rng.random() < 0.3:
        return batch(1) + batch(2, value=rng.randbytes(size))
    records = rng.choice((batch(90, value=rng.randbytes(50)), BATCHES, rng.randbytes(size)))
    return (records * (size // len(records) + 1))[:size]


def large_produce(rng: Random, dialogue: Dialogue, version: int) -> Message:
    struct = request_struct(produce.KEY, version)
    topic_struct = struct.nested("topic_data")
    topic = choose_topics(rng, dialogue, True, version >= produce.FIRST_WITH_IDS)[0]
    records = large_records(rng)
    partition = topic_struct.nested("partition_data").new(index=rng.randint(0, 9), records=records)
    data = (topic_struct.new(**topic, partition_data=(partition,)),)
    transactional_id = rng.choice((None, "tx", "x" * 130))
    return struct.new(transactional_id=transactional_id, acks=rng.choice((-1, 1, 0)), timeout=30_000, topic_data=data)


@pytest.mark.parametrize("version", versions_of(produce.KEY))
def test_a_streamed_produce_request_is_the_whole_one(version: int) -> None:
    counting = Counting()

    @settings(max_examples=EXAMPLES, deadline=None, database=None)
    @given(SEEDS)
    def run(seed: int) -> None:
        rng = Random(seed)  # noqa: S311 - test data
        with signed_in(counting.plans) as streamed, signed_in(plans_for) as whole:
            message = large_produce(rng, streamed, version)
            correlation_id, data = streamed.request(produce.KEY, version, message)
            small = streamed.request(12, 4, group_id="g")[1]
            streamed.client_sends_bytes(*cut(rng, data), small)
            whole.client_sends_bytes(data, small)
            assert streamed.broker.sent == whole.broker.sent
            got = streamed.broker_gets()
            if message.acks:
                streamed.broker_answers(got, response_struct(produce.KEY, version).new())
                streamed.client_receives(correlation_id)
            assert streamed.broker_gets().key == 12
            assert metered(streamed) == metered(whole)

    run()
    assert counting.streamed >= EXAMPLES


def is_streamed(dialogue: Dialogue, chunks: list[bytes]) -> bool:
    """Whether the client received a beginning before the broker had sent the end."""
    dialogue.broker_sends_bytes(*chunks[:-1])
    streamed = bool(dialogue.client.sent)
    dialogue.broker_sends_bytes(chunks[-1])
    return streamed


def with_large_records(rng: Random, got: BrokerGot) -> Message:
    """A response with something large in it."""
    response = fetch_response(rng, got)
    partitions = [partition for topic in response.responses for partition in topic.partitions]
    if partitions:
        rng.choice(partitions).records = large_records(rng)
    return response


@pytest.mark.parametrize("version", versions_of(fetch.KEY))
def test_a_streamed_fetch_response_is_the_whole_one(version: int) -> None:
    """The same message; the same bytes, too, where no filler makes up for tagged fields that were left out."""
    seen: list[bool] = []

    @settings(max_examples=3 * EXAMPLES, deadline=None, database=None)
    @given(SEEDS)
    def run(seed: int) -> None:
        rng = Random(seed)  # noqa: S311 - test data
        with signed_in(plans_for) as streamed, signed_in(plans_for) as whole:
            message = fetch_request(rng, streamed, version)
            data = streamed.request(fetch.KEY, version, message)[1]
            streamed.client_sends_bytes(data)
            whole.client_sends_bytes(data)
            while streamed.broker.sent:
                got = streamed.broker_gets()
                assert whole.broker_gets() == got
                response = streamed.response(got, with_large_records(rng, got))
                seen.append(is_streamed(streamed, cut(rng, response)))
                whole.broker_sends_bytes(response)
            pass_time(streamed, whole)
            assert streamed.ended == whole.ended == ""
            frames = streamed.client_receives_bytes(), whole.client_receives_bytes()
            assert not streamed.client.sent and not whole.client.sent
            assert meaning(version, frames[0]) == meaning(version, frames[1])
            assert frames[0] == frames[1] or len(frames[0]) > len(frames[1])
            assert metered(streamed) == metered(whole)

    run()
    assert any(seen), f"none of {len(seen)} responses was streamed"


def meaning(version: int, frame: bytes) -> Any:
    struct = response_struct(fetch.KEY, version)
    return frame[4:8], decode(struct, frame, RESPONSE_PEEK.size + struct.flexible)


def as_later_version(struct: Struct, message: Message) -> Message:
    """The same message with a tagged field at every level that this version doesn't know."""

    def convert(spec: FieldSpec, value: Any) -> Any:
        if spec.nested is None or value is None:
            return value
        if spec.array:
            return tuple(as_later_version(spec.nested, item) for item in value)
        return value if value == spec.default else as_later_version(spec.nested, value)

    if struct.name == "AbortedTransaction":
        # not rewritten while streaming: such a response would end the connection
        return struct.new(**{spec.name: getattr(message, spec.name) for spec in struct.fields[:-1]})
    values = {spec.name: convert(spec, getattr(message, spec.name)) for spec in struct.fields if spec.name != "unknown"}
    return struct.new(**values, unknown=b"kafka-topic")


@pytest.mark.parametrize("version", range(fetch.FIRST_FLEXIBLE, 19))
def test_unknown_tagged_fields_are_left_out_of_what_is_streamed(version: int) -> None:
    later = with_unknown_tag(response_struct(fetch.KEY, version))
    for seed in range(EXAMPLES):
        rng = Random(seed)  # noqa: S311 - test data
        with signed_in(plans_for) as streamed, signed_in(plans_for) as whole:
            data = streamed.request(fetch.KEY, version, fetch_request(rng, streamed, version))[1]
            streamed.client_sends_bytes(data)
            whole.client_sends_bytes(data)
            while streamed.broker.sent:
                got = streamed.broker_gets()
                response = streamed.response(got, as_later_version(later, with_large_records(rng, got)))
                streamed.broker_sends_bytes(*cut(rng, response))
                whole.broker_sends_bytes(response)
            pass_time(streamed, whole)
            frames = streamed.client_receives_bytes(), whole.client_receives_bytes()
            assert meaning(version, frames[0]) == meaning(version, frames[1])
            assert b"kafka-topic" not in frames[0] + frames[1]


def test_a_drained_client_finishes_the_frame_that_it_is_sending() -> None:
    rng = Random(3)  # noqa: S311 - test data
    with signed_in(plans_for) as dialogue:
        message = large_produce(rng, dialogue, 9)
        message.acks = -1
        correlation_id, data = dialogue.request(produce.KEY, 9, message)
        dialogue.client_sends_bytes(data[:2000])
        dialogue.session.drain()
        dialogue.client_sends_bytes(data[2000:], dialogue.request(12, 4, group_id="g")[1])
        got = dialogue.broker_gets()
        assert got.key == produce.KEY
        dialogue.broker_gets_nothing()
        dialogue.broker_answers(got, response_struct(produce.KEY, 9).new())
        dialogue.client_receives(correlation_id)
        dialogue.expect_end(CloseReason.SHUTDOWN)
