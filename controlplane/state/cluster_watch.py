"""Looks, again and again, whether clusters are in reach and whether zones' backing topics exist there."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic
from typing import Final, Protocol

from controlplane.state.status import ClusterReport
from protocol.errors import ProtocolError

LOOK_SECONDS: Final = 5.0
"""Between two looks at topics that were missing, and at all where there are few."""

TOPICS_PER_SECOND: Final = 1000
"""Of a look at all: a hundred thousand are looked at every 100 s, and cost nobody anything."""


class Lookup(Protocol):
    """A cluster, of which `proxy.cluster.Cluster` is one."""

    async def topic_ids(self, topics: Sequence[str]) -> Mapping[str, bytes]:
        """Of those that exist. Raises OSError, TimeoutError, ProtocolError."""
        ...


class ClusterWatch:
    """`run` it; `report` answers from memory."""

    def __init__(self, cluster: Lookup, topics: Callable[[], Iterable[str]]) -> None:
        """`topics` are those that zones on this cluster share."""
        self._cluster = cluster
        self._topics = topics
        self._due = asyncio.Event()
        self._looked_at_all = float("-inf")
        self.report: ClusterReport | None = None

    def soon(self) -> None:
        """Zones have changed."""
        self._due.set()

    async def run(self) -> None:
        while True:
            await self._look()
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._due.wait()
            except TimeoutError:
                pass
            self._due.clear()

    async def _look(self) -> None:
        wanted = list(dict.fromkeys(self._topics()))
        known = self.report.topics if self.report is not None else {}
        everything = monotonic() - self._looked_at_all >= max(LOOK_SECONDS, len(wanted) / TOPICS_PER_SECOND)
        asked = wanted if everything else [topic for topic in wanted if not known.get(topic)]
        if wanted and not asked:
            return
        try:
            found = await self._cluster.topic_ids(asked)
        except (OSError, TimeoutError, ProtocolError) as error:
            self.report = ClusterReport(str(error) or "the brokers did not answer in time", known)
            return
        if everything:
            self._looked_at_all = monotonic()
        looked = {topic: topic in found for topic in asked}
        self.report = ClusterReport("", {topic: looked.get(topic, known.get(topic, False)) for topic in wanted})
