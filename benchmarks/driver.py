"""The load generator: one plain blocking socket and frames made beforehand, so that little of a run is its own work.

Every answer is checked: order, error code, and offsets without a gap.
"""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from struct import Struct
from types import TracebackType
from typing import Self

import frames
from frames import Question

Address = tuple[str, int]

TIMEOUT_SECONDS = 60.0
RECEIVE_BYTES = 1_048_576

_INT32 = Struct(">i")
_INT64 = Struct(">q")


class WrongAnswer(Exception):
    """A peer answered with an error, out of order or with a gap in the offsets: the figures would mean nothing."""


@dataclass(frozen=True, slots=True)
class Login:
    username: str
    password: str


@dataclass(slots=True)
class Load:
    """What one run moved, and how long it took."""

    requests: int
    records: int
    payload_bytes: int
    seconds: float
    latencies: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Steady:
    """What one connection saw that asked at a steady rate; times in seconds, one for each request."""

    latencies: list[float] = field(default_factory=list)
    throttle_times: list[float] = field(default_factory=list)


class Connection:
    """One connection to a broker or to what stands in front of it."""

    def __init__(self, address: Address, login: Login | None) -> None:
        self._socket = socket.create_connection(address, TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray(2 * frames.FETCH_BYTES)
        if login is not None:
            self._log_in(login)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def _log_in(self, login: Login) -> None:
        for frame in (frames.handshake_frame(), frames.authenticate_frame(login.username, login.password)):
            self._socket.sendall(frame)
            answer = self._receive_frame()
            if bytes(answer[8:10]) != b"\0\0":
                raise WrongAnswer(f"authentication was answered with error code {answer[9]}")

    def _receive_frame(self) -> memoryview:
        """One whole frame, with its length; valid until the next one."""
        view = memoryview(self._buffer)
        have, size = 0, 4
        while have < size:
            count = self._socket.recv_into(view[have:size])
            if not count:
                raise WrongAnswer("the connection was closed within an answer")
            have += count
            if have == 4:
                size = 4 + _INT32.unpack_from(view)[0]
                if size > len(self._buffer):
                    raise WrongAnswer(f"an answer of {size} bytes")
        return view[:size]

    def produce(self, topic: str, batch: bytes, records: int, window: int, requests: int) -> Load:
        """Send the batch `requests` times with at most `window` unanswered, each in a write of its own."""
        frame = frames.produce_frame(topic, batch)
        base_offset_at = 4 + 4 + 1 + 1 + 1 + len(topic) + 1 + 4 + 2
        first_offset = -1
        buffered = bytearray()
        sent = answered = 0
        pack, unpack_id, unpack_offset = _INT32.pack_into, _INT32.unpack_from, _INT64.unpack_from
        send, receive = self._socket.sendall, self._socket.recv
        latencies: list[float] = []
        started = begun = time.perf_counter()
        while answered < requests:
            while sent < requests and sent - answered < window:
                pack(frame, frames.CORRELATION_ID_AT, sent)
                begun = time.perf_counter()
                send(frame)
                sent += 1
            data = receive(65536)
            if window == 1:
                latencies.append(time.perf_counter() - begun)
            if not data:
                raise WrongAnswer("the connection was closed")
            buffered += data
            position = 0
            while len(buffered) - position >= 4:
                size = 4 + unpack_id(buffered, position)[0]
                if len(buffered) - position < size:
                    break
                offset = unpack_offset(buffered, position + base_offset_at)[0]
                if first_offset < 0:
                    first_offset = offset
                if unpack_id(buffered, position + 4)[0] != answered or offset != first_offset + answered * records:
                    raise WrongAnswer(f"produce request {answered}: {bytes(buffered[position : position + size])!r}")
                answered += 1
                position += size
            del buffered[:position]
        seconds = time.perf_counter() - started
        return Load(requests, requests * records, requests * len(batch), seconds, latencies)

    def consume(self, topic: str, offset: int, end_offset: int) -> Load:
        """Fetch from offset to end_offset, one request after the other, as clients do."""
        frame, offset_at = frames.fetch_frame(topic)
        answer = frames.FetchAnswer(topic)
        first, requests, payload = offset, 0, 0
        started = time.perf_counter()
        while offset < end_offset:
            _INT32.pack_into(frame, frames.CORRELATION_ID_AT, requests)
            _INT64.pack_into(frame, offset_at, offset)
            self._socket.sendall(frame)
            received = self._receive_frame()
            if _INT32.unpack_from(received, 4)[0] != requests:
                raise WrongAnswer("answers out of order")
            count, next_offset = answer.read(received)
            if next_offset <= offset:
                raise WrongAnswer(f"nothing came from offset {offset}, and the records go on to {end_offset}")
            payload += count
            offset = next_offset
            requests += 1
        return Load(requests, offset - first, payload, time.perf_counter() - started)

    def sees(self, topic: str) -> bool:
        """Whether Metadata of all topics has this one."""
        self._socket.sendall(frames.metadata_frame())
        return f"{len(topic) + 1:c}{topic}".encode() in bytes(self._receive_frame())

    def keep_asking(
        self, question: Question, window: int, going: Callable[[], bool], on_answer: Callable[[int], None]
    ) -> None:
        """Send it with at most `window` unanswered, whatever the answers say of waiting, and take all answers in the
        end. `on_answer` is told the bytes of record batches that moved."""
        frame = bytearray(question.frame)
        sent = answered = 0
        while True:
            while sent - answered < window and going():
                _INT32.pack_into(frame, frames.CORRELATION_ID_AT, sent)
                self._socket.sendall(frame)
                sent += 1
            if sent == answered:
                return
            on_answer(question.answer.record_bytes(self._answer_to(answered)))
            answered += 1

    def ask_steadily(self, question: Question, interval: float, requests: int) -> Steady:
        """One at a time, at fixed times; waits as it is told to. What a pause or an answer that comes late delays the
        next request counts as that one's latency."""
        frame, seen = bytearray(question.frame), Steady()
        started = may_send = time.perf_counter()
        for number in range(requests):
            due = started + number * interval
            if (early := due - time.perf_counter()) > 0:
                time.sleep(early)
                due = time.perf_counter()
            if (pause := may_send - time.perf_counter()) > 0:
                time.sleep(pause)
            _INT32.pack_into(frame, frames.CORRELATION_ID_AT, number)
            self._socket.sendall(frame)
            answer = self._answer_to(number)
            arrived = time.perf_counter()
            question.answer.record_bytes(answer)
            seen.latencies.append(arrived - due)
            seen.throttle_times.append(question.answer.throttle_milliseconds(answer) / 1000)
            may_send = arrived + seen.throttle_times[-1]
        return seen

    def _answer_to(self, number: int) -> memoryview:
        answer = self._receive_frame()
        if _INT32.unpack_from(answer, 4)[0] != number:
            raise WrongAnswer("answers out of order")
        return answer
