"""How this API says no: always `{title, msg?, cause?}`, in JSON.

The vendor's client shows `cause`, else `msg`, else `title`: so `cause` has the whole reason.
"""

import logging
from typing import Final

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from controlplane.http_requests import HttpProblem
from controlplane.zone_service import Conflict, InvalidRequest, NotFound, ServiceError, Stale, Unavailable

TITLES: Final = {
    400: "The request is not valid",
    401: "The user is not authenticated",
    404: "The searched entity was not found",
    405: "This path does not know the method",
    409: "The request does not match one of the business rules",
    412: "The resource is not the one that the request is about any more",
    413: "The request is too large",
    415: "The media type is not known here",
    429: "Too Many Requests",
    500: "An unexpected error occurred in the server",
    503: "The desired state is out of reach",
}
"""The vendor's words, where its document has some."""

NO_ZONE: Final = "No partner-zone with this technical id exists"

RETRY_SECONDS: Final = 5
"""When brokers elect a new leader, the state topic is back by then."""

_STATUSES: Final[dict[type[ServiceError], int]] = {
    InvalidRequest: 400,
    NotFound: 404,
    Conflict: 409,
    Stale: 412,
    Unavailable: 503,
}

_log = logging.getLogger("zonegate.api")


def invalid(cause: str) -> HttpProblem:
    return HttpProblem(400, TITLES[400], cause=cause)


def no_zone() -> HttpProblem:
    return HttpProblem(404, NO_ZONE)


def status_of(error: ServiceError) -> int:
    return next((status for kind, status in _STATUSES.items() if isinstance(error, kind)), 500)


def problem_of(error: ServiceError) -> HttpProblem:
    """What a caller is told of what the service can't do."""
    status = status_of(error)
    if status == 500:
        return _unexpected(error)
    headers = {"retry-after": str(RETRY_SECONDS)} if status == 503 else None
    return HttpProblem(status, TITLES[status], cause=str(error), headers=headers)


def answer_of(error: Exception) -> JSONResponse:
    """To whatever was raised on the way to an answer."""
    if isinstance(error, ServiceError):
        error = problem_of(error)
    if not isinstance(error, HttpProblem):
        error = _unexpected(error)
    return error.answer


async def answer_http_exception(_request: Request, error: Exception) -> JSONResponse:
    """To what the router itself refuses."""
    assert isinstance(error, HTTPException)
    title = TITLES.get(error.status_code, str(error.detail))
    return HttpProblem(error.status_code, title, headers=error.headers).answer


def _unexpected(error: Exception) -> HttpProblem:
    """A mistake of ours: it is in the log, and nothing of it in the answer."""
    _log.error("a request failed", exc_info=error, extra={"event": "api_error"})
    return HttpProblem(500, TITLES[500])
