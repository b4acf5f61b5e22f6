"""Brokers' addresses in responses: replaced where they stand, while every other byte stays what the broker sent.

For sessions that see the cluster as it is. Which fields are brokers' addresses says `NODES`; other hosts and ports
(clients', ACLs', controllers', those of Kafka Streams' own servers) are content, and not for this module.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from struct import Struct as Packer
from typing import Final

from protocol.codec import write_uvarint
from protocol.error_codes import ErrorCode
from protocol.errors import BrokerProtocolError, DecodeError
from protocol.fetch_stream import fill
from protocol.schema import FieldSpec, Struct
from protocol.walk import Cursor, Span, Steps, finish, read_length, walk_struct, walk_tags, walk_until

Endpoint = Callable[[int], tuple[str, int] | None]
"""Broker id -> host and port for the client; None for a broker that it can't reach."""

MAX_TAIL_BYTES: Final = 4 * 1024 * 1024
"""Of what follows the records in a streamed response: brokers' addresses and tagged fields."""

_INT16: Final = Packer(">h")
_INT32: Final = Packer(">i")
_NO_ENTRIES: Final = b"\x01"

Edit = tuple[Span, bytes]
"""What stands somewhere, and what will."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """Where a response tells brokers' addresses: entries of `field` with an id, `host` and `port`."""

    field: str
    node_id: str = "node_id"
    coordinators: bool = False
    """An entry stands for the key that was asked for, so it stays with an error when its broker can't be reached; and
    before batches (KIP-699) the response itself is the only entry."""


NODES: Final[Mapping[int, Nodes]] = {
    0: Nodes("node_endpoints"),
    1: Nodes("node_endpoints"),
    3: Nodes("brokers"),
    10: Nodes("coordinators", coordinators=True),
    60: Nodes("brokers", "broker_id"),
    78: Nodes("node_endpoints"),
    79: Nodes("node_endpoints"),
}
"""API key -> where."""

FOLLOW_RECORDS: Final = frozenset((1, 78))
"""APIs whose addresses stand behind what may be large: the rest of such a response passes as it comes in."""


class AddressBook:
    """Replaces the addresses in responses of one API and version."""

    def __init__(self, api_key: int, struct: Struct) -> None:
        """`struct` is the response's, and one that `has_addresses`."""
        nodes = NODES[api_key]
        self._struct = struct
        self._nodes = nodes
        self.streams = api_key in FOLLOW_RECORDS
        self._spec = next((spec for spec in struct.fields if spec.name == nodes.field), None)
        self._entry = self._spec.nested if self._spec is not None and self._spec.nested is not None else struct

    def replace(self, body: bytes, endpoint: Endpoint) -> list[bytes]:
        """The client's body of a response, from its first byte behind the header. Raises BrokerProtocolError."""
        at = Cursor(body)
        try:
            finish(self.walk_to_nodes(at))
            return [body[: at.pos], *self.replace_nodes(at, endpoint)]
        except DecodeError as error:
            raise BrokerProtocolError(f"{self._struct.name}: {error}") from None

    def walk_to_nodes(self, at: Cursor) -> Steps[object]:
        """To where the addresses begin, or the tagged fields that may have them."""
        return walk_until(at, self._struct, self._nodes.field) if self._spec is not None else _nowhere()

    def replace_nodes(self, at: Cursor, endpoint: Endpoint) -> list[bytes]:
        """What the client gets of the rest, which must all be at hand: its addresses, and what follows them."""
        spec = self._spec
        if spec is None:
            start, entry = at.pos, self._read_entry(at)
            replaced = _spliced(at.data, start, at.pos, self._edits(at.data, entry, endpoint) or ())
        elif spec.tag is None:
            replaced = self._replace_array(at, endpoint)
        else:
            replaced = self._replace_tag(at, spec, endpoint)
        return [replaced, at.data[at.pos :]]

    def _replace_array(self, at: Cursor, endpoint: Endpoint) -> bytes:
        flexible = self._struct.flexible
        entries = []
        for _ in range(finish(read_length(at, "array", flexible))):
            start, entry = at.pos, self._read_entry(at)
            edits = self._edits(at.data, entry, endpoint)
            if edits is not None:
                entries.append(_spliced(at.data, start, at.pos, edits))
        out = bytearray()
        if flexible:
            write_uvarint(out, len(entries) + 1)
        else:
            out += _INT32.pack(len(entries))
        return bytes(out) + b"".join(entries)

    def _replace_tag(self, at: Cursor, spec: FieldSpec, endpoint: Endpoint) -> bytes:
        kept: list[tuple[int, bytes]] = []
        for tag, (start, end) in finish(walk_tags(at)):
            value = at.data[start:end]
            if tag == spec.tag:
                inside = Cursor(value)
                value = self._replace_array(inside, endpoint)
                if value == _NO_ENTRIES:
                    continue
            kept.append((tag, value))
        out = bytearray()
        write_uvarint(out, len(kept))
        for tag, value in kept:
            write_uvarint(out, tag)
            write_uvarint(out, len(value))
            out += value
        return bytes(out)

    def _read_entry(self, at: Cursor) -> dict[str, Span]:
        return finish(walk_struct(at, self._entry))

    def _edits(self, data: bytes, entry: dict[str, Span], endpoint: Endpoint) -> list[Edit] | None:
        """What changes in one entry; None where it must be left out."""
        node_id = _INT32.unpack_from(data, entry[self._nodes.node_id][0])[0]
        if self._nodes.coordinators and node_id < 0:
            return []
        address = endpoint(node_id)
        if address is not None:
            return [
                (entry["host"], _string(address[0], self._entry.flexible)),
                (entry["port"], _INT32.pack(address[1])),
            ]
        return self._unreachable(entry) if self._nodes.coordinators else None

    def _unreachable(self, entry: dict[str, Span]) -> list[Edit]:
        """A coordinator without an address here: clients ask again."""
        return [
            (entry[self._nodes.node_id], _INT32.pack(-1)),
            (entry["host"], _string("", self._entry.flexible)),
            (entry["port"], _INT32.pack(-1)),
            (entry["error_code"], _INT16.pack(ErrorCode.COORDINATOR_NOT_AVAILABLE)),
        ]


