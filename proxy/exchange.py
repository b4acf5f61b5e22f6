"""The vocabulary between the pipeline and the API handlers: a call, what becomes of it, and its place in the queue.

A handler is a plain function from a `Call` to an `Outcome`. It never awaits and never touches a connection, so a
dialogue test needs neither.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from protocol.error_codes import ErrorCode
from protocol.framing import Sink
from protocol.schema import API_NAMES, Message, Struct
from proxy.close import CloseReason
from proxy.flow import Turnstile
from proxy.metrics import ApiMeter
from proxy.resources import Resource
from proxy.zones import Route, ZoneState

Pieces = Sequence[bytes | bytearray | memoryview]


class Endpoints(Protocol):
    """Where a client reaches a broker through this gateway."""

    def endpoint(self, broker_id: int) -> tuple[str, int] | None:
        """Host and port, or None for a broker that has no port here (yet) and so must not be shown."""

    @property
    def complete(self) -> bool:
        """True when every broker of the cluster has a port here."""


class Brokers(Protocol):
    """What the gateway knows of the cluster."""

    def version_range(self, api_key: int) -> tuple[int, int]:
        """The versions of an API that the broker of this connection offers."""

    def offers(self, api_key: int) -> bool:
        """Whether it offers the API at all."""

    def saw_brokers(self, broker_ids: Sequence[int]) -> None:
        """A broker told of these; unknown ones are looked up."""


OnRefused = Callable[[int, ErrorCode, Resource, int], None]
"""(API key, error, what it was about, refused entries) of a client's request; whose, the receiver knows"""


@dataclass(slots=True)
class Call:
    """One decoded request of a client, with all that a handler may look at."""

    api_key: int
    version: int
    request: Message
    response: Struct
    zone: ZoneState
    endpoints: Endpoints
    brokers: Brokers
    on_refused: OnRefused
    used: set[Route]
    """Gets what is produced to, or fetched from."""
    units: int = 0
    """What counts towards the limit of the zone that the API has (`ApiEntry.kind`); the handler adds to it."""

    def refuse(self, error: ErrorCode, resource: Resource, count: int = 1) -> None:
        """Count refused entries, and have them noted; the answer itself is the handler's."""
        self.zone.metrics.refusals[(self.zone.name, API_NAMES[self.api_key], error.name.lower())] += count
        self.on_refused(self.api_key, error, resource, count)


@dataclass(slots=True)
class BrokerRequest:
    """A request to the broker of this connection."""

    api_key: int
    version: int
    message: Message


@dataclass(slots=True)
class Answer:
    """The response, made here."""

    message: Message


@dataclass(slots=True)
class Forward:
    """Ask the broker, then make the outcome of its responses (in the order of the requests).

    `exclusive` keeps later requests of the client waiting, as a broker itself would; an outcome that asks the broker
    again must have it, so that two steps of one request never mix with the next request.
    """

    requests: Sequence[BrokerRequest]
    then: Callable[[list[Message]], "Outcome"]
    exclusive: bool = False


@dataclass(slots=True)
class Send:
    """Requests that get no response (acks=0); with a reason, the connection is closed behind them."""

    requests: Sequence[BrokerRequest]
    close: CloseReason | None = None


@dataclass(slots=True)
class InTurn:
    """Go on with `begin` when nobody else works on `key`; later requests of the client wait, too."""

    turnstile: Turnstile
    key: str
    begin: Callable[[], "Outcome"]


@dataclass(slots=True)
class Later:
    """Go on with `begin` after a pause, in which others have their turn; later requests of the client wait."""

    seconds: float
    begin: Callable[[], "Outcome"]


Outcome = Answer | Forward | Send | InTurn | Later


class Exchange:
    """A request's place in the queue of one client connection: responses leave in the order of the requests."""

    __slots__ = (
        "broker_correlation_id",
        "client_correlation_id",
        "meter",
        "pending",
        "pieces",
        "request_bytes",
        "started",
    )

    def __init__(self, client_correlation_id: int, request_bytes: int, meter: ApiMeter) -> None:
        self.client_correlation_id = client_correlation_id
        self.request_bytes = request_bytes
        self.meter = meter
        self.started = monotonic()
        self.broker_correlation_id = -1
        self.pending = 0
        """Bytes that are in memory for it, as far as they count."""
        self.pieces: Pieces | None = None
        """The whole response, once it is there."""


class Awaited(Protocol):
    """Someone who waits for a broker's response."""

    broker_correlation_id: int

    def on_frame(self, data: bytes, start: int, end: int) -> None:
        """The whole response, length included."""

    def on_head(self, data: bytes, start: int, size: int) -> Sink | None:
        """The beginning of a large response: a sink streams it, None waits for all of it."""
