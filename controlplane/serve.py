"""The composition root of `zonegate serve`: settings, zones and credentials in, one running gateway out.

With several workers this process supervises (`controlplane/supervisor.py`), and each worker (`controlplane/worker.py`)
runs what is here for one gateway.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path as FilePath
from time import time
from typing import NamedTuple, Protocol

import uvloop

from controlplane.certificates import ListenerCertificates
from controlplane.expiry_warnings import ExpiryWarnings
from controlplane.http import Observed, create_app
from controlplane.inputs import Inputs, Sources
from controlplane.last_used import LastUsedWriter
from controlplane.logs import configure_logging
from controlplane.process import handle_signals, listen_message, say_ready, start_admin
from controlplane.settings import Settings
from controlplane.start_errors import StartError
from controlplane.supervisor import supervise
from controlplane.watch import DesiredState
from controlplane.yaml_source import read_text
from policies.credentials import Credential
from policies.zone import Zone
from proxy.routing import ListenError
from proxy.tls import ServerTls

POLL_SECONDS = 0.5
"""A revoked credential ends its sessions within a second: one look, and the time to read and apply."""

REMINDER_SECONDS = 5

BOOKS_SECONDS = 5.0
"""Between two entries of when credentials were used: soon enough for people, and no load for a disk."""

logger = logging.getLogger("zonegate.serve")


class DataPlane(Observed, Protocol):
    """What this module asks of a gateway."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def apply(self, zones: Sequence[Zone], credentials: Sequence[Credential]) -> None: ...

    def credentials_used(self) -> Mapping[str, float]: ...

    def use_tls(self, tls: Mapping[str, ServerTls]) -> None: ...


class _Followed(NamedTuple):
    desired: DesiredState
    certificates: ListenerCertificates


def run(config: FilePath | None, zones_dir: FilePath, workers: int | None = None) -> None:
    """Serves until a signal. Raises ConfigurationError or StartError. `workers` counts more than the settings'."""
    sources = Sources(config, read_text(config, str(config)) if config is not None else None, zones_dir)
    settings = sources.settings()
    if workers is not None:
        settings = settings.model_copy(update={"workers": workers})
    several = settings.workers > 1
    inputs = Inputs(settings, sources, shared=several)
    configure_logging(settings.log)
    with inputs.writing():
        uvloop.run(supervise(inputs, sources) if several else _main(inputs))


async def _main(inputs: Inputs) -> None:
    gateway = inputs.gateway()
    async with inputs.following_cluster_tls(gateway):
        await serve(inputs.settings, inputs.desired, gateway)


async def serve(settings: Settings, desired: DesiredState, gateway: DataPlane) -> None:
    """Runs the gateway and its admin interface until SIGTERM or SIGINT; a second signal ends the process at once."""
    certificates = ListenerCertificates(settings.gateway_config().listeners)
    stopping = asyncio.Event()
    handle_signals(stopping, (signal.SIGTERM, signal.SIGINT))
    admin = start_admin(create_app(gateway), settings.admin_listen)
    try:
        await serve_until(stopping, settings, desired, certificates, gateway, lambda: say_ready(settings))
    finally:
        await admin.stop()
        logger.info("stopped", extra={"event": "stopped"})


async def serve_until(
    stopping: asyncio.Event,
    settings: Settings,
    desired: DesiredState,
    certificates: ListenerCertificates,
    gateway: DataPlane,
    on_serving: Callable[[], None],
) -> None:
    """Runs the gateway, which follows its files, until the event; whatever ends it, it ends gracefully. `on_serving` is
    called once partners can come."""
    gateway.use_tls(certificates.in_force)
    desired.report()
    certificates.report()
    last_used = LastUsedWriter(settings.credentials_file)
    try:
        await _run_until(
            stopping,
            start=_start(settings, gateway, on_serving),
            follow=_follow(_Followed(desired, certificates), gateway),
            credentials=_keep_books(desired, gateway, last_used),
        )
    finally:
        logger.info("stopping", extra={"event": "stopping"})
        await gateway.stop()
        await asyncio.to_thread(last_used.write, gateway.credentials_used())


async def _run_until(stopping: asyncio.Event, **parts: Coroutine[object, object, None]) -> None:
    """Waits for the event, while these run; what fails in one of them ends all."""
    tasks = {asyncio.create_task(part, name=name) for name, part in parts.items()}
    tasks.add(asyncio.create_task(_wait(stopping), name="signal"))
    try:
        while not stopping.is_set():
            done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _wait(stopping: asyncio.Event) -> None:
    await stopping.wait()


async def _start(settings: Settings, gateway: DataPlane, on_serving: Callable[[], None]) -> None:
    reminding = asyncio.create_task(_remind(gateway), name="remind")
    try:
        await gateway.start()
    except ListenError as error:
        raise StartError(listen_message(error, settings)) from error
    finally:
        reminding.cancel()
    on_serving()


async def _remind(gateway: DataPlane) -> None:
    """Says now and then why a start takes long."""
    while True:
        await asyncio.sleep(REMINDER_SECONDS)
        logger.warning("not ready yet: %s", gateway.why_not_ready(), extra={"event": "not_ready"})


async def _follow(followed: _Followed, gateway: DataPlane) -> None:
    desired, certificates = followed
    while True:
        await asyncio.sleep(POLL_SECONDS)
        if await asyncio.to_thread(desired.refresh):
            gateway.apply(desired.zones, desired.credentials)
            desired.report()
        if await asyncio.to_thread(certificates.refresh):
            gateway.use_tls(certificates.in_force)
        certificates.report()


async def _keep_books(desired: DesiredState, gateway: DataPlane, last_used: LastUsedWriter) -> None:
    """Notes which credentials are used, and warns of those that expire."""
    warnings = ExpiryWarnings()
    while True:
        await asyncio.to_thread(warnings.check, desired.credentials, time())
        await asyncio.sleep(BOOKS_SECONDS)
        await asyncio.to_thread(last_used.write, gateway.credentials_used())
