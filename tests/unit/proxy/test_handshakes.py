"""TLS on listeners, over real sockets: who gets in, who is refused, and what both sides are told."""

import contextlib
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from proxy.config import Limits, ListenerConfig, ListenerTls
from tests.kafka.waiting import wait_until
from tests.pki import Authority, Pair
from tests.unit.controlplane.test_serve import free_port
from tests.unit.proxy.doors import API_VERSIONS, LOOPS, SECONDS, ByHand, Doors, ask, peer_of, receive

HOST = "gateway.example.com"
NAMES = (HOST, *(f"broker{broker}-{HOST}" for broker in (1, 2, 77)))
PATIENT = Limits()
HASTY = Limits(handshake_seconds=0.2)

Open = Callable[..., Doors]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def pair(authority: Authority) -> Pair:
    return authority.issue("server", *NAMES)


@pytest.fixture
def listener(pair: Pair, authority: Authority) -> Callable[..., ListenerConfig]:
    """A listener: listener(security_protocol, **more of ListenerConfig and ListenerTls)."""

    def make(protocol: str = "SASL_SSL", min_version: str = "TLSv1.2", **more: Any) -> ListenerConfig:
        tls = ListenerTls(
            certificate=str(pair.certificate),
            key=str(pair.key),
            client_ca=str(authority.file) if protocol == "SSL" else None,
            min_version=min_version,  # type: ignore[arg-type]
        )
        return ListenerConfig(
            host="127.0.0.1",
            port=free_port(),
            min_broker_id=10_000,  # so that no port is opened but the one to bootstrap
            advertised_host=HOST,
            security_protocol=protocol,  # type: ignore[arg-type]
            tls=tls if protocol != "SASL_PLAINTEXT" else None,
            **more,
        )

    return make


@pytest.fixture(params=list(LOOPS))
def doors(request: pytest.FixtureRequest, listener: Callable[..., ListenerConfig]) -> Iterator[Open]:
    """Opens one listener, on each kind of loop: doors(limits, **what `listener` takes)."""
    with contextlib.ExitStack() as stack:
        yield lambda limits=PATIENT, **more: stack.enter_context(
            Doors(LOOPS[request.param](), limits, listener(**more))
        )


def is_api_versions(received: bytes) -> bool:
    return received[:6] == struct.pack(">ih", 7, 0)


def shake_hands(doors: Doors, context: ssl.SSLContext, name: str | None = HOST) -> ssl.SSLSocket:
    client = doors.connect()
    try:
        return context.wrap_socket(client, server_hostname=name)
    except BaseException:
        client.close()
        raise


def refused(doors: Doors, context: ssl.SSLContext, name: str | None = HOST) -> tuple[str, dict[str, Any]]:
    """The alert that a client is sent, and the log line of its end. A client of TLS 1.3 sees it when it reads."""
    with doors.connect() as client:
        peer = peer_of(client)
        with pytest.raises(ssl.SSLError) as caught, context.wrap_socket(client, server_hostname=name) as tls:
            tls.recv(1)
        return str(caught.value.reason), doors.end_of(peer)


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
        assert is_api_versions(ask(client))
        (session,) = opened.services.sessions
        assert session._transport is not None
        subject = session._transport.get_extra_info("ssl_object").getpeercert()["subject"]
        assert (("commonName", "johndoe"),) in subject


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


@pytest.mark.parametrize("sent", [API_VERSIONS, b"GET / HTTP/1.1\r\n\r\n", b"\0"], ids=["kafka", "http", "one byte"])
def test_plaintext_on_a_tls_port(doors: Open, sent: bytes) -> None:
    opened = doors()

    with opened.connect() as client:
        client.sendall(sent)
        assert client.recv(1) == b""
        line = opened.end_of(client)

    assert (line["reason"], line["detail"]) == ("plaintext_on_tls_port", "a client without TLS on a TLS port")


def test_tls_on_a_plaintext_port(doors: Open, authority: Authority) -> None:
    opened = doors(protocol="SASL_PLAINTEXT")

    with opened.connect() as client:
        client.sendall(ByHand(authority.client_context(), HOST).hello())
        assert client.recv(1) == b""
        line = opened.end_of(client)

    assert (line["reason"], line["detail"]) == ("tls_on_plaintext_port", "a TLS client on a plaintext port")


def test_garbage_that_begins_like_tls(doors: Open) -> None:
    opened = doors()

    with opened.connect() as client:
        client.sendall(b"\x16\x03\x01\x00\x10" + b"\xff" * 16)
        receive(client, 100)
        assert opened.end_of(client)["reason"] == "tls_handshake_failed"


@pytest.mark.parametrize("part", [0, 1, 5, 60])
@pytest.mark.parametrize("how", ["close", "half close", "reset"])
def test_a_client_that_goes_in_its_handshake(doors: Open, authority: Authority, part: int, how: str) -> None:
    opened = doors()
    client = opened.connect()
    peer = peer_of(client)
    client.sendall(ByHand(authority.client_context(), HOST).hello()[:part])
    # a connection that is reset before it is accepted may never be
    wait_until(lambda: opened.services.arriving, "the connection is accepted", SECONDS)
    if how == "half close":
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    elif how == "reset":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()

    line = opened.end_of(peer)
    assert (line["reason"], line["detail"]) == ("client_closed", "in the TLS handshake")
    assert not opened.services.arriving


