"""A request that a handler works on: in one round of requests to the broker or in several, alone or in its turn."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from protocol.codec import decode, encode
from protocol.errors import BrokerProtocolError, DecodeError
from protocol.framing import Sink
from protocol.headers import response_body
from protocol.schema import Message, response_struct
from proxy.apis.plan import RequestPlan
from proxy.broker import BrokerConnection
from proxy.exchange import Answer, BrokerRequest, Call, Exchange, Forward, InTurn, Later, Outcome, Pieces
from proxy.flow import Begin, Hold
from proxy.traffic import Kind
from proxy.zones import ZoneState


class Runner(Protocol):
    """The client's side, as it is needed here."""

    def run(self, work: Callable[[], None]) -> None: ...


class Rounds(Protocol):
    """The pipeline, as it is needed here."""

    broker: BrokerConnection
    zone: Callable[[], ZoneState]

    @property
    def client(self) -> Runner: ...

    def hold(self, reason: Hold) -> None: ...

    def release(self, reason: Hold) -> None: ...

    def send_typed(self, request: BrokerRequest, part: "Part | None") -> None: ...

    def respond(self, exchange: Exchange, plan: RequestPlan, pieces: Pieces, size: int) -> None: ...

    def charge(self, kind: Kind, units: float) -> None: ...

    def throttle_time(self, kind: Kind) -> int: ...


class Taker(Protocol):
    """Who works with the broker's responses."""

    def take(self, index: int, message: Message) -> None: ...


class TypedExchange(Exchange):
    """A request that a handler works on, in one or several rounds."""

    __slots__ = ("_call", "_charged", "_exclusive", "_missing", "_pipeline", "_responses", "_then", "_turn", "plan")

    def __init__(
        self, pipeline: Rounds, plan: RequestPlan, client_correlation_id: int, request_bytes: int, call: Call
    ) -> None:
        super().__init__(client_correlation_id, request_bytes, call.zone.meter(plan.key))
        self.plan = plan
        self._call = call
        self._charged = 0
        self._pipeline = pipeline
        self._then: Callable[[list[Message]], Outcome] | None = None
        self._exclusive = False
        self._turn: tuple[InTurn, Begin] | None = None
        self._responses: list[Message] = []
        self._missing = 0

    def go_on(self, outcome: Outcome) -> None:
        if isinstance(outcome, Answer):
            self._answer(outcome.message)
        elif isinstance(outcome, Forward):
            assert self._then is None or self._exclusive, "a second round without holding later requests"
            if outcome.exclusive:
                self._hold()
            self._forward(outcome)
        elif isinstance(outcome, Later):
            self._hold()
            self._pause(outcome)
        else:
            assert isinstance(outcome, InTurn)
            self._hold()
            self._take_turn(outcome)

    def charge(self) -> None:
        """What the handler has counted since the last time."""
        if self.plan.entry.kind is not None and self._call.units > self._charged:
            self._pipeline.charge(self.plan.entry.kind, self._call.units - self._charged)
            self._charged = self._call.units

    def _hold(self) -> None:
        if not self._exclusive:
            self._exclusive = True
            self._pipeline.hold(Hold.EXCLUSIVE)

    def _take_turn(self, outcome: InTurn) -> None:
        def begin() -> bool:
            if self._pipeline.broker.closed:
                # the turn came when this connection was about to end
                self._turn = None
                return False
            # another connection's callback may run this: what fails here must end this one
            self._pipeline.client.run(lambda: self.go_on(outcome.begin()))
            return True

        self._turn = (outcome, begin)
        outcome.turnstile.enter(outcome.key, begin)

    def _pause(self, outcome: Later) -> None:
        self.leave_turn()

        def go_on() -> None:
            if not self._pipeline.broker.closed:
                self._pipeline.client.run(lambda: self.go_on(outcome.begin()))

        asyncio.get_running_loop().call_later(outcome.seconds, go_on)

    def leave_turn(self) -> None:
        if self._turn is not None:
            (outcome, begin), self._turn = self._turn, None
            outcome.turnstile.leave(outcome.key, begin)

    def _forward(self, outcome: Forward) -> None:
        self._then = outcome.then
        self._missing = len(outcome.requests)
        self._responses = [None] * self._missing
        for index, request in enumerate(outcome.requests):
            self._pipeline.send_typed(request, Part(self, index, request))

    def _answer(self, message: Message) -> None:
        kind = self.plan.entry.kind
        if kind is not None:
            self.charge()
            told = self._pipeline.throttle_time(kind)
            if told and "throttle_time" in message.struct.names:
                message.throttle_time = max(message.throttle_time, told)
        body = encode(message)
        self._pipeline.respond(self, self.plan, (body,), len(body))
        self.leave_turn()
        if self._exclusive:
            self._pipeline.release(Hold.EXCLUSIVE)

    def take(self, index: int, message: Message) -> None:
        self._pipeline.zone().note_broker_error(self.plan.key, getattr(message, "error_code", 0))
        self._responses[index] = message
        self._missing -= 1
        if self._missing == 0:
            assert self._then is not None
            self.go_on(self._then(self._responses))


class Part:
    """One of a handler's requests to the broker."""

    __slots__ = ("_flexible", "_index", "_struct", "_taker", "broker_correlation_id")

    def __init__(self, taker: Taker, index: int, request: BrokerRequest) -> None:
        self._taker = taker
        self._index = index
        self._struct = response_struct(request.api_key, request.version)
        self._flexible = self._struct.flexible
        self.broker_correlation_id = -1

    def on_frame(self, data: bytes, start: int, end: int) -> None:
        try:
            message = decode(self._struct, data, response_body(data, start, end, self._flexible), end)
        except DecodeError as error:
            raise BrokerProtocolError(str(error)) from None
        self._taker.take(self._index, message)

    def on_head(self, data: bytes, start: int, size: int) -> Sink | None:
        return None
