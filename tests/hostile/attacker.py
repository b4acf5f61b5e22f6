"""A client that means no good: raw sockets from any source address, bytes as they please.

Whatever it receives is scanned for canaries, as with every other client of the tests.
"""

import itertools
import selectors
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Self

from protocol.codec import decode, encode
from protocol.headers import encode_client_id, request_head
from protocol.sasl import build_plain
from protocol.schema import Message, request_struct, response_struct
from tests.canary import Canaries, StreamScanner
from tests.hostile.fort import Fort
from tests.integration.world import Account

SECONDS = 15.0
PRODUCE, FETCH = 0, 1
SASL_HANDSHAKE, API_VERSIONS, SASL_AUTHENTICATE = 17, 18, 36


def request(key: int, version: int, correlation_id: int, message: Message | None = None, /, **fields: Any) -> bytes:
    """One request's frame."""
    schema = request_struct(key, version)
    return request_of(key, version, correlation_id, bytes(encode(message or schema.new(**fields))))


def request_of(key: int, version: int, correlation_id: int, body: bytes) -> bytes:
    """A request with a body of any bytes."""
    flexible = request_struct(key, version).flexible
    head = request_head(len(body), key, version, correlation_id, encode_client_id(b"attacker"), flexible)
    return bytes(head) + body


class Attacker:
    """One connection."""

    def __init__(
        self, fort: Fort, source: str = "127.0.0.1", broker: int | None = None, window: int | None = None
    ) -> None:
        """`window` is the size of the socket's receive buffer."""
        gateway = fort.gateway
        port = gateway.port if broker is None else gateway.broker_port(broker)
        self._connect((gateway.host, port), source, fort.canaries, window)

    @classmethod
    def to(cls, address: tuple[str, int]) -> Self:
        """A connection to anything that speaks Kafka."""
        attacker = cls.__new__(cls)
        attacker._connect(address, "127.0.0.1", Canaries())
        return attacker

    def _connect(self, address: tuple[str, int], source: str, canaries: Canaries, window: int | None = None) -> None:
        self.socket = socket.socket()
        self.socket.settimeout(SECONDS)
        if window is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self.socket.bind((source, 0))
        self.socket.connect(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        host, port = self.socket.getsockname()[:2]
        self.peer = f"{host}:{port}"
        self._scanner = StreamScanner(canaries, f"the attacker {self.peer}")
        self._received = b""
        self._ids = itertools.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def finish(self) -> None:
        """Say that nothing more will come."""
        self.socket.shutdown(socket.SHUT_WR)

    def ask(self, key: int, version: int, message: Message | None = None, /, **fields: Any) -> Message:
        """One request and its decoded answer."""
        correlation_id = next(self._ids)
        self.send(request(key, version, correlation_id, message, **fields))
        schema = response_struct(key, version)
        frame = self.receive(correlation_id)
        return decode(schema, frame, 4 + (schema.flexible and key != API_VERSIONS))

    def sign_in(self, account: Account) -> Self:
        assert self.ask(SASL_HANDSHAKE, 1, mechanism="PLAIN").error_code == 0
        token = build_plain(account.user, account.password)
        assert self.ask(SASL_AUTHENTICATE, 2, auth_bytes=token).error_code == 0
        self._scanner.user = account.user
        return self

    def receive(self, correlation_id: int | None = None) -> bytes:
        """The next response, from its correlation id on."""
        (size,) = struct.unpack(">i", self._read(4))
        body = self._read(size)
        received_id = struct.unpack_from(">i", body)[0]
        assert correlation_id in (None, received_id), f"the response to {received_id}, not to {correlation_id}"
        return body

    def correlation_ids(self, count: int) -> list[int]:
        """Of the next responses."""
        return [struct.unpack_from(">i", self.receive())[0] for _ in range(count)]

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
        chunk = self.socket.recv(1 << 18)
        self._scanner.feed(chunk)
        return chunk


def produce_request(correlation_id: int, topic: str, records: bytes) -> bytes:
    """To partition 0."""
    schema = request_struct(PRODUCE, 9)
    entry = schema.nested("topic_data")
    partition = entry.nested("partition_data").new(index=0, records=records)
    topics = (entry.new(name=topic, partition_data=(partition,)),)
    return request(PRODUCE, 9, correlation_id, schema.new(acks=-1, timeout=30_000, topic_data=topics))


def fetch_request(correlation_id: int, topic: str, most: int, min_bytes: int = 1, max_wait: int = 0) -> bytes:
    """Of partition 0, from its beginning."""
    schema = request_struct(FETCH, 12)
    entry = schema.nested("topics")
    partition = entry.nested("partitions").new(partition=0, partition_max_bytes=most)
    topics = (entry.new(topic=topic, partitions=(partition,)),)
    message = schema.new(max_wait=max_wait, min_bytes=min_bytes, max_bytes=2**31 - 1, topics=topics)
    return request(FETCH, 12, correlation_id, message)


def push(attackers: Sequence[Attacker], data: bytes, most: int, quiet_seconds: float) -> list[int]:
    """Send the same bytes again and again on all connections without reading, until none takes any more for a while
    or each has taken `most`; how much each has taken."""
    taken = [0] * len(attackers)
    with selectors.DefaultSelector() as selector:
        for number, attacker in enumerate(attackers):
            attacker.socket.setblocking(False)
            selector.register(attacker.socket, selectors.EVENT_WRITE, number)
        while selector.get_map() and (ready := selector.select(quiet_seconds)):
            for key, _ in ready:
                number = key.data
                try:
                    taken[number] += attackers[number].socket.send(data[taken[number] % len(data) :])
                except BlockingIOError:
                    continue
                except OSError:
                    selector.unregister(key.fileobj)
                    continue
                if taken[number] >= most:
                    selector.unregister(key.fileobj)
    for attacker in attackers:
        attacker.socket.settimeout(SECONDS)
    return taken


def drip(attackers: Sequence[Attacker], data: bytes, each_seconds: float, deadline_seconds: float) -> float:
    """Send one byte to each connection at a time until all are closed by the other side; how long that took."""
    began = time.monotonic()
    position = 0
    with selectors.DefaultSelector() as selector:
        for attacker in attackers:
            selector.register(attacker.socket, selectors.EVENT_READ, attacker)
        while selector.get_map():
            elapsed = time.monotonic() - began
            assert elapsed < deadline_seconds, f"{len(selector.get_map())} still open after {elapsed:.1f} s"
            for key in list(selector.get_map().values()):
                if not _sends(key.data, data[position % len(data)]):
                    selector.unregister(key.fileobj)
            position += 1
            _drop_ended(selector, each_seconds)
    return time.monotonic() - began


def _sends(attacker: Attacker, byte: int) -> bool:
    try:
        attacker.send(bytes([byte]))
    except OSError:
        return False
    return True


def _drop_ended(selector: selectors.BaseSelector, seconds: float) -> None:
    """Wait so long, and forget those whose other side has closed."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and selector.get_map():
        for key, _ in selector.select(left):
            attacker: Attacker = key.data
            if attacker.is_ended():
                selector.unregister(key.fileobj)


def until_ended(attackers: Iterable[Attacker]) -> None:
    """Read until the other side has closed each."""
    for attacker in attackers:
        while not attacker.is_ended():
            pass


@contextmanager
def many(make: Callable[[int], Attacker], count: int) -> Iterator[list[Attacker]]:
    """So many connections, which are closed at the end."""
    with ExitStack() as stack:
        yield [stack.enter_context(make(number)) for number in range(count)]
