"""How many records travel in a span of record batches: their headers are read, and what follows them is skipped.

Batches of magic 2 (KIP-98) tell their number of records, compressed or not. Control batches, the markers of
transactions, have none. An entry of an older message set counts as one record, a compressed one, too: how many are in
it can't be known without decompressing it. A batch that is cut off at the end doesn't count, since no client reads it
and the next fetch brings it whole; behind what is no batch nothing counts.

This only counts: brokers and clients decide what is malformed, and nothing here raises.
"""

from collections.abc import Callable
from struct import Struct
from typing import Final

_HEADER: Final = Struct(">8xi4xb5xB34xi")
"""Of magic 2: base offset, length of what follows it, leader epoch, magic, CRC, attributes (two bytes), offsets,
timestamps and producer, number of records."""
_unpack_header: Final[Callable[[bytes, int], tuple[int, int, int, int]]] = _HEADER.unpack_from
_HEADER_BYTES: Final = _HEADER.size
_ENTRY: Final = Struct(">8xi4xb")
"""Of any magic: offset, length of what follows it, CRC or leader epoch, magic."""

_LENGTH_END: Final = 12
_MIN_BATCH_LENGTH: Final = _HEADER_BYTES - _LENGTH_END
_MIN_MESSAGE_LENGTH: Final = 14
"""CRC, magic, attributes, and the lengths of key and value."""
_MAGIC: Final = 2
_CONTROL: Final = 0x20


def count_records(data: bytes, start: int, end: int) -> int:
    """The records of whole batches in data[start:end]."""
    if end - start >= _HEADER_BYTES:
        # nearly always one batch to produce, and often one fetched
        length, magic, attributes, count = _unpack_header(data, start)
        if start + length + _LENGTH_END == end and magic == _MAGIC and attributes < _CONTROL and count > 0:
            return count
    return _walk(data, start, end, end)[0]


class RecordCounter:
    """Counts the records of a span of `size` bytes that comes in pieces, each batch when its header has come."""

    __slots__ = ("_head", "_left", "_skip")

    def __init__(self, size: int) -> None:
        self._left = size
        """Bytes of the span from the beginning of the next batch on."""
        self._skip = 0
        """Bytes that come before it."""
        self._head = b""
        """What has come of it, less than its header."""

    @property
    def done(self) -> bool:
        """No more batch begins in what is to come."""
        return self._left == 0

    def feed(self, data: bytes, pos: int, stop: int) -> int:
        """The records of batches whose headers are complete with data[pos:stop]; bytes behind the span are ignored."""
        if self._skip >= stop - pos:
            self._skip -= stop - pos
            return 0
        pos += self._skip
        self._skip = 0
        records = 0
        stop = min(stop, pos + self._left - len(self._head))
        if self._head:
            kept = len(self._head)
            self._head += data[pos : min(stop, pos + _HEADER_BYTES - kept)]
            records, taken = _walk(self._head, 0, len(self._head), self._left)
            if not taken:
                return 0
            self._head = b""
            self._left -= taken
            pos += taken - kept
        more, reached = _walk(data, pos, stop, pos + self._left)
        self._left -= reached - pos
        if reached < stop:
            self._head = data[reached:stop]
        else:
            self._skip = reached - stop
        return records + more


def _walk(data: bytes, pos: int, stop: int, end: int) -> tuple[int, int]:
    """The records of the batches whose headers are in data[pos:stop], and where the next one begins.

    `end` is the span's; it is also where to go on when nothing more will count.
    """
    records = count = 0
    last = stop - _HEADER_BYTES
    while pos <= last:
        # a fetch may hold thousands of batches of one record: 0.15 microseconds each
        length, magic, attributes, count = _unpack_header(data, pos)
        if magic != _MAGIC or length < _MIN_BATCH_LENGTH or attributes >= _CONTROL or count < 0:
            count = _unusual(length, magic, attributes, count)
            if count < 0:
                return records, end
        records += count
        pos += length + _LENGTH_END
    while pos <= stop - _ENTRY.size:
        # too short for a batch's header, and yet it may hold an older message
        length, magic = _ENTRY.unpack_from(data, pos)
        if magic == _MAGIC and stop < end:
            return records, pos
        count = _unusual(length, magic, 0, -1)
        if count < 0:
            return records, end
        records += count
        pos += length + _LENGTH_END
    if pos > end:
        return records - count, end
    return records, pos if stop < end else end


def _unusual(length: int, magic: int, attributes: int, count: int) -> int:
    """The records of an entry that isn't the usual batch, -1 where it is nothing that we know."""
    if magic == _MAGIC and length >= _MIN_BATCH_LENGTH:
        return 0 if attributes & _CONTROL else count
    return 1 if 0 <= magic < _MAGIC and length >= _MIN_MESSAGE_LENGTH else -1
