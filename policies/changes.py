"""What an edit has changed: of zones and of credentials, in the words of their definitions."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Literal

from policies.credentials import Credential
from policies.zone import Zone, ZoneLimits


@dataclass(frozen=True, slots=True)
class LimitChange:
    """One limit that is another one now; None is without limit."""

    name: str
    before: int | None
    after: int | None


@dataclass(frozen=True, slots=True)
class ZoneChange:
    """One zone that is another one now. A removed one has what it had."""

    zone: Zone
    change: Literal["created", "changed", "removed"]
    fields: tuple[str, ...] = ()
    """The names of the fields that have other values."""
    aliases_added: tuple[str, ...] = ()
    aliases_removed: tuple[str, ...] = ()
    aliases_changed: tuple[str, ...] = ()
    limits: tuple[LimitChange, ...] = ()


@dataclass(frozen=True, slots=True)
class CredentialChange:
    """`changed` is another hash, zone or expiry under the same id."""

    credential: Credential
    change: Literal["added", "changed", "removed"]


def zone_changes(before: Iterable[Zone], after: Iterable[Zone]) -> list[ZoneChange]:
    """Removed zones first, so that what moves from one to another reads in its order."""
    old, new = {zone.name: zone for zone in before}, {zone.name: zone for zone in after}
    changes = [_whole(zone, "removed") for name, zone in old.items() if name not in new]
    for name, zone in new.items():
        if name not in old:
            changes.append(_whole(zone, "created"))
        elif zone != old[name]:
            changes.append(_changed(old[name], zone))
    return changes


def _whole(zone: Zone, change: Literal["created", "removed"]) -> ZoneChange:
    names = tuple(alias.name for alias in zone.aliases)
    if change == "created":
        return ZoneChange(zone, change, aliases_added=names, limits=_limits(ZoneLimits(), zone.limits))
    return ZoneChange(zone, change, aliases_removed=names, limits=_limits(zone.limits, ZoneLimits()))


def _changed(before: Zone, after: Zone) -> ZoneChange:
    old, new = ({alias.name: alias for alias in zone.aliases} for zone in (before, after))
    return ZoneChange(
        after,
        "changed",
        tuple(each.name for each in fields(Zone) if getattr(before, each.name) != getattr(after, each.name)),
        tuple(name for name in new if name not in old),
        tuple(name for name in old if name not in new),
        tuple(name for name, alias in new.items() if name in old and alias != old[name]),
        _limits(before.limits, after.limits),
    )


def _limits(before: ZoneLimits, after: ZoneLimits) -> tuple[LimitChange, ...]:
    limits = (
        LimitChange(each.name, getattr(before, each.name), getattr(after, each.name)) for each in fields(ZoneLimits)
    )
    return tuple(limit for limit in limits if limit.before != limit.after)


def credential_changes(before: Iterable[Credential], after: Iterable[Credential]) -> list[CredentialChange]:
    """Added ones first: a rotation reads in the order in which it is done."""
    old, new = {each.id: each for each in before}, {each.id: each for each in after}
    changes = [CredentialChange(each, "added") for name, each in new.items() if name not in old]
    changes += [CredentialChange(each, "changed") for name, each in new.items() if name in old and each != old[name]]
    return changes + [CredentialChange(each, "removed") for name, each in old.items() if name not in new]
