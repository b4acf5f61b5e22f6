"""A large Fetch response, rewritten while it comes in: names replaced, records handed on untouched.

The length of a frame leaves first, so the rewritten length must be known before the end is seen. It is: a request
without a session is answered with every topic that it named and no other, so the names' lengths are known from the
request. What else changes stands in tagged fields and makes the response shorter: unknown ones are dropped, and so are
new leaders that the client can't reach. The difference is made up for by a tagged field of zeros at the end, which
every client skips (KIP-482).
"""

from collections.abc import Callable, Mapping
from struct import error as StructError
from typing import Final

from protocol import fetch
from protocol.codec import decode, encode, read_uvarint, write_uvarint
from protocol.errors import BrokerProtocolError, DecodeError
from protocol.record_batches import RecordCounter
from protocol.schema import response_struct
from protocol.spans import INT32, read_count, read_topic

PARTITION_TAGS: Final = {0: 13, 1: 9, 2: 13}
"""Diverging epoch, current leader, snapshot id, and the bytes of each: numbers, and an empty tag section."""
CURRENT_LEADER_TAG: Final = 1

FILLER_TAGS: Final = (63, 9999)
"""Far from what Kafka uses; one and two bytes long, so that together they fill any gap of three bytes and more."""

MAX_STRUCTURE_BYTES: Final = 4 * 1024 * 1024
"""Of what stands between two partitions' records: a list of aborted transactions, tagged fields."""

Piece = bytes | memoryview
Endpoint = Callable[[int], tuple[str, int] | None]
Step = Callable[[bytes, int], tuple[int, bytes | None]]
"""(buffer, position) -> next position, and what replaces the bytes in between (None: they stay). Raises when the
structure that begins there is not whole yet."""


