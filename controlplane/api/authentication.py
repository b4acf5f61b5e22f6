"""Who may call: whoever has an API key. Each may do everything."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import Request

from controlplane.api.audit import ApiAudit
from controlplane.api.errors import TITLES
from controlplane.http_requests import HttpProblem, Turnstile, peer
from controlplane.zone_service import ApiKeyView, ZoneService
from policies.connection_limits import source_of

FAILURE_DELAY_SECONDS = 1.0

GUESSES_AT_ONCE: Final = 8
"""Wrong keys of one address that wait for their refusal: so many guesses a second. Beyond, nothing that comes from
there is looked at. Keys are long and random; what this bounds is the noise."""

REQUESTS_AT_ONCE: Final = 200
"""With a right key; the vendor's client applies 100 at once at most. Each may hold a body of 1 MiB."""

MAX_KEY: Final = 1024
"""Characters; ours are far shorter."""

_log = logging.getLogger("zonegate.api")


class Gate:
    """Lets requests in that bring a key."""

    def __init__(self, service: ZoneService, audit: ApiAudit) -> None:
        self._service = service
        self._audit = audit
        self._guesses = Turnstile(GUESSES_AT_ONCE)
        self._requests = Turnstile(REQUESTS_AT_ONCE)

    @asynccontextmanager
    async def enter(self, request: Request) -> AsyncIterator[ApiKeyView]:
        """For as long as a request is looked at. Raises HttpProblem."""
        key = await self._authenticate(request)
        with self._requests.enter():
            yield key

    async def _authenticate(self, request: Request) -> ApiKeyView:
        given = _bearer(request.headers.getlist("authorization"))
        if given is None:
            raise _unauthorized("no API key; send the header 'Authorization: Bearer <API key>'")
        source = source_of(peer(request))
        self._guesses.check(source)
        if len(given) <= MAX_KEY and given.isascii() and (key := self._service.api_key(given)) is not None:
            return key
        _log.warning("an API key was refused", extra={"event": "api_key_refused", "peer": peer(request)})
        self._audit.refused(peer(request), "wrong_key")
        with self._guesses.enter(source):
            await asyncio.sleep(FAILURE_DELAY_SECONDS)
        raise _unauthorized("the API key is wrong, or was deleted")


def _bearer(headers: list[str]) -> str | None:
    """The key of a bearer authentication (RFC 6750)."""
    if len(headers) != 1:
        return None
    scheme, _, key = headers[0].strip().partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None


def _unauthorized(cause: str) -> HttpProblem:
    return HttpProblem(401, TITLES[401], cause=cause, headers={"www-authenticate": "Bearer"})
