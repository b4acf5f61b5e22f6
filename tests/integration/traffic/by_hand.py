"""Producers without a library: Produce version 3, from before KIP-219, sent on and on whatever the answers say.

Behind each request with acks=0, which has no answer, goes one for metadata: it is answered after the produce request
before it was taken.
"""

import socket
import struct
import time
from collections import deque
from collections.abc import Iterator

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from tests.integration.traffic.case import Case, Progress, Report, run_in_threads, value
from tests.integration.wire import SECONDS, authenticate, handshake, metadata_of, request, text

PRODUCE = 0
TIMEOUT_MS = 30_000
ANSWER_SECONDS = 60.0


def batch(data: bytes) -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, len(data) + 1000)
    builder.append(0, None, None, data, [])
    return bytes(builder.build())


def produce_request(correlation_id: int, case: Case, data: bytes) -> bytes:
    records = batch(data)
    head = struct.pack(">hhii", -1, case.acks, TIMEOUT_MS, 1) + text(case.topic)
    body = head + struct.pack(">iii", 1, 0, len(records)) + records
    return request(PRODUCE, 3, correlation_id, body)


class Connection:
    def __init__(self, case: Case) -> None:
        host, _, port = case.bootstrap.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), SECONDS)
        self._socket.settimeout(ANSWER_SECONDS)
        self._stream = self._socket.makefile("rb")
        for number, each in enumerate((handshake(0), authenticate(1, case.user, case.password))):
            self._socket.sendall(each)
            assert self.receive(number)[:2] == b"\0\0"

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self, correlation_id: int) -> bytes:
        (size,) = struct.unpack(">i", self._read(4))
        body = self._read(size)
        assert struct.unpack_from(">i", body)[0] == correlation_id
        return body[4:]

    def _read(self, size: int) -> bytes:
        data = self._stream.read(size)
        assert len(data) == size, "the gateway closed the connection"
        return data

    def close(self) -> None:
        self._stream.close()
        self._socket.close()


def produce(case: Case, report: Report) -> None:
    connection = Connection(case)
    progress = Progress(case, report)
    under_way: deque[int] = deque()
    for number in numbers(case, progress):
        connection.send(produce_request(number, case, value(number, case.value_bytes)))
        if case.acks == 0:
            connection.send(metadata_of(number, case.topic, 1))
        under_way.append(number)
        if len(under_way) >= case.outstanding:
            acknowledge(connection, case, report, under_way.popleft())
    while under_way:
        acknowledge(connection, case, report, under_way.popleft())
    connection.close()


def numbers(case: Case, progress: Progress) -> Iterator[int]:
    number = 0
    begun = time.monotonic()
    while not progress.complete:
        yield number
        number += 1
        time.sleep(max(begun + number * case.pause - time.monotonic(), 0) if case.pause else 0)


def acknowledge(connection: Connection, case: Case, report: Report, number: int) -> None:
    body = connection.receive(number)
    offset = -1
    if case.acks:
        at = 4 + len(text(case.topic)) + 4
        partition, error, offset = struct.unpack_from(">ihq", body, at)
        assert (partition, error) == (0, 0), f"partition {partition} was answered with error {error}"
        report.throttle_ms = max(report.throttle_ms, float(struct.unpack_from(">i", body, len(body) - 4)[0]))
    report.arrived(0, offset, number, case.value_bytes)


if __name__ == "__main__":
    run_in_threads(produce)
