"""From accept to a broker connection: ApiVersions, SaslHandshake, SaslAuthenticate, and what else arrives there."""

import pytest

from protocol.api_versions import ranges_of
from protocol.headers import frame
from protocol.sasl import build_plain
from proxy.close import CloseReason
from tests.unit.proxy.playbook import LIMITS, PASSWORD, Dialogue, Playbook

HEARTBEAT, METADATA, INIT_PRODUCER_ID, DESCRIBE_CLUSTER = 12, 3, 22, 60
GOOD_TOKEN = build_plain("johndoe", PASSWORD)


def heartbeat(dialogue: Dialogue, group: str = "g") -> int:
    return dialogue.client_sends(HEARTBEAT, 4, group_id=group)


@pytest.mark.parametrize("version", [5, 9, 32767])
@pytest.mark.parametrize("signed_in", [False, True])
def test_api_versions_that_are_too_new_get_a_version_0_body(version: int, signed_in: bool) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in() if signed_in else playbook.connects()
        for _ in range(2):
            dialogue.client_sends_bytes(
                frame(b"\0\x12" + version.to_bytes(2, "big") + b"\0\0\0\x09\0\x01c" + b"\x99" * 9)
            )
            # correlation id, error 35, one entry: key 18, versions 0 to 4
            assert dialogue.client_receives_bytes() == frame(b"\0\0\0\x09\0\x23\0\0\0\x01\0\x12\0\0\0\x04")
        assert dialogue.ended == ""


def test_bad_names_of_software_are_an_invalid_request() -> None:
    with Playbook() as playbook:
        dialogue = playbook.connects()
        dialogue.client_sends(18, 3, client_software_name="no good", client_software_version="1")
        assert dialogue.client_receives().error_code == 42
        dialogue.client_sends(18, 0)
        assert ranges_of(dialogue.client_receives())[18] == (0, 4)


