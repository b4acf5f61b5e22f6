"""What a gateway serves of the desired state: zones and credentials in the data plane's terms.

Compiled once for each edit: a zone that hasn't changed is the same object as before, by which the data plane knows.
"""

from collections.abc import Mapping, Sequence

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
        self._zones: dict[str, tuple[StoredZone, Zone]] = {}
        self._credentials: dict[str, tuple[CredentialRecord, Credential]] = {}
        self.zones: Sequence[Zone] = ()
        self.credentials: Sequence[Credential] = ()
        self.refused: Mapping[str, str] = {}
        """Zones that can't be served here as they are stored: why."""
        self.applied = -1
        """The offset of the last change that is in here."""

    def refresh(self) -> None:
        log = self._log
        self.refused = dict(log.unreadable)
        self._zones = {name: self._zone(name, stored) for name, stored in log.zones.items()}
        self._credentials = {record.id: self._credential(record) for record in log.credentials}
        self.zones = [zone for _, zone in self._zones.values() if not self._is_admins(zone)]
        self.credentials = [credential for _, credential in self._credentials.values()]
        self.applied = log.changed_at

    def _zone(self, name: str, stored: StoredZone) -> tuple[StoredZone, Zone]:
        known = self._zones.get(name)
        return known if known is not None and known[0] is stored else (stored, stored.resource.to_zone())

    def _credential(self, record: CredentialRecord) -> tuple[CredentialRecord, Credential]:
        known = self._credentials.get(record.id)
        return known if known is not None and known[0] is record else (record, credential_of(record))

    def _is_admins(self, zone: Zone) -> bool:
        if self._admin is None or zone.service_account != self._admin:
            return False
        reason = f"its service account {self._admin!r} is the admin of the settings' section passthrough"
        self.refused = {**self.refused, zone.name: reason}
        return True


def credential_of(record: CredentialRecord) -> Credential:
    return Credential(record.id, record.zone, record.created, record.password_hash, record.expires, record.scram)
