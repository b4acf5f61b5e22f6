"""Looks, again and again, whether clusters are in reach and whether zones' backing topics exist there."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from time import monotonic
from typing import Final, Protocol

from controlplane.state.status import ClusterReport
from protocol.error_codes import ErrorCode
from protocol.errors import ProtocolError

LOOK_SECONDS: Final = 5.0
"""Between two looks at topics that were missing, and at all where there are few."""

TOPICS_PER_SECOND: Final = 1000
"""Of a look at all: a hundred thousand are looked at every 100 s, and cost nobody anything."""


class Lookup(Protocol):
    """A cluster, of which `proxy.cluster.Cluster` is one."""

    async def topic_errors(self, topics: Sequence[str]) -> Mapping[str, int]:
        """Of those that it doesn't show. Raises OSError, TimeoutError, ProtocolError, also where there are none."""
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
        try:
            errors = await self._cluster.topic_errors(asked)  # of none, too: whether it is in reach is asked each time
        except (OSError, TimeoutError, ProtocolError) as error:
            problem = str(error) or "the brokers did not answer in time"
            self.report = ClusterReport(problem, known, self.report.hidden if self.report is not None else {})
            return
        if wanted and not asked and self.report is not None:
            self.report = replace(self.report, problem="")
            return
        if everything:
            self._looked_at_all = monotonic()
        # one that has no leader yet is there; those that are not are asked for each time
        looked = {topic: errors.get(topic, 0) in (0, ErrorCode.LEADER_NOT_AVAILABLE) for topic in asked}
        hidden = {topic: _name(code) for topic, code in errors.items() if code != ErrorCode.UNKNOWN_TOPIC_OR_PARTITION}
        topics = {topic: looked.get(topic, known.get(topic, False)) for topic in wanted}
        self.report = ClusterReport("", topics, hidden)


def _name(code: int) -> str:
    try:
        return ErrorCode(code).name
    except ValueError:
        return f"error {code}"
