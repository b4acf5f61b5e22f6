"""One gateway process: start, live changes, graceful stop."""

import asyncio
import contextlib
import logging
import ssl
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from math import inf
from time import monotonic, time
from typing import Any, Final

from policies.changes import credential_changes, zone_changes
from policies.credentials import Credential
from policies.expiries import Expiries
from policies.zone import Zone
from protocol.errors import ProtocolError
from proxy import passthrough
from proxy.accept import Door
from proxy.activity_news import ActivityCollector
from proxy.apis.table import all_plans
from proxy.audit import Audit, Sink
from proxy.close import CloseReason
from proxy.cluster import Cluster
from proxy.clusters import Clusters
from proxy.config import GatewayConfig
from proxy.credential_use import CredentialUse
from proxy.flow import MemoryBudget
from proxy.jwks import Keys
from proxy.mechanisms.mechanism import Mechanism
from proxy.mechanisms.oauthbearer import Oauthbearer
from proxy.mechanisms.passthrough import PassthroughTokens, with_tokens
from proxy.mechanisms.plain import Plain
from proxy.mechanisms.scram import ScramSha512
from proxy.metrics import GatewayMetrics
from proxy.node import Node
from proxy.routing import Claim, Listener, ListenError, Routing
from proxy.services import Services
from proxy.throttled_zones import ThrottledZones
from proxy.tls import ServerTls, server_tls
from proxy.traffic_metrics import TrafficMetrics
from proxy.zones import Changes, ZoneRegistry

_log = logging.getLogger("zonegate.gateway")

DEADLINE_CHECK_SECONDS: Final = 0.5
"""Whatever ends a session because of the time ends it within a second."""

LEARN_SECONDS: Final = 5.0
"""Between two questions for topic ids that clients have made necessary: anybody can name an unknown one."""

CUT_OFF_SECONDS: Final = 1.0
"""For connections that were cut off to be gone; that takes a turn or two."""


def build_mechanisms(zones: ZoneRegistry, *configured: Mechanism) -> Mapping[str, Mechanism]:
    """Every mechanism that a listener may offer, by name: those that are always there, and these."""
    always: tuple[Mechanism, ...] = (Plain(zones), ScramSha512(zones))
    return {mechanism.name: mechanism for mechanism in (*always, *configured)}


