"""The bytes that the load generator sends, made before the clock runs.

Produce and Fetch in version 12, the last in which topics go by name: what a gateway renames. The answers are read here
too, as far as a measurement has to know that nothing was lost.
"""

import io
import random
import time
from dataclasses import dataclass
from datetime import timedelta
from struct import Struct

from aiokafka.record.default_records import DefaultRecordBatchBuilder
from kio.schema.fetch.v12.request import FetchPartition, FetchRequest, FetchTopic
from kio.schema.metadata.v12.request import MetadataRequest
from kio.schema.produce.v12.request import PartitionProduceData, ProduceRequest, TopicProduceData
from kio.schema.sasl_authenticate.v1.request import SaslAuthenticateRequest
from kio.schema.sasl_handshake.v1.request import SaslHandshakeRequest
from kio.schema.types import TopicName
from kio.serial import entity_writer
from kio.static.primitive import Records, i16, i32, i32Timedelta, i64

CLIENT_ID = "zonegate-benchmark"
MAX_BATCH_BYTES = 1_000_000
"""librdkafka's default batch.size, and a little under the broker's message.max.bytes."""
FETCH_BYTES = 1_048_576
"""max.partition.fetch.bytes, the clients' default."""

CORRELATION_ID_AT = 8
"""Where a request's correlation id stands: behind the frame length, the API key and the version."""

_INT32 = Struct(">i")
_BATCH_HEAD = Struct(">qi")
_LAST_OFFSET_DELTA_AT = 23
_BATCH_FIXED_BYTES = 61

Request = ProduceRequest | FetchRequest | MetadataRequest | SaslAuthenticateRequest | SaslHandshakeRequest


def encode(request: Request) -> bytearray:
    """A whole request frame, with correlation id 0."""
    header = request.__header_schema__(
        request_api_key=request.__api_key__,
        request_api_version=request.__version__,
        correlation_id=i32(0),
        client_id=CLIENT_ID,
    )
    frame = io.BytesIO()
    entity_writer(type(header))(frame, header)
    entity_writer(type(request))(frame, request)
    return bytearray(_INT32.pack(frame.tell()) + frame.getvalue())


def record_batch(value_bytes: int, records: int) -> bytes:
    """One uncompressed batch of records without keys; the values are random bytes, always the same ones."""
    source = random.Random(value_bytes)  # noqa: S311 - filler
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=2 * MAX_BATCH_BYTES,
    )
    now = int(time.time() * 1000)
    for position in range(records):
        builder.append(position, now, None, source.randbytes(value_bytes), [])
    return bytes(builder.build())


def records_per_batch(value_bytes: int, batch_bytes: int) -> int:
    """How many records a full batch holds."""
    overhead = 12  # lengths, timestamp, offset, header count
    return (batch_bytes - _BATCH_FIXED_BYTES) // (value_bytes + overhead)


def produce_frame(topic: str, batch: bytes) -> bytearray:
    """acks=all, partition 0."""
    partition = PartitionProduceData(index=i32(0), records=Records(batch))
    return encode(
        ProduceRequest(
            acks=i16(-1),
            timeout=i32Timedelta.parse(timedelta(seconds=30)),
            topic_data=(TopicProduceData(name=TopicName(topic), partition_data=(partition,)),),
        )
    )


def fetch_frame(topic: str, partition_max_bytes: int = FETCH_BYTES) -> tuple[bytearray, int]:
    """A fetch of partition 0 without a session, and where in it the offset stands."""
    marker = 0x0123456789ABCDEF
    partition = FetchPartition(partition=i32(0), fetch_offset=i64(marker), partition_max_bytes=i32(partition_max_bytes))
    frame = encode(
        FetchRequest(
            max_wait=i32Timedelta.parse(timedelta(seconds=5)),
            min_bytes=i32(1),
            topics=(FetchTopic(topic=TopicName(topic), partitions=(partition,)),),
            forgotten_topics_data=(),
        )
    )
    return frame, frame.index(marker.to_bytes(8, "big"))


