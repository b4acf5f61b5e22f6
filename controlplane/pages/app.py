"""The console's pages: an application that shows a `ZoneService` and what zones' partners are doing to people.

Pages are made here, with a little JavaScript on top, and ask nothing of any other host. Whoever signs in is an
administrator, and may do everything.
"""

from collections.abc import Awaitable, Callable, Sequence
from time import time
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from controlplane.api.audit import ApiAudit, AuditLog
from controlplane.pages import static_files
from controlplane.pages.credentials import Credentials
from controlplane.pages.desk import Desk, Page, endpoint, redirect
from controlplane.pages.edit_zone import EditZone
from controlplane.pages.gateways import Gateways
from controlplane.pages.new_zone import NewZone
from controlplane.pages.rendering import Renderer
from controlplane.pages.sessions import Sessions, session_secret
from controlplane.pages.sign_in import Admin, SignIn
from controlplane.pages.visits import Visit
from controlplane.pages.zone_list import ZoneList
from controlplane.pages.zone_page import ZonePage
from controlplane.zone_activity import Activity
from controlplane.zone_service import ZoneService

API_PATHS: Final = ("/api/", "/public/", "/token/", "/health/", "/versions")
"""Those of the REST API. All others are pages."""


def create_pages(
    service: ZoneService,
    activity: Activity,
    audit: AuditLog,
    api_key: str,
    admin: Admin | None = None,
    clock: Callable[[], float] = time,
) -> Starlette:
    """`api_key` is the one to begin with; `admin` may sign in besides. `clock` gives Unix seconds."""
    login = (admin.username, admin.password) if admin is not None else ()
    secret = session_secret(api_key, *login)
    desk = Desk(service, activity, ApiAudit(audit), Sessions(secret, clock), Renderer(clock))
    credentials = Credentials(desk)
    pages: Sequence[Page] = (
        Page("GET", "/", _home),
        *SignIn(desk, admin).pages(),
        *ZoneList(desk).pages(),
        *NewZone(desk, credentials).pages(),
        *EditZone(desk).pages(),
        *credentials.pages(),
        *ZonePage(desk).pages(),
        *Gateways(desk).pages(),
        *static_files.pages(),
    )
    routes = [Route(page.path, endpoint(page, desk), methods=[page.method]) for page in pages]
    return Starlette(routes=routes, exception_handlers={HTTPException: _refusal(desk)})


async def _home(_visit: Visit) -> Response:
    return redirect("/zones")


def _refusal(desk: Desk) -> Callable[[Request, Exception], Awaitable[Response]]:
    """To what the router itself refuses."""
    texts = {404: "No page has this address.", 405: "The page is there, but not for this method."}

    async def answer(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)

        async def refuse(visit: Visit) -> Response:
            return desk.problem(visit, error.status_code, texts.get(error.status_code, str(error.detail)))

        return await endpoint(Page("GET", "", refuse, needs_session=False), desk)(request)

    return answer


class Site:
    """The REST API and the pages at one address."""

    def __init__(self, api: ASGIApp, pages: ASGIApp) -> None:
        self._api = api
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_api = scope["type"] == "http" and scope["path"].startswith(API_PATHS)
        await (self._api if is_api else self._pages)(scope, receive, send)
