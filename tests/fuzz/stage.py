"""A world: a gateway's inside, clients and brokers without sockets, and the invariants that hold after every step."""

import dataclasses
import logging
import signal
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import monotonic, process_time
from types import FrameType
from typing import Any, Final, Self

from protocol.codec import encode
from protocol.framing import STREAM_MIN_BYTES
from protocol.headers import encode_client_id, request_head
from protocol.schema import request_struct
from proxy.close import CloseReason
from proxy.flow import Hold, MemoryBudget
from proxy.throttling import PATIENCE
from tests.fuzz import bearer
from tests.fuzz.checks import FETCH, WITH_BLOBS, BrokerSide, ClientSide, Excuses, Failure, read_response
from tests.fuzz.settings import BEARER, ENDS, FEATURES, LIMITS, LIMITS_OF_ZONES, OTHER, SETTINGS, config_of, with_limits
from tests.fuzz.sign_in import tokens_of
from tests.fuzz.steps import Kind, Step
from tests.unit.proxy.playbook import SASL_AUTHENTICATE, SASL_HANDSHAKE, ZONE, BrokerGot, Dialogue, Playbook
from tests.unit.proxy.transports import FakeTransport

NONCE: Final = b"{nonce}"
"""In a token, stands for what the last challenge has as its nonce."""
LONG_SECONDS: Final = 3600
"""After which everything that was held has gone on."""
STEP_SECONDS: Final = 10.0
"""Of processor time for one step; the slowest known takes a fraction of a second."""


class Stuck(BaseException):
    """A step that takes too long. Not an Exception, so that nobody takes it for a client's doing."""


class Pair:
    """One client's connection and its broker's, with what both sides may see."""

    def __init__(self, playbook: Playbook, broker_id: int | None, excuses: Excuses) -> None:
        self.dialogue: Dialogue = playbook.connects(broker_id)
        self.client = ClientSide(playbook, excuses)
        self.broker = BrokerSide(playbook)
        self.largest_chunk = 0
        self.broker_owes = 0
        """Bytes of a frame that it has begun."""
        self.end = ""

    @property
    def session(self) -> Any:
        return self.dialogue.session

    @property
    def broker_transport(self) -> FakeTransport | None:
        return self.dialogue.playbook._broker_sides.get(self.session.gate)

    @property
    def ready(self) -> bool:
        return self.session._pipeline is not None


