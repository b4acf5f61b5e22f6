"""The list of partner zones: found, filtered and sorted as the address says, so that a view can be kept and sent."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from controlplane.pages.desk import Desk, Page
from controlplane.pages.visits import Form, Visit
from controlplane.zone_service import Status, ZoneView

ROWS: Final = 50
"""Of one page."""

ZONES_AT_ONCE: Final = 200
"""Looked at before others have their turn: a few milliseconds."""

_SEVERITY: Final = {Status.FAILED: 0, Status.PENDING: 1, Status.READY: 2}

_KEYS: Final[Mapping[str, Callable[[ZoneView], Any]]] = {
    "name": lambda view: shown_name(view).casefold(),
    "topics": lambda view: len(view.resource.spec.topics),
    "cluster": lambda view: view.resource.spec.cluster.casefold(),
    "status": lambda view: _SEVERITY[view.status],
    "updated": lambda view: view.updated_at,
}
"""What a list can be sorted by."""


def shown_name(view: ZoneView) -> str:
    """The name for people, else the technical one."""
    return view.resource.spec.display_name or view.resource.metadata.name


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the address asks for."""

    search: str = ""
    status: str = ""
    label: str = ""
    """`name=value`."""
    sort: str = "name"
    down: bool = False
    page: int = 1

    @classmethod
    def read(cls, query: Form) -> "Wanted":
        """What makes no sense is left out: an address that was kept may be old."""
        sort, page = query.get("sort"), query.get("page", "1")
        return cls(
            query.get("search"),
            query.get("status") if query.get("status") in Status.__members__ else "",
            query.get("label"),
            sort if sort in _KEYS else "name",
            query.get("order") == "down",
            max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 9 else 1,
        )

    @property
    def is_filtered(self) -> bool:
        return bool(self.search or self.status or self.label)

    def address(self, **changes: object) -> str:
        """Of the list with these changes; the page begins anew where it isn't given."""
        fields: dict[str, object] = {
            "search": self.search,
            "status": self.status,
            "label": self.label,
            "sort": self.sort if self.sort != "name" else "",
            "order": "down" if self.down else "",
        }
        said = {name: value for name, value in (fields | changes).items() if value not in ("", None)}
        return f"/zones?{urlencode(said)}" if said else "/zones"

    def sorted_by(self, column: str) -> str:
        """The address of the same list, sorted by a column; the other way round where it is already."""
        down = self.sort == column and not self.down
        return self.address(sort=column if column != "name" else "", order="down" if down else "")

    def direction(self, column: str) -> str:
        """Of this column, as `aria-sort` says it."""
        if self.sort != column:
            return "none"
        return "descending" if self.down else "ascending"

    def fits(self, view: ZoneView) -> bool:
        if self.status and view.status != self.status:
            return False
        if self.label and self.label not in labels_of(view):
            return False
        words = self.search.casefold().split()
        text = _searched(view) if words else ""
        return all(word in text for word in words)


def labels_of(view: ZoneView) -> list[str]:
    return [f"{name}={value}" for name, value in sorted(view.resource.metadata.labels.items())]


def _searched(view: ZoneView) -> str:
    spec = view.resource.spec
    partner = (spec.partner.name, spec.partner.email) if spec.partner is not None else ()
    texts = (view.resource.metadata.name, spec.display_name, spec.url, spec.service_account, *partner)
    topics = (text for topic in spec.topics for text in (topic.name, topic.backing_topic))
    return "\n".join(text for text in (*texts, *topics) if text).casefold()


@dataclass(slots=True)
class Totals:
    """Of all zones, whatever is shown of them."""

    zones: int
    topics: int
    by_status: Mapping[Status, int]
    labels: Sequence[str]


class ZoneList:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def pages(self) -> Sequence[Page]:
        return (Page("GET", "/zones", self.show),)

    async def show(self, visit: Visit) -> Response:
        wanted = Wanted.read(visit.query)
        views = await _taken(self._desk.service.zones())
        found = sorted((view for view in views if wanted.fits(view)), key=_KEYS[wanted.sort], reverse=wanted.down)
        pages = max(1, -(-len(found) // ROWS))
        page = min(wanted.page, pages)
        return self._desk.page(
            visit,
            "zones.html",
            wanted=wanted,
            totals=_totals(views),
            found=len(found),
            rows=found[(page - 1) * ROWS : page * ROWS],
            page=page,
            pages=pages,
            statuses=list(Status),
            shown_name=shown_name,
            labels_of=labels_of,
        )


async def _taken(zones: Iterable[ZoneView]) -> list[ZoneView]:
    views: list[ZoneView] = []
    rest = iter(zones)
    while turn := list(islice(rest, ZONES_AT_ONCE)):
        views += turn
        await asyncio.sleep(0)
    return views


def _totals(views: Sequence[ZoneView]) -> Totals:
    statuses = Counter(view.status for view in views)
    labels = sorted({label for view in views for label in labels_of(view)})
    return Totals(len(views), sum(len(view.resource.spec.topics) for view in views), statuses, labels)
