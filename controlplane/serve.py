"""The composition root of `zonegate serve`: settings, zones and credentials in, one running gateway out."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path as FilePath
from time import time
from typing import NamedTuple, Protocol

import uvloop

from controlplane.audit_log import AuditLog, open_audit_log
from controlplane.authentication_modes import unusable_modes
from controlplane.certificates import ListenerCertificates
from controlplane.cluster_tls_files import ClusterTls
from controlplane.descriptors import PER_CLIENT, RESERVED, clients_that_fit, raise_limit
from controlplane.expiry_warnings import ExpiryWarnings
from controlplane.http import AdminServer, Observed, create_app
from controlplane.last_used import LastUsedWriter
from controlplane.logs import configure_logging
from controlplane.problems import field_name
from controlplane.settings import Settings, load_settings
from controlplane.settings_fields import HostPort
from controlplane.watch import DesiredState
from policies.credentials import Credential
from policies.zone import Zone
from proxy.config import GatewayConfig
from proxy.gateway import Gateway
from proxy.routing import ListenError, why_not_bound
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


class StartError(Exception):
    """The process cannot serve; the message says which address and which setting."""


class _Followed(NamedTuple):
    desired: DesiredState
    certificates: ListenerCertificates


def run(config: FilePath | None, zones_dir: FilePath) -> None:
    """Serves until a signal. Raises ConfigurationError or StartError."""
    settings = load_settings(config, os.environ)
    admin = settings.passthrough.username if settings.passthrough is not None else None
    unusable = unusable_modes(settings.gateway_config())
    desired = DesiredState(zones_dir, settings.credentials_file, settings.cluster.id, admin, unusable)
    cluster_tls = ClusterTls(settings.cluster.cluster_config(), str(config or "environment"))
    audit_log = open_audit_log(settings.audit)
    configure_logging(settings.log)
    with audit_log if audit_log is not None else contextlib.nullcontext():
        uvloop.run(_main(settings, desired, cluster_tls, audit_log))


async def _main(settings: Settings, desired: DesiredState, cluster_tls: ClusterTls, audit_log: AuditLog | None) -> None:
    sink = audit_log.append if audit_log is not None else None
    gateway = Gateway(_fit_descriptors(settings.gateway_config()), desired.zones, desired.credentials, sink)
    if audit_log is not None:
        gateway.metrics.registry.register(audit_log)
    following = asyncio.create_task(cluster_tls.follow(gateway.use_cluster_tls), name="follow cluster TLS")
    try:
        await serve(settings, desired, gateway)
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following


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
    certificates = ListenerCertificates(settings.gateway_config().listeners)
    gateway.use_tls(certificates.in_force)
    stopping = asyncio.Event()
    _handle_signals(stopping)
    admin = AdminServer(create_app(gateway), settings.admin_listen)
    try:
        admin.start()
    except OSError as error:
        raise StartError(_bind_message(why_not_bound(error), "admin_listen", settings.admin_listen)) from None
    desired.report()
    certificates.report()
    last_used = LastUsedWriter(settings.credentials_file)
    try:
        await _run_until(stopping, settings, _Followed(desired, certificates), gateway, last_used)
    finally:
        logger.info("stopping", extra={"event": "stopping"})
        await gateway.stop()
        await asyncio.to_thread(last_used.write, gateway.credentials_used())
        await admin.stop()
        logger.info("stopped", extra={"event": "stopped"})


async def _run_until(
    stopping: asyncio.Event, settings: Settings, followed: _Followed, gateway: DataPlane, last_used: LastUsedWriter
) -> None:
    """Waits for the signal, while the gateway starts and follows its files; what fails in these two ends it."""
    running = asyncio.create_task(_start(settings, gateway), name="start")
    following = asyncio.create_task(_follow(followed, gateway), name="follow")
    keeping = asyncio.create_task(_keep_books(followed.desired, gateway, last_used), name="credentials")
    waiting = asyncio.create_task(stopping.wait(), name="signal")
    tasks = {running, following, keeping, waiting}
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
    except ListenError as error:
        raise StartError(_listen_message(error, settings)) from error
    finally:
        reminding.cancel()
    logger.info(
        "gateway is ready",
        extra={
            "event": "ready",
            "listen": ", ".join(str(listener.listen) for _, listener in settings.all_listeners()),
            "advertised_host": ", ".join(listener.advertised_host for _, listener in settings.all_listeners()),
        },
    )


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


def _handle_signals(stopping: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        if stopping.is_set():
            os._exit(128 + number)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)


def _listen_message(error: ListenError, settings: Settings) -> str:
    """Which setting the port comes from."""
    configs = settings.gateway_config().listeners
    position = next(position for position, config in enumerate(configs) if config.name == error.listener)
    at, _ = settings.all_listeners()[position]
    setting = ("listen",) if error.broker_id is None else ("broker_ports", "start")
    return _bind_message(error.reason, field_name((*at, *setting)), HostPort(error.host, error.port))


def _bind_message(reason: str, setting: str, address: HostPort) -> str:
    return f"{setting}: {address} {reason}; free it or set another address"