@pytest.mark.parametrize("version", [0, 1, 2])
def test_handshake_1_is_followed_by_sasl_authenticate(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.connects()
        dialogue.client_sends(17, 1, mechanism="PLAIN")
        handshake = dialogue.client_receives()
        assert (handshake.error_code, handshake.mechanisms) == (0, ("PLAIN", "SCRAM-SHA-512"))
        dialogue.client_sends(18, 0)
        dialogue.client_receives()
        dialogue.client_sends(36, version, auth_bytes=GOOD_TOKEN)
        answer = dialogue.client_receives()
        assert (answer.error_code, answer.error_message, answer.auth_bytes) == (0, "", b"")
        heartbeat(dialogue)
        assert dialogue.broker_gets().client_id == "partner:app"
        assert playbook.metrics.connections == {"partner": 1}


def test_handshake_0_is_followed_by_a_bare_token() -> None:
    with Playbook() as playbook:
        dialogue = playbook.connects()
        dialogue.client_sends(17, 0, mechanism="PLAIN")
        assert dialogue.client_receives().error_code == 0
        dialogue.client_sends_bytes(frame(GOOD_TOKEN))
        assert dialogue.client_receives_bytes() == frame(b"")
        heartbeat(dialogue)
        assert dialogue.broker_gets().key == HEARTBEAT


@pytest.mark.parametrize("version", [0, 1])
def test_an_unknown_mechanism_is_told_what_there_is(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.connects()
        dialogue.client_sends(17, version, mechanism="SCRAM-SHA-256")
        dialogue.client_receives_nothing()
        playbook.loop.advance(LIMITS.failed_authentication_delay_seconds)
        answer = dialogue.client_receives()
        assert (answer.error_code, answer.mechanisms) == (33, ("PLAIN", "SCRAM-SHA-512"))
        dialogue.expect_end(CloseReason.AUTHENTICATION_FAILED)
        assert playbook.metrics.authentication_failures == {"unsupported_mechanism": 1}


@pytest.mark.parametrize(
    ("token", "failure"),
    [
        (build_plain("johndoe", "wrong"), "invalid_credentials"),
        (build_plain("nobody", PASSWORD), "invalid_credentials"),
        (build_plain("partner", PASSWORD), "invalid_credentials"),
        (b"other\0johndoe\0" + PASSWORD.encode(), "malformed_token"),
        (b"nonsense", "malformed_token"),
        (b"", "malformed_token"),
        (b"\xff\0\xfe\0", "malformed_token"),
    ],
)
def test_a_failure_is_told_late_and_in_the_same_words(token: bytes, failure: str) -> None:
    with Playbook() as playbook:
        dialogue = playbook.connects()
        dialogue.client_sends(17, 1, mechanism="PLAIN")
        dialogue.client_receives()
        dialogue.client_sends(36, 2, auth_bytes=token)
        dialogue.client_sends(36, 2, auth_bytes=GOOD_TOKEN)
        dialogue.client_receives_nothing()
        assert dialogue.ended == ""
        playbook.loop.advance(LIMITS.failed_authentication_delay_seconds / 2)
        dialogue.client_receives_nothing()
        playbook.loop.advance(LIMITS.failed_authentication_delay_seconds / 2)
        answer = dialogue.client_receives()
        assert answer.error_code == 58
        assert answer.error_message == "Authentication failed: Invalid username or password"
        dialogue.client_receives_nothing()
        dialogue.expect_end(CloseReason.AUTHENTICATION_FAILED)
        assert dialogue.end_line["detail"] == failure
        assert playbook.metrics.authentication_failures == {failure: 1}


def test_a_bad_bare_token_gets_no_answer() -> None:
    with Playbook() as playbook:
        dialogue = playbook.connects()
        dialogue.client_sends(17, 0, mechanism="PLAIN")
        dialogue.client_receives()
        dialogue.client_sends_bytes(frame(build_plain("johndoe", "wrong")))
        assert dialogue.ended == ""
        playbook.loop.advance(LIMITS.failed_authentication_delay_seconds)
        dialogue.client_receives_nothing()
        dialogue.expect_end(CloseReason.AUTHENTICATION_FAILED)


@pytest.mark.parametrize(("key", "version"), [(0, 9), (1, 12), (3, 0), (12, 0), (36, 0), (4, 0), (95, 1)])
def test_requests_before_authentication_end_the_connection(key: int, version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.connects()
        dialogue.client_sends_bytes(frame(bytes((0, key, 0, version)) + bytes(20)))
        dialogue.client_receives_nothing()
        dialogue.expect_end(CloseReason.NOT_AUTHENTICATED)


def test_a_second_handshake_before_the_token_ends_the_connection() -> None:
    with Playbook() as playbook:
        dialogue = playbook.connects()
        dialogue.client_sends(17, 1, mechanism="PLAIN")
        dialogue.client_receives()
        dialogue.client_sends(17, 1, mechanism="PLAIN")
        dialogue.expect_end(CloseReason.NOT_AUTHENTICATED)


def test_sasl_after_authentication_is_an_illegal_state() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(17, 1, mechanism="PLAIN")
        assert dialogue.client_receives().error_code == 34
        dialogue.client_sends(36, 2, auth_bytes=GOOD_TOKEN)
        assert dialogue.client_receives().error_code == 34
        assert dialogue.ended == ""


def test_requests_that_follow_the_token_at_once_wait_for_the_broker_connection() -> None:
    with Playbook() as playbook:
        dialogue = playbook.connects()
        frames = [
            dialogue.request(17, 1, mechanism="PLAIN")[1],
            dialogue.request(36, 1, auth_bytes=GOOD_TOKEN)[1],
            dialogue.request(HEARTBEAT, 0, group_id="g")[1],
        ]
        dialogue.client_sends_bytes(b"".join(frames))
        dialogue.client_receives()
        dialogue.client_receives()
        assert dialogue.broker_gets().message.group_id == "partner:g"


def test_a_broker_that_can_t_be_reached_ends_the_connection() -> None:
    with Playbook() as playbook:
        playbook.broker_answers_connects = False
        dialogue = playbook.connects()
        dialogue.signs_in()
        dialogue.expect_end(CloseReason.BROKER_UNREACHABLE)
        assert "refuses" in dialogue.end_line["detail"]
        unknown = playbook.connects(broker_id=7)
        unknown.signs_in()
        unknown.expect_end(CloseReason.BROKER_UNREACHABLE)


def test_the_bootstrap_port_takes_any_broker() -> None:
    with Playbook() as playbook:
        heartbeat(dialogue := playbook.signed_in(broker_id=None))
        assert dialogue.broker_gets().key == HEARTBEAT


def test_a_tls_client_is_told_apart() -> None:
    with Playbook() as playbook:
        dialogue = playbook.connects()
        dialogue.client_sends_bytes(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(32))
        dialogue.expect_end(CloseReason.TLS_ON_PLAINTEXT_PORT)


@pytest.mark.parametrize(
    ("data", "signed_in"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", False),
        (b"\xff\xff\xff\xff", False),
        ((524_289).to_bytes(4, "big"), False),
        ((104_857_601).to_bytes(4, "big"), True),
        (b"\x80\0\0\0", True),
    ],
)
def test_lengths_that_no_frame_has(data: bytes, signed_in: bool) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in() if signed_in else playbook.connects()
        dialogue.client_sends_bytes(data)
        dialogue.expect_end(CloseReason.BAD_FRAME)


def test_large_requests_other_than_produce_are_bounded() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        size = 16 * 1024 * 1024 + 1
        head = dialogue.request(METADATA, 9)[1][4:]
        dialogue.client_sends_bytes(size.to_bytes(4, "big") + head + bytes(2000))
        dialogue.expect_end(CloseReason.BAD_REQUEST)
