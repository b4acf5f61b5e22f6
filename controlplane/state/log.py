"""What every reader of the state topic makes of its records. Pure: no Kafka, no clock.

An edit of a zone carries the version that it makes: one more than the one that its writer knew. The first edit of a
version in the log's order is in force, and later ones of that version have lost, at every reader alike: no leader, no
lock. Nor is an edit in force that claims a service account which another zone has at that place of the log.

A compacted log must say the same as the whole one. Each edit therefore has a key of its own, and records go only where
somebody has written a tombstone, in this order (`garbage`): first all edits that have lost, then replaced ones, the
oldest of a zone first. An edit that has lost would otherwise win once the one that it lost against is gone. The last
edit of a zone is never among them, even where it deletes the zone: it keeps the version's count, so that a writer who
has not heard of the deletion loses. A reader that begins leaves out what has a tombstone further on (`compacted`):
a broker may be in the middle of compacting. One that goes on and finds offsets missing begins anew (`misses`): the
edits between the one that it knows and the one that comes are gone.
"""

import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from controlplane.model_errors import violations
from controlplane.partner_zone import PartnerZone
from controlplane.problems import field_name
from controlplane.state.records import (
    API_KEY,
    CREDENTIAL,
    GATEWAY,
    USED,
    ZONE,
    ApiKeyRecord,
    BadRecord,
    CredentialRecord,
    GatewayRecord,
    NewerFormat,
    UsedRecord,
    ZoneRecord,
    kind_of,
    read_record,
)

KEPT_CHANGES: Final = 10_000
"""The last ones; a gateway that lags further behind lags by so many at least."""

_log = logging.getLogger("zonegate.state")


@dataclass(frozen=True, slots=True)
class StoredZone:
    """A zone that is in force."""

    resource: PartnerZone
    id: str
    version: int
    offset: int
    """Of its last edit."""
    updated_at: str
    salt: bytes = field(repr=False)


@dataclass(slots=True)
class _Line:
    """The edits of one zone's name."""

    version: int
    key: bytes
    """Of the last edit in force."""
    account: str | None
    superseded: list[bytes]
    """Keys of those before it, the oldest first."""


class Changed(NamedTuple):
    """What gateways serve differently; it may be gone."""

    zones: Set[str]
    """Names, in the order of their first change."""
    credentials: Set[str]
    """Ids, in that order, without those that a zone's change concerns."""


