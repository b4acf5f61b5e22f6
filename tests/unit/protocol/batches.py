"""Record batches as a real encoder makes them, and the spans that peers send in their place."""

from struct import Struct
from typing import Final

from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from hypothesis import strategies as st

GZIP: Final = 1
_CONTROL: Final = 0x20
_HEAD: Final = Struct(">qiib")
_ATTRIBUTES_AT: Final = 22


def batch(records: int, compression: int = 0, value: bytes = b"value", transactional: bool = False) -> bytes:
    """A batch of magic 2."""
    builder = DefaultRecordBatchBuilder(2, compression, int(transactional), -1, -1, -1, 1 << 24)
    for offset in range(records):
        assert builder.append(offset, 1_700_000_000_000, b"key", value, [("header", b"x")]) is not None
    return bytes(builder.build())


def control_batch() -> bytes:
    """A transaction's marker: one record, which isn't a client's."""
    marker = bytearray(batch(1, transactional=True))
    marker[_ATTRIBUTES_AT] |= _CONTROL
    return bytes(marker)


def message_set(magic: int, records: int, compression: int = 0) -> bytes:
    """Messages of magic 0 or 1; compressed, they are one wrapper."""
    builder = LegacyRecordBatchBuilder(magic, compression, 1 << 24)
    for offset in range(records):
        assert builder.append(offset, 1_700_000_000_000, None, b"") is not None
    return bytes(builder.build())


def no_batch(length: int, magic: int) -> bytes:
    """What begins as an entry and is none."""
    return _HEAD.pack(0, length, 0, magic) + bytes(80)


Entries = list[tuple[bytes, int]]

ENTRIES: Final[st.SearchStrategy[tuple[bytes, int]]] = st.one_of(
    st.tuples(st.integers(0, 300), st.sampled_from((0, GZIP))).map(lambda made: (batch(*made), made[0])),
    st.just((control_batch(), 0)),
    st.tuples(st.sampled_from((0, 1)), st.integers(1, 4)).map(lambda made: (message_set(*made), made[1])),
    st.sampled_from((0, 1)).map(lambda magic: (message_set(magic, 9, GZIP), 1)),
)
"""(bytes, records that count)"""
