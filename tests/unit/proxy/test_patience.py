"""No request waits longer than is promised, whatever clients send and however slow brokers are; and what is charged
obeys the bucket.

A client with a schedule of requests sends them as far as it may have requests under way, waits as it is told to or
doesn't, and, as a member of a group, sends heartbeats. The broker answers in order, sooner or later. All of it happens
in the time of the dialogues' loop.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import inf
from random import Random
from typing import Final
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.zone import Zone
from protocol.codec import decode
from protocol.headers import RESPONSE_PEEK
from protocol.schema import response_struct
from proxy import throttling
from proxy.throttling import IN_LINE, PATIENCE, SIGN_IN_SECONDS, SLACK_SECONDS, Patience
from proxy.traffic import DEBT_SECONDS, Kind
from tests.unit.proxy.limited import (
    COMMIT,
    COMMITTERS,
    HEARTBEAT,
    PRODUCE,
    PRODUCERS,
    commit_request,
    committed,
    produce_request,
    stored,
)
from tests.unit.proxy.playbook import BrokerGot, Dialogue, Playbook, read_request
from tests.unit.proxy.transports import FakeLoop

SEEDS: Final = st.integers(0, 1 << 40)
BURST: Final = 1000
RATE: Final = 1000
VERSIONS: Final = {PRODUCE: 9, COMMIT: 8}
MOMENT: Final = 0.005
"""What timers, and debts of less than a millisecond, may add."""
BEAT_SECONDS: Final = 3.0
"""`heartbeat.interval.ms`"""
SESSION_SECONDS: Final = 6.0
"""`group.min.session.timeout.ms`"""


@dataclass(slots=True)
class Request:
    """One of a client's, and when things happened to it."""

    key: int
    size: int
    sent: float
    taken: float = inf


@dataclass(slots=True)
class Habits:
    """How a client behaves."""

    in_flight: int
    waits: bool
    """As `throttle_time_ms` tells."""
    beats: bool
    key: int
    acks: int = -1
    slowest_answer: float = 0.3


