"""Message bodies <-> bytes, driven by `schema.Struct`.

Written for bytes from strangers: an array's length is held against the bytes that are left before anything is
allocated, tagged fields that the schema doesn't know are skipped and so dropped, and every failure is a `DecodeError`
that names the field. (kio's native decoder allocates for the announced length, which ends the process when a client
announces two billion elements, and raises KeyError for an unknown tag. Tests hold the two decoders against each other.)
"""

from collections.abc import Callable
from functools import cache
from struct import Struct as Packer
from struct import error as StructError
from typing import Any, Final

from protocol.errors import DecodeError, EncodeError
from protocol.schema import FieldSpec, Message, Struct

MAX_ARRAY_ELEMENTS: Final = 500_000
"""Above any real request (a cluster's partitions); low enough that decoding one array can't take seconds."""

Reader = Callable[[bytes, int, int], tuple[Any, int]]
"""(buffer, position, end) -> (value, next position)"""

Writer = Callable[[bytearray, Any], None]


class Elements:
    """Counts the entries of all lists in one message; decoding ends with an error above the limit."""

    __slots__ = ("count", "limit")

    def __init__(self, limit: int) -> None:
        self.count = 0
        self.limit = limit

    def add(self, count: int) -> None:
        self.count += count
        if self.count > self.limit:
            raise DecodeError(f"{self.count} elements in all, the limit is {self.limit}")


class _Decoding:
    """What the message that is being decoded may hold. Decoding never waits, so there is one at a time."""

    elements: Elements | None = None


class _Short(DecodeError):
    """The buffer ended inside a field. A DecodeError, for those who read varints without a schema."""


def _fixed_reader(packer: Packer) -> Reader:
    size = packer.size
    unpack = packer.unpack_from

    def read(data: bytes, pos: int, end: int) -> tuple[Any, int]:
        if pos + size > end:
            raise _Short
        return unpack(data, pos)[0], pos + size

    return read


_FIXED: Final = {
    "int8": Packer(">b"),
    "int16": Packer(">h"),
    "uint16": Packer(">H"),
    "int32": Packer(">i"),
    "int64": Packer(">q"),
    "bool": Packer(">?"),
    "float64": Packer(">d"),
    "error_code": Packer(">h"),
    "timedelta_i32": Packer(">i"),
    "timedelta_i64": Packer(">q"),
    "datetime_i64": Packer(">q"),
    "uuid": Packer(">16s"),
}
_read_int8 = _fixed_reader(_FIXED["int8"])
_read_int16 = _fixed_reader(_FIXED["int16"])
_read_int32 = _fixed_reader(_FIXED["int32"])


def fixed_size(kafka_type: str) -> int | None:
    """The bytes of a type that always has as many; None for strings, bytes, records and structs."""
    packer = _FIXED.get(kafka_type)
    return packer.size if packer is not None else None


def read_uvarint(data: bytes, pos: int, end: int) -> tuple[int, int]:
    """An unsigned varint of at most five bytes (32 bits)."""
    value = shift = 0
    while pos < end:
        byte = data[pos]
        pos += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value > 0xFFFFFFFF:
                raise DecodeError("varint beyond 32 bits")
            return value, pos
        shift += 7
        if shift > 28:
            raise DecodeError("varint beyond 32 bits")
    raise _Short


def write_uvarint(out: bytearray, value: int) -> None:
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def _read_compact_length(data: bytes, pos: int, end: int) -> tuple[int, int]:
    value, pos = read_uvarint(data, pos, end)
    return value - 1, pos


def _length_reader(kafka_type: str, flexible: bool) -> Reader:
    if flexible:
        return _read_compact_length
    return _read_int16 if kafka_type == "string" else _read_int32


def _sized_reader(kafka_type: str, flexible: bool, nullable: bool) -> Reader:
    read_length = _length_reader(kafka_type, flexible)
    text = kafka_type == "string"

    def read(data: bytes, pos: int, end: int) -> tuple[Any, int]:
        length, pos = read_length(data, pos, end)
        if length < 0:
            if nullable and length == -1:
                return None, pos
            raise DecodeError(f"length {length} where null is not allowed")
        stop = pos + length
        if stop > end:
            raise DecodeError(f"length {length} with {end - pos} bytes left")
        raw = bytes(data[pos:stop])
        if not text:
            return raw, stop
        try:
            return raw.decode(), stop
        except UnicodeDecodeError:
            raise DecodeError("not UTF-8") from None

    return read


