"""One gateway process: start, live changes, graceful stop."""

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any, Final

from policies.credentials import Credential
from policies.zone import Zone
from protocol.errors import ProtocolError
from proxy.accept import Door
from proxy.apis.table import all_plans
from proxy.close import CloseReason
from proxy.cluster import RETRY_SECONDS, Cluster
from proxy.config import GatewayConfig
from proxy.flow import MemoryBudget
from proxy.mechanisms.mechanism import Mechanism
from proxy.mechanisms.plain import Plain
from proxy.metrics import GatewayMetrics
from proxy.routing import Listener, Routing
from proxy.session import Services
from proxy.zones import ZoneRegistry

_log = logging.getLogger("zonegate.gateway")

DEADLINE_CHECK_SECONDS: Final = 0.5
"""Whatever ends a session because of the time ends it within a second."""


def build_mechanisms(zones: ZoneRegistry) -> Mapping[str, Mechanism]:
    """Every mechanism that a listener may offer, by name."""
    return {mechanism.name: mechanism for mechanism in (Plain(zones),)}


class Gateway:
    """The data plane. `start` and `stop` once each; `apply` at any time."""

    def __init__(self, config: GatewayConfig, zones: Sequence[Zone], credentials: Sequence[Credential]) -> None:
        self.metrics = GatewayMetrics()
        self._config = config
        self._tasks: set[asyncio.Task[None]] = set()
        registry = ZoneRegistry(self.metrics)
        registry.apply(zones, credentials)
        limits = config.limits
        budget = MemoryBudget(limits.assembly_bytes, limits.assembly_bytes_per_zone)
        # of its own, so that the gateway knows its cluster whatever clients do
        cluster = Cluster(config.cluster, MemoryBudget(limits.assembly_bytes).share(""), self.metrics)
        mechanisms = build_mechanisms(registry)
        self._services = Services(config, registry, cluster, self.metrics, budget, self._spawn, mechanisms)
        self._services.routing = Routing(config.listeners, self._accept)
        self._started = False
        self._stopping = False

    @property
    def ready(self) -> bool:
        return self.why_not_ready() == ""

    def why_not_ready(self) -> str:
        """In plain words; empty when ready."""
        if self._stopping:
            return "the gateway is stopping"
        cluster = self._services.cluster
        if not cluster.reachable:
            return f"the Kafka cluster does not answer: {cluster.problem}"
        return "" if self._started else "the gateway is starting"

    async def start(self) -> None:
        """Returns when the cluster has answered and all ports are open. Raises OSError when a port is taken."""
        all_plans()
        services = self._services
        await self._reach_cluster()
        services.zones.identify(services.cluster.cluster_id)
        await self._learn_topic_ids()
        await services.routing.open(services.cluster.brokers)
        services.cluster.on_brokers = self._open_ports
        self._spawn(services.cluster.run(), "watch the cluster")
        self._spawn(self._watch_deadlines(), "watch deadlines")
        self._started = True
        _log.info("ready", extra={"event": "ready", "zones": len(services.zones.zones)})

    async def _reach_cluster(self) -> None:
        cluster = self._services.cluster
        while not cluster.reachable:
            await cluster.refresh()
            if not cluster.reachable:
                await asyncio.sleep(RETRY_SECONDS)

    async def _learn_topic_ids(self) -> None:
        """So that clients which kept their topic ids over our restart are understood at once."""
        services = self._services
        try:
            services.zones.learn(await services.cluster.topic_ids(services.zones.topics))
        except (OSError, TimeoutError, ProtocolError) as error:
            # clients that name an id which isn't known yet ask for metadata, from which it is learnt
            _log.warning("topic ids are not known yet", extra={"event": "topic_ids", "problem": str(error)})

    async def _open_ports(self, broker_ids: Iterable[int]) -> None:
        """A broker that has joined later gets its port; until it is open, no client hears of the broker."""
        try:
            await self._services.routing.open(broker_ids)
        except OSError as error:
            _log.error("no port for a broker", extra={"event": "broker_unmapped", "problem": str(error)})

    def _accept(self, listener: Listener, broker_id: int | None) -> Door:
        return Door(self._services, listener, broker_id)

    def _spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        """The one place where tasks are made: they are named, kept until done, and their failures are logged."""
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        self.metrics.tasks = len(self._tasks)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self.metrics.tasks = len(self._tasks)
        if not task.cancelled() and task.exception() is not None:
            _log.error(
                "a task failed", exc_info=task.exception(), extra={"event": "internal_error", "task": task.get_name()}
            )

    async def _watch_deadlines(self) -> None:
        while True:
            await asyncio.sleep(DEADLINE_CHECK_SECONDS)
            now = monotonic()
            for session in list(self._services.sessions):
                session.check_deadlines(now)
            self._services.admission.report(now)

    def apply(self, zones: Sequence[Zone], credentials: Sequence[Credential]) -> None:
        """Serve these from now on. Sessions that lost a right or their credential are ended; others go on."""
        changes = self._services.zones.apply(zones, credentials)
        for session in list(self._services.sessions):
            if session.zone_name in changes.shrunken_zones:
                session.close(CloseReason.ZONE_CHANGED, "the zone was changed or removed")
            elif session.credential_id in changes.revoked_credentials:
                session.close(CloseReason.CREDENTIAL_REVOKED, f"credential {session.credential_id} was removed")
        if self._started:
            self._spawn(self._learn_topic_ids(), "learn topic ids")

    async def stop(self) -> None:
        """Accept no more, let answers under way finish within the grace time, then close everything."""
        self._stopping = True
        services = self._services
        services.routing.stop()
        for door in list(services.arriving):
            door.abort()
        for session in list(services.sessions):
            session.drain()
        try:
            async with asyncio.timeout(self._config.shutdown_grace_seconds):
                await services.all_closed()
        except TimeoutError:
            _log.warning("answers did not finish in time", extra={"event": "drain", "open": len(services.sessions)})
        for session in list(services.sessions):
            session.abort()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        _log.info("stopped", extra={"event": "stopped"})
