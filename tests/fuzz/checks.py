"""What may come out of a gateway: whole frames that answer what was asked, in its order, and nobody else's names.

One `ClientSide` and one `BrokerSide` per pair of connections. They read bytes as a client and a broker would, without
the gateway's help, and raise `Failure` for what must not be.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from struct import error as StructError
from typing import Any, Final

from kio.index import UnknownAPIKey, UnknownEntity

from protocol.codec import decode
from protocol.consumer_protocol import PROTOCOL_TYPE, Assignment
from protocol.errors import ProtocolError
from protocol.framing import STREAM_MIN_BYTES
from protocol.headers import PEEK, RESPONSE_PEEK, parse_request_header, response_body
from protocol.schema import Message, request_struct, response_struct
from proxy.apis.table import OFFERED
from tests.fuzz.messages import SECRET, SECRET_ID
from tests.unit.proxy.borders import (
    ALIASES,
    BACKING,
    BACKING_IDS,
    COMPUTED_OPERATIONS,
    PORTS,
    inspect_request,
)
from tests.unit.proxy.field_rules import PASSING, RESPONSE, RULES, Rule
from tests.unit.proxy.playbook import LISTENER, MAPPED_BROKERS, ZONE, BrokerGot, Playbook, read_request
from tests.unit.proxy.scenes import STRANGERS
from tests.unit.proxy.synthesis import leaves

PRODUCE, FETCH, SASL_HANDSHAKE, API_VERSIONS = 0, 1, 17, 18
JOIN_GROUP, SYNC_GROUP, DESCRIBE_GROUPS = WITH_BLOBS = 11, 14, 15
OTHER_ZONE: Final = "neighbour"
OTHER_TOPIC: Final = "kafka-private"

PATTERNS: Final = (
    SECRET.encode(),
    SECRET_ID,
    *(topic.encode() for topic in (*BACKING, OTHER_TOPIC)),
    *BACKING_IDS,
    *(topic_id for _, topic_id in STRANGERS.topics),
    f"{ZONE.name}:".encode(),
    f"{OTHER_ZONE}:".encode(),
    b"other:",
    b"the-cluster",
    b"stranger",
)
"""Canaries: what no client may see unless it has said it itself."""
TAIL_BYTES: Final = 64


class Failure(Exception):
    """What must not be. `check` is one word for it; the same failure has the same word and place."""

    def __init__(self, check: str, message: str, place: str = "") -> None:
        super().__init__(message)
        self.check = check
        self.place = place

    @property
    def signature(self) -> str:
        return f"{self.check} {self.place}".strip()


def frames_of(buffer: bytearray) -> Iterator[bytes]:
    """Takes the whole frames out of a buffer."""
    while len(buffer) >= 4:
        size = 4 + int.from_bytes(buffer[:4], "big", signed=True)
        if size < 4 or len(buffer) < size:
            return
        frame = bytes(buffer[:size])
        del buffer[:size]
        yield frame


@dataclass(slots=True)
class Excuses:
    """Canaries that may be seen in this world: somebody has said them, or they stood where everything passes."""

    known: set[bytes]

    def hear(self, data: bytes) -> None:
        self.known.update(pattern for pattern in PATTERNS if pattern in data)

    def hear_passing(self, message: Message, key: int) -> None:
        """What stands in fields of a broker's response that reach the client as they are."""
        rules = RULES.get((key, RESPONSE), {})
        for path, _, value in leaves(message):
            rule = rules.get(path)
            if rule is None or rule in PASSING or rule is Rule.SYNONYM:
                self.hear(value.encode() if isinstance(value, str) else value if isinstance(value, bytes) else b"")

    def hear_blobs(self, message: Message, got: BrokerGot) -> None:
        """Members' blobs of groups that aren't consumers' pass as they are."""
        kind = getattr(got.message, "protocol_type", None)
        if got.key == JOIN_GROUP and kind != PROTOCOL_TYPE:
            for member in message.members:
                self.hear(member.metadata)
        elif got.key == SYNC_GROUP and (kind not in (PROTOCOL_TYPE, None) or not _is_assignment(message.assignment)):
            self.hear(message.assignment)
        elif got.key == DESCRIBE_GROUPS:
            for group in message.groups:
                if group.protocol_type != PROTOCOL_TYPE:
                    for member in group.members:
                        self.hear(member.member_metadata + member.member_assignment)


