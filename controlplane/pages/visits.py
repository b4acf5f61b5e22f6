"""One request for a page: who makes it, and what it brings.

Forms are read here, strictly: a bounded number of fields of bounded size, in UTF-8.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, quote

from starlette.requests import Request

from controlplane.http_requests import HttpProblem, peer, read_body
from controlplane.pages.sessions import Session
from controlplane.zone_service import ApiKeyView

MAX_FORM_BYTES: Final = 2 * 1024 * 1024
"""A zone of some ten thousand topics, with the names of its fields."""

MAX_STRANGERS_FORM_BYTES: Final = 16 * 1024
"""Of somebody who isn't signed in: a key or a password, and where to go on."""

MAX_FIELDS: Final = 50_000


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form, in its order."""

    fields: Sequence[tuple[str, str]] = ()

    def get(self, name: str, default: str = "") -> str:
        """The first of this name, without the space around it."""
        return next((value.strip() for known, value in self.fields if known == name), default)

    def all(self, name: str) -> list[str]:
        return [value.strip() for known, value in self.fields if known == name]

    def has(self, name: str) -> bool:
        return any(known == name for known, _ in self.fields)


@dataclass(frozen=True, slots=True)
class Visit:
    request: Request
    session: Session | None
    form: Form = field(default_factory=Form)
    """What was sent, with POST."""

    @property
    def query(self) -> Form:
        return Form(self.request.query_params.multi_items())

    def path(self, parameter: str) -> str:
        return str(self.request.path_params[parameter])

    @property
    def zone(self) -> str:
        """The name of the zone that the address is about."""
        return self.path("zone").removeprefix(":")

    @property
    def peer(self) -> str:
        return peer(self.request)

    @property
    def caller(self) -> ApiKeyView:
        assert self.session is not None, "pages that change something need a session"
        return self.session.caller

    @property
    def is_secure(self) -> bool:
        """Whether the browser speaks TLS, to us or to a proxy before us. Whoever lies about it harms only himself."""
        return "https" in (self.request.url.scheme, self.request.headers.get("x-forwarded-proto", ""))


def zone_address(name: str) -> str:
    """The path of a zone's page. Zones may have names that mean something else in a path: a colon, which no name has,
    sets them apart."""
    return f"/zones/{':' if name in ('.', '..', 'new') else ''}{name}"


async def read_form(request: Request, limit: int) -> Form:
    """Of so many bytes at most. Raises HttpProblem."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        raise HttpProblem(415, "This page takes forms only")
    body = await read_body(request, limit)
    if body is None:
        raise HttpProblem(413, "The form is too large", msg="Share fewer topics, or use several zones.")
    try:
        fields = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=MAX_FIELDS
        )
    except ValueError:
        raise HttpProblem(400, "The form can't be read") from None
    return Form(fields)


def comes_from_here(request: Request) -> bool:
    """Whether a page of this console sends the form, as far as the browser says. Of those that don't say, the token in
    the form decides."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    return origin is None or origin.partition("://")[2] == request.headers.get("host", "")


def local_path(text: str, default: str = "/zones") -> str:
    """Where to go on after signing in: a path of this console, whatever was asked for."""
    plain = text.startswith("/") and not text.startswith("//") and "\\" not in text and text.isprintable()
    return quote(text, safe="/?&=%-._~+") if plain else default
