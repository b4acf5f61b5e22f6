"""The calls about zonegate itself: its gateways, and this process."""

import importlib.metadata
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from fastapi.responses import JSONResponse, Response

from controlplane.api.documents import Gateway, Gateways, Health, State, Versions
from controlplane.api.errors import TITLES
from controlplane.api.operations import Answer, Call, Operation
from controlplane.http_requests import HttpProblem
from controlplane.zone_service import ZoneService

TAG: Final = "monitoring"


def version() -> str:
    return importlib.metadata.version("zonegate")


class Monitoring:
    """Answers them."""

    def __init__(self, service: ZoneService) -> None:
        self._service = service

    async def gateways(self, call: Call) -> Response:
        call.query()
        gateways = [Gateway.model_validate(asdict(view)) for view in self._service.gateways()]
        state = State.model_validate(asdict(self._service.state()))
        return JSONResponse(Gateways(state=state, gateways=gateways).json_value())

    async def live(self, _call: Call) -> Response:
        return JSONResponse(Health(status="LIVE").json_value())

    async def ready(self, _call: Call) -> Response:
        if problem := self._service.state().problem:
            raise HttpProblem(503, TITLES[503], "NOT_READY", problem, {"retry-after": "1"})
        return JSONResponse(Health(status="READY").json_value())

    async def versions(self, _call: Call) -> Response:
        return JSONResponse(Versions(zonegate=version()).json_value())


def operations(service: ZoneService) -> Sequence[Operation]:
    monitoring = Monitoring(service)
    return (
        Operation(
            "GET",
            "/public/zonegate/v1/gateways",
            "list-gateways",
            "List the gateways",
            "Every gateway process that has lately told of itself, and where the desired state is kept.",
            TAG,
            monitoring.gateways,
            Answer("The gateways", model=Gateways),
            {},
        ),
        Operation(
            "GET",
            "/health/live",
            "live",
            "Whether the process runs",
            "It does, when it answers.",
            TAG,
            monitoring.live,
            Answer("It does", model=Health, example={"status": "LIVE"}),
            {},
            needs_key=False,
        ),
        Operation(
            "GET",
            "/health/ready",
            "ready",
            "Whether the desired state is within reach",
            "Zones are answered from memory when it is not, and can't be changed.",
            TAG,
            monitoring.ready,
            Answer("It is", model=Health, example={"status": "READY"}),
            {503: "It is not; `cause` says why"},
            needs_key=False,
        ),
        Operation(
            "GET",
            "/versions",
            "versions",
            "Which version this is",
            "Of zonegate.",
            TAG,
            monitoring.versions,
            Answer("The version", model=Versions),
            {},
            needs_key=False,
        ),
    )
