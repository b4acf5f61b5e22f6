"""The page of one zone: what it shares, how it is, and what its partner is doing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from controlplane.api.audit import DELETE, Change
from controlplane.api.documents import stored_zone
from controlplane.authentication_modes import NO_PASSWORDS
from controlplane.http_requests import HttpProblem
from controlplane.pages.charts import Chart, bar_chart
from controlplane.pages.desk import Desk, Page, redirect
from controlplane.pages.rendering import byte_text, count_text
from controlplane.pages.visits import Visit
from controlplane.pages.zone_form import in_short
from controlplane.pages.zone_list import labels_of, shown_name
from controlplane.partner_zone import TrafficControlPolicies
from controlplane.yaml_source import dump
from controlplane.zone_activity import Rates, ZoneActivity
from controlplane.zone_service import ZoneView

CONFIRMATION: Final = "DELETE"


@dataclass(frozen=True, slots=True)
class LimitView:
    """One of the zone's limits, beside what passes."""

    name: str
    rate: float
    limit: int | None
    unit: str

    def text(self, value: float) -> str:
        return f"{byte_text(value)}/s" if self.unit == "bytes" else f"{count_text(value)} per minute"


@dataclass(frozen=True, slots=True)
class TrafficView:
    """One chart of the last hour."""

    name: str
    kind: str
    chart: Chart
    unit: str

    def text(self, value: float) -> str:
        return byte_text(value) if self.unit == "bytes" else count_text(value)


class ZonePage:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def pages(self) -> Sequence[Page]:
        return (
            Page("GET", "/zones/{zone}", self.show),
            Page("GET", "/zones/{zone}/delete", self.ask_to_delete),
            Page("POST", "/zones/{zone}/delete", self.delete),
        )

    async def show(self, visit: Visit) -> Response:
        service, name = self._desk.service, visit.zone
        view, activity = service.zone(name), self._desk.activity
        doing = activity.zone(name)
        return self._desk.page(
            visit,
            "zone.html",
            view=view,
            name=name,
            shown=shown_name(view),
            spec=view.resource.spec,
            labels=labels_of(view),
            saved=visit.query.has("saved"),
            conditions=service.conditions(name),
            credentials=service.credentials(name),
            no_passwords=NO_PASSWORDS.get(view.resource.mode, ""),
            mode=view.resource.mode,
            configuration=service.kafka_configuration(name),
            limits=_limits(view.resource.spec.traffic_control_policies, doing.rates),
            traffic=_traffic(doing),
            activity=doing,
            activity_problem=activity.problem,
            manifest=manifest_text(view),
        )

    async def ask_to_delete(self, visit: Visit) -> Response:
        return self._ask(visit)

    def _ask(self, visit: Visit, problem: str = "", status: int = 200) -> Response:
        view = self._desk.service.zone(visit.zone)
        doing = self._desk.activity.zone(visit.zone)
        values = {"name": visit.zone, "shown": shown_name(view), "connections": doing.connections, "problem": problem}
        topics = len({topic.backing_topic for topic in view.resource.spec.topics})
        return self._desk.page(visit, "delete-zone.html", status, **values, version=view.version, topics=topics)

    async def delete(self, visit: Visit) -> Response:
        if visit.form.get("confirmation") != CONFIRMATION:
            return self._ask(visit, f"Type {CONFIRMATION}, in capitals, to delete the zone.", 400)
        version = visit.form.get("version")
        wanted = int(version) if version.isascii() and version.isdigit() and len(version) < 19 else None
        if wanted is None:
            raise HttpProblem(400, "Bad Request", "The form doesn't say which version of the zone it is about.")
        with self._desk.audit.change(visit.peer, visit.caller, Change(DELETE, zone=visit.zone)):
            await self._desk.service.delete(visit.zone, wanted)
        return redirect("/zones")


def manifest_text(view: ZoneView) -> str:
    """The zone as `zonegate apply` takes it, without what an answer adds."""
    stored = stored_zone(view)
    metadata = {name: value for name, value in stored["metadata"].items() if name in ("name", "labels")}
    return dump(in_short({**stored, "metadata": metadata}), unicode=True)


def _limits(policies: TrafficControlPolicies | None, rates: Rates) -> Sequence[LimitView]:
    limits = policies or TrafficControlPolicies()
    return (
        LimitView("Produce rate", rates.produce, limits.max_produce_rate, "bytes"),
        LimitView("Consume rate", rates.consume, limits.max_consume_rate, "bytes"),
        LimitView("Commits of offsets", rates.commit, limits.limit_commit_offset, "commits"),
    )


def _traffic(activity: ZoneActivity) -> Sequence[TrafficView]:
    minutes = activity.minutes
    return (
        TrafficView("Bytes produced", "produced", bar_chart([each.produced_bytes for each in minutes]), "bytes"),
        TrafficView("Bytes consumed", "consumed", bar_chart([each.consumed_bytes for each in minutes]), "bytes"),
        TrafficView("Records produced", "produced", bar_chart([each.produced_records for each in minutes]), "records"),
        TrafficView("Records consumed", "consumed", bar_chart([each.consumed_records for each in minutes]), "records"),
    )
