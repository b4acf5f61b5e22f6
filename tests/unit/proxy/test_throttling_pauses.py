"""A connection in debt: what is held and for how long, what passes, and everything else that may happen meanwhile."""

from dataclasses import replace
from math import inf
from time import monotonic, time
from typing import Final
from unittest.mock import patch

import pytest

from policies.zone import Alias, Permission
from protocol.framing import HEAD_BYTES
from protocol.schema import request_struct
from proxy import session as session_module
from proxy.close import CloseReason
from proxy.flow import Hold
from proxy.throttling import PATIENCE
from proxy.traffic import Kind
from tests.unit.proxy.limited import (
    COMMIT,
    COMMITTERS,
    CONSUMERS,
    FETCH,
    HEARTBEAT,
    PRODUCE,
    PRODUCERS,
    beats,
    charged,
    commits,
    fetch_request,
    fetches,
    is_stored,
    limited,
    limiter,
    passes_after,
    produce_request,
    produces,
    records,
)
from tests.unit.proxy.playbook import CONFIG, LIMITS, ZONE, Dialogue, Playbook

METADATA: Final = 3
HELD: Final = PATIENCE[Kind.PRODUCE].held


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


# ends


def test_draining_a_client_whose_request_is_held() -> None:
    with Playbook((PRODUCERS,)) as playbook:
        dialogue = in_debt(playbook)
        asked = dialogue.client_sends(HEARTBEAT, 4, group_id="g")
        produces(dialogue, 10)
        dialogue.session.drain()
        playbook.loop.advance(5)
        got = dialogue.broker_gets()
        dialogue.broker_gets_nothing()
        dialogue.broker_answers(got)
        dialogue.client_receives(asked)
        dialogue.expect_end(CloseReason.SHUTDOWN)
        assert playbook.loop.timers == 0


def test_draining_a_client_that_has_nothing_else_under_way() -> None:
    with Playbook((PRODUCERS,)) as playbook:
        dialogue = in_debt(playbook)
        produces(dialogue, 10)
        dialogue.session.drain()
        dialogue.expect_end(CloseReason.SHUTDOWN)
        playbook.loop.advance(5)
        dialogue.broker_gets_nothing()


@pytest.mark.parametrize("acks", [-1, 0])
def test_a_client_that_has_finished_sending_is_served_in_time(acks: int) -> None:
    """Its end is seen when reading goes on."""
    with Playbook((PRODUCERS,)) as playbook:
        dialogue = in_debt(playbook, acks=acks)
        frames = [produce_frame(dialogue, 500, acks) for _ in range(2)]
        dialogue.client_sends_bytes(frames[0][1] + frames[1][1])
        dialogue.client.paused = False  # as a loop that has the end at hand already
        assert dialogue.client.end_sending()
        for (asked, _), seconds in zip(frames, (2.0, 0.5), strict=True):
            assert dialogue.ended == ""
            passes_after(dialogue, seconds)
            if acks:
                is_stored(dialogue)
                dialogue.client_receives(asked)
            else:
                dialogue.broker_gets()
        dialogue.expect_end(CloseReason.CLIENT_CLOSED)


@pytest.mark.parametrize("by", ["client", "broker", "gateway"])
def test_an_end_while_a_request_is_held(by: str) -> None:
    with Playbook((PRODUCERS,)) as playbook:
        dialogue = in_debt(playbook)
        produces(dialogue, 10)
        assert playbook.loop.timers == 1
        if by == "gateway":
            dialogue.session.close(CloseReason.IDLE)
        else:
            (dialogue.client if by == "client" else dialogue.broker).hang_up()
        assert dialogue.ended
        assert playbook.loop.timers == 0
        assert not limiter(playbook, Kind.PRODUCE).waiting
        playbook.loop.advance(20)
        dialogue.broker_gets_nothing()


def test_the_debt_of_one_who_has_left_is_paid_by_the_one_who_comes() -> None:
    with Playbook((PRODUCERS,)) as playbook:
        in_debt(playbook, 3).client.hang_up()
        playbook.loop.run_due()
        again = playbook.signed_in()
        produces(again, 10)
        passes_after(again, 3.0)


def test_its_zone_is_removed_while_a_request_is_held() -> None:
    with Playbook((PRODUCERS,)) as playbook:
        dialogue = in_debt(playbook)
        produces(dialogue, 10)
        shrunken = playbook.apply(())
        assert shrunken == {ZONE.name}
        dialogue.session.close(CloseReason.ZONE_CHANGED)
        playbook.loop.advance(20)
        dialogue.expect_end(CloseReason.ZONE_CHANGED)
        dialogue.broker_gets_nothing()


# signing in again


def session_of(dialogue: Dialogue, seconds: float) -> None:
    dialogue.session.seconds_open = lambda: seconds - dialogue.playbook.loop.time()  # type: ignore[method-assign]


def test_who_must_sign_in_again_can_do_so_in_time() -> None:
    """Its SaslHandshake is behind a held request: nothing is held in the last seconds of a session."""
    with Playbook((PRODUCERS,)) as playbook:
        dialogue = in_debt(playbook, 30)
        session_of(dialogue, 8.0)
        produces(dialogue, 10)
        produces(dialogue, 10)
        handshake = dialogue.client_sends(17, 1, mechanism="PLAIN")
        passes_after(dialogue, 5.0)
        for _ in range(2):
            is_stored(dialogue)
            assert dialogue.client_receives().throttle_time == 500
        dialogue.client_receives(handshake)


