"""The routes that issue tokens for the access to the cluster itself. They exist only where that is configured."""

import asyncio
import base64
import binascii
import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import time
from typing import Any, Protocol

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from controlplane.http_requests import HttpProblem, Turnstile, peer, read_body
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
EXAMPLE = '{"lifeTimeSeconds": 3600}'
EXAMPLE_BY_BODY = '{"username": "admin", "lifeTimeSeconds": 3600}'

_log = logging.getLogger("zonegate.admin")


class TokenIssuer(Protocol):
    """What the routes ask of the gateway."""

    @property
    def ready(self) -> bool: ...

    def is_admin(self, username: str, password: str) -> bool: ...

    def issue(self, lifetime_seconds: int, now: float) -> IssuedToken: ...


class TokenAudit(Protocol):
    """What the routes tell the audit log."""

    def token_issued(self, user: str, address: str, token_id: str, expires: float) -> None: ...

    def token_refused(self, address: str, reason: str) -> None: ...


class AdminDesk:
    """Knows the admin of `passthrough` by name and password. Looks at a bounded number of requests at once."""

    def __init__(self, tokens: TokenIssuer, audit: TokenAudit) -> None:
        self._tokens = tokens
        self._audit = audit
        # not even a right password is looked at beyond, or this would be a way to guess faster
        self._turnstile = Turnstile(MAX_AT_ONCE)

    @contextmanager
    def enter(self) -> Iterator[None]:
        """For as long as a request is looked at. Raises HttpProblem."""
        with self._turnstile.enter():
            yield

    async def authenticate(self, request: Request) -> str:
        """The admin's name. Raises HttpProblem, a while after a wrong password."""
        given = _basic_login(request.headers.get("authorization", ""))
        if given is not None and self._tokens.is_admin(*given):
            return given[0]
        if given is not None:
            _log.warning("an admin login failed", extra={"event": "admin_login_failed", "peer": peer(request)})
            self._audit.token_refused(peer(request), "wrong_login")
            await asyncio.sleep(FAILURE_DELAY_SECONDS)
        raise HttpProblem(
            401,
            "Unauthorized",
            "Log in with the user name and password of the setting passthrough.",
            "wrong user name or password" if given is not None else "no user name and password",
            {"www-authenticate": 'Basic realm="zonegate"'},
        )


def create_router(tokens: TokenIssuer, audit: TokenAudit, desk: AdminDesk) -> APIRouter:
    """The routes for a gateway that has these tokens."""
    router = APIRouter()
    window = _Window(tokens, audit, desk)

    @router.post("/admin/vclusters/v1/vcluster/{vcluster}/username/{username}", status_code=201)
    async def issue(vcluster: str, username: str, request: Request) -> JSONResponse:
        try:
            return await window.serve(request, vcluster, username)
        except HttpProblem as problem:
            return problem.answer

    @router.post("/gateway/v2/token")
    async def issue_by_body(request: Request) -> JSONResponse:
        try:
            return await window.serve_by_body(request)
        except HttpProblem as problem:
            return problem.answer

    return router


class _Window:
    """Where tokens are handed out."""

    def __init__(self, tokens: TokenIssuer, audit: TokenAudit, desk: AdminDesk) -> None:
        self._tokens = tokens
        self._audit = audit
        self._desk = desk

    async def serve(self, request: Request, vcluster: str, username: str) -> JSONResponse:
        """The older call, which names its user in the path."""
        self._check_ready()
        with self._desk.enter():
            admin = await self._desk.authenticate(request)
            _check_user(admin, vcluster, username)
            fields = _fields(await _read(request), (FIELD,), EXAMPLE)
            return self._issue(request, admin, _lifetime(fields), 201)

    async def serve_by_body(self, request: Request) -> JSONResponse:
        """The newer call, all in its body."""
        self._check_ready()
        with self._desk.enter():
            admin = await self._desk.authenticate(request)
            fields = _fields(await _read(request), ("vCluster", "username", FIELD), EXAMPLE_BY_BODY)
            for name in ("username", FIELD):
                if name not in fields:
                    raise _bad_request(f"{name} is missing; send {EXAMPLE_BY_BODY}.", name)
            _check_user(admin, _text(fields, "vCluster", PASSTHROUGH), _text(fields, "username"))
            return self._issue(request, admin, _lifetime(fields), 200)

    def _check_ready(self) -> None:
        if not self._tokens.ready:
            raise HttpProblem(503, "Service Unavailable", "The gateway is starting.", "not ready", {"retry-after": "1"})

    def _issue(self, request: Request, admin: str, lifetime: int, status: int) -> JSONResponse:
        issued = self._tokens.issue(lifetime, time())
        extra = {"event": "passthrough_issued", "user": admin, "id": issued.id, "expires": issued.expires}
        _log.info("a token for the cluster itself was issued", extra=extra)
        self._audit.token_issued(admin, peer(request), issued.id, issued.expires)
        return JSONResponse({"token": issued.token}, status, {"cache-control": "no-store"})


def _check_user(admin: str, vcluster: str, username: str) -> None:
    if vcluster != PASSTHROUGH:
        raise HttpProblem(404, "Not Found", f"The only virtual cluster here is {PASSTHROUGH}.", "unknown vcluster")
    if username != admin:
        raise HttpProblem(404, "Not Found", f"The only user of {PASSTHROUGH} is its admin.", "unknown username")


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


async def _read(request: Request) -> bytes:
    body = await read_body(request, MAX_BODY_BYTES)
    if body is None:
        raise _bad_request(f"The body has more than {MAX_BODY_BYTES} bytes.", "body")
    return body


def _fields(body: bytes, known: Iterable[str], example: str) -> dict[str, Any]:
    """What a body says, with no other fields than these."""
    try:
        fields = json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError):
        raise _bad_request(f"The body is not JSON; send {example}.", "body") from None
    if not isinstance(fields, dict):
        raise _bad_request(f"The body is no object; send {example}.", "body")
    names = tuple(known)
    for name in fields:
        if name not in names:
            only = f"the only field is {names[0]}" if len(names) == 1 else f"known here: {', '.join(names)}"
            raise _bad_request(f"Unknown field {name[:100]!r}; {only}.", name[:100])
    return fields


def _text(fields: dict[str, Any], name: str, default: str | None = None) -> str:
    text = fields.get(name, default)
    if not isinstance(text, str):
        raise _bad_request(f"{name} must be text.", name)
    return text


def _lifetime(fields: dict[str, Any]) -> int:
    """The lifetime that is asked for."""
    lifetime = fields.get(FIELD, DEFAULT_LIFETIME_SECONDS)
    if type(lifetime) is not int or not 1 <= lifetime <= MAX_LIFETIME_SECONDS:
        raise _bad_request(f"{FIELD} must be a whole number from 1 to {MAX_LIFETIME_SECONDS}.", FIELD)
    return lifetime


def _bad_request(msg: str, cause: str) -> HttpProblem:
    return HttpProblem(400, "Bad Request", msg, cause)
