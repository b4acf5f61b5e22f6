"""MTLS: a listener on which the certificate of the TLS handshake is all that a client shows."""

import datetime
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from policies.zone import Zone
from protocol.api_versions import ranges_of
from protocol.headers import frame
from proxy.close import CloseReason
from proxy.config import ListenerConfig
from tests.unit.proxy.playbook import CONFIG, LIMITS, ZONE, Dialogue, Playbook

HEARTBEAT, METADATA = 12, 3
RULES = "RULE:^CN=([a-z]+),O=Partners$/$1/"
DELAY = LIMITS.failed_authentication_delay_seconds

ENDS = datetime.datetime(2031, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)
MTLS_ZONE = replace(ZONE, authentication="MTLS")
PASSWORD_ZONE = replace(ZONE, name="other", service_account="jane")


@cache
def certificate(name: str, organization: str = "Partners") -> bytes:
    """As the TLS handshake has verified it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    begins = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 1, begins, ENDS)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def play(rules: str = RULES, zones: Sequence[Zone] = (MTLS_ZONE, PASSWORD_ZONE)) -> Playbook:
    listener = ListenerConfig(
        advertised_host="gateway", security_protocol="SSL", mechanisms=(), broker_ports_start=9100
    )
    return Playbook(zones, config=replace(CONFIG, listeners=(listener,), principal_mapping_rules=rules))


def test_a_certificate_is_all_that_it_takes() -> None:
    with play() as playbook:
        dialogue = playbook.connects(certificate=certificate("johndoe"))
        dialogue.client_sends(HEARTBEAT, 4, group_id="g")
        got = dialogue.broker_gets()
        assert (got.client_id, got.message.group_id) == ("partner:app", "partner:g")
        principal = dialogue.session._authentication.principal
        assert principal is not None
        assert (principal.username, principal.mechanism, principal.credential) == ("johndoe", "MTLS", None)
        assert principal.expires == ENDS.timestamp()
        assert playbook.metrics.connections == {"partner": 1}
        dialogue.client.hang_up()
        assert dialogue.end_line["user"] == "johndoe"
        assert playbook.metrics.connections == {"partner": 0}


@pytest.mark.parametrize("version", range(5))
def test_api_versions_as_usual(version: int) -> None:
    with play() as playbook:
        dialogue = playbook.connects(certificate=certificate("johndoe"))
        dialogue.client_sends(18, version, **named(version))
        assert ranges_of(dialogue.client_receives())[18] == (0, 4)


def named(version: int) -> dict[str, str]:
    return {"client_software_name": "app", "client_software_version": "1"} if version >= 3 else {}


def test_sasl_is_an_illegal_state() -> None:
    """As on an SSL listener of a broker."""
    with play() as playbook:
        dialogue = playbook.connects(certificate=certificate("johndoe"))
        dialogue.client_sends(17, 1, mechanism="PLAIN")
        answer = dialogue.client_receives()
        assert (answer.error_code, answer.mechanisms) == (34, ())
        dialogue.client_sends(36, 2, auth_bytes=b"\0johndoe\0password")
        answer = dialogue.client_receives()
        assert answer.error_code == 34
        assert answer.error_message == "SaslAuthenticate request received after successful authentication"
        assert dialogue.ended == ""


def test_the_default_rule_takes_the_whole_subject() -> None:
    zone = replace(MTLS_ZONE, service_account="CN=johndoe,O=Partners")
    with play("DEFAULT", (zone,)) as playbook:
        dialogue = playbook.connects(certificate=certificate("johndoe"))
        dialogue.client_sends(HEARTBEAT, 4, group_id="g")
        assert dialogue.broker_gets().client_id == "partner:app"


REFUSED = {
    "nobody": (certificate("nobody"), "unknown_certificate", "CN=nobody,O=Partners", "nobody"),
    "no rule": (certificate("johndoe", "Others"), "unknown_certificate", "CN=johndoe,O=Others", None),
    "the name of a zone": (certificate("partner"), "unknown_certificate", "CN=partner,O=Partners", "partner"),
    "another mode": (certificate("jane"), "wrong_mode", "CN=jane,O=Partners", "jane"),
    "a line end": (certificate("johndoe\n"), "unknown_certificate", "CN=johndoe\n,O=Partners", None),
}


def refused(case: str, playbook: Playbook) -> Dialogue:
    return playbook.connects(certificate=REFUSED[case][0])


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("version", [0, 1, 2, 3, 4, 5, 9])
def test_a_refused_certificate_is_told_so_once(case: str, version: int, caplog: pytest.LogCaptureFixture) -> None:
    _, reason, subject, account = REFUSED[case]
    with play() as playbook:
        dialogue = refused(case, playbook)
        assert playbook.metrics.authentication_failures == {reason: 1}, "known before anything is asked"
        if version <= 4:
            dialogue.client_sends(18, version, **named(version))
        else:
            dialogue.client_sends_bytes(frame(b"\0\x12" + version.to_bytes(2, "big") + b"\0\0\0\x09\0\x01c\0"))
        dialogue.client_sends(18, 0)
        dialogue.client_receives_nothing()
        playbook.loop.advance(DELAY)
        if version <= 4:
            answer = dialogue.client_receives()
            assert (answer.error_code, answer.api_keys) == (31, ())
        else:
            assert dialogue.client_receives_bytes() == frame(b"\0\0\0\x09\0\x1f\0\0\0\0"), "a version 0 body"
        dialogue.client_receives_nothing()
        dialogue.expect_end(CloseReason.AUTHENTICATION_FAILED)
        assert (dialogue.end_line["detail"], dialogue.end_line["zone"], dialogue.end_line["user"]) == (reason, "", "")
        assert playbook.metrics.authentication_failures == {reason: 1}
        assert playbook.metrics.connections == {}
    logged = [record.__dict__ for record in caplog.records if record.__dict__.get("event") == "certificate_refused"]
    assert [(each["reason"], each["subject"], each["account"]) for each in logged] == [(reason, subject, account)]


@pytest.mark.parametrize(
    "data",
    [
        frame(b"\0\x03\0\x09\0\0\0\x01\0\x01c\0\0\0\0\0"),
        frame(b"\0\x11\0\x01\0\0\0\x01\0\x01c\0\x05PLAIN"),
        frame(b"\0\x00\0\x09\0\0\0\x01\0\x01c" + bytes(30)),
    ],
)
def test_other_requests_of_a_refused_certificate_get_no_answer(data: bytes) -> None:
    with play() as playbook:
        dialogue = refused("another mode", playbook)
        dialogue.client_sends_bytes(data)
        assert dialogue.ended == ""
        playbook.loop.advance(DELAY)
        dialogue.client_receives_nothing()
        dialogue.expect_end(CloseReason.AUTHENTICATION_FAILED)


@pytest.mark.parametrize("data", [b"", b"no certificate", certificate("johndoe")[:-1]])
def test_what_can_t_be_read_is_unknown(data: bytes) -> None:
    with play() as playbook:
        playbook.connects(certificate=data)
        assert playbook.metrics.authentication_failures == {"unknown_certificate": 1}


def test_a_refused_client_that_says_nothing_meets_the_deadline() -> None:
    with play() as playbook:
        dialogue = refused("nobody", playbook)
        opened = dialogue.session._deadlines.opened
        dialogue.session.check_deadlines(opened + LIMITS.authentication_seconds - 1)
        assert dialogue.ended == ""
        dialogue.session.check_deadlines(opened + LIMITS.authentication_seconds + 1)
        dialogue.expect_end(CloseReason.AUTHENTICATION_DEADLINE)


def test_a_client_that_leaves_before_it_is_told() -> None:
    with play() as playbook:
        dialogue = refused("nobody", playbook)
        dialogue.client.hang_up()
        dialogue.expect_end(CloseReason.AUTHENTICATION_FAILED)
        assert dialogue.end_line["detail"] == "unknown_certificate"
        assert playbook.metrics.authentication_failures == {"unknown_certificate": 1}


def test_a_password_of_an_mtls_zone_is_worth_nothing() -> None:
    with Playbook((MTLS_ZONE,)) as playbook:
        dialogue = playbook.connects()
        with pytest.raises(AssertionError):
            dialogue.signs_in()
        assert playbook.metrics.authentication_failures == {"invalid_credentials": 1}