class Gateway:
    """The data plane. `start` and `stop` once each; `apply` at any time."""

    def __init__(
        self,
        config: GatewayConfig,
        zones: Sequence[Zone],
        credentials: Sequence[Credential],
        audit_sink: Sink | None = None,
        claim: Claim | None = None,
    ) -> None:
        """`claim` is for one of several processes that serve the same ports."""
        self.metrics = GatewayMetrics()
        self._config = config
        self._tasks: set[asyncio.Task[None]] = set()
        limits = config.limits
        registry = ZoneRegistry(
            self.metrics,
            burst_seconds=limits.burst_seconds,
            on_throttled=lambda limiter, units, wait: self._throttled.note(limiter, units, wait),
            clusters=[cluster.id for cluster in config.clusters],
        )
        registry.apply(zones, credentials)
        budget = MemoryBudget(limits.assembly_bytes, limits.assembly_bytes_per_zone)
        # a budget of its own for each, so that the gateway knows its clusters whatever clients do
        clusters = Clusters(
            [Cluster(each, MemoryBudget(limits.assembly_bytes).share(""), self.metrics) for each in config.clusters]
        )
        self._keys: Keys | None = None
        configured: list[Mechanism] = []
        if config.oauth is not None:
            self._keys = Keys(config.oauth.jwks, self.metrics)
            configured.append(Oauthbearer(registry, self._keys, config.oauth))
        mechanisms = build_mechanisms(registry, *configured)
        admin = config.passthrough.username if config.passthrough is not None else None
        self.passthrough: PassthroughTokens | None = None
        if config.passthrough is not None:
            self.passthrough = PassthroughTokens(config.passthrough)
            mechanisms = with_tokens(mechanisms, self.passthrough)
        self.audit = Audit(audit_sink, lambda username: registry.account(username) is not None or username == admin)
        self._throttled = ThrottledZones(self.audit, registry)
        self.metrics.registry.register(TrafficMetrics(registry))
        self._expiries = Expiries(credentials, time())
        self._services = Services(
            config, registry, clusters, self.metrics, budget, self._spawn, mechanisms, audit=self.audit
        )
        self._services.routing = Routing(config.listeners, self._accept, claim, clusters.ids)
        self.activity = ActivityCollector(self._services.activity, self._services.sessions, registry)
        """What partners do, for whoever tells people of it."""
        self._credential_use = CredentialUse(self._services)
        self.metrics.registry.register(self._credential_use)
        self._started = False
        self.waits_for: Callable[[], str] = lambda: ""
        """What the start waits for outside of this module, in plain words; empty for nothing."""
        self._learnt_at = -inf
        self._stopping = False
        self._unopened: dict[str, str] = {}
        """Cluster -> why not all of its brokers have their ports."""

    @property
    def zones(self) -> ZoneRegistry:
        return self._services.zones

    @property
    def ready(self) -> bool:
        return self.why_not_ready() == ""

    def why_not_ready(self) -> str:
        """In plain words; empty when ready."""
        if self._stopping:
            return "the gateway is stopping"
        if not self._started and (reason := self.waits_for()):
            return reason
        clusters = self._services.clusters
        if not clusters.reachable:
            return clusters.why_unreachable()
        return next(iter(self._unopened.values()), "") if self._started else "the gateway is starting"

    def cluster_problems(self) -> Mapping[str, str]:
        """Cluster id -> why it is out of reach, in plain words; empty when it isn't."""
        return self._services.clusters.problems()

    def zone_problems(self) -> Mapping[str, str]:
        """Zones that can't be served here -> why, in plain words."""
        return self._services.zones.unserved

    @property
    def connections(self) -> int:
        """Of clients, signed in or not."""
        return len(self._services.sessions)

    def credentials_used(self) -> Mapping[str, float]:
        """Credential id -> Unix time of its last use by this process."""
        return self._credential_use.times()

    async def start(self) -> None:
        """Returns when a cluster has answered and its ports are open. Raises ListenError, TlsError."""
        all_plans()
        if self.passthrough is not None:
            passthrough.all_plans()
            await asyncio.to_thread(self.passthrough.derive_key)
        services = self._services
        await self._load_certificates()
        reaching = await services.clusters.reach(self._spawn)
        reached = [cluster for cluster in reaching if cluster.reachable]
        for cluster in reached:
            await self._get_to_know(cluster)
        if self._keys is not None:
            await self._keys.refresh()
            self._spawn(self._keys.run(), "refresh the signature keys")
        for cluster in reached:
            await services.routing.open(cluster.id, cluster.brokers)
        for cluster, reach in reaching.items():
            self._spawn(self._watch(cluster, reach), f"watch the cluster {cluster.id}".rstrip())
        self._spawn(self._watch_deadlines(), "watch deadlines")
        self._started = True
        self.audit.write("gateway_start", self._counts())
        _log.info("ready", extra={"event": "ready", "zones": len(services.zones.served)})

    async def _load_certificates(self) -> None:
        """Those that nobody has given to `use_tls`."""
        for listener in self._services.routing.listeners:
            if listener.config.tls is not None and listener.context is None:
                self.use_tls({listener.config.name: await asyncio.to_thread(server_tls, listener.config)})

    def use_tls(self, tls: Mapping[str, ServerTls]) -> None:
        """Show these certificates, by listeners' names, to clients from now on. Connections that exist go on."""
        self._services.routing.use(tls)
        for listener, each in tls.items():
            self.metrics.certificate_not_after[listener] = each.not_after

    async def _get_to_know(self, cluster: Cluster) -> None:
        """A cluster has answered for the first time."""
        self._services.zones.identify(cluster.id, cluster.cluster_id)
        await self._learn_topic_ids(cluster)

    async def _watch(self, cluster: Cluster, reach: "asyncio.Task[None]") -> None:
        """Follow a cluster, and open its ports when it answers at last."""
        if not reach.done():
            await reach
            await self._get_to_know(cluster)
            await self._open_ports(cluster.id, cluster.brokers)
        cluster.on_brokers = lambda broker_ids: self._open_ports(cluster.id, broker_ids)
        await cluster.run()

    async def _learn_topic_ids(self, cluster: Cluster, zones: Collection[str] | None = None) -> None:
        """Of these zones or of all, so that clients which kept topic ids over our restart are understood at once."""
        registry = self._services.zones
        topics = registry.topics(cluster.id, zones)
        try:
            registry.learn(cluster.id, await cluster.topic_ids(topics), zones)
        except (OSError, TimeoutError, ProtocolError) as error:
            # clients that name an id which isn't known yet ask for metadata, from which it is learnt
            extra = {"event": "topic_ids", "problem": str(error), **self._services.clusters.fields_of(cluster.id)}
            _log.warning("topic ids are not known yet", extra=extra)

    def _learn_soon(self, zones: Collection[str]) -> None:
        """Of clusters that have answered; the others' are learnt when they do."""
        for cluster in self._services.clusters:
            if cluster.cluster_id and self._services.zones.topics(cluster.id, zones):
                self._spawn(self._learn_topic_ids(cluster, zones), "learn topic ids")

    def _learn_missed_ids(self, now: float) -> None:
        """A topic that was created since: its metadata may have passed through another process of this gateway."""
        if self._services.zones.missed_ids and now - self._learnt_at > LEARN_SECONDS:
            self._learnt_at = now
            self._learn_soon(self._services.zones.take_missed())

    async def _open_ports(self, cluster: str, broker_ids: Iterable[int]) -> None:
        """A broker that has joined later gets its port; until it is open, no client hears of the broker."""
        try:
            await self._services.routing.open(cluster, broker_ids)
            self._unopened.pop(cluster, None)
        except ListenError as error:
            self._unopened[cluster] = str(error)
            _log.error("no port for a broker", extra={"event": "broker_unmapped", "problem": str(error)})

    def _accept(self, listener: Listener, node: Node | None) -> Door:
        return Door(self._services, listener, node)

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
            self._note_expiries()
            for session in list(self._services.sessions):
                session.check_deadlines(now)
            self._services.admission.report(now)
            self._learn_missed_ids(now)
            self._throttled.tick()
            self.audit.tick()

    def _note_expiries(self) -> None:
        """Before sessions that lose their credential by it are ended."""
        for credential in self._expiries.passed(time()):
            using = [each for each in self._services.sessions if each.credential_id == credential.id]
            self.audit.credential_expired(credential, sum(not each.closed for each in using))

    def _counts(self) -> Mapping[str, int]:
        zones = self._services.zones
        return {"zones": len(zones.served), "credentials": len(zones.credentials)}

    def apply(self, zones: Sequence[Zone], credentials: Sequence[Credential]) -> None:
        """Serve these from now on. Sessions that lost a right or their credential are ended; others go on."""
        self._note_expiries()
        changes = self._services.zones.apply(zones, credentials)
        self._expiries.apply(changes.credentials.before, changes.credentials.after, time())
        ended_zones, ended_credentials = self._end_sessions(changes)
        self.audit.zones_changed(zone_changes(changes.zones_before, changes.zones_after), ended_zones)
        before, after = changes.credentials.before, changes.credentials.after
        self.audit.credentials_changed(credential_changes(before, after), ended_credentials)
        self._throttled.tick()
        if self._started and changes.zones_after:
            self._learn_soon([zone.name for zone in changes.zones_after])

    def _end_sessions(self, changes: Changes) -> tuple[Counter[str], Counter[str]]:
        """How many have lost their zone's rights, and how many their credential, by their names."""
        ended_zones, ended_credentials = Counter[str](), Counter[str]()
        revoked, changed = changes.revoked_credentials, {zone.name for zone in changes.zones_after}
        concerned = changes.shrunken_zones or revoked or changed
        for session in list(self._services.sessions) if concerned else ():
            if session.zone_name in changes.shrunken_zones:
                ended_zones[session.zone_name] += not session.closed
                session.close(CloseReason.ZONE_CHANGED, "the zone was changed or removed")
            elif session.credential_id in revoked:
                ended_credentials[session.credential_id] += not session.closed
                session.close(CloseReason.CREDENTIAL_REVOKED, f"credential {session.credential_id} was removed")
            elif session.zone_name in changed:
                session.apply_limits()
        return ended_zones, ended_credentials

    def use_cluster_tls(self, cluster: str, context: ssl.SSLContext | None) -> None:
        """New connections to this cluster's brokers are opened with it; those that exist keep theirs."""
        self._services.clusters[cluster].upstream.context = context

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
        await self._see_them_gone()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._throttled.finish()
        self.audit.finish()
        self.audit.write("gateway_stop", {})
        _log.info("stopped", extra={"event": "stopped"})

    async def _see_them_gone(self) -> None:
        """What was cut off ends in a later turn of the event loop, and leaves its line then."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CUT_OFF_SECONDS):
                await self._services.all_closed()