def _is_assignment(blob: bytes) -> bool:
    with suppress(ProtocolError):
        Assignment.parse(blob)
        return True
    return False


@dataclass(slots=True)
class Asked:
    """A request of a client, as far as it has sent it."""

    key: int
    version: int
    correlation_id: int
    frame: bytes

    def is_silent(self, correlation_id: int) -> bool:
        """Produce without acks gets no answer; of what can't be read whole, the correlation id of the answer tells."""
        if self.key != PRODUCE:
            return False
        message = self.message()
        return message.acks == 0 if message is not None else self.correlation_id != correlation_id

    def message(self) -> Message | None:
        """None for what can't be read."""
        try:
            struct = request_struct(self.key, self.version)
            body = parse_request_header(self.frame, 0, len(self.frame), struct.flexible).body
            return decode(struct, self.frame, body, ignore_rest=True)
        except (ProtocolError, UnknownAPIKey, UnknownEntity):
            return None


class ClientSide:
    """What a client has sent, and so what it may receive."""

    def __init__(self, playbook: Playbook, excuses: Excuses) -> None:
        self.answers = 0
        self.last_token = b""
        """Of the last answer, as a SASL client would look for its challenge."""
        self.zone = ""
        self._playbook = playbook
        self._excuses = excuses
        self._asked: deque[Asked] = deque()
        self._outgoing = bytearray()
        self._incoming = bytearray()
        self._tail = b""
        self._raw_tokens = False

    def sent(self, data: bytes) -> None:
        self._excuses.hear(self._tail + data)
        self._tail = (self._tail + data)[-TAIL_BYTES:]
        self._outgoing += data
        for frame in frames_of(self._outgoing):
            head = PEEK.unpack_from(frame) if len(frame) >= PEEK.size else (0, -1, -1, 0, 0)
            self._asked.append(Asked(head[1], head[2], head[3], frame))

    def received(self, data: bytes) -> None:
        self._incoming += data
        for frame in frames_of(self._incoming):
            self._look_for_canaries(frame)
            self._take(frame)

    def ended(self) -> None:
        """The connection is gone; what is left is the beginning of an answer at most."""
        self._look_for_canaries(bytes(self._incoming))

    def _look_for_canaries(self, data: bytes) -> None:
        for pattern in PATTERNS:
            if pattern in data and pattern not in self._excuses.known:
                position = data.index(pattern)
                excerpt = data[max(position - 40, 0) : position + 40]
                asked = self._asked[0] if self._asked else None
                api = f"{asked.key} v{asked.version}" if asked is not None else "?"
                raise Failure("canary", f"the client received {pattern!r} in the answer to {api}: …{excerpt!r}…", api)

    def _take(self, frame: bytes) -> None:
        if self._raw_tokens:
            self._take_token(frame)
            return
        if len(frame) < RESPONSE_PEEK.size:
            raise Failure("answer", f"the client received a frame without a header: {frame!r}")
        correlation_id = RESPONSE_PEEK.unpack_from(frame)[1]
        while self._asked and self._asked[0].is_silent(correlation_id):
            self._asked.popleft()
        if not self._asked or self._asked[0].correlation_id != correlation_id:
            expected = self._asked[0].correlation_id if self._asked else "nothing"
            raise Failure("order", f"the client received an answer to {correlation_id}, expected is one to {expected}")
        self._take_answer(self._asked.popleft(), frame)
        self.answers += 1

    def _take_token(self, frame: bytes) -> None:
        if not self._asked:
            raise Failure("order", f"the client received a token and has sent none: {frame!r}")
        self._asked.popleft()
        self.answers += 1
        self.last_token = frame[4:]
        if not self.last_token or self.last_token.startswith(b"v="):
            self._raw_tokens = False

    def _take_answer(self, asked: Asked, frame: bytes) -> None:
        place = f"{asked.key} v{asked.version}"
        version = asked.version
        if asked.key == API_VERSIONS and not OFFERED[API_VERSIONS][0] <= version <= OFFERED[API_VERSIONS][1]:
            version = 0
        try:
            struct = response_struct(asked.key, version)
            flexible = struct.flexible and asked.key != API_VERSIONS
            answer = decode(struct, frame, response_body(frame, 0, len(frame), flexible))
        except (ProtocolError, UnknownAPIKey, UnknownEntity) as error:
            raise Failure("answer", f"the answer to {place} can't be read: {error}", place) from None
        if asked.key == SASL_HANDSHAKE and version == 0 and not answer.error_code:
            self._raw_tokens = True
        self.last_token = getattr(answer, "auth_bytes", b"")
        if self.zone == ZONE.name:
            self._inspect(asked, answer, place)

    def _inspect(self, asked: Asked, answer: Message, place: str) -> None:
        rules = RULES.get((asked.key, RESPONSE))
        if not rules:
            return
        own: Mapping[Rule, Any] | None = None
        for path, _, value in leaves(answer):
            rule = rules.get(path)
            if rule is None or rule in PASSING or not value:
                continue
            if own is None:
                own = self._own(asked)
            if rule is Rule.SHOWN_NODE and value < 0:
                # no broker
                continue
            if rule in own and value not in own[rule]:
                raise Failure("field", f"the client received {path} = {value!r} in the answer to {place}", place)

    def _own(self, asked: Asked) -> Mapping[Rule, Any]:
        """The values that a client may see in fields of each kind: its zone's, and what it has asked for."""
        said: set[Any] = set()
        request = asked.message()
        if request is not None:
            said = {value for _, _, value in leaves(request) if isinstance(value, str | bytes)}
        return {
            Rule.TOPIC: {*ALIASES, *said} if asked.key != 69 else AnyText(),
            Rule.CLUSTER_ID: {self._playbook.zone().cluster_id},
            Rule.HOST: {LISTENER.advertised_host},
            Rule.PORT: {*PORTS, -1},
            Rule.SHOWN_NODE: {*MAPPED_BROKERS},
            Rule.OPERATIONS: {*COMPUTED_OPERATIONS},
            Rule.SESSION: {0},
            Rule.BLANK: {"", "-"},
        }