def metadata_frame() -> bytearray:
    """All topics that there are for whoever asks."""
    return encode(
        MetadataRequest(topics=None, allow_auto_topic_creation=False, include_topic_authorized_operations=False)
    )


def handshake_frame() -> bytearray:
    return encode(SaslHandshakeRequest(mechanism="PLAIN"))


def authenticate_frame(username: str, password: str) -> bytearray:
    return encode(SaslAuthenticateRequest(auth_bytes=f"\0{username}\0{password}".encode()))


@dataclass(frozen=True, slots=True)
class Question:
    """A request that is sent many times, and what reads its answers."""

    frame: bytes
    answer: "ProduceAnswer | FetchAnswer"


def produce_question(topic: str, batch: bytes) -> Question:
    return Question(bytes(produce_frame(topic, batch)), ProduceAnswer(topic, batch))


def fetch_question(topic: str, partition_max_bytes: int = FETCH_BYTES) -> Question:
    """From the partition's beginning, every time."""
    frame, offset_at = fetch_frame(topic, partition_max_bytes)
    frame[offset_at : offset_at + 8] = bytes(8)
    return Question(bytes(frame), FetchAnswer(topic))


class ProduceAnswer:
    """Where things stand in the answers to `produce_frame`."""

    def __init__(self, topic: str, batch: bytes) -> None:
        # frame length, correlation id, tags, topic count, name, partition count, index
        self._error_code = 4 + 4 + 1 + 1 + 1 + len(topic) + 1 + 4
        self._batch_bytes = len(batch)

    def record_bytes(self, answer: memoryview) -> int:
        """Of what was written."""
        if bytes(answer[self._error_code : self._error_code + 2]) != b"\0\0":
            raise ValueError(f"Produce was answered with error code {answer[self._error_code + 1]}")
        return self._batch_bytes

    def throttle_milliseconds(self, answer: memoryview) -> int:
        """It is the last field before the tags."""
        return int.from_bytes(answer[-5:-1], "big")


class FetchAnswer:
    """Where things stand in the answers to `fetch_frame`: all but the records has the same size every time."""

    def __init__(self, topic: str) -> None:
        # frame length, correlation id, tags, throttle time, error code, session id, topic count, name, partition count
        partition = 4 + 4 + 1 + 4 + 2 + 4 + 1 + 1 + len(topic) + 1
        self._error_codes = (13, partition + 4)
        # index, error code, high watermark, last stable offset, log start offset, no aborted transactions, replica
        self._records_length = partition + 4 + 2 + 8 + 8 + 8 + 1 + 4

    def read(self, answer: memoryview) -> tuple[int, int]:
        """Bytes of whole record batches, and the offset after the last one."""
        self._check(answer)
        length, position = _read_uvarint(answer, self._records_length)
        records = answer[position : position + length - 1]
        return _scan_batches(records)

    def record_bytes(self, answer: memoryview) -> int:
        """With what is there of a batch that is cut off at the end."""
        self._check(answer)
        return _read_uvarint(answer, self._records_length)[0] - 1

    def throttle_milliseconds(self, answer: memoryview) -> int:
        """It is the first field."""
        return int.from_bytes(answer[9:13], "big")

    def _check(self, answer: memoryview) -> None:
        for position in self._error_codes:
            if bytes(answer[position : position + 2]) != b"\0\0":
                raise ValueError(f"Fetch was answered with error code {answer[position + 1]}")


def _read_uvarint(data: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _scan_batches(records: memoryview) -> tuple[int, int]:
    """An answer may end within a batch, which the next fetch then brings whole."""
    position, next_offset, end = 0, -1, len(records)
    while position + _BATCH_FIXED_BYTES <= end:
        base_offset, length = _BATCH_HEAD.unpack_from(records, position)
        if position + 12 + length > end:
            break
        next_offset = base_offset + _INT32.unpack_from(records, position + _LAST_OFFSET_DELTA_AT)[0] + 1
        position += 12 + length
    return position, next_offset
