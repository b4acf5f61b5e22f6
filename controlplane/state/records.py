"""The records of the state topic: keys, and values as JSON.

    zone/<name>/<attempt>   one edit of a zone, in force or not: see `controlplane/state/log.py`
    credential/<id>         what a password is verified by
    api-key/<id>            what a key to the REST API is verified by
    used/<credential id>    when a credential was last used
    gateway/<id>[/<worker>] the last sign of life of a gateway's process

A value says its `format`. Whoever finds a higher one than it knows, or a kind of key that it doesn't know, leaves the
record alone: a newer version of zonegate has written it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from policies.credentials import ScramKeys, format_scram_keys, parse_scram_keys

FORMAT: Final = 1
"""Of the values that are written here, and the highest that is understood."""

ZONE: Final = "zone"
CREDENTIAL: Final = "credential"
API_KEY: Final = "api-key"
USED: Final = "used"
GATEWAY: Final = "gateway"


class NewerFormat(Exception):
    """The record is of a newer version of zonegate."""


class BadRecord(Exception):
    """The record is of none: what it holds can't be read."""


@dataclass(frozen=True, slots=True)
class ZoneRecord:
    """One edit of a zone. `manifest` is None where it is deleted."""

    name: str
    attempt: str
    """Unique, so that an edit that comes too late can't replace, in a compacted log, the one that was in time."""
    version: int
    """One more than that of the edit which it replaces."""
    id: str
    updated_at: str
    salt: bytes
    """Of SCRAM, for all passwords of the zone."""
    manifest: Mapping[str, Any] | None

    @property
    def key(self) -> bytes:
        return f"{ZONE}/{self.name}/{self.attempt}".encode()

    @property
    def account(self) -> str | None:
        """The service account that it claims."""
        return str(self.manifest["spec"]["serviceAccount"]) if self.manifest is not None else None

    def value(self) -> bytes:
        return _encode(
            version=self.version, id=self.id, updatedAt=self.updated_at, salt=self.salt.hex(), zone=self.manifest
        )


@dataclass(frozen=True, slots=True)
class CredentialRecord:
    """A password of the zone that has this id; of no other that is named alike later."""

    id: str
    zone: str
    zone_id: str
    created: str
    expires: float | None
    password_hash: str = field(repr=False)
    scram: ScramKeys | None = field(repr=False)

    @property
    def key(self) -> bytes:
        return f"{CREDENTIAL}/{self.id}".encode()

    def value(self) -> bytes:
        return _encode(
            zone=self.zone,
            zoneId=self.zone_id,
            created=self.created,
            expires=self.expires,
            hash=self.password_hash,
            scram=format_scram_keys(self.scram) if self.scram is not None else None,
        )


@dataclass(frozen=True, slots=True)
class ApiKeyRecord:
    """A key to the REST API."""

    id: str
    name: str
    created: str
    key_hash: str = field(repr=False)

    @property
    def key(self) -> bytes:
        return f"{API_KEY}/{self.id}".encode()

    def value(self) -> bytes:
        return _encode(name=self.name, created=self.created, hash=self.key_hash)


@dataclass(frozen=True, slots=True)
class UsedRecord:
    """When a credential was last seen in use."""

    credential: str
    at: str

    @property
    def key(self) -> bytes:
        return f"{USED}/{self.credential}".encode()

    def value(self) -> bytes:
        return _encode(at=self.at)


@dataclass(frozen=True, slots=True)
class GatewayRecord:
    """What a gateway's process says of itself every few seconds."""

    gateway: str
    worker: int | None
    host: str
    version: str
    started: str
    applied: int
    """The offset of the last change that it serves."""
    zones: int
    connections: int
    clusters: Mapping[str, str] = field(default_factory=dict)
    """Of each cluster that it knows: empty, or why it is out of reach."""
    unusable_modes: Mapping[str, str] = field(default_factory=dict)
    """Of modes in which nobody can sign in here: what they lack."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Of zones that it can't serve: why."""

    @property
    def key(self) -> bytes:
        return gateway_key(self.gateway, self.worker)

    def value(self) -> bytes:
        return _encode(
            host=self.host,
            version=self.version,
            started=self.started,
            applied=self.applied,
            zones=self.zones,
            connections=self.connections,
            clusters=self.clusters,
            unusableModes=self.unusable_modes,
            refused=self.refused,
        )


