"""An activity topic without Kafka."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

from aiokafka import TopicPartition

from controlplane.activity.topic import ActivityTopic
from tests.unit.controlplane.state.fake_topic import Connections


class Record(NamedTuple):
    offset: int
    timestamp: int
    value: bytes


class FakeActivityTopic:
    """In the place of an `ActivityTopic`."""

    name = "_zonegate-activity"
    partition = TopicPartition(name, 0)

    def __init__(self) -> None:
        self.now = 0.0
        """Of the clock that measures."""
        self.records: list[Record] = []
        self.start_errors: list[Exception] = []
        self.send_errors: list[Exception] = []
        self.poll_errors: list[Exception] = []
        self.frozen = False
        """Nobody answers."""
        self.began: list[str] = []
        """How each consumer began."""
        self.producers = 0

    @property
    def it(self) -> ActivityTopic:
        return cast(ActivityTopic, self)

    def append(self, value: bytes, stamp: float) -> None:
        self.records.append(Record(len(self.records), int(stamp * 1000), value))

    async def ensure(self) -> None:
        await asyncio.sleep(0)
        if self.start_errors:
            raise self.start_errors.pop(0)

    async def producer(self) -> "FakeProducer":
        self.producers += 1
        return FakeProducer(self)

    async def consumer_since(self, _seconds: float) -> "FakeConsumer":
        self.began.append("since")
        return FakeConsumer(self, 0)

    async def consumer_at(self, offset: int) -> "FakeConsumer":
        self.began.append(f"at {offset}")
        return FakeConsumer(self, offset)


class FakeProducer:
    def __init__(self, topic: FakeActivityTopic) -> None:
        self._topic = topic
        self.client = Connections()

    async def send(self, _topic: str, value: bytes, partition: int) -> "asyncio.Future[None]":
        assert partition == 0
        await asyncio.sleep(0)
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._topic.send_errors:
            answer.set_exception(self._topic.send_errors.pop(0))
        else:
            self._topic.append(value, 0.0)
            answer.set_result(None)
        return answer

    async def stop(self) -> None: ...


class FakeConsumer:
    def __init__(self, topic: FakeActivityTopic, offset: int) -> None:
        self._topic = topic
        self._position = offset
        self._answered: int | None = None
        self._client = self.client = Connections()

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        return {partitions[0]: len(self._topic.records)}

    async def position(self, _partition: TopicPartition) -> int:
        return self._position

    def last_poll_timestamp(self, _partition: TopicPartition) -> int | None:
        return self._answered

    async def getmany(self, timeout_ms: int) -> Mapping[TopicPartition, Sequence[Record]]:
        topic = self._topic
        await asyncio.sleep(0)
        if topic.poll_errors:
            raise topic.poll_errors.pop(0)
        topic.now += timeout_ms / 1000
        if topic.frozen:
            return {}
        self._answered = (self._answered or 0) + 1
        found = topic.records[self._position :]
        self._position = len(topic.records)
        return {topic.partition: found} if found else {}

    async def stop(self) -> None: ...
