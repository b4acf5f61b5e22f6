"""What the gateway knows of a Kafka cluster: brokers, their versions, the cluster's id, and whether it answers.

One connection of its own asks every few seconds; sessions ask for a look when a broker's answer names a broker that is
not known here.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from protocol import api_versions
from protocol.errors import ProtocolError
from protocol.schema import Message, request_struct
from protocol.topic_listing import METADATA_KEY, METADATA_VERSION, ListedTopic, listed_topics
from proxy.broker import BrokerConnection, connect
from proxy.broker_login import Upstream
from proxy.config import ClusterConfig
from proxy.flow import ReadGate, Share
from proxy.metrics import GatewayMetrics

_log = logging.getLogger("zonegate.cluster")

REFRESH_SECONDS: Final = 5.0
"""How often the cluster is asked, and so how soon `/health/ready` notices that it is gone."""

RETRY_SECONDS: Final = 1.0
TOPICS_PER_REQUEST: Final = 500
"""Each costs some 40 microseconds to read, and nobody else is served meanwhile."""
LISTED_PER_TURN: Final = 200
"""Topics whose names are read before others have a turn: a millisecond, with a dozen partitions each."""

Address = tuple[str, int]


class Cluster:
    """Started with `run`; everything else answers from memory."""

    def __init__(self, config: ClusterConfig, share: Share, metrics: GatewayMetrics) -> None:
        self.id = config.id
        self.brokers: Mapping[int, Address] = {}
        self.cluster_id = ""
        """Kafka's own; empty until the cluster has answered for the first time."""
        self.reachable = False
        self.problem = "not asked yet"
        self.versions: dict[int, api_versions.BrokerVersions] = {}
        self.on_brokers: Callable[[Iterable[int]], Awaitable[None]] | None = None
        self.upstream = Upstream(config, metrics)
        metrics.upstream_reachable[config.id] = False
        self._config = config
        self._share = share
        self._metrics = metrics
        self._connection: BrokerConnection | None = None
        self._opening = asyncio.Lock()
        self._wake = asyncio.Event()

    def candidates(self, broker_id: int | None) -> list[Address]:
        """Where to connect for a session of this broker's port; on the bootstrap port any broker will do."""
        if broker_id is not None:
            return [self.brokers[broker_id]] if broker_id in self.brokers else []
        addresses = list(self.brokers.values())
        random.shuffle(addresses)
        return addresses

    def broker_at(self, address: Address) -> int | None:
        return next((broker_id for broker_id, known in self.brokers.items() if known == address), None)

    def versions_for(self, broker_id: int | None) -> api_versions.BrokerVersions:
        """What a broker offers; for the bootstrap port, and while unknown, what all known brokers offer."""
        known = self.versions.get(broker_id) if broker_id is not None else None
        return known if known is not None else api_versions.common_versions(self.versions.values())

    def saw_brokers(self, broker_ids: Sequence[int]) -> None:
        """A broker told of these; unknown ones are looked up soon."""
        if any(broker_id not in self.brokers for broker_id in broker_ids):
            self.refresh_soon()

    def refresh_soon(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Ask again and again, until cancelled."""
        try:
            while True:
                await self.refresh()
                await self._pause(REFRESH_SECONDS if self.reachable else RETRY_SECONDS)
        finally:
            if self._connection is not None:
                self._connection.abort()

    async def _pause(self, seconds: float) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def refresh(self) -> None:
        """Ask once; the outcome is in `reachable` and `problem`."""
        try:
            metadata = await self._ask_metadata(())
            await self._take(metadata)
            self._set_reachable(True, "")
        except (OSError, TimeoutError, ProtocolError) as error:
            if self._connection is not None:
                self._connection.abort()
                self._connection = None
            self._set_reachable(False, str(error) or type(error).__name__)

    def _set_reachable(self, reachable: bool, problem: str) -> None:
        if reachable != self.reachable or (not reachable and problem != self.problem):
            log = _log.info if reachable else _log.warning
            extra = {"event": "upstream", "reachable": reachable, "problem": problem}
            log(
                "the Kafka cluster answers" if reachable else "the Kafka cluster is out of reach",
                extra={**extra, "cluster": self.id} if self.id else extra,
            )
        self.reachable, self.problem = reachable, problem
        self._metrics.upstream_reachable[self.id] = reachable

    async def _take(self, metadata: Any) -> None:
        self.cluster_id = metadata.cluster_id or ""
        brokers = {broker.node_id: (broker.host, broker.port) for broker in metadata.brokers}
        # a broker that was away may come back upgraded: it is asked anew
        self.versions = {broker_id: known for broker_id, known in self.versions.items() if broker_id in brokers}
        for broker_id in brokers.keys() - self.versions.keys():
            await self._learn_versions(broker_id, brokers[broker_id])
        self.brokers = brokers
        if self.on_brokers is not None:
            await self.on_brokers(brokers)

    async def _learn_versions(self, broker_id: int, address: Address) -> None:
        try:
            connection = await self._open(address)
        except (OSError, TimeoutError, ProtocolError) as error:
            extra = {"event": "broker_unreachable", "broker": broker_id, "problem": str(error)}
            _log.warning("a broker does not answer", extra=extra)
            return
        self.versions[broker_id] = connection.versions
        connection.abort()

    async def topic_ids(self, topics: Sequence[str]) -> dict[str, bytes]:
        """The ids of those topics that exist. Raises OSError, TimeoutError, ProtocolError."""
        found: dict[str, bytes] = {}
        async for asked, answers in self._look_up(topics):
            told = {topic.name: topic.topic_id for topic in answers if not topic.error_code}
            # under the names that are in memory already
            found.update((topic, told[topic]) for topic in asked if topic in told)
        return found

    async def topic_errors(self, topics: Sequence[str]) -> dict[str, int]:
        """The cluster's answers in place of those topics that it doesn't show. Raises the same."""
        return {
            topic.name: topic.error_code
            async for _, answers in self._look_up(topics)
            for topic in answers
            if topic.error_code
        }

    async def _look_up(self, topics: Sequence[str]) -> AsyncIterator[tuple[Sequence[str], Sequence[Any]]]:
        """So many at a time, with what the cluster tells of them."""
        for start in range(0, len(topics), TOPICS_PER_REQUEST):
            asked = topics[start : start + TOPICS_PER_REQUEST]
            yield asked, (await self._ask_metadata(asked)).topics

    async def all_topics(self) -> AsyncIterator[Sequence[ListedTopic]]:
        """Those that the cluster shows, some at a time. Raises the same."""
        connection = await self._connected()
        body = await connection.request_unread(METADATA_KEY, METADATA_VERSION, _metadata_request(None))
        topics = listed_topics(body)
        while turn := list(islice(topics, LISTED_PER_TURN)):
            yield turn
            await asyncio.sleep(0)

    async def _ask_metadata(self, topics: Sequence[str]) -> Any:
        connection = await self._connected()
        return await connection.request(METADATA_KEY, METADATA_VERSION, _metadata_request(topics))

    async def _connected(self) -> BrokerConnection:
        async with self._opening:
            if self._connection is None or self._connection.closed:
                self._connection = await self._open_any()
            return self._connection

    async def _open_any(self) -> BrokerConnection:
        addresses = [*self.candidates(None), *self._config.bootstrap_servers]
        problems = []
        for address in dict.fromkeys(addresses):
            try:
                return await self._open(address)
            except (OSError, TimeoutError, ProtocolError) as error:
                problems.append(f"{address[0]}:{address[1]}: {str(error) or type(error).__name__}")
        raise OSError("; ".join(problems))

    async def _open(self, address: Address) -> BrokerConnection:
        return await connect(address, self.upstream, lambda _reason, _detail: None, ReadGate(), self._share)


def _metadata_request(topics: Sequence[str] | None) -> Message:
    """None asks for all."""
    struct = request_struct(METADATA_KEY, METADATA_VERSION)
    entry = struct.nested("topics")
    named = tuple(entry.new(name=topic) for topic in topics) if topics is not None else None
    return struct.new(topics=named, allow_auto_topic_creation=False)


class BrokerView:
    """The cluster as the handlers of one connection see it."""

    __slots__ = ("_cluster", "_versions")

    def __init__(self, cluster: Cluster, broker: BrokerConnection) -> None:
        self._cluster = cluster
        self._versions = broker.versions.apis

    def version_range(self, api_key: int) -> tuple[int, int]:
        return self._versions[api_key]

    def offers(self, api_key: int) -> bool:
        return api_key in self._versions

    def saw_brokers(self, broker_ids: Sequence[int]) -> None:
        self._cluster.saw_brokers(broker_ids)
