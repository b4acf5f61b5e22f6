"""`ZoneService` on the state topic: what people ask of zones and credentials, checked, written and read back."""

import asyncio
import secrets
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import time
from typing import Protocol

from controlplane.authentication_modes import NO_PASSWORDS
from controlplane.client_properties import client_access, client_properties, no_access
from controlplane.partner_zone import PartnerZone, rule_violations, unknown_cluster
from controlplane.problems import did_you_mean, field_name
from controlplane.state.api_keys import ApiKeys
from controlplane.state.liveness import Liveness
from controlplane.state.log import StateLog, StoredZone, manifest_of
from controlplane.state.records import CredentialRecord, GatewayRecord, ZoneRecord
from controlplane.state.status import ClusterReport, zone_conditions, zone_status
from controlplane.state.writer import Write
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
    Unavailable,
    Upserted,
    ZoneView,
)
from policies.credentials import Credential, hash_password, new_password, new_salt, scram_keys
from protocol.errors import ProtocolError
from proxy.config import GatewayConfig


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the store knows of the gateway's settings and of the clusters."""

    config: GatewayConfig
    clusters: tuple[str, ...] | None
    """The ids that zones may name; None is any."""
    admin: str | None
    """The user of the section passthrough."""
    report: Callable[[str], ClusterReport | None]
    """What was found on the cluster that a zone names."""
    topics: Callable[[str], Awaitable[Sequence[str]]]
    """Those of such a cluster that zones can share, asked now. Raises OSError, TimeoutError, ProtocolError."""


class Source(Protocol):
    """Who reads the state topic: `controlplane.state.follower.Follower`."""

    @property
    def log(self) -> StateLog: ...

    @property
    def name(self) -> str: ...

    @property
    def is_loaded(self) -> bool: ...

    @property
    def problem(self) -> str: ...


class Writer(Protocol):
    """Who writes it: `controlplane.state.writer.StateWriter`."""

    async def write(self, *writes: Write) -> Sequence[bool]: ...

    async def sweep(self, forgotten: Sequence[bytes] = ()) -> None: ...


