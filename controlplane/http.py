"""The admin HTTP interface: health, readiness and metrics, in the event loop of the gateway or of its supervisor."""

import asyncio
import contextlib
import importlib.metadata
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Protocol

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.types import ASGIApp

from controlplane.http_requests import HttpProblem
from controlplane.passthrough_http import AdminDesk, TokenAudit, TokenIssuer, create_router
from controlplane.settings_fields import HostPort

STOP_TIMEOUT_SECONDS = 2
"""A scrape takes milliseconds; whoever still reads after this long does not hold up the process's end."""


class HasRegistry(Protocol):
    @property
    def registry(self) -> CollectorRegistry: ...


class Observed(Protocol):
    """What the admin interface asks of a gateway."""

    @property
    def ready(self) -> bool: ...

    @property
    def metrics(self) -> HasRegistry: ...

    @property
    def passthrough(self) -> TokenIssuer | None: ...

    @property
    def audit(self) -> TokenAudit: ...

    def why_not_ready(self) -> str: ...


def create_app(gateway: Observed, secured_metrics: bool = False) -> FastAPI:
    """For the gateway of this process."""

    # Coroutines, not functions that run in threads: the gateway's counters belong to the event loop.
    async def why_not_ready() -> str:
        return "" if gateway.ready else gateway.why_not_ready()

    async def metrics() -> bytes:
        return generate_latest(gateway.metrics.registry)

    return build_app(why_not_ready, metrics, gateway.passthrough, gateway.audit, secured_metrics)


def build_app(
    why_not_ready: Callable[[], Awaitable[str]],
    expose: Callable[[], Awaitable[bytes]],
    tokens: TokenIssuer | None,
    audit: TokenAudit,
    secured_metrics: bool = False,
) -> FastAPI:
    """`why_not_ready` is in plain words, and empty when ready; `expose` gives the metrics, to the admin of `tokens`
    alone where they are secured."""
    app = FastAPI(title="zonegate gateway", docs_url=None, redoc_url=None, openapi_url=None)
    desk = AdminDesk(tokens, audit) if tokens is not None else None
    if secured_metrics and desk is None:
        raise ValueError("metrics can't be secured without an admin")
    guard = desk if secured_metrics else None

    @app.get("/health/live")
    async def live() -> dict[str, str]:
        return {"status": "LIVE"}

    @app.get("/health/ready")
    async def ready() -> JSONResponse:
        if not (reason := await why_not_ready()):
            return JSONResponse({"status": "READY"})
        return JSONResponse({"status": "NOT_READY", "reason": reason}, status_code=503)

    @app.get("/versions")
    async def versions() -> dict[str, str]:
        return {"gateway": importlib.metadata.version("zonegate")}

    @app.get("/metrics")
    async def metrics(request: Request) -> Response:
        if guard is not None:
            try:
                with guard.enter():
                    await guard.authenticate(request)
            except HttpProblem as problem:
                return problem.answer
        return Response(await expose(), headers={"content-type": CONTENT_TYPE_LATEST})

    if tokens is not None and desk is not None:
        app.include_router(create_router(tokens, audit, desk))
    return app


class _Server(uvicorn.Server):
    """Leaves signals to the process that it is a part of."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class AdminServer:
    """Serves an application at an address until it is stopped."""

    def __init__(self, app: ASGIApp, address: HostPort) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=STOP_TIMEOUT_SECONDS,
        )
        self._address = address
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None
        self.port = address.port

    def start(self) -> None:
        """Binds, so that an address that is taken is an OSError here, and then serves."""
        family = socket.AF_INET6 if ":" in self._address.host else socket.AF_INET
        listener = socket.create_server(tuple(self._address), family=family)
        self.port = listener.getsockname()[1]
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name="admin-http")

    async def stop(self) -> None:
        self._server.should_exit = True
        if self._task is not None:
            await asyncio.wait([self._task])  # whoever is interrupted here doesn't cut it off
            self._task.result()
