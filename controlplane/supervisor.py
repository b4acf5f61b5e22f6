"""The supervisor of several workers: starts them, starts anew what has died, and speaks for all on the admin interface.

It serves no partner itself. The workers open the same ports, and the system spreads connections over them. A worker
whose first start fails ends the whole, as a single process would. One that was ended from outside, has served, or was
started again is tried again, and the others go on.
"""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from time import monotonic
from typing import Any, Final, NamedTuple, Protocol

from controlplane.certificates import ListenerCertificates
from controlplane.claims import Claims
from controlplane.console import console_of
from controlplane.granting import Divider, Granting
from controlplane.health import until_it_hangs
from controlplane.http import build_app
from controlplane.inputs import Inputs, Sources
from controlplane.link import Link, LinkError
from controlplane.process import alongside, handle_signals, listen_message, say_ready, start_admin
from controlplane.restarts import Restarts
from controlplane.settings import Settings
from controlplane.start_errors import StartError, begin_message, failure_of
from controlplane.supervisor_metrics import SupervisorMetrics
from policies.shares import ShareDivider
from proxy.audit import Audit
from proxy.mechanisms.passthrough import PassthroughTokens
from proxy.routing import ListenError

ANSWER_SECONDS: Final = 5.0
"""For a worker's answer, which takes milliseconds; but making the metrics of a thousand zones keeps its event loop busy
for 2 s. Prometheus waits 10 s for a scrape."""

STOP_SECONDS: Final = 10.0
"""Beyond the grace of a stop: what is left of a worker then hangs, and is killed."""

AUDIT_SECONDS: Final = 0.5

logger = logging.getLogger("zonegate.workers")


class Process(Protocol):
    """A worker's process, as it was started."""

    @property
    def pid(self) -> int: ...

    async def wait(self) -> int: ...

    def kill(self) -> None: ...


Spawn = Callable[[int, socket.socket], Awaitable[Process]]
"""Starts the worker of a number, which inherits this end of its link."""


class _Worker:
    """One process, from its start to its end."""

    def __init__(self, number: int, process: Process) -> None:
        self.number = number
        self.process = process
        self.link: Link
        self.up = asyncio.Event()
        """It answers questions."""
        self.hangs = False
        self.has_served = False
        self.failure: Exception | None = None
        """Why it can't start, in its own words."""

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    def end(self, code: int) -> "_End":
        if self.failure is not None:
            return _End(f"can't start: {self.failure}", self.failure)
        how = "no longer answered and was killed" if self.hangs else _how_it_ended(code)
        by_itself = code > 0 and not self.has_served
        return _End(how, StartError(f"worker {self.number} {how}") if by_itself else None)


class _End(NamedTuple):
    """Of one worker's process."""

    how: str
    """In words that follow the worker's number."""
    failure: Exception | None
    """What kept it from serving, if nobody else ended it."""


