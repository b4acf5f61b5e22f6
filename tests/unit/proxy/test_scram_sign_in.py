"""SCRAM-SHA-512 on a connection, with another implementation's client."""

import re
from base64 import b64encode
from dataclasses import replace
from time import time

import pytest
from scramp import ScramClient

from policies.credentials import Credential, hash_password, new_salt, scram_keys
from protocol.schema import Message
from proxy.close import CloseReason
from proxy.mechanisms.mechanism import Accepted, Challenge, Refused
from proxy.mechanisms.scram import ScramSha512
from proxy.metrics import GatewayMetrics
from proxy.zones import ZoneRegistry
from tests.unit.proxy.playbook import LIMITS, ZONE, Dialogue, Playbook

SALT = new_salt()
FAILURE = "Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512"


def credential(number: int, password: str, salt: bytes = SALT, expires: float | None = None) -> Credential:
    keys = scram_keys(password, salt)
    return Credential(f"c{number}", ZONE.name, "2030-01-01T00:00:00Z", hash_password(password), expires, keys)


FIRST, SECOND = credential(1, "first"), credential(2, "second")
WITHOUT_SCRAM = replace(credential(3, "third"), scram=None)


def client(password: str, username: str = "johndoe") -> ScramClient:
    return ScramClient(["SCRAM-SHA-512"], username, password)


def sends_first(dialogue: Dialogue, scram: ScramClient) -> None:
    dialogue.client_sends(17, 1, mechanism="SCRAM-SHA-512")
    assert dialogue.client_receives().error_code == 0
    dialogue.client_sends(36, 2, auth_bytes=scram.get_client_first().encode())
    answer = dialogue.client_receives()
    assert (answer.error_code, answer.session_lifetime) == (0, 0)
    scram.set_server_first(answer.auth_bytes.decode())


def sends_final(dialogue: Dialogue, scram: ScramClient) -> None:
    dialogue.client_sends(36, 2, auth_bytes=scram.get_client_final().encode())


def refusal(playbook: Playbook, dialogue: Dialogue) -> Message:
    dialogue.client_receives_nothing()
    playbook.loop.advance(LIMITS.failed_authentication_delay_seconds)
    answer = dialogue.client_receives()
    dialogue.expect_end(CloseReason.AUTHENTICATION_FAILED)
    return answer


@pytest.mark.parametrize(("password", "credential_id"), [("first", "c1"), ("second", "c2")])
def test_each_of_two_passwords_signs_in_and_the_gateway_proves_itself(password: str, credential_id: str) -> None:
    with Playbook() as playbook:
        playbook.registry.apply([ZONE], [FIRST, SECOND, WITHOUT_SCRAM])
        dialogue, scram = playbook.connects(), client(password)
        sends_first(dialogue, scram)
        sends_final(dialogue, scram)
        answer = dialogue.client_receives()
        assert (answer.error_code, answer.session_lifetime) == (0, 0)
        scram.set_server_final(answer.auth_bytes.decode())
        assert dialogue.session.credential_id == credential_id
        dialogue.client_sends(12, 4, group_id="g")
        assert dialogue.broker_gets().message.group_id == "partner:g"


@pytest.mark.parametrize(
    ("password", "username", "failure"),
    [
        ("wrong", "johndoe", "invalid_credentials"),
        ("third", "johndoe", "invalid_credentials"),
        ("first", "nobody", "invalid_credentials"),
        ("first", "holder", "invalid_credentials"),
        ("old", "johndoe", "expired_credential"),
    ],
)
def test_every_failure_is_told_in_the_same_words(password: str, username: str, failure: str) -> None:
    other = replace(ZONE, name="tokens", service_account="holder", authentication="OAUTHBEARER")
    stray = replace(FIRST, id="c9", zone="tokens")
    expired = credential(4, "old", expires=time() - 1)
    with Playbook() as playbook:
        playbook.registry.apply([ZONE, other], [FIRST, SECOND, WITHOUT_SCRAM, expired, stray])
        dialogue, scram = playbook.connects(), client(password, username)
        sends_first(dialogue, scram)
        sends_final(dialogue, scram)
        answer = refusal(playbook, dialogue)
        assert (answer.error_code, answer.error_message, answer.auth_bytes) == (58, FAILURE, b"")
        assert dialogue.end_line["detail"] == failure
        assert playbook.metrics.authentication_failures == {failure: 1}


