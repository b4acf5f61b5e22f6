"""Signing in again on a live connection (KIP-368), and what becomes of those who don't; the end of a proof."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scramp import ScramClient

from policies.credentials import Credential, hash_password, new_salt, scram_keys
from policies.zone import Zone
from protocol.headers import frame
from protocol.sasl import build_plain
from proxy.close import CloseReason
from proxy.session_life import MAX_LIFETIME_SECONDS
from tests.unit.proxy.clock import Clock, clock
from tests.unit.proxy.playbook import CONFIG, LIMITS, ZONE, Dialogue, Playbook

__all__ = ["clock"]

PRODUCE, HEARTBEAT, METADATA, HANDSHAKE, API_VERSIONS, AUTHENTICATE = 0, 12, 3, 17, 18, 36
OTHER: Zone = replace(ZONE, name="rival", service_account="jane")
SALT = new_salt()
DELAY = LIMITS.failed_authentication_delay_seconds
SECONDS = 60.0
"""What the gateway lets a session last."""


def credential(name: str, zone: str = ZONE.name, expires: float | None = None) -> Credential:
    """Its password is its name."""
    return Credential(name, zone, "2030-01-01T00:00:00Z", hash_password(name), expires, scram_keys(name, SALT))


OLD, NEW, JANES = credential("old"), credential("new"), credential("janes", OTHER.name)


@contextmanager
def stage(max_seconds: float = SECONDS, *credentials: Credential) -> Iterator[Playbook]:
    with Playbook() as playbook:
        playbook.services.config = replace(CONFIG, max_reauthentication_seconds=max_seconds)
        playbook.registry.apply([ZONE, OTHER], credentials or [OLD, NEW, JANES])
        yield playbook


def signs_in(dialogue: Dialogue, name: str = "old", version: int = 2) -> int:
    """The session's lifetime, as the client is told."""
    dialogue.client_sends(HANDSHAKE, 1, mechanism="PLAIN")
    assert dialogue.client_receives().error_code == 0
    dialogue.client_sends(AUTHENTICATE, version, auth_bytes=build_plain("johndoe", name))
    answer = dialogue.client_receives()
    assert answer.error_code == 0, answer.error_message
    return int(answer.session_lifetime) if version else 0


def signed_in(playbook: Playbook, name: str = "old") -> Dialogue:
    dialogue = playbook.connects()
    signs_in(dialogue, name)
    return dialogue


def serves(dialogue: Dialogue) -> None:
    """A request goes to the broker and its answer to the client."""
    asked = dialogue.client_sends(HEARTBEAT, 4, group_id="g")
    dialogue.broker_answers(dialogue.broker_gets())
    dialogue.client_receives(asked)


# what a client is told


@pytest.mark.parametrize(
    ("max_seconds", "proof", "told"),
    [
        (0, None, 0),
        (60, None, 60_000),
        (0, 30, 30_000),
        (60, 30, 30_000),
        (60, 90, 60_000),
        (0, 1e12, int(MAX_LIFETIME_SECONDS * 1000)),
    ],
)
def test_a_session_lasts_as_long_as_both_allow(
    clock: Clock, max_seconds: float, proof: float | None, told: int
) -> None:
    expires = clock.time() + proof if proof is not None else None
    with stage(max_seconds, credential("old", expires=expires)) as playbook:
        for version in (1, 2):
            lifetime = signs_in(playbook.connects(), version=version)
            assert told - 1000 <= lifetime <= told
        signs_in(playbook.connects(), version=0)


def test_who_never_has_to_may_not(clock: Clock) -> None:
    with stage(0) as playbook:
        dialogue = signed_in(playbook)
        clock.advance(10)
        dialogue.client_sends(HANDSHAKE, 1, mechanism="PLAIN")
        answer = dialogue.client_receives()
        assert (answer.error_code, answer.mechanisms) == (34, ())
        serves(dialogue)


# signing in again


