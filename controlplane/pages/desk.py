"""What every page of the console is served through: sessions, protection against forged forms, and what is answered
when something can't be done."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response

from controlplane.api.audit import ApiAudit
from controlplane.api.errors import status_of
from controlplane.http_requests import HttpProblem
from controlplane.pages.rendering import Renderer
from controlplane.pages.sessions import COOKIE, LONGEST_SECONDS, Session, Sessions
from controlplane.pages.visits import MAX_FORM_BYTES, MAX_STRANGERS_FORM_BYTES, Visit, comes_from_here, read_form
from controlplane.zone_activity import Activity
from controlplane.zone_service import ServiceError, Unavailable, ZoneService

_log = logging.getLogger("zonegate.console")

CSRF: Final = "csrf"
"""The field of a form that proves where it comes from."""

_HEADLINES: Final = {
    400: "This can't be read",
    403: "This form did not come from here",
    404: "There is nothing here",
    405: "This can't be done here",
    409: "This can't be done",
    412: "Somebody else was faster",
    413: "This is too large",
    429: "Too many at once",
    503: "The desired state is out of reach",
}


@dataclass(frozen=True, slots=True)
class Desk:
    """What pages are made from."""

    service: ZoneService
    activity: Activity
    audit: ApiAudit
    sessions: Sessions
    renderer: Renderer

    def page(self, visit: Visit, template: str, status: int = 200, **values: object) -> Response:
        """`values` besides what every page has."""
        return self.renderer.page(template, self._common(visit) | values, status)

    async def long_page(self, visit: Visit, template: str, status: int = 200, **values: object) -> Response:
        """One that takes a tenth of a second to write, as it may have a thousand rows: in a thread, so that others
        have their turns meanwhile."""
        return await asyncio.to_thread(self.renderer.page, template, self._common(visit) | values, status)

    def _common(self, visit: Visit) -> dict[str, object]:
        """What every page has."""
        session = visit.session
        return {
            "session": session,
            "csrf": self.sessions.csrf_token(session) if session is not None else "",
            "path": visit.request.url.path,
            "state": self.service.state(),
        }

    def problem(self, visit: Visit, status: int, text: str) -> Response:
        """A page that says what can't be done, and why."""
        headline = _HEADLINES.get(status, "Something went wrong")
        return self.page(visit, "problem.html", status, headline=headline, text=text[:1].upper() + text[1:])

    def set_cookie(self, response: Response, visit: Visit, session: Session) -> None:
        response.set_cookie(
            COOKIE,
            self.sessions.cookie(session),
            max_age=int(LONGEST_SECONDS),
            httponly=True,
            samesite="lax",
            secure=visit.is_secure,
        )


Handler = Callable[[Visit], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Page:
    """What answers a path and a method."""

    method: str
    path: str
    handler: Handler
    needs_session: bool = True


def endpoint(page: Page, desk: Desk) -> Callable[[Request], Awaitable[Response]]:
    """The page as the router wants it: whatever happens, there is an answer that says so."""

    async def answer(request: Request) -> Response:
        visit = Visit(request, None)
        try:
            visit = Visit(request, _session(request, desk, page.needs_session))
            response = await _answer(page, desk, visit)
        except ServiceError as error:
            response = desk.problem(visit, status_of(error), str(error))
        except HttpProblem as error:
            response = desk.problem(visit, error.status, error.cause or error.msg or error.title)
        except ClientDisconnect:
            return Response()  # nobody is there to be told
        except Exception as error:  # noqa: BLE001 - it is logged, and its caller gets an answer
            _log.error("a page failed", exc_info=error, extra={"event": "page_error", "path": request.url.path})
            response = desk.problem(visit, 500, "A mistake of the console's own; its log has the reason.")
        _renew(response, desk, visit)
        return response

    return answer


async def _answer(page: Page, desk: Desk, visit: Visit) -> Response:
    if page.needs_session and visit.session is None:
        return _to_sign_in(visit)
    if page.method != "POST":
        return await page.handler(visit)
    if not comes_from_here(visit.request):
        raise HttpProblem(403, "Forbidden", "Open the page again, and send the form from there.")
    session = visit.session
    form = await read_form(visit.request, MAX_FORM_BYTES if session is not None else MAX_STRANGERS_FORM_BYTES)
    if page.needs_session and session is not None and not desk.sessions.is_csrf_token(session, form.get(CSRF)):
        raise HttpProblem(403, "Forbidden", "Open the page again, and send the form from there.")
    return await page.handler(Visit(visit.request, session, form))


def _session(request: Request, desk: Desk, is_needed: bool) -> Session | None:
    """Of whoever is signed in, with a key that is still there. Raises Unavailable where it is needed and not known."""
    session = desk.sessions.read(request.cookies.get(COOKIE, ""))
    if session is None or session.key_id in ("", BOOTSTRAP_KEY):
        return session
    try:
        known = any(key.id == session.key_id for key in desk.service.api_keys())
    except Unavailable:
        if is_needed:
            raise
        return None
    return session if known else None


def _to_sign_in(visit: Visit) -> Response:
    url = visit.request.url
    if visit.request.method != "GET":
        return RedirectResponse("/sign-in", 303)
    wanted = url.path + (f"?{url.query}" if url.query else "")
    return RedirectResponse(f"/sign-in?next={quote(wanted, safe='')}", 303)


def _renew(response: Response, desk: Desk, visit: Visit) -> None:
    if visit.session is None or "set-cookie" in response.headers:
        return
    if (renewed := desk.sessions.renewed(visit.session)) is not None:
        desk.set_cookie(response, visit, renewed)


BOOTSTRAP_KEY: Final = "bootstrap"
"""The settings' own key, which is in no list; another one makes another secret, and so ends its sessions."""


def redirect(path: str) -> Response:
    """To be read with GET."""
    return RedirectResponse(path, 303)
