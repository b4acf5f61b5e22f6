"""The names of a cluster's topics that zones can share, for people who choose from them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from time import monotonic
from typing import Final, Protocol

from policies.names import check_topic_name, is_internal_topic
from protocol.error_codes import ErrorCode
from protocol.topic_listing import ListedTopic

KEPT_SECONDS: Final = 5.0
"""For which an answer is good: who types into a filter asks again and again."""


class Listing(Protocol):
    """A cluster, of which `proxy.cluster.Cluster` is one."""

    def all_topics(self) -> AsyncIterator[Sequence[ListedTopic]]:
        """Some at a time. Raises OSError, TimeoutError, ProtocolError."""
        ...


class TopicNames:
    """Asks when somebody wants to know; who asks meanwhile waits for the same answer."""

    def __init__(self, cluster: Listing, clock: Callable[[], float] = monotonic) -> None:
        self._cluster = cluster
        self._clock = clock
        self._asking = asyncio.Lock()
        self._names: Sequence[str] = ()
        self._asked_at = float("-inf")

    async def sorted(self) -> Sequence[str]:
        """Raises OSError, TimeoutError, ProtocolError."""
        async with self._asking:
            if self._clock() - self._asked_at >= KEPT_SECONDS:
                names = [name async for turn in self._cluster.all_topics() for name in _shareable(turn)]
                self._names, self._asked_at = sorted(names), self._clock()
            return self._names


def _shareable(topics: Iterable[ListedTopic]) -> Iterator[str]:
    for topic in topics:
        # one that has no leader yet is there
        if topic.is_internal or topic.error_code not in (0, ErrorCode.LEADER_NOT_AVAILABLE):
            continue
        if check_topic_name(topic.name) is None and not is_internal_topic(topic.name):
            yield topic.name
