"""Signing in, with an API key or as the admin of the settings, and signing out."""

import asyncio
import hmac
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from starlette.responses import Response

from controlplane.http_requests import HttpProblem, Turnstile
from controlplane.pages.desk import Desk, Page, redirect
from controlplane.pages.sessions import COOKIE, Session
from controlplane.pages.visits import Visit, local_path
from policies.connection_limits import source_of

FAILURE_DELAY_SECONDS = 1.0

GUESSES_AT_ONCE: Final = 8
"""Wrong ones of an address that wait for their refusal. Beyond, nothing that comes from there is looked at."""

MAX_SECRET: Final = 1024

_log = logging.getLogger("zonegate.console")


@dataclass(frozen=True, slots=True)
class Admin:
    """Of the settings' section `console.admin`."""

    username: str
    password: str = field(repr=False)


class SignIn:
    def __init__(self, desk: Desk, admin: Admin | None) -> None:
        self._desk = desk
        self._admin = admin
        self._guesses = Turnstile(GUESSES_AT_ONCE)

    def pages(self) -> Sequence[Page]:
        return (
            Page("GET", "/sign-in", self.show, needs_session=False),
            Page("POST", "/sign-in", self.sign_in, needs_session=False),
            Page("POST", "/sign-out", self.sign_out),
        )

    async def show(self, visit: Visit) -> Response:
        if visit.session is not None:
            return redirect(local_path(visit.query.get("next")))
        return self._form(visit, visit.query.get("next"))

    def _form(self, visit: Visit, wanted: str, problem: str = "", status: int = 200) -> Response:
        values = {"wanted": wanted, "problem": problem, "has_admin": self._admin is not None}
        username = visit.form.get("username") if problem else ""
        by = visit.form.get("by") if problem else "key"
        return self._desk.page(visit, "sign-in.html", status, **values, username=username, by=by)

    async def sign_in(self, visit: Visit) -> Response:
        wanted, source = visit.form.get("next"), source_of(visit.peer)
        try:
            self._guesses.check(source)
        except HttpProblem:
            return self._form(visit, wanted, "Too many wrong ones came from your address; try again in a moment.", 429)
        as_admin = visit.form.get("by") == "admin" and self._admin is not None
        session = self._as_admin(visit) if as_admin else self._with_key(visit)
        if session is None:
            _log.warning("a sign-in failed", extra={"event": "console_sign_in_failed", "peer": visit.peer})
            self._desk.audit.refused(visit.peer, "wrong_login" if as_admin else "wrong_key")
            with self._guesses.enter(source):
                await asyncio.sleep(FAILURE_DELAY_SECONDS)
            problem = "The user name or the password is wrong." if as_admin else "The API key is wrong, or was deleted."
            return self._form(visit, wanted, problem, 401)
        response = redirect(local_path(wanted))
        self._desk.audit.session("sign_in", visit.peer, session.caller)
        self._desk.set_cookie(response, visit, session)
        return response

    def _with_key(self, visit: Visit) -> Session | None:
        given = visit.form.get("key")
        if not 0 < len(given) <= MAX_SECRET or not given.isascii():
            return None
        key = self._desk.service.api_key(given)
        return self._desk.sessions.begin(key.id, key.name) if key is not None else None

    def _as_admin(self, visit: Visit) -> Session | None:
        assert self._admin is not None, "asked before"
        pairs = (
            (visit.form.get("username"), self._admin.username),
            (visit.form.get("password"), self._admin.password),
        )
        right = [hmac.compare_digest(given[:MAX_SECRET].encode(), known.encode()) for given, known in pairs]
        return self._desk.sessions.begin("", self._admin.username) if all(right) else None

    async def sign_out(self, visit: Visit) -> Response:
        assert visit.session is not None, "the page needs one"
        self._desk.sessions.end(visit.session)
        self._desk.audit.session("sign_out", visit.peer, visit.caller)
        response = redirect("/sign-in")
        response.delete_cookie(COOKIE, httponly=True, samesite="lax", secure=visit.is_secure)
        return response
