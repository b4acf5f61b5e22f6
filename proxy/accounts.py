"""Who may sign in: the service accounts of the zones that are served, and their credentials."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from policies.credentials import Credential
from policies.zone import AuthenticationMode, Zone


@dataclass(frozen=True, slots=True)
class Account:
    """What is known of a service account."""

    zone: str
    mode: AuthenticationMode
    credentials: tuple[Credential, ...]


@dataclass(frozen=True, slots=True)
class CredentialChanges:
    """Those that are other ones now, or not there, before and after."""

    before: tuple[Credential, ...]
    after: tuple[Credential, ...]

    @property
    def revoked(self) -> frozenset[str]:
        """One that was edited in place is another one, so that a new hash under an old id ends the old sessions."""
        return frozenset(credential.id for credential in self.before)


NO_CHANGES = CredentialChanges((), ())


class Accounts:
    """By their names. What an edit costs is looking for what it has changed: objects that are the same are not read."""

    def __init__(self) -> None:
        self._zones: Mapping[str, Zone] = {}
        self._zone_of: dict[str, str] = {}
        self._by_id: dict[str, Credential] = {}
        self._by_zone: dict[str, list[Credential]] = {}

    @property
    def credentials(self) -> Mapping[str, Credential]:
        """By their ids."""
        return self._by_id

    def find(self, username: str) -> Account | None:
        zone = self._zones.get(self._zone_of.get(username, ""))
        if zone is None:
            return None
        return Account(zone.name, zone.authentication, tuple(self._by_zone.get(zone.name, ())))

    def use_zones(self, zones: Mapping[str, Zone], before: Collection[Zone], after: Collection[Zone]) -> None:
        """These are the zones from now on; `before` and `after` are what has changed."""
        self._zones = zones
        for zone in before:
            if self._zone_of.get(zone.service_account) == zone.name:
                del self._zone_of[zone.service_account]
        self._zone_of.update((zone.service_account, zone.name) for zone in after)

    def use_credentials(self, credentials: Sequence[Credential]) -> CredentialChanges:
        """These are the credentials from now on. Their order counts: clients are told the first one's salt."""
        before, now = self._by_id, {credential.id: credential for credential in credentials}
        others = [each for name, each in now.items() if before.get(name) is not each]
        if not others and list(before) == list(now):
            return NO_CHANGES
        self._by_id, self._by_zone = now, {}
        for credential in credentials:
            self._by_zone.setdefault(credential.zone, []).append(credential)
        changed = [each for each in others if before.get(each.id) != each]
        gone = [each for name, each in before.items() if name not in now]
        replaced = [before[each.id] for each in changed if each.id in before]
        return CredentialChanges((*gone, *replaced), tuple(changed))
