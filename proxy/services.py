"""What all connections of a gateway share."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from proxy.activity import ActivityNotes, Caller
from proxy.admission import Admission
from proxy.audit import Audit
from proxy.certificates import Certificates
from proxy.close import CloseReason
from proxy.cluster import Cluster
from proxy.clusters import Clusters
from proxy.config import GatewayConfig
from proxy.flow import MemoryBudget
from proxy.mechanisms.mechanism import Mechanism, Principal
from proxy.metrics import GatewayMetrics
from proxy.node import Node
from proxy.routing import Routing
from proxy.zones import Route, ZoneRegistry


class Session(Protocol):
    """A client's connection, as whoever looks after all of them needs it."""

    zone_name: str
    credential_id: str

    @property
    def opened(self) -> float: ...

    @property
    def closed(self) -> bool: ...

    def caller(self) -> Caller | None: ...

    def take_used(self) -> Collection[Route]: ...

    def check_deadlines(self, now: float) -> None: ...

    def apply_limits(self) -> None: ...

    def close(self, reason: CloseReason, detail: str = "") -> None: ...

    def drain(self) -> None: ...

    def abort(self) -> None: ...


class Arriving(Protocol):
    """A connection that is no session yet."""

    def abort(self) -> None: ...


@dataclass(slots=True)
class Services:
    """What all connections of a gateway share."""

    config: GatewayConfig
    zones: ZoneRegistry
    clusters: Clusters
    metrics: GatewayMetrics
    budget: MemoryBudget
    """For frames of clients that have signed in, a share for each zone."""
    spawn: Callable[..., "asyncio.Task[None]"]
    mechanisms: Mapping[str, Mechanism]
    certificates: Certificates = field(init=False)
    routing: Routing = field(init=False)
    admission: Admission = field(init=False)
    responses: MemoryBudget = field(init=False)
    """For responses of brokers. Not the same as for requests, or requests that wait for an answer might have it all."""
    strangers: MemoryBudget = field(init=False)
    """For frames of clients that have not signed in, who can't take anything from those who have."""
    sessions: "set[Session]" = field(default_factory=set)
    arriving: "set[Arriving]" = field(default_factory=set)
    """Connections that are in their TLS handshake."""
    audit: Audit = field(default_factory=Audit)
    activity: ActivityNotes = field(default_factory=ActivityNotes)
    credentials_used: dict[str, float] = field(default_factory=dict)
    """Credential id -> Unix time of its last use."""
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.certificates = Certificates(self.zones, self.config.principal_mapping_rules)
        self.admission = Admission(self.config.limits, self.metrics, self.audit)
        self.responses = MemoryBudget(self.budget.limit, self.budget.share_limit)
        self.strangers = MemoryBudget(self.config.limits.assembly_bytes_before_authentication)

    def cluster_of(self, principal: Principal, node: Node | None) -> Cluster:
        """Where somebody belongs who has signed in; admins have all clusters, and come to that of the port."""
        if not principal.passthrough:
            return self.clusters[self.zones.cluster_of(principal.zone)]
        return self.clusters.first if node is None else self.clusters[node.cluster]

    def forget(self, session: Session) -> None:
        """A connection is gone."""
        self.sessions.discard(session)
        self._ended.set()

    async def all_closed(self) -> None:
        """Returns when no connection is left."""
        while self.sessions:
            self._ended.clear()
            await self._ended.wait()