def gateway_key(gateway: str, worker: int | None) -> bytes:
    return f"{GATEWAY}/{gateway}".encode() if worker is None else f"{GATEWAY}/{gateway}/{worker}".encode()


Record = ZoneRecord | CredentialRecord | ApiKeyRecord | UsedRecord | GatewayRecord


def kind_of(key: bytes) -> tuple[str, list[str]]:
    """The kind, and the rest of the key's parts. What is no key of ours has a kind that nobody knows."""
    kind, *rest = key.decode("utf-8", "replace").split("/")
    return kind, rest


def read_record(key: bytes, value: bytes) -> Record | None:
    """What a record says; None of a kind that is not known here. Raises NewerFormat or BadRecord."""
    kind, rest = kind_of(key)
    reader = _READERS.get(kind)
    if reader is None:
        return None
    try:
        fields = json.loads(value)
        if not isinstance(fields, dict) or type(fields["format"]) is not int:
            raise BadRecord("its value is no object with a format")
        if fields["format"] > FORMAT:
            raise NewerFormat
        return reader(rest, fields)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadRecord(repr(error)) from None


def _encode(**fields: Any) -> bytes:
    given = {name: each for name, each in fields.items() if each is not None}
    return json.dumps({"format": FORMAT, **given}, separators=(",", ":")).encode()


def _read_zone(rest: list[str], fields: Mapping[str, Any]) -> ZoneRecord:
    name, attempt = rest
    manifest = fields.get("zone")
    if manifest is not None and not isinstance(manifest["spec"]["serviceAccount"], str):
        raise BadRecord("its zone has no service account")
    return ZoneRecord(
        name,
        attempt,
        _integer(fields["version"]),
        _text(fields["id"]),
        _text(fields["updatedAt"]),
        bytes.fromhex(fields["salt"]),
        manifest,
    )


def _read_credential(rest: list[str], fields: Mapping[str, Any]) -> CredentialRecord:
    (credential,) = rest
    expires, scram = fields.get("expires"), fields.get("scram")
    return CredentialRecord(
        credential,
        _text(fields["zone"]),
        _text(fields["zoneId"]),
        _text(fields["created"]),
        float(expires) if expires is not None else None,
        _text(fields["hash"]),
        parse_scram_keys(scram) if scram is not None else None,
    )


def _read_api_key(rest: list[str], fields: Mapping[str, Any]) -> ApiKeyRecord:
    (key_id,) = rest
    return ApiKeyRecord(key_id, _text(fields["name"]), _text(fields["created"]), _text(fields["hash"]))


def _read_used(rest: list[str], fields: Mapping[str, Any]) -> UsedRecord:
    (credential,) = rest
    return UsedRecord(credential, _text(fields["at"]))


def _read_gateway(rest: list[str], fields: Mapping[str, Any]) -> GatewayRecord:
    gateway, *worker = rest
    return GatewayRecord(
        gateway,
        int(worker[0]) if worker else None,
        _text(fields["host"]),
        _text(fields["version"]),
        _text(fields["started"]),
        _integer(fields["applied"]),
        _integer(fields["zones"]),
        _integer(fields["connections"]),
        _texts(fields["clusters"]),
        _texts(fields["unusableModes"]),
        _texts(fields["refused"]),
    )


_READERS: Final[Mapping[str, Callable[[list[str], Mapping[str, Any]], Record]]] = {
    ZONE: _read_zone,
    CREDENTIAL: _read_credential,
    API_KEY: _read_api_key,
    USED: _read_used,
    GATEWAY: _read_gateway,
}


def _integer(value: object) -> int:
    if type(value) is not int:
        raise BadRecord(f"{value!r} is no whole number")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise BadRecord(f"it has a {type(value).__name__} where a text belongs")  # which may be a password's hash
    return value


def _texts(value: object) -> Mapping[str, str]:
    if not isinstance(value, dict):
        raise BadRecord(f"{value!r} is no object")
    return {_text(name): _text(each) for name, each in value.items()}
