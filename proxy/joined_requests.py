"""Commits that have had to wait for the zone's limit: those that stand directly behind one are taken along.

A consumer that commits each record without waiting for answers sends many commits a second, far more than a limit like
60 a minute lets through one by one, and its heartbeats stand behind them. So once a commit has had to wait, it is
joined with the further ones of the same member that have come in meanwhile (`proxy.apis.joined_commit`): the broker
gets one, which is charged once, and each request gets its own answer in its turn.

A chain ends with the last such frame that is here, so none waits for what may still come. All get their places in the
queue at once; when the reader comes to the frames behind the first, they have been taken (`taken_along`).
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

MAX_JOINED: Final = 250
"""Nobody else is served while they are decoded, nor while they are answered: some 25 microseconds each."""

_API_AT: Final = 4
_CORRELATION_ID_AT: Final = 8
_CLIENT_ID_AT: Final = 12


class Queue(Rounds, Protocol):
    """The pipeline, as it is needed here."""

    @property
    def pending_room(self) -> int: ...

    def decode_call(self, plan: RequestPlan, data: bytes, body: int, end: int) -> tuple[Call, int]: ...

    def place(self, exchange: Exchange, pending: int) -> None: ...


class _Joint:
    """Exchanges that are answered by one response of the broker."""

    def __init__(self, commit: JoinedCommit, exchanges: Sequence[TypedExchange]) -> None:
        self._commit = commit
        self._exchanges = exchanges

    def take(self, _index: int, message: Message) -> None:
        for exchange, answer in zip(self._exchanges, self._commit.answers(message), strict=True):
            exchange.go_on(answer)


def take_joined(queue: Queue, plan: RequestPlan, data: bytes, start: int, body: int, end: int) -> int:
    """Take the commit at `start` with those behind it that can be joined. Their number; with 0, it wasn't taken."""
    frames = _alike(data, start, body, end)
    if len(frames) == 1:
        return 0
    commit = JoinedCommit()
    taken: list[tuple[TypedExchange, int]] = []
    room = queue.pending_room
    for begin, finish in frames:
        try:
            call, pending = queue.decode_call(plan, data, begin + body - start, finish)
        except ClientProtocolError:
            break  # it will end the connection when its turn comes
        size = finish - begin
        room -= size + pending
        if (taken and room < 0) or not commit.add(call):
            break
        taken.append((TypedExchange(queue, plan, PEEK.unpack_from(data, begin)[3], size, call), size + pending))
    if len(taken) < 2:
        return 0
    zone = queue.zone()
    zone.metrics.joined_commits[zone.name] += len(taken) - 1
    request = commit.request()
    taken[0][0].charge()
    for exchange, pending in taken:
        queue.place(exchange, pending)
    queue.send_typed(request, Part(_Joint(commit, [exchange for exchange, _ in taken]), 0, request))
    return len(taken) - 1


def _alike(data: bytes, start: int, body: int, end: int) -> list[tuple[int, int]]:
    """The frame data[start:end], whose body begins at `body`, and the whole ones directly behind it that have the same
    header but for the correlation id."""
    api = data[start + _API_AT : start + _CORRELATION_ID_AT]
    client_id = data[start + _CLIENT_ID_AT : body]
    frames = [(start, end)]
    while len(frames) < MAX_JOINED:
        begin = end
        if not data.startswith(api, begin + _API_AT) or not data.startswith(client_id, begin + _CLIENT_ID_AT):
            break
        end = begin + 4 + int.from_bytes(data[begin : begin + 4], "big", signed=True)
        if not begin + body - start <= end <= len(data):
            break
        frames.append((begin, end))
    return frames
