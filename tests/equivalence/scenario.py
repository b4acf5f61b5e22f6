"""What a scenario is: a name, and what one user does in one version of an API, wherever it sits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from protocol.schema import API_NAMES
from tests.equivalence.apis import Api
from tests.equivalence.names import Role
from tests.equivalence.side import Seat

Play = Callable[[Seat], Mapping[str, Any]]
"""Plays it; returns what is compared: answers and side effects, by a word for each."""

ALL_VERSIONS = (0, 99)


@dataclass(frozen=True, slots=True)
class Scenario:
    """Played in every version of `api` that both sides offer and that lies within `versions`."""

    api: Api
    name: str
    play: Play
    role: Role = Role.PARTNER
    versions: tuple[int, int] = ALL_VERSIONS
    needs: tuple[Api, ...] = ()
    """Other APIs that it asks, too."""

    @property
    def api_name(self) -> str:
        return API_NAMES[self.api].replace("_", "-")


Fields = Callable[[Seat], Mapping[str, Any]]


def asks(
    api: Api,
    name: str,
    fields: Fields,
    role: Role = Role.PARTNER,
    versions: tuple[int, int] = ALL_VERSIONS,
    broker: int | None = None,
) -> Scenario:
    """A scenario of one request."""
    return Scenario(api, name, lambda seat: {"answer": seat.ask(fields(seat), broker=broker)}, role, versions)
