"""All Kafka clusters of a gateway. They are followed apart: one that is out of reach keeps nobody else waiting."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from protocol.api_versions import BrokerVersions, common_versions
from proxy.cluster import RETRY_SECONDS, Cluster
from proxy.node import Node

MOMENT_SECONDS: Final = 2.0
"""That a start waits for the other clusters, once one has answered: so that after an ordinary start all are served."""


class Clusters:
    """By their ids, in the order of the settings."""

    def __init__(self, clusters: Sequence[Cluster]) -> None:
        self._by_id = {cluster.id: cluster for cluster in clusters}
        self._first = clusters[0]

    def __iter__(self) -> Iterator[Cluster]:
        return iter(self._by_id.values())

    def __getitem__(self, cluster_id: str) -> Cluster:
        return self._by_id[cluster_id]

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(self._by_id)

    @property
    def several(self) -> bool:
        return len(self._by_id) > 1

    @property
    def first(self) -> Cluster:
        """The one that admins see where nothing says which; its id is the gateway's own secret, too."""
        return self._first

    def versions_for(self, node: Node | None) -> BrokerVersions:
        """What a broker offers; on the bootstrap port, before anybody knows whose client it is, what all brokers of all
        clusters do, as far as they are known."""
        if node is not None:
            return self[node.cluster].versions_for(node.id)
        if not self.several:
            return self._first.versions_for(None)
        return common_versions(versions for cluster in self for versions in cluster.versions.values())

    def fields_of(self, cluster_id: str) -> Mapping[str, str]:
        """For log and audit lines: the cluster, where there are several."""
        return {"cluster": cluster_id} if self.several and cluster_id else {}

    # how they are

    @property
    def reachable(self) -> bool:
        """While at least one is."""
        return any(cluster.reachable for cluster in self)

    def problems(self) -> Mapping[str, str]:
        """Id -> why the cluster is out of reach, in plain words; empty when it isn't."""
        return {
            cluster.id: "" if cluster.reachable else f"the Kafka cluster does not answer: {cluster.problem}"
            for cluster in self
        }

    def why_unreachable(self) -> str:
        """Why none of them can be served."""
        if not self.several:
            return self.problems()[self._first.id]
        told = "; ".join(f"{cluster.id}: {cluster.problem}" for cluster in self)
        return f"no Kafka cluster answers: {told}"

    async def reach(self, spawn: "Callable[..., asyncio.Task[None]]") -> "Mapping[Cluster, asyncio.Task[None]]":
        """Returns when one has answered, or a moment later, for those that take as long. Each has a task that ends when
        it has answered."""
        tasks = {cluster: spawn(_reach(cluster), f"reach the cluster {cluster.id}".rstrip()) for cluster in self}
        done, waiting = await asyncio.wait(tasks.values(), return_when=asyncio.FIRST_COMPLETED)
        if waiting:
            done |= (await asyncio.wait(waiting, timeout=MOMENT_SECONDS))[0]
        for task in done:
            task.result()
        return tasks


async def _reach(cluster: Cluster) -> None:
    while not cluster.reachable:
        await cluster.refresh()
        if not cluster.reachable:
            await asyncio.sleep(RETRY_SECONDS)
