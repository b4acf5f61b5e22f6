"""Large requests and responses of an admin pass as they come in."""

from random import Random

import pytest

from protocol.framing import STREAM_MIN_BYTES
from protocol.schema import Message, request_struct, response_struct
from tests.unit.protocol.messages import random_message
from tests.unit.proxy.playbook import Dialogue
from tests.unit.proxy.test_passthrough import (
    CREATE_TOPICS,
    FETCH,
    LIST_GROUPS,
    METADATA,
    PRODUCE,
    answer_with_nodes,
    versions_of,
)


@pytest.mark.parametrize(("key", "version"), [(CREATE_TOPICS, 7), (PRODUCE, 3), (PRODUCE, 12), (33, 2)])
def test_large_requests_pass_as_they_come_in(admin: Dialogue, key: int, version: int) -> None:
    message = random_message(Random(3), request_struct(key, version))  # noqa: S311 - test data
    if key == PRODUCE:
        message.acks, message.transactional_id = 1, "t"
    data = admin.request(key, version, message)[1]
    # brokers and the gateway ignore what follows a request's end, so any may be large
    data = (len(data) - 4 + 3 * STREAM_MIN_BYTES).to_bytes(4, "big") + data[4:] + bytes(3 * STREAM_MIN_BYTES)
    admin.client_sends_bytes(data[:5000])
    assert len(admin.broker.sent) == 5000
    admin.client_sends_bytes(data[5000:70_000], data[70_000:])
    sent = bytes(admin.broker.sent)
    assert sent == data[:8] + sent[8:12] + data[12:]


def test_a_large_produce_request_shows_its_acks_wherever_they_are(admin: Dialogue) -> None:
    struct = request_struct(PRODUCE, 9)
    topic = struct.nested("topic_data")
    records = topic.nested("partition_data").new(records=bytes(2 * STREAM_MIN_BYTES))
    for transactional_id in (None, "x" * 2000):
        message = struct.new(
            acks=0, transactional_id=transactional_id, topic_data=(topic.new(partition_data=(records,)),)
        )
        data = admin.request(PRODUCE, 9, message)[1]
        admin.client_sends_bytes(data[:1100], data[1100:])
        assert admin.broker_gets().message.acks == 0
    correlation_id = admin.client_sends(LIST_GROUPS, 3)
    admin.broker_answers(admin.broker_gets())
    admin.client_receives(correlation_id)


def large_fetch(version: int) -> Message:
    struct = response_struct(FETCH, version)
    topic = struct.nested("responses")
    partition = topic.nested("partitions").new(records=bytes(5 * STREAM_MIN_BYTES))
    session = {"session_id": 4711} if "session_id" in struct.names else {}
    return struct.new(responses=(topic.new(partitions=(partition,)),), **session)


@pytest.mark.parametrize("version", versions_of(FETCH))
def test_large_fetch_responses_pass_as_they_come_in(admin: Dialogue, version: int) -> None:
    correlation_id = admin.client_sends(FETCH, version)
    got = admin.broker_gets()
    message = large_fetch(version)
    if version >= 16:
        message.node_endpoints = answer_with_nodes(FETCH, version, (1,)).node_endpoints
    frame = admin.response(got, message)
    admin.broker_sends_bytes(frame[:2000], frame[2000:70_000])
    assert len(admin.client.sent) == 70_000, "what has come in has passed"
    admin.broker_sends_bytes(frame[70_000:])
    received = admin.client_receives(correlation_id)
    if version >= 16:
        assert [(node.host, node.port) for node in received.node_endpoints] in ([("gateway", 9101)], [])
        message.node_endpoints = received.node_endpoints
    assert received == message


def test_other_large_responses_pass_as_they_come_in_or_whole(admin: Dialogue) -> None:
    struct = response_struct(LIST_GROUPS, 3)
    groups = tuple(struct.nested("groups").new(group_id=f"group-{n}") for n in range(10_000))
    first = admin.client_sends(LIST_GROUPS, 3)
    frame = admin.response(admin.broker_gets(), struct.new(groups=groups))
    admin.broker_sends_bytes(frame[:40_000])
    assert len(admin.client.sent) == 40_000
    admin.broker_sends_bytes(frame[40_000:])
    assert admin.client_receives(first).groups == groups
    # addresses before the rest: the whole of it is looked at
    answer = answer_with_nodes(METADATA, 12, (1, 2))
    topic = response_struct(METADATA, 12).nested("topics")
    answer.topics = tuple(topic.new(name=f"topic-{n}") for n in range(5_000))
    second = admin.client_sends(METADATA, 12)
    frame = admin.response(admin.broker_gets(), answer)
    admin.broker_sends_bytes(frame[:40_000])
    admin.client_receives_nothing()
    admin.broker_sends_bytes(frame[40_000:])
    received = admin.client_receives(second)
    assert received.topics == answer.topics
    assert [broker.host for broker in received.brokers] == ["gateway", "gateway"]
