"""The wizard that makes a zone: one form in four steps, all of whose fields travel with it, so that nothing is kept
here between them."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from starlette.responses import Response

from controlplane.api.audit import CREATE, Change
from controlplane.api.errors import status_of
from controlplane.pages.credentials import DEFAULT, VALIDITIES, Credentials, validity_of
from controlplane.pages.desk import Desk, Page, redirect
from controlplane.pages.limit_fields import LIMITS
from controlplane.pages.topic_editor import TopicEditor, Topics
from controlplane.pages.visits import Form, Visit, zone_address
from controlplane.pages.zone_checks import checked, refused
from controlplane.pages.zone_form import Errors, TopicRow, ZoneForm
from controlplane.pages.zone_words import FORM_VALUES
from controlplane.partner_zone import PartnerZone
from controlplane.yaml_source import dump
from controlplane.zone_service import ServiceError, Stale

STEPS: Final = ("details", "topics", "limits", "review")

_STAND_IN: Final = TopicRow(0, "topic", "topic")
"""For who has not come to the topics yet."""

_log = logging.getLogger("zonegate.console")


class NewZone:
    def __init__(self, desk: Desk, credentials: Credentials) -> None:
        self._desk = desk
        self._credentials = credentials
        self._editor = TopicEditor(desk.service, keeps_one=False)

    def pages(self) -> Sequence[Page]:
        return (Page("GET", "/zones/new", self.show), Page("POST", "/zones/new", self.go_on))

    async def show(self, visit: Visit) -> Response:
        return await self._step(visit, "details", ZoneForm(), {})

    async def go_on(self, visit: Visit) -> Response:
        """Whatever button was pressed."""
        sent, errors = visit.form, Errors()
        form, step = ZoneForm.read(sent), _step(sent.get("step"))
        action, _, argument = sent.get("do").partition(":")
        if action == "enter" and step == "topics":
            action = self._editor.wants_more(sent) or action
        if action in ("add", "type", "remove", "find"):
            topics = await self._editor.act(action, argument, sent, form, errors)
            return await self._step(visit, "topics", form, errors, topics)
        if action == "back":
            return await self._step(visit, STEPS[max(0, STEPS.index(step) - 1)], form, {})
        if action == "to":
            return await self._step(visit, min(step, _step(argument), key=STEPS.index), form, {})
        form.derive_names()
        if step == "review":
            return await self._create(visit, form)
        if errors := await self._wrong(form, step):
            return await self._step(visit, _step_of(errors, step), form, errors)
        return await self._step(visit, STEPS[STEPS.index(step) + 1], form, {})

    async def _wrong(self, form: ZoneForm, step: str) -> Errors:
        """With what was filled in up to this step."""
        trial = replace(form, topics=[_STAND_IN], limits=ZoneForm().limits) if step == "details" else form
        resource, errors = checked(trial, self._desk.service.clusters())
        if resource is not None:
            try:
                await self._desk.service.upsert(resource, dry_run=True, version=0)
            except ServiceError as error:
                errors = _refused(error, form)
        if "name" in errors and not form.texts["displayName"] and not form.texts["name"]:
            errors = {"displayName": "Write a name.", **errors}
            del errors["name"]
        reached = STEPS[: STEPS.index(step) + 1]
        return {name: text for name, text in errors.items() if not name or _step_with(name) in reached}

    async def _create(self, visit: Visit, form: ZoneForm) -> Response:
        resource, errors = checked(form, self._desk.service.clusters())
        if resource is None:
            return await self._step(visit, _step_of(errors, "review"), form, errors)
        name = resource.metadata.name
        try:
            with self._desk.audit.change(visit.peer, visit.caller, Change(CREATE, zone=name)):
                await self._desk.service.upsert(resource, version=0)  # where there is none
        except ServiceError as error:
            errors = _refused(error, form)
            return await self._step(visit, _step_of(errors, "review"), form, errors, status=status_of(error))
        _log.info("a zone was made", extra={"event": "zone_created", "zone": name})
        return await self._answer_created(visit, resource)

    async def _answer_created(self, visit: Visit, resource: PartnerZone) -> Response:
        name = resource.metadata.name
        if resource.mode != "PLAIN":
            return redirect(f"{zone_address(name)}?saved")
        validity = validity_of(_validity(visit.form))
        try:
            return await self._credentials.issue(visit, name, validity, created=True)
        except ServiceError as error:
            text = f"The zone {name} was made, but its password was not; make one on the zone's page.\n{error}"
            return self._desk.problem(visit, status_of(error), text)

    async def _step(
        self,
        visit: Visit,
        step: str,
        form: ZoneForm,
        errors: Errors,
        topics: Topics | None = None,
        status: int | None = None,
    ) -> Response:
        clusters = self._desk.service.clusters()
        if len(clusters) == 1:
            form.texts["cluster"] = form.texts["cluster"] or clusters[0]
        if step == "topics" and topics is None:
            topics = await self._editor.topics(visit.form, form)
        return await self._desk.long_page(
            visit,
            "new-zone.html",
            status or (400 if errors else 200),
            form=form,
            errors=errors,
            step=step,
            done=STEPS[: STEPS.index(step)],
            clusters=clusters,
            topics=topics,
            keeps_one=False,
            yaml=await asyncio.to_thread(dump, form.manifest({}), unicode=True) if step == "review" else "",
            validity=_validity(visit.form),
            validities=VALIDITIES,
            **FORM_VALUES,
        )


def _step(text: str) -> str:
    return text if text in STEPS else STEPS[0]


def _step_with(field: str) -> str:
    """The one that has the field."""
    if field == "topics" or "-" in field:
        return "topics"
    return "limits" if any(field == kind.field for kind in LIMITS) else "details"


def _step_of(errors: Errors, step: str) -> str:
    """Where to say what is wrong: here if anything is wrong here, else at the first step that has something to say."""
    steps = [_step_with(name) if name else step for name in errors]
    return step if step in steps else min(steps, key=STEPS.index)


def _refused(error: ServiceError, form: ZoneForm) -> Errors:
    if isinstance(error, Stale):
        return {"name": f"There is a zone {form.texts['name']} already; choose another technical ID."}
    return refused(error, form)


def _validity(sent: Form) -> str:
    wanted = sent.get("validity")
    return wanted if wanted in VALIDITIES else DEFAULT
