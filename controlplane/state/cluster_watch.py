"""Looks, again and again, whether clusters are in reach and whether zones' backing topics exist there."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from itertools import islice
from time import monotonic
from typing import Final, Protocol

from controlplane.state.status import ClusterReport
from protocol.errors import ProtocolError

LOOK_SECONDS: Final = 5.0
"""Between two looks at topics that zones have shared for long, and at those that were missing."""

LOOK_TOPICS: Final = 5000
"""Of these, at one look: a hundred thousand take their turns within 100 s. Those that are new don't wait."""

ASKED_TOPICS: Final = 250
"""At a time: their answer is read in ten milliseconds, and nobody else is served meanwhile."""

PAUSE: Final = 3.0
"""Between two such questions, for each second that the last one took: others have most of the time."""

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
        self._looked_at = float("-inf")
        self._position = 0
        """Of the topic whose turn is next."""
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
            found = await self._ask(asked)
        except (OSError, TimeoutError, ProtocolError) as error:
            self.report = ClusterReport(str(error) or "the brokers did not answer in time", known)
            return
        topics = {**known, **{topic: topic in found for topic in asked}}
        if len(topics) != len(wanted):
            topics = {topic: topics[topic] for topic in wanted}
        self.report = ClusterReport("", topics)

    async def _ask(self, topics: Sequence[str]) -> Set[str]:
        """Those that exist. Of no topics, only that the cluster is in reach."""
        found: set[str] = set()
        took = 0.0
        for start in range(0, max(1, len(topics)), ASKED_TOPICS):
            if start:
                await asyncio.sleep(PAUSE * took)
            began = monotonic()
            found.update(await self._cluster.topic_ids(topics[start : start + ASKED_TOPICS]))
            took = monotonic() - began
        return found

    async def _gathered(self) -> Sequence[str]:
        if self._stale:
            self._stale = False  # what changes meanwhile is gathered next time
            self._wanted = await _each_once(self._topics())
        return self._wanted

    def _asked(self, wanted: Sequence[str], known: Mapping[str, bool]) -> Sequence[str]:
        """Those that it is time to look at."""
        asked = dict.fromkeys(topic for topic in wanted if topic not in known)
        missing = [topic for topic in wanted if known.get(topic) is False]
        if len(missing) <= LOOK_TOPICS:
            asked.update(dict.fromkeys(missing))
        failed = self.report is not None and self.report.problem
        if failed or monotonic() - self._looked_at >= LOOK_SECONDS:
            self._looked_at = monotonic()
            asked.update(dict.fromkeys(self._next(wanted)))
        return list(asked)

    def _next(self, wanted: Sequence[str]) -> Sequence[str]:
        """Those whose turn it is, of all."""
        start = self._position if self._position < len(wanted) else 0
        self._position = start + LOOK_TOPICS
        return wanted[start : self._position]


async def _each_once(topics: Iterable[str]) -> Sequence[str]:
    found: dict[str, None] = {}
    rest = iter(topics)
    while turn := list(islice(rest, TURN_TOPICS)):
        found.update(dict.fromkeys(turn))
        await asyncio.sleep(0)
    return list(found)
