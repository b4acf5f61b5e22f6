"""A connection in debt: what is held and for how long, what passes, and everything else that may happen meanwhile."""

from dataclasses import replace
from typing import Final
from unittest.mock import patch

import pytest

from protocol.framing import HEAD_BYTES
from protocol.schema import request_struct
from proxy import session as session_module
from proxy.close import CloseReason
from proxy.flow import Hold
from proxy.traffic import Kind
from tests.unit.proxy.limited import (
    FETCH,
    HEARTBEAT,
    PRODUCE,
    PRODUCERS,
    charged,
    fetch_request,
    holds,
    in_debt,
    is_stored,
    limited,
    limiter,
    passes_after,
    produce_frame,
    produce_request,
    produces,
)
from tests.unit.proxy.playbook import CONFIG, LIMITS, Playbook

METADATA: Final = 3


# order, reading, pieces


def test_what_is_before_a_held_request_is_answered_and_what_is_behind_it_waits() -> None:
    with Playbook((PRODUCERS,)) as playbook:
        dialogue = in_debt(playbook)
        first = dialogue.client_sends(HEARTBEAT, 4, group_id="g")
        second = produces(dialogue, 10)
        third = dialogue.client_sends(METADATA, 9, topics=None)
        assert holds(dialogue)
        got = dialogue.broker_gets()
        assert got.key == HEARTBEAT
        dialogue.broker_answers(got)
        dialogue.client_receives(first)
        passes_after(dialogue, 2.0)
        held, behind = dialogue.broker_gets(), dialogue.broker_gets()
        assert (held.key, behind.key) == (PRODUCE, METADATA)
        dialogue.broker_answers(held)
        dialogue.client_receives(second)
        dialogue.broker_answers(behind)
        dialogue.client_receives(third)
        assert not holds(dialogue)
        assert playbook.loop.timers == 0


def test_nothing_is_read_while_a_request_is_held() -> None:
    with Playbook((PRODUCERS,)) as playbook:
        dialogue = in_debt(playbook)
        data = produce_frame(dialogue, 10)[1]
        dialogue.client_sends_bytes(data, *[bytes(60_000)] * 10)
        assert dialogue.client.paused
        assert dialogue.session.reader._chunks_bytes == len(data)
        playbook.loop.advance(1)
        limiter(playbook, Kind.PRODUCE).configure(999)
        playbook.loop.run_due()
        assert dialogue.session.reader._chunks_bytes == len(data), "asking again reads nothing, either"
        assert dialogue.client.paused


@pytest.mark.parametrize("acks", [-1, 0])
def test_cut_anywhere(acks: int) -> None:
    with Playbook((PRODUCERS,)) as playbook:
        size = len(produce_frame(playbook.signed_in(), 10, acks)[1])
    for cut in range(1, size):
        with Playbook((PRODUCERS,)) as playbook:
            dialogue = in_debt(playbook, acks=acks)
            data = produce_frame(dialogue, 10, acks)[1]
            dialogue.client_sends_bytes(data[:cut])
            playbook.loop.advance(0.5)
            dialogue.client_sends_bytes(data[cut:])
            assert holds(dialogue) == (cut + len(data) > 8)
            passes_after(dialogue, 1.5)
            assert dialogue.broker_gets().frame.endswith(bytes(10) + b"\0\0\0")


def test_byte_by_byte() -> None:
    with Playbook((PRODUCERS,)) as playbook:
        dialogue = in_debt(playbook)
        asked, data = produce_frame(dialogue, 10)
        beat, behind = dialogue.request(HEARTBEAT, 4, group_id="g")
        dialogue.client_sends_bytes(*(bytes((each,)) for each in data + behind))
        assert dialogue.session.reader._chunks_bytes == 8, "key and version tell"
        passes_after(dialogue, 2.0)
        is_stored(dialogue)
        dialogue.client_receives(asked)
        dialogue.broker_answers(dialogue.broker_gets())
        dialogue.client_receives(beat)


@pytest.mark.parametrize("here", [8, 500, HEAD_BYTES, 5000, 39_000])
def test_a_large_request_waits_for_its_turn_and_is_streamed_then(here: int) -> None:
    with Playbook((PRODUCERS,)) as playbook:
        dialogue = in_debt(playbook)
        asked, data = produce_frame(dialogue, 40_000)
        dialogue.client_sends_bytes(data[:here])
        assert playbook.budget._taken == 0, "what isn't taken yet isn't assembled"
        assert charged(playbook, Kind.PRODUCE) == 3000
        playbook.loop.advance(1.999)
        dialogue.broker_gets_nothing()
        playbook.loop.advance(0.002)
        assert not dialogue.client.paused
        assert bool(dialogue.broker.sent) == (here >= HEAD_BYTES)
        dialogue.client_sends_bytes(data[here:])
        is_stored(dialogue)
        assert dialogue.client_receives(asked).throttle_time == 10_000
        assert playbook.budget._taken == 0


def test_a_large_request_that_is_assembled_is_asked_for_once() -> None:
    """Several partitions: it is taken when its turn has come, however long the rest takes."""
    with Playbook((PRODUCERS,)) as playbook:
        dialogue = in_debt(playbook)
        message = produce_request(playbook, 9, [("orders", 20_000), ("invoices", 20_000)])
        data = dialogue.request(PRODUCE, 9, message)[1]
        dialogue.client_sends_bytes(data[:5000])
        playbook.loop.advance(2)
        assert playbook.budget._taken == len(data)
        other = playbook.signed_in()
        produces(other, 5000)
        dialogue.client_sends_bytes(data[5000:20_000], data[20_000:])
        assert len(dialogue.broker_gets().message.topic_data) == 2
        dialogue.broker_gets_nothing()