class World:
    """A context manager, as a playbook is. `do` raises Failure."""

    def __init__(self, setting: str) -> None:
        fixed = SETTINGS[setting]
        self.setting = setting
        self._limits = fixed.limits
        self.playbook = Playbook(
            with_limits(fixed.limits, ZONE, OTHER, BEARER),
            broker_versions=dict(fixed.versions),
            features=FEATURES,
            plans=fixed.plans,
            budget=200_000,
            config=config_of(fixed),
            configured=bearer.mechanisms,
        )
        self.mechanisms = tuple(self.playbook.services.mechanisms)
        listener = self.playbook.listener
        listener.config = dataclasses.replace(listener.config, mechanisms=self.mechanisms)
        self.pairs: dict[int, Pair] = {}
        self.steps: list[Step] = []
        self.frames = 0
        self.outcomes: Counter[str] = Counter()
        self.slowest = 0.0
        """Seconds of the slowest step."""
        self._excuses = Excuses(set())
        self._errors = _Errors()
        self._last_number = 0

    def __enter__(self) -> Self:
        self.playbook.__enter__()
        logging.getLogger("zonegate").addHandler(self._errors)
        signal.signal(signal.SIGVTALRM, _on_stuck)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        logging.getLogger("zonegate").removeHandler(self._errors)
        # not the playbook's own check: failures are raised step by step
        self.playbook.__exit__(AssertionError, None, None)

    def do(self, step: Step) -> None:
        """Play a step and look at everything. Steps for connections that don't exist (any more) do nothing."""
        self.steps.append(step)
        self.frames += step.frames
        signal.setitimer(signal.ITIMER_VIRTUAL, STEP_SECONDS)
        started = process_time()
        try:
            if step.kind is Kind.CONNECT:
                self._connect(step)
            elif step.pair in self.pairs:
                self._ACTIONS[step.kind](self, self.pairs[step.pair], step)
                self.playbook.loop.run_due()
        except Failure:
            raise
        except (Exception, Stuck) as error:
            raise Failure("exception", _describe(error), _place(error)) from error
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            self.slowest = max(self.slowest, process_time() - started)
        try:
            self._look()
        except Failure:
            raise
        except Exception as error:
            raise Failure("the fuzz itself", _describe(error), _place(error)) from error

    # actions

    def _connect(self, step: Step) -> None:
        if step.pair not in self.pairs:
            self.pairs[step.pair] = Pair(self.playbook, step.number or None, self._excuses)

    def _sign_in(self, pair: Pair, step: Step) -> None:
        """As a client that knows its password, with the mechanism that the step's data names."""
        mechanism = step.data.decode()
        tokens = tokens_of(mechanism, step.text)
        self._ask(pair, step, SASL_HANDSHAKE, 1, mechanism=mechanism)
        with suppress(StopIteration):
            while not pair.dialogue.client.closed:
                self._ask(pair, step, SASL_AUTHENTICATE, 2, auth_bytes=tokens.send(pair.client.last_token))
        if pair.session._authentication.principal is not None:
            pair.client.zone = pair.broker.zone = pair.session.zone_name

    def _ask(self, pair: Pair, step: Step, key: int, version: int, **fields: Any) -> None:
        self._send(pair, dataclasses.replace(step, data=_request(key, version, fields)))
        self._read(pair)

    def _client(self, pair: Pair, step: Step) -> None:
        self._send(pair, step)

    def _token(self, pair: Pair, step: Step) -> None:
        token = step.data.replace(NONCE, _nonce_of(pair.client.last_token))
        if step.number < 0:
            data = len(token).to_bytes(4, "big") + token
        else:
            data = _request(SASL_AUTHENTICATE, step.number, {"auth_bytes": token})
        self._send(pair, dataclasses.replace(step, data=data))

    def _send(self, pair: Pair, step: Step) -> None:
        pair.client.sent(step.data)
        pair.largest_chunk = max(pair.largest_chunk, len(step.data))
        self._deliver(pair.dialogue.client, step)

    def _broker_sends(self, pair: Pair, step: Step) -> None:
        transport = pair.broker_transport
        if transport is None or transport.closed:
            return
        if pair.broker_owes > 0:
            # more of a frame that has begun
            self._excuses.hear(step.data)
            pair.broker_owes -= len(step.data)
            self._deliver(transport, step)
        elif pair.broker.waiting or not step.answers:
            self._deliver(transport, self._begin_answer(pair, step))

    def _begin_answer(self, pair: Pair, step: Step) -> Step:
        """Whatever it is, it is taken for the answer to what waits longest."""
        data = step.data
        pair.broker_owes = 4 + int.from_bytes(data[:4], "big") - len(data)
        if not pair.broker.waiting:
            return step
        got = pair.broker.waiting.popleft()
        if step.answers:
            data = data[:4] + got.broker_correlation_id.to_bytes(4, "big") + data[8:]
        if step.damaged or pair.broker_owes or got.key in WITH_BLOBS:
            self._excuse(got, data, pair.broker_owes != 0, step.damaged)
        return dataclasses.replace(step, data=data)

    def _excuse(self, got: BrokerGot, data: bytes, partial: bool, damaged: bool) -> None:
        """What a broker says where everything passes may be seen, and whatever stands in what can't be read here."""
        message = read_response(data, got)
        if message is not None:
            self._excuses.hear_blobs(message, got)
            if damaged:
                self._excuses.hear_passing(message, got.key)
        elif partial or (got.key == FETCH and len(data) > STREAM_MIN_BYTES):
            self._excuses.hear(data)

    def _deliver(self, transport: FakeTransport, step: Step) -> None:
        for chunk in step.chunks():
            if transport.closed:
                return
            transport.receive(chunk)
            self.playbook.loop.run_due()

    def _time(self, pair: Pair, step: Step) -> None:
        self.playbook.loop.advance(step.number)

    def _deadlines(self, pair: Pair, step: Step) -> None:
        pair.session.check_deadlines(monotonic() + step.number)

    def _stop_reading(self, pair: Pair, step: Step) -> None:
        transport = _side(pair, step)
        if transport is not None and not transport.closed:
            transport.takes_nothing = True
            transport.protocol.pause_writing()

    def _read_again(self, pair: Pair, step: Step) -> None:
        transport = _side(pair, step)
        if transport is not None and not transport.closed:
            transport.takes_nothing = False
            transport.protocol.resume_writing()

    def _hang_up(self, pair: Pair, step: Step) -> None:
        transport = _side(pair, step)
        if transport is not None and not transport.closed:
            transport.hang_up()

    def _drain(self, pair: Pair, step: Step) -> None:
        if not pair.dialogue.client.closed:
            pair.session.drain()

    def _zones(self, pair: Pair, step: Step) -> None:
        """As `Gateway.apply` does it."""
        self._limits = LIMITS_OF_ZONES.get(step.text, self._limits)
        few = dataclasses.replace(ZONE, aliases=ZONE.aliases[:2])
        zone = few if step.text == "few aliases" else ZONE
        shrunken = self.playbook.apply(with_limits(self._limits, zone, OTHER, BEARER))
        for session in list(self.playbook.services.sessions):
            if session.zone_name in shrunken:
                session.close(CloseReason.ZONE_CHANGED)

    def _connects(self, pair: Pair, step: Step) -> None:
        self.playbook.broker_answers_connects = step.text != "a refusal"
        self.playbook.broker_goes_at_once = step.text == "an end at once"

    _ACTIONS: Final[Mapping[Kind, Callable[["World", Pair, Step], None]]] = {
        Kind.SIGN_IN: _sign_in,
        Kind.CLIENT: _client,
        Kind.TOKEN: _token,
        Kind.BROKER: _broker_sends,
        Kind.TIME: _time,
        Kind.DEADLINES: _deadlines,
        Kind.STOP_READING: _stop_reading,
        Kind.READ_AGAIN: _read_again,
        Kind.HANG_UP: _hang_up,
        Kind.DRAIN: _drain,
        Kind.ZONES: _zones,
        Kind.CONNECTS: _connects,
    }

    # invariants

    def _look(self) -> None:
        if self._errors.found:
            error = self._errors.found[0]
            raise Failure("internal error", _describe(error), _place(error))
        for number, pair in list(self.pairs.items()):
            self._read(pair)
            self._check_bounds(pair)
            if pair.dialogue.client.closed:
                self._take_leave(number, pair)

    def _read(self, pair: Pair) -> None:
        client, broker = pair.dialogue.client, pair.broker_transport
        if client.sent:
            before = pair.client.answers
            data = bytes(client.sent)
            client.sent.clear()
            pair.client.received(data)
            self.outcomes["answered"] += pair.client.answers - before
        if broker is not None and broker.sent:
            data = bytes(broker.sent)
            broker.sent.clear()
            pair.broker.received(data)
            if pair.broker.gives_up and not broker.closed:
                broker.hang_up()
                self.playbook.loop.run_due()

    def _check_bounds(self, pair: Pair) -> None:
        reader, pipeline = pair.session.reader, pair.session._pipeline
        kept = sum(map(len, reader._chunks))
        if kept != reader._chunks_bytes:
            raise Failure("memory", f"the reader keeps {kept} bytes and counts {reader._chunks_bytes}")
        if kept > reader.max_frame_bytes + 4 + pair.largest_chunk:
            raise Failure("memory", f"the reader keeps {kept} bytes, frames may have {reader.max_frame_bytes}")
        if pipeline is not None and pair.session.gate.holds(Hold.THROTTLED) and not pair.session.closed:
            self._check_pause(pipeline._throttle)
        if pipeline is not None and pipeline.in_flight > LIMITS.requests_in_flight:
            raise Failure("memory", f"{pipeline.in_flight} requests are in flight, {LIMITS.requests_in_flight} may be")

    def _check_pause(self, throttle: Any) -> None:
        """Whoever is held has a timer, and a request that waits, no longer than the longest pause."""
        left = throttle._held_until - self.playbook.loop.time()
        if throttle._timer is None or left > PATIENCE[throttle._limiter.kind].held:
            raise Failure("held", f"a connection is held for {left} s, by {throttle._timer}")

    def _take_leave(self, number: int, pair: Pair) -> None:
        self.playbook.loop.run_due()
        self._read(pair)
        pair.client.ended()
        if pair.dialogue.client.takes_nothing or _takes_nothing(pair.broker_transport):
            pair.session.check_deadlines(monotonic() + LIMITS.close_seconds + 1)
        pair.end = pair.dialogue.ended
        if pair.end not in ENDS:
            raise Failure("reason", f"the connection ended with the reason {pair.end!r}", pair.end)
        broker = pair.broker_transport
        if broker is not None and not broker.closed:
            raise Failure("left behind", f"the broker's connection is still open after {pair.end}", pair.end)
        self.outcomes[pair.end] += 1
        del self.pairs[number]

    def finish(self) -> None:
        """End what is left, and look for what stays behind."""
        for number in list(self.pairs)[:1]:
            self.do(Step(Kind.TIME, number, number=LONG_SECONDS))
        still = [number for number, pair in self.pairs.items() if pair.session.gate.holds(Hold.THROTTLED)]
        if still:
            raise Failure("held", f"connections {still} are still held after {LONG_SECONDS} s")
        for number in list(self.pairs):
            self.do(Step(Kind.HANG_UP, number, text="client"))
        try:
            self.playbook.loop.advance(3600)
        except Exception as error:
            raise Failure("exception", _describe(error), _place(error)) from error
        self._look()
        services = self.playbook.services
        held = [getattr(services, each.name) for each in dataclasses.fields(services) if hasattr(services, each.name)]
        budgets = [each for each in held if isinstance(each, MemoryBudget)]
        left = {
            "connections": services.sessions,
            "timers": self.playbook.loop._later,
            "callbacks": self.playbook.loop._ready,
            "bytes of the memory budgets": [budget._taken for budget in budgets if budget._taken],
            "waiting for memory": [budget._waiting for budget in budgets if budget._waiting],
            "signed-in connections in the metrics": sum(services.metrics.connections.values()),
            "commits in turn": [zone.commits._lines for zone in services.zones.zones.values() if zone.commits._lines],
        }
        for what, some in left.items():
            if some:
                raise Failure("left behind", f"{what}: {some!r}", what)


class _Errors(logging.Handler):
    """Keeps our own failures, with their places."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self.found.append(error if error is not None else Exception(record.getMessage()))


def _on_stuck(_signal: int, _frame: FrameType | None) -> None:
    raise Stuck(f"a step takes more than {STEP_SECONDS:g} s")


def _describe(error: BaseException) -> str:
    return "".join(traceback.format_exception(error, limit=-8)).rstrip()


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__} {where}"


def _takes_nothing(transport: FakeTransport | None) -> bool:
    return transport is not None and transport.takes_nothing


def _side(pair: Pair, step: Step) -> FakeTransport | None:
    return pair.dialogue.client if step.text == "client" else pair.broker_transport


def _request(key: int, version: int, fields: Mapping[str, Any]) -> bytes:
    struct = request_struct(key, version)
    body = encode(struct.new(**fields))
    return request_head(len(body), key, version, 1, encode_client_id(b"app"), struct.flexible) + bytes(body)


def _nonce_of(challenge: bytes) -> bytes:
    """SCRAM's: `r=` up to the next comma."""
    _, found, rest = challenge.partition(b"r=")
    return rest.partition(b",")[0] if found else b"nonce"
