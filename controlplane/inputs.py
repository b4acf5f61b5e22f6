"""What a gateway is made from: its settings, what they name, and the desired state, from files or the state topic."""

import asyncio
import contextlib
import logging
import os
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Self

from controlplane.activity.teller import Teller
from controlplane.activity.topic import ActivityTopic
from controlplane.audit_log import open_audit_log
from controlplane.authentication_modes import unusable_modes
from controlplane.cluster_tls_files import ClusterTls
from controlplane.descriptors import PER_CLIENT, RESERVED, clients_that_fit, raise_limit
from controlplane.desired import Desired, FilesDesired
from controlplane.settings import Settings, load_settings
from controlplane.state.client import Identity, StateClient, new_gateway_id
from controlplane.state.desired import TopicDesired
from controlplane.state.metrics import StateMetrics
from controlplane.state.topic import StateTopic
from controlplane.watch import DesiredState
from controlplane.yaml_source import read_text
from proxy.audit import Sink
from proxy.config import GatewayConfig
from proxy.gateway import Gateway
from proxy.routing import Claim

logger = logging.getLogger("zonegate.serve")


@dataclass(frozen=True, slots=True)
class Sources:
    """Where everything comes from. `text` is what the settings file held at the start: later edits of it count from
    the next start on, also for a worker that is started anew."""

    config: FilePath | None
    text: str | None
    zones: FilePath | None
    """A folder of manifests; None is the state topic."""
    gateway: str
    """What the gateway calls itself in the state topic, all its workers alike."""

    @classmethod
    def read(cls, config: FilePath | None, zones: FilePath | None) -> Self:
        """Raises ConfigurationError."""
        text = read_text(config, str(config)) if config is not None else None
        return cls(config, text, zones, new_gateway_id())

    def settings(self) -> Settings:
        return load_settings(self.config, os.environ, self.text)


class Inputs:
    """All that a gateway is made from. Raises ConfigurationError."""

    def __init__(self, settings: Settings, sources: Sources, shared: bool = False, worker: int | None = None) -> None:
        """`shared` with other processes of this gateway, of which this is `worker`."""
        self.settings = settings
        source = str(sources.config or "environment")
        self.cluster_tls = [ClusterTls(each.cluster_config(), source, at) for at, each in settings.all_clusters()]
        self.state = self._state_client() if sources.zones is None else None
        self.activity = self._activity_topic()
        """Used where the state topic is."""
        self.desired = self._desired(sources, worker)
        self.audit_log = open_audit_log(settings.audit, shared, worker)

    def _state_client(self) -> StateClient:
        """It is on the first cluster."""
        cluster, tls = self.settings.gateway_config().clusters[0], self.cluster_tls[0]
        return StateClient(StateTopic(self.settings.state_topic, cluster, lambda: tls.context))

    def _activity_topic(self) -> ActivityTopic:
        """Beside it."""
        cluster, tls = self.settings.gateway_config().clusters[0], self.cluster_tls[0]
        return ActivityTopic(self.settings.state_topic, cluster, lambda: tls.context)

    def _desired(self, sources: Sources, worker: int | None) -> Desired:
        settings = self.settings
        admin = settings.passthrough.username if settings.passthrough is not None else None
        unusable = unusable_modes(settings.gateway_config())
        if self.state is not None:
            identity = Identity(sources.gateway, worker)
            return TopicDesired(self.state, identity, admin, unusable, Teller(self.activity, identity))
        assert sources.zones is not None, "one or the other"
        file = settings.credentials_file
        return FilesDesired(DesiredState(sources.zones, file, settings.cluster_ids(), admin, unusable), file)

    def writing(self) -> contextlib.AbstractContextManager[object]:
        """While the audit log is written."""
        return self.audit_log if self.audit_log is not None else contextlib.nullcontext()

    @property
    def audit_sink(self) -> Sink | None:
        return self.audit_log.append if self.audit_log is not None else None

    def gateway(self, claim: Claim | None = None) -> Gateway:
        config = _fit_descriptors(self.settings.gateway_config())
        gateway = Gateway(config, self.desired.zones, self.desired.credentials, self.audit_sink, claim)
        gateway.waits_for = self.desired.why_not_loaded
        if self.audit_log is not None:
            gateway.metrics.registry.register(self.audit_log)
        if self.state is not None:
            gateway.metrics.registry.register(StateMetrics(self.state.follower))
        return gateway

    @contextlib.asynccontextmanager
    async def following_cluster_tls(self, *users: Callable[[str, ssl.SSLContext | None], None]) -> AsyncIterator[None]:
        """These are given a cluster's id and its new context. The state topic's clients take it by themselves."""

        def use(cluster: str, context: ssl.SSLContext | None) -> None:
            for each in users:
                each(cluster, context)

        following = [asyncio.create_task(tls.follow(use), name="follow cluster TLS") for tls in self.cluster_tls]
        try:
            yield
        finally:
            for each in following:
                each.cancel()
            await asyncio.gather(*following, return_exceptions=True)


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
