"""Byte path = typed path, and streamed = whole, for connections in debt as well: the same bytes at the same time.

As in `test_paths.py` and `test_streaming.py`, with limits that nearly every request exceeds.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from random import Random
from typing import Final

import pytest
from hypothesis import given, settings

from policies.zone import Zone, ZoneLimits
from protocol import fetch, produce
from protocol.framing import STREAM_MIN_BYTES
from protocol.schema import Message
from proxy.apis.table import plans_for
from proxy.flow import Hold
from proxy.traffic import Kind
from tests.unit.proxy.playbook import BrokerGot, Dialogue, Plans, Playbook, typed_plans, versions_of
from tests.unit.proxy.test_paths import (
    SEEDS,
    ZONE,
    Counting,
    MakeRequest,
    MakeResponse,
    fetch_request,
    fetch_response,
    pass_time,
    produce_request,
    produce_response,
)
from tests.unit.proxy.test_streaming import cut, is_streamed, large_produce, meaning, with_large_records

EXAMPLES: Final = 20
"""So many that in some of them a request is held for certain: in every second one."""
SLOW: Final = replace(ZONE, limits=ZoneLimits(produce_rate=100, consume_rate=100))
"""A byte costs 10 ms."""
Respond = Callable[[BrokerGot], Message]
STEP_SECONDS: Final = 0.25


def wait_for_both(one: Dialogue, other: Dialogue) -> int:
    """Until neither is held; the steps of time that it took."""
    steps = 0
    while one.session.gate.holds(Hold.THROTTLED):
        assert other.session.gate.holds(Hold.THROTTLED)
        assert not one.broker.sent and not other.broker.sent
        one.playbook.loop.advance(STEP_SECONDS)
        steps += 1
    assert not other.session.gate.holds(Hold.THROTTLED)
    return steps


@contextmanager
def pair(zone: Zone, plans: Plans, other_plans: Plans) -> Iterator[tuple[Dialogue, Dialogue]]:
    """Two clients of two gateways, at one time."""
    with Playbook((zone,), plans=plans) as playbook:
        one = playbook.signed_in()
        with Playbook((zone,), plans=other_plans, loop=playbook.loop) as other:
            yield one, other.signed_in()


def charged(dialogue: Dialogue, kind: Kind) -> float:
    return dialogue.playbook.zone().traffic[kind].charged


def converse(byte: Dialogue, typed: Dialogue, key: int, version: int, message: Message, respond: Respond) -> int:
    """One request of both, and all that follows from it; how long they were held."""
    data = byte.request(key, version, message)[1]
    for dialogue in (byte, typed):
        dialogue.client_sends_bytes(data)
    held = wait_for_both(byte, typed)
    while byte.broker.sent or typed.broker.sent:
        assert byte.broker.sent == typed.broker.sent
        got = byte.broker_gets()
        typed.broker_gets()
        if key == produce.KEY and got.message.acks == 0:
            continue
        response = byte.response(got, respond(got))
        for dialogue in (byte, typed):
            if not dialogue.broker.closed:
                dialogue.broker_sends_bytes(response)
    pass_time(byte)
    assert byte.client.sent == typed.client.sent
    assert byte.ended == typed.ended
    for dialogue in (byte, typed):
        dialogue.client.sent.clear()
    return held


def run_both(key: int, kind: Kind, version: int, request: MakeRequest, respond: MakeResponse) -> None:
    counting, held = Counting(), []

    @settings(max_examples=EXAMPLES, deadline=None, database=None)
    @given(SEEDS)
    def run(seed: int) -> None:
        rng = Random(seed)  # noqa: S311 - test data
        with pair(SLOW, counting.plans, typed_plans) as (byte, typed):
            for _ in range(4):
                if not byte.ended:
                    message = request(rng, byte, version)
                    held.append(converse(byte, typed, key, version, message, partial(respond, rng)))
            assert charged(byte, kind) == charged(typed, kind)

    run()
    assert counting.taken and counting.left
    assert any(held), "nothing was held"


@pytest.mark.parametrize("version", versions_of(produce.KEY))
def test_produce_in_debt_gives_the_same_bytes_on_both_paths(version: int) -> None:
    run_both(produce.KEY, Kind.PRODUCE, version, produce_request, produce_response)


@pytest.mark.parametrize("version", versions_of(fetch.KEY))
def test_fetch_in_debt_gives_the_same_bytes_on_both_paths(version: int) -> None:
    run_both(fetch.KEY, Kind.CONSUME, version, fetch_request, fetch_response)


@pytest.mark.parametrize("version", versions_of(produce.KEY))
def test_a_streamed_produce_request_costs_as_much_as_a_whole_one(version: int) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, database=None)
    @given(SEEDS)
    def run(seed: int) -> None:
        rng = Random(seed)  # noqa: S311 - test data
        with pair(SLOW, plans_for, plans_for) as (streamed, whole):
            for _ in range(3):
                data = streamed.request(produce.KEY, version, large_produce(rng, streamed, version))[1]
                for dialogue, chunks in ((streamed, cut(rng, data)), (whole, [data])):
                    dialogue.client_sends_bytes(*chunks)
                wait_for_both(streamed, whole)
                got = streamed.broker_gets()
                assert whole.broker_gets() == got
                if got.message.acks != 0:
                    response = streamed.response(got, produce_response(rng, got))
                    for dialogue in (streamed, whole):
                        dialogue.broker_sends_bytes(response)
                assert streamed.client.sent == whole.client.sent
                for dialogue in (streamed, whole):
                    dialogue.client.sent.clear()
            assert charged(streamed, Kind.PRODUCE) == charged(whole, Kind.PRODUCE) >= 3 * STREAM_MIN_BYTES

    run()


@pytest.mark.parametrize("version", versions_of(fetch.KEY))
def test_a_streamed_fetch_response_costs_as_much_as_a_whole_one(version: int) -> None:
    """What is told at its beginning counts its size, since nobody knows yet how many of its bytes are records."""
    rate = 10_000
    fast = replace(ZONE, limits=ZoneLimits(consume_rate=rate))
    seen: list[bool] = []

    @settings(max_examples=EXAMPLES, deadline=None, database=None)
    @given(SEEDS)
    def run(seed: int) -> None:
        rng = Random(seed)  # noqa: S311 - test data
        with pair(fast, plans_for, plans_for) as (streamed, whole):
            data = streamed.request(fetch.KEY, version, fetch_request(rng, streamed, version))[1]
            for dialogue in (streamed, whole):
                dialogue.client_sends_bytes(data)
            size = 0
            while streamed.broker.sent:
                got = streamed.broker_gets()
                assert whole.broker_gets() == got
                response = streamed.response(got, with_large_records(rng, got))
                size += len(response)
                seen.append(is_streamed(streamed, cut(rng, response)))
                whole.broker_sends_bytes(response)
            pass_time(streamed)
            (head, one), (_, other) = (meaning(version, each.client_receives_bytes()) for each in (streamed, whole))
            records = charged(whole, Kind.CONSUME)
            assert charged(streamed, Kind.CONSUME) == records
            assert other.throttle_time <= one.throttle_time <= other.throttle_time + (size - records) / rate * 1000 + 1
            one.throttle_time = other.throttle_time
            assert (head, one) == (head, other)

    run()
    assert any(seen), f"none of {len(seen)} responses was streamed"
