"""What a gateway is made from: its settings, and the files that they name."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path as FilePath

from controlplane.audit_log import open_audit_log
from controlplane.authentication_modes import unusable_modes
from controlplane.cluster_tls_files import ClusterTls
from controlplane.descriptors import PER_CLIENT, RESERVED, clients_that_fit, raise_limit
from controlplane.settings import Settings, load_settings
from controlplane.watch import DesiredState
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
    zones: FilePath

    def settings(self) -> Settings:
        return load_settings(self.config, os.environ, self.text)


class Inputs:
    """All that a gateway is made from. Raises ConfigurationError."""

    def __init__(self, settings: Settings, sources: Sources, shared: bool = False, worker: int | None = None) -> None:
        """`shared` with other processes of this gateway, of which this is `worker`."""
        self.settings = settings
        admin = settings.passthrough.username if settings.passthrough is not None else None
        unusable = unusable_modes(settings.gateway_config())
        self.desired = DesiredState(sources.zones, settings.credentials_file, settings.cluster_ids(), admin, unusable)
        source = str(sources.config or "environment")
        self.cluster_tls = [ClusterTls(each.cluster_config(), source, at) for at, each in settings.all_clusters()]
        self.audit_log = open_audit_log(settings.audit, shared, worker)

    def writing(self) -> contextlib.AbstractContextManager[object]:
        """While the audit log is written."""
        return self.audit_log if self.audit_log is not None else contextlib.nullcontext()

    @property
    def audit_sink(self) -> Sink | None:
        return self.audit_log.append if self.audit_log is not None else None

    def gateway(self, claim: Claim | None = None) -> Gateway:
        config = _fit_descriptors(self.settings.gateway_config())
        gateway = Gateway(config, self.desired.zones, self.desired.credentials, self.audit_sink, claim)
        if self.audit_log is not None:
            gateway.metrics.registry.register(self.audit_log)
        return gateway

    @contextlib.asynccontextmanager
    async def following_cluster_tls(self, gateway: Gateway) -> AsyncIterator[None]:
        following = [
            asyncio.create_task(tls.follow(gateway.use_cluster_tls), name="follow cluster TLS")
            for tls in self.cluster_tls
        ]
        try:
            yield
        finally:
            for each in following:
                each.cancel()
            for each in following:
                with contextlib.suppress(asyncio.CancelledError):
                    await each


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
