"""OAUTHBEARER: which tokens let whom in, and what is told to whom about those that don't."""

import asyncio
import json
import logging
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from protocol.headers import frame
from proxy.close import CloseReason
from proxy.config import ListenerConfig, OauthConfig
from proxy.jwks import Keys
from proxy.mechanisms.mechanism import Mechanism
from proxy.mechanisms.oauthbearer import MAX_MESSAGE_BYTES, Oauthbearer
from proxy.metrics import GatewayMetrics
from proxy.zones import ZoneRegistry
from tests.tokens import AUDIENCE, ISSUER, Signer, key_set
from tests.unit.proxy.playbook import CONFIG, LIMITS, ZONE, Dialogue, Playbook

HEARTBEAT, METADATA = 12, 3
REFUSED = b'{"status":"invalid_token"}'
MALFORMED = "Authentication failed during authentication due to invalid credentials with SASL mechanism OAUTHBEARER"
SKEW = 30

BEARER_ZONE = replace(ZONE, authentication="OAUTHBEARER")
PASSWORD_ZONE = replace(ZONE, name="other", service_account="jane")
LISTENER = ListenerConfig(advertised_host="gateway", mechanisms=("PLAIN", "OAUTHBEARER"), broker_ports_start=9100)
OAUTH = OauthConfig(jwks="keys.json", issuer=ISSUER, audience=AUDIENCE, clock_skew_seconds=SKEW)
STRANGER = Signer("rsa")
"""Has a key of the same name, but not the same key."""


@cache
def signers() -> Sequence[Signer]:
    others = [Signer(name, name) for name in ("ES256", "ES384", "ES512", "EdDSA", "RS384", "PS256", "PS512")]
    return (Signer("rsa"), *others)


def good() -> Signer:
    return signers()[0]


@pytest.fixture
def play(tmp_path: Path) -> Callable[[], Playbook]:
    """A stage on which the provider's keys are known."""
    file = tmp_path / "keys.json"
    file.write_bytes(key_set(*(each.jwk() for each in signers())))
    keys = Keys(str(file), GatewayMetrics())
    asyncio.run(keys.refresh())

    def bearer(registry: ZoneRegistry) -> Sequence[Mechanism]:
        return (Oauthbearer(registry, keys, OAUTH),)

    config = replace(CONFIG, listeners=(LISTENER,))
    return lambda: Playbook((BEARER_ZONE, PASSWORD_ZONE), config=config, configured=bearer)


def message(token: str, authorization_id: str = "") -> bytes:
    return f"n,{authorization_id and f'a={authorization_id}'},\x01auth=Bearer {token}\x01\x01".encode()


def offers(dialogue: Dialogue, auth_bytes: bytes) -> None:
    """A client sends its first SASL message."""
    dialogue.client_sends(17, 1, mechanism="OAUTHBEARER")
    handshake = dialogue.client_receives()
    assert (handshake.error_code, handshake.mechanisms) == (0, ("PLAIN", "OAUTHBEARER"))
    dialogue.client_sends(36, 2, auth_bytes=auth_bytes)


def is_let_in(dialogue: Dialogue, auth_bytes: bytes) -> None:
    offers(dialogue, auth_bytes)
    answer = dialogue.client_receives()
    assert (answer.error_code, answer.error_message, answer.auth_bytes) == (0, "", b"")
    dialogue.client_sends(HEARTBEAT, 4, group_id="g")
    assert dialogue.broker_gets().client_id == "partner:app"


@pytest.mark.parametrize("number", range(8))
def test_a_good_token_of_every_kind_of_key(play: Callable[[], Playbook], number: int) -> None:
    with play() as playbook:
        signer = signers()[number]
        token = signer.token(exp=int(time.time()) + 77)
        is_let_in(dialogue := playbook.connects(), message(token))
        principal = dialogue.session._authentication.principal
        assert principal is not None
        assert (principal.username, principal.mechanism, principal.credential) == ("johndoe", "OAUTHBEARER", None)
        assert principal.expires is not None
        assert abs(principal.expires - time.time() - 77 - SKEW) < 10


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": ["another", AUDIENCE]},
        {"exp": -SKEW + 20},
        {"nbf": SKEW - 5, "iat": SKEW - 5},
        {"scope": "anything", "nonce": "n" * 2000},
    ],
)
def test_good_claims(play: Callable[[], Playbook], claims: dict[str, Any]) -> None:
    """Times are seconds from now."""
    now = int(time.time())
    with play() as playbook:
        given: dict[str, Any] = {
            name: now + value if isinstance(value, int) else value for name, value in claims.items()
        }
        is_let_in(playbook.connects(), message(good().token(**given)))


def test_a_client_may_say_as_whom_it_acts(play: Callable[[], Playbook]) -> None:
    with play() as playbook:
        is_let_in(playbook.connects(), message(good().token(), "johndoe"))


def with_changed_signature(token: str) -> str:
    signed, _, signature = token.rpartition(".")
    return f"{signed}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


