"""A state topic in memory, that several nodes write: each reads it when it is told to, or when it has written."""

from collections.abc import Sequence

from controlplane.state.api_keys import ApiKeys
from controlplane.state.liveness import Liveness
from controlplane.state.log import StateLog
from controlplane.state.records import GatewayRecord, ZoneRecord, read_record
from controlplane.state.status import ClusterReport
from controlplane.state.writer import Write
from controlplane.state.zone_store import Surroundings, ZoneStore
from controlplane.zone_service import Unavailable
from proxy.config import ClusterConfig, GatewayConfig, ListenerConfig
from tests.unit.controlplane.state.edits import Topic

KEY = "a-key-to-begin-with"


def gateway_record(applied: int, **fields: object) -> GatewayRecord:
    known = {"gateway": "g1", "worker": None, "host": "h", "version": "1", "started": "2025-01-27T12:55:05Z"}
    numbers = {"applied": applied, "zones": 1, "connections": 0}
    return GatewayRecord(**{**known, **numbers, **fields})  # type: ignore[arg-type]


class Node:
    """One console's process."""

    name = "_zonegate"
    is_loaded = True

    def __init__(self, topic: Topic, clusters: tuple[str, ...] | None = None, admin: str | None = None) -> None:
        self.topic = topic
        self.log = StateLog()
        self.problem = ""
        self.now = 0.0
        self.reports: dict[str, ClusterReport] = {}
        self.cluster_topics: dict[str, Sequence[str]] = {}
        self.cluster_error: Exception | None = None
        self.liveness = Liveness(self.log, lambda: self.now)
        config = GatewayConfig(
            listeners=(ListenerConfig(advertised_host="gateway.example.com"),),
            clusters=(ClusterConfig(bootstrap_servers=(("broker", 9092),)),),
        )
        keys = ApiKeys(self.log, self, KEY)
        around = Surroundings(config, clusters, admin, lambda name: self.reports.get(name), self._topics)
        self.store = ZoneStore(self, self, self.liveness, keys, around)

    async def _topics(self, cluster: str) -> Sequence[str]:
        if self.cluster_error is not None:
            raise self.cluster_error
        return self.cluster_topics[cluster]

    def read(self) -> None:
        for offset, key, value in self.topic.records:
            if offset > self.log.offset and self.log.apply(offset, key, value) == "gateway":
                self.liveness.saw(key)

    def hear(self, record: GatewayRecord) -> None:
        self.topic.append(record.key, record.value())
        self.read()

    async def write(self, *writes: Write) -> Sequence[bool]:
        if self.problem:
            raise Unavailable(self.problem)
        outcomes = []
        for write in writes:
            self.topic.append(write.key, write.value)
            self.read()
            record = read_record(write.key, write.value) if write.value is not None else None
            outcomes.append(self.log.in_force(record) if isinstance(record, ZoneRecord) else True)
        return outcomes

    async def sweep(self, forgotten: Sequence[bytes] = ()) -> None:
        first, then = self.log.garbage()
        for key in (*forgotten, *first, *then):
            self.topic.append(key, None)
        self.read()
