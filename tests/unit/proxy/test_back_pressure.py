"""A client that doesn't read, asks for too much at once, or has finished sending: what is kept for it is bounded."""

from time import monotonic

import pytest

from protocol.headers import RESPONSE_PEEK
from protocol.sasl import build_plain
from protocol.schema import request_struct, response_struct
from proxy.close import CloseReason
from proxy.pipeline import ELEMENT_BYTES
from tests.unit.proxy.playbook import LIMITS, PASSWORD, Dialogue, Playbook, backing_id

API_VERSIONS, HEARTBEAT, METADATA, CREATE_TOPICS, FETCH = 18, 12, 3, 19, 1
HIGH_WATER = 10_000


def answers(data: bytes) -> list[int]:
    """The correlation ids of these responses."""
    ids = []
    while data:
        ids.append(RESPONSE_PEEK.unpack_from(data)[1])
        data = data[4 + int.from_bytes(data[:4], "big") :]
    return ids


def pipeline_of_versions(dialogue: Dialogue, count: int) -> tuple[list[int], bytes]:
    asked = [dialogue.request(API_VERSIONS, 0) for _ in range(count)]
    return [each for each, _ in asked], b"".join(data for _, data in asked)


def takes_everything(dialogue: Dialogue) -> list[int]:
    """Read and let the gateway write again until it has no more to say."""
    received = b""
    while taken := dialogue.client.takes_all():
        received += taken
        dialogue.playbook.loop.run_due()
    return answers(received)


@pytest.mark.parametrize("signed_in", [False, True])
def test_who_pipelines_and_never_reads_gets_no_more_than_fits(signed_in: bool) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in() if signed_in else playbook.connects()
        data = dialogue.request(API_VERSIONS, 0)[1]
        one = len(dialogue.session._authentication.answer(data, 0, len(data)))
        dialogue.client.high_water = HIGH_WATER
        asked, data = pipeline_of_versions(dialogue, 2000)
        dialogue.client_sends_bytes(data)
        assert HIGH_WATER < len(dialogue.client.sent) <= HIGH_WATER + one
        assert dialogue.client.paused
        assert takes_everything(dialogue) == asked, "every answer comes once the client reads, in order"
        assert not dialogue.client.paused


def test_a_stream_goes_on_while_its_client_does_not_read() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        struct = request_struct(0, 9)
        topic = struct.nested("topic_data")
        partition = topic.nested("partition_data").new(index=0, records=b"x" * 100_000)
        topics = (topic.new(name="orders", partition_data=(partition,)),)
        data = dialogue.request(0, 9, struct.new(acks=1, topic_data=topics))[1]
        heartbeat = dialogue.request(HEARTBEAT, 4, group_id="g")[1]
        dialogue.client_sends_bytes(data[:5000])
        dialogue.session.pause_writing()
        dialogue.session.data_received(data[5000:] + heartbeat)
        assert dialogue.broker_gets().key == 0
        dialogue.broker_gets_nothing()
        dialogue.session.resume_writing()
        playbook.loop.run_due()
        assert dialogue.broker_gets().key == HEARTBEAT


def refused_topics(dialogue: Dialogue, count: int) -> bytes:
    struct = request_struct(CREATE_TOPICS, 5)
    entry = struct.nested("topics")
    topics = tuple(entry.new(name=f"{number:0200}") for number in range(count))
    return dialogue.request(CREATE_TOPICS, 5, struct.new(topics=topics))[1]


def test_answers_that_wait_for_an_earlier_one_are_bounded() -> None:
    with Playbook(budget=1 << 30) as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(HEARTBEAT, 4, group_id="g")
        got = dialogue.broker_gets()
        data = refused_topics(dialogue, 1000)
        dialogue.client_sends_bytes(data * 30)
        pipeline = dialogue.session._pipeline
        assert pipeline is not None
        one = len(data) * 2 + 3000 * ELEMENT_BYTES
        assert LIMITS.pending_bytes < pipeline.pending_bytes < LIMITS.pending_bytes + one
        assert dialogue.client.paused
        dialogue.client_receives_nothing()
        dialogue.broker_answers(got)
        playbook.loop.run_due()
        assert len(answers(dialogue.client.takes_all())) == 31
        assert pipeline.pending_bytes == 0
        assert not dialogue.client.paused


def test_a_request_with_too_many_elements_ends_the_connection() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        struct = request_struct(METADATA, 9)
        topic = struct.nested("topics").new(name="x")
        dialogue.client_sends(METADATA, 9, struct.new(topics=(topic,) * LIMITS.request_elements))
        assert dialogue.broker_gets().key == METADATA
        dialogue = playbook.signed_in()
        assert dialogue.ended == ""
        dialogue.client_sends(METADATA, 9, struct.new(topics=(topic,) * (LIMITS.request_elements + 1)))
        assert dialogue.end_line["detail"] == "MetadataRequest.topics: 50001 elements in all, the limit is 50000"
        dialogue.expect_end(CloseReason.BAD_REQUEST)


