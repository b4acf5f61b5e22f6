"""Requests that were sent one behind the other and wait for something else, too: their line is one line, and heartbeats
behind them are in time. And what a connection in debt leaves behind."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from unittest.mock import patch

import pytest

from protocol.schema import Message, response_struct
from proxy.apis.table import plans_for
from proxy.ownership import SoleOwners
from proxy.throttling import PATIENCE
from proxy.traffic import DEBT_SECONDS, Kind
from tests.unit.proxy.coordinator import Coordinator
from tests.unit.proxy.limited import (
    COMMIT,
    COMMITTERS,
    CONSUMERS,
    FETCH,
    HEARTBEAT,
    PRODUCERS,
    charged,
    fetch_request,
    fetches,
    in_debt,
    is_stored,
    limited,
    limiter,
    passes_after,
    produce_frame,
    produces,
    records,
)
from tests.unit.proxy.playbook import CONFIG, LIMITS, Dialogue, Plans, Playbook, typed_plans
from tests.unit.proxy.test_offsets import commit

LINE = [10.0, 20.0, 25.0, 25.0, 25.0]
"""When five requests in line are taken, whatever their connection owes."""
DEBT = 50
"""Seconds."""
SESSION_SECONDS = 6.0
"""`group.min.session.timeout.ms`"""


def taken_at(dialogue: Dialogue, serve: Callable[[], None]) -> list[float]:
    """When each of five requests is taken; `serve` answers one."""
    loop = dialogue.playbook.loop
    began = loop.time()
    times: list[float] = []
    while len(times) < len(LINE):
        assert not dialogue.ended
        if dialogue.broker.sent:
            times.append(loop.time() - began)
            serve()
        else:
            loop.advance(0.05)
    return times


@pytest.mark.parametrize(
    ("plans", "in_flight", "size"),
    [(plans_for, 64, 100), (plans_for, 1, 100), (typed_plans, 64, 1_200_000)],
    ids=["one read", "one request in flight", "as many bytes as may be pending"],
)
def test_five_produce_requests_wait_for_25_seconds_in_all(plans: Plans, in_flight: int, size: int) -> None:
    config = replace(CONFIG, limits=replace(LIMITS, requests_in_flight=in_flight))
    with Playbook((PRODUCERS,), plans=plans, config=config, budget=1 << 28) as playbook:
        dialogue = in_debt(playbook, DEBT)
        dialogue.client_sends_bytes(b"".join(produce_frame(dialogue, size)[1] for _ in LINE))
        assert taken_at(dialogue, lambda: is_stored(dialogue)) == pytest.approx(LINE, abs=0.2)


def test_five_fetches_of_two_aliases_of_one_topic_wait_for_25_seconds_in_all() -> None:
    """Each is alone on its way."""
    with Playbook((CONSUMERS,)) as playbook:
        dialogue = playbook.signed_in()
        fetches(dialogue)
        has_records(dialogue, DEBT * 1000)
        dialogue.client_receives()
        request = fetch_request(playbook, 12, ["orders", "twin"])
        dialogue.client_sends_bytes(b"".join(dialogue.request(FETCH, 12, request)[1] for _ in LINE))

        def serve() -> None:
            for _ in range(2):
                has_records(dialogue, 50)

        assert taken_at(dialogue, serve) == pytest.approx(LINE, abs=0.2)


def has_records(dialogue: Dialogue, size: int) -> None:
    got = dialogue.broker_gets()
    dialogue.broker_answers(got, records(got, {"kafka-orders": size}))


def test_heartbeats_pass_behind_commits_of_an_alias_that_shares_its_topic() -> None:
    """Such a commit is alone on its way, and never joined with others."""
    with Playbook((COMMITTERS,)) as playbook, patch.object(SoleOwners, "covers", lambda *_: True):
        dialogue, coordinator = playbook.signed_in(), Coordinator()
        loop = playbook.loop
        beats: list[float] = []

        def serve() -> None:
            while dialogue.broker.sent:
                got = dialogue.broker_gets()
                if got.key == HEARTBEAT:
                    beats.append(loop.time())
                    dialogue.broker_answers(got, response_struct(HEARTBEAT, got.version).new())
                else:
                    coordinator.answer(dialogue, got)

        def run(seconds: float) -> None:
            for _ in range(round(seconds * 100)):
                serve()
                loop.advance(0.01)

        beat(dialogue)
        run(0.5)
        commits: list[Message] = [commit(8, {"orders": {0: number}}) for number in range(60)]
        dialogue.client_sends_bytes(b"".join(dialogue.request(COMMIT, 8, each)[1] for each in commits))
        for _ in range(20):
            run(3.0)
            beat(dialogue)
        run(SESSION_SECONDS)
        assert (len(beats), dialogue.ended) == (21, "")
        assert max(later - earlier for earlier, later in pairwise(beats)) < SESSION_SECONDS


def beat(dialogue: Dialogue) -> None:
    dialogue.client.receive(dialogue.request(HEARTBEAT, 4, group_id="g", member_id="m")[1])


# what is left behind


def test_a_streamed_request_that_breaks_off_costs_what_came_of_it() -> None:
    with Playbook((limited(produce=1_000_000),)) as playbook:
        for _ in range(10):
            dialogue = playbook.signed_in()
            dialogue.client_sends_bytes(produce_frame(dialogue, 10_000_000)[1][:2000])
            assert charged(playbook, Kind.PRODUCE) >= 10_000_000
            dialogue.client.hang_up()
            playbook.loop.advance(0.01)
        assert charged(playbook, Kind.PRODUCE) < 20_000
        again = playbook.signed_in()
        produces(again, 10)
        assert again.broker.sent, "it pays for what never came"


def test_breaking_off_requests_saves_nothing_up() -> None:
    with Playbook((limited(produce=1_000_000),)) as playbook:
        for _ in range(3):
            dialogue = playbook.signed_in()
            dialogue.client_sends_bytes(produce_frame(dialogue, 90_000_000)[1][:2000])
            dialogue.client.hang_up()
            playbook.loop.run_due()
        other = playbook.signed_in()
        produces(other, 900_000)
        assert limiter(playbook, Kind.PRODUCE).throttled_connections == 1


def test_nobody_owes_more_than_a_minutes_worth() -> None:
    with Playbook((PRODUCERS,)) as playbook:
        dialogue = in_debt(playbook, 2 * DEBT_SECONDS)
        account = dialogue.session._pipeline._throttle._accounts[Kind.PRODUCE][1]  # type: ignore[union-attr]
        assert limiter(playbook, Kind.PRODUCE).wait(account) == pytest.approx(DEBT_SECONDS)
        assert charged(playbook, Kind.PRODUCE) > 2 * DEBT_SECONDS * 1000


def test_a_lowered_limit_makes_no_debt_longer_than_that() -> None:
    with Playbook((PRODUCERS,)) as playbook:
        dialogue = in_debt(playbook, DEBT)
        playbook.apply([limited(produce=10)])
        account = dialogue.session._pipeline._throttle._accounts[Kind.PRODUCE][1]  # type: ignore[union-attr]
        assert limiter(playbook, Kind.PRODUCE).wait(account) == pytest.approx(DEBT_SECONDS)
        produces(dialogue, 1)
        passes_after(dialogue, PATIENCE[Kind.PRODUCE].held)
