"""TLS on listeners, over real sockets: who gets in, who is refused, and what both sides are told."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from proxy.config import ListenerConfig
from tests.pki import Authority, Pair
from tests.unit.proxy.doors import (
    HOST,
    LOOPS,
    NAMES,
    PATIENT,
    ByHand,
    Doors,
    Open,
    ask,
    is_api_versions,
    is_refused,
    peer_of,
    receive,
    refused,
    shake_hands,
)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_get_in(doors: Open, authority: Authority, version: ssl.TLSVersion) -> None:
    opened = doors()
    context = authority.client_context()
    context.minimum_version = context.maximum_version = version

    with shake_hands(opened, context) as client:
        assert client.version() == version.name.replace("_", ".")
        assert is_api_versions(ask(client))
        peer = peer_of(client)
    line = opened.end_of(peer)

    assert (line["reason"], line["listener"]) == ("client_closed", "default")
    assert opened.services.metrics.connections_opened == 1
    assert opened.services.metrics.connections_closed == {"client_closed": 1}


def test_an_older_version_is_refused(doors: Open, authority: Authority) -> None:
    context = authority.client_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1

    alert, line = refused(doors(), context)

    assert alert == "TLSV1_ALERT_PROTOCOL_VERSION"
    assert (line["reason"], line["detail"]) == ("tls_handshake_failed", "UNSUPPORTED_PROTOCOL")


def test_a_listener_may_want_the_newest_version(doors: Open, authority: Authority) -> None:
    context = authority.client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    alert, line = refused(doors(min_version="TLSv1.3"), context)

    assert alert == "TLSV1_ALERT_PROTOCOL_VERSION"
    assert line["reason"] == "tls_handshake_failed"


@pytest.mark.parametrize(
    ("name", "broker"),
    [(HOST, None), (f"broker1-{HOST}", 1), (f"BROKER2-{HOST.upper()}", 2), (f"broker77-{HOST}", 77)],
    ids=["bootstrap", "broker", "capitals", "a broker that is not known yet"],
)
def test_a_server_name_leads_to_its_broker(doors: Open, authority: Authority, name: str, broker: int | None) -> None:
    opened = doors(routing="sni")

    with shake_hands(opened, authority.client_context(), name) as client:
        assert is_api_versions(ask(client))
        peer = peer_of(client)

    assert opened.end_of(peer)["broker"] == broker


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("elsewhere.example.com", "asked for 'elsewhere.example.com'"),
        (f"broker01-{HOST}", f"asked for 'broker01-{HOST}'"),
        (f"broker-{HOST}", f"asked for 'broker-{HOST}'"),
        (f"broker99999999999-{HOST}", f"asked for 'broker99999999999-{HOST}'"),
        (None, "asked for no server name"),
    ],
)
def test_an_unknown_server_name_is_refused(doors: Open, authority: Authority, name: str | None, detail: str) -> None:
    opened = doors(routing="sni")
    context = authority.client_context()
    context.check_hostname = False

    alert, line = refused(opened, context, name)

    assert alert == "TLSV1_UNRECOGNIZED_NAME"
    assert (line["reason"], line["detail"]) == ("unknown_server_name", detail)
    assert opened.services.metrics.connections_closed == {"unknown_server_name": 1}


# Python itself complains; tests/unit/controlplane/test_logs.py shows what becomes of it
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_server_name_of_other_bytes_is_refused(doors: Open, authority: Authority) -> None:
    opened = doors(routing="sni")
    hello = ByHand(authority.client_context(), HOST).hello()
    assert hello.count(HOST.encode()) == 1

    with opened.connect() as client:
        client.sendall(hello.replace(HOST.encode(), b"\xff" * len(HOST)))
        received = receive(client, 100)

        assert received == bytes.fromhex("15 0303 0002 02 50"), "a fatal alert, Python's own: internal_error"
        line = opened.end_of(client)

    assert (line["reason"], line["detail"]) == ("unknown_server_name", "asked for a server name that is no text")


def test_with_ports_any_server_name_will_do(doors: Open, authority: Authority) -> None:
    context = authority.client_context()
    context.check_hostname = False

    for name in ("elsewhere.example.com", None):
        with shake_hands(doors(), context, name) as client:
            assert is_api_versions(ask(client))


def test_a_client_certificate_of_our_authority_gets_in(doors: Open, authority: Authority) -> None:
    opened = doors(protocol="SSL")

    with shake_hands(opened, authority.client_context(authority.issue("client", common_name="johndoe"))) as client:
        # the handshake is done, and there is no zone that the certificate could belong to
        assert is_refused(ask(client))


LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)

REFUSED_CERTIFICATES = {
    "none": ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "PEER_DID_NOT_RETURN_A_CERTIFICATE"),
    "expired": ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "CERTIFICATE_VERIFY_FAILED: certificate has expired"),
    "another authority's": (
        "TLSV1_ALERT_UNKNOWN_CA",
        "CERTIFICATE_VERIFY_FAILED: unable to get local issuer certificate",
    ),
}


@pytest.mark.parametrize("kind", REFUSED_CERTIFICATES)
def test_other_clients_are_refused(doors: Open, authority: Authority, tmp_path: Path, kind: str) -> None:
    certificate = None
    if kind == "expired":
        certificate = authority.issue("client", common_name="x", not_before=LONG_AGO, not_after=LONG_AGO + timedelta(1))
    elif kind == "another authority's":
        certificate = Authority(tmp_path, "another").issue("client", common_name="x")

    alert, line = refused(doors(protocol="SSL"), authority.client_context(certificate))

    assert (alert, line["detail"]) == REFUSED_CERTIFICATES[kind]
    assert line["reason"] == "tls_handshake_failed"


def test_a_client_that_does_not_trust_us_says_so(doors: Open, tmp_path: Path) -> None:
    opened = doors()
    with opened.connect() as client:
        peer = peer_of(client)
        with pytest.raises(ssl.SSLCertVerificationError):
            Authority(tmp_path, "another").client_context().wrap_socket(client, server_hostname=HOST)

    line = opened.end_of(peer)
    assert (line["reason"], line["detail"]) == ("tls_handshake_failed", "TLSV1_ALERT_UNKNOWN_CA")


def test_a_new_certificate_is_shown_to_new_clients_only(
    doors: Open, authority: Authority, pair: Pair, tmp_path: Path
) -> None:
    opened = doors()
    another = Authority(tmp_path, "another")

    with shake_hands(opened, authority.client_context()) as before:
        another.issue("next", *NAMES).move_to(pair)
        opened.use_certificates()
        with shake_hands(opened, another.client_context()) as after:
            assert is_api_versions(ask(before))
            assert is_api_versions(ask(after))
        with pytest.raises(ssl.SSLCertVerificationError):
            shake_hands(opened, authority.client_context())
        assert is_api_versions(ask(before))


@pytest.mark.parametrize("loop", LOOPS)
def test_several_listeners_side_by_side(
    loop: str, listener: Callable[..., ListenerConfig], authority: Authority
) -> None:
    configs = [
        listener("SASL_PLAINTEXT", name="inside"),
        listener("SASL_SSL", name="outside"),
        listener("SSL", name="machines"),
    ]
    certificate = authority.issue("client", common_name="johndoe")

    with Doors(LOOPS[loop](), PATIENT, *configs) as opened:
        with opened.connect(0) as client:
            assert is_api_versions(ask(client))
            assert opened.end_of_closed(client)["listener"] == "inside"
        with_certificate = authority.client_context(certificate)
        for position, context, expected in (
            (1, authority.client_context(), is_api_versions),
            (2, with_certificate, is_refused),
        ):
            with context.wrap_socket(opened.connect(position), server_hostname=HOST) as client:
                assert expected(ask(client))
                assert opened.end_of_closed(client)["listener"] == configs[position].name


def test_no_session_is_kept(doors: Open, authority: Authority) -> None:
    with shake_hands(doors(), authority.client_context()) as client:
        assert is_api_versions(ask(client))
        assert client.session is None or not client.session.has_ticket
