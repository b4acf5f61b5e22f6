"""Request and response headers, byte by byte and against kio's own."""

from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kio.schema.request_header.v1.header import RequestHeader as KioHeader1
from kio.schema.request_header.v2.header import RequestHeader as KioHeader2
from kio.serial import entity_writer
from kio.static.primitive import i16, i32

from protocol.errors import ClientProtocolError, DecodeError
from protocol.headers import (
    encode_client_id,
    frame,
    parse_request_header,
    request_head,
    response_body,
    response_head,
)

CLIENT_IDS = st.one_of(st.none(), st.text(max_size=40))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 94), st.integers(0, 20), st.integers(-(2**31), 2**31 - 1), CLIENT_IDS, st.booleans())
def test_request_headers_are_kio_s(
    key: int, version: int, correlation_id: int, client_id: str | None, flexible: bool
) -> None:
    buffer = BytesIO()
    if flexible:
        entity_writer(KioHeader2)(
            buffer,
            KioHeader2(
                request_api_key=i16(key),
                request_api_version=i16(version),
                correlation_id=i32(correlation_id),
                client_id=client_id,
            ),
        )
    else:
        entity_writer(KioHeader1)(
            buffer,
            KioHeader1(
                request_api_key=i16(key),
                request_api_version=i16(version),
                correlation_id=i32(correlation_id),
                client_id=client_id,
            ),
        )
    raw_id = client_id.encode() if client_id is not None else None
    head = request_head(3, key, version, correlation_id, encode_client_id(raw_id), flexible)
    assert head == (len(buffer.getvalue()) + 3).to_bytes(4, "big") + buffer.getvalue()
    whole = b"before" + head + b"abc" + b"the next frame"
    header = parse_request_header(whole, 6, 6 + len(head) + 3, flexible)
    assert (header.api_key, header.api_version, header.client_correlation_id) == (key, version, correlation_id)
    assert header.client_id == raw_id
    assert header.body == 6 + len(head)


def test_tags_of_a_request_header_are_skipped() -> None:
    head = request_head(0, 3, 9, 1, b"\0\x01c", True)
    tagged = head[:-1] + b"\x02\x00\x01x\x85\x01\x02yz" + b"body"
    assert tagged[parse_request_header(tagged, 0, len(tagged), True).body :] == b"body"


@pytest.mark.parametrize(
    "tail",
    [
        b"",
        b"\x01",
        b"\x01\x00",
        b"\x01\x00\x05abc",
        b"\x80",
        b"\xff\xff\xff\xff\xff\xff",
        b"\xff\xff\xff\xff\x0f",
        b"\x01\x00\xff\xff\xff\xff\x0f",
    ],
)
@pytest.mark.parametrize("behind", [b"", b"\0\0\0\0the next frame"])
def test_tags_that_are_cut_short_are_the_client_s_fault(tail: bytes, behind: bytes) -> None:
    data = request_head(0, 3, 9, 1, b"\0\x01c", True)[:-1] + tail
    with pytest.raises(ClientProtocolError, match="tagged fields are cut short"):
        parse_request_header(data + behind, 0, len(data), True)


@pytest.mark.parametrize("length", [8, 9])
def test_a_request_without_room_for_a_header_is_refused(length: int) -> None:
    data = frame(bytes(length))
    with pytest.raises(ClientProtocolError, match=f"a request of {length} bytes has no header"):
        parse_request_header(data, 0, len(data), False)


@pytest.mark.parametrize("flexible", [False, True])
def test_a_client_id_beyond_the_frame_is_refused(flexible: bool) -> None:
    data = frame(b"\0\x03\0\x09\0\0\0\x01\0\x05abcd")
    with pytest.raises(ClientProtocolError, match="client id of 5 bytes in a request of 14"):
        parse_request_header(data + b"next", 0, len(data), flexible)


def test_response_headers() -> None:
    assert response_head(2, 7, False) == b"\0\0\0\x06\0\0\0\x07"
    assert response_head(2, 7, True) == b"\0\0\0\x07\0\0\0\x07\0"
    assert response_head(2, -1, False) == b"\0\0\0\x06\xff\xff\xff\xff"


@pytest.mark.parametrize(
    ("header", "flexible", "body"),
    [(b"", False, 8), (b"\0", True, 9), (b"\x01\x07\x03abc", True, 14), (b"\x02\x07\0\x08\x01a", True, 14)],
)
def test_a_response_s_body_begins_behind_its_header_s_tags(header: bytes, flexible: bool, body: int) -> None:
    data = b"\0\0\0\0\0\0\0\x07" + header + b"\0\0body"
    assert response_body(b"before" + data, 6, 6 + len(data), flexible) == 6 + body


@pytest.mark.parametrize("header", [b"", b"\x01", b"\x01\x07\x05abc"])
def test_a_response_header_that_is_cut_short(header: bytes) -> None:
    data = b"\0\0\0\0\0\0\0\x07" + header
    with pytest.raises(DecodeError):
        response_body(data + b"the next frame", 0, len(data), True)


def test_a_bare_frame() -> None:
    assert frame(b"") == b"\0\0\0\0"
    assert frame(b"abc") == b"\0\0\0\x03abc"
