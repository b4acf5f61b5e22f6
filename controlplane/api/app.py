"""The REST API: an application that answers for a `ZoneService`.

It is for administrators, and knows no other rights than theirs. It serves no pages and lets no pages of others call it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from controlplane.api import credentials, keys, monitoring, zones
from controlplane.api.audit import ApiAudit, AuditLog
from controlplane.api.authentication import Gate
from controlplane.api.envelope import Envelope
from controlplane.api.errors import answer_http_exception, answer_of
from controlplane.api.openapi import as_yaml, document
from controlplane.api.operations import Answer, Call, Operation, route_path
from controlplane.zone_service import ApiKeyView, ZoneService

DOCUMENT_PATH: Final = "/public/docs/docs.yaml"

NOBODY: Final = ApiKeyView("", "", "")


def create_api(service: ZoneService, audit: AuditLog) -> FastAPI:
    """`audit` takes the lines of what is changed through it, and of who could not authenticate."""
    told = ApiAudit(audit)
    about = _Document()
    operations = (
        *zones.operations(service, told),
        *credentials.operations(service, told),
        *keys.operations(service, told),
        *monitoring.operations(service),
        about.operation(),
    )
    about.operations = operations
    app = FastAPI(title="zonegate", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.openapi = lambda: about.value  # type: ignore[method-assign]
    gate = Gate(service, told)
    for operation in operations:
        endpoint = _endpoint(operation, gate, told)
        app.add_api_route(route_path(operation.path), endpoint, methods=[operation.method], response_model=None)
    app.add_exception_handler(HTTPException, answer_http_exception)
    app.add_middleware(Envelope, methods=_methods(operations))
    return app


def _endpoint(operation: Operation, gate: Gate, audit: ApiAudit) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        audit.tick()
        try:
            if not operation.needs_key:
                return await operation.handler(Call(request, NOBODY))
            async with gate.enter(request) as key:
                return await operation.handler(Call(request, key))
        except Exception as error:  # noqa: BLE001 - it is logged, and its caller gets an answer
            return answer_of(error)

    return answer


def _methods(operations: Sequence[Operation]) -> Mapping[str, Sequence[str]]:
    """What each path knows, by the path as the router writes it."""
    methods: dict[str, list[str]] = {}
    for operation in operations:
        known = methods.setdefault(route_path(operation.path), ["OPTIONS"])
        known += ["GET", "HEAD"] if operation.method == "GET" else [operation.method]
    return {path: sorted(known) for path, known in methods.items()}


class _Document:
    """The OpenAPI document, which describes itself, too. Made when it is first asked for: a start need not wait."""

    operations: Sequence[Operation] = ()

    @cached_property
    def value(self) -> dict[str, Any]:
        return document(self.operations, monitoring.version())

    @cached_property
    def _text(self) -> str:
        return as_yaml(self.value)

    async def answer(self, _call: Call) -> Response:
        return Response(self._text, media_type="application/yaml")

    def operation(self) -> Operation:
        schema: dict[str, Any] = {"type": "object"}
        return Operation(
            "GET",
            DOCUMENT_PATH,
            "openapi-document",
            "Get this document",
            "In YAML.",
            monitoring.TAG,
            self.answer,
            Answer("The OpenAPI document", schema=schema, media_type="application/yaml"),
            {},
            needs_key=False,
        )
