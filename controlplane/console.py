"""The console of a control plane: its REST API and its pages, over the state topic, in a gateway's process or in one of
its own."""

import asyncio
import contextlib
import logging
import signal
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path as FilePath
from typing import Final

import uvloop

from controlplane.activity.reader import ActivityReader
from controlplane.activity.topic import ActivityTopic
from controlplane.api.app import create_api
from controlplane.api.audit import AuditLog
from controlplane.http import AdminServer
from controlplane.inputs import Inputs, Sources
from controlplane.logs import configure_logging
from controlplane.pages.app import Site, create_pages
from controlplane.pages.rendering import prepare_templates
from controlplane.pages.sign_in import Admin
from controlplane.process import alongside, handle_signals, start_admin
from controlplane.settings import Settings
from controlplane.start_errors import StartError
from controlplane.state.api_keys import ApiKeys
from controlplane.state.client import StateClient
from controlplane.state.cluster_watch import ClusterWatch
from controlplane.state.status import ClusterReport
from controlplane.state.topic import UnusableTopic
from controlplane.state.topic_names import TopicNames
from controlplane.state.zone_store import Surroundings, ZoneStore
from proxy.audit import Audit
from proxy.cluster import Cluster
from proxy.flow import MemoryBudget
from proxy.metrics import GatewayMetrics

logger = logging.getLogger("zonegate.console")

TIDY_SECONDS: Final = 3600.0
"""Between two looks for what nothing needs any more, where nobody edits anything."""


class Console:
    """Serves while a process runs. `serving` is for one whose gateway reads the state topic, `alone` for others."""

    def __init__(self, settings: Settings, client: StateClient, activity: ActivityTopic, audit: AuditLog) -> None:
        self._settings = settings
        self._client = client
        config = settings.gateway_config()
        metrics, share = GatewayMetrics(), MemoryBudget(config.limits.assembly_bytes).share("")
        self._clusters = {each.id: Cluster(each, share, metrics) for each in config.clusters}
        self._watches = {
            name: ClusterWatch(_Looked(cluster), partial(self._topics, name))
            for name, cluster in self._clusters.items()
        }
        self._names = {name: TopicNames(cluster) for name, cluster in self._clusters.items()}
        around = Surroundings(
            config=config,
            clusters=settings.cluster_ids(),
            admin=settings.passthrough.username if settings.passthrough is not None else None,
            report=self._report,
            topics=lambda name: self._names[self._cluster(name)].sorted(),
        )
        key = settings.console.api_key
        assert key is not None, "checked at the start"
        keys = ApiKeys(client.log, client.writer, key.get_secret_value())
        self.service = ZoneStore(client.follower, client.writer, client.liveness, keys, around)
        self.activity = ActivityReader(activity, self._living)
        admin = settings.console.admin
        login = Admin(admin.username, admin.password.get_secret_value()) if admin is not None else None
        pages = create_pages(self.service, self.activity, audit, key.get_secret_value(), login)
        self._app = Site(create_api(self.service, audit), pages)

    def _living(self) -> Iterator[tuple[str, int | None]]:
        return ((each.record.gateway, each.record.worker) for each in self._client.liveness.live())

    def _cluster(self, name: str) -> str:
        """The id of the cluster that a zone means by this name; a single one without an id serves all."""
        return name if name in self._watches else ""

    def _topics(self, cluster: str) -> Iterator[str]:
        for zone in list(self._client.log.zones.values()):
            if self._cluster(zone.resource.spec.cluster) == cluster:
                yield from (topic.backing_topic for topic in zone.resource.spec.topics)

    def _report(self, name: str) -> ClusterReport | None:
        watch = self._watches.get(self._cluster(name))
        return watch.report if watch is not None else ClusterReport("it is not configured")

    @contextlib.asynccontextmanager
    async def serving(self, stopping: asyncio.Event) -> AsyncIterator[AdminServer]:
        """Raises StartError."""
        server = start_admin(self._app, self._settings.console.listen, "console.listen")
        extra = {"event": "console_ready", "listen": str(self._settings.console.listen)}
        logger.info("the console is ready", extra=extra)
        closing = asyncio.create_task(_close(server, stopping), name="close the REST API")
        preparing = asyncio.create_task(asyncio.to_thread(prepare_templates), name="prepare the pages")
        try:
            async with alongside(self._look_after(), "looking after the clusters", stopping):
                yield server
        finally:
            closing.cancel()
            preparing.cancel()
            await server.stop()

    @contextlib.asynccontextmanager
    async def alone(self, stopping: asyncio.Event) -> AsyncIterator[AdminServer]:
        """The same, and reads the state topic. Raises StartError."""
        try:
            async with (
                self.serving(stopping) as server,
                alongside(self._follow(), "following the state topic", stopping),
            ):
                yield server
        finally:
            await self._client.close()

    async def _follow(self) -> None:
        try:
            await self._client.follow()
        except UnusableTopic as error:
            raise StartError(str(error)) from None

    async def _look_after(self) -> None:
        await self._client.follower.loaded()
        for watch in self._watches.values():
            self._client.follower.on_change.append(watch.soon)
        async with asyncio.TaskGroup() as tasks:
            for name, watch in self._watches.items():
                tasks.create_task(watch.run(), name=f"look at cluster {name}".rstrip())
            tasks.create_task(self._tidy(), name="remove what nothing needs")
            tasks.create_task(self.activity.run(), name="read what partners do")

    async def _tidy(self) -> None:
        """Gateways that end without a word leave their records, although nobody edits anything."""
        while True:
            self.service.sweep_soon()
            await asyncio.sleep(TIDY_SECONDS)

    def use_cluster_tls(self, cluster: str, context: ssl.SSLContext | None) -> None:
        """New connections to this cluster's brokers are opened with it."""
        self._clusters[cluster].upstream.context = context