class Supervisor:
    """All workers of one gateway. `run` once."""

    def __init__(self, settings: Settings, begin: Mapping[str, Any], spawn: Spawn, divider: Divider) -> None:
        """`begin` is what each worker is told first."""
        self._settings = settings
        self._begin = begin
        self._spawn = spawn
        self._granting = Granting(divider, self._send_grant)
        self._claims = Claims()
        self._workers: dict[int, _Worker] = {}
        self._serving: set[int] = set()
        self._all_served = False
        self._stopping = asyncio.Event()
        self.metrics = SupervisorMetrics(settings.workers)

    async def run(self, stopping: asyncio.Event) -> None:
        """Returns when the event is set and all workers have ended. Raises ConfigurationError or StartError."""
        await self._claim_bootstrap()
        numbers = range(self._settings.workers)
        keeping = {asyncio.create_task(self._keep(number), name=f"worker {number}") for number in numbers}
        waiting = asyncio.create_task(stopping.wait(), name="signal")
        try:
            done, _ = await asyncio.wait({*keeping, waiting}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            waiting.cancel()
            logger.info("stopping", extra={"event": "stopping"})
            await self._stop(keeping)
            self._granting.close()
            self._claims.release()

    def kill(self) -> None:
        """End all workers at once."""
        for worker in self._workers.values():
            worker.kill()

    # the lives of workers

    async def _claim_bootstrap(self) -> None:
        """So that a second gateway ends at once. Raises StartError."""
        for listener in self._settings.gateway_config().listeners:
            try:
                await self._claims.claim(listener.host, listener.port)
            except OSError as error:
                message = listen_message(ListenError(listener, listener.port, None, error), self._settings)
                raise StartError(message) from error

    async def _keep(self, number: int) -> None:
        """Has one worker at all times. Raises what keeps it from its first start."""
        restarts = Restarts()
        while not self._stopping.is_set():
            started = monotonic()
            end = await self._live(number)
            if self._stopping.is_set():
                return
            if end.failure is not None and not self.metrics.restarts[number]:
                raise end.failure
            pause = restarts.pause(monotonic() - started)
            self.metrics.restarts[number] += 1
            logger.error(
                "worker %d %s; it is started again in %g s",
                number,
                end.how,
                pause,
                extra={"event": "worker_ended", "worker": number},
            )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()

    async def _live(self, number: int) -> _End:
        """One process, from its start to its end."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await self._spawn(number, theirs)
            except OSError as error:
                ours.close()
                how = f"can't be started ({error.strerror})"
                return _End(how, StartError(f"worker {number} {how}"))
        worker = _Worker(number, process)
        worker.link = await Link.open(
            ours,
            {
                "up": partial(self._on_up, worker),
                "serving": partial(self._on_serving, worker),
                "failed": partial(self._on_failed, worker),
                "report": partial(self._on_report, worker),
            },
            {"claim": self._on_claim},
        )
        self._workers[number] = worker
        try:
            worker.link.tell("begin", self._begin)
            self._granting.join(number)
            if self._stopping.is_set():
                worker.link.tell("stop")
            return worker.end(await self._wait_ended(worker))
        finally:
            del self._workers[number]
            self._serving.discard(number)
            self._granting.leave(number)
            await worker.link.close()

    async def _wait_ended(self, worker: _Worker) -> int:
        """Its exit code. Without its link a worker stops, as it does without us; one that hangs is killed."""
        ending = asyncio.create_task(worker.process.wait(), name=f"end of worker {worker.number}")
        unlinked = asyncio.create_task(worker.link.ended(), name=f"end of link {worker.number}")
        hanging = asyncio.create_task(until_it_hangs(worker.link, worker.up), name=f"watch of worker {worker.number}")
        try:
            await asyncio.wait({ending, unlinked, hanging}, return_when=asyncio.FIRST_COMPLETED)
            worker.hangs = hanging.done() and not ending.done() and not unlinked.done()
            if not worker.hangs:
                await asyncio.wait({ending, unlinked}, timeout=self._stop_seconds)
            if not ending.done():
                worker.kill()
            return await ending
        finally:
            for task in (ending, unlinked, hanging):
                task.cancel()

    async def _stop(self, keeping: "set[asyncio.Task[None]]") -> None:
        self._stopping.set()
        for worker in self._workers.values():
            worker.link.tell("stop")
        _, late = await asyncio.wait(keeping, timeout=self._stop_seconds)
        if late:
            logger.error("workers do not stop and are killed", extra={"event": "killed", "number": len(late)})
            self.kill()
        await asyncio.gather(*keeping, return_exceptions=True)

    @property
    def _stop_seconds(self) -> float:
        return self._settings.shutdown_grace_seconds + STOP_SECONDS

    # what workers say

    def _on_up(self, worker: _Worker, _body: None) -> None:
        worker.up.set()

    def _on_serving(self, worker: _Worker, _body: None) -> None:
        worker.has_served = True
        self._serving.add(worker.number)
        if self._all_served:
            logger.info("a worker is ready again", extra={"event": "worker_ready", "worker": worker.number})
        elif len(self._serving) == self._settings.workers:
            self._all_served = True
            say_ready(self._settings, workers=self._settings.workers)

    def _on_failed(self, worker: _Worker, body: Mapping[str, Any]) -> None:
        worker.failure = failure_of(body)

    def _on_report(self, worker: _Worker, body: dict[str, Any]) -> None:
        self._granting.report(worker.number, body)

    def _send_grant(self, number: int, grant: dict[str, Any]) -> None:
        if (worker := self._workers.get(number)) is not None:
            worker.link.offer("grant", grant)

    async def _on_claim(self, body: tuple[str, int]) -> Mapping[str, Any] | None:
        host, port = body
        try:
            await self._claims.claim(host, port)
        except OSError as error:
            return {"errno": error.errno, "text": error.strerror}
        return None

    # what the admin interface shows

    async def why_not_ready(self) -> str:
        """In plain words; empty when all workers are ready."""
        if self._stopping.is_set():
            return "the gateway is stopping"
        reasons = await asyncio.gather(*(self._why_not(number) for number in range(self._settings.workers)))
        return next((f"worker {number}: {reason}" for number, reason in enumerate(reasons) if reason), "")

    async def _why_not(self, number: int) -> str:
        worker = self._workers.get(number)
        if worker is None and self.metrics.restarts[number]:
            return "it has ended and is started again"
        if worker is None or not worker.up.is_set():
            return "it is starting"
        try:
            return str(await worker.link.ask("why_not_ready", ANSWER_SECONDS))
        except LinkError as error:
            return str(error)

    async def expose(self) -> bytes:
        """The metrics of all workers that answer, and the supervisor's."""
        async with self.metrics.turn:
            numbers = [number for number, worker in self._workers.items() if worker.up.is_set()]
            texts = await asyncio.gather(*map(self._ask_metrics, numbers))
            answered = {number: text for number, text in zip(numbers, texts, strict=True) if text is not None}
            # it takes a while, during which workers wait for their parts of limits
            return await asyncio.to_thread(self.metrics.joined, answered)

    async def _ask_metrics(self, number: int) -> str | None:
        worker = self._workers.get(number)
        if worker is None:
            return None
        try:
            return str(await worker.link.ask("metrics", ANSWER_SECONDS))
        except LinkError:
            return None


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"has ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"


async def spawn_worker(number: int, end: socket.socket) -> Process:
    """Its interpreter is this one. Its output goes where ours goes."""
    # -P: no module of the folder in which the gateway happens to be started takes the place of its own
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "controlplane.worker", str(number), str(end.fileno())),
        stdin=asyncio.subprocess.DEVNULL,
        pass_fds=[end.fileno()],
        start_new_session=True,  # a terminal's signals are for the supervisor, which tells its workers what to do
    )


