"""What a gateway serves of the desired state: zones and credentials in the data plane's terms.

Compiled once for each edit: a zone that hasn't changed is the same object as before, by which the data plane knows.
"""

from collections.abc import Iterable, Mapping, Sequence

from controlplane.state.lasting import lasting
from controlplane.state.log import StateLog, StoredZone
from controlplane.state.records import CredentialRecord
from policies.credentials import Credential
from policies.zone import Zone


class ServedState:
    """`refresh` after the log has changed."""

    def __init__(self, log: StateLog, admin: str | None = None) -> None:
        """`admin` is the user of the settings' section passthrough, whose name no service account may have."""
        self._log = log
        self._admin = admin
        self._stored: dict[str, StoredZone] = {}
        self._zones: dict[str, Zone] = {}
        """Of these, all but those that have the admin's account."""
        self._admins: dict[str, str] = {}
        self._records: dict[str, CredentialRecord] = {}
        self._credentials: dict[str, Credential] = {}
        self.zones: Sequence[Zone] = ()
        self.credentials: Sequence[Credential] = ()
        self.refused: Mapping[str, str] = {}
        """Zones that can't be served here as they are stored: why."""
        self.applied = -1
        """The offset of the last change that is in here."""

    def refresh(self) -> None:
        log = self._log
        changed = log.changed_since(self.applied) if self.applied >= 0 else None
        if changed is None:
            with lasting():
                self._take_zones(dict.fromkeys((*self._stored, *log.zones)))
                self._take_credentials(dict.fromkeys((*self._records, *(each.id for each in log.credentials))))
        else:
            moved = self._take_zones(changed.zones)
            self._take_credentials(dict.fromkeys((*changed.credentials, *log.credentials_of(moved))))
        self.refused = {**log.unreadable, **self._admins}
        self.zones = list(self._zones.values())
        self.credentials = list(self._credentials.values())
        self.applied = log.changed_at

    def _take_zones(self, names: Iterable[str]) -> set[str]:
        """Those that are others now than before, whatever they are called: their credentials are others, too."""
        moved = set()
        for name in names:
            before, now = self._stored.get(name), self._log.zones.get(name)
            if (before and before.id) != (now and now.id):
                moved.add(name)
            if now is before:
                continue
            self._forget(name)
            if now is not None:
                self._stored[name] = now
                self._compile(name, now)
        return moved

    def _forget(self, name: str) -> None:
        for known in (self._stored, self._zones, self._admins):
            known.pop(name, None)

    def _compile(self, name: str, stored: StoredZone) -> None:
        zone = stored.resource.to_zone()
        if self._admin is not None and zone.service_account == self._admin:
            reason = f"its service account {self._admin!r} is the admin of the settings' section passthrough"
            self._admins[name] = reason
        else:
            self._zones[name] = zone

    def _take_credentials(self, ids: Iterable[str]) -> None:
        for each in ids:
            record = self._log.credential(each)
            if record is None:
                self._records.pop(each, None)
                self._credentials.pop(each, None)
            elif record is not self._records.get(each):
                self._records[each], self._credentials[each] = record, credential_of(record)


def credential_of(record: CredentialRecord) -> Credential:
    return Credential(record.id, record.zone, record.created, record.password_hash, record.expires, record.scram)
