"""The route that issues tokens for the access to the cluster itself. It exists only where that is configured."""

import asyncio
import base64
import binascii
import json
import logging
from time import time
from typing import Protocol

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from policies.names import PASSTHROUGH
from proxy.mechanisms.passthrough import IssuedToken

DEFAULT_LIFETIME_SECONDS = 3600
"""Long enough for a tool that is run by hand."""

MAX_LIFETIME_SECONDS = 90 * 24 * 3600
"""A token can't be taken back by itself, so the longest is what the product's example asks for."""

FAILURE_DELAY_SECONDS = 1.0
MAX_AT_ONCE = 8
"""Requests that are being looked at, those that wait for their refusal included: at most so many guesses a second."""

MAX_BODY_BYTES = 4096

FIELD = "lifeTimeSeconds"

_log = logging.getLogger("zonegate.admin")


class TokenIssuer(Protocol):
    """What the route asks of the gateway."""

    @property
    def ready(self) -> bool: ...

    def is_admin(self, username: str, password: str) -> bool: ...

    def issue(self, lifetime_seconds: int, now: float) -> IssuedToken: ...


class TokenAudit(Protocol):
    """What the route tells the audit log."""

    def token_issued(self, user: str, address: str, token_id: str, expires: float) -> None: ...

    def token_refused(self, address: str, reason: str) -> None: ...


class _Problem(Exception):
    """A request that gets no token: the answer, as the API gives all its errors."""

    def __init__(self, status: int, title: str, msg: str, cause: str, **headers: str) -> None:
        super().__init__(title)
        self.answer = JSONResponse({"title": title, "msg": msg, "cause": cause}, status, headers)


def create_router(tokens: TokenIssuer, audit: TokenAudit) -> APIRouter:
    """The routes for a gateway that has these tokens."""
    router = APIRouter()
    desk = _Desk(tokens, audit)

    @router.post("/admin/vclusters/v1/vcluster/{vcluster}/username/{username}", status_code=201)
    async def issue(vcluster: str, username: str, request: Request) -> JSONResponse:
        try:
            return await desk.serve(vcluster, username, request)
        except _Problem as problem:
            return problem.answer

    return router


class _Desk:
    """Looks at a bounded number of requests at once."""

    def __init__(self, tokens: TokenIssuer, audit: TokenAudit) -> None:
        self._tokens = tokens
        self._audit = audit
        self._present = 0

    async def serve(self, vcluster: str, username: str, request: Request) -> JSONResponse:
        if not self._tokens.ready:
            raise _Problem(503, "Service Unavailable", "The gateway is starting.", "not ready", **{"retry-after": "1"})
        if self._present >= MAX_AT_ONCE:
            # not even a right password is looked at, or this would be a way to guess faster
            raise _Problem(
                429, "Too Many Requests", "Try again in a moment.", "too many at once", **{"retry-after": "1"}
            )
        self._present += 1
        try:
            admin = await self._authenticate(request)
            return await self._issue(admin, vcluster, username, request)
        finally:
            self._present -= 1

    async def _authenticate(self, request: Request) -> str:
        given = _basic_login(request.headers.get("authorization", ""))
        if given is not None and self._tokens.is_admin(*given):
            return given[0]
        if given is not None:
            _log.warning("an admin login failed", extra={"event": "admin_login_failed", "peer": _peer(request)})
            self._audit.token_refused(_peer(request), "wrong_login")
            await asyncio.sleep(FAILURE_DELAY_SECONDS)
        raise _Problem(
            401,
            "Unauthorized",
            "Log in with the user name and password of the setting passthrough.",
            "wrong user name or password" if given is not None else "no user name and password",
            **{"www-authenticate": 'Basic realm="zonegate"'},
        )

    async def _issue(self, admin: str, vcluster: str, username: str, request: Request) -> JSONResponse:
        if vcluster != PASSTHROUGH:
            raise _Problem(404, "Not Found", f"The only virtual cluster here is {PASSTHROUGH}.", "unknown vcluster")
        if username != admin:
            raise _Problem(404, "Not Found", f"The only user of {PASSTHROUGH} is its admin.", "unknown username")
        issued = self._tokens.issue(_lifetime(await _read_body(request)), time())
        extra = {"event": "passthrough_issued", "user": admin, "id": issued.id, "expires": issued.expires}
        _log.info("a token for the cluster itself was issued", extra=extra)
        self._audit.token_issued(admin, _peer(request), issued.id, issued.expires)
        return JSONResponse({"token": issued.token}, 201, {"cache-control": "no-store"})


def _peer(request: Request) -> str:
    return request.client.host if request.client is not None else ""


def _basic_login(header: str) -> tuple[str, str] | None:
    """User name and password of a basic authentication (RFC 7617)."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return (name, password) if colon else None


async def _read_body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise _bad_request(f"The body has more than {MAX_BODY_BYTES} bytes.", "body")
    return body


def _lifetime(body: bytes) -> int:
    """The lifetime that a body asks for."""
    try:
        fields = json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError):
        raise _bad_request('The body is not JSON; send {"lifeTimeSeconds": 3600}.', "body") from None
    if not isinstance(fields, dict):
        raise _bad_request('The body is no object; send {"lifeTimeSeconds": 3600}.', "body")
    for name in fields:
        if name != FIELD:
            raise _bad_request(f"Unknown field {name[:100]!r}; the only field is {FIELD}.", name[:100])
    lifetime = fields.get(FIELD, DEFAULT_LIFETIME_SECONDS)
    if type(lifetime) is not int or not 1 <= lifetime <= MAX_LIFETIME_SECONDS:
        raise _bad_request(f"{FIELD} must be a whole number from 1 to {MAX_LIFETIME_SECONDS}.", FIELD)
    return lifetime


def _bad_request(msg: str, cause: str) -> _Problem:
    return _Problem(400, "Bad Request", msg, cause)