@pytest.mark.parametrize("part", [0, 1, 60])
def test_a_handshake_that_takes_too_long(doors: Open, authority: Authority, part: int) -> None:
    opened = doors(HASTY)

    with opened.connect() as client:
        client.sendall(ByHand(authority.client_context(), HOST).hello()[:part])
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
        line = opened.end_of(client)

    assert (line["reason"], line["detail"]) == (
        "tls_handshake_deadline",
        "no end of the TLS handshake after 0.2 s",
    )


def test_the_handshakes_deadline_is_not_the_sessions(doors: Open, authority: Authority) -> None:
    opened = doors(HASTY)

    with shake_hands(opened, authority.client_context()) as client, opened.connect() as late:
        opened.end_of(late)
        assert is_api_versions(ask(client))


def test_a_stop_in_handshakes(doors: Open, authority: Authority) -> None:
    opened = doors()
    with opened.connect() as silent, opened.connect() as begun:
        begun.sendall(ByHand(authority.client_context(), HOST).hello())
        assert begun.recv(1), "the server's part of the handshake"
        opened.run(_stop(opened))
        lines = [opened.end_of(silent), opened.end_of(begun)]

    assert [line["reason"] for line in lines] == ["shutdown", "shutdown"]


async def _stop(doors: Doors) -> None:
    for arriving in list(doors.services.arriving):
        arriving.abort()


def test_a_handshake_of_single_bytes(doors: Open, authority: Authority) -> None:
    opened = doors()
    by_hand = ByHand(authority.client_context(), HOST)

    with opened.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in by_hand.hello():
            client.sendall(bytes([byte]))
        by_hand.finish(client)
        by_hand.tls.write(API_VERSIONS)
        for byte in by_hand.outgoing.read():
            client.sendall(bytes([byte]))
        assert is_api_versions(by_hand.answer(client))


def test_a_request_that_comes_with_the_end_of_the_handshake(doors: Open, authority: Authority) -> None:
    opened = doors()
    by_hand = ByHand(authority.client_context(), HOST)

    with opened.connect() as client:
        client.sendall(by_hand.hello())
        by_hand.finish(client)
        by_hand.tls.write(API_VERSIONS)
        client.sendall(by_hand.outgoing.read())
        assert is_api_versions(by_hand.answer(client))


def test_what_was_sent_before_a_handshake_is_not_taken_for_what_is_sent_in_it(
    doors: Open, authority: Authority
) -> None:
    opened = doors()

    with opened.connect() as client:
        client.sendall(API_VERSIONS + ByHand(authority.client_context(), HOST).hello())
        assert client.recv(1) == b""
        assert opened.end_of(client)["reason"] == "plaintext_on_tls_port"


def test_many_clients_at_once(doors: Open, authority: Authority) -> None:
    opened = doors()
    hands = [ByHand(authority.client_context(), HOST) for _ in range(50)]

    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(opened.connect()) for _ in hands]
        for by_hand, client in zip(hands, clients, strict=True):
            client.sendall(by_hand.hello())
        for by_hand, client in zip(hands, clients, strict=True):
            by_hand.finish(client)
            by_hand.tls.write(API_VERSIONS)
            client.sendall(by_hand.outgoing.read())
        for by_hand, client in zip(hands, clients, strict=True):
            assert is_api_versions(by_hand.answer(client))


def test_a_client_that_ends_only_its_own_side(doors: Open, authority: Authority) -> None:
    """As from a plaintext port: the connection ends, after what was asked before is answered."""
    opened = doors()
    by_hand = ByHand(authority.client_context(), HOST)

    with opened.connect() as client:
        client.sendall(by_hand.hello())
        by_hand.finish(client)
        by_hand.tls.write(API_VERSIONS)
        with pytest.raises(ssl.SSLWantReadError):
            by_hand.tls.unwrap()
        client.sendall(by_hand.outgoing.read())
        assert is_api_versions(by_hand.answer(client))
        assert by_hand.reads_end(client)
        assert opened.end_of(client)["reason"] == "client_closed"


def test_a_damaged_record_ends_the_connection(doors: Open, authority: Authority) -> None:
    opened = doors()
    with shake_hands(opened, authority.client_context()) as client:
        assert is_api_versions(ask(client))
        peer = peer_of(client)
        with socket.socket(fileno=client.detach()) as raw:
            raw.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
            line = opened.end_of(peer)

    assert (line["reason"], "DECRYPTION_FAILED_OR_BAD_RECORD_MAC" in line["detail"]) == ("client_closed", True)


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
        for position, context in ((1, authority.client_context()), (2, authority.client_context(certificate))):
            with context.wrap_socket(opened.connect(position), server_hostname=HOST) as client:
                assert is_api_versions(ask(client))
                assert opened.end_of_closed(client)["listener"] == configs[position].name


def test_no_session_is_kept(doors: Open, authority: Authority) -> None:
    with shake_hands(doors(), authority.client_context()) as client:
        assert is_api_versions(ask(client))
        assert client.session is None or not client.session.has_ticket