def _array_reader(read_item: Reader, flexible: bool, nullable: bool) -> Reader:
    read_length = _length_reader("array", flexible)

    def read(data: bytes, pos: int, end: int) -> tuple[Any, int]:
        count, pos = read_length(data, pos, end)
        if count < 0:
            if nullable and count == -1:
                return None, pos
            raise DecodeError(f"array length {count} where null is not allowed")
        if count > end - pos or count > MAX_ARRAY_ELEMENTS:
            raise DecodeError(
                f"array of {count} elements with {end - pos} bytes left, the limit is {MAX_ARRAY_ELEMENTS}"
            )
        if _Decoding.elements is not None:
            _Decoding.elements.add(count)
        items = []
        for _ in range(count):
            item, pos = read_item(data, pos, end)
            items.append(item)
        return tuple(items), pos

    return read


def _nullable_struct_reader(read_struct: Reader) -> Reader:
    def read(data: bytes, pos: int, end: int) -> tuple[Any, int]:
        marker, pos = _read_int8(data, pos, end)
        if marker < 0:
            return None, pos
        return read_struct(data, pos, end)

    return read


def _value_reader(spec: FieldSpec, flexible: bool, nullable: bool) -> Reader:
    if spec.nested is not None:
        read_struct = struct_reader(spec.nested)
        return _nullable_struct_reader(read_struct) if nullable else read_struct
    packer = _FIXED.get(spec.kafka_type)
    return _fixed_reader(packer) if packer is not None else _sized_reader(spec.kafka_type, flexible, nullable)


def _field_reader(spec: FieldSpec, flexible: bool) -> Reader:
    if spec.array:
        return _array_reader(_value_reader(spec, flexible, False), flexible, spec.nullable)
    return _value_reader(spec, flexible, spec.nullable and spec.tag is None)


@cache
def struct_reader(struct: Struct) -> Reader:
    """The compiled reader of a struct."""
    untagged = tuple((spec.name, _field_reader(spec, struct.flexible)) for spec in struct.untagged)
    tagged = {tag: (spec.name, _field_reader(spec, True)) for tag, spec in struct.tagged.items()}
    defaults = tuple((spec.name, spec.default) for spec in struct.tagged.values())
    make = struct.type

    def read(data: bytes, pos: int, end: int) -> tuple[Any, int]:
        message = make()
        name = "tagged fields"
        try:
            for name, read_field in untagged:
                value, pos = read_field(data, pos, end)
                setattr(message, name, value)
            if struct.flexible:
                name = "tagged fields"
                for field, default in defaults:
                    setattr(message, field, default)
                pos = _read_tagged(message, tagged, data, pos, end)
        except _Short:
            raise DecodeError(f"{struct.name}.{name}: the frame ends here") from None
        except DecodeError as error:
            raise DecodeError(f"{struct.name}.{name}: {error}") from None
        return message, pos

    return read


def _read_tagged(message: Any, known: dict[int, tuple[str, Reader]], data: bytes, pos: int, end: int) -> int:
    count, pos = read_uvarint(data, pos, end)
    for _ in range(count):
        tag, pos = read_uvarint(data, pos, end)
        size, pos = read_uvarint(data, pos, end)
        stop = pos + size
        if stop > end:
            raise _Short
        if tag in known:
            name, read_field = known[tag]
            value, stopped = read_field(data, pos, stop)
            if stopped != stop:
                raise DecodeError(f"{name}: tag of {size} bytes, {stop - stopped} left over")
            setattr(message, name, value)
        pos = stop
    return pos


