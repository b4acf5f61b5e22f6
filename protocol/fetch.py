"""The byte path of Fetch: finds names and lengths, splices, and of record batches reads no more than their headers.

Each parser returns None for anything out of the ordinary (tagged fields, errors of the whole request, malformed
bytes); the typed path then decides. Both give the same bytes where this one answers; a property test compares them.

Versions: 4-11 plain, 5+ log start offset, 7+ sessions (KIP-227), 9+ leader epoch, 11+ rack, 12+ flexible, 13+ topic ids
instead of names (KIP-516), 15+ replica state as a tag instead of the replica id.
"""

from dataclasses import dataclass
from struct import Struct
from struct import error as StructError
from typing import Final

from protocol.codec import write_uvarint
from protocol.errors import DecodeError
from protocol.record_batches import count_records
from protocol.spans import INT16, INT32, TopicSpan, read_count, read_length, read_no_tags, read_topic

KEY: Final = 1
FIRST_FLEXIBLE: Final = 12
FIRST_WITH_IDS: Final = 13
FIRST_WITH_SESSIONS: Final = 7
FIRST_WITHOUT_REPLICA_ID: Final = 15

_LIMITS: Final = Struct(">iiib")
"""max wait, min bytes, max bytes, isolation level"""
_SESSION: Final = Struct(">ii")
NO_SESSION: Final = _SESSION.pack(0, -1)
"""Session id 0, epoch -1: the broker keeps no session for this request (KIP-227)."""
CONSUMER: Final = INT32.pack(-1)
"""The replica id of a consumer; any other reads past the high watermark or acts as a follower."""

NO_RACK: Final = (b"", b"\0\0", b"\1")
"""The rack's span where there is none: before version 11, empty, and empty in a flexible version."""


@dataclass(slots=True)
class FetchTopic:
    """A requested topic: its key (name bytes or id) and the span of its partition array."""

    key: bytes
    start: int
    end: int


@dataclass(slots=True)
class FetchSpans:
    """A full request: limits (max wait to isolation level) and rack id as spans, and its topics."""

    limits: tuple[int, int]
    session_epoch: int
    session_id: int
    topics: list[FetchTopic]
    rack: tuple[int, int]


def parse_request(data: bytes, pos: int, end: int, version: int) -> FetchSpans | None:
    """The spans of a request body in data[pos:end], or None where the typed path must look."""
    flexible = version >= FIRST_FLEXIBLE
    try:
        if version < FIRST_WITHOUT_REPLICA_ID:
            pos += 4
        limits = (pos, pos + 13)
        pos += 13
        session_id, session_epoch = 0, -1
        if version >= FIRST_WITH_SESSIONS:
            session_id, session_epoch = _SESSION.unpack_from(data, pos)
            pos += 8
        topics, pos = _parse_topics(data, pos, end, version)
        if version >= FIRST_WITH_SESSIONS:
            forgotten, pos = read_count(data, pos, flexible)
            if forgotten:
                return None
        rack = (pos, pos)
        if version >= 11:
            pos = _skip_string(data, pos, flexible)
            rack = (rack[0], pos)
        if flexible:
            pos = read_no_tags(data, pos)
    except (StructError, IndexError, DecodeError):
        return None
    return FetchSpans(limits, session_epoch, session_id, topics, rack) if pos == end else None


def _skip_string(data: bytes, pos: int, flexible: bool) -> int:
    if flexible:
        length, pos = read_count(data, pos, True)
    else:
        length, pos = INT16.unpack_from(data, pos)[0], pos + 2
    if length < 0:
        raise DecodeError("null string")
    if length and not data[pos : pos + length].isascii():
        raise DecodeError("text that may not be UTF-8")
    return pos + length


