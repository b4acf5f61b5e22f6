"""What the byte paths of Produce and Fetch share: spans of topics, counts and lengths read in place.

These read without looking whether the bytes are there: IndexError and struct.error mean that they are not, and the
callers take both, and DecodeError, as "leave it to the typed path".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final

from protocol.codec import read_uvarint
from protocol.errors import DecodeError

INT16: Final = Struct(">h")
INT32: Final = Struct(">i")


COPY_BYTES: Final = 4096
"""Up to here, slicing bytes costs less than slicing a view of them."""


@dataclass(slots=True)
class TopicSpan:
    """A topic in a message: its key (the name's bytes, or the id), the span to replace with its length, the bytes and
    the number of its records.

    A transactional id is spelled as a name is, and has no records.
    """

    key: bytes
    start: int
    end: int
    record_bytes: int = 0
    records: int = 0


def read_length(data: bytes, pos: int, flexible: bool) -> tuple[int, int]:
    """The number of elements of an array, or of bytes, and the next position; -1 is null."""
    if flexible:
        first = data[pos]
        if first < 0x80:
            return first - 1, pos + 1
        value, pos = read_uvarint(data, pos, len(data))
        return value - 1, pos
    return INT32.unpack_from(data, pos)[0], pos + 4


def read_count(data: bytes, pos: int, flexible: bool) -> tuple[int, int]:
    """Like `read_length`, where null (or any negative length) is refused."""
    if flexible and 0 < data[pos] < 0x80:
        # nearly always; a call less, seven times per request and response
        return data[pos] - 1, pos + 1
    value, pos = read_length(data, pos, flexible)
    if value < 0:
        raise DecodeError("null")
    return value, pos


def read_topic(data: bytes, pos: int, flexible: bool, by_id: bool) -> tuple[TopicSpan, int]:
    """The span of a topic's name or id, and the next position."""
    start = pos
    if by_id:
        stop = pos + 16
    elif flexible:
        length, pos = read_count(data, pos, True)
        stop = pos + length
    else:
        pos += 2
        stop = pos + INT16.unpack_from(data, start)[0]
    if not pos <= stop <= len(data):
        raise DecodeError("topic beyond the buffer")
    return TopicSpan(data[pos:stop], start, stop), stop


def splice(
    data: bytes, pos: int, end: int, topics: Sequence[TopicSpan], names: Sequence[bytes]
) -> tuple[list[bytes | memoryview], int]:
    """data[pos:end] with each topic's span replaced by its name: the pieces, large ones uncopied, and their size."""
    view = data if end - pos <= COPY_BYTES else memoryview(data)
    pieces: list[bytes | memoryview] = []
    size = end - pos
    for topic, name in zip(topics, names, strict=True):
        pieces += (view[pos : topic.start], name)
        pos = topic.end
        size += len(name) - (pos - topic.start)
    pieces.append(view[pos:end])
    return pieces, size


def read_no_tags(data: bytes, pos: int) -> int:
    """The position after an empty tag section; any tag is refused."""
    if data[pos]:
        raise DecodeError("tagged fields")
    return pos + 1
