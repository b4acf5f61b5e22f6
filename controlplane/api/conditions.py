"""`If-Match` (RFC 9110, 13.1.1): a request that is about a version of a zone, and not about what somebody else has made
of it since."""

import re
from typing import Final

from controlplane.api.errors import invalid
from controlplane.api.operations import Call, Parameter
from controlplane.zone_service import NotFound, Stale, ZoneService

IF_MATCH: Final = Parameter(
    "If-Match",
    "Only where the zone has this version, or one of these: the ETag of an earlier answer. `*`: only where it exists",
    {"type": "string", "examples": ['"3"']},
    "header",
)

MAX_LENGTH: Final = 1024

_TAG: Final = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS: Final = re.compile(rf"{_TAG}(?:[ \t]*,[ \t]*{_TAG})*")


def etag(version: int) -> str:
    return f'"{version}"'


def wanted_version(call: Call, service: ZoneService, name: str) -> int | None:
    """The version that the zone must still have when the request is carried out; None when any will do. Raises
    HttpProblem or Stale."""
    lines = call.request.headers.getlist("if-match")
    if not lines:
        return None
    text = ", ".join(lines).strip()
    tags = text if text == "*" else _tags(text)
    try:
        current = service.zone(name).version
    except NotFound:
        raise Stale(f"there is no zone {name!r}, and If-Match wants one") from None
    if tags == "*" or etag(current) in tags:
        return current
    raise Stale(f"zone {name!r} has version {current}, and If-Match wants {text}; get it again, and apply your change")


def _tags(text: str) -> list[str]:
    if len(text) > MAX_LENGTH or not _TAGS.fullmatch(text):
        raise invalid('If-Match: write the ETag of an earlier answer, in its quotes, for example "3"; or *')
    return re.findall(_TAG, text)