def test_a_client_signs_in_again_and_again_on_one_connection(clock: Clock) -> None:
    with stage() as playbook:
        dialogue = signed_in(playbook)
        broker = dialogue.broker
        for count in (1, 2, 3):
            clock.advance(SECONDS * 0.9)
            assert signs_in(dialogue) == SECONDS * 1000
            assert playbook.metrics.reauthentications == {"partner": count}
            serves(dialogue)
        assert dialogue.broker is broker
        assert playbook.metrics.connections == {"partner": 1}
        dialogue.client.hang_up()
        assert dialogue.end_line["requests"] == 3 * 3


def test_without_headers_as_well(clock: Clock) -> None:
    with stage() as playbook:
        dialogue = signed_in(playbook)
        dialogue.client_sends(HANDSHAKE, 0, mechanism="PLAIN")
        assert dialogue.client_receives().error_code == 0
        dialogue.client_sends_bytes(frame(build_plain("johndoe", "old")))
        assert dialogue.client_receives_bytes() == frame(b"")
        serves(dialogue)
        clock.advance(2)
        dialogue.client_sends(HANDSHAKE, 0, mechanism="PLAIN")
        dialogue.client_receives()
        dialogue.client_sends_bytes(frame(b"x"))
        playbook.loop.advance(DELAY)
        dialogue.client_receives_nothing()
        dialogue.expect_end(CloseReason.REAUTHENTICATION_FAILED)


def test_the_session_then_belongs_to_the_newer_password(clock: Clock) -> None:
    with stage() as playbook:
        dialogue = signed_in(playbook)
        assert dialogue.session.credential_id == "old"
        signs_in(dialogue, "new")
        assert dialogue.session.credential_id == "new"
        assert playbook.registry.apply([ZONE, OTHER], [NEW, JANES]).revoked_credentials == {"old"}
        serves(dialogue)
        dialogue.client.hang_up()
        assert dialogue.end_line["credential"] == "new"


def test_it_is_too_early_within_a_second_of_the_last_time(clock: Clock) -> None:
    with stage() as playbook:
        dialogue = signed_in(playbook)
        signs_in(dialogue)
        clock.advance(0.5)
        dialogue.client_sends(HANDSHAKE, 1, mechanism="PLAIN")
        assert dialogue.client_receives().error_code == 34
        dialogue.client_sends(AUTHENTICATE, 2, auth_bytes=build_plain("johndoe", "old"))
        answer = dialogue.client_receives()
        assert (answer.error_code, answer.error_message) == (
            34,
            "SaslAuthenticate request received after successful authentication",
        )
        serves(dialogue)
        clock.advance(0.6)
        signs_in(dialogue)


def test_answers_keep_the_order_of_pipelined_requests(clock: Clock) -> None:
    with stage() as playbook:
        dialogue = signed_in(playbook)
        requests = [
            dialogue.request(HEARTBEAT, 4, group_id="before"),
            dialogue.request(HANDSHAKE, 1, mechanism="PLAIN"),
            dialogue.request(AUTHENTICATE, 2, auth_bytes=build_plain("johndoe", "old")),
            dialogue.request(HEARTBEAT, 4, group_id="behind"),
        ]
        dialogue.client_sends_bytes(b"".join(data for _, data in requests))
        before = dialogue.broker_gets()
        assert before.message.group_id == "partner:before"
        behind = dialogue.broker_gets()
        dialogue.client_receives_nothing()
        dialogue.broker_answers(before)
        for correlation_id, _ in requests[:3]:
            assert dialogue.client_receives(correlation_id).error_code == 0
        dialogue.client_receives_nothing()
        dialogue.broker_answers(behind)
        dialogue.client_receives(requests[3][0])


# failing


def fails(playbook: Playbook, dialogue: Dialogue, failure: str) -> None:
    dialogue.expect_end(CloseReason.REAUTHENTICATION_FAILED)
    assert dialogue.end_line["detail"] == failure
    assert dialogue.end_line["user"] == "johndoe"
    assert dialogue.broker.closed
    assert playbook.metrics.authentication_failures == {failure: 1}
    assert playbook.metrics.connections_closed == {"reauthentication_failed": 1}
    assert playbook.metrics.reauthentications == {}


