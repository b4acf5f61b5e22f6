"""TLS handshakes over real sockets: in pieces, too slow, given up, and what comes right before and after."""

import contextlib
import socket
import ssl
import struct

import pytest

from proxy.config import Limits
from tests.kafka.waiting import wait_until
from tests.pki import Authority
from tests.unit.proxy.doors import (
    API_VERSIONS,
    HASTY,
    HOST,
    SECONDS,
    ByHand,
    Doors,
    Open,
    ask,
    is_api_versions,
    peer_of,
    receive,
    shake_hands,
)


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
    # long enough for a handshake on a busy machine
    opened = doors(Limits(handshake_seconds=1.5))

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