def _parse_topics(data: bytes, pos: int, end: int, version: int) -> tuple[list[FetchTopic], int]:
    flexible = version >= FIRST_FLEXIBLE
    stride = 16 + 4 * (version >= 9) + 4 * flexible + 8 * (version >= 5) + flexible
    topics = []
    count, pos = read_count(data, pos, flexible)
    for _ in range(count):
        topic, start = read_topic(data, pos, flexible, version >= FIRST_WITH_IDS)
        pos = start
        partitions, pos = read_count(data, pos, flexible)
        stop = pos + partitions * stride
        if not partitions or stop > end:
            raise DecodeError("no partitions, or some beyond the frame")
        if flexible:
            if any(data[pos + stride - 1 : stop : stride]) or data[stop]:
                raise DecodeError("tagged fields")
            topics.append(FetchTopic(topic.key, start, stop))
            pos = stop + 1
        else:
            topics.append(FetchTopic(topic.key, start, stop))
            pos = stop
    return topics, pos


def build_request(
    data: bytes, spans: FetchSpans, names: list[bytes], version: int, limit: int | None = None
) -> bytearray:
    """The body for the broker: a consumer without a session; `names` are the topics, encoded for this version. `limit`
    is what `max_bytes` may be at most."""
    flexible = version >= FIRST_FLEXIBLE
    out = bytearray()
    if version < FIRST_WITHOUT_REPLICA_ID:
        out += CONSUMER
    if limit is None:
        out += data[spans.limits[0] : spans.limits[1]]
    else:
        wait, least, most, isolation = _LIMITS.unpack_from(data, spans.limits[0])
        out += _LIMITS.pack(wait, least, min(most, limit), isolation)
    if version >= FIRST_WITH_SESSIONS:
        out += NO_SESSION
    if flexible:
        write_uvarint(out, len(names) + 1)
    else:
        out += INT32.pack(len(names))
    for topic, name in zip(spans.topics, names, strict=True):
        out += name
        out += data[topic.start : topic.end]
        if flexible:
            out.append(0)
    if version >= FIRST_WITH_SESSIONS:
        out += b"\x01" if flexible else b"\0\0\0\0"
    out += data[spans.rack[0] : spans.rack[1]]
    if flexible:
        out.append(0)
    return out


def parse_response(data: bytes, pos: int, end: int, version: int) -> list[TopicSpan] | None:
    """The topics of a response without an error of its own; None where the typed path must look."""
    flexible = version >= FIRST_FLEXIBLE
    try:
        pos = parse_response_prologue(data, pos, version)
        topics = []
        count, pos = read_count(data, pos, flexible)
        for _ in range(count):
            topic, pos = read_topic(data, pos, flexible, version >= FIRST_WITH_IDS)
            partitions, pos = read_count(data, pos, flexible)
            for _ in range(partitions):
                length, pos = parse_partition_head(data, pos, version)
                if length < 0:
                    return None
                start, pos = pos, pos + length
                if pos > end or (flexible and data[pos]):
                    return None
                topic.record_bytes += length
                topic.records += count_records(data, start, pos)
                pos += flexible
            if flexible:
                pos = read_no_tags(data, pos)
            topics.append(topic)
        if flexible:
            pos = read_no_tags(data, pos)
    except (StructError, IndexError, DecodeError):
        return None
    return topics if pos == end else None


def parse_response_prologue(data: bytes, pos: int, version: int) -> int:
    """Where the topics begin; raises DecodeError when the response isn't that of a plain sessionless request."""
    pos += 4
    if version >= FIRST_WITH_SESSIONS:
        if any(data[pos : pos + 6]):
            raise DecodeError("an error of the whole request, or a session that we did not ask for")
        pos += 6
    return pos


def parse_partition_head(data: bytes, pos: int, version: int) -> tuple[int, int]:
    """The length of a partition's records (-1: null) and where they begin."""
    flexible = version >= FIRST_FLEXIBLE
    aborted, pos = read_length(data, pos + (30 if version >= 5 else 22), flexible)
    if aborted > 0:
        stop = pos + aborted * (16 + flexible)
        if flexible and any(data[pos + 16 : stop : 17]):
            raise DecodeError("tagged fields")
        pos = stop
    if version >= 11:
        pos += 4
    return read_length(data, pos, flexible)
