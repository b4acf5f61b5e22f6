"""What an interface to people (the REST API, the console's pages) asks of the control plane, and what it is answered.

Everything here is about one process's view of the desired state. Nothing here knows HTTP or Kafka.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

from controlplane.partner_zone import PartnerZone
from policies.credentials import Credential


class Status(StrEnum):
    """Of a zone, as every live gateway and the cluster make it."""

    PENDING = "PENDING"
    READY = "READY"
    FAILED = "FAILED"


class Upserted(StrEnum):
    CREATED = "Created"
    UPDATED = "Updated"
    NOT_CHANGED = "NotChanged"


@dataclass(frozen=True, slots=True)
class ZoneView:
    """A zone as it is stored, and how it is."""

    resource: PartnerZone
    id: str
    """A UUID: another zone of the same name has another."""
    version: int
    """Counts the zone's edits; what `If-Match` is compared with."""
    updated_at: str
    """RFC 3339, with microseconds, UTC."""
    status: Status
    failed_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """One of those that a zone's status is made of: a zone is READY when all are met."""

    name: str
    """In a word or two."""
    met: bool | None
    """None: it isn't known yet."""
    detail: str
    """In plain words: what holds, or what doesn't and what to do."""


@dataclass(frozen=True, slots=True)
class ClientAccess:
    """How a zone's clients get in, at the first listener that lets them."""

    bootstrap: str
    """`host:port`."""
    security_protocol: str
    mechanism: str | None
    """None with certificates."""
    account: str


@dataclass(frozen=True, slots=True)
class CredentialView:
    """A credential without what it is verified by."""

    id: str
    zone: str
    created: str
    expires: str | None
    last_used: str | None
    state: str
    """valid or expired."""


@dataclass(frozen=True, slots=True)
class IssuedCredential:
    """A new credential, with the password that is shown this once."""

    credential: Credential
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class GatewayView:
    """A gateway process that has lately told of itself."""

    gateway: str
    worker: int | None
    host: str
    version: str
    started: str
    seen_seconds_ago: float
    applied: int
    """The offset of the state topic up to which it serves what is stored."""
    lag: int
    """Records of the state topic behind that."""
    zones: int
    connections: int
    problems: Sequence[str]
    """In plain words: clusters that it can't reach, zones that it can't serve."""
    clusters: Sequence[str] = ()
    """The ids of the clusters that it serves; a single one may have none."""


@dataclass(frozen=True, slots=True)
class StateView:
    """What this process knows of where the desired state is kept."""

    kind: str
    """`topic` or `files`."""
    name: str
    """The topic's name, or the folder's."""
    offset: int
    """Of the last record that was read; -1 when there is none."""
    problem: str
    """Why it is out of reach, in plain words; empty when it is not."""


@dataclass(frozen=True, slots=True)
class ApiKeyView:
    """A key to this API, without what it is verified by."""

    id: str
    name: str
    created: str


class ServiceError(Exception):
    """A request that can't be done. `str()` says why and what to do, for people."""


class InvalidRequest(ServiceError):
    """The resource breaks rules; one line for each."""


class NotFound(ServiceError):
    """There is no such zone, credential or key."""


class Conflict(ServiceError):
    """A rule between resources forbids it, or somebody else was faster."""


class Stale(ServiceError):
    """It is not the version any more that the request is about (`If-Match`)."""


class Unavailable(ServiceError):
    """The state topic is out of reach: nothing was written, or it isn't known whether it was. Try again."""


class ZoneService(Protocol):
    """Reads answer from memory; writes return once they are in force in this process's own view. Until what is stored
    was read once, all but `gateways` and `state` raise Unavailable."""

    def zones(self) -> Iterable[ZoneView]:
        """All, by name; each as it is when it is taken, so that ten thousand may be taken in turns."""
        ...

    def zone(self, name: str) -> ZoneView:
        """Raises NotFound."""
        ...

    def conditions(self, name: str) -> Sequence[Condition]:
        """What the zone's status is made of. Raises NotFound."""
        ...

    async def upsert(
        self, resource: PartnerZone, dry_run: bool = False, version: int | None = None
    ) -> tuple[ZoneView, Upserted]:
        """`version`: only where this is the stored one; 0: only where there is none. Raises InvalidRequest, Conflict,
        Stale, Unavailable."""
        ...

    async def delete(self, name: str, version: int | None = None) -> None:
        """Raises NotFound, Conflict, Stale, Unavailable."""
        ...

    async def generate(self, zone: str, validity: timedelta | None) -> IssuedCredential:
        """Raises NotFound, Conflict (a zone without passwords), Unavailable."""
        ...

    def credentials(self, zone: str | None = None) -> Sequence[CredentialView]:
        """All, or those of a zone. Raises NotFound."""
        ...

    async def revoke(self, credential: str, zone: str | None = None) -> CredentialView:
        """`zone`: only where it is this zone's. Raises NotFound, Conflict, Unavailable."""
        ...

    def kafka_configuration(self, name: str) -> str:
        """The properties of a Java client of the zone, with a placeholder for the password. Raises NotFound."""
        ...

    def access(self, name: str) -> ClientAccess | None:
        """None where no listener lets this zone's clients in. Raises NotFound."""
        ...

    def clusters(self) -> Sequence[str]:
        """The ids that a zone may name; none where any will do."""
        ...

    async def cluster_topics(self, cluster: str) -> Sequence[str]:
        """The topics of a cluster that can be shared, by name, as the gateway's user sees them. Raises InvalidRequest
        (there is no such cluster), Unavailable."""
        ...

    def gateways(self) -> Sequence[GatewayView]: ...

    def state(self) -> StateView: ...

    def api_key(self, key: str) -> ApiKeyView | None:
        """Whose key it is; None when it opens nothing. The time does not tell how much of it was right."""
        ...

    def api_keys(self) -> Sequence[ApiKeyView]: ...

    async def create_api_key(self, name: str) -> tuple[ApiKeyView, str]:
        """With the key itself, which is shown this once. Raises Conflict, Unavailable."""
        ...

    async def delete_api_key(self, key_id: str) -> None:
        """Raises NotFound, Conflict, Unavailable."""
        ...