def decode(
    struct: Struct,
    data: bytes,
    pos: int = 0,
    end: int | None = None,
    *,
    ignore_rest: bool = False,
    elements: Elements | None = None,
) -> Message:
    """The message in data[pos:end]. Raises DecodeError; bytes left over are an error too, unless they are ignored."""
    if end is None:
        end = len(data)
    _Decoding.elements = elements
    message, stopped = struct_reader(struct)(data, pos, end)
    if stopped != end and not ignore_rest:
        raise DecodeError(f"{struct.name}: {end - stopped} bytes after its end")
    return message


def _sized_writer(kafka_type: str, flexible: bool, nullable: bool) -> Writer:
    pack_length = (_FIXED["int16"] if kafka_type == "string" else _FIXED["int32"]).pack
    text = kafka_type == "string"

    def write(out: bytearray, value: Any) -> None:
        if value is None:
            if not nullable:
                raise EncodeError("null where it is not allowed")
            out += b"\0" if flexible else pack_length(-1)
            return
        raw = value.encode() if text else value
        if flexible:
            write_uvarint(out, len(raw) + 1)
        else:
            try:
                out += pack_length(len(raw))
            except StructError:
                raise EncodeError(f"{len(raw)} bytes do not fit") from None
        out += raw

    return write


def _fixed_writer(packer: Packer) -> Writer:
    pack = packer.pack

    def write(out: bytearray, value: Any) -> None:
        try:
            out += pack(value)
        except StructError as error:
            raise EncodeError(str(error)) from None

    return write


def _array_writer(write_item: Writer, flexible: bool, nullable: bool) -> Writer:
    pack_length = _FIXED["int32"].pack

    def write(out: bytearray, items: Any) -> None:
        if items is None:
            if not nullable:
                raise EncodeError("null where it is not allowed")
            out += b"\0" if flexible else pack_length(-1)
            return
        if flexible:
            write_uvarint(out, len(items) + 1)
        else:
            out += pack_length(len(items))
        for item in items:
            write_item(out, item)

    return write


def _nullable_struct_writer(write_struct: Writer) -> Writer:
    def write(out: bytearray, value: Any) -> None:
        if value is None:
            out.append(0xFF)
            return
        out.append(1)
        write_struct(out, value)

    return write


def _value_writer(spec: FieldSpec, flexible: bool, nullable: bool) -> Writer:
    if spec.nested is not None:
        write_struct = struct_writer(spec.nested)
        return _nullable_struct_writer(write_struct) if nullable else write_struct
    packer = _FIXED.get(spec.kafka_type)
    return _fixed_writer(packer) if packer is not None else _sized_writer(spec.kafka_type, flexible, nullable)


def _field_writer(spec: FieldSpec, flexible: bool) -> Writer:
    if spec.array:
        return _array_writer(_value_writer(spec, flexible, False), flexible, spec.nullable)
    return _value_writer(spec, flexible, spec.nullable and spec.tag is None)


@cache
def struct_writer(struct: Struct) -> Writer:
    """The compiled writer of a struct."""
    untagged = tuple((spec.name, _field_writer(spec, struct.flexible)) for spec in struct.untagged)
    tagged = tuple(
        (tag, spec.name, spec.default, _field_writer(spec, True)) for tag, spec in sorted(struct.tagged.items())
    )

    def write(out: bytearray, message: Any) -> None:
        name = "tagged fields"
        try:
            for name, write_field in untagged:
                write_field(out, getattr(message, name))
            if struct.flexible:
                _write_tagged(out, message, tagged)
        except EncodeError as error:
            raise EncodeError(f"{struct.name}.{name}: {error}") from None

    return write


def _write_tagged(out: bytearray, message: Any, tagged: tuple[tuple[int, str, Any, Writer], ...]) -> None:
    present = [(tag, getattr(message, name), write) for tag, name, default, write in tagged]
    present = [
        entry for entry, (_, name, default, _) in zip(present, tagged, strict=True) if getattr(message, name) != default
    ]
    write_uvarint(out, len(present))
    for tag, value, write_field in present:
        body = bytearray()
        write_field(body, value)
        write_uvarint(out, tag)
        write_uvarint(out, len(body))
        out += body


def encode(message: Message) -> bytearray:
    """The bytes of a message body. Raises EncodeError naming the field."""
    out = bytearray()
    struct_writer(message.struct)(out, message)
    return out