@pytest.mark.parametrize(
    ("token", "failure", "text"),
    [
        (
            build_plain("jane", "janes"),
            "principal_changed",
            "Cannot change principals during re-authentication from User.johndoe: User.jane",
        ),
        (
            build_plain("johndoe", "wrong"),
            "invalid_credentials",
            "Authentication failed: Invalid username or password",
        ),
    ],
)
def test_as_somebody_else_or_with_a_wrong_password(clock: Clock, token: bytes, failure: str, text: str) -> None:
    with stage() as playbook:
        dialogue = signed_in(playbook)
        dialogue.client_sends(HANDSHAKE, 1, mechanism="PLAIN")
        dialogue.client_receives()
        dialogue.client_sends(AUTHENTICATE, 2, auth_bytes=token)
        dialogue.client_sends(HEARTBEAT, 4, group_id="behind")
        dialogue.client_receives_nothing()
        assert dialogue.ended == ""
        playbook.loop.advance(DELAY)
        answer = dialogue.client_receives()
        assert (answer.error_code, answer.error_message) == (58, text)
        dialogue.broker_gets_nothing()
        fails(playbook, dialogue, failure)


def test_scram_says_that_it_was_a_re_authentication(clock: Clock) -> None:
    with stage() as playbook:
        dialogue, scram = playbook.connects(), ScramClient(["SCRAM-SHA-512"], "johndoe", "old")
        dialogue.client_sends(HANDSHAKE, 1, mechanism="SCRAM-SHA-512")
        dialogue.client_receives()
        dialogue.client_sends(AUTHENTICATE, 2, auth_bytes=scram.get_client_first().encode())
        scram.set_server_first(dialogue.client_receives().auth_bytes.decode())
        dialogue.client_sends(AUTHENTICATE, 2, auth_bytes=scram.get_client_final().encode())
        assert dialogue.client_receives().session_lifetime == SECONDS * 1000
        dialogue.client_sends(HANDSHAKE, 1, mechanism="SCRAM-SHA-512")
        dialogue.client_receives()
        dialogue.client_sends(AUTHENTICATE, 2, auth_bytes=b"nonsense")
        playbook.loop.advance(DELAY)
        answer = dialogue.client_receives()
        assert (answer.error_code, answer.error_message) == (
            58,
            "Authentication failed during re-authentication due to invalid credentials "
            "with SASL mechanism SCRAM-SHA-512",
        )
        fails(playbook, dialogue, "malformed_token")


def test_another_mechanism_is_greeted_and_then_left_without_an_answer(clock: Clock) -> None:
    with stage() as playbook:
        dialogue = signed_in(playbook)
        dialogue.client_sends(HANDSHAKE, 1, mechanism="SCRAM-SHA-512")
        assert dialogue.client_receives().error_code == 0
        dialogue.client_sends(AUTHENTICATE, 2, auth_bytes=b"n,,n=johndoe,r=abc")
        assert dialogue.ended == ""
        playbook.loop.advance(DELAY)
        dialogue.client_receives_nothing()
        fails(playbook, dialogue, "mechanism_changed")


def test_an_unknown_mechanism_is_told_what_there_is(clock: Clock) -> None:
    with stage() as playbook:
        dialogue = signed_in(playbook)
        dialogue.client_sends(HANDSHAKE, 1, mechanism="GSSAPI")
        dialogue.client_receives_nothing()
        playbook.loop.advance(DELAY)
        answer = dialogue.client_receives()
        assert (answer.error_code, answer.mechanisms) == (33, ("PLAIN", "SCRAM-SHA-512"))
        fails(playbook, dialogue, "unsupported_mechanism")


