"""Looks, again and again, whether clusters are in reach and whether zones' backing topics exist there."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from time import monotonic
from typing import Final, Protocol

from controlplane.state.status import ClusterReport
from protocol.error_codes import ErrorCode
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
        before = self.report if self.report is not None else ClusterReport()
        asked = self._asked(wanted, before.topics)
        try:
            errors = await self._ask(asked)
        except (OSError, TimeoutError, ProtocolError) as error:
            self.report = replace(before, problem=str(error) or "the brokers did not answer in time")
            return
        # one that has no leader yet is there
        looked = {topic: errors.get(topic, 0) in (0, ErrorCode.LEADER_NOT_AVAILABLE) for topic in asked}
        topics = {**before.topics, **looked} if looked else before.topics
        if len(topics) != len(wanted):
            topics = {topic: topics[topic] for topic in wanted}
        self.report = ClusterReport("", topics, _hidden(topics, {**before.hidden, **_reasons(looked, errors)}))

    async def _ask(self, topics: Sequence[str]) -> Mapping[str, int]:
        """What is wrong with those that aren't shown. Of no topics, only that the cluster is in reach."""
        errors: dict[str, int] = {}
        took = 0.0
        for start in range(0, max(1, len(topics)), ASKED_TOPICS):
            if start:
                await asyncio.sleep(PAUSE * took)
            began = monotonic()
            errors.update(await self._cluster.topic_errors(topics[start : start + ASKED_TOPICS]))
            took = monotonic() - began
        return errors

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


def _reasons(looked: Iterable[str], errors: Mapping[str, int]) -> Mapping[str, str]:
    """Why topics that may be there are not shown; empty for those that are shown, or aren't there."""
    absent = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    return {topic: _name(code) if (code := errors.get(topic, 0)) not in (0, absent) else "" for topic in looked}


def _hidden(topics: Mapping[str, bool], reasons: Mapping[str, str]) -> Mapping[str, str]:
    return {topic: reason for topic, reason in reasons.items() if reason and topics.get(topic) is False}


def _name(code: int) -> str:
    try:
        return ErrorCode(code).name
    except ValueError:
        return f"error {code}"
