"""A request's plan: all about one API and version that doesn't depend on the request, looked up once per frame."""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protocol.framing import Sink
from protocol.schema import Struct, request_struct, response_struct
from proxy.exchange import Call, Outcome

if TYPE_CHECKING:
    from proxy.pipeline import Pipeline

API_VERSIONS_KEY = 18


class Treatment(enum.Enum):
    """How a zone's request is treated."""

    REWRITE = "names, ids and addresses are mapped both ways"
    FILTER = "what is not the zone's is left out"
    TERMINATE = "answered by the gateway itself"
    DENY = "refused with Kafka's error"
    HIDE = "not offered; clients have a fallback or never call it"
    INTERNAL = "between brokers only; the connection is closed"


Handler = Callable[[Call], Outcome]

OnBytes = Callable[["Pipeline", "RequestPlan", bytes, int, int, int], bool]
"""(pipeline, plan, buffer, start, body, end) -> True when the byte path has taken the request"""

OnLargeHead = Callable[["Pipeline", "RequestPlan", bytes, int, int, int], Sink | None]
"""(pipeline, plan, buffer, start, body, end of the frame, which isn't all here) -> where its bytes go"""


@dataclass(frozen=True, slots=True)
class ApiEntry:
    """One row of the table."""

    key: int
    treatment: Treatment
    versions: tuple[int, int] | None = None
    """What we understand and offer (as far as the broker does, too); None: never offered."""
    needs: str = "-"
    """The permission, in words, for the generated page."""
    refusal: str = "connection closed"
    """The error and its level, in words, for the generated page."""
    handler: Handler | None = None
    on_bytes: OnBytes | None = None
    on_large_head: OnLargeHead | None = None


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


def make_plan(entry: ApiEntry, version: int) -> RequestPlan:
    response = response_struct(entry.key, version)
    flexible_response = response.flexible and entry.key != API_VERSIONS_KEY
    return RequestPlan(entry, entry.key, version, request_struct(entry.key, version), response, flexible_response)