def test_the_refusal_waits_for_what_was_asked_before(clock: Clock) -> None:
    with stage() as playbook:
        dialogue = signed_in(playbook)
        before = dialogue.client_sends(HEARTBEAT, 4, group_id="before")
        got = dialogue.broker_gets()
        dialogue.client_sends(HANDSHAKE, 1, mechanism="PLAIN")
        dialogue.client_sends(AUTHENTICATE, 2, auth_bytes=b"nonsense")
        playbook.loop.advance(DELAY)
        dialogue.client_receives_nothing()
        dialogue.broker_answers(got)
        dialogue.client_receives(before)
        assert dialogue.client_receives().error_code == 0
        assert dialogue.client_receives().error_code == 58
        fails(playbook, dialogue, "malformed_token")


def test_but_not_for_ever(clock: Clock) -> None:
    with stage() as playbook:
        dialogue = signed_in(playbook)
        dialogue.client_sends(HEARTBEAT, 4, group_id="before")
        dialogue.client_sends(HANDSHAKE, 1, mechanism="PLAIN")
        dialogue.client_sends(AUTHENTICATE, 2, auth_bytes=b"nonsense")
        playbook.loop.advance(DELAY + LIMITS.close_seconds)
        dialogue.client_receives_nothing()
        dialogue.expect_end(CloseReason.REAUTHENTICATION_FAILED)


def test_a_client_that_goes_before_its_refusal(clock: Clock) -> None:
    with stage() as playbook:
        dialogue = signed_in(playbook)
        dialogue.client_sends(HANDSHAKE, 1, mechanism="PLAIN")
        dialogue.client_receives()
        dialogue.client_sends(AUTHENTICATE, 2, auth_bytes=b"nonsense")
        dialogue.client.hang_up()
        assert dialogue.ended == CloseReason.REAUTHENTICATION_FAILED
        playbook.loop.advance(DELAY + LIMITS.close_seconds)


@pytest.mark.parametrize(("key", "version"), [(PRODUCE, 9), (HEARTBEAT, 4), (API_VERSIONS, 3), (HANDSHAKE, 1)])
def test_only_the_conversation_is_heard_while_it_lasts(clock: Clock, key: int, version: int) -> None:
    with stage() as playbook:
        dialogue = signed_in(playbook)
        dialogue.client_sends(HANDSHAKE, 1, mechanism="PLAIN")
        dialogue.client_receives()
        dialogue.client_sends(key, version)
        dialogue.client_receives_nothing()
        dialogue.broker_gets_nothing()
        dialogue.expect_end(CloseReason.NOT_AUTHENTICATED)
        assert dialogue.end_line["detail"] == f"API key {key} version {version} while reauthenticating"


def test_frames_are_small_while_it_lasts(clock: Clock) -> None:
    with stage() as playbook:
        dialogue = signed_in(playbook)
        dialogue.client_sends(HANDSHAKE, 1, mechanism="PLAIN")
        dialogue.client_receives()
        dialogue.client_sends_bytes((LIMITS.frame_bytes_before_authentication + 1).to_bytes(4, "big"))
        dialogue.expect_end(CloseReason.BAD_FRAME)


@pytest.mark.parametrize("expired", [False, True])
@pytest.mark.parametrize("version", [0, 1])
@given(payload=st.binary(max_size=60) | st.binary(max_size=30).map(lambda rest: b"\0\x24\0\x02\0\0\0\1" + rest))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_frame_in_between_is_answered_or_ends_the_connection(
    clock: Clock, version: int, expired: bool, payload: bytes
) -> None:
    with stage() as playbook:
        dialogue = signed_in(playbook)
        if expired:
            clock.advance(SECONDS + 1)
        else:
            dialogue.client_sends(HANDSHAKE, version, mechanism="PLAIN")
            dialogue.client_receives()
        dialogue.client_sends_bytes(frame(payload))
        playbook.loop.advance(DELAY)
        dialogue.broker_gets_nothing()
        assert dialogue.ended


# the session's end