@dataclass(slots=True)
class Player:
    """One client with its broker."""

    dialogue: Dialogue
    rng: Random
    habits: Habits
    to_send: deque[int] = field(default_factory=deque)
    """Sizes of records."""
    requests: dict[int, Request] = field(default_factory=dict)
    """By correlation id, in the order in which they were sent."""
    order: list[int] = field(default_factory=list)
    """As the broker got them."""
    under_way: int = 0
    muted_until: float = 0.0
    answered_until: float = 0.0
    told: list[float] = field(default_factory=list)
    received: int = 0

    def __post_init__(self) -> None:
        write = self.dialogue.broker.write

        def on_write(data: bytes) -> None:
            write(data)
            self._broker_takes()

        self.dialogue.broker.write = on_write  # type: ignore[method-assign]
        if self.habits.beats:
            self._beat()

    @property
    def loop(self) -> FakeLoop:
        return self.dialogue.playbook.loop

    @property
    def is_done(self) -> bool:
        waiting = [request for request in self.requests.values() if request.taken == inf and request.key != HEARTBEAT]
        return not self.to_send and not self.under_way and not waiting

    # the client

    def wants(self, size: int) -> None:
        self.to_send.append(size)
        self._send()

    def _send(self) -> None:
        if self.habits.waits and self.loop.time() < self.muted_until - 1e-9:
            return
        while self.to_send and self.under_way < self.habits.in_flight:
            size = self.to_send.popleft()
            self.under_way += bool(self.habits.acks) or self.habits.key == COMMIT
            self._say(self.habits.key, size)

    def _say(self, key: int, size: int = 0) -> None:
        playbook = self.dialogue.playbook
        if key == PRODUCE:
            correlation_id, data = self.dialogue.request(
                key, 9, produce_request(playbook, 9, [("orders", size)], self.habits.acks)
            )
        elif key == COMMIT:
            correlation_id, data = self.dialogue.request(key, 8, commit_request(playbook, key, 8, ["stock"]))
        else:
            correlation_id, data = self.dialogue.request(key, 4, group_id="g")
        self.requests[correlation_id] = Request(key, size if key != COMMIT else 1, self.loop.time())
        self.dialogue.client.receive(data)

    def _beat(self) -> None:
        if self.habits.waits and self.loop.time() < self.muted_until - 1e-9:
            self.loop.call_later(self.muted_until - self.loop.time(), self._beat)
            return
        self._say(HEARTBEAT)
        self.loop.call_later(BEAT_SECONDS, self._beat)

    def _client_takes(self) -> None:
        sent = self.dialogue.client.sent
        while sent:
            size = 4 + int.from_bytes(sent[:4], "big")
            frame = bytes(sent[:size])
            del sent[:size]
            correlation_id = RESPONSE_PEEK.unpack_from(frame)[1]
            answered = [each for each, request in self.requests.items() if self._is_answered(request)]
            assert correlation_id == answered[self.received], "answers come in the order of the requests"
            self.received += 1
            if self.requests[correlation_id].key != HEARTBEAT:
                self.under_way -= 1
                self._listen(_throttle_time(self.habits.key, frame))
        self._send()

    def _is_answered(self, request: Request) -> bool:
        return request.key != PRODUCE or self.habits.acks != 0

    def _listen(self, told_ms: int) -> None:
        self.told.append(told_ms / 1000)
        if self.habits.waits and told_ms:
            self.muted_until = max(self.muted_until, self.loop.time() + told_ms / 1000)
            self.loop.call_later(self.muted_until - self.loop.time(), self._send)

    # the broker

    def _broker_takes(self) -> None:
        sent = self.dialogue.broker.sent
        while len(sent) >= 4 and len(sent) >= 4 + int.from_bytes(sent[:4], "big"):
            size = 4 + int.from_bytes(sent[:4], "big")
            got = read_request(bytes(sent[:size]))
            del sent[:size]
            self._take(got)

    def _take(self, got: BrokerGot) -> None:
        correlation_id = next(each for each, request in self.requests.items() if request.taken == inf)
        request = self.requests[correlation_id]
        assert got.key == request.key, "the order is the client's"
        if got.key == PRODUCE:
            assert len(got.message.topic_data[0].partition_data[0].records) == request.size
        request.taken = self.loop.time()
        self.order.append(correlation_id)
        if self._is_answered(request):
            self.answered_until = max(self.answered_until, request.taken) + self.rng.uniform(
                0.001, self.habits.slowest_answer
            )
            self.loop.call_later(self.answered_until - request.taken, self._answer, got)

    def _answer(self, got: BrokerGot) -> None:
        if got.key == HEARTBEAT:
            message = response_struct(HEARTBEAT, got.version).new()
        else:
            message = stored(got) if got.key == PRODUCE else committed(got)
        self.dialogue.broker.receive(self.dialogue.response(got, message))
        self._client_takes()


def _throttle_time(key: int, frame: bytes) -> int:
    response = decode(response_struct(key, VERSIONS[key]), frame, RESPONSE_PEEK.size + 1)
    return int(response.throttle_time)


def play(playbook: Playbook, rng: Random, players: list[Player], until: float = 100.0) -> None:
    """Bursts of requests at random times; then everything is waited for."""
    largest = rng.choice((400, 2_000, 20_000, 40_000))
    for player in players:
        for _ in range(rng.randrange(1, 12)):
            sizes = [rng.randrange(1, largest) for _ in range(rng.choice((1, 1, 2, 7)))]
            playbook.loop.call_later(rng.uniform(0, until), lambda p=player, s=sizes: [p.wants(each) for each in s])
    playbook.loop.advance(until)
    for _ in range(100):
        if all(player.is_done for player in players):
            break
        playbook.loop.advance(30)


def requests_of(player: Player) -> list[Request]:
    """Which were all taken, once, in order."""
    done = [request for request in player.requests.values() if request.key == player.habits.key]
    assert all(request.taken < inf for request in done)
    assert player.order == sorted(player.order)
    assert not player.to_send
    return done


def limits_of(key: int) -> tuple[Zone, Kind]:
    return (PRODUCERS, Kind.PRODUCE) if key == PRODUCE else (COMMITTERS, Kind.COMMIT)


@contextmanager
def cast(rng: Random, key: int, count: int, **habits: object) -> Iterator[tuple[Playbook, list[Player]]]:
    with Playbook((limits_of(key)[0],)) as playbook:
        yield (
            playbook,
            [
                Player(playbook.signed_in(), rng, replace(Habits(rng.choice((1, 5)), False, False, key), **habits))  # type: ignore[arg-type]
                for _ in range(count)
            ],
        )


