"""What zones' partners are doing, for an interface to people: traffic of the last hour, who is connected, what was
refused, and who used which alias lately.

Gateways tell of it every few seconds, through a topic beside the state topic. It is for looking at: nothing is decided
by it, and it may lack what a gateway had to say in its last seconds. Nothing here knows HTTP or Kafka.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

SHOWN_MINUTES: Final = 60
"""Of traffic."""

SHOWN_CLIENTS: Final = 200
"""Of a zone's connections; a zone may have thousands."""

SHOWN_REFUSALS: Final = 50
"""Of a zone, the latest."""

LATELY_SECONDS: Final = 3600.0
"""For which a use of an alias is remembered."""


@dataclass(frozen=True, slots=True)
class Minute:
    """What passed in a minute, through all gateways."""

    at: float
    """When it began, Unix seconds."""
    produced_bytes: int = 0
    produced_records: int = 0
    consumed_bytes: int = 0
    consumed_records: int = 0


@dataclass(frozen=True, slots=True)
class Rates:
    """What counts towards the limits, over the last seconds, through all gateways."""

    produce: float = 0.0
    """Bytes of record batches per second."""
    consume: float = 0.0
    commit: float = 0.0
    """Requests that commit offsets, per minute."""


@dataclass(frozen=True, slots=True)
class ConnectedClient:
    """A client's connection, or several that are alike in all but their ports."""

    client_id: str
    """As the client calls itself; bounded, and of its own making."""
    software: str
    """Its library and version, as it says (KIP-511); empty where it doesn't."""
    user: str
    address: str
    gateway: str
    since: float
    """When the oldest of the connections was made, Unix seconds."""
    connections: int = 1


@dataclass(frozen=True, slots=True)
class RecentRefusal:
    """What the gateway refused, as the audit log has it; `count` of them."""

    at: float
    """The latest, Unix seconds."""
    api: str
    operation: str
    resource_type: str
    resource: str
    """The name as the client spelled it; bounded."""
    error: str
    user: str
    address: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class AliasUse:
    """Who has produced to an alias, or fetched from it, lately."""

    client_id: str
    user: str
    address: str
    at: float
    """The latest, Unix seconds."""


@dataclass(frozen=True, slots=True)
class ZoneActivity:
    minutes: Sequence[Minute] = ()
    """`SHOWN_MINUTES` of them, oldest first; the last is the one that is passing."""
    rates: Rates = Rates()
    clients: Sequence[ConnectedClient] = ()
    """The first `SHOWN_CLIENTS`, by client id."""
    connections: int = 0
    """All of them."""
    refusals: Sequence[RecentRefusal] = ()
    """The latest first."""
    uses: Mapping[str, Sequence[AliasUse]] = field(default_factory=dict)
    """Alias -> its users, the latest first."""


@dataclass(frozen=True, slots=True)
class GatewayTraffic:
    """Of one gateway's process, over the last seconds: bytes of record batches per second."""

    produce: float = 0.0
    consume: float = 0.0


class Activity(Protocol):
    """Answers from memory."""

    @property
    def problem(self) -> str:
        """Why nothing, or not all, is known, in plain words; empty when all is."""
        ...

    def zone(self, name: str) -> ZoneActivity:
        """Of a zone; empty where nobody has told of it."""
        ...

    def gateway(self, gateway: str, worker: int | None) -> GatewayTraffic: ...
