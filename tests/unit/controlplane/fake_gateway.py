"""A gateway that serves nobody: what the control plane sees of one, under the test's control."""

import asyncio
from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter

from controlplane.passthrough_http import TokenIssuer
from policies.credentials import Credential
from policies.zone import Zone
from proxy.activity import ActivityNotes
from proxy.activity_news import ActivityCollector
from proxy.audit import Audit
from proxy.metrics import GatewayMetrics
from proxy.tls import ServerTls
from proxy.zones import ZoneRegistry


class FakeMetrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        Counter("zonegate_requests", "Requests.", registry=self.registry).inc(3)


class FakeGateway:
    """Starts when `reachable` is set, and remembers what it was told."""

    def __init__(self) -> None:
        self.metrics = FakeMetrics()
        self.reachable = asyncio.Event()
        self.start_error: Exception | None = None
        self.ready = False
        self.passthrough: TokenIssuer | None = None
        self.activity = ActivityCollector(ActivityNotes(), (), ZoneRegistry(GatewayMetrics()))
        self.audit = Audit(self._note)
        self.audited: list[Mapping[str, object]] = []
        self.stopped = False
        self.shown: asyncio.Queue[Mapping[str, ServerTls]] = asyncio.Queue()
        self.applied: asyncio.Queue[tuple[Sequence[Zone], Sequence[Credential]]] = asyncio.Queue()

    def _note(self, line: Mapping[str, object]) -> None:
        self.audited.append(line)

    async def start(self) -> None:
        if self.start_error is not None:
            raise self.start_error
        await self.reachable.wait()
        self.ready = True

    async def stop(self) -> None:
        self.ready = False
        self.stopped = True

    def why_not_ready(self) -> str:
        return "" if self.ready else "no broker answers"

    @property
    def connections(self) -> int:
        return 0

    def cluster_problems(self) -> Mapping[str, str]:
        return {"": "" if self.ready else "no broker answers"}

    def zone_problems(self) -> Mapping[str, str]:
        return {}

    def credentials_used(self) -> Mapping[str, float]:
        return {"one": 1737982505.0}

    def apply(self, zones: Sequence[Zone], credentials: Sequence[Credential]) -> None:
        self.applied.put_nowait((zones, credentials))

    def use_tls(self, tls: Mapping[str, ServerTls]) -> None:
        self.shown.put_nowait(tls)
