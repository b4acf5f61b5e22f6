"""One call of the API: what handles it, and what the OpenAPI document says of it. Both are made from the same table, so
that neither can have what the other lacks."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel

from controlplane.api.errors import invalid
from controlplane.http_requests import peer
from controlplane.problems import did_you_mean
from controlplane.zone_service import ApiKeyView

CLI_TAG: Final = "cli_partner-zone_console_v2_16"
"""By which the vendor's client finds the kind PartnerZone: its version, and its place in the order of applying."""

MAX_SHOWN: Final = 100
"""Characters of what a caller sent that a complaint repeats."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request that has been let in."""

    request: Request
    key: ApiKeyView
    """Whose it is. Calls that need no key have an empty one."""

    @property
    def peer(self) -> str:
        return peer(self.request)

    def path(self, parameter: str) -> str:
        """A parameter of the path, under its name in the document."""
        return str(self.request.path_params[route_name(parameter)])

    def query(self, *known: str) -> dict[str, str]:
        """The parameters behind the question mark, each of these at most once. Raises HttpProblem: a misspelt
        `dryMode` must not do in earnest what was meant as a trial."""
        found: dict[str, str] = {}
        for name, value in self.request.query_params.multi_items():
            if name not in known:
                meant = did_you_mean(name, known)
                hint = f"did you mean {meant}?" if meant else f"known here: {', '.join(known) or 'none'}"
                raise invalid(f"{name[:MAX_SHOWN]!r} is not a parameter of this call; {hint}")
            if name in found:
                raise invalid(f"{name}: is there twice; send it once")
            found[name] = value
        return found


Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter in the query or a header."""

    name: str
    description: str
    schema: Mapping[str, Any]
    place: str = "query"


@dataclass(frozen=True, slots=True)
class Answer:
    """A success. `model` is the body's, `list_of` that of each of its entries; else `schema` says what it is, if
    there is any."""

    description: str
    status: int = 200
    model: type[BaseModel] | None = None
    list_of: type[BaseModel] | None = None
    schema: Mapping[str, Any] | None = None
    example: Any = None
    etag: bool = False
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Body:
    """What is to be sent."""

    model: type[BaseModel]
    example: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """Of a path and a method."""

    method: str
    path: str
    id: str
    summary: str
    description: str
    tag: str
    handler: Handler
    answer: Answer
    problems: Mapping[int, str]
    """What else may be answered, and when; in addition to what any call may be."""
    parameters: Sequence[Parameter] = ()
    body: Body | None = None
    needs_key: bool = True
    run: tuple[str, str] | None = None
    """The name and help under which the vendor's client runs it."""
    problem_examples: Mapping[int, Mapping[str, str]] = field(default_factory=dict)


PATH_PARAMETERS: Final = {
    "partner-zone-name": "The zone's technical id",
    "credential-id": "The credential's id, as the lists show it",
    "token-id": "The API key's id, as the list shows it",
}


def route_name(parameter: str) -> str:
    """The router has no dashes in its names."""
    return parameter.replace("-", "_")


def route_path(path: str) -> str:
    """The document's path as the router writes it."""
    for parameter in PATH_PARAMETERS:
        path = path.replace(f"{{{parameter}}}", f"{{{route_name(parameter)}}}")
    return path


NO_SUCH_ZONE: Final = "There is no such zone"
UNAVAILABLE: Final = "The desired state is out of reach: nothing was written, or it is not known whether it was"
"""Of writes."""
