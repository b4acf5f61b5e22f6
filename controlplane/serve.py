"""The composition root of `zonegate serve`: settings, zones and credentials in, one running gateway out."""

import asyncio
import errno
import logging
import os
import re
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Protocol

import uvloop

from controlplane.descriptors import PER_CLIENT, RESERVED, clients_that_fit, raise_limit
from controlplane.http import AdminServer, Observed, create_app
from controlplane.logs import configure_logging
from controlplane.settings import Settings, load_settings
from controlplane.settings_fields import HostPort
from controlplane.watch import DesiredState
from policies.credentials import Credential
from policies.zone import Zone
from proxy.config import GatewayConfig
from proxy.gateway import Gateway

POLL_SECONDS = 0.5
"""A revoked credential ends its sessions within a second: one look, and the time to read and apply."""

REMINDER_SECONDS = 5

logger = logging.getLogger("zonegate.serve")


class DataPlane(Observed, Protocol):
    """What this module asks of a gateway."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def apply(self, zones: Sequence[Zone], credentials: Sequence[Credential]) -> None: ...


class StartError(Exception):
    """The process cannot serve; the message says which address and which setting."""


def run(config: FilePath | None, zones_dir: FilePath) -> None:
    """Serves until a signal. Raises ConfigurationError or StartError."""
    settings = load_settings(config, os.environ)
    desired = DesiredState(zones_dir, settings.credentials_file, settings.cluster.id)
    configure_logging(settings.log)
    uvloop.run(_main(settings, desired))


async def _main(settings: Settings, desired: DesiredState) -> None:
    gateway = Gateway(_fit_descriptors(settings.gateway_config()), desired.zones, desired.credentials)
    await serve(settings, desired, gateway)


def _fit_descriptors(config: GatewayConfig) -> GatewayConfig:
    """The same with no more connections than there are descriptors for: whoever is one too many is turned away with a
    reason, rather than accepted and then left without a broker."""
    descriptors = raise_limit()
    wanted, fitting = config.limits.connections, clients_that_fit(descriptors)
    if wanted <= fitting:
        return config
    logger.warning(
        "limits.connections is %d, but %d open files are enough for %d clients only, and no more are let in; raise the "
        "limit of open files (ulimit -n, LimitNOFILE) to %d or lower limits.connections",
        wanted,
        descriptors,
        fitting,
        wanted * PER_CLIENT + RESERVED,
        extra={"event": "too_few_descriptors"},
    )
    return replace(config, limits=replace(config.limits, connections=fitting))


async def serve(settings: Settings, desired: DesiredState, gateway: DataPlane) -> None:
    """Runs the gateway and its admin interface until SIGTERM or SIGINT; a second signal ends the process at once."""
    stopping = asyncio.Event()
    _handle_signals(stopping)
    admin = AdminServer(create_app(gateway), settings.admin_listen)
    try:
        admin.start()
    except OSError as error:
        raise StartError(_bind_message(error, "admin_listen", settings.admin_listen)) from None
    desired.report()
    try:
        await _run_until(stopping, settings, desired, gateway)
    finally:
        logger.info("stopping", extra={"event": "stopping"})
        await gateway.stop()
        await admin.stop()
        logger.info("stopped", extra={"event": "stopped"})


async def _run_until(stopping: asyncio.Event, settings: Settings, desired: DesiredState, gateway: DataPlane) -> None:
    """Waits for the signal, while the gateway starts and follows its files; what fails in these two ends it."""
    running = asyncio.create_task(_start(settings, gateway), name="start")
    following = asyncio.create_task(_follow(desired, gateway), name="follow")
    waiting = asyncio.create_task(stopping.wait(), name="signal")
    tasks = {running, following, waiting}
    try:
        while not stopping.is_set():
            done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _start(settings: Settings, gateway: DataPlane) -> None:
    reminding = asyncio.create_task(_remind(gateway), name="remind")
    try:
        await gateway.start()
    except OSError as error:
        raise StartError(_listen_message(error, settings)) from error
    finally:
        reminding.cancel()
    logger.info(
        "gateway is ready",
        extra={"event": "ready", "listen": str(settings.listen), "advertised_host": settings.advertised_host},
    )


async def _remind(gateway: DataPlane) -> None:
    """Says now and then why a start takes long."""
    while True:
        await asyncio.sleep(REMINDER_SECONDS)
        logger.warning("not ready yet: %s", gateway.why_not_ready(), extra={"event": "not_ready"})


async def _follow(desired: DesiredState, gateway: DataPlane) -> None:
    while True:
        await asyncio.sleep(POLL_SECONDS)
        if await asyncio.to_thread(desired.refresh):
            gateway.apply(desired.zones, desired.credentials)
            desired.report()


def _handle_signals(stopping: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        if stopping.is_set():
            os._exit(128 + number)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)


def _listen_message(error: OSError, settings: Settings) -> str:
    """asyncio tells the address in the error's text only."""
    match = re.search(r"\('(?P<host>[^']*)', (?P<port>\d+)", str(error))
    if match is None:
        return f"the gateway cannot start: {error}"
    address = HostPort(match["host"], int(match["port"]))
    return _bind_message(error, "listen" if address.port == settings.listen.port else "broker_ports.start", address)


def _bind_message(error: OSError, setting: str, address: HostPort) -> str:
    if error.errno == errno.EADDRINUSE:
        reason = "is in use by another process"
    else:
        reason = f"cannot be used ({os.strerror(error.errno) if error.errno else error})"
    return f"{setting}: {address} {reason}; free it or set another address"
