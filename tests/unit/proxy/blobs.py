"""Consumer protocol blobs, as a consumer writes them: subscriptions and assignments of version 1, and what they name.

Independent of the gateway's own reading of them; trailing bytes are ignored, as brokers and clients do.
"""

from collections.abc import Sequence
from struct import Struct

_INT16, _INT32 = Struct(">h"), Struct(">i")


def subscription(topics: Sequence[str], user_data: bytes) -> bytes:
    """Of these topics, partition 0 of each owned already."""
    names = b"".join(_text(topic) for topic in topics)
    return (
        _INT16.pack(1)
        + _INT32.pack(len(topics))
        + names
        + _INT32.pack(len(user_data))
        + user_data
        + _partitions(topics)
    )


def assignment(topics: Sequence[str], user_data: bytes) -> bytes:
    """Partition 0 of each of these topics."""
    return _INT16.pack(1) + _partitions(topics) + _INT32.pack(len(user_data)) + user_data


def topics_of_subscription(blob: bytes) -> list[str]:
    """The subscribed and the owned topics; version 0 has none of the latter, and nobody reads what stands there."""
    names, pos = [], 6
    for _ in range(_INT32.unpack_from(blob, 2)[0]):
        name, pos = _read_text(blob, pos)
        names.append(name)
    pos += 4 + max(_INT32.unpack_from(blob, pos)[0], 0)
    return names if _INT16.unpack_from(blob)[0] == 0 else names + _topics_of_partitions(blob, pos)


def topics_of_assignment(blob: bytes) -> list[str]:
    """The assigned topics."""
    return _topics_of_partitions(blob, 2)


def _text(text: str) -> bytes:
    return _INT16.pack(len(text.encode())) + text.encode()


def _partitions(topics: Sequence[str]) -> bytes:
    entries = b"".join(_text(topic) + _INT32.pack(1) + _INT32.pack(0) for topic in topics)
    return _INT32.pack(len(topics)) + entries


def _read_text(blob: bytes, pos: int) -> tuple[str, int]:
    stop = pos + 2 + _INT16.unpack_from(blob, pos)[0]
    return blob[pos + 2 : stop].decode(), stop


def _topics_of_partitions(blob: bytes, pos: int) -> list[str]:
    names = []
    count, pos = _INT32.unpack_from(blob, pos)[0], pos + 4
    for _ in range(count):
        name, pos = _read_text(blob, pos)
        names.append(name)
        pos += 4 + 4 * _INT32.unpack_from(blob, pos)[0]
    return names
