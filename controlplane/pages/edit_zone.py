"""The page on which a zone is edited: asks before partners lose something, and never overwrites what somebody else has
saved meanwhile without being told to."""

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from starlette.responses import Response

from controlplane.api.audit import UPDATE, Change
from controlplane.api.errors import status_of
from controlplane.pages.desk import Desk, Page, redirect
from controlplane.pages.topic_editor import LAST_TOPIC, TopicEditor, Topics
from controlplane.pages.visits import MAX_FORM_BYTES, Form, Visit, zone_address
from controlplane.pages.zone_changes import Difference, Loss, differences, fingerprint, losses
from controlplane.pages.zone_checks import checked, refused
from controlplane.pages.zone_form import Errors, ZoneForm, manifest_of
from controlplane.pages.zone_list import shown_name
from controlplane.pages.zone_words import FORM_VALUES
from controlplane.partner_zone import PartnerZone
from controlplane.zone_activity import AliasUse
from controlplane.zone_service import ServiceError, Stale, Upserted, ZoneView

SHOWN_CLIENTS: Final = 10
"""Of an alias that they used lately."""

SHOWN_DIFFERENCES: Final = 50

MAX_BASE_BYTES: Final = 4 * MAX_FORM_BYTES
"""Of a zone that a form carries, unpacked."""


@dataclass(slots=True)
class Draft:
    """An edit that is under way."""

    stored: ZoneView
    """As it is now."""
    form: ZoneForm
    version: int
    """Where it began, and the zone as it was then, packed."""
    base: str
    errors: Errors = field(default_factory=dict)
    losses: Sequence[Loss] = ()
    """That somebody has to agree to."""

    @classmethod
    def begin(cls, stored: ZoneView) -> "Draft":
        return cls(stored, ZoneForm.of(stored.resource), stored.version, _pack(stored.resource))

    @classmethod
    def read(cls, sent: Form, stored: ZoneView) -> "Draft":
        form, texts = ZoneForm.read(sent), ZoneForm.of(stored.resource).texts
        form.texts |= {name: texts[name] for name in ("name", "cluster")}
        overwrites = sent.get("do") == "overwrite"
        version = _number(sent.get("theirs" if overwrites else "version"))
        current = version == stored.version
        return cls(stored, form, version, _pack(stored.resource) if current else sent.get("base"))

    @property
    def is_stale(self) -> bool:
        return self.version != self.stored.version

    def differences(self) -> list[Difference] | None:
        """What others have changed since it began; None: that isn't known."""
        before = _unpack(self.base)
        return differences(before, self.stored.resource) if before is not None else None


class EditZone:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._editor = TopicEditor(desk.service, keeps_one=True)

    def pages(self) -> Sequence[Page]:
        path = "/zones/{zone}/edit"
        return (Page("GET", path, self.show), Page("POST", path, self.go_on))

    async def show(self, visit: Visit) -> Response:
        return await self._page(visit, Draft.begin(self._desk.service.zone(visit.zone)))

    async def go_on(self, visit: Visit) -> Response:
        """Whatever button was pressed."""
        sent = visit.form
        draft = Draft.read(sent, self._desk.service.zone(visit.zone))
        action, _, argument = sent.get("do").partition(":")
        if action == "enter":
            action = self._editor.wants_more(sent) or action
        if action in ("add", "type", "remove", "find"):
            topics = await self._editor.act(action, argument, sent, draft.form, draft.errors)
            return await self._page(visit, draft, topics)
        return await self._save(visit, draft)

    async def _save(self, visit: Visit, draft: Draft) -> Response:
        if draft.is_stale:
            return await self._page(visit, draft, status=412)
        resource, draft.errors = checked(draft.form, self._desk.service.clusters(), draft.stored.resource)
        if not draft.form.topics:
            draft.errors["topics"] = LAST_TOPIC
        if resource is None:
            return await self._page(visit, draft, status=400)
        name = resource.metadata.name
        if manifest_of(resource) == manifest_of(draft.stored.resource):
            return redirect(zone_address(name))
        found = losses(draft.stored.resource, resource)
        if found and visit.form.get("confirmed") != fingerprint(found):
            draft.losses = found
            return await self._page(visit, draft)
        try:
            await self._upsert(visit, resource, draft.version)
        except ServiceError as error:
            draft.stored = self._desk.service.zone(name)  # which may be another by now
            if not isinstance(error, Stale):
                draft.errors = refused(error, draft.form)
            return await self._page(visit, draft, status=status_of(error))
        return redirect(f"{zone_address(name)}?saved")

    async def _upsert(self, visit: Visit, resource: PartnerZone, version: int) -> None:
        change = Change(UPDATE, zone=resource.metadata.name)
        with self._desk.audit.change(visit.peer, visit.caller, change):
            _, upserted = await self._desk.service.upsert(resource, version=version)
            change.nothing |= upserted is Upserted.NOT_CHANGED

    async def _page(self, visit: Visit, draft: Draft, topics: Topics | None = None, status: int = 200) -> Response:
        if topics is None:
            topics = await self._editor.topics(visit.form, draft.form)
        changes = draft.differences() if draft.is_stale else []
        return await self._desk.long_page(
            visit,
            "edit-zone.html",
            status,
            draft=draft,
            form=draft.form,
            errors=draft.errors,
            stored=draft.stored,
            shown=shown_name(draft.stored),
            confirmed=fingerprint(draft.losses) if draft.losses else "",
            uses=self._uses(draft),
            activity_problem=self._desk.activity.problem,
            differences=changes[:SHOWN_DIFFERENCES] if changes is not None else None,
            more_differences=max(0, len(changes or ()) - SHOWN_DIFFERENCES),
            topics=topics,
            keeps_one=True,
            **FORM_VALUES,
        )

    def _uses(self, draft: Draft) -> dict[str, Sequence[AliasUse]]:
        """Who used what is about to be lost."""
        if not draft.losses:
            return {}
        uses = self._desk.activity.zone(draft.stored.resource.metadata.name).uses
        return {loss.alias: uses.get(loss.alias, ())[:SHOWN_CLIENTS] for loss in draft.losses if loss.alias}


def _pack(resource: PartnerZone) -> str:
    return base64.b64encode(zlib.compress(resource.model_dump_json(by_alias=True, exclude_none=True).encode())).decode()


def _unpack(text: str) -> PartnerZone | None:
    """What a browser sends back, if it can be read."""
    try:
        data = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), MAX_BASE_BYTES)
        return PartnerZone.model_validate_json(data)
    except (ValueError, zlib.error):
        return None


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else -1
