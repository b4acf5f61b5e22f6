"""The console's own scripts, styles and icon. Their addresses carry a hash of what they hold."""

from collections.abc import Sequence
from typing import Final

from starlette.responses import Response

from controlplane.http_requests import HttpProblem
from controlplane.pages.desk import Page
from controlplane.pages.rendering import HEADERS, STATIC
from controlplane.pages.visits import Visit

_TYPES: Final = {"console.css": "text/css", "console.js": "text/javascript", "icon.svg": "image/svg+xml"}

_KEPT: Final = {**HEADERS, "cache-control": "public, max-age=31536000, immutable"}


async def _file(visit: Visit) -> Response:
    name = visit.path("name")
    if name not in _TYPES:
        raise HttpProblem(404, "Not Found", "There is no such file.")
    return Response((STATIC / name).read_bytes(), media_type=_TYPES[name], headers=_KEPT)


def pages() -> Sequence[Page]:
    return (Page("GET", "/static/{name}", _file, needs_session=False),)