def test_the_lifetime_of_a_session_and_of_its_proof_bound_pauses() -> None:
    with Playbook((PRODUCERS,)) as playbook:
        session = playbook.signed_in().session
        assert session.seconds_open() == inf
        principal = session._authentication.principal
        assert principal is not None
        session._authentication.principal = replace(principal, expires=time() + 7)
        assert 6 < session.seconds_open() <= 7
        session._life.open_until = monotonic() + 5
        assert 4 < session.seconds_open() <= 5


# changes at run time


def change(playbook: Playbook, produce: int | None) -> None:
    playbook.apply((limited(produce=produce),))
    playbook.loop.run_due()


def test_a_limit_that_is_new_holds_for_those_who_are_there() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        produces(dialogue, 100_000)
        is_stored(dialogue)
        dialogue.client_receives()
        large, data = produce_frame(dialogue, 40_000)
        dialogue.client_sends_bytes(data[:5000])
        assert dialogue.broker.sent
        change(playbook, 1000)
        assert dialogue.ended == ""
        dialogue.client_sends_bytes(data[5000:])
        is_stored(dialogue)
        assert dialogue.client_receives(large).throttle_time == 0, "it was taken before"
        asked = produces(dialogue, 1200)
        is_stored(dialogue)
        assert dialogue.client_receives(asked).throttle_time == 200


@pytest.mark.parametrize(("limit", "seconds"), [(2000, 1.0), (500, 4.0), (1, HELD - 1.0), (None, 0.0)])
def test_another_limit_counts_for_those_who_wait(limit: int | None, seconds: float) -> None:
    """One second of three is over, so 2000 bytes are owed still."""
    with Playbook((PRODUCERS,)) as playbook:
        dialogue = in_debt(playbook, 3)
        asked = produces(dialogue, 10)
        playbook.loop.advance(1)
        change(playbook, limit)
        if limit is not None:
            passes_after(dialogue, seconds)
        is_stored(dialogue)
        dialogue.client_receives(asked)


def test_of_several_limits_one_is_taken_away() -> None:
    with Playbook((limited(produce=1000, commits=60),)) as playbook:
        dialogue = in_debt(playbook, 3)
        produces(dialogue, 10)
        playbook.apply((COMMITTERS,))
        playbook.loop.run_due()
        is_stored(dialogue)
        assert dialogue.client_receives().throttle_time == 0
        assert not limiter(playbook, Kind.PRODUCE).waiting
        assert playbook.loop.timers == 0


@pytest.mark.parametrize("in_between", [None, COMMITTERS])
def test_a_limit_that_comes_back_holds_as_before(in_between: object) -> None:
    with Playbook((PRODUCERS,)) as playbook:
        dialogue = in_debt(playbook, 3)
        produces(dialogue, 10)
        playbook.apply((in_between or ZONE,))  # type: ignore[arg-type]
        playbook.loop.run_due()
        is_stored(dialogue)
        dialogue.client_receives()
        playbook.loop.advance(60)
        change(playbook, 1000)
        produces(dialogue, 3000)
        is_stored(dialogue)
        produces(dialogue, 10)
        passes_after(dialogue, 2.0)


def test_another_alias_changes_no_debt() -> None:
    with Playbook((PRODUCERS,)) as playbook:
        dialogue = in_debt(playbook, 3)
        produces(dialogue, 10)
        more = Alias("more", "kafka-more", Permission.WRITE)
        playbook.apply((replace(PRODUCERS, aliases=(*ZONE.aliases, more)),))
        passes_after(dialogue, 3.0)


# others


def test_a_greedy_connection_does_not_keep_a_modest_one_waiting() -> None:
    with Playbook((PRODUCERS,)) as playbook:
        greedy, modest = in_debt(playbook, 9), playbook.signed_in()
        produces(greedy, 10)
        for _ in range(3):
            asked = produces(modest, 100)
            is_stored(modest)
            assert modest.client_receives(asked).throttle_time == 200, "half of the rate is its part"
            produces(modest, 100)
            passes_after(modest, 0.2)
            is_stored(modest)
            modest.client_receives()
            playbook.loop.advance(1)
        greedy.broker_gets_nothing()


def test_another_zone_is_not_concerned() -> None:
    other = replace(ZONE, name="other", service_account="jane")
    with Playbook((PRODUCERS, other)) as playbook:
        produces(in_debt(playbook, 9), 10)
        jane = playbook.signed_in(username="jane")
        for _ in range(3):
            produces(jane, 50_000)
            is_stored(jane)
            assert jane.client_receives().throttle_time == 0


def test_kinds_do_not_share() -> None:
    with Playbook((limited(produce=1000, consume=1000, commits=60),)) as playbook:
        dialogue = in_debt(playbook, 9)
        fetches(dialogue)
        assert dialogue.broker_gets().key == FETCH
        commits(dialogue)
        assert dialogue.broker_gets().key == COMMIT
        dialogue.client_sends(HEARTBEAT, 4, group_id="g")
        assert dialogue.broker_gets().key == HEARTBEAT


def test_a_consumer_that_knows_nothing_of_throttling_is_not_read() -> None:
    """Before version 8 of Fetch, clients don't wait by themselves (FetchResponse.shouldClientThrottle)."""
    with Playbook((CONSUMERS,)) as playbook:
        dialogue = playbook.signed_in()
        fetches(dialogue, 4)
        got = dialogue.broker_gets()
        dialogue.broker_answers(got, records(got, {"kafka-orders": 1400}))
        dialogue.client_receives()
        beats(dialogue)
        fetches(dialogue, 4)
        assert dialogue.client.paused
        passes_after(dialogue, 0.4)
        assert not dialogue.client.paused