@pytest.mark.parametrize(("key", "version"), [(HEARTBEAT, 4), (API_VERSIONS, 3), (AUTHENTICATE, 2)])
def test_an_expired_session_ends_with_its_next_request(clock: Clock, key: int, version: int) -> None:
    with stage() as playbook:
        dialogue = signed_in(playbook)
        clock.advance(SECONDS - 1)
        serves(dialogue)
        clock.advance(2)
        dialogue.session.check_deadlines(clock.monotonic())
        assert dialogue.ended == "", "an idle one stays until then"
        dialogue.client_sends(key, version)
        dialogue.client_receives_nothing()
        dialogue.broker_gets_nothing()
        dialogue.expect_end(CloseReason.SESSION_EXPIRED)


def test_a_large_request_needn_t_be_here_as_a_whole_for_that(clock: Clock) -> None:
    with stage() as playbook:
        dialogue = signed_in(playbook)
        clock.advance(SECONDS + 1)
        head = dialogue.request(METADATA, 9)[1][4:]
        dialogue.client_sends_bytes((1_000_000).to_bytes(4, "big") + head + bytes(2000))
        dialogue.expect_end(CloseReason.SESSION_EXPIRED)


def test_an_expired_session_can_be_continued(clock: Clock) -> None:
    with stage() as playbook:
        dialogue = signed_in(playbook)
        clock.advance(SECONDS + 1)
        signs_in(dialogue)
        serves(dialogue)
        clock.advance(0.5)
        dialogue.client_sends(HANDSHAKE, 1, mechanism="PLAIN")
        assert dialogue.client_receives().error_code == 34


def test_an_answer_that_is_due_still_arrives(clock: Clock) -> None:
    with stage() as playbook:
        dialogue = signed_in(playbook)
        asked = dialogue.client_sends(HEARTBEAT, 4, group_id="g")
        clock.advance(SECONDS + 1)
        dialogue.broker_answers(dialogue.broker_gets())
        dialogue.client_receives(asked)
        signs_in(dialogue)


# the proof's end


def test_an_expired_password_ends_its_sessions_and_no_others(clock: Clock) -> None:
    with stage(0, credential("old", expires=clock.time() + 30), NEW) as playbook:
        dialogue, bystander = signed_in(playbook), signed_in(playbook, "new")
        dialogue.client_sends(HEARTBEAT, 4, group_id="waiting")
        clock.advance(29)
        for session in (dialogue.session, bystander.session):
            session.check_deadlines(clock.monotonic())
        assert dialogue.ended == ""
        clock.advance(1)
        for session in (dialogue.session, bystander.session):
            session.check_deadlines(clock.monotonic())
        dialogue.expect_end(CloseReason.CREDENTIAL_EXPIRED)
        assert dialogue.end_line["credential"] == "old"
        assert dialogue.end_line["detail"] == "the PLAIN credential has expired"
        assert bystander.ended == ""


def test_who_has_signed_in_again_with_a_newer_one_stays(clock: Clock) -> None:
    with stage(0, credential("old", expires=clock.time() + 30), NEW) as playbook:
        dialogue = signed_in(playbook)
        clock.advance(20)
        assert signs_in(dialogue, "new") == 0
        clock.advance(20)
        dialogue.session.check_deadlines(clock.monotonic())
        serves(dialogue)


def test_an_expired_password_is_refused_like_a_wrong_one(clock: Clock) -> None:
    with stage(0, credential("old", expires=clock.time() + 30)) as playbook:
        clock.advance(30)
        dialogue = playbook.connects()
        dialogue.client_sends(HANDSHAKE, 1, mechanism="PLAIN")
        dialogue.client_receives()
        dialogue.client_sends(AUTHENTICATE, 2, auth_bytes=build_plain("johndoe", "old"))
        playbook.loop.advance(DELAY)
        answer = dialogue.client_receives()
        assert (answer.error_code, answer.error_message) == (
            58,
            "Authentication failed: Invalid username or password",
        )
        dialogue.expect_end(CloseReason.AUTHENTICATION_FAILED)
        assert playbook.metrics.authentication_failures == {"expired_credential": 1}