@pytest.mark.parametrize("key", [PRODUCE, COMMIT])
@settings(max_examples=25, deadline=None, database=None)
@given(seed=SEEDS)
def test_no_request_waits_longer_than_is_promised(key: int, seed: int) -> None:
    rng = Random(seed)  # noqa: S311 - test data
    patience = PATIENCE[limits_of(key)[1]]
    with cast(rng, key, rng.choice((1, 3)), waits=rng.random() < 0.5, slowest_answer=rng.choice((0.01, 5))) as stage:
        playbook, players = stage
        play(playbook, rng, players)
        for player in players:
            longest = patience.held if player.habits.in_flight == 1 else patience.line
            for request in requests_of(player):
                assert request.taken - request.sent <= longest + MOMENT
            assert all(told <= patience.told for told in player.told)


@pytest.mark.parametrize("key", [PRODUCE, COMMIT])
@pytest.mark.parametrize("acks", [-1, 0])
@settings(max_examples=15, deadline=None, database=None)
@given(seed=SEEDS)
def test_where_there_is_patience_enough_the_limit_is_exact(key: int, acks: int, seed: int) -> None:
    """Whenever a request is taken, its connection has paid for all before it; so each owes for one at most."""
    rng = Random(seed)  # noqa: S311 - test data
    patient: Mapping[Kind, Patience] = dict.fromkeys(Kind, Patience(inf, inf, inf))
    with patch.object(throttling, "PATIENCE", patient), cast(rng, key, rng.choice((1, 3)), acks=acks) as stage:
        playbook, players = stage
        play(playbook, rng, players)
        rate, burst = (RATE, BURST) if key == PRODUCE else (1, 1)
        taken = sorted(
            (
                (request.taken, number, request)
                for number, player in enumerate(players)
                for request in requests_of(player)
            ),
            key=lambda entry: entry[0],
        )
        total, last = 0.0, [0.0] * len(players)
        for time, number, request in taken:
            last[number] = 0.0
            assert total <= burst + rate * (time + MOMENT) + sum(last)
            total += request.size
            last[number] = request.size
        assert playbook.zone().traffic[limits_of(key)[1]].charged == total


@settings(max_examples=25, deadline=None, database=None)
@given(seed=SEEDS)
def test_what_is_still_owed_after_the_longest_pause_stays_owed(seed: int) -> None:
    """All that was charged, less the burst, is paid back, up to a minute's worth, before anybody gets more than that
    for nothing."""
    rng = Random(seed)  # noqa: S311 - test data
    with cast(rng, PRODUCE, 1) as (playbook, players):
        play(playbook, rng, players, until=20)
        charged = sum(request.size for request in requests_of(players[0]))
        limiter = playbook.zone().traffic[Kind.PRODUCE]
        account = players[0].dialogue.session._pipeline._throttle._accounts[Kind.PRODUCE][1]  # type: ignore[union-attr]
        assert limiter.charged == charged
        least = min((charged - BURST) / RATE, DEBT_SECONDS) - playbook.loop.time()
        assert limiter.wait(account) >= least - MOMENT


@pytest.mark.parametrize("key", [PRODUCE, COMMIT])
@pytest.mark.parametrize("waits", [True, False])
@settings(max_examples=25, deadline=None, database=None)
@given(seed=SEEDS)
def test_no_member_loses_its_place(key: int, waits: bool, seed: int) -> None:
    """Even where its heartbeats go where it commits or produces, and brokers allow the shortest sessions."""
    rng = Random(seed)  # noqa: S311 - test data
    in_flight = rng.choice((1, 5, 30))
    with cast(rng, key, 2, waits=waits, beats=True, in_flight=in_flight) as (playbook, players):
        play(playbook, rng, players)
        for player in players:
            beats = [request.taken for request in player.requests.values() if request.key == HEARTBEAT]
            beats = [taken for taken in beats if taken < inf]
            assert len(beats) > 100 / SESSION_SECONDS
            assert max(after - before for before, after in pairwise(beats)) < SESSION_SECONDS


def test_the_numbers_fit_together() -> None:
    """With what clients wait for: 30 s for an answer, sessions of 6 s."""
    for patience in PATIENCE.values():
        assert patience.held <= patience.line < 30
        assert patience.line <= IN_LINE * patience.held
    assert throttling.HEARTBEAT_SECONDS + 2 * SLACK_SECONDS < SESSION_SECONDS
    assert BEAT_SECONDS < throttling.HEARTBEAT_SECONDS < throttling.MEMBER_SECONDS
    assert SLACK_SECONDS < SIGN_IN_SECONDS
