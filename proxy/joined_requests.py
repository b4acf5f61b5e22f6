"""Commits that have had to wait for the zone's limit: those that stand directly behind one are taken along.

A consumer that commits each record without waiting for answers sends many commits a second, far more than a limit like
60 a minute lets through one by one, and its heartbeats stand behind them. So once a commit has had to wait, it is
joined with the further ones of the same member that have come in meanwhile (`proxy.apis.joined_commit`): the broker
gets one, which is charged once, and each request gets its own answer in its turn.

Heartbeats between them keep their places: to a coordinator it is all the same whether one comes before a commit or
after it, and a chain that ended there would have the next one wait again. Anything else ends a chain, and so does the
last such frame that is here, so none waits for what may still come. All get their places in the queue at once; when the
reader comes to the frames behind the first, they have been taken (`taken_along`).
"""

from collections.abc import Sequence
from typing import Final, Protocol

from protocol.errors import ClientProtocolError
from protocol.headers import PEEK
from protocol.schema import Message
from proxy.apis.joined_commit import JoinedCommit
from proxy.apis.plan import RequestPlan
from proxy.exchange import Call, Exchange
from proxy.typed_exchange import Part, Rounds, TypedExchange
from proxy.zones import ZoneState

MAX_JOINED: Final = 500
"""Requests in one turn of the event loop: each takes some 30 microseconds to decode, and 20 to answer, during which
nobody else is served. So many commits in one wait keep up with a consumer that commits hundreds of records a second."""

HEARTBEAT: Final = b"\x00\x0c"
"""The API key. Those of KIP-848 aren't meant: they may begin another epoch of their member."""

_API_AT: Final = 4
_CORRELATION_ID_AT: Final = 8
_CLIENT_ID_AT: Final = 12


class Queue(Rounds, Protocol):
    """The pipeline, as it is needed here."""

    @property
    def pending_room(self) -> int: ...

    def decode_call(self, plan: RequestPlan, data: bytes, body: int, end: int) -> tuple[Call, int]: ...

    def place(self, exchange: Exchange, pending: int) -> None: ...

    def take(self, data: bytes, start: int, end: int) -> None: ...


class _Joint:
    """Exchanges that are answered by one response of the broker."""

    def __init__(self, zone: ZoneState, commit: JoinedCommit, exchanges: Sequence[TypedExchange]) -> None:
        self._zone = zone
        self._commit = commit
        self._exchanges = exchanges

    def take(self, _index: int, message: Message) -> None:
        # together with the requests, which are counted when they are answered
        self._zone.metrics.joined_commits[self._zone.name] += len(self._exchanges) - 1
        for exchange, answer in zip(self._exchanges, self._commit.answers(message), strict=True):
            exchange.go_on(answer)


def take_joined(queue: Queue, plan: RequestPlan, data: bytes, start: int, body: int, end: int) -> int:
    """Take the commit at `start`, whose body begins at `body`, with those behind it that can be joined. So many frames
    behind it have been taken; with 0, neither has it."""
    chain = _Chain(queue, plan, data, start, body, end)
    if chain.last == 0:
        return 0
    chain.take()
    return chain.last


class _Chain:
    """Frames: commits that are joined, and heartbeats between them."""

    def __init__(self, queue: Queue, plan: RequestPlan, data: bytes, start: int, body: int, end: int) -> None:
        self.last = 0
        """The index of the last commit among the frames."""
        self._queue = queue
        self._data = data
        self._frames = _frames(data, start, body, end)
        self._commit = JoinedCommit()
        self._taken: dict[int, tuple[TypedExchange, int]] = {}
        """By index: the commit's exchange, and what it takes in memory."""
        room = queue.pending_room
        for index, (begin, finish) in enumerate(self._frames if len(self._frames) > 1 else ()):
            if data.startswith(HEARTBEAT, begin + _API_AT):
                continue
            try:
                call, pending = queue.decode_call(plan, data, begin + body - start, finish)
            except ClientProtocolError:
                break  # it will end the connection when its turn comes
            size = finish - begin
            room -= size + pending
            if (self._taken and room < 0) or not self._commit.add(call):
                break
            exchange = TypedExchange(queue, plan, PEEK.unpack_from(data, begin)[3], size, call)
            self._taken[index] = exchange, size + pending
            self.last = index

    def take(self) -> None:
        """Send one commit for all, and give each frame its place."""
        request = self._commit.request()
        exchanges = [exchange for exchange, _ in self._taken.values()]
        exchanges[0].charge()
        self._queue.send_typed(request, Part(_Joint(self._queue.zone(), self._commit, exchanges), 0, request))
        for index, (begin, end) in enumerate(self._frames[: self.last + 1]):
            if index in self._taken:
                self._queue.place(*self._taken[index])
            else:
                self._queue.take(self._data, begin, end)


def _frames(data: bytes, start: int, body: int, end: int) -> list[tuple[int, int]]:
    """The frame data[start:end], whose body begins at `body`, and the whole ones directly behind it: heartbeats, and
    those that have the same header but for the correlation id."""
    api = data[start + _API_AT : start + _CORRELATION_ID_AT]
    client_id = data[start + _CLIENT_ID_AT : body]
    frames = [(start, end)]
    while len(frames) < MAX_JOINED and len(data) - end >= PEEK.size:
        begin = end
        end = begin + 4 + int.from_bytes(data[begin : begin + 4], "big", signed=True)
        alike = data.startswith(api, begin + _API_AT) and data.startswith(client_id, begin + _CLIENT_ID_AT)
        smallest = body - start if alike else PEEK.size
        if not begin + smallest <= end <= len(data):
            break
        if not alike and not data.startswith(HEARTBEAT, begin + _API_AT):
            break
        frames.append((begin, end))
    return frames
