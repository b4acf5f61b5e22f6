"""Whatever arrives on the Kafka port ends at most its own connection, with a reason in the log."""

import ssl
import struct
from collections.abc import Callable

import pytest

from tests.integration import wire
from tests.integration.clients.librdkafka import Librdkafka
from tests.integration.wire import Connection
from tests.integration.world import World

pytestmark = pytest.mark.kafka


def tls_hello() -> bytes:
    """What a TLS client sends first."""
    context = ssl.create_default_context()
    to_server = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), to_server, server_hostname="gateway.example.com")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return to_server.read()


BEFORE_SIGN_IN = [
    pytest.param(b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n", "bad_frame", id="http"),
    pytest.param(bytes(range(255, -1, -1)) * 8, "bad_frame", id="garbage"),
    pytest.param(tls_hello(), "tls_on_plaintext_port", id="tls"),
    pytest.param(struct.pack(">i", -1), "bad_frame", id="negative-length"),
    pytest.param(struct.pack(">i", -(2**31)), "bad_frame", id="most-negative-length"),
    pytest.param(struct.pack(">i", 0), "bad_request", id="empty-frame"),
    pytest.param(struct.pack(">i", 2**31 - 1), "bad_frame", id="huge-length"),
    pytest.param(struct.pack(">i", 524_289), "bad_frame", id="too-long-before-sign-in"),
    pytest.param(wire.metadata(1), "not_authenticated", id="request-before-sign-in"),
    pytest.param(wire.authenticate(1, "johndoe", "x"), "not_authenticated", id="token-before-handshake"),
    pytest.param(wire.frame(bytes(8)), "bad_request", id="no-header"),
    pytest.param(wire.request(18, 0, 1, b"")[:10] + b"\x7f\xff", "client_closed", id="cut-in-the-header"),
    pytest.param(wire.request(9999, 0, 1, b""), "not_authenticated", id="no-such-api"),
]

AFTER_SIGN_IN = [
    pytest.param(struct.pack(">i", -1), "bad_frame", id="negative-length"),
    pytest.param(struct.pack(">i", 104_857_601), "bad_frame", id="too-long"),
    pytest.param(wire.request(9999, 0, 3, b""), "unsupported_api", id="no-such-api"),
    pytest.param(wire.request(3, 99, 3, b""), "unsupported_api", id="no-such-version"),
    pytest.param(wire.request(52, 0, 3, bytes(20)), "unsupported_api", id="an-api-that-is-not-offered"),
    pytest.param(wire.request(3, 1, 3, struct.pack(">i", 2**31 - 1)), "bad_request", id="a-count-that-lies"),
    pytest.param(wire.request(3, 1, 3, struct.pack(">ih", 1, 200)), "bad_request", id="a-name-that-lies"),
    pytest.param(wire.request(0, 3, 3, b"\xff" * 40), "bad_request", id="a-bad-produce"),
    pytest.param(wire.request(1, 4, 3, b"\xff" * 60), "bad_request", id="a-bad-fetch"),
    pytest.param(wire.metadata(3)[:-1], "client_closed", id="a-cut-request"),
]


@pytest.mark.parametrize(("data", "reason"), BEFORE_SIGN_IN)
def test_bad_input_before_sign_in(world: World, data: bytes, reason: str) -> None:
    with Connection(world) as connection:
        connection.send(data)
        if reason == "client_closed":
            connection.finish()
        assert connection.is_ended()
        assert connection.end()["reason"] == reason


@pytest.mark.parametrize(("data", "reason"), AFTER_SIGN_IN)
def test_bad_input_after_sign_in(world: World, data: bytes, reason: str) -> None:
    with Connection(world) as connection, Connection(world) as bystander:
        bystander.sign_in(world.supplier)
        connection.sign_in(world.supplier)
        connection.send(data)
        if reason == "client_closed":
            connection.finish()
        assert connection.is_ended()
        assert connection.end()["reason"] == reason
        bystander.send(wire.metadata(9))
        assert world.reading.alias.encode() in bystander.receive(9)


def conversation(send: Callable[[Connection, bytes], None], world: World) -> None:
    with Connection(world) as connection:
        send(connection, wire.api_versions(1))
        assert connection.receive(1)[:2] == b"\0\0"
        send(connection, wire.handshake(2))
        assert connection.receive(2)[:2] == b"\0\0"
        send(connection, wire.authenticate(3, world.guide.user, world.guide.password))
        assert connection.receive(3)[:2] == b"\0\0"
        send(connection, wire.metadata(4) + wire.api_versions(5) + wire.metadata(6))
        for correlation_id in (4, 6):
            if correlation_id == 6:
                connection.receive(5)
            seen = connection.receive(correlation_id)
            assert b"\0\x07topic-a" in seen
            assert b"\0\x07topic-b" in seen


def test_a_whole_conversation_byte_by_byte(world: World) -> None:
    conversation(Connection.send_slowly, world)


def test_a_whole_conversation_in_few_pieces(world: World) -> None:
    conversation(Connection.send, world)


def test_requests_that_come_with_the_sign_in_are_answered_in_order(world: World) -> None:
    with Connection(world) as connection:
        connection.send(
            wire.handshake(1)
            + wire.authenticate(2, world.guide.user, world.guide.password)
            + wire.metadata(3)
            + wire.api_versions(4)
            + wire.metadata(5)
        )
        for correlation_id in range(1, 6):
            connection.receive(correlation_id)


@pytest.mark.parametrize(
    ("user", "password"), [("johndoe", "wrong"), ("nobody", "wrong"), ("", ""), ("johndoe", ""), ("rival", "x" * 5000)]
)
def test_whoever_cannot_sign_in_learns_no_more_than_that(world: World, user: str, password: str) -> None:
    with Connection(world) as connection:
        connection.send(wire.handshake(1))
        connection.receive(1)
        connection.send(wire.authenticate(2, user, password))
        assert b"Authentication failed: Invalid username or password" in connection.receive(2)
        assert connection.is_ended()
        assert connection.end()["reason"] == "authentication_failed"


def test_ordinary_clients_go_on_after_all_that(world: World) -> None:
    assert set(Librdkafka(world.guide).topics()) == {"topic-a", "topic-b"}
    errors = [entry for entry in world.gateway.log() if entry["level"] == "error"]
    assert errors == []