def test_strangers_take_nothing_from_those_who_have_signed_in() -> None:
    with Playbook(budget=100_000) as playbook:
        stranger = playbook.connects()
        stranger.client_sends_bytes((400_000).to_bytes(4, "big") + bytes(2000))
        assert not stranger.client.paused
        partner = playbook.signed_in()
        struct = request_struct(METADATA, 1)
        topics = tuple(struct.nested("topics").new(name="x" * 200) for _ in range(300))
        data = partner.request(METADATA, 1, struct.new(topics=topics))[1]
        partner.client_sends_bytes(data[:2000], data[2000:])
        assert partner.broker_gets().key == METADATA


def reads_broker(*dialogues: Dialogue) -> tuple[bool, ...]:
    return tuple(not dialogue.broker.paused for dialogue in dialogues)


def large_metadata(dialogue: Dialogue) -> bytes:
    """A broker's answer that is assembled."""
    got = dialogue.broker_gets()
    topic = response_struct(METADATA, got.version).nested("topics")
    partition = topic.nested("partitions").new(leader_id=1)
    orders = topic.new(name="kafka-orders", topic_id=backing_id("kafka-orders"), partitions=(partition,) * 2500)
    return dialogue.response(got, topics=(orders,))


def test_a_response_counts_until_its_client_takes_it() -> None:
    with Playbook(budget=80_000) as playbook:
        lazy, other = playbook.signed_in(), playbook.signed_in()
        lazy.client.high_water = HIGH_WATER
        for dialogue in (lazy, other):
            dialogue.client_sends(METADATA, 9, topics=None)
        for dialogue in (lazy, other):
            response = large_metadata(dialogue)
            dialogue.broker.receive(response[:2000])
            dialogue.broker.receive(response[2000:])
        assert lazy.client.sent
        assert reads_broker(lazy, other) == (False, False)
        other.client_receives_nothing()
        lazy.client.takes_all()
        playbook.loop.run_due()
        assert reads_broker(lazy, other) == (True, True)
        other.client_receives()


# half-closed


def test_a_client_that_has_finished_sending_gets_all_its_answers() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        asked = [dialogue.client_sends(HEARTBEAT, 4, group_id="g") for _ in range(2)]
        got = [dialogue.broker_gets() for _ in range(2)]
        assert dialogue.client.end_sending()
        dialogue.broker_answers(got[0])
        dialogue.client_receives(asked[0])
        assert dialogue.ended == ""
        assert dialogue.client.end_sending(), "being told again changes nothing"
        dialogue.broker_answers(got[1])
        dialogue.client_receives(asked[1])
        dialogue.expect_end(CloseReason.CLIENT_CLOSED)
        assert dialogue.broker.closed


def test_so_does_one_whose_requests_are_still_held_back() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client.high_water = HIGH_WATER
        asked, data = pipeline_of_versions(dialogue, 500)
        dialogue.client_sends_bytes(data)
        received = answers(dialogue.client.takes_all())
        # the end is seen as soon as reading goes on, before what was held back is taken
        assert dialogue.session.reader.held
        assert dialogue.client.end_sending()
        playbook.loop.run_due()
        received += takes_everything(dialogue)
        assert received == asked
        dialogue.expect_end(CloseReason.CLIENT_CLOSED)


def test_a_client_that_has_gone_before_its_broker_connection_is_there() -> None:
    with Playbook() as playbook:
        dialogue = playbook.connects()
        dialogue.client_sends(17, 1, mechanism="PLAIN")
        dialogue.client.receive(dialogue.request(36, 1, auth_bytes=build_plain("johndoe", PASSWORD))[1])
        playbook.loop.run_due()
        assert dialogue.ended == ""
        dialogue.session.reader.held = True
        assert dialogue.client.end_sending(), "what was held back is taken first"
        dialogue.session.resume_soon()
        dialogue.expect_end(CloseReason.CLIENT_CLOSED)


def test_a_client_to_whom_nothing_is_due_ends_at_once() -> None:
    with Playbook() as playbook:
        for dialogue in (playbook.connects(), playbook.signed_in()):
            dialogue.client_sends_bytes(dialogue.request(HEARTBEAT, 4, group_id="g")[1][:7])
            assert not dialogue.client.end_sending()
            dialogue.expect_end(CloseReason.CLIENT_CLOSED)


def test_answers_to_a_half_closed_client_must_come_in_time() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(FETCH, 4, max_wait=2**31 - 1)
        assert dialogue.client.end_sending()
        dialogue.session.check_deadlines(monotonic() + LIMITS.half_closed_seconds - 1)
        assert dialogue.ended == ""
        dialogue.session.check_deadlines(monotonic() + LIMITS.half_closed_seconds + 1)
        dialogue.expect_end(CloseReason.HALF_CLOSED_DEADLINE)
        assert dialogue.broker.closed
