"""A synchronous client of one broker or gateway port: signs in, sends any version of any API, decodes the answer.

It neither retries nor caches, and picks no broker by itself.
"""

import itertools
import socket
import struct
from collections.abc import Mapping
from functools import cache
from typing import Any

from protocol.codec import decode, encode
from protocol.headers import encode_client_id, request_head
from protocol.schema import Message, Struct, known_versions, request_struct, response_struct
from tests.canary import StreamScanner
from tests.equivalence.apis import Api

SECONDS = 5.0
CLIENT_ID = "equivalence"

SYNONYMS = frozenset({"name", "topic", "topic_id", "generation_id", "generation_id_or_member_epoch"})
"""May be given to any API: what names a topic or a generation has as many names as there are APIs."""

Address = tuple[str, int]


class Closed(Exception):
    """The other side has ended the connection."""


@cache
def field_names(api: int) -> frozenset[str]:
    """Of an API's requests, in any version and depth: to tell a slip from a field that a version lacks."""

    def names(struct: Struct) -> set[str]:
        nested = [names(spec.nested) for spec in struct.fields if spec.nested is not None]
        return set(struct.names).union(*nested)

    first, last = known_versions(api)
    return frozenset().union(*(names(request_struct(api, version)) for version in range(first, last + 1)))


def build(struct: Struct, fields: Mapping[str, Any], known: frozenset[str]) -> Message:
    """A message from nested mappings; what this version lacks is left out."""
    slips = fields.keys() - known - SYNONYMS
    assert not slips, f"no version has a field {slips}"
    values = {}
    for spec in struct.fields:
        if spec.name not in fields:
            continue
        value = fields[spec.name]
        nested = spec.nested
        if value is None:
            pass
        elif nested is not None and spec.array:
            value = tuple(build(nested, item, known) for item in value)
        elif nested is not None:
            value = build(nested, value, known)
        elif spec.array:
            value = tuple(value)
        values[spec.name] = value
    return struct.new(**values)


def request(api: int, version: int, fields: Mapping[str, Any]) -> Message:
    return build(request_struct(api, version), fields, field_names(api))


class Connection:
    """One connection; signs in when it is given a user."""

    def __init__(self, address: Address, account: tuple[str, str] | None, scanner: StreamScanner | None) -> None:
        self._socket = socket.create_connection(address, SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._scanner = scanner
        self._ids = itertools.count(1)
        if account is not None:
            self._sign_in(*account)

    def _sign_in(self, user: str, password: str) -> None:
        shaken = self.ask(Api.SASL_HANDSHAKE, 1, request(Api.SASL_HANDSHAKE, 1, {"mechanism": "PLAIN"}))
        assert shaken.error_code == 0, shaken
        token = f"\0{user}\0{password}".encode()
        signed = self.ask(Api.SASL_AUTHENTICATE, 1, request(Api.SASL_AUTHENTICATE, 1, {"auth_bytes": token}))
        assert signed.error_code == 0, signed

    def close(self) -> None:
        self._socket.close()

    def send(self, api: int, version: int, message: Message) -> int:
        """Send without waiting for an answer; the correlation id."""
        body = encode(message)
        number = next(self._ids)
        client_id = encode_client_id(CLIENT_ID.encode())
        head = request_head(len(body), api, version, number, client_id, message.struct.flexible)
        try:
            self._socket.sendall(head + body)
        except ConnectionError as error:
            raise Closed from error
        return number

    def ask(self, api: int, version: int, message: Message) -> Message:
        """The answer. Raises Closed when the connection ends instead."""
        return self.receive(api, version, self.send(api, version, message))

    def receive(self, api: int, version: int, number: int) -> Message:
        (size,) = struct.unpack(">i", self._read(4))
        data = self._read(size)
        (answered,) = struct.unpack_from(">i", data)
        assert answered == number, f"answer {answered} to request {number}"
        body = response_struct(api, version)
        start = 4
        if body.flexible and api != Api.API_VERSIONS:
            assert data[4] == 0, "a response header with tagged fields"
            start = 5
        return decode(body, data, start)

    def _read(self, size: int) -> bytes:
        received = bytearray()
        while len(received) < size:
            try:
                chunk = self._socket.recv(size - len(received))
            except ConnectionError as error:
                raise Closed from error
            if not chunk:
                raise Closed
            if self._scanner is not None:
                self._scanner.feed(chunk)
            received += chunk
        return bytes(received)
