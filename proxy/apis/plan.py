"""A request's plan: all about one API and version that doesn't depend on the request, looked up once per frame."""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from protocol.framing import Sink
from protocol.schema import Struct, request_struct, response_struct
from proxy.exchange import Call, Endpoints, Exchange, Outcome, Pieces
from proxy.traffic import Kind
from proxy.zones import Route, ZoneState

API_VERSIONS_KEY = 18


class Treatment(enum.Enum):
    """How a zone's request is treated."""

    REWRITE = "names, ids and addresses are mapped both ways"
    FILTER = "what is not the zone's is left out"
    TERMINATE = "answered by the gateway itself"
    DENY = "offered, and refused with Kafka's error"
    HIDE = "not offered, as clients have a fallback or never call it; refused with Kafka's error when sent anyway"
    INTERNAL = "between brokers only; the connection is closed"
    UNCHANGED = "passed on as it is, in an admin's session only"


Handler = Callable[[Call], Outcome]

OnBytes = Callable[["Connection", "RequestPlan", bytes, int, int, int], bool]
"""(connection, plan, buffer, start, body, end) -> True when the byte path has taken the request"""

OnLargeHead = Callable[["Connection", "RequestPlan", bytes, int, int, int], Sink | None]
"""(connection, plan, buffer, start, body, end of the frame, which isn't all here) -> where its bytes go"""


@dataclass(frozen=True, slots=True)
class ApiEntry:
    """One row of the table."""

    key: int
    treatment: Treatment
    versions: tuple[int, int] | None = None
    """What we understand; None: nothing, so that a request ends the connection."""
    needs: str = "-"
    """The permission, in words, for the generated page."""
    refusal: str = "connection closed"
    """The error and its level, in words, for the generated page."""
    handler: Handler | None = None
    on_bytes: OnBytes | None = None
    on_large_head: OnLargeHead | None = None
    kind: Kind | None = None
    """The limit of the zone that it counts towards."""

    @property
    def offered(self) -> bool:
        """ApiVersions has it, as far as the broker does, too. What is hidden is answered whatever the broker has."""
        return self.versions is not None and self.treatment is not Treatment.HIDE


@dataclass(frozen=True, slots=True)
class RequestPlan:
    """An entry with one version."""

    entry: ApiEntry
    key: int
    version: int
    request: Struct
    response: Struct
    flexible_response: bool
    """Of the response's header; ApiVersions never is."""

    @property
    def flexible_request(self) -> bool:
        return self.request.flexible


class Connection(Protocol):
    """One client connection with its broker connection, as the byte paths see it (`proxy.pipeline.Pipeline`)."""

    endpoints: Endpoints
    zone: Callable[[], ZoneState]
    limited: bool
    """Whether the zone has any limit."""
    used: set[Route]
    """Gets what is produced to, or fetched from."""

    def charge(self, kind: Kind, units: float) -> None:
        """Count towards a limit of the zone."""

    def refund(self, kind: Kind, units: float) -> None:
        """Of what was charged, so much was not used."""

    def throttle_time(self, kind: Kind) -> int:
        """What a response tells, in milliseconds."""

    def enqueue(self, exchange: Exchange) -> None:
        """Give a request its place in the queue of answers."""

    def forward(self, plan: RequestPlan, pieces: Pieces, size: int, exchange: Exchange | None) -> None:
        """Send a body of `size` bytes; `pieces` may be its beginning, then `forward_more` sends the rest."""

    def forward_more(self, chunk: bytes) -> None: ...

    def respond(self, exchange: Exchange, plan: RequestPlan, pieces: Pieces, size: int) -> None:
        """The whole response is here."""

    def is_next(self, exchange: Exchange) -> bool:
        """True when nothing before it is still to leave."""

    def begin_stream(self, exchange: Exchange, plan: RequestPlan, pieces: Pieces, size: int) -> None:
        """The beginning of a response that is next; the rest comes through `stream`, then `end_stream`."""

    def stream(self, chunk: bytes | memoryview) -> None: ...

    def end_stream(self) -> None: ...


def make_plan(entry: ApiEntry, version: int) -> RequestPlan:
    response = response_struct(entry.key, version)
    flexible_response = response.flexible and entry.key != API_VERSIONS_KEY
    return RequestPlan(entry, entry.key, version, request_struct(entry.key, version), response, flexible_response)
