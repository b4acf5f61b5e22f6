"""The byte path of Produce: finds names and lengths, splices, and of record batches reads no more than their headers.

Each parser returns None for anything out of the ordinary (tagged fields, errors, malformed bytes); the typed path then
decides. Both paths give the same bytes where this one answers; a property test compares them.

Versions: 3-8 plain, 9+ flexible, 10+ tagged leaders and endpoints, 13 topic ids instead of names (KIP-516).
"""

from dataclasses import dataclass
from struct import Struct
from struct import error as StructError
from typing import Final

from protocol.errors import DecodeError
from protocol.record_batches import RecordCounter, count_records
from protocol.spans import TopicSpan, read_count, read_no_tags, read_topic

KEY: Final = 0
FIRST_FLEXIBLE: Final = 9
FIRST_WITH_IDS: Final = 13

_ACKS_TIMEOUT: Final = Struct(">hi")

_NULL_STRING: Final = b"\xff\xff"

MAX_PLAIN_ID_BYTES: Final = 1024
"""Of a transactional id on the byte path: there is place for a prefix, and nobody has longer ones."""

NO_TAGS: Final = b"\0\0\0"
"""The tagged fields after the last record batch: partition, topic and request have none."""


@dataclass(slots=True)
class ProduceSpans:
    acks: int
    topics: list[TopicSpan]
    transactional_id: TopicSpan | None
    """The span to replace with its length, and the id's bytes; None for a producer without transactions."""


def parse_request(data: bytes, pos: int, end: int, version: int) -> ProduceSpans | None:
    """The spans of a whole request body in data[pos:end], or None where the typed path must look."""
    flexible, by_id = version >= FIRST_FLEXIBLE, version >= FIRST_WITH_IDS
    try:
        transactional_id, acks, pos = _parse_prologue(data, pos, flexible)
        topics = []
        count, pos = read_count(data, pos, flexible)
        for _ in range(count):
            topic, pos = read_topic(data, pos, flexible, by_id)
            pos = _skip_partitions(topic, data, pos, end, flexible)
            topics.append(topic)
        if flexible:
            if data[pos]:
                return None
            pos += 1
    except (StructError, IndexError, DecodeError):
        return None
    return ProduceSpans(acks, topics, transactional_id) if pos == end else None


def parse_stream_head(data: bytes, pos: int, end: int, version: int) -> tuple[ProduceSpans, RecordCounter] | None:
    """The spans of a request of one topic and partition of which only the beginning is at hand; it will end at `end`.
    Its records are those whose headers are there, and the counter counts what is still to come.

    None unless everything after the record batches is known to be empty from the lengths alone.
    """
    flexible, by_id = version >= FIRST_FLEXIBLE, version >= FIRST_WITH_IDS
    try:
        transactional_id, acks, pos = _parse_prologue(data, pos, flexible)
        count, pos = read_count(data, pos, flexible)
        topic, pos = read_topic(data, pos, flexible, by_id)
        partitions, pos = read_count(data, pos, flexible)
        length, pos = read_count(data, pos + 4, flexible)
    except (StructError, IndexError, DecodeError):
        return None
    if count != 1 or partitions != 1 or pos + length + (len(NO_TAGS) if flexible else 0) != end:
        return None
    counter = RecordCounter(length)
    topic.record_bytes, topic.records = length, counter.feed(data, pos, len(data))
    return ProduceSpans(acks, [topic], transactional_id), counter


def _parse_prologue(data: bytes, pos: int, flexible: bool) -> tuple[TopicSpan | None, int, int]:
    """The transactional id and acks; raises DecodeError for an id that the typed path must look at."""
    transactional_id = None
    if data[pos] == 0 if flexible else data[pos : pos + 2] == _NULL_STRING:
        pos += 1 if flexible else 2
    else:
        transactional_id, pos = read_topic(data, pos, flexible, False)
        if not transactional_id.key.isascii() or not 0 < len(transactional_id.key) <= MAX_PLAIN_ID_BYTES:
            raise DecodeError("an unusual transactional id")
    return transactional_id, _ACKS_TIMEOUT.unpack_from(data, pos)[0], pos + 6


def _skip_partitions(topic: TopicSpan, data: bytes, pos: int, end: int, flexible: bool) -> int:
    """Note what all records of a topic are; where the next topic begins."""
    count, pos = read_count(data, pos, flexible)
    if not count:
        raise DecodeError("a topic without partitions")
    record_bytes = records = 0
    for _ in range(count):
        length, start = read_count(data, pos + 4, flexible)
        pos = start + length
        if pos > end:
            raise DecodeError("records beyond the frame")
        record_bytes += length
        records += count_records(data, start, pos)
        if flexible:
            pos = read_no_tags(data, pos)
    if flexible:
        pos = read_no_tags(data, pos)
    topic.record_bytes, topic.records = record_bytes, records
    return pos


_PARTITION_FIXED: Final = {3: 22, 4: 22, 5: 30, 6: 30, 7: 30, 8: 30}
"""index, error code, base offset, log append time; log start offset from version 5."""
_NO_RECORD_ERRORS: Final = {8: b"\0\0\0\0\xff\xff"}
"""No record errors and a null message; with an empty tag section in flexible versions."""
_NO_RECORD_ERRORS_FLEXIBLE: Final = b"\x01\0\0"


def parse_response(data: bytes, pos: int, end: int, version: int) -> list[TopicSpan] | None:
    """The topics of a response in which every partition succeeded; None where the typed path must look."""
    flexible, by_id = version >= FIRST_FLEXIBLE, version >= FIRST_WITH_IDS
    fixed = _PARTITION_FIXED.get(version, 30)
    trailer = _NO_RECORD_ERRORS_FLEXIBLE if flexible else _NO_RECORD_ERRORS.get(version, b"")
    topics = []
    try:
        count, pos = read_count(data, pos, flexible)
        for _ in range(count):
            topic, pos = read_topic(data, pos, flexible, by_id)
            topics.append(topic)
            partitions, pos = read_count(data, pos, flexible)
            for _ in range(partitions):
                stop = pos + fixed + len(trailer)
                if data[pos + 4] or data[pos + 5] or data[pos + fixed : stop] != trailer:
                    return None
                pos = stop
            if flexible:
                if data[pos]:
                    return None
                pos += 1
        pos += 4
        if flexible:
            if data[pos]:
                return None
            pos += 1
    except (StructError, IndexError, DecodeError):
        return None
    return topics if pos == end else None
