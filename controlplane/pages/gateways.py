"""The page of the gateways: which there are, what they serve, and how much passes through them."""

from collections.abc import Sequence

from starlette.responses import Response

from controlplane.pages.desk import Desk, Page
from controlplane.pages.visits import Visit


class Gateways:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def pages(self) -> Sequence[Page]:
        return (Page("GET", "/gateways", self.show),)

    async def show(self, visit: Visit) -> Response:
        activity = self._desk.activity
        rows = [(each, activity.gateway(each.gateway, each.worker)) for each in self._desk.service.gateways()]
        return self._desk.page(visit, "gateways.html", rows=rows, activity_problem=activity.problem)