def test_unknown_requests_behind_are_not_looked_at_before() -> None:
    with Playbook((PRODUCERS,)) as playbook:
        dialogue = in_debt(playbook)
        dialogue.client_sends_bytes(produce_frame(dialogue, 10)[1] + (20).to_bytes(4, "big") + b"\x7f" * 20)
        assert dialogue.ended == ""
        playbook.loop.advance(2)
        assert dialogue.broker_gets().key == PRODUCE
        dialogue.expect_end(CloseReason.UNSUPPORTED_API)


# together with other holds


def test_with_the_limit_of_requests_in_flight() -> None:
    config = replace(CONFIG, limits=replace(LIMITS, requests_in_flight=2))
    with Playbook((PRODUCERS,), config=config) as playbook:
        dialogue = in_debt(playbook)
        asked = [dialogue.client_sends(HEARTBEAT, 4, group_id="g") for _ in range(2)]
        got = [dialogue.broker_gets() for _ in range(2)]
        held = produces(dialogue, 10)
        assert not holds(dialogue), "it isn't looked at yet"
        playbook.loop.advance(0.5)
        dialogue.broker_answers(got[0])
        assert holds(dialogue)
        dialogue.broker_answers(got[1])
        for each in asked:
            dialogue.client_receives(each)
        passes_after(dialogue, 1.5)
        is_stored(dialogue)
        dialogue.client_receives(held)


def test_with_a_turn_that_is_over() -> None:
    with patch.object(session_module, "TURN_SECONDS", -1.0), Playbook((PRODUCERS,)) as playbook:
        dialogue = in_debt(playbook)
        data = b"".join(produce_frame(dialogue, 500)[1] for _ in range(3))
        dialogue.client_sends_bytes(data)
        for seconds in (2.0, 0.5, 0.5):
            passes_after(dialogue, seconds)
            is_stored(dialogue)
            dialogue.client_receives()


def test_with_a_request_that_goes_alone() -> None:
    with Playbook((limited(produce=1000, consume=1000),)) as playbook:
        dialogue = in_debt(playbook)
        dialogue.client_sends(FETCH, 12, fetch_request(playbook, 12, ["orders", "twin"]))
        probes = [dialogue.broker_gets(), dialogue.broker_gets()]
        produces(dialogue, 10)
        assert dialogue.session.gate.holds(Hold.EXCLUSIVE)
        for probe in probes:
            dialogue.broker_answers(probe, error_code=3)
        dialogue.client_receives()
        assert holds(dialogue)
        passes_after(dialogue, 2.0)


def test_with_answers_that_wait_for_an_earlier_one() -> None:
    config = replace(CONFIG, limits=replace(LIMITS, pending_bytes=500))
    with Playbook((PRODUCERS,), config=config) as playbook:
        dialogue = in_debt(playbook)
        dialogue.client_sends(HEARTBEAT, 4, group_id="g")
        got = dialogue.broker_gets()
        for _ in range(3):
            dialogue.client_sends(18, 0)
        produces(dialogue, 10)
        assert dialogue.session.gate.holds(Hold.PENDING)
        playbook.loop.advance(1)
        dialogue.broker_answers(got)
        playbook.loop.run_due()
        assert holds(dialogue)
        passes_after(dialogue, 1.0)


def test_with_a_client_that_does_not_read() -> None:
    with Playbook((PRODUCERS,)) as playbook:
        dialogue = in_debt(playbook)
        produces(dialogue, 10)
        dialogue.session.pause_writing()
        playbook.loop.advance(3)
        dialogue.broker_gets_nothing()
        assert not holds(dialogue)
        dialogue.session.resume_writing()
        playbook.loop.run_due()
        is_stored(dialogue)


def test_with_a_client_that_reads_again_too_early() -> None:
    with Playbook((PRODUCERS,)) as playbook:
        dialogue = in_debt(playbook)
        produces(dialogue, 10)
        dialogue.session.pause_writing()
        playbook.loop.advance(1)
        dialogue.session.resume_writing()
        playbook.loop.run_due()
        passes_after(dialogue, 1.0)
        assert playbook.loop.timers == 0


def test_with_memory_that_is_spent() -> None:
    with Playbook((PRODUCERS,), budget=50_000) as playbook:
        other = playbook.signed_in()
        hoard = request_struct(METADATA, 1).nested("topics").new(name="x" * 200)
        data = other.request(METADATA, 1, topics=(hoard,) * 240)[1]
        other.client_sends_bytes(data[:2000])
        dialogue = in_debt(playbook)
        message = produce_request(playbook, 9, [("orders", 20_000), ("invoices", 20_000)])
        large = dialogue.request(PRODUCE, 9, message)[1]
        dialogue.client_sends_bytes(large[:5000])
        playbook.loop.advance(2)
        assert dialogue.session.gate.holds(Hold.MEMORY)
        assert not holds(dialogue)
        other.client_sends_bytes(data[2000:])
        other.broker_answers(other.broker_gets())
        dialogue.client_sends_bytes(large[5000:])
        assert dialogue.broker_gets().key == PRODUCE
