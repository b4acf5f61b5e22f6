"""One of several worker processes: `python -m controlplane.worker NUMBER DESCRIPTOR`, started by the supervisor alone.

It runs one gateway, which shares its ports with the other workers', and answers over the link in the place of an admin
interface. It stops gracefully when it is told to, on SIGTERM, and when the supervisor is gone.
"""

import asyncio
import os
import select
import signal
import socket
import sys
import threading
from contextlib import AbstractAsyncContextManager
from time import sleep
from typing import Any, Final

import uvloop
from prometheus_client import generate_latest

from controlplane.certificates import ListenerCertificates
from controlplane.health import QUESTION
from controlplane.inputs import Inputs, Sources
from controlplane.link import Link, LinkError
from controlplane.logs import configure_logging
from controlplane.problems import ConfigurationError
from controlplane.process import alongside, handle_signals
from controlplane.serve import serve_until
from controlplane.start_errors import StartError, failure_message, sources_of
from controlplane.supervisor import STOP_SECONDS
from controlplane.terminal import EXIT_CONFIGURATION, EXIT_FAILURE
from proxy.gateway import Gateway
from proxy.shared_limits import SharedLimits

REPORT_SECONDS: Final = 0.25
"""Between two reports of what zones need: shares of a limit follow demand within two seconds."""

CLAIM_SECONDS: Final = 10.0
"""For the supervisor to look up and bind an address."""


class LastResort:
    """A thread that ends this process when it hangs after the end of its link. The supervisor would kill it then, if it
    hasn't gone, too."""

    def __init__(self, link: int) -> None:
        self.seconds = STOP_SECONDS
        """That a stop may take."""
        self._link = os.dup(link)
        threading.Thread(target=self._run, name="last-resort", daemon=True).start()

    def _run(self) -> None:
        gone = select.poll()
        gone.register(self._link, 0)  # the end of the link, on either side, is always told
        gone.poll()
        sleep(self.seconds)
        os._exit(EXIT_FAILURE)


class _Worker:
    """What the supervisor can ask and say, and whom it concerns."""

    def __init__(self, number: int, last_resort: LastResort) -> None:
        self.number = number
        self.last_resort = last_resort
        self.link: Link
        self.stopping = asyncio.Event()
        self.begin: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.gateway: Gateway | None = None
        self.shares: SharedLimits | None = None
        self._urgent = False

    async def connect(self, end: socket.socket) -> None:
        self.link = await Link.open(
            end,
            {"begin": self._on_begin, "stop": self._on_stop, "grant": self._on_grant},
            {QUESTION: self._alive, "why_not_ready": self._why_not_ready, "metrics": self._metrics},
        )

    def _on_begin(self, body: dict[str, Any]) -> None:
        self.begin.set_result(body)

    def _on_stop(self, _body: None) -> None:
        self.stopping.set()

    def _on_grant(self, body: dict[str, Any]) -> None:
        if self.shares is not None:
            self.shares.take(body)

    async def _alive(self, _body: None) -> None:
        """The answer is that there is one."""

    async def _why_not_ready(self, _body: None) -> str:
        return "it is starting" if self.gateway is None else self.gateway.why_not_ready()

    async def _metrics(self, _body: None) -> str:
        return generate_latest(self.gateway.metrics.registry).decode() if self.gateway is not None else ""

    async def claim(self, host: str, port: int) -> None:
        """Raises OSError."""
        try:
            taken = await self.link.ask("claim", CLAIM_SECONDS, [host, port])
        except LinkError as error:
            raise OSError(str(error)) from None
        if taken is not None:
            raise OSError(taken["errno"], taken["text"])

    def say_serving(self) -> None:
        self.link.tell("serving")

    async def watch_link(self) -> None:
        await self.link.ended()
        self.stopping.set()

    def reporting(self, shares: SharedLimits) -> AbstractAsyncContextManager[None]:
        """Reports meanwhile. A worker that can't would be left with its floor of each limit for good, and so ends."""
        return alongside(self._keep_reporting(shares), "reporting what zones need of their limits", self.stopping)

    async def _keep_reporting(self, shares: SharedLimits) -> None:
        """Tells what zones need of their limits, now and then and when it is urgent."""
        shares.on_urgent = self._report_soon
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            shares.tick()
            self._report()

    def _report_soon(self) -> None:
        if not self._urgent:
            self._urgent = True
            asyncio.get_running_loop().call_soon(self._report)

    def _report(self) -> None:
        assert self.shares is not None
        self._urgent = False
        message = self.shares.report()
        if message is not None:
            self.link.offer("report", message)


async def work(number: int, end: socket.socket, last_resort: LastResort) -> int:
    """Runs the worker of this number until it is told to stop. The exit code."""
    worker = _Worker(number, last_resort)
    handle_signals(worker.stopping, (signal.SIGTERM, signal.SIGINT))
    await worker.connect(end)
    watching = asyncio.create_task(worker.watch_link(), name="watch the link")
    stopping = asyncio.create_task(worker.stopping.wait(), name="stop")
    try:
        either: set[asyncio.Future[Any]] = {stopping, worker.begin}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if worker.stopping.is_set():
            return 0
        begin = worker.begin.result()
        await _serve(worker, sources_of(begin), begin["workers"])
    except ConfigurationError as error:
        worker.link.tell("failed", failure_message(error))
        return EXIT_CONFIGURATION
    except StartError as error:
        worker.link.tell("failed", failure_message(error))
        return EXIT_FAILURE
    finally:
        for task in (watching, stopping):
            task.cancel()
        await worker.link.close()
    return 0


async def _serve(worker: _Worker, sources: Sources, workers: int) -> None:
    settings = sources.settings()
    worker.last_resort.seconds = settings.shutdown_grace_seconds + STOP_SECONDS
    inputs = Inputs(settings, sources, shared=True, worker=worker.number)
    certificates = ListenerCertificates(settings.gateway_config().listeners)
    configure_logging(settings.log, worker=worker.number)
    with inputs.writing():
        gateway = worker.gateway = inputs.gateway(worker.claim)
        worker.shares = SharedLimits(gateway.zones, workers)
        worker.link.tell("up")
        async with worker.reporting(worker.shares), inputs.following_cluster_tls(gateway.use_cluster_tls):
            await serve_until(
                worker.stopping,
                settings,
                inputs.desired,
                certificates,
                gateway,
                worker.say_serving,
            )


def main() -> None:
    """The worker's whole life."""
    number, descriptor = map(int, sys.argv[1:])
    os.set_inheritable(descriptor, False)
    last_resort = LastResort(descriptor)
    sys.exit(uvloop.run(work(number, socket.socket(fileno=descriptor), last_resort)))


if __name__ == "__main__":
    main()
