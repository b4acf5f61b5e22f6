"""A `ZoneService` that keeps everything in memory: the rules of the real one, and whatever status a test wants."""

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from controlplane.authentication_modes import NO_PASSWORDS
from controlplane.client_properties import client_access, client_properties, no_access
from controlplane.partner_zone import PartnerZone, rule_violations, unknown_cluster
from controlplane.problems import field_name
from controlplane.times import format_time, format_unix_time
from controlplane.zone_service import (
    ApiKeyView,
    ClientAccess,
    Condition,
    Conflict,
    CredentialView,
    GatewayView,
    InvalidRequest,
    IssuedCredential,
    NotFound,
    Stale,
    StateView,
    Status,
    Unavailable,
    Upserted,
    ZoneView,
)
from policies.credentials import Credential, hash_password, new_password
from proxy.config import ListenerConfig

KEY = "the-key-of-the-tests"
"""Opens the API from the beginning."""

LISTENERS = (
    ListenerConfig(advertised_host="gateway"),
    ListenerConfig(name="tls", advertised_host="gateway", port=9194, security_protocol="SSL", mechanisms=()),
)

KEY_VIEW = ApiKeyView("11111111-2222-4333-8444-555555555555", "tests", "2025-01-27T12:55:05Z")


class MemoryService:
    """Satisfies `controlplane.zone_service.ZoneService`."""

    def __init__(self, cluster_ids: tuple[str, ...] | None = None) -> None:
        self.cluster_ids = cluster_ids
        self.problem = ""
        """While this says something, nothing can be written."""
        self.from_files = False
        self.failure: Exception | None = None
        """Raised by the next writes: a mistake of the service's own."""
        self.gateway_views: list[GatewayView] = []
        self.topics: dict[str, Sequence[str]] = {}
        """Of each cluster; one that isn't among them has none."""
        self.cluster_problem = ""
        """While this says something, no cluster tells of its topics."""
        self.conditions_of: dict[str, Sequence[Condition]] = {}
        """Of zones; others have one, which says what their status says."""
        self.no_access = False
        self._zones: dict[str, ZoneView] = {}
        self._credentials: dict[str, tuple[Credential, str | None]] = {}
        self._keys: dict[str, tuple[ApiKeyView, str]] = {KEY_VIEW.id: (KEY_VIEW, KEY)}

    # what tests set

    def set_status(self, name: str, status: Status, reason: str | None = None) -> None:
        self._zones[name] = replace(self._zones[name], status=status, failed_reason=reason)

    def set_used(self, credential: str, when: str) -> None:
        self._credentials[credential] = self._credentials[credential][0], when

    # zones

    def zones(self) -> Sequence[ZoneView]:
        return [self._zones[name] for name in sorted(self._zones)]

    def zone(self, name: str) -> ZoneView:
        if name not in self._zones:
            raise NotFound(f"there is no zone {name!r}")
        return self._zones[name]

    def conditions(self, name: str) -> Sequence[Condition]:
        view = self.zone(name)
        met = {Status.READY: True, Status.FAILED: False, Status.PENDING: None}[view.status]
        return self.conditions_of.get(name, [Condition("In force", met, view.failed_reason or view.status.lower())])

    async def upsert(
        self, resource: PartnerZone, dry_run: bool = False, version: int | None = None
    ) -> tuple[ZoneView, Upserted]:
        name = resource.metadata.name
        problems = [f"{field_name(path)}: {message}" for path, message in rule_violations(resource, self.cluster_ids)]
        if problems:
            raise InvalidRequest("\n".join(problems))
        known = self._zones.get(name)
        self._check_version(name, known, version)
        for other in self._zones.values():
            if other.resource.metadata.name != name and (
                other.resource.spec.service_account == resource.spec.service_account
            ):
                raise Conflict(
                    f"spec.serviceAccount: {resource.spec.service_account!r} belongs to zone "
                    f"{other.resource.metadata.name!r} already; a service account belongs to one zone only"
                )
        self._check_writable()
        if known is not None and known.resource.model_dump() == resource.model_dump():
            return known, Upserted.NOT_CHANGED
        view = ZoneView(
            resource=resource,
            id=known.id if known is not None else str(uuid4()),
            version=known.version + 1 if known is not None else 1,
            updated_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            status=Status.PENDING,
        )
        if not dry_run:
            self._zones[name] = view
        return view, Upserted.CREATED if known is None else Upserted.UPDATED

    async def delete(self, name: str, version: int | None = None) -> None:
        self._check_version(name, self.zone(name), version)
        self._check_writable()
        del self._zones[name]
        self._credentials = {i: entry for i, entry in self._credentials.items() if entry[0].zone != name}

    # credentials

    async def generate(self, zone: str, validity: timedelta | None) -> IssuedCredential:
        mode = self.zone(zone).resource.mode
        if mode in NO_PASSWORDS:
            raise Conflict(f"zone {zone!r} has no passwords: {NO_PASSWORDS[mode]}")
        self._check_writable()
        password, now = new_password(), datetime.now(UTC).replace(microsecond=0)
        expires = (now + validity).timestamp() if validity is not None else None
        credential = Credential(secrets.token_hex(8), zone, format_time(now), hash_password(password), expires)
        self._credentials[credential.id] = credential, None
        return IssuedCredential(credential, password)

    def credentials(self, zone: str | None = None) -> Sequence[CredentialView]:
        if zone is not None:
            self.zone(zone)
        return [
            self._credential_view(credential, used)
            for credential, used in self._credentials.values()
            if zone in (None, credential.zone)
        ]

    async def revoke(self, credential: str, zone: str | None = None) -> CredentialView:
        if credential not in self._credentials or zone not in (None, self._credentials[credential][0].zone):
            raise NotFound(f"there is no credential {credential!r}")
        self._check_writable()
        return self._credential_view(*self._credentials.pop(credential))

    def kafka_configuration(self, name: str) -> str:
        access = self.access(name)
        return client_properties(access) if access is not None else no_access(self.zone(name).resource.mode)

    def access(self, name: str) -> ClientAccess | None:
        resource = self.zone(name).resource
        return None if self.no_access else client_access(LISTENERS, resource.mode, resource.spec.service_account or "")

    # clusters

    def clusters(self) -> Sequence[str]:
        return self.cluster_ids or ()

    async def cluster_topics(self, cluster: str) -> Sequence[str]:
        if self.cluster_ids is not None and cluster not in self.cluster_ids:
            raise InvalidRequest(f"cluster: {unknown_cluster(cluster, self.cluster_ids)}")
        if self.cluster_problem:
            raise Unavailable(f"cluster {cluster!r} is out of reach: {self.cluster_problem}")
        return sorted(self.topics.get(cluster, ()))

    # zonegate itself

    def gateways(self) -> Sequence[GatewayView]:
        return self.gateway_views

    def state(self) -> StateView:
        return StateView("topic", "_zonegate", 17, self.problem)

    # keys

    def api_key(self, key: str) -> ApiKeyView | None:
        found = None
        for view, known in self._keys.values():
            if hmac.compare_digest(known.encode(), key.encode()):
                found = view
        return found

    def api_keys(self) -> Sequence[ApiKeyView]:
        return [view for view, _ in self._keys.values()]

    async def create_api_key(self, name: str) -> tuple[ApiKeyView, str]:
        self._check_writable()
        view, key = ApiKeyView(str(uuid4()), name, format_time(datetime.now(UTC))), new_password()
        self._keys[view.id] = view, key
        return view, key

    async def delete_api_key(self, key_id: str) -> None:
        if key_id not in self._keys:
            raise NotFound(f"there is no API key {key_id!r}")
        self._check_writable()
        del self._keys[key_id]

    def _check_version(self, name: str, known: ZoneView | None, version: int | None) -> None:
        if version is not None and version != (known.version if known is not None else 0):
            raise Stale(f"zone {name!r} is not at version {version}")

    def _check_writable(self) -> None:
        if self.failure is not None:
            raise self.failure
        if self.problem:
            raise Unavailable(f"nothing was written: {self.problem}; try again")
        if self.from_files:
            raise Conflict("zones come from the folder /zones; change them there")

    @staticmethod
    def _credential_view(credential: Credential, used: str | None) -> CredentialView:
        expires = format_unix_time(credential.expires) if credential.expires is not None else None
        state = "valid" if credential.valid_at(datetime.now(UTC).timestamp()) else "expired"
        return CredentialView(credential.id, credential.zone, credential.created, expires, used, state)
