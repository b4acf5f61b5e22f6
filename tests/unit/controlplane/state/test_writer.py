"""What a write says of itself when the brokers, or their answers, are lost; without Kafka."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError, MessageSizeTooLargeError

from controlplane.state import follower as follower_module
from controlplane.state import writer as module
from controlplane.state.follower import Follower
from controlplane.state.topic import MAX_RECORD_BYTES
from controlplane.state.writer import StateWriter, Write
from controlplane.zone_service import InvalidRequest, Unavailable
from tests.unit.controlplane.state.edits import edit
from tests.unit.controlplane.state.fake_topic import FakeProducer, FakeTopic, Record, until


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> FakeTopic:
    monkeypatch.setattr(follower_module, "RETRY_SECONDS", 0)
    return FakeTopic()


@contextlib.asynccontextmanager
async def writing(topic: FakeTopic) -> AsyncIterator[tuple[StateWriter, Follower]]:
    follower = Follower(topic.it)
    await follower.load()
    task = asyncio.create_task(follower.run())
    writer = StateWriter(follower)
    try:
        yield writer, follower
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for producer in topic.producers:
            producer.may_stop.set()
        await writer.close()


async def test_it_returns_what_every_reader_makes_of_it(topic: FakeTopic) -> None:
    first, late = edit("a", 1, "joe"), edit("a", 1, "ann")
    async with writing(topic) as (writer, _):
        writes = (Write(each.key, each.value()) for each in (first, late))
        assert await writer.write(*writes) == [True, False]
        assert await writer.write(Write(b"credential/c", None)) == [True]


async def test_what_is_too_large_is_refused(topic: FakeTopic) -> None:
    def refuse(_producer: FakeProducer, record: Record) -> bool:
        if len(record.value or b"") > 1000:
            raise MessageSizeTooLargeError
        return True

    async with writing(topic) as (writer, _):
        with pytest.raises(InvalidRequest, match=f"more than the {MAX_RECORD_BYTES} that a record may have"):
            await writer.write(Write(b"zone/a/1", b"x" * (MAX_RECORD_BYTES + 1)))
        assert not topic.producers
        topic.on_send = refuse
        with pytest.raises(InvalidRequest, match=r"raise max\.message\.bytes of topic _zonegate"):
            await writer.write(Write(b"zone/a/1", b"x" * 1001))
        await topic.producers[0].stopped.wait()
        await writer.write(Write(b"used/a", b"{}"))
        assert len(topic.producers) == 2, "the refused one's number is missing from the first producer's"


async def test_out_of_reach_nothing_is_sent(topic: FakeTopic) -> None:
    async with writing(topic) as (writer, follower):
        follower.emptied, follower.problem = True, "its records are gone"
        with pytest.raises(Unavailable, match="is out of reach, and nothing was changed: its records are gone"):
            await writer.write(Write(b"used/a", b"{}"))
        await writer.sweep([b"gateway/gone"])
        assert not topic.producers


async def test_a_record_whose_answer_was_lost_counts(topic: FakeTopic, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose_the_answer(_producer: FakeProducer, record: Record) -> bool:
        topic.append(record.key, record.value)
        return False

    monkeypatch.setattr(module, "WRITE_SECONDS", 0.1)
    record = edit("a", 1)
    async with writing(topic) as (writer, follower):
        topic.on_send = lose_the_answer
        assert await writer.write(Write(record.key, record.value())) == [True]
        assert not follower._awaited


@pytest.mark.parametrize("error", [KafkaTimeoutError("late"), KafkaConnectionError("gone"), None])
async def test_what_is_not_confirmed_may_have_been_made(
    topic: FakeTopic, error: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_producer: FakeProducer, _record: Record) -> bool:
        if error is not None:
            raise error
        return False

    monkeypatch.setattr(module, "WRITE_SECONDS", 0.05)
    async with writing(topic) as (writer, follower):
        topic.on_send = fail
        with pytest.raises(Unavailable, match=r"did not confirm the change: .*; look again whether it was made"):
            await writer.write(Write(b"used/a", b"{}"))
        assert not follower._awaited
        topic.on_send = lambda _producer, _record: True
        assert await writer.write(Write(b"used/a", b"{}")) == [True]
        assert (len(topic.producers), topic.producers[0].client.closed) == (2, True)


async def test_two_writes_of_one_key_do_not_hinder_each_other(
    topic: FakeTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when one credential is revoked twice at once, and the one who asked first gives up."""
    tombstone = Write(b"credential/c", None)
    async with writing(topic) as (writer, _):
        topic.on_send = lambda _producer, _record: False
        first = asyncio.create_task(writer.write(tombstone))
        await until(lambda: bool(topic.producers and topic.producers[0].unanswered))
        second = asyncio.create_task(writer.write(tombstone))
        await until(lambda: len(topic.producers[0].unanswered) == 2)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        topic.append(*tombstone)
        topic.producers[0].unanswered[1].set_result(None)
        assert await second == [True]


async def test_a_producer_that_another_write_has_given_up_is_replaced(topic: FakeTopic) -> None:
    async with writing(topic) as (writer, _):
        await writer.send(Write(b"used/a", b"{}"))
        writer._abandon(topic.producers[0])
        await topic.producers[0].stopped.wait()
        writer._producer = topic.producers[0]  # taken just before
        assert await writer.write(Write(b"used/b", b"{}")) == [True]
        assert len(topic.producers) == 2


async def test_a_write_that_is_under_way_outlives_one_that_fails(topic: FakeTopic) -> None:
    async with writing(topic) as (writer, _):
        topic.on_send = lambda _producer, _record: False
        failing = asyncio.create_task(writer.send(Write(b"used/a", b"{}")))
        going = asyncio.create_task(writer.write(Write(b"used/b", b"{}")))
        await until(lambda: bool(topic.producers) and len(topic.producers[0].unanswered) == 2)
        topic.producers[0].may_stop.clear()
        topic.producers[0].unanswered[0].set_exception(KafkaConnectionError("gone"))
        await asyncio.gather(failing, return_exceptions=True)
        settled = asyncio.create_task(writer.settled())
        topic.append(b"used/b", b"{}")
        topic.producers[0].unanswered[1].set_result(None)
        assert await going == [True]
        assert not settled.done(), "the one given up may still send"
        topic.producers[0].may_stop.set()
        await settled


async def test_a_sweep_buries_what_has_lost_before_what_was_replaced(topic: FakeTopic) -> None:
    first, loser, then = edit("a", 1), edit("a", 1), edit("a", 2)
    for each in (first, loser, then):
        topic.append(each.key, each.value())
    async with writing(topic) as (writer, follower):
        await writer.sweep([b"gateway/gone"])
        assert [record.key for record in topic.records[3:]] == [b"gateway/gone", loser.key, first.key]
        await until(lambda: follower.log.garbage() == ([], []))

        def refuse(_producer: FakeProducer, _record: Record) -> bool:
            raise KafkaConnectionError("gone")

        topic.on_send = refuse
        await writer.sweep([b"gateway/gone"])