def header_only(header: object) -> str:
    encoded = urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
    return f"{encoded}.e30.AAAA"


BAD: dict[str, tuple[Callable[[], str], str]] = {
    "wrong issuer": (lambda: good().token(iss="https://evil.example.com"), "wrong_issuer"),
    "an issuer that is no text": (lambda: good().token(iss=[ISSUER]), "wrong_issuer"),
    "wrong audience": (lambda: good().token(aud="another"), "wrong_audience"),
    "wrong audiences": (lambda: good().token(aud=["another", "zonegate2"]), "wrong_audience"),
    "expired": (lambda: good().token(exp=int(time.time()) - SKEW - 5), "expired_token"),
    "not valid yet": (lambda: good().token(nbf=int(time.time()) + SKEW + 60), "immature_token"),
    "issued in the future": (lambda: good().token(iat=int(time.time()) + SKEW + 60), "immature_token"),
    "an end beyond all calendars": (lambda: good().token(exp=10**400), "malformed_token"),
    "without end": (lambda: good().token(exp=None), "missing_claim"),
    "without issuer": (lambda: good().token(iss=None), "missing_claim"),
    "without audience": (lambda: good().token(aud=None), "missing_claim"),
    "without subject": (lambda: good().token(sub=None), "missing_claim"),
    "without time of issue": (lambda: good().token(iat=None), "missing_claim"),
    "an end that is no time": (lambda: good().token(exp="soon"), "malformed_token"),
    "an endless end": (lambda: good().token(exp=float("inf")), "malformed_token"),
    "alg none": (lambda: good().unsigned_token(), "wrong_algorithm"),
    "HS256 with the public key": (lambda: good().hmac_token(), "wrong_algorithm"),
    "another algorithm than the key's": (lambda: Signer("ES256", "RS256").token(), "unknown_key"),
    "an unknown key": (lambda: Signer("unknown").token(), "unknown_key"),
    "no key named": (lambda: good().token(headers={"kid": None}), "unknown_key"),
    "another key of that name": (lambda: STRANGER.token(), "invalid_signature"),
    "a changed signature": (lambda: with_changed_signature(good().token()), "invalid_signature"),
    "another payload": (
        lambda: ".".join((good().token().split(".")[0], *STRANGER.token().split(".")[1:])),
        "invalid_signature",
    ),
    "a key that the token brings": (
        lambda: STRANGER.token(headers={"jwk": STRANGER.jwk(), "jku": "http://127.0.0.1/", "x5c": ["a"]}),
        "invalid_signature",
    ),
    "an unknown critical header": (lambda: good().token(headers={"crit": ["x"], "x": 1}), "malformed_token"),
    "no JWT": (lambda: "opaque", "malformed_token"),
    "two parts": (lambda: "a.b", "malformed_token"),
    "five parts": (lambda: "e30.e30.e30.e30.e30", "malformed_token"),
    "a header that is no JSON": (lambda: "YQ.e30.AAAA", "malformed_token"),
    "a header that is deep": (lambda: header_only([]).replace("W10", "W1tb" * 3000), "malformed_token"),
    "a header without algorithm": (lambda: header_only({}), "wrong_algorithm"),
    "an algorithm that is no text": (lambda: header_only({"alg": ["RS256"]}), "wrong_algorithm"),
    "a key id that is no text": (lambda: header_only({"alg": "RS256", "kid": {}}), "malformed_token"),
    "nobody's account": (lambda: good().token("nobody"), "unknown_principal"),
    "the name of a zone": (lambda: good().token("partner"), "unknown_principal"),
    "an account of another mode": (lambda: good().token("jane"), "wrong_mode"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_token_is_told_nothing_but_that(play: Callable[[], Playbook], case: str) -> None:
    make, reason = BAD[case]
    with play() as playbook:
        offers(dialogue := playbook.connects(), message(make()))
        challenge = dialogue.client_receives()
        assert (challenge.error_code, challenge.error_message, challenge.auth_bytes) == (0, "", REFUSED)
        assert playbook.metrics.authentication_failures == {reason: 1}
        dialogue.client_sends(36, 2, auth_bytes=b"\x01")
        dialogue.client_receives_nothing()
        playbook.loop.advance(LIMITS.failed_authentication_delay_seconds)
        answer = dialogue.client_receives()
        assert (answer.error_code, answer.error_message) == (58, REFUSED.decode())
        dialogue.expect_end(CloseReason.AUTHENTICATION_FAILED)
        assert dialogue.end_line["detail"] == reason
        assert playbook.metrics.authentication_failures == {reason: 1}


@pytest.mark.parametrize(
    "auth_bytes",
    [
        b"",
        b"\x01",
        b"n,,\x01auth=Basic abc\x01\x01",
        b"\0johndoe\0password",
        message("a" * MAX_MESSAGE_BYTES),
    ],
)
def test_what_is_no_message_is_a_failure_at_once(play: Callable[[], Playbook], auth_bytes: bytes) -> None:
    with play() as playbook:
        offers(dialogue := playbook.connects(), auth_bytes)
        playbook.loop.advance(LIMITS.failed_authentication_delay_seconds)
        answer = dialogue.client_receives()
        assert (answer.error_code, answer.error_message) == (58, MALFORMED)
        dialogue.expect_end(CloseReason.AUTHENTICATION_FAILED)
        assert dialogue.end_line["detail"] == "malformed_message"


def test_nobody_acts_as_somebody_else(play: Callable[[], Playbook]) -> None:
    with play() as playbook:
        offers(dialogue := playbook.connects(), message(good().token(), "jane"))
        playbook.loop.advance(LIMITS.failed_authentication_delay_seconds)
        answer = dialogue.client_receives()
        assert (answer.error_code, answer.error_message) == (
            58,
            "Authentication failed: Client requested an authorization id (jane) that is different from the token's "
            "principal name (johndoe)",
        )
        dialogue.expect_end(CloseReason.AUTHENTICATION_FAILED)
        assert dialogue.end_line["detail"] == "wrong_authorization_id"


def test_a_refused_token_is_not_followed_by_another(play: Callable[[], Playbook]) -> None:
    with play() as playbook:
        offers(dialogue := playbook.connects(), message(STRANGER.token()))
        dialogue.client_receives()
        dialogue.client_sends(36, 2, auth_bytes=message(good().token()))
        playbook.loop.advance(LIMITS.failed_authentication_delay_seconds)
        answer = dialogue.client_receives()
        assert (answer.error_code, answer.error_message) == (58, MALFORMED)
        dialogue.expect_end(CloseReason.AUTHENTICATION_FAILED)


def test_a_client_that_leaves_with_the_refusal_has_failed(play: Callable[[], Playbook]) -> None:
    with play() as playbook:
        offers(dialogue := playbook.connects(), message(STRANGER.token()))
        dialogue.client.hang_up()
        dialogue.expect_end(CloseReason.AUTHENTICATION_FAILED)
        assert dialogue.end_line["detail"] == "invalid_signature"
        assert playbook.metrics.authentication_failures == {"invalid_signature": 1}


def test_a_client_that_takes_the_refusal_for_success_has_failed(play: Callable[[], Playbook]) -> None:
    """aiokafka does: the challenge carries no error code."""
    with play() as playbook:
        offers(dialogue := playbook.connects(), message(STRANGER.token()))
        dialogue.client_receives()
        dialogue.client_sends(METADATA, 9)
        playbook.loop.advance(LIMITS.failed_authentication_delay_seconds)
        dialogue.client_receives_nothing()
        dialogue.expect_end(CloseReason.AUTHENTICATION_FAILED)
        assert dialogue.end_line["detail"] == "invalid_signature"
        assert playbook.metrics.authentication_failures == {"invalid_signature": 1}


def test_bare_tokens_of_handshake_0(play: Callable[[], Playbook]) -> None:
    with play() as playbook:
        dialogue = playbook.connects()
        dialogue.client_sends(17, 0, mechanism="OAUTHBEARER")
        dialogue.client_receives()
        dialogue.client_sends_bytes(frame(message(STRANGER.token())))
        assert dialogue.client_receives_bytes() == frame(REFUSED)
        dialogue.client_sends_bytes(frame(b"\x01"))
        playbook.loop.advance(LIMITS.failed_authentication_delay_seconds)
        dialogue.client_receives_nothing()
        dialogue.expect_end(CloseReason.AUTHENTICATION_FAILED)


def test_a_password_is_no_way_into_a_bearer_zone(play: Callable[[], Playbook]) -> None:
    with play() as playbook:
        dialogue = playbook.connects()
        with pytest.raises(AssertionError):
            dialogue.signs_in()
        playbook.loop.advance(LIMITS.failed_authentication_delay_seconds)
        assert dialogue.client_receives().error_code == 58


def test_the_log_names_a_valid_token_s_subject_and_never_the_token(
    play: Callable[[], Playbook], caplog: pytest.LogCaptureFixture
) -> None:
    token = good().token("nobody")
    with caplog.at_level(logging.DEBUG), play() as playbook:
        offers(dialogue := playbook.connects(), message(token))
        dialogue.client.hang_up()
        playbook.loop.run_due()
    refused = [record.__dict__ for record in caplog.records if record.__dict__.get("event") == "bearer_refused"]
    assert [(each["reason"], each["subject"]) for each in refused] == [("unknown_principal", "nobody")]
    shown = "\n".join(str(record.__dict__) for record in caplog.records)
    assert all(part not in shown for part in token.split("."))


def test_a_change_of_the_mode_ends_the_sessions(play: Callable[[], Playbook]) -> None:
    with play() as playbook:
        assert playbook.apply([BEARER_ZONE]) == {"other"}
        assert playbook.apply([replace(BEARER_ZONE, authentication="MTLS")]) == {"partner"}
        assert playbook.apply([replace(BEARER_ZONE, authentication="MTLS", service_account="jane")]) == {"partner"}
