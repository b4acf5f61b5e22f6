"""Whatever bytes arrive, decoding gives a message or a DecodeError that names the field, and soon."""

import re
from random import Random
from time import perf_counter

import pytest

from protocol.codec import MAX_ARRAY_ELEMENTS, decode, encode, read_uvarint, write_uvarint
from protocol.errors import DecodeError, EncodeError
from protocol.schema import API_NAMES, Message, Struct, request_struct, response_struct
from tests.unit.protocol.messages import as_known, every_struct, random_message, with_unknown_tag

STRUCTS = tuple(every_struct())
BY_API = {key: tuple(entry for entry in STRUCTS if entry[0] == key) for key in API_NAMES}
CUTS_PER_STRUCT = 60
BOMBS = (b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\xff\xff\xff\xff\x0f", b"\xff\xff\xff\xff\xff\xff", b"\xfe")
"""The largest and the lowest plain length, the largest varint, a varint that never ends, a small wrong one."""


def seeded(*parts: object) -> Random:
    return Random(" ".join(map(str, parts)))  # noqa: S311 - test data


def names_a_field(error: DecodeError, struct: Struct) -> bool:
    return re.match(rf"{struct.name}(\.\w+|\.tagged fields)?: ", str(error)) is not None


@pytest.mark.parametrize("key", API_NAMES, ids=API_NAMES.get)
def test_a_message_cut_anywhere_is_refused(key: int) -> None:
    for _, version, kind, struct in BY_API[key]:
        rng = seeded(key, version, kind)
        data = bytes(encode(random_message(rng, struct, items=1)))
        for cut in rng.sample(range(len(data)), min(len(data), CUTS_PER_STRUCT)):
            with pytest.raises(DecodeError) as caught:
                decode(struct, data[:cut])
            assert names_a_field(caught.value, struct)
            with pytest.raises(DecodeError):
                # the same end inside a larger buffer: what follows belongs to another frame
                decode(struct, data, 0, cut)


@pytest.mark.parametrize("key", API_NAMES, ids=API_NAMES.get)
def test_bytes_after_a_message_are_refused(key: int) -> None:
    for _, _, _, struct in BY_API[key]:
        with pytest.raises(DecodeError, match=f"{struct.name}: 1 bytes after its end"):
            decode(struct, bytes(encode(struct.new())) + b"\0")


@pytest.mark.parametrize("key", API_NAMES, ids=API_NAMES.get)
def test_lengths_that_lie_are_refused_or_make_another_message(key: int) -> None:
    started = perf_counter()
    for _, version, kind, struct in BY_API[key]:
        rng = seeded("bombs", key, version, kind)
        data = bytes(encode(random_message(rng, struct, items=1)))
        for position in rng.sample(range(len(data)), min(len(data), CUTS_PER_STRUCT)):
            bomb = rng.choice(BOMBS)
            try:
                decode(struct, data[:position] + bomb + data[position + len(bomb) :])
            except DecodeError as error:
                assert names_a_field(error, struct)
    assert perf_counter() - started < 5


@pytest.mark.parametrize(
    ("version", "body", "text"),
    [
        (0, b"\x7f\xff\xff\xff", "array of 2147483647 elements with 0 bytes left"),
        (0, b"\0\0\x03\xe8\0\0", "array of 1000 elements with 2 bytes left"),
        (0, b"\xff\xff\xff\xff", "array length -1 where null is not allowed"),
        (0, b"\xff\xff\xff\xfe", "array length -2 where null is not allowed"),
        (1, b"\xff\xff\xff\xfe", "array length -2 where null is not allowed"),
        (0, b"\0\0\0\x01\xff\xff", "length -1 where null is not allowed"),
        (0, b"\0\0\0\x01\x80\0", "length -32768 where null is not allowed"),
        (0, b"\0\0\0\x01\0\x05abc", "length 5 with 3 bytes left"),
        (0, b"\0\0\0\x01\0\x02\xff\xfe", "not UTF-8"),
        (9, b"\xff\xff\xff\xff\x0f", "array of 4294967294 elements with 0 bytes left"),
        (9, b"\xe9\x07\0", "array of 1000 elements with 1 bytes left"),
        (9, b"\xff\xff\xff\xff\x10", "varint beyond 32 bits"),
        (9, b"\xff\xff\xff\xff\xff\x01", "varint beyond 32 bits"),
        (9, b"\xff\xff", "the frame ends here"),
        (9, b"\x02\x05ab", "length 4 with 2 bytes left"),
        (9, b"\x02\0\0", "length -1 where null is not allowed"),
    ],
)
def test_a_bad_length_is_told_with_its_field(version: int, body: bytes, text: str) -> None:
    with pytest.raises(DecodeError, match=re.escape(text)) as caught:
        decode(request_struct(3, version), body)
    assert str(caught.value).startswith("MetadataRequest.topics: ")


def test_more_elements_than_any_real_request_has_are_refused_before_they_are_read() -> None:
    struct = request_struct(3, 0)
    body = (MAX_ARRAY_ELEMENTS + 1).to_bytes(4, "big") + bytes(2 * MAX_ARRAY_ELEMENTS + 2)
    with pytest.raises(DecodeError, match="the limit is 500000"):
        decode(struct, body)


@pytest.mark.parametrize("key", API_NAMES, ids=API_NAMES.get)
def test_unknown_tagged_fields_are_skipped_at_every_level(key: int) -> None:
    for _, version, kind, struct in BY_API[key]:
        message = random_message(seeded("tags", key, version, kind), with_unknown_tag(struct))
        assert decode(struct, bytes(encode(message))) == as_known(struct, message)


def test_a_known_tag_of_another_size_than_its_value_is_refused() -> None:
    struct = request_struct(1, 15)
    data = bytes(encode(struct.new()))
    assert data[-1] == 0
    with pytest.raises(DecodeError, match=r"cluster_id: tag of 3 bytes, 1 left over"):
        decode(struct, data[:-1] + b"\x01\x00\x03\x02a\0")


@pytest.mark.parametrize("value", [0, 1, 127, 128, 16383, 16384, 2**28 - 1, 2**28, 2**32 - 1])
def test_varints(value: int) -> None:
    out = bytearray()
    write_uvarint(out, value)
    assert read_uvarint(bytes(out), 0, len(out)) == (value, len(out))


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (request_struct(12, 0).new(group_id="g" * 32768), "HeartbeatRequest.group_id: 32768 bytes do not fit"),
        (request_struct(12, 0).new(group_id=None), "HeartbeatRequest.group_id: null where it is not allowed"),
        (request_struct(12, 0).new(generation_id=2**31), "HeartbeatRequest.generation_id: "),
        (response_struct(3, 9).new(topics=None), "MetadataResponse.topics: null where it is not allowed"),
    ],
)
def test_a_value_that_does_not_fit_is_told_with_its_field(message: Message, text: str) -> None:
    with pytest.raises(EncodeError, match=re.escape(text)):
        encode(message)
