"""Signing in again on a live broker connection: no request is lost, reordered or torn, and no client notices."""

from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from protocol import produce
from protocol.schema import response_struct
from proxy import reauthentication
from proxy.apis.merged_commit import CONFIRM_SECONDS
from proxy.broker import REQUEST_SECONDS, BrokerConnection
from proxy.broker_login import Upstream
from proxy.close import CloseReason
from proxy.config import ClusterConfig
from proxy.flow import Hold
from proxy.reauthentication import ANSWER_SECONDS, Reauthentication
from tests.unit.proxy.coordinator import COMMIT, FETCH, Coordinator
from tests.unit.proxy.playbook import SASL_AUTHENTICATE, SASL_HANDSHAKE, BrokerGot, Dialogue, Playbook
from tests.unit.proxy.test_offsets import commit, committed
from tests.unit.proxy.test_produce import batch
from tests.unit.proxy.test_streaming import large_produce

HEARTBEAT = 12
LIFETIME = 1000.0
SECRET = "a-secret-of-the-gateway"
UPSTREAM = ClusterConfig(
    bootstrap_servers=(("kafka", 9092),), security_protocol="SASL_PLAINTEXT", username="gate", password=SECRET
)


class Clock:
    """The time that re-authentications see."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(reauthentication, "monotonic", clock)
    return clock


def with_lifetime(dialogue: Dialogue, lifetime: float = LIFETIME) -> Dialogue:
    """As if the broker had said so when the gateway signed in."""
    connection = dialogue.broker.protocol
    assert isinstance(connection, BrokerConnection)
    upstream = Upstream(UPSTREAM, dialogue.playbook.metrics)
    connection.reauthentication = Reauthentication(connection, upstream, dialogue.session.gate, lifetime)
    return dialogue


def heartbeat(dialogue: Dialogue, group: str) -> int:
    return dialogue.client_sends(HEARTBEAT, 4, group_id=group)


def group_of(got: BrokerGot) -> str:
    assert got.key == HEARTBEAT
    return str(got.message.group_id).removeprefix("partner:")


def broker_is_asked_again(dialogue: Dialogue) -> BrokerGot:
    """The broker gets a handshake and, until it answers, nothing else."""
    handshake = dialogue.broker_gets()
    assert (handshake.key, handshake.version, handshake.message.mechanism) == (SASL_HANDSHAKE, 1, "PLAIN")
    dialogue.broker_gets_nothing()
    assert dialogue.client.paused
    assert dialogue.session.gate.holds(Hold.REAUTHENTICATING)
    return handshake


def broker_agrees(dialogue: Dialogue, handshake: BrokerGot, lifetime: float = LIFETIME) -> None:
    dialogue.broker_answers(handshake, mechanisms=("PLAIN",))
    token = dialogue.broker_gets()
    assert (token.key, token.message.auth_bytes) == (SASL_AUTHENTICATE, f"\0gate\0{SECRET}".encode())
    dialogue.broker_gets_nothing()
    dialogue.broker_answers(token, session_lifetime=round(lifetime * 1000))
    assert not dialogue.session.gate.holds(Hold.REAUTHENTICATING)


def test_between_pipelined_requests(clock: Clock) -> None:
    with Playbook() as playbook:
        dialogue = with_lifetime(playbook.signed_in())
        first = heartbeat(dialogue, "first")
        in_flight = dialogue.broker_gets()
        clock.now += LIFETIME
        second, third = heartbeat(dialogue, "second"), heartbeat(dialogue, "third")
        handshake = broker_is_asked_again(dialogue)
        dialogue.broker_answers(in_flight)
        dialogue.client_receives(first)
        broker_agrees(dialogue, handshake)
        got = [dialogue.broker_gets(), dialogue.broker_gets()]
        assert [group_of(each) for each in got] == ["second", "third"]
        fourth = heartbeat(dialogue, "fourth")
        got.append(dialogue.broker_gets())
        for each, correlation_id in zip(got, (second, third, fourth), strict=True):
            dialogue.broker_answers(each)
            dialogue.client_receives(correlation_id)
        assert playbook.metrics.upstream_reauthentications[""] == 1


def test_whole_pipelines_in_one_read_keep_their_order(clock: Clock) -> None:
    with Playbook() as playbook:
        dialogue = with_lifetime(playbook.signed_in())
        clock.now += LIFETIME
        frames = [dialogue.request(HEARTBEAT, 4, group_id=str(n)) for n in range(20)]
        dialogue.client_sends_bytes(b"".join(frame for _, frame in frames))
        broker_agrees(dialogue, broker_is_asked_again(dialogue))
        got = [dialogue.broker_gets() for _ in frames]
        assert [group_of(each) for each in got] == [str(n) for n in range(20)]
        for each, (correlation_id, _) in zip(got, frames, strict=True):
            dialogue.broker_answers(each)
            dialogue.client_receives(correlation_id)


@pytest.mark.parametrize(
    ("lifetime", "earliest", "latest"),
    [(1000.0, 850.0, 950.0), (60.0, 50.0, 51.0), (4.0, 2.0, 2.0), (1.5, 1.0, 1.0)],
)
def test_again_and_again_and_not_before_its_time(clock: Clock, lifetime: float, earliest: float, latest: float) -> None:
    with Playbook() as playbook:
        dialogue = with_lifetime(playbook.signed_in(), lifetime)
        for _ in range(3):
            clock.now += earliest - 0.01
            heartbeat(dialogue, "early")
            dialogue.broker_answers(dialogue.broker_gets())
            dialogue.client_receives()
            clock.now += latest - earliest + 0.02
            heartbeat(dialogue, "late")
            broker_agrees(dialogue, broker_is_asked_again(dialogue), lifetime)
            dialogue.broker_answers(dialogue.broker_gets())
            dialogue.client_receives()
        assert playbook.metrics.upstream_reauthentications[""] == 3


def test_an_idle_connection_signs_in_when_it_is_used_again(clock: Clock) -> None:
    with Playbook() as playbook:
        dialogue = with_lifetime(playbook.signed_in())
        clock.now += 100 * LIFETIME
        dialogue.broker_gets_nothing()
        heartbeat(dialogue, "g")
        broker_agrees(dialogue, broker_is_asked_again(dialogue))
        assert group_of(dialogue.broker_gets()) == "g"


def test_a_broker_that_stops_asking_is_not_asked_again(clock: Clock) -> None:
    with Playbook() as playbook:
        dialogue = with_lifetime(playbook.signed_in())
        clock.now += LIFETIME
        heartbeat(dialogue, "g")
        broker_agrees(dialogue, broker_is_asked_again(dialogue), lifetime=0)
        dialogue.broker_gets()
        clock.now += 1000 * LIFETIME
        heartbeat(dialogue, "g")
        assert group_of(dialogue.broker_gets()) == "g"


def test_not_within_the_second_in_which_brokers_refuse_it(clock: Clock) -> None:
    with Playbook() as playbook:
        dialogue = with_lifetime(playbook.signed_in(), lifetime=0.5)
        clock.now += 0.99
        heartbeat(dialogue, "g")
        assert group_of(dialogue.broker_gets()) == "g"
        clock.now += 0.02
        heartbeat(dialogue, "g")
        broker_is_asked_again(dialogue)


# frames that are streamed


def streamed_produce(dialogue: Dialogue) -> tuple[int, bytes]:
    message = large_produce(Random(3), dialogue, 9)  # noqa: S311 - test data
    message.acks = -1
    message.topic_data[0].name = "orders"
    return dialogue.request(produce.KEY, 9, message)


def test_a_frame_that_is_being_streamed_is_never_interrupted(clock: Clock) -> None:
    with Playbook() as playbook:
        dialogue = with_lifetime(playbook.signed_in())
        correlation_id, data = streamed_produce(dialogue)
        dialogue.client_sends_bytes(data[:2000])
        assert dialogue.broker.sent, "this test is about a request that is streamed"
        clock.now += LIFETIME
        dialogue.client_sends_bytes(data[2000:9000], data[9000:])
        got = dialogue.broker_gets()
        dialogue.broker_gets_nothing()
        heartbeat(dialogue, "next")
        handshake = broker_is_asked_again(dialogue)
        dialogue.broker_answers(got, response_struct(produce.KEY, 9).new())
        dialogue.client_receives(correlation_id)
        broker_agrees(dialogue, handshake)
        assert group_of(dialogue.broker_gets()) == "next"


@pytest.mark.parametrize("cuts", [(2000,), (2000, 9000), (1024, 1025, 1026)])
def test_a_streamed_frame_that_comes_first_follows_as_a_whole(clock: Clock, cuts: tuple[int, ...]) -> None:
    with Playbook() as playbook:
        plain, dialogue = playbook.signed_in(), with_lifetime(playbook.signed_in())
        correlation_id, data = streamed_produce(dialogue)
        clock.now += LIFETIME
        bounds = (0, *cuts, len(data))
        chunks = [data[low:high] for low, high in pairwise(bounds)]
        dialogue.client_sends_bytes(*chunks)
        broker_agrees(dialogue, broker_is_asked_again(dialogue))
        got = dialogue.broker_gets()
        plain.client_sends_bytes(data)
        assert got.message == plain.broker_gets().message
        dialogue.broker_answers(got, response_struct(produce.KEY, 9).new())
        dialogue.client_receives(correlation_id)


def test_what_a_transport_delivers_though_it_is_paused_is_kept_back_too(clock: Clock) -> None:
    """Transports with TLS may have decrypted more already."""
    with Playbook() as playbook:
        plain, dialogue = playbook.signed_in(), with_lifetime(playbook.signed_in())
        _, data = streamed_produce(dialogue)
        plain.client_sends_bytes(data)
        clock.now += LIFETIME
        dialogue.client_sends_bytes(data[:2000])
        for chunk in (data[2000:9000], data[9000:]):
            dialogue.session.data_received(chunk)
        broker_agrees(dialogue, broker_is_asked_again(dialogue))
        assert dialogue.broker_gets().message == plain.broker_gets().message
        assert dialogue.ended == ""


# requests of several rounds


def test_between_the_rounds_of_one_request(clock: Clock) -> None:
    with Playbook() as playbook:
        dialogue, coordinator = with_lifetime(playbook.signed_in()), Coordinator()
        first = dialogue.client_sends(COMMIT, 8, commit(8, {"orders": {0: 50}, "twin": {0: 60}}))
        second = heartbeat(dialogue, "behind")
        got = dialogue.broker_gets()
        clock.now += LIFETIME
        coordinator.answer(dialogue, got)
        for key in (COMMIT, FETCH):
            playbook.loop.advance(CONFIRM_SECONDS)
            broker_agrees(dialogue, broker_is_asked_again(dialogue))
            got = dialogue.broker_gets()
            assert got.key == key
            dialogue.broker_gets_nothing()
            clock.now += LIFETIME
            coordinator.answer(dialogue, got)
        assert committed(dialogue.client_receives(first)) == {"orders": {0: 0}, "twin": {0: 0}}
        broker_agrees(dialogue, broker_is_asked_again(dialogue))
        got = dialogue.broker_gets()
        assert group_of(got) == "behind"
        dialogue.broker_answers(got)
        dialogue.client_receives(second)


# requests without an answer


def produce_without_acks(dialogue: Dialogue) -> None:
    dialogue.client_sends(produce.KEY, 9, batch(9, {"orders": [0]}, acks=0))


def test_records_without_acks_arrive_after_their_client_has_gone(clock: Clock) -> None:
    with Playbook() as playbook:
        dialogue = with_lifetime(playbook.signed_in())
        waiting = dialogue.client_sends(produce.KEY, 9, batch(9, {"orders": [7]}))
        earlier = dialogue.broker_gets()
        clock.now += LIFETIME
        produce_without_acks(dialogue)
        handshake = dialogue.broker_gets()
        dialogue.client.hang_up()
        assert dialogue.ended == CloseReason.CLIENT_CLOSED
        assert not dialogue.broker.closed
        assert waiting
        dialogue.broker_answers(earlier, response_struct(produce.KEY, 9).new())
        dialogue.broker_answers(handshake, mechanisms=("PLAIN",))
        dialogue.broker_answers(dialogue.broker_gets(), session_lifetime=1_000_000)
        got = dialogue.broker_gets()
        assert [p.index for p in got.message.topic_data[0].partition_data] == [0]
        assert dialogue.broker.closed


def test_records_without_acks_do_not_keep_a_connection_for_ever(clock: Clock) -> None:
    with Playbook() as playbook:
        dialogue = with_lifetime(playbook.signed_in())
        clock.now += LIFETIME
        produce_without_acks(dialogue)
        dialogue.client.hang_up()
        assert dialogue.ended == CloseReason.CLIENT_CLOSED
        playbook.loop.advance(REQUEST_SECONDS - 0.1)
        assert not dialogue.broker.closed
        playbook.loop.advance(0.2)
        assert dialogue.broker.closed


def test_a_client_that_goes_takes_its_other_requests_with_it(clock: Clock) -> None:
    with Playbook() as playbook:
        dialogue = with_lifetime(playbook.signed_in())
        clock.now += LIFETIME
        heartbeat(dialogue, "g")
        dialogue.client.hang_up()
        assert dialogue.ended == CloseReason.CLIENT_CLOSED
        assert dialogue.broker.closed


# refusals


def refuse_mechanism(dialogue: Dialogue, handshake: BrokerGot) -> None:
    dialogue.broker_answers(handshake, error_code=33, mechanisms=("GSSAPI", "SCRAM-SHA-512"))


def refuse_handshake(dialogue: Dialogue, handshake: BrokerGot) -> None:
    dialogue.broker_answers(handshake, error_code=34)


def refuse_token(dialogue: Dialogue, handshake: BrokerGot) -> None:
    dialogue.broker_answers(handshake, mechanisms=("PLAIN",))
    answer: dict[str, Any] = {"error_code": 58, "error_message": f"Authentication failed, not {SECRET}"}
    dialogue.broker_answers(dialogue.broker_gets(), **answer)


REFUSALS: dict[str, tuple[Callable[[Dialogue, BrokerGot], None], str]] = {
    "the mechanism": (
        refuse_mechanism,
        "the broker offers GSSAPI, SCRAM-SHA-512, not PLAIN (UNSUPPORTED_SASL_MECHANISM)",
    ),
    "any": (refuse_handshake, "the broker offers no SASL, not PLAIN (ILLEGAL_SASL_STATE)"),
    "the password": (refuse_token, "the broker refused sasl.username 'gate' (SASL_AUTHENTICATION_FAILED)"),
}


@pytest.mark.parametrize(("refuse", "detail"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_refusal_ends_the_pair(
    clock: Clock, caplog: pytest.LogCaptureFixture, refuse: Callable[[Dialogue, BrokerGot], None], detail: str
) -> None:
    with Playbook() as playbook:
        dialogue = with_lifetime(playbook.signed_in())
        clock.now += LIFETIME
        heartbeat(dialogue, "g")
        refuse(dialogue, broker_is_asked_again(dialogue))
        dialogue.expect_end(CloseReason.BROKER_LOGIN_REFUSED)
        assert dialogue.broker.closed
        assert dialogue.end_line["detail"] == detail
        dialogue.client_receives_nothing()
        assert playbook.metrics.upstream_reauthentications[""] == 0
    refusals = [record.__dict__ for record in caplog.records if record.__dict__.get("event") == REFUSAL_EVENT]
    assert [record["problem"] for record in refusals] == [detail]
    assert SECRET not in str([record.__dict__ for record in caplog.records])


REFUSAL_EVENT = "upstream_reauthentication_refused"


def test_a_broker_that_never_finishes(clock: Clock) -> None:
    with Playbook() as playbook:
        dialogue = with_lifetime(playbook.signed_in())
        clock.now += LIFETIME
        heartbeat(dialogue, "g")
        handshake = broker_is_asked_again(dialogue)
        playbook.loop.advance(10 * ANSWER_SECONDS)  # it may be busy with earlier requests
        assert dialogue.ended == ""
        dialogue.broker_answers(handshake, mechanisms=("PLAIN",))
        playbook.loop.advance(ANSWER_SECONDS + 0.1)
        dialogue.expect_end(CloseReason.BROKER_UNREACHABLE)
        assert dialogue.end_line["detail"] == "the broker did not finish a re-authentication within 10 s"


def test_a_deadline_that_was_met_ends_nothing(clock: Clock) -> None:
    with Playbook() as playbook:
        dialogue = with_lifetime(playbook.signed_in())
        clock.now += LIFETIME
        heartbeat(dialogue, "g")
        broker_agrees(dialogue, broker_is_asked_again(dialogue))
        playbook.loop.advance(ANSWER_SECONDS + 0.1)
        assert dialogue.ended == ""


def test_a_broker_that_goes_meanwhile(clock: Clock) -> None:
    with Playbook() as playbook:
        dialogue = with_lifetime(playbook.signed_in())
        clock.now += LIFETIME
        heartbeat(dialogue, "g")
        broker_is_asked_again(dialogue)
        dialogue.broker.hang_up()
        dialogue.expect_end(CloseReason.BROKER_CLOSED)


def test_an_answer_out_of_turn(clock: Clock) -> None:
    with Playbook() as playbook:
        dialogue = with_lifetime(playbook.signed_in())
        clock.now += LIFETIME
        heartbeat(dialogue, "g")
        handshake = broker_is_asked_again(dialogue)
        handshake.broker_correlation_id += 1
        dialogue.broker_answers(handshake, mechanisms=("PLAIN",))
        dialogue.expect_end(CloseReason.BROKER_PROTOCOL_ERROR)