class ZoneStore:
    """Reads answer from memory; writes return once they have been read back."""

    def __init__(self, source: Source, writer: Writer, liveness: Liveness, keys: ApiKeys, around: Surroundings) -> None:
        self._source = source
        self._writer = writer
        self._liveness = liveness
        self._keys = keys
        self._around = around
        self._sweeps: set[asyncio.Task[None]] = set()

    @property
    def _log(self) -> StateLog:
        """What is stored. Raises Unavailable until it was read once: what isn't known must not look like nothing."""
        self._check_loaded()
        return self._source.log

    def _check_loaded(self) -> None:
        if not self._source.is_loaded:
            raise Unavailable(f"the state topic {self._source.name} was not read yet: {self._source.problem}")

    # zones

    def zones(self) -> Iterator[ZoneView]:
        live = [each.record for each in self._liveness.live()]
        stored = sorted(self._log.zones.items())
        return (self._view(zone, live) for _, zone in stored)

    def zone(self, name: str) -> ZoneView:
        return self._view(self._stored(name))

    def conditions(self, name: str) -> Sequence[Condition]:
        stored = self._stored(name)
        live = [each.record for each in self._liveness.live()]
        report = self._around.report(stored.resource.spec.cluster)
        return zone_conditions(stored, live, report, self._log.unreadable.get(name))

    async def upsert(
        self, resource: PartnerZone, dry_run: bool = False, version: int | None = None
    ) -> tuple[ZoneView, Upserted]:
        name = resource.metadata.name
        known = self._log.zones.get(name)
        self._check_version(name, known, version)
        self._check(resource)
        record = self._record(name, known, manifest_of(resource))
        if known is not None and record.manifest == manifest_of(known.resource):
            return self._view(known), Upserted.NOT_CHANGED
        outcome = Upserted.CREATED if known is None else Upserted.UPDATED
        if dry_run:
            return self._would_be(record), outcome
        await self._write(record)
        return self._view(self._log.zones.get(name) or self._would_be_stored(record)), outcome

    async def delete(self, name: str, version: int | None = None) -> None:
        known = self._stored(name)
        self._check_version(name, known, version)
        if name in self._log.unreadable:
            raise Conflict(f"zone {name!r} can't be deleted here: {self._log.unreadable[name]}")
        await self._write(self._record(name, known, None))

    async def _write(self, record: ZoneRecord) -> None:
        (in_force,) = await self._writer.write(Write(record.key, record.value()))
        if in_force:
            self.sweep_soon()
            return
        self._check_account(record.name, record.account)
        raise Conflict(
            f"zone {record.name!r} was changed by somebody else at the same time, and this change was not made; look "
            "at it and try again"
        )

    def _record(self, name: str, known: StoredZone | None, manifest: Mapping[str, object] | None) -> ZoneRecord:
        return ZoneRecord(
            name,
            secrets.token_hex(8),
            self._log.version(name) + 1,
            known.id if known is not None else str(uuid.uuid4()),
            datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            known.salt if known is not None else new_salt(),
            manifest,
        )

    def _check(self, resource: PartnerZone) -> None:
        """The rules of one zone, and those between zones. Raises InvalidRequest or Conflict."""
        name = resource.metadata.name
        problems = [f"{field_name(path)}: {message}" for path, message in self._violations(resource)]
        if problems:
            raise InvalidRequest("\n".join(problems))
        if name in self._log.unreadable:
            raise Conflict(f"zone {name!r} can't be changed here: {self._log.unreadable[name]}")
        self._check_account(name, resource.spec.service_account)

    def _violations(self, resource: PartnerZone) -> Iterator[tuple[tuple[str | int, ...], str]]:
        yield from rule_violations(resource, self._around.clusters)
        account = resource.spec.service_account
        if account is not None and account == self._around.admin:
            yield (
                ("spec", "serviceAccount"),
                f"{account!r} is the admin of the settings' section passthrough; choose another",
            )

    def _check_account(self, name: str, account: str | None) -> None:
        owner = self._log.owner(account) if account is not None else None
        if owner is not None and owner != name:
            raise Conflict(
                f"spec.serviceAccount: {account!r} belongs to zone {owner!r} already; a service account has one zone, "
                "so choose another"
            )

    def _check_version(self, name: str, known: StoredZone | None, version: int | None) -> None:
        if version is not None and (known.version if known is not None else 0) != version:
            raise Stale(f"zone {name!r} was changed since; look at it and try again")

    def _stored(self, name: str) -> StoredZone:
        if (stored := self._log.zones.get(name)) is not None:
            return stored
        meant = did_you_mean(name, self._log.zones)
        hint = f"did you mean {meant}?" if meant else "'zonegate get PartnerZone -o name' lists them"
        raise NotFound(f"there is no zone {name!r}; {hint}")

    def _view(self, stored: StoredZone, live: Sequence[GatewayRecord] | None = None) -> ZoneView:
        gateways = [each.record for each in self._liveness.live()] if live is None else live
        name, cluster = stored.resource.metadata.name, stored.resource.spec.cluster
        status, reason = zone_status(stored, gateways, self._around.report(cluster), self._log.unreadable.get(name))
        return ZoneView(stored.resource, stored.id, stored.version, stored.updated_at, status, reason)

    def _would_be_stored(self, record: ZoneRecord) -> StoredZone:
        resource = PartnerZone.model_validate(record.manifest)
        offset = self._log.offset + 1
        return StoredZone(resource, record.id, record.version, offset, record.updated_at, record.salt)

    def _would_be(self, record: ZoneRecord) -> ZoneView:
        return self._view(self._would_be_stored(record))

    def sweep_soon(self) -> None:
        """Have what nothing needs any more removed from the topic."""
        if len(self._sweeps) > 1:
            return  # one is under way, and the next, which waits for its end, finds what this one would
        task = asyncio.create_task(self._sweep(), name="sweep the state topic")
        self._sweeps.add(task)
        task.add_done_callback(self._sweeps.discard)

    async def _sweep(self) -> None:
        await self._writer.sweep(self._liveness.forgotten())

    # credentials

    async def generate(self, zone: str, validity: timedelta | None) -> IssuedCredential:
        stored = self._stored(zone)
        mode = stored.resource.mode
        if mode != "PLAIN":
            raise Conflict(f"zone {zone!r} has no passwords: {NO_PASSWORDS[mode]}")
        password, now = new_password(), datetime.now(UTC).replace(microsecond=0)
        expires = (now + validity).timestamp() if validity is not None else None
        keys = scram_keys(password, stored.salt)
        record = CredentialRecord(
            secrets.token_hex(8), zone, stored.id, format_time(now), expires, hash_password(password), keys
        )
        await self._writer.write(Write(record.key, record.value()))
        if self._log.credential(record.id) is None:
            raise Conflict(f"zone {zone!r} was deleted meanwhile; its new password is good for nothing")
        hidden = Credential(record.id, zone, record.created, record.password_hash, expires, keys)
        return IssuedCredential(hidden, password)

    def credentials(self, zone: str | None = None) -> Sequence[CredentialView]:
        if zone is not None:
            self._stored(zone)
        found = [record for record in self._log.credentials if zone in (None, record.zone)]
        return [self._credential_view(record) for record in sorted(found, key=lambda each: (each.zone, each.created))]

    async def revoke(self, credential: str, zone: str | None = None) -> CredentialView:
        record = self._log.credential(credential)
        if record is None or zone not in (None, record.zone):
            raise NotFound(f"there is no credential {credential!r}; 'zonegate credentials list' shows them")
        view = self._credential_view(record)
        await self._writer.write(Write(record.key, None))
        self.sweep_soon()
        return view

    def _credential_view(self, record: CredentialRecord) -> CredentialView:
        expires = format_unix_time(record.expires) if record.expires is not None else None
        state = "valid" if record.expires is None or time() < record.expires else "expired"
        used = self._log.last_used.get(record.id)
        return CredentialView(record.id, record.zone, record.created, expires, used, state)

    def kafka_configuration(self, name: str) -> str:
        access = self.access(name)
        return client_properties(access) if access is not None else no_access(self._stored(name).resource.mode)

    def access(self, name: str) -> ClientAccess | None:
        resource = self._stored(name).resource
        return client_access(self._around.config.listeners, resource.mode, resource.spec.service_account or "")

    # clusters

    def clusters(self) -> Sequence[str]:
        return self._around.clusters or ()

    async def cluster_topics(self, cluster: str) -> Sequence[str]:
        known = self._around.clusters
        if known is not None and cluster not in known:
            raise InvalidRequest(f"cluster: {unknown_cluster(cluster, known)}")
        try:
            return await self._around.topics(cluster)
        except (OSError, TimeoutError, ProtocolError) as error:
            problem = str(error) or "the brokers did not answer in time"
            raise Unavailable(f"cluster {cluster!r} is out of reach: {problem}") from None

    # the gateways and the state

    def gateways(self) -> Sequence[GatewayView]:
        return [
            GatewayView(
                record.gateway,
                record.worker,
                record.host,
                record.version,
                record.started,
                ago,
                record.applied,
                self._source.log.lag(record.applied),
                record.zones,
                record.connections,
                [*_cluster_problems(record.clusters), *(f"zone {each}: {why}" for each, why in record.refused.items())],
                [cluster for cluster in record.clusters if cluster],
            )
            for record, ago in sorted(self._liveness.live(), key=lambda live: live.record.key)
        ]

    def state(self) -> StateView:
        return StateView("topic", self._source.name, self._source.log.offset, self._source.problem)

    # keys to the API

    def api_key(self, key: str) -> ApiKeyView | None:
        found = self._keys.find(key)
        if found is None:
            self._check_loaded()
        return found

    def api_keys(self) -> Sequence[ApiKeyView]:
        self._check_loaded()
        return self._keys.all()

    async def create_api_key(self, name: str) -> tuple[ApiKeyView, str]:
        self._check_loaded()
        return await self._keys.create(name)

    async def delete_api_key(self, key_id: str) -> None:
        self._check_loaded()
        await self._keys.delete(key_id)


def _cluster_problems(clusters: Mapping[str, str]) -> Iterator[str]:
    for cluster, problem in clusters.items():
        if problem:
            yield f"cluster {cluster}: {problem}" if cluster else f"the cluster: {problem}"
