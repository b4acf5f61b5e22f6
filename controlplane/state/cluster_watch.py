"""Looks, again and again, whether clusters are in reach and whether zones' backing topics exist there."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from time import monotonic
from typing import Final, Protocol

from controlplane.state.status import ClusterReport
from protocol.errors import ProtocolError

LOOK_SECONDS: Final = 5.0
"""Between two looks at topics that were missing, and at all where there are few."""

TOPICS_PER_SECOND: Final = 1000
"""Of a look at all, or at many that were missing: a hundred thousand are looked at every 100 s, and cost nobody
anything. Those that nobody has looked at yet don't wait."""

TURN_TOPICS: Final = 5000
"""That are gathered before others have a turn: a millisecond."""


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
        self._wanted: Sequence[str] = ()
        self._stale = True
        self._looked_at_all = self._looked_for_missing = float("-inf")
        self.report: ClusterReport | None = None

    def soon(self) -> None:
        """Zones have changed."""
        self._stale = True
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
        wanted = await self._gathered()
        known = self.report.topics if self.report is not None else {}
        asked = self._asked(wanted, known)
        if wanted and not asked:
            return
        try:
            found = await self._cluster.topic_ids(asked)
        except (OSError, TimeoutError, ProtocolError) as error:
            self.report = ClusterReport(str(error) or "the brokers did not answer in time", known)
            return
        if len(asked) == len(wanted):
            self._looked_at_all = monotonic()
        looked = {topic: topic in found for topic in asked}
        self.report = ClusterReport("", {topic: looked.get(topic, known.get(topic, False)) for topic in wanted})

    async def _gathered(self) -> Sequence[str]:
        if self._stale:
            self._stale = False  # what changes meanwhile is gathered next time
            self._wanted = await _each_once(self._topics())
        return self._wanted

    def _asked(self, wanted: Sequence[str], known: Mapping[str, bool]) -> Sequence[str]:
        """Those that it is time to look at."""
        now = monotonic()
        failed = self.report is not None and self.report.problem
        if failed or now - self._looked_at_all >= max(LOOK_SECONDS, len(wanted) / TOPICS_PER_SECOND):
            self._looked_for_missing = now
            return wanted
        new = [topic for topic in wanted if topic not in known]
        missing = [topic for topic in wanted if known.get(topic) is False]
        if now - self._looked_for_missing < len(missing) / TOPICS_PER_SECOND:
            return new
        self._looked_for_missing = now
        return [*new, *missing]


async def _each_once(topics: Iterable[str]) -> Sequence[str]:
    found: dict[str, None] = {}
    rest = iter(topics)
    while turn := list(islice(rest, TURN_TOPICS)):
        found.update(dict.fromkeys(turn))
        await asyncio.sleep(0)
    return list(found)