async def _close(server: AdminServer, stopping: asyncio.Event) -> None:
    """As soon as the process begins to stop: what is asked for later could not be done."""
    await stopping.wait()
    await server.stop()


def console_of(inputs: Inputs, audit: AuditLog) -> Console | None:
    """Of a process with these inputs; None where the desired state is in files. Raises StartError."""
    if inputs.state is None:
        return None
    if inputs.settings.console.api_key is None:
        raise StartError(
            "console.api_key is missing: the REST API needs a key to begin with. Set it, for example to what 'openssl "
            "rand -hex 24' prints (the variable is ZONEGATE_CONSOLE_API_KEY); or serve a folder of manifests with "
            "--zones, or a gateway without the API with 'zonegate gateway'"
        )
    return Console(inputs.settings, inputs.state, inputs.activity, audit)


async def _run(inputs: Inputs) -> None:
    stopping = asyncio.Event()
    handle_signals(stopping, (signal.SIGTERM, signal.SIGINT))
    audit = Audit(inputs.audit_sink)
    console = console_of(inputs, audit)
    assert console is not None, "it has no zones folder"
    try:
        async with inputs.following_cluster_tls(console.use_cluster_tls), console.alone(stopping):
            await stopping.wait()
            logger.info("stopping", extra={"event": "stopping"})
    finally:
        audit.finish()
        logger.info("stopped", extra={"event": "stopped"})


def run(config: FilePath | None) -> None:
    """`zonegate console`: serves the API until a signal. Raises ConfigurationError or StartError."""
    sources = Sources.read(config, None)
    inputs = Inputs(sources.settings(), sources)
    configure_logging(inputs.settings.log)
    with inputs.writing():
        uvloop.run(_run(inputs))


class _Looked:
    """A cluster that nobody else looks at."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def topic_errors(self, topics: Sequence[str]) -> Mapping[str, int]:
        await self._cluster.refresh()
        if not self._cluster.reachable:
            raise OSError(self._cluster.problem)
        return await self._cluster.topic_errors(topics)
