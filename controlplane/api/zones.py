"""The calls about zones."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Final

from fastapi.responses import JSONResponse, Response

from controlplane.api.audit import CREATE, DELETE, UPDATE, ApiAudit, Change
from controlplane.api.bodies import read_json, validated
from controlplane.api.conditions import IF_MATCH, etag, wanted_version
from controlplane.api.documents import EXAMPLE, STORED_EXAMPLE, PartnerZoneApplyResult, StoredPartnerZone, stored_zone
from controlplane.api.errors import NO_ZONE, invalid, no_zone
from controlplane.api.operations import (
    CLI_TAG,
    MAX_SHOWN,
    NO_SUCH_ZONE,
    UNAVAILABLE,
    Answer,
    Body,
    Call,
    Operation,
    Parameter,
)
from controlplane.partner_zone import KIND, PartnerZone
from controlplane.zone_service import NotFound, Upserted, ZoneService, ZoneView

COLLECTION = "/public/console/v2/partner-zone"
ONE = COLLECTION + "/{partner-zone-name}"

DRY_MODE = Parameter(
    "dryMode", "Check everything, and change nothing", {"type": "boolean", "default": False, "examples": [False]}
)

CONFIGURATION = """\
bootstrap.servers=gateway:9094
security.protocol=SASL_PLAINTEXT
sasl.mechanism=PLAIN
sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="johndoe" password="***************";
"""  # noqa: E501 - as clients want it

ZONES_AT_ONCE: Final = 100
"""Of a list that is written: a few milliseconds."""


class Zones:
    """Answers them."""

    def __init__(self, service: ZoneService, audit: ApiAudit) -> None:
        self._service = service
        self._audit = audit

    async def list_all(self, call: Call) -> Response:
        call.query()
        return Response(await _written(self._service.zones()), media_type="application/json")

    async def get(self, call: Call) -> Response:
        call.query()
        view = zone_of(call, self._service)
        return JSONResponse(stored_zone(view), headers={"etag": etag(view.version)})

    async def put(self, call: Call) -> Response:
        dry_run = _flag(call.query(DRY_MODE.name), DRY_MODE.name)
        resource = validated(PartnerZone, await read_json(call.request), KIND)
        name = resource.metadata.name
        change = Change(UPDATE if self._exists(name) else CREATE, zone=name, nothing=dry_run)
        with self._audit.change(call.peer, call.key, change):
            version = wanted_version(call, self._service, name)
            view, upserted = await self._service.upsert(resource, dry_run, version)
            change.nothing |= upserted is Upserted.NOT_CHANGED
        answer: dict[str, Any] = {"resource": stored_zone(view), "upsertResult": upserted.value}
        # a trial has no version that anybody could refer to
        return JSONResponse(answer, headers=None if dry_run else {"etag": etag(view.version)})

    async def delete(self, call: Call) -> Response:
        call.query()
        name = call.path("partner-zone-name")
        try:
            with self._audit.change(call.peer, call.key, Change(DELETE, zone=name)):
                self._service.zone(name)  # that there is none comes before what `If-Match` says of it
                version = wanted_version(call, self._service, name)
                await self._service.delete(name, version)
        except NotFound:
            raise no_zone() from None
        return Response()

    async def kafka_configuration(self, call: Call) -> Response:
        call.query()
        view = zone_of(call, self._service)
        return JSONResponse(self._service.kafka_configuration(view.resource.metadata.name))

    def _exists(self, name: str) -> bool:
        try:
            self._service.zone(name)
        except NotFound:
            return False
        return True


def zone_of(call: Call, service: ZoneService) -> ZoneView:
    """The zone that the path names. Raises HttpProblem."""
    try:
        return service.zone(call.path("partner-zone-name"))
    except NotFound:
        raise no_zone() from None


def _flag(query: dict[str, str], name: str) -> bool:
    text = query.get(name, "false")
    if text not in ("true", "false"):
        raise invalid(f"{name}: {text[:MAX_SHOWN]!r} is not a flag; write true or false")
    return text == "true"


_MISSING: Final = {404: {"title": NO_ZONE}}


def operations(service: ZoneService, audit: ApiAudit) -> Sequence[Operation]:
    zones = Zones(service, audit)
    return (*_reading(zones), *_writing(zones))


def _reading(zones: Zones) -> Sequence[Operation]:
    return (
        Operation(
            "GET",
            COLLECTION,
            "list-partner-zones",
            "List the zones",
            "All zones, by name.",
            CLI_TAG,
            zones.list_all,
            Answer("The zones", list_of=StoredPartnerZone, example=[STORED_EXAMPLE]),
            {},
        ),
        Operation(
            "GET",
            ONE,
            "get-partner-zone",
            "Get a zone",
            "The zone as it is stored, and how it is.",
            CLI_TAG,
            zones.get,
            Answer("The zone", model=StoredPartnerZone, example=STORED_EXAMPLE, etag=True),
            {404: NO_SUCH_ZONE},
            problem_examples=_MISSING,
        ),
        Operation(
            "GET",
            ONE + "/kafka-configuration",
            "get-partner-zone-kafka-configuration",
            "Get the properties of the zone's Kafka clients",
            "As a Java client wants them, with a placeholder for the password.",
            "partner-zone",
            zones.kafka_configuration,
            Answer("The properties, as one text", schema={"type": "string"}, example=CONFIGURATION),
            {404: NO_SUCH_ZONE},
            problem_examples=_MISSING,
        ),
    )


def _writing(zones: Zones) -> Sequence[Operation]:
    return (
        Operation(
            "PUT",
            COLLECTION,
            "create-or-update-partner-zone",
            "Create or update a zone",
            "The zone of this name becomes what the body says; what the body leaves out is unset. `metadata` may "
            "hold what an earlier answer has added (`id`, `updatedAt`, `status`, `failedReason`), which is ignored.",
            CLI_TAG,
            zones.put,
            Answer(
                "The zone, and what was done",
                model=PartnerZoneApplyResult,
                example={"resource": STORED_EXAMPLE, "upsertResult": "Created"},
                etag=True,
            ),
            {
                409: "Another zone has the service account, or zones can't be changed here",
                412: "The zone is not the version that `If-Match` wants",
                413: "The body has more than 1 MiB",
                415: "The body is not JSON",
                503: UNAVAILABLE,
            },
            parameters=(DRY_MODE, IF_MATCH),
            body=Body(PartnerZone, EXAMPLE),
            problem_examples={
                400: {
                    "title": "The request is not valid",
                    "cause": "spec.topics[0].permission: 'ALL' is not known here; use one of READ, WRITE",
                }
            },
        ),
        Operation(
            "DELETE",
            ONE,
            "delete-partner-zone",
            "Delete a zone",
            "With its credentials. Sessions of its clients end within a second.",
            CLI_TAG,
            zones.delete,
            Answer("It is deleted; the body is empty"),
            {
                404: NO_SUCH_ZONE,
                409: "Zones can't be changed here",
                412: "The zone is not the version that `If-Match` wants",
                503: UNAVAILABLE,
            },
            parameters=(IF_MATCH,),
            problem_examples=_MISSING,
        ),
    )


async def _written(zones: Iterable[ZoneView]) -> str:
    """As JSON. Others have their turns meanwhile: ten thousand zones take half a second."""
    texts: list[str] = []
    rest = iter(zones)
    while turn := list(islice(rest, ZONES_AT_ONCE)):
        texts += (json.dumps(stored_zone(view), ensure_ascii=False, separators=(",", ":")) for view in turn)
        await asyncio.sleep(0)
    return f"[{','.join(texts)}]"