@pytest.mark.parametrize("token", [b"", b"\xff", b"n,,n=johndoe,r=abc,tokenauth=true", b"n,a=jane,n=johndoe,r=abc"])
def test_a_first_message_that_is_none(token: bytes) -> None:
    with Playbook() as playbook:
        playbook.registry.apply([ZONE], [FIRST])
        dialogue = playbook.connects()
        dialogue.client_sends(17, 1, mechanism="SCRAM-SHA-512")
        dialogue.client_receives()
        dialogue.client_sends(36, 2, auth_bytes=token)
        answer = refusal(playbook, dialogue)
        assert (answer.error_code, answer.error_message) == (58, FAILURE)
        assert dialogue.end_line["detail"] == "malformed_token"


# the mechanism alone


def registry(*credentials: Credential, cluster_id: str = "the-cluster") -> ZoneRegistry:
    zones = ZoneRegistry(GatewayMetrics())
    zones.identify("", cluster_id)
    zones.apply([ZONE], credentials)
    return zones


def challenge(zones: ZoneRegistry, username: str, now: float = 0.0) -> str:
    step = ScramSha512(zones).begin().step(f"n,,n={username},r=abc".encode(), now)
    assert isinstance(step, Challenge)
    return step.token.decode()


def test_an_unknown_name_has_a_salt_like_any_other_at_every_gateway() -> None:
    one, two = challenge(registry(FIRST), "nobody"), challenge(registry(FIRST), "nobody")
    assert one.split(",")[1:] == two.split(",")[1:]
    assert one.split(",")[0] != two.split(",")[0], "the nonce is another one each time"
    known = challenge(registry(FIRST), "johndoe")
    form = r"r=abc[\w-]{32},s=[A-Za-z0-9+/]{22}==,i=4096"
    assert re.fullmatch(form, one)
    assert re.fullmatch(form, known)
    assert f"s={b64encode(SALT).decode()}," in known
    elsewhere = challenge(registry(FIRST, cluster_id="another-cluster"), "nobody")
    assert elsewhere.split(",")[1] != one.split(",")[1], "who knows another cluster's salts knows nothing of these"
    assert challenge(registry(WITHOUT_SCRAM), "johndoe").split(",")[1] != known.split(",")[1]


def test_of_different_salts_the_first_that_is_still_valid_counts() -> None:
    expired, valid = credential(1, "one", new_salt(), expires=100.0), credential(2, "two")
    zones = registry(expired, valid)
    assert f"s={b64encode(SALT).decode()}," in challenge(zones, "johndoe", now=100.0)
    assert f"s={b64encode(SALT).decode()}," not in challenge(zones, "johndoe", now=99.0)


@pytest.mark.parametrize(
    ("before", "after"),
    [(",r=", ",r=x"), ("c=biws", "c=" + b64encode(b"y,,").decode()), ("c=biws", "c=biw"), (",p=", ",x=y,p=")],
)
def test_a_final_message_that_belongs_to_another_conversation(before: str, after: str) -> None:
    conversation, scram = ScramSha512(registry(FIRST)).begin(), client("first")
    step = conversation.step(scram.get_client_first().encode(), 0.0)
    assert isinstance(step, Challenge)
    scram.set_server_first(step.token.decode())
    token = scram.get_client_final().replace(before, after, 1)
    assert conversation.step(token.encode(), 0.0) == Refused("malformed_token", None)


def test_a_password_that_is_revoked_between_the_messages() -> None:
    zones = registry(FIRST, SECOND)
    for password, accepted in (("first", False), ("second", True)):
        zones.apply([ZONE], [FIRST, SECOND])
        conversation, scram = ScramSha512(zones).begin(), client(password)
        step = conversation.step(scram.get_client_first().encode(), 0.0)
        assert isinstance(step, Challenge)
        scram.set_server_first(step.token.decode())
        zones.apply([ZONE], [SECOND])
        assert isinstance(conversation.step(scram.get_client_final().encode(), 0.0), Accepted) == accepted


def test_a_replayed_proof_is_none() -> None:
    zones, scram = registry(FIRST), client("first")
    conversation = ScramSha512(zones).begin()
    first = scram.get_client_first().encode()
    step = conversation.step(first, 0.0)
    assert isinstance(step, Challenge)
    scram.set_server_first(step.token.decode())
    final = scram.get_client_final().encode()
    assert isinstance(conversation.step(final, 0.0), Accepted)
    again = ScramSha512(zones).begin()
    again.step(first, 0.0)
    assert isinstance(again.step(final, 0.0), Refused)
