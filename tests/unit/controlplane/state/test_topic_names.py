"""The names of topics that people choose from."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from controlplane.state.topic_names import TopicNames
from protocol.topic_listing import ListedTopic

DENIED, NO_LEADER = 29, 5


class Listing:
    """A cluster that waits until it may answer."""

    def __init__(self, *turns: Sequence[ListedTopic]) -> None:
        self.turns = turns
        self.asked = 0
        self.error: Exception | None = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def all_topics(self) -> AsyncIterator[Sequence[ListedTopic]]:
        self.asked += 1
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        for turn in self.turns:
            yield turn


def topic(name: str, code: int = 0, is_internal: bool = False) -> ListedTopic:
    return ListedTopic(name, code, is_internal)


async def test_those_that_can_be_shared_by_name() -> None:
    listing = Listing(
        [topic("b"), topic("__consumer_offsets", is_internal=True), topic("new", NO_LEADER)],
        [topic("a"), topic("_zonegate"), topic("_zonegate-activity"), topic("hidden", DENIED), topic("il/legal")],
        [topic("__transaction_state"), topic("other-internal", is_internal=True), topic("_schemas")],
    )
    assert await TopicNames(listing).sorted() == ["_schemas", "a", "b", "new"]


async def test_who_asks_soon_again_gets_the_same_answer() -> None:
    listing, now = Listing([topic("a")]), 0.0
    names = TopicNames(listing, lambda: now)
    await names.sorted()
    listing.turns = ([topic("b")],)
    now = 4.9
    assert (await names.sorted(), listing.asked) == (["a"], 1)
    now = 5.0
    assert (await names.sorted(), listing.asked) == (["b"], 2)


async def test_who_asks_meanwhile_waits_for_the_answer() -> None:
    listing = Listing([topic("a")])
    listing.may_answer.clear()
    names = TopicNames(listing)
    both = asyncio.gather(names.sorted(), names.sorted())
    await asyncio.sleep(0)
    listing.may_answer.set()
    assert list(await both) == [["a"], ["a"]]
    assert listing.asked == 1


async def test_an_error_is_not_kept() -> None:
    listing = Listing([topic("a")])
    names = TopicNames(listing)
    listing.error = OSError("refused")
    with pytest.raises(OSError, match="refused"):
        await names.sorted()
    listing.error = None
    assert await names.sorted() == ["a"]
