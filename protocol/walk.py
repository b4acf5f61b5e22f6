"""Follows a message's bytes along its schema without decoding them: where each field begins and ends.

For those who change one field and must leave every other byte as it is, tagged fields that nobody here knows included.
The walks are generators that yield when the bytes at hand end inside a field, so that the same walk goes through a
whole message and through one that comes in piece by piece. Only for messages of brokers: a count may announce more
than there is, and the walk then waits for it.
"""

from collections.abc import Generator
from struct import Struct as Packer
from typing import Final, TypeVar

from protocol.codec import fixed_size
from protocol.errors import DecodeError
from protocol.schema import FieldSpec, Struct

T = TypeVar("T")

Steps = Generator[None, None, T]

Span = tuple[int, int]
"""(start, end) in the bytes at hand."""

_INT8: Final = Packer(">b")
_INT16: Final = Packer(">h")
_INT32: Final = Packer(">i")
_MAX_SHIFT: Final = 28
"""Of the last byte of a varint of 32 bits."""


class Cursor:
    """The bytes at hand, and how far they have been followed."""

    __slots__ = ("data", "pos")

    def __init__(self, data: bytes = b"", pos: int = 0) -> None:
        self.data = data
        self.pos = pos


def finish(steps: Steps[T]) -> T:
    """Go to the end of a walk whose bytes are all at hand. Raises DecodeError when they are not."""
    try:
        next(steps)
    except StopIteration as done:
        result: T = done.value
        return result
    raise DecodeError("the message ends inside a field")


def skip(at: Cursor, size: int) -> Steps[None]:
    """Go on by so many bytes, which need not be here at once."""
    while len(at.data) - at.pos < size:
        size -= len(at.data) - at.pos
        at.pos = len(at.data)
        yield
    at.pos += size


def read_number(at: Cursor, packer: Packer) -> Steps[int]:
    while len(at.data) - at.pos < packer.size:
        yield
    value: int = packer.unpack_from(at.data, at.pos)[0]
    at.pos += packer.size
    return value


def read_varint(at: Cursor) -> Steps[int]:
    value = shift = 0
    while True:
        while at.pos >= len(at.data):
            yield
        byte = at.data[at.pos]
        at.pos += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
        shift += 7
        if shift > _MAX_SHIFT:
            raise DecodeError("varint beyond 32 bits")


def read_length(at: Cursor, kafka_type: str, flexible: bool) -> Steps[int]:
    """Of a string, bytes or an array; -1 is null."""
    if flexible:
        value = yield from read_varint(at)
        return value - 1
    return (yield from read_number(at, _INT16 if kafka_type == "string" else _INT32))


def walk_field(at: Cursor, spec: FieldSpec, flexible: bool) -> Steps[None]:
    """To the end of an untagged field."""
    if not spec.array:
        yield from _walk_value(at, spec, flexible, spec.nullable)
        return
    count = yield from read_length(at, "array", flexible)
    size = fixed_size(spec.kafka_type)
    if size is not None:
        yield from skip(at, max(count, 0) * size)
        return
    for _ in range(count):
        yield from _walk_value(at, spec, flexible, False)


def _walk_value(at: Cursor, spec: FieldSpec, flexible: bool, nullable: bool) -> Steps[None]:
    if spec.nested is not None:
        if nullable and (yield from read_number(at, _INT8)) < 0:
            return
        yield from walk_struct(at, spec.nested)
        return
    size = fixed_size(spec.kafka_type)
    if size is None:
        size = max((yield from read_length(at, spec.kafka_type, flexible)), 0)
    yield from skip(at, size)


def walk_struct(at: Cursor, struct: Struct) -> Steps[dict[str, Span]]:
    """To the end of a struct; where its untagged fields are. The spans hold as long as the bytes stay at hand."""
    spans = yield from walk_until(at, struct, None)
    if struct.flexible:
        yield from walk_tags(at)
    return spans


def walk_until(at: Cursor, struct: Struct, field: str | None) -> Steps[dict[str, Span]]:
    """To the beginning of an untagged field, or of the tagged ones when it is none of these."""
    spans = {}
    for spec in struct.untagged:
        if spec.name == field:
            break
        start = at.pos
        yield from walk_field(at, spec, struct.flexible)
        spans[spec.name] = (start, at.pos)
    return spans


def walk_tags(at: Cursor) -> Steps[list[tuple[int, Span]]]:
    """To the end of a section of tagged fields; (tag, where its value is) of each."""
    tags = []
    for _ in range((yield from read_varint(at))):
        tag = yield from read_varint(at)
        size = yield from read_varint(at)
        start = at.pos
        yield from skip(at, size)
        tags.append((tag, (start, start + size)))
    return tags
