"""Names in a listing of topics: the same that full decoding finds, wherever brokers have put tagged fields."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codec import decode, encode
from protocol.errors import DecodeError
from protocol.schema import Message, response_struct
from protocol.topic_listing import METADATA_KEY, METADATA_VERSION, ListedTopic, listed_topics

ANSWER = response_struct(METADATA_KEY, METADATA_VERSION)
BROKER, TOPIC = ANSWER.nested("brokers"), ANSWER.nested("topics")
PARTITION = TOPIC.nested("partitions")

NODES = st.lists(st.integers(0, 2**31 - 1), max_size=4).map(tuple) | st.just(tuple(range(200)))
PARTITIONS = st.builds(PARTITION.new, partition_index=st.integers(0, 99), replica_nodes=NODES, isr_nodes=NODES)
TOPICS = st.builds(
    TOPIC.new,
    error_code=st.sampled_from((0, 3, 5, 29)),
    name=st.text(max_size=12) | st.just("x" * 249),
    topic_id=st.binary(min_size=16, max_size=16),
    is_internal=st.booleans(),
    partitions=st.lists(PARTITIONS, max_size=3).map(tuple),
)
BROKERS = st.builds(
    BROKER.new, node_id=st.integers(0, 9), host=st.text("ab", max_size=9), rack=st.none() | st.text("r")
)
ANSWERS = st.builds(
    ANSWER.new,
    brokers=st.lists(BROKERS, max_size=3).map(tuple),
    cluster_id=st.none() | st.text("c"),
    topics=st.lists(TOPICS, max_size=4).map(tuple),
)


def decoded(body: bytes) -> list[ListedTopic]:
    topics = decode(ANSWER, body).topics
    return [ListedTopic(each.name, each.error_code, each.is_internal) for each in topics]


@given(ANSWERS)
def test_what_full_decoding_finds(answer: Message) -> None:
    body = bytes(encode(answer))
    assert list(listed_topics(body)) == decoded(body)


def test_tagged_fields_are_passed_over() -> None:
    body = bytes(encode(ANSWER.new(topics=(TOPIC.new(name="a", partitions=(PARTITION.new(),)), TOPIC.new(name="b")))))
    tag = b"\x01\x09\x03xyz"
    first = body.index(b"\x02a") + 2 + 16 + 1 + 1 + 14 + 3
    assert body[first : first + 6] == b"\0\x80\0\0\0\0", "the tags of the partition, operations, tags of the topic"
    tagged = body[:first] + tag + body[first + 1 : first + 5] + tag + body[first + 6 :]
    assert list(listed_topics(tagged)) == decoded(tagged) == decoded(body)


@given(ANSWERS, st.data())
def test_what_is_cut_short_is_an_error(answer: Message, data: st.DataObject) -> None:
    body = bytes(encode(answer))[:-1]
    whole = len(answer.topics)
    cut = body[: data.draw(st.integers(0, len(body) - 1))] if body else b""
    try:
        found = list(listed_topics(cut))
    except DecodeError:
        return
    assert len(found) == whole, "only bytes behind the topics were missing"


def test_no_list_is_an_error() -> None:
    body = bytearray(encode(ANSWER.new()))
    assert body[-2:] == b"\x01\0"
    body[-2] = 0
    with pytest.raises(DecodeError):
        list(listed_topics(bytes(body)))
