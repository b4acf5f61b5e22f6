"""How the state topic is followed while brokers, records and clocks go away, without Kafka."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from aiokafka.errors import KafkaConnectionError

from controlplane.state import follower as module
from controlplane.state.follower import SILENCE_SECONDS, STALLED_SECONDS, Follower
from tests.unit.controlplane.state.edits import edit
from tests.unit.controlplane.state.fake_topic import FakeTopic, until
from tests.unit.controlplane.state.memory import gateway_record


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> FakeTopic:
    topic = FakeTopic()
    monkeypatch.setattr(module, "monotonic", lambda: topic.now)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0)
    return topic


def put(topic: FakeTopic, version: int, name: str = "a", account: str = "johndoe") -> None:
    record = edit(name, version, account)
    topic.append(record.key, record.value())


@contextlib.asynccontextmanager
async def running(topic: FakeTopic) -> AsyncIterator[Follower]:
    follower = Follower(topic.it)
    await follower.load()
    task = asyncio.create_task(follower.run())
    try:
        yield follower
        assert not task.done(), "it has ended"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_it_reads_what_is_there_and_what_comes(topic: FakeTopic) -> None:
    put(topic, 1)
    changes: list[int] = []
    async with running(topic) as follower:
        assert (follower.problem, follower.log.version("a"), follower.log.offset) == ("", 1, 0)
        follower.on_change.append(lambda: changes.append(follower.log.offset))
        put(topic, 2)
        put(topic, 3)
        await until(lambda: follower.log.version("a") == 3)
        assert changes == [2], "one call for what has come together"


async def test_a_start_waits_for_brokers_and_says_why(topic: FakeTopic) -> None:
    follower, why = Follower(topic.it), list[str]()
    topic.start_errors = [KafkaConnectionError("no broker"), TimeoutError()]
    put(topic, 1)
    loading = asyncio.create_task(follower.load())
    while not loading.done():
        why.append(follower.problem)
        await asyncio.sleep(0)
    assert [each for each in dict.fromkeys(why) if each] == [
        "it is being read",
        "KafkaConnectionError: no broker",
        "the brokers did not answer in time",
    ]
    assert (follower.problem, follower.is_loaded, follower.log.version("a")) == ("", True, 1)


async def test_records_that_come_just_when_a_poll_ends_are_not_left_out(topic: FakeTopic) -> None:
    """An answer without records says that the last one was compacted away; this one has them."""
    put(topic, 1)
    topic.end = 5
    consumer = await topic.consumer(0)
    consumer.late = True
    follower = Follower(topic.it)

    async def the_same(_offset: int) -> object:
        return consumer

    topic.consumer = the_same  # type: ignore[method-assign,assignment]
    await follower.load()
    assert (follower.log.version("a"), follower.log.offset) == (1, 4)


async def test_it_begins_anew_where_records_are_missing(topic: FakeTopic) -> None:
    put(topic, 1)
    async with running(topic) as follower:
        changes: list[int] = []
        follower.on_change.append(lambda: changes.append(follower.log.version("a")))
        topic.frozen = True
        put(topic, 2)
        put(topic, 3)
        put(topic, 1, "b", "bob")
        del topic.records[1]
        for key in (topic.records[0].key,):
            topic.append(key, None)
        topic.frozen = False
        await until(lambda: follower.log.offset == 4)
        assert follower.log.zones.keys() == {"a", "b"}
        assert follower.log.version("a") == 3, "as whoever begins now reads it"
        assert changes[-1] == 3


async def test_silence_is_told_and_ends_with_a_new_consumer(topic: FakeTopic) -> None:
    async with running(topic) as follower:
        topic.frozen, since = True, topic.now
        await until(lambda: follower.problem == "its broker does not answer")
        assert SILENCE_SECONDS < topic.now - since <= SILENCE_SECONDS + 1
        before = len(topic.consumers)
        await until(lambda: len(topic.consumers) > before)
        assert topic.now - since >= STALLED_SECONDS
        topic.frozen = False
        await until(lambda: follower.problem == "")


async def test_a_clock_that_is_set_says_nothing_of_brokers(topic: FakeTopic) -> None:
    """aiokafka's times are the system's."""
    async with running(topic) as follower:
        await until(lambda: len(topic.consumers) == 2)
        consumer = topic.consumers[-1]
        for jump in (10**9, -(10**9)):
            consumer._answered = (consumer._answered or 0) + jump
            seen = topic.now
            await until(lambda seen=seen: topic.now > seen + 2)  # type: ignore[misc]
            assert (follower.problem, topic.consumers[-1]) == ("", consumer)


async def test_errors_are_told_and_gone_when_it_answers(topic: FakeTopic) -> None:
    async with running(topic) as follower:
        topic.errors = [KafkaConnectionError("gone")]
        await until(lambda: "gone" in follower.problem)
        put(topic, 1)
        await until(lambda: follower.problem == "" and follower.log.version("a") == 1)
        assert all(consumer.client.closed for consumer in topic.consumers[:-1])


async def test_a_cancellation_of_the_client_s_own_does_not_end_it(topic: FakeTopic) -> None:
    """Task groups take a task that is cancelled for one that is done: nobody would notice."""
    async with running(topic) as follower:
        topic.errors = [asyncio.CancelledError()]
        await until(lambda: follower.problem == "a task of the Kafka client was cancelled" or not topic.errors)
        topic.consumers[-1].stop_error = asyncio.CancelledError()
        topic.errors = [KafkaConnectionError("gone")]
        put(topic, 1)
        await until(lambda: follower.problem == "" and follower.log.version("a") == 1)
        assert all(consumer.client.closed for consumer in topic.consumers[:-1]), "nothing is left open"


async def test_a_topic_that_was_made_anew_is_not_mixed_with_the_old_one(topic: FakeTopic) -> None:
    for version in (1, 2, 3):
        put(topic, version)
    async with running(topic) as follower:
        topic.recreate()
        await until(lambda: follower.emptied)
        assert "Restart zonegate to begin anew" in follower.problem
        for _ in range(3):
            topic.append(b"other/key", b"{}")
        put(topic, 4)
        for _ in range(100):
            await asyncio.sleep(0)
        assert (follower.log.version("a"), follower.log.offset) == (3, 2), "what is known goes on being served"
        assert "Restart zonegate to begin anew" in follower.problem, "and nothing is written that would contradict it"


async def test_it_says_so_when_it_reads_no_more(topic: FakeTopic) -> None:
    async with running(topic) as follower:
        await until(lambda: len(topic.consumers) == 2)
    assert follower.problem == "this process reads it no more, since it stops"


async def test_signs_of_life_are_told_by_the_keys_that_they_came_with(topic: FakeTopic) -> None:
    seen: list[bytes] = []
    async with running(topic) as follower:
        follower.on_gateway = seen.append
        topic.append(b"gateway/g1/01", gateway_record(0).value())
        await until(lambda: bool(seen))
        assert seen == list(follower.log.gateways) == [b"gateway/g1/01"]


async def test_several_may_wait_for_one_key(topic: FakeTopic) -> None:
    async with running(topic) as follower:
        with follower.expecting(b"used/c") as (first,):
            with follower.expecting(b"used/c") as (given_up,):
                pass
            with follower.expecting(b"used/c") as (second,):
                topic.append(b"used/c", None)
                await until(lambda: first.done() and second.done())
                assert not given_up.done()
        assert not follower._awaited
