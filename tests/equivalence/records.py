"""Record batches, made by a client library."""

from collections.abc import Sequence

from aiokafka.record.default_records import DefaultRecordBatchBuilder

FIRST_TIME = 1_500_000_000_000
"""Milliseconds: the time of every first record; each later one is a second younger."""
SECOND = 1000


def batch(
    *values: bytes,
    producer: tuple[int, int, int] = (-1, -1, -1),
    transactional: bool = False,
    first_time: int = FIRST_TIME,
) -> bytes:
    """One batch; `producer` is a producer id with its epoch and the first sequence number."""
    producer_id, epoch, sequence = producer
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=transactional,
        producer_id=producer_id,
        producer_epoch=epoch,
        base_sequence=sequence,
        batch_size=1 << 20,
    )
    for offset, value in enumerate(values):
        builder.append(offset, first_time + offset * SECOND, b"key", value, [])
    return bytes(builder.build())


def filling() -> Sequence[Sequence[bytes]]:
    """The batches of each partition of a filled topic: offsets 0 to 4, and 0 to 1."""
    first = batch(b"one", b"two", b"three")
    second = batch(b"four", b"five", first_time=FIRST_TIME + 10 * SECOND)
    return [[first, second], [batch(b"uno", b"due")]]
