"""What is the same for every request: the prefix `/api`, HEAD and OPTIONS, headers, and an answer whatever happens."""

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, Final

from fastapi.responses import Response
from starlette.requests import ClientDisconnect
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from controlplane.api.errors import TITLES, answer_of
from controlplane.http_requests import HttpProblem

PREFIX: Final = "/api"

_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)
"""Answers hold secrets or what changes at any time."""


class Envelope:
    """Around the router, as ASGI middleware."""

    def __init__(self, app: ASGIApp, methods: Mapping[str, Sequence[str]]) -> None:
        """`methods` are those that each path knows, by the path as the router writes it."""
        self._app = app
        self._methods = [(compile_path(path)[0], ", ".join(known)) for path, known in methods.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send, with_body=scope["method"] != "HEAD")
        scope = _inner(scope)
        try:
            refusal = self._refusal(scope)
            await (refusal or self._app)(scope, receive, answer.send)
        except ClientDisconnect:
            return  # nobody is there to be told
        except Exception as error:
            if answer.begun:
                raise
            await answer_of(error)(scope, receive, answer.send)

    def _refusal(self, scope: Scope) -> Response | None:
        """The answer to a method that the path doesn't have, and to OPTIONS; the router knows but one of a path's
        methods at a time."""
        allowed = next((known for regex, known in self._methods if regex.match(scope["path"])), None)
        if allowed is None or (scope["method"] in allowed.split(", ") and scope["method"] != "OPTIONS"):
            return None
        if scope["method"] == "OPTIONS":
            return Response(status_code=204, headers={"allow": allowed})
        return HttpProblem(405, TITLES[405], cause=f"known here: {allowed}", headers={"allow": allowed}).answer


class _Answer:
    """What is on its way to the client."""

    def __init__(self, send: Send, with_body: bool) -> None:
        self._send = send
        self._with_body = with_body
        self.begun = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            message["headers"] = [*message.get("headers", ()), *_HEADERS]
        elif message["type"] == "http.response.body" and not self._with_body:
            message = {**message, "body": b""}
        await self._send(message)


def _inner(scope: Scope) -> MutableMapping[str, Any]:
    """The request as the router is to see it."""
    inner = dict(scope)
    path: str = scope["path"]
    if path.startswith(PREFIX + "/"):
        inner["path"] = path.removeprefix(PREFIX)
    if scope["method"] == "HEAD":
        inner["method"] = "GET"
    return inner