async def supervise(inputs: Inputs, sources: Sources, with_console: bool) -> None:
    """Runs the workers, the admin interface and the console until SIGTERM or SIGINT; a second signal ends all at
    once."""
    settings = inputs.settings
    ListenerCertificates(settings.gateway_config().listeners)  # what is wrong with them is said here, once
    divider = ShareDivider(settings.workers, monotonic, settings.limits.burst_seconds)
    supervisor = Supervisor(settings, begin_message(sources, settings.workers), spawn_worker, divider)
    stopping = asyncio.Event()
    handle_signals(stopping, (signal.SIGTERM, signal.SIGINT), supervisor.kill)
    if inputs.audit_log is not None:
        supervisor.metrics.process.register(inputs.audit_log)
    audit = Audit(inputs.audit_sink)
    passthrough = settings.gateway_config().passthrough
    tokens = PassthroughTokens(passthrough) if passthrough is not None else None
    app = build_app(supervisor.why_not_ready, supervisor.expose, tokens, audit, settings.secured_metrics)
    admin = start_admin(app, settings.admin_listen)
    try:
        async with contextlib.AsyncExitStack() as alongside_it:
            await alongside_it.enter_async_context(
                alongside(_keep_audit(audit, tokens), "what admin tokens need", stopping)
            )
            if with_console and (console := console_of(inputs, audit)) is not None:
                await alongside_it.enter_async_context(inputs.following_cluster_tls(console.use_cluster_tls))
                await alongside_it.enter_async_context(console.alone(stopping))
            await supervisor.run(stopping)
    finally:
        await admin.stop()
        audit.finish()
        logger.info("stopped", extra={"event": "stopped"})


async def _keep_audit(audit: Audit, tokens: PassthroughTokens | None) -> None:
    """What the admin's tokens need in this process: their key, and that refusals are told."""
    if tokens is not None:
        await asyncio.to_thread(tokens.derive_key)
    while True:
        await asyncio.sleep(AUDIT_SECONDS)
        audit.tick()