def _nowhere() -> Steps[object]:
    return None
    yield


def _string(text: str, flexible: bool) -> bytes:
    raw = text.encode()
    if not flexible:
        return _INT16.pack(len(raw)) + raw
    out = bytearray()
    write_uvarint(out, len(raw) + 1)
    return bytes(out) + raw


def _spliced(data: bytes, start: int, end: int, edits: Sequence[Edit]) -> bytes:
    pieces: list[bytes] = []
    for (begin, stop), new in sorted(edits):
        pieces += (data[start:begin], new)
        start = stop
    return b"".join((*pieces, data[start:end]))


def has_addresses(api_key: int, struct: Struct) -> bool:
    """Whether this version of a response can tell brokers' addresses."""
    nodes = NODES.get(api_key)
    return nodes is not None and (nodes.field in struct.names or nodes.coordinators)


class AddressStream:
    """A large response as it comes in: all that precedes the addresses passes at once, the rest when it is whole.

    The frame's length has left by then, so the client's rest gets as long as the broker's: a tagged field of zeros
    fills it up, and where the client's addresses are longer, none is told, and the client asks for metadata.
    """

    def __init__(self, book: AddressBook, size: int, endpoint: Endpoint) -> None:
        """`size` is the whole body's."""
        self._book = book
        self._endpoint = endpoint
        self._left = size
        self._at = Cursor()
        self._walk: Steps[object] | None = book.walk_to_nodes(self._at)

    @property
    def finished(self) -> bool:
        return self._left == 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """More of the broker's body; what can go to the client now. Raises BrokerProtocolError."""
        self._left -= len(chunk)
        at = self._at
        at.data, at.pos = at.data[at.pos :] + chunk, 0
        try:
            if self._walk is not None:
                yield from self._pass()
            if not self._left:
                if self._walk is not None:
                    raise DecodeError("the message ends inside a field")
                yield self._close(at.data)
            elif len(at.data) > MAX_TAIL_BYTES:
                raise DecodeError(f"more than {MAX_TAIL_BYTES} bytes in one piece")
        except DecodeError as error:
            raise BrokerProtocolError(f"a streamed response: {error}") from None

    def _pass(self) -> Iterator[bytes]:
        at = self._at
        try:
            assert self._walk is not None
            next(self._walk)
        except StopIteration:
            self._walk = None
        if at.pos:
            yield at.data[: at.pos]
            at.data, at.pos = at.data[at.pos :], 0

    def _close(self, tail: bytes) -> bytes:
        for endpoint in (self._endpoint, lambda _: None):
            nodes, rest = self._book.replace_nodes(Cursor(tail), endpoint)
            # the tagged fields at the end are what can be filled: the addresses are among them, or before them
            before, section = (nodes, rest) if rest else (b"", nodes)
            filled = fill(section, len(tail) - len(before))
            if filled is not None:
                return before + filled
        raise DecodeError("its end can't be made as long as it was announced")
