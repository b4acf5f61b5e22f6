"""What every process of `zonegate serve` does alike: what it says of its start, its admin port, its signals."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager

from starlette.types import ASGIApp

from controlplane.http import AdminServer
from controlplane.problems import field_name
from controlplane.settings import Settings
from controlplane.settings_fields import HostPort
from controlplane.start_errors import StartError
from proxy.routing import ListenError, why_not_bound

logger = logging.getLogger("zonegate.serve")


def say_ready(settings: Settings, **extra: object) -> None:
    """The one line that says that partners can come."""
    where = {
        "event": "ready",
        "listen": ", ".join(str(listener.listen) for _, listener in settings.all_listeners()),
        "advertised_host": ", ".join(listener.advertised_host for _, listener in settings.all_listeners()),
    }
    logger.info("gateway is ready", extra=where | extra)


def start_admin(app: ASGIApp, address: HostPort, setting: str = "admin_listen") -> AdminServer:
    """Raises StartError, which names the setting that the address comes from."""
    admin = AdminServer(app, address)
    try:
        admin.start()
    except OSError as error:
        raise StartError(bind_message(why_not_bound(error), setting, address)) from None
    return admin


def handle_signals(stopping: asyncio.Event, signals: Sequence[int], at_once: Callable[[], None] | None = None) -> None:
    """The first of these signals sets the event. The second ends the process; `at_once` is called before."""
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        if stopping.is_set():
            if at_once is not None:
                at_once()
            os._exit(128 + number)
        stopping.set()

    for number in signals:
        loop.add_signal_handler(number, on_signal, number)


@asynccontextmanager
async def alongside(work: Coroutine[object, object, None], name: str, stopping: asyncio.Event) -> AsyncIterator[None]:
    """Runs this meanwhile. Where it fails, the process must not go on without it: the event is set, so that the rest
    ends gracefully, and its error is raised then."""

    async def watched() -> None:
        try:
            await work
            raise RuntimeError(f"{name} has ended")
        except StartError:
            stopping.set()
            raise
        except Exception:
            logger.exception("%s has failed, and the process stops", name, extra={"event": "internal_error"})
            stopping.set()
            raise

    task = asyncio.create_task(watched(), name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        work.close()  # it may never have begun
    if not task.cancelled():
        task.result()


def listen_message(error: ListenError, settings: Settings) -> str:
    """Which setting the port comes from."""
    configs = settings.gateway_config().listeners
    position = next(position for position, config in enumerate(configs) if config.name == error.listener)
    at, _ = settings.all_listeners()[position]
    setting = ("listen",) if error.node is None else ("broker_ports", "start")
    return bind_message(error.reason, field_name((*at, *setting)), HostPort(error.host, error.port))


def bind_message(reason: str, setting: str, address: HostPort) -> str:
    return f"{setting}: {address} {reason}; free it or set another address"