class AnyText:
    """What a group's other members have written into their subscriptions."""

    def __contains__(self, value: object) -> bool:
        return True


class BrokerSide:
    """What a broker has got and has still to answer."""

    def __init__(self, playbook: Playbook) -> None:
        self.waiting: deque[BrokerGot] = deque()
        self.requests = 0
        self.zone = ""
        self.gives_up = False
        """It got something that it can't read, and that it may get: the rest of what a client has streamed."""
        self._versions = playbook.broker_versions.apis
        self._incoming = bytearray()

    def received(self, data: bytes) -> None:
        self._incoming += data
        for frame in frames_of(self._incoming):
            if not self.gives_up:
                self._take(frame)

    def _take(self, frame: bytes) -> None:
        key, version = int.from_bytes(frame[4:6], "big"), int.from_bytes(frame[6:8], "big")
        place = f"{key} v{version}"
        low, high = self._versions.get(key, (0, -1))
        if not low <= version <= high:
            raise Failure("not offered", f"the broker got {place} and offers {low} to {high}", place)
        try:
            got = read_request(frame)
        except (ProtocolError, UnicodeDecodeError) as error:
            if key == PRODUCE and len(frame) > STREAM_MIN_BYTES:
                self.gives_up = True
                return
            raise Failure("request", f"the broker can't read {place}: {error}", place) from None
        self.requests += 1
        if self.zone == ZONE.name:
            self._inspect(got, place)
        if not (key == PRODUCE and got.message.acks == 0):
            self.waiting.append(got)

    def _inspect(self, got: BrokerGot, place: str) -> None:
        # before SyncGroup 5 a blob that doesn't read as an assignment passes, too
        opaque = getattr(got.message, "protocol_type", None) != PROTOCOL_TYPE
        try:
            wrong = inspect_request(got, (Rule.BLOB,) if opaque else ())
        except (StructError, UnicodeDecodeError):
            # some clients say version 1 and end before its owned partitions
            wrong = inspect_request(got, (Rule.BLOB,))
        if wrong:
            raise Failure("backing name", f"{place}: " + "; ".join(wrong), place)
        if not got.client_id.startswith(f"{self.zone}:"):
            raise Failure("client id", f"the broker got {place} of {got.client_id!r}", place)


def read_response(data: bytes, got: BrokerGot) -> Message | None:
    """A broker's response, or None where it can't be read."""
    struct = response_struct(got.key, got.version)
    with suppress(ProtocolError, IndexError):
        return decode(struct, data, response_body(data, 0, len(data), struct.flexible))
    return None