class StateLog:
    """Applies records in their order; everything else answers from what they have said."""

    def __init__(self) -> None:
        self.zones: dict[str, StoredZone] = {}
        self.api_keys: dict[str, ApiKeyRecord] = {}
        self.gateways: dict[bytes, GatewayRecord] = {}
        self.last_used: dict[str, str] = {}
        self.unreadable: dict[str, str] = {}
        """Zones with an edit that can't be read here: why."""
        self.offset = -1
        """Of the last record."""
        self.changed_at = -1
        """Of the last one that changed what gateways serve, or up to which this reader has read at its beginning."""
        self._begun_at = -1
        """The offset up to which this reader has read at its beginning."""
        self._changes: deque[tuple[int, str, str]] = deque(maxlen=KEPT_CHANGES)
        """Offset, kind, and the zone's name or the credential's id."""
        self._lines: dict[str, _Line] = {}
        self._edited: dict[str, None] = {}
        """Those that have superseded edits."""
        self._accounts: dict[str, str] = {}
        self._losers: dict[bytes, None] = {}
        self._credentials: dict[str, CredentialRecord] = {}
        self._doubtful: set[str] = set()
        """Names of zones that may have credentials which don't live."""
        self._frozen: set[str] = set()
        """Zones with an edit of a newer format, of which nobody here can say whether it is in force."""
        self._complained: set[tuple[str, str]] = set()

    def misses(self, offset: int) -> bool:
        """Whether records are gone between the last one and this one, which comes next in the log."""
        return offset != self.offset + 1

    def apply(self, offset: int, key: bytes, value: bytes | None) -> str:
        """Takes the record that comes next in the log. Its kind; empty of one that says nothing here."""
        self.offset = offset
        kind, rest = kind_of(key)
        changed = self._remove(kind, rest, key) if value is None else self._read(kind, rest, key, value)
        if changed:
            self.changed_at = offset
            self._changes.append((offset, kind, rest[0] if rest else ""))
        return kind

    def become(self, other: "StateLog") -> None:
        """Say all that another one says, to whoever holds this one."""
        self.__dict__.update(other.__dict__)

    def caught_up(self, offset: int) -> None:
        """All records up to this one have been applied, or were left out because a later one says more."""
        self.offset = self.changed_at = self._begun_at = offset

    def lag(self, applied: int) -> int:
        """How many changes are behind this offset."""
        return sum(offset > applied for offset, _, _ in self._changes)

    def changed_since(self, offset: int) -> Changed | None:
        """What has changed behind this offset; None where that was too much to be remembered, or is not known: what has
        gone before this reader began left nothing to read."""
        if offset < self._begun_at or (len(self._changes) == KEPT_CHANGES and self._changes[0][0] > offset):
            return None
        changes = list(takewhile(lambda change: change[0] > offset, reversed(self._changes)))
        zones, credentials = (
            dict.fromkeys(name for _, kind, name in reversed(changes) if kind == wanted)
            for wanted in (ZONE, CREDENTIAL)
        )
        return Changed(zones.keys(), credentials.keys())

    # what is in force

    @property
    def credentials(self) -> Iterable[CredentialRecord]:
        """Those of living zones."""
        return (each for each in self._credentials.values() if self._lives(each))

    def credential(self, credential: str) -> CredentialRecord | None:
        found = self._credentials.get(credential)
        return found if found is not None and self._lives(found) else None

    def credentials_of(self, zones: Set[str]) -> Sequence[str]:
        """The ids of all that name one of these zones, whether they live or not."""
        return [each.id for each in self._credentials.values() if each.zone in zones] if zones else []

    def version(self, name: str) -> int:
        """Of a zone's last edit; 0 where there was none."""
        line = self._lines.get(name)
        return line.version if line is not None else 0

    def owner(self, account: str) -> str | None:
        """The zone that has this service account."""
        return self._accounts.get(account)

    def in_force(self, record: ZoneRecord) -> bool:
        """Whether this is the last edit of its zone that counts."""
        return self.is_last(record.name, record.key)

    def is_last(self, name: str, key: bytes) -> bool:
        """The same, of the edit with this key."""
        line = self._lines.get(name)
        return line is not None and line.key == key

    def garbage(self) -> tuple[Sequence[bytes], Sequence[bytes]]:
        """Keys that nothing needs any more. All of the first must have tombstones before any of the second has one."""
        if self._frozen:
            return [], []  # what nothing needs is for those to say who understand all
        used = [f"{USED}/{each}".encode() for each in self.last_used if each not in self._credentials]
        replaced = [key for name in self._edited for key in self._lines[name].superseded]
        return [*self._losers, *self._dead(), *used], replaced

    def _dead(self) -> list[bytes]:
        """Credentials without a zone."""
        if not self._doubtful:
            return []
        doubtful = [
            each for each in self._credentials.values() if each.zone in self._doubtful and not self._lives(each)
        ]
        self._doubtful = {each.zone for each in doubtful}
        return [each.key for each in doubtful if self._is_dead(each)]

    def _lives(self, record: CredentialRecord) -> bool:
        zone = self.zones.get(record.zone)
        return zone is not None and zone.id == record.zone_id

    def _is_dead(self, record: CredentialRecord) -> bool:
        """Its zone doesn't live and won't again: an id is never used twice."""
        return not self._lives(record) and record.zone not in self.unreadable

    # records

    def _read(self, kind: str, rest: Sequence[str], key: bytes, value: bytes) -> bool:
        """Whether it changes what gateways serve."""
        try:
            record = read_record(key, value)
        except NewerFormat:
            if kind == ZONE and rest:
                self._frozen.add(rest[0])
            return self._leave_alone(kind, rest, "it was written by a newer version of zonegate; upgrade this one")
        except BadRecord as error:
            return self._leave_alone(kind, rest, f"its record can't be read: {error}")
        match record:
            case ZoneRecord():
                return self._edit(record)
            case CredentialRecord():
                self._credentials[record.id] = record
                if not self._lives(record):
                    self._doubtful.add(record.zone)
                return True
            case ApiKeyRecord():
                self.api_keys[record.id] = record
            case UsedRecord():
                self.last_used[record.credential] = record.at
            case GatewayRecord():
                self.gateways[key] = record
        return False

    def _leave_alone(self, kind: str, rest: Sequence[str], reason: str) -> bool:
        """What can't be read changes nothing; the last edit that can be stays in force."""
        name = rest[0] if rest else ""
        if (kind, name) not in self._complained:
            self._complained.add((kind, name))
            _log.error("%s %s: %s", kind, name, reason, extra={"event": "state_unreadable"})
        if kind == ZONE:
            self.unreadable[name] = reason
        return kind == ZONE

    def _edit(self, record: ZoneRecord) -> bool:
        line = self._lines.get(record.name)
        if record.name in self._frozen or (line is not None and line.key == record.key):
            return False  # the latter: a producer has sent it twice
        if (line is not None and record.version != line.version + 1) or not self._is_free(record):
            self._losers[record.key] = None
            return False
        replaced = [*line.superseded, line.key] if line is not None else []
        if line is not None and line.account is not None:
            del self._accounts[line.account]
        if record.account is not None:
            self._accounts[record.account] = record.name
        self._lines[record.name] = _Line(record.version, record.key, record.account, replaced)
        if replaced:
            self._edited[record.name] = None
        return self._serve(record)

    def _serve(self, record: ZoneRecord) -> bool:
        """The zone is now as this record says."""
        if record.manifest is None:
            self.unreadable.pop(record.name, None)
            return self._end(record.name)
        try:
            resource = PartnerZone.model_validate(record.manifest)
        except ValidationError as error:
            found = "; ".join(f"{field_name(path)}: {message}" for path, message in violations(error, PartnerZone))
            return self._leave_alone(ZONE, [record.name], f"this version refuses it: {found}")
        self.unreadable.pop(record.name, None)
        if (known := self.zones.get(record.name)) is not None and known.id != record.id:
            self._doubtful.add(record.name)
        self.zones[record.name] = StoredZone(
            resource, record.id, record.version, self.offset, record.updated_at, record.salt
        )
        return True

    def _end(self, name: str) -> bool:
        """The zone is gone; whether it was there."""
        self._doubtful.add(name)
        return self.zones.pop(name, None) is not None

    def _is_free(self, record: ZoneRecord) -> bool:
        return record.account is None or self._accounts.get(record.account, record.name) == record.name

    def _remove(self, kind: str, rest: Sequence[str], key: bytes) -> bool:
        """A tombstone."""
        match kind, rest:
            case str(found), [name, _] if found == ZONE:
                return self._forget_edit(name, key)
            case str(found), [name] if found == CREDENTIAL:
                return self._credentials.pop(name, None) is not None
            case str(found), [name] if found == API_KEY:
                self.api_keys.pop(name, None)
            case str(found), [name] if found == USED:
                self.last_used.pop(name, None)
            case str(found), _ if found == GATEWAY:
                self.gateways.pop(key, None)
        return False

    def _forget_edit(self, name: str, key: bytes) -> bool:
        self._losers.pop(key, None)
        line = self._lines.get(name)
        if line is None:
            return False
        if key in line.superseded:
            line.superseded.remove(key)
            if not line.superseded:
                del self._edited[name]
        if key != line.key:
            return False
        _log.error("zone %s was removed from the state topic by hand", name, extra={"event": "state_damaged"})
        del self._lines[name]
        self._edited.pop(name, None)
        if line.account is not None:
            del self._accounts[line.account]
        return self._end(name)


Raw = tuple[int, bytes, bytes | None]
"""Offset, key and value."""


def compacted(records: Iterable[Raw]) -> list[Raw]:
    """What a broker that has compacted these would have left: of each key the last, and none with a tombstone."""
    last: dict[bytes, Raw] = {}
    for record in records:
        last.pop(record[1], None)
        last[record[1]] = record
    return [record for record in last.values() if record[2] is not None]


def manifest_of(resource: PartnerZone) -> Mapping[str, Any]:
    """What a record keeps of a zone: with defaults written out, so that a later version's own don't change it."""
    manifest = resource.model_dump(mode="json", by_alias=True, exclude_none=True)
    manifest["apiVersion"] = "v2"
    if not manifest["metadata"]["labels"]:
        del manifest["metadata"]["labels"]
    return manifest
