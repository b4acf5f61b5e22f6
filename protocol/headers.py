"""Request and response headers (KIP-482), and frames around bodies.

A request header is version 2 where the request is flexible, else 1; a response header is 1 where it is flexible, else
0, and always 0 for ApiVersions (KIP-511). The client id is a plain nullable string in every version.
"""

from dataclasses import dataclass
from struct import Struct
from typing import Final

from protocol.codec import read_uvarint
from protocol.errors import ClientProtocolError, DecodeError

API_VERSIONS_KEY: Final = 18

PEEK: Final = Struct(">ihhih")
"""frame length, API key, API version, correlation id, length of the client id"""

RESPONSE_PEEK: Final = Struct(">ii")
"""frame length, correlation id"""

_LENGTH: Final = Struct(">i")
_REQUEST: Final = Struct(">ihhi")
_RESPONSE: Final = Struct(">ii")


@dataclass(slots=True)
class RequestHeader:
    """The header of one request; `body` is where its body begins in the buffer."""

    api_key: int
    api_version: int
    client_correlation_id: int
    client_id: bytes | None
    body: int


def parse_request_header(data: bytes, start: int, end: int, flexible: bool) -> RequestHeader:
    """The header of the frame data[start:end]. Raises ClientProtocolError. Header tags are skipped, and so dropped."""
    if end - start < PEEK.size:
        raise ClientProtocolError(f"a request of {end - start - 4} bytes has no header")
    _, key, version, correlation_id, client_id_length = PEEK.unpack_from(data, start)
    pos = start + PEEK.size
    client_id = None
    if client_id_length >= 0:
        client_id = bytes(data[pos : pos + client_id_length])
        pos += client_id_length
    if pos > end:
        raise ClientProtocolError(f"client id of {client_id_length} bytes in a request of {end - start - 4}")
    if flexible:
        try:
            pos = _skip_tags(data, pos, end)
        except (DecodeError, IndexError):
            raise ClientProtocolError("the request header's tagged fields are cut short") from None
    return RequestHeader(key, version, correlation_id, client_id, pos)


def response_body(data: bytes, start: int, end: int, flexible: bool) -> int:
    """Where the body of the response data[start:end] begins. Raises DecodeError. Header tags are skipped."""
    pos = start + RESPONSE_PEEK.size
    if not flexible:
        return pos
    return pos + 1 if pos < end and data[pos] == 0 else _skip_tags(data, pos, end)


def _skip_tags(data: bytes, pos: int, end: int) -> int:
    if pos < end and data[pos] == 0:
        return pos + 1
    count, pos = read_uvarint(data, pos, end)
    for _ in range(count):
        _, pos = read_uvarint(data, pos, end)
        size, pos = read_uvarint(data, pos, end)
        pos += size
        if pos > end:
            raise DecodeError("tagged field beyond the frame")
    return pos


def encode_client_id(client_id: bytes | None) -> bytes:
    """A client id with its length, as it stands in every request header."""
    return b"\xff\xff" if client_id is None else len(client_id).to_bytes(2, "big") + client_id


def request_head(size: int, key: int, version: int, correlation_id: int, client_id: bytes, flexible: bool) -> bytes:
    """Frame length and header; `size` is that of the body, `client_id` comes from `encode_client_id`."""
    length = _REQUEST.size - 4 + len(client_id) + flexible + size
    return _REQUEST.pack(length, key, version, correlation_id) + client_id + (b"\0" if flexible else b"")


def response_head(size: int, correlation_id: int, flexible: bool) -> bytes:
    """Frame length and header of a response whose body has `size` bytes."""
    head = _RESPONSE.pack(4 + flexible + size, correlation_id)
    return head + b"\0" if flexible else head


def frame(payload: bytes) -> bytes:
    """A bare length-prefixed frame, as SASL tokens are after SaslHandshake v0."""
    return _LENGTH.pack(len(payload)) + payload
