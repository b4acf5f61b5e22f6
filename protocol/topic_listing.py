"""The names in an answer to Metadata that tells of all topics, read without decoding what it says of their partitions.

A cluster with ten thousand topics answers in megabytes, of which nearly all are partitions and replicas. The bytes are
followed topic by topic, so that who reads them can give others a turn in between. Only version 12.
"""

from collections.abc import Iterator
from struct import Struct
from struct import error as StructError
from typing import Final, NamedTuple

from protocol.codec import read_uvarint
from protocol.errors import DecodeError
from protocol.schema import response_struct
from protocol.spans import read_count
from protocol.walk import Cursor, finish, walk_until

METADATA_KEY: Final = 3
METADATA_VERSION: Final = 12
"""The lowest version that asks by topic id, too; every Kafka since 3.1 has it."""

_ERROR: Final = Struct(">h")
_ID_BYTES: Final = 16
_PARTITION_BYTES: Final = 14
"""Of its error, index, leader and leader's epoch; three lists of brokers follow."""
_OPERATIONS_BYTES: Final = 4


class ListedTopic(NamedTuple):
    """A topic, as far as its name goes."""

    name: str
    error_code: int
    is_internal: bool


def listed_topics(data: bytes) -> Iterator[ListedTopic]:
    """The topics of a response's body, one by one. Raises DecodeError."""
    at = Cursor(data)
    finish(walk_until(at, response_struct(METADATA_KEY, METADATA_VERSION), "topics"))
    try:
        count, pos = read_count(data, at.pos, True)
        for _ in range(count):
            topic, pos = _read_topic(data, pos)
            yield topic
    except (IndexError, StructError, UnicodeDecodeError):
        raise DecodeError("the list of topics can't be read") from None


def _read_topic(data: bytes, pos: int) -> tuple[ListedTopic, int]:
    code: int = _ERROR.unpack_from(data, pos)[0]
    length, pos = read_count(data, pos + _ERROR.size, True)
    name, pos = data[pos : pos + length].decode(), pos + length + _ID_BYTES
    is_internal = data[pos] != 0
    count, pos = read_count(data, pos + 1, True)
    for _ in range(count):
        pos += _PARTITION_BYTES
        for _ in range(3):
            # nearly always less than 127 brokers; a call less, three times per partition
            if 0 < data[pos] < 0x80:
                pos += 4 * data[pos] - 3
            else:
                brokers, pos = read_count(data, pos, True)
                pos += 4 * brokers
        pos = pos + 1 if data[pos] == 0 else _skip_tags(data, pos)
    return ListedTopic(name, code, is_internal), _skip_tags(data, pos + _OPERATIONS_BYTES)


def _skip_tags(data: bytes, pos: int) -> int:
    if data[pos] == 0:
        return pos + 1
    count, pos = read_uvarint(data, pos, len(data))
    for _ in range(count):
        _, pos = read_uvarint(data, pos, len(data))
        size, pos = read_uvarint(data, pos, len(data))
        pos += size
    return pos
