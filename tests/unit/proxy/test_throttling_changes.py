"""A connection in debt: how it ends, how its client signs in again, what other limits do, and who else is concerned."""

from dataclasses import replace
from math import inf
from time import monotonic, time
from typing import Final

import pytest

from policies.zone import Alias, Permission
from proxy.close import CloseReason
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
    commit_request,
    commits,
    fetches,
    in_debt,
    is_committed,
    is_stored,
    limited,
    limiter,
    passes_after,
    produce_frame,
    produces,
    records,
)
from tests.unit.proxy.playbook import ZONE, Dialogue, Playbook

HELD: Final = PATIENCE[Kind.PRODUCE].held


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


# hostile clients, and the longest pauses


def test_tiny_requests_of_one_who_owes_much_pass_one_per_pause() -> None:
    """Each waits as long as any other; what is kept is what was read at once."""
    with Playbook((PRODUCERS,)) as playbook:
        dialogue = in_debt(playbook, 10_000)
        data = b"".join(produce_frame(dialogue, 1, acks=0)[1] for _ in range(2000))
        dialogue.client_sends_bytes(data, bytes(100_000))
        assert dialogue.session.reader._chunks_bytes == len(data)
        for _ in range(5):
            passes_after(dialogue, HELD)
            assert dialogue.broker_gets().message.acks == 0
        assert playbook.loop.timers == 1


def test_thousands_of_commits_at_once_that_cannot_be_joined() -> None:
    """One a second, in order, and nothing more is read."""
    with Playbook((COMMITTERS,)) as playbook:
        dialogue = playbook.signed_in()
        message = commit_request(playbook, COMMIT, 8, ["stock"])
        asked = []
        for number in range(2000):
            message.member_id = str(number)
            asked.append(dialogue.request(COMMIT, 8, message))
        data = b"".join(data for _, data in asked)
        dialogue.client_sends_bytes(data, bytes(100_000))
        for number, (correlation_id, frame) in enumerate(asked[:30]):
            if number >= 2:
                passes_after(dialogue, 1.0)
            is_committed(dialogue)
            dialogue.client_receives(correlation_id)
            data = data[len(frame) :]
        assert dialogue.session.reader._chunks_bytes == len(data)
        assert charged(playbook, Kind.COMMIT) == 30


def test_the_longest_pauses() -> None:
    with Playbook((limited(produce=1, consume=1, commits=1),)) as playbook:
        dialogue = in_debt(playbook, 100)
        asked = produces(dialogue, 100)
        passes_after(dialogue, HELD)
        is_stored(dialogue)
        assert dialogue.client_receives(asked).throttle_time == PATIENCE[Kind.PRODUCE].told * 1000
        for count in range(2):
            asked = commits(dialogue)
            is_committed(dialogue)
            told = PATIENCE[Kind.COMMIT].told * 1000 if count else 0
            assert dialogue.client_receives(asked).throttle_time == told
        commits(dialogue)
        passes_after(dialogue, PATIENCE[Kind.COMMIT].held)


def test_any_five_requests_in_line_wait_as_long_as_two_and_a_half() -> None:
    with Playbook((limited(produce=1),)) as playbook:
        dialogue = in_debt(playbook, 500)
        asked = [produce_frame(dialogue, 100) for _ in range(7)]
        dialogue.client_sends_bytes(b"".join(data for _, data in asked))
        got = []
        for seconds, requests in ((10.0, 1), (10.0, 1), (5.0, 3), (10.0, 1), (10.0, 1)):
            passes_after(dialogue, seconds)
            got += [dialogue.broker_gets() for _ in range(requests)]
            dialogue.broker_gets_nothing()
        for each, (correlation_id, _) in zip(got, asked, strict=True):
            dialogue.broker_answers(each)
            dialogue.client_receives(correlation_id)
        produces(dialogue, 1)
        passes_after(dialogue, 10.0)


def test_a_member_is_served_in_time_for_its_next_heartbeat() -> None:
    """Whatever it is that waits before that."""
    with Playbook((limited(produce=1, commits=1),)) as playbook:
        dialogue = in_debt(playbook, 500)
        beats(dialogue)
        playbook.loop.advance(1)
        asked = produces(dialogue, 1)
        passes_after(dialogue, 3.0)
        is_stored(dialogue)
        assert dialogue.client_receives(asked).throttle_time == 500
        beats(dialogue)
        playbook.loop.advance(3.9)
        produces(dialogue, 1)
        behind = [produces(dialogue, 1), dialogue.client_sends(HEARTBEAT, 4, group_id="g")]
        passes_after(dialogue, 0.5)
        assert [dialogue.broker_gets().key for _ in range(3)] == [PRODUCE, PRODUCE, HEARTBEAT]
        assert behind