class FetchStream:
    """`begin` with the head of a response's body, then `feed` all of it; what comes back is the client's body.

    `names`: the topics of the request, by name or id as the broker has them -> (broker's spelling, client's spelling).
    `on_records` is told (topic, bytes, records): all bytes of a partition's records as they begin, and then how many
    records there are, as far as they have come.
    """

    def __init__(
        self,
        version: int,
        names: Mapping[bytes, tuple[bytes, bytes]],
        endpoint: Endpoint,
        on_records: Callable[[bytes, int, int], None],
    ) -> None:
        self._version = version
        self._flexible = version >= fetch.FIRST_FLEXIBLE
        self._names = names
        self._endpoint = endpoint
        self._on_records = on_records
        self.throttle_ms = 0
        """What the client is told at least; set before `feed`."""
        self._step: Step = self._prologue
        self._topic = b""
        self._topics = self._partitions = self._records = 0
        self._counter = RecordCounter(0)
        self._left = 0
        """Bytes of the broker's body that no step has taken yet."""
        self._room = 0
        """Bytes of the client's body that have not come back yet."""
        self._pending = b""
        self._closed = False
        """The response's own tagged fields have come."""

    def begin(self, data: bytes, pos: int, end: int) -> int | None:
        """The size of the client's body, or None where the response must be seen whole. data[pos:] is its beginning."""
        try:
            start = fetch.parse_response_prologue(data, pos, self._version)
            self._topics, _ = read_count(data, start, self._flexible)
        except (StructError, IndexError, DecodeError):
            return None
        if self._topics != len(self._names):
            return None
        self._left = end - pos
        self._room = self._left + sum(len(client) - len(broker) for broker, client in self._names.values())
        return self._room

    @property
    def finished(self) -> bool:
        return self._left == 0

    def feed(self, data: bytes, pos: int = 0) -> list[Piece]:
        """More of the broker's body; what can go to the client now. Raises BrokerProtocolError."""
        if self._pending:
            data, pos = self._pending + data[pos:], 0
        pieces: list[Piece] = []
        view = memoryview(data)
        mark = pos
        while pos < len(data) and self._left:
            taken = min(self._records, len(data) - pos)
            replaced = None
            if not taken:
                if self._step == self._closing and mark < pos:
                    mark = self._emit(pieces, view, mark, pos)
                try:
                    stop, replaced = self._step(data, pos)
                except (StructError, IndexError, DecodeError):
                    break
                taken = stop - pos
            else:
                self._records -= taken
                self._count(data, pos, pos + taken)
            if replaced is not None:
                self._emit(pieces, view, mark, pos)
                pieces.append(replaced)
                self._room -= len(replaced)
                mark = pos + taken
            pos += taken
            self._left -= taken
        self._emit(pieces, view, mark, pos)
        self._keep(data[pos:])
        return pieces

    def _emit(self, pieces: list[Piece], view: memoryview, mark: int, pos: int) -> int:
        if mark < pos:
            pieces.append(view[mark:pos])
            self._room -= pos - mark
        return pos

    def _keep(self, pending: bytes) -> None:
        self._pending = pending
        if len(pending) > MAX_STRUCTURE_BYTES or len(pending) > self._left or len(pending) == self._left > 0:
            raise BrokerProtocolError("a fetch response that does not follow its schema")
        if not self._left and self._room:
            raise BrokerProtocolError("a fetch response without exactly the topics that were fetched")
        if not self._left and not self._whole:
            raise BrokerProtocolError("a fetch response that ends inside a partition or topic")

    @property
    def _whole(self) -> bool:
        """Whether all that was announced is here: without tagged fields nothing stands behind the last topic."""
        return self._closed if self._flexible else self._step == self._closing and not self._records

    def _count(self, data: bytes, pos: int, stop: int) -> None:
        records = self._counter.feed(data, pos, stop)
        if records:
            self._on_records(self._topic, 0, records)

    # steps, in the order of the schema

    def _prologue(self, data: bytes, pos: int) -> tuple[int, bytes | None]:
        _, stop = read_count(data, fetch.parse_response_prologue(data, pos, self._version), self._flexible)
        self._step = self._topic_name if self._topics else self._closing
        if self.throttle_ms and self.throttle_ms > INT32.unpack_from(data, pos)[0]:
            return stop, INT32.pack(self.throttle_ms) + data[pos + INT32.size : stop]
        return stop, None

    def _topic_name(self, data: bytes, pos: int) -> tuple[int, bytes | None]:
        topic, stop = read_topic(data, pos, self._flexible, self._version >= fetch.FIRST_WITH_IDS)
        if topic.key not in self._names:
            raise BrokerProtocolError("a fetch response names a topic that was not fetched")
        self._topic = topic.key
        self._step = self._partition_count
        return stop, self._names[topic.key][1]

    def _partition_count(self, data: bytes, pos: int) -> tuple[int, bytes | None]:
        self._partitions, stop = read_count(data, pos, self._flexible)
        self._next_partition()
        return stop, None

    def _next_partition(self) -> None:
        if self._partitions:
            self._partitions -= 1
            self._step = self._partition_head
        elif self._flexible:
            self._step = self._topic_tags
        else:
            self._next_topic()

    def _next_topic(self) -> None:
        self._topics -= 1
        self._step = self._topic_name if self._topics else self._closing

    def _partition_head(self, data: bytes, pos: int) -> tuple[int, bytes | None]:
        length, stop = fetch.parse_partition_head(data, pos, self._version)
        if stop > len(data):
            raise DecodeError("cut")
        self._records = max(length, 0)
        self._counter = RecordCounter(self._records)
        self._on_records(self._topic, self._records, 0)
        if self._flexible:
            self._step = self._partition_tags
        else:
            self._next_partition()
        if length < 0:
            # some clients fail on null records; an empty array is as long
            empty = b"\x01" if self._flexible else b"\0\0\0\0"
            return stop, data[pos : stop - len(empty)] + empty
        return stop, None

    def _partition_tags(self, data: bytes, pos: int) -> tuple[int, bytes | None]:
        stop, replaced = self._tags(data, pos, PARTITION_TAGS)
        self._next_partition()
        return stop, replaced

    def _topic_tags(self, data: bytes, pos: int) -> tuple[int, bytes | None]:
        stop, replaced = self._tags(data, pos, {})
        self._next_topic()
        return stop, replaced

    def _tags(self, data: bytes, pos: int, known: Mapping[int, int]) -> tuple[int, bytes | None]:
        if data[pos] == 0:
            return pos + 1, None
        count, pos = read_uvarint(data, pos, len(data))
        kept = []
        for _ in range(count):
            start = pos
            tag, pos = read_uvarint(data, pos, len(data))
            size, pos = read_uvarint(data, pos, len(data))
            value, pos = pos, pos + size
            if pos > len(data):
                raise DecodeError("cut")
            if tag in known and not (tag == CURRENT_LEADER_TAG and self._is_unreachable(data, value)):
                if size == known[tag]:
                    kept.append(data[start:pos])
                else:
                    # with tagged fields of its own, which none is known to have
                    kept.append(bytes((tag, known[tag])) + data[value : value + known[tag] - 1] + b"\0")
        out = bytearray()
        write_uvarint(out, len(kept))
        return pos, bytes(out) + b"".join(kept)

    def _is_unreachable(self, data: bytes, pos: int) -> bool:
        leader = INT32.unpack_from(data, pos)[0]
        return leader >= 0 and self._endpoint(leader) is None

    def _closing(self, data: bytes, pos: int) -> tuple[int, bytes | None]:
        """The response's own tagged fields: addresses of new leaders, and what fills up the announced length."""
        if not self._flexible:
            raise BrokerProtocolError("a fetch response with bytes after its end")
        stop = pos + self._left
        if stop > len(data):
            raise DecodeError("cut")
        self._closed = True
        section = data[pos:stop]
        if section == b"\0" and self._room == 1:
            return stop, None
        struct = response_struct(fetch.KEY, self._version)
        empty = bytes(encode(struct.new()))[:-1]
        message = decode(struct, empty + section)
        nodes = []
        for node in getattr(message, "node_endpoints", ()):
            endpoint = self._endpoint(node.node_id)
            if endpoint is not None:
                node.host, node.port = endpoint
                nodes.append(node)
        for endpoints in (tuple(nodes), ()):
            filled = fill(bytes(encode(struct.fit(node_endpoints=endpoints)))[len(empty) :], self._room)
            if filled is not None:
                return stop, filled
        raise BrokerProtocolError("a fetch response without exactly the topics that were fetched")


def fill(section: bytes, size: int) -> bytes | None:
    """A section of tagged fields brought to `size` bytes by one more field of zeros; None where that can't be."""
    if len(section) == size:
        return section
    for tag in FILLER_TAGS:
        head = bytearray((section[0] + 1,))
        head += section[1:]
        write_uvarint(head, tag)
        for length_bytes in range(1, 6):
            zeros = size - len(head) - length_bytes
            length = bytearray()
            write_uvarint(length, max(zeros, 0))
            if zeros >= 0 and len(length) == length_bytes:
                return bytes(head + length) + bytes(zeros)
    return None
