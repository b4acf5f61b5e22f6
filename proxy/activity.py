"""What partners' connections do, as it happens, for people to look at: who uses which alias, what is refused, and where
clients have come or gone. `proxy/activity_news.py` makes news of it every few seconds.

Nothing is decided by it, and nothing of it goes to partners. What clients call themselves is bounded and printable.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from time import time
from typing import Final, NamedTuple

from policies.names import PASSTHROUGH
from protocol.error_codes import ErrorCode
from protocol.schema import API_NAMES
from proxy.resources import Resource, operation, topic_id_text
from proxy.zones import Route

MAX_CHARACTERS: Final = 100
"""Of what a client calls itself, and its library."""

MAX_NAME_CHARACTERS: Final = 249
"""Kafka's longest topic name."""

MAX_REFUSALS: Final = 50
"""Kinds of them, of a zone, between two tellings; those beyond are in the audit log alone."""

MAX_USERS: Final = 20
"""Of an alias, between two tellings."""


class Caller(NamedTuple):
    """Who is at the other end of a connection."""

    client_id: str
    software: str
    user: str
    address: str


class Refused(NamedTuple):
    """What was refused, and to whom."""

    api: str
    operation: str
    resource_type: str
    resource: str
    error: str
    user: str
    address: str


@dataclass(slots=True)
class Count:
    """How often, and when the last time was, in Unix seconds."""

    at: float
    count: int = 0


@dataclass(slots=True)
class Taken:
    """Of one zone, since the last time."""

    clients_changed: bool = False
    refusals: dict[Refused, Count] = field(default_factory=dict)
    uses: dict[Route, dict[Caller, None]] = field(default_factory=dict)


class ActivityNotes:
    """Of all zones, not of admins' sessions; nothing is noted unless somebody tells of it."""

    def __init__(self, clock: Callable[[], float] = time) -> None:
        """`clock` tells Unix time."""
        self.noting = False
        self._clock = clock
        self._zones: dict[str, Taken] = {}

    def take(self) -> dict[str, Taken]:
        """All that was noted since this was last asked."""
        taken, self._zones = self._zones, {}
        return taken

    def clients_changed(self, zone: str) -> None:
        """Somebody has come or gone, or has said who it is."""
        if self.noting and zone != PASSTHROUGH:
            self._of(zone).clients_changed = True

    def left(self, zone: str, caller: Caller | None, routes: Collection[Route]) -> None:
        """A connection has ended, which had used these at last."""
        if caller is not None:
            self.clients_changed(zone)
            self.used(zone, caller, routes)

    def used(self, zone: str, caller: Caller | None, routes: Collection[Route]) -> None:
        """These were produced to, or fetched from."""
        if not self.noting or not routes:
            return
        uses = self._of(zone).uses
        for route in routes:
            users = uses.setdefault(route, {})
            if caller is not None and len(users) < MAX_USERS:
                users[caller] = None

    def refused(
        self, zone: str, user: str, address: str, api_key: int, error: ErrorCode, resource: Resource, count: int
    ) -> None:
        """`count` entries of a request."""
        if not self.noting or zone == PASSTHROUGH:
            return
        name = shown(resource.name, MAX_NAME_CHARACTERS) if resource.name else _id_of(resource)
        action = operation(api_key, resource)
        kind = Refused(API_NAMES[api_key], action, resource.type.value, name, error.name.lower(), user, address)
        refusals = self._of(zone).refusals
        known = refusals.get(kind)
        if known is None:
            if len(refusals) == MAX_REFUSALS:
                return
            known = refusals[kind] = Count(0.0)
        known.count += count
        known.at = self._clock()

    def _of(self, zone: str) -> Taken:
        taken = self._zones.get(zone)
        if taken is None:
            taken = self._zones[zone] = Taken()
        return taken


def _id_of(resource: Resource) -> str:
    return topic_id_text(resource.topic_id) if any(resource.topic_id) else ""


def shown(text: str, limit: int = MAX_CHARACTERS) -> str:
    """What a client has said, as people may see it."""
    text = text[:limit]
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def shown_bytes(raw: bytes | None) -> str:
    """The same of a client id as it comes; empty where there is none."""
    return shown(raw[: 4 * MAX_CHARACTERS].decode(errors="replace")) if raw else ""
