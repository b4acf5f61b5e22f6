"""Kafka's protocol by hand, over a plain socket: for what no client library would send, or not in such pieces."""

import socket
import struct
import time
from types import TracebackType
from typing import Any, Protocol, Self

from tests.canary import Canaries, StreamScanner
from tests.integration.gateway import Gateway
from tests.integration.world import Account

SECONDS = 10.0

FETCH = 1
METADATA = 3
SASL_HANDSHAKE = 17
API_VERSIONS = 18
SASL_AUTHENTICATE = 36


def frame(payload: bytes) -> bytes:
    return struct.pack(">i", len(payload)) + payload


def request(key: int, version: int, correlation_id: int, body: bytes, client_id: bytes = b"by-hand") -> bytes:
    """A request of a version without tagged fields."""
    return frame(struct.pack(">hhih", key, version, correlation_id, len(client_id)) + client_id + body)


def api_versions(correlation_id: int) -> bytes:
    return request(API_VERSIONS, 0, correlation_id, b"")


def metadata(correlation_id: int) -> bytes:
    """For all topics."""
    return request(METADATA, 1, correlation_id, struct.pack(">i", -1))


def metadata_of(correlation_id: int, topic: str, version: int) -> bytes:
    """For one topic; before version 4 this means that it may be created, from then on it is said here."""
    may_create = b"\1" if version >= 4 else b""
    return request(METADATA, version, correlation_id, struct.pack(">i", 1) + text(topic) + may_create)


def handshake(correlation_id: int) -> bytes:
    return request(SASL_HANDSHAKE, 1, correlation_id, b"\0\5PLAIN")


def authenticate(correlation_id: int, user: str, password: str) -> bytes:
    token = f"\0{user}\0{password}".encode()
    return request(SASL_AUTHENTICATE, 0, correlation_id, struct.pack(">i", len(token)) + token)


def fetch(correlation_id: int, topic: str, partition: int, offset: int, max_wait_ms: int) -> bytes:
    """Of one partition, waiting for the first byte."""
    head = struct.pack(">iiiibi", -1, max_wait_ms, 1, 1_000_000, 0, 1)
    wanted = struct.pack(">iiqi", 1, partition, offset, 1_000_000)
    return request(FETCH, 4, correlation_id, head + text(topic) + wanted)


def text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()


class Place(Protocol):
    """Where to connect to, and what must not be seen there."""

    gateway: Gateway
    canaries: Canaries


class Connection:
    """Straight to the gateway: a tap would put together what a test has cut into pieces. It scans by itself."""

    def __init__(self, place: Place, broker: int | None = None) -> None:
        gateway = place.gateway
        port = gateway.port if broker is None else gateway.broker_port(broker)
        self._gateway = gateway
        # the port of a client that has gone is somebody else's soon
        self._logged_before = gateway.log_text().count("\n")
        # and bound beforehand, it is none of a connection of ours whose end is being logged
        self._socket = socket.create_connection((gateway.host, port), SECONDS, ("", 0))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        host, port = self._socket.getsockname()[:2]
        self.peer = f"{host}:{port}"
        self._scanner = StreamScanner(place.canaries, f"the connection {self.peer}")
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def end(self) -> dict[str, Any]:
        """What the gateway's log says of this connection's end, once it is there."""
        return self._gateway.wait_for_log(
            lambda entry: entry.get("event") == "connection_end" and entry["peer"] == self.peer,
            f"the end of {self.peer}",
            self._logged_before,
        )

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def send_slowly(self, data: bytes) -> None:
        """Byte by byte, each in a packet of its own."""
        for byte in data:
            self._socket.sendall(bytes([byte]))
            time.sleep(0)

    def finish(self) -> None:
        """Say that nothing more will come."""
        self._socket.shutdown(socket.SHUT_WR)

    def receive(self, correlation_id: int) -> bytes:
        """The next response, which must be this one; its body."""
        (size,) = struct.unpack(">i", self._read(4))
        body = self._read(size)
        assert struct.unpack_from(">i", body)[0] == correlation_id
        return body[4:]

    def sign_in(self, account: Account) -> None:
        self.send(handshake(1))
        assert self.receive(1)[:2] == b"\0\0"
        self.send(authenticate(2, account.user, account.password))
        assert self.receive(2)[:2] == b"\0\0"

    def is_ended(self) -> bool:
        """True once the other side has closed, False when it sends something first; waits for one of the two."""
        try:
            return not self._receive()
        except ConnectionResetError:
            return True

    def _read(self, size: int) -> bytes:
        while len(self._received) < size:
            chunk = self._receive()
            assert chunk, f"the gateway closed the connection after {len(self._received)} of {size} bytes"
            self._received += chunk
        data, self._received = self._received[:size], self._received[size:]
        return data

    def _receive(self) -> bytes:
        chunk = self._socket.recv(65536)
        self._scanner.feed(chunk)
        return chunk
