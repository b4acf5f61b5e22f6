"""What callers send: JSON, read strictly, since a field that is read otherwise than it was meant is a leak."""

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, NoReturn, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from controlplane.api.errors import invalid
from controlplane.api.operations import MAX_SHOWN
from controlplane.http_requests import HttpProblem, read_body
from controlplane.model_errors import violations
from controlplane.problems import field_name

MAX_BODY_BYTES: Final = 1024 * 1024
"""A zone of some ten thousand topics; a record of the state topic is no larger by default."""

MAX_NOTHING: Final = 16
"""Bytes: `null`, with space around it."""

MAX_DEPTH: Final = 32
"""A zone has five levels."""

MAX_TOLD: Final = 100
"""Of the mistakes of one body. Each is looked up in the model, and the event loop is not ours alone."""

MEDIA_TYPES: Final = ("application/json", "text/plain", "")
"""The vendor's client calls its JSON text/plain."""

M = TypeVar("M", bound=BaseModel)


async def read_json(request: Request) -> object:
    """The body's value. Raises HttpProblem."""
    _check_headers(request)
    body = await read_body(request, MAX_BODY_BYTES)
    if body is None:
        raise HttpProblem(413, "The request is too large", cause=f"the body has more than {MAX_BODY_BYTES} bytes")
    return parse(body)


async def refuse_body(request: Request) -> None:
    """For calls that take none: whoever sends one expects something of it. Raises HttpProblem.

    The vendor's client sends `null`, which says nothing, either.
    """
    body = await read_body(request, MAX_NOTHING)
    if body is None or body.strip() not in (b"", b"null"):
        raise invalid("this call takes no body; send none")


def parse(body: bytes) -> object:
    """JSON (RFC 8259) in UTF-8. Unlike Python's own reader it refuses names that are there twice, NaN, halves of
    surrogate pairs, and what is nested deeper than anything here. Raises HttpProblem."""
    try:
        text = body.decode()
        data = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        raise invalid("the body is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise invalid(
            f"the body is not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
            if body.strip()
            else "the body is empty; send JSON"
        ) from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        raise invalid("the body is not JSON: a number has too many digits") from None
    _check_values(data)
    return data


def validated(model: type[M], data: object, what: str) -> M:
    """The model of a body's value; `what` is its name in the complaint about anything but an object. Raises
    HttpProblem, with all that is wrong, each under the field's name."""
    if not isinstance(data, dict):
        raise invalid(f"the body is no {what}; send an object with {', '.join(model.model_json_schema()['required'])}")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise invalid("\n".join(_told(error, model))) from None


def _told(error: ValidationError, model: type[BaseModel]) -> Iterator[str]:
    for path, message in islice(violations(error, model), MAX_TOLD):
        name = field_name(path)
        yield f"{name}: {message}" if name else message
    if (rest := error.error_count() - MAX_TOLD) > 0:
        yield f"and {rest} more"


def _check_headers(request: Request) -> None:
    media_type, _, parameters = request.headers.get("content-type", "").lower().partition(";")
    charset = parameters.replace(" ", "").replace('"', "")
    if media_type.strip() not in MEDIA_TYPES or charset not in ("", "charset=utf-8"):
        raise HttpProblem(415, "The media type is not known here", cause="send JSON, as application/json in UTF-8")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HttpProblem(415, "The content encoding is not known here", cause="send the body as it is")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise invalid(f"the body is ambiguous: {name[:MAX_SHOWN]!r} is in one object twice")
        members[name] = value
    return members


def _refuse_constant(constant: str) -> NoReturn:
    raise invalid(f"the body is not JSON: {constant} is not a number of it")


def _check_values(data: object) -> None:
    """What the reader lets through, and neither storage nor an answer in UTF-8 could hold."""
    level = [data]
    for _ in range(MAX_DEPTH):
        below: list[object] = []
        for value in level:
            if isinstance(value, dict):
                below += value.keys()
                below += value.values()
            elif isinstance(value, list):
                below += value
            elif isinstance(value, str) and not value.isascii():
                _check_text(value)
        level = below
        if not level:
            return
    raise _too_deep()


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise invalid("the body holds half of a surrogate pair, which is no character") from None


def _too_deep() -> HttpProblem:
    return invalid(f"the body is nested deeper than {MAX_DEPTH} levels")
