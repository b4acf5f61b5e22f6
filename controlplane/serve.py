"""The composition root of `zonegate serve` and `zonegate gateway`: settings and desired state in, one running gateway
out, and with `serve` the console beside it.

With several workers this process supervises (`controlplane/supervisor.py`), and each worker (`controlplane/worker.py`)
runs what is here for one gateway.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path as FilePath
from time import time
from typing import Final, NamedTuple, Protocol

import uvloop

from controlplane.certificates import ListenerCertificates
from controlplane.console import Console, console_of
from controlplane.desired import Desired, Serving
from controlplane.expiry_warnings import ExpiryWarnings
from controlplane.http import Observed, create_app
from controlplane.inputs import Inputs, Sources
from controlplane.logs import configure_logging
from controlplane.process import handle_signals, listen_message, say_ready, start_admin
from controlplane.settings import Settings
from controlplane.start_errors import StartError
from controlplane.state.topic import UnusableTopic
from controlplane.supervisor import supervise
from policies.credentials import Credential
from policies.zone import Zone
from proxy.routing import ListenError
from proxy.tls import ServerTls

POLL_SECONDS: Final = 0.5
"""Between two looks at the files of certificates."""

REMINDER_SECONDS: Final = 5

WARNINGS_SECONDS: Final = 5.0
"""Between two looks for credentials that expire soon."""

logger = logging.getLogger("zonegate.serve")


class DataPlane(Observed, Serving, Protocol):
    """What this module asks of a gateway."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def apply(self, zones: Sequence[Zone], credentials: Sequence[Credential]) -> None: ...

    def credentials_used(self) -> Mapping[str, float]: ...

    def use_tls(self, tls: Mapping[str, ServerTls]) -> None: ...


class Plan(NamedTuple):
    """What this process is to be."""

    config: FilePath | None
    zones: FilePath | None
    """A folder of manifests; None is the state topic."""
    workers: int | None = None
    """Counts more than the settings'."""
    console: bool = True
    """With the REST API, where the desired state is in the state topic."""


def run(plan: Plan) -> None:
    """Serves until a signal. Raises ConfigurationError or StartError."""
    sources = Sources.read(plan.config, plan.zones)
    settings = sources.settings()
    if plan.workers is not None:
        settings = settings.model_copy(update={"workers": plan.workers})
    several = settings.workers > 1
    inputs = Inputs(settings, sources, shared=several)
    configure_logging(settings.log)
    with inputs.writing():
        uvloop.run(supervise(inputs, sources, plan.console) if several else _main(inputs, plan.console))


async def _main(inputs: Inputs, with_console: bool) -> None:
    gateway = inputs.gateway()
    console = console_of(inputs, gateway.audit) if with_console else None
    users = [gateway.use_cluster_tls] if console is None else [gateway.use_cluster_tls, console.use_cluster_tls]
    async with inputs.following_cluster_tls(*users):
        await serve(inputs.settings, inputs.desired, gateway, console)


async def serve(settings: Settings, desired: Desired, gateway: DataPlane, console: Console | None = None) -> None:
    """Runs the gateway and its admin interface until SIGTERM or SIGINT; a second signal ends the process at once."""
    certificates = ListenerCertificates(settings.gateway_config().listeners)
    stopping = asyncio.Event()
    handle_signals(stopping, (signal.SIGTERM, signal.SIGINT))
    admin = start_admin(create_app(gateway, settings.secured_metrics), settings.admin_listen)
    try:
        async with console.serving(stopping) if console is not None else contextlib.nullcontext():
            await serve_until(stopping, settings, desired, certificates, gateway, lambda: say_ready(settings))
    finally:
        await admin.stop()
        logger.info("stopped", extra={"event": "stopped"})


async def serve_until(
    stopping: asyncio.Event,
    settings: Settings,
    desired: Desired,
    certificates: ListenerCertificates,
    gateway: DataPlane,
    on_serving: Callable[[], None],
) -> None:
    """Runs the gateway, which follows the desired state, until the event; whatever ends it, it ends gracefully.
    `on_serving` is called once partners can come."""
    gateway.use_tls(certificates.in_force)
    certificates.report()
    try:
        await _run_until(
            stopping,
            desired=_follow_desired(settings, desired, gateway, on_serving),
            certificates=_follow_certificates(certificates, gateway),
            expiries=_warn_of_expiries(desired),
        )
    finally:
        logger.info("stopping", extra={"event": "stopping"})
        await desired.leave()
        await gateway.stop()
        await desired.close(gateway)


async def _run_until(stopping: asyncio.Event, **parts: Coroutine[object, object, None]) -> None:
    """Waits for the event, while these run; what fails in one of them ends all."""
    tasks = {asyncio.create_task(part, name=name) for name, part in parts.items()}
    tasks.add(asyncio.create_task(_wait(stopping), name="signal"))
    try:
        while not stopping.is_set():
            done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
                if not stopping.is_set():
                    raise RuntimeError(f"{task.get_name()} has ended")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _wait(stopping: asyncio.Event) -> None:
    await stopping.wait()


async def _follow_desired(
    settings: Settings, desired: Desired, gateway: DataPlane, on_serving: Callable[[], None]
) -> None:
    """Loads what is to be served, begins to serve it, and follows it from then on."""
    await _reminded(_load(desired), desired.why_not_loaded)
    gateway.apply(desired.zones, desired.credentials)
    desired.report()
    serving = asyncio.Event()
    following = asyncio.create_task(
        desired.follow(gateway, lambda: gateway.apply(desired.zones, desired.credentials), serving), name="follow"
    )
    starting = asyncio.create_task(_reminded(_start(settings, gateway), gateway.why_not_ready), name="start")
    try:
        await asyncio.wait({following, starting}, return_when=asyncio.FIRST_COMPLETED)
        if following.done():
            following.result()
        await starting
        serving.set()
        on_serving()
        await following
    finally:
        for task in (starting, following):
            task.cancel()
        await asyncio.gather(starting, following, return_exceptions=True)


async def _load(desired: Desired) -> None:
    try:
        await desired.load()
    except UnusableTopic as error:
        raise StartError(str(error)) from None


async def _start(settings: Settings, gateway: DataPlane) -> None:
    try:
        await gateway.start()
    except ListenError as error:
        raise StartError(listen_message(error, settings)) from error


async def _reminded(work: Coroutine[object, object, None], why_not: Callable[[], str]) -> None:
    """Says now and then why it takes long."""

    async def remind() -> None:
        while True:
            await asyncio.sleep(REMINDER_SECONDS)
            logger.warning("not ready yet: %s", why_not(), extra={"event": "not_ready"})

    reminding = asyncio.create_task(remind(), name="remind")
    try:
        await work
    finally:
        reminding.cancel()


async def _follow_certificates(certificates: ListenerCertificates, gateway: DataPlane) -> None:
    while True:
        await asyncio.sleep(POLL_SECONDS)
        if await asyncio.to_thread(certificates.refresh):
            gateway.use_tls(certificates.in_force)
        certificates.report()


async def _warn_of_expiries(desired: Desired) -> None:
    warnings = ExpiryWarnings()
    while True:
        await asyncio.to_thread(warnings.check, desired.credentials, time())
        await asyncio.sleep(WARNINGS_SECONDS)
