"""How a console reads what gateways tell, and what it says when it can't."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from time import time
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError

from controlplane.activity import reader as module
from controlplane.activity.memory import Process
from controlplane.activity.reader import ActivityReader
from controlplane.state import follower as follower_module
from tests.unit.controlplane.activity.fake_topic import FakeActivityTopic
from tests.unit.controlplane.state.fake_topic import until

CLIENT = ["app", "librdkafka 2.6", "johndoe", "10.0.0.1", 1.0, 1]


class World:
    def __init__(self) -> None:
        self.topic = FakeActivityTopic()
        self.living: list[Process] = []
        self.reader = ActivityReader(self.topic.it, lambda: self.living)

    def tells(self, ago: float = 0.0, worker: int | None = None, **fields: Any) -> None:
        at = time() - ago
        head = {"format": 1, "gateway": "g", "worker": worker, "started": "s", "from": at - 2, "to": at}
        self.topic.append(json.dumps({**head, "zones": {"a": fields}}).encode(), at)

    @property
    def produced(self) -> int:
        return sum(minute.produced_bytes for minute in self.reader.zone("a").minutes)

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.reader.run())
        try:
            yield
            assert not task.done(), "it has ended"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    for each in (module, follower_module):
        monkeypatch.setattr(each, "monotonic", lambda: world.topic.now)
        monkeypatch.setattr(each, "RETRY_SECONDS", 0)
    return world


async def test_it_reads_the_last_hour_and_what_comes(world: World) -> None:
    world.tells(600, produced=[5, 1], clients=[CLIENT], connections=1)
    assert world.reader.problem == "what gateways have told in the last hour is being read"
    async with world.reading():
        await until(lambda: world.reader.problem == "")
        assert (world.produced, world.reader.zone("a").connections) == (5, 0), "that was ten minutes ago"
        world.tells(0, produced=[6, 1], rates=[3, 0, 0], clients=[CLIENT], connections=1)
        await until(lambda: world.produced == 11)
        assert world.reader.zone("a").connections == 1
        assert world.reader.gateway("g", None).produce == 3
        assert world.topic.began == ["since"]


async def test_what_it_does_not_understand_is_left_alone(world: World) -> None:
    for value in (b"", b"nonsense", b'{"format": 2}', b'{"format": 1}'):
        world.topic.append(value, time())
    world.tells(produced=[5, 1])
    async with world.reading():
        await until(lambda: world.produced == 5)
        await until(lambda: world.reader.problem == "")


async def test_it_goes_on_where_it_was(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "zonegate.activity")
    world.tells(produced=[5, 1])
    async with world.reading():
        await until(lambda: world.produced == 5)
        world.topic.poll_errors = [KafkaConnectionError("gone"), KafkaConnectionError("gone")]
        await until(
            lambda: world.reader.problem == "topic _zonegate-activity can't be read: KafkaConnectionError: gone"
        )
        world.tells(produced=[6, 1])
        await until(lambda: world.reader.problem == "")
        assert world.produced == 11
    assert world.topic.began == ["since", "at 1", "at 1"]
    assert caplog.messages == ["it can't be read what partners do", "it can be read again what partners do"]


async def test_a_missing_permission_is_told_in_plain_words(world: World) -> None:
    world.topic.start_errors = [TopicAuthorizationFailedError()] * 1000
    async with world.reading():
        await until(
            lambda: (
                world.reader.problem
                == "topic _zonegate-activity can't be read: Kafka refuses zonegate's user there; it needs Create, "
                "Read, Write and DescribeConfigs on the topic"
            )
        )


async def test_silence_is_told_and_ends_with_a_new_consumer(world: World) -> None:
    async with world.reading():
        await until(lambda: world.reader.problem == "")
        world.topic.frozen = True
        await until(lambda: world.reader.problem.endswith("its broker does not answer"))
        await until(lambda: len(world.topic.began) == 2)
        world.topic.frozen = False
        await until(lambda: world.reader.problem == "")


async def test_a_gateway_that_lives_and_tells_nothing_is_told_of(world: World) -> None:
    world.living = [("g", None)]
    async with world.reading():
        await until(lambda: world.topic.now > 10)
        assert world.reader.problem == "", "it may have begun just now"
        await until(lambda: world.reader.problem != "")
        assert world.reader.problem == "gateway g does not tell what its partners do; its log says why"
        world.living += [("h", 0), ("h", 1)]
        await until(lambda: "(and 2 more)" in world.reader.problem)
        world.living = []
        await until(lambda: world.reader.problem == "")
        world.living = [("h", 1)]
        await until(lambda: "gateway h, worker 1, does not tell" in world.reader.problem)


async def test_an_error_of_our_own_ends_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.topic.poll_errors = [RuntimeError("a slip")]
    async with world.reading():
        await until(lambda: world.reader.problem == "")
    (warning,) = [record for record in caplog.records if record.exc_info]
    assert warning.__dict__["problem"] == "RuntimeError: a slip"
