"""A state topic without Kafka, and its clients: what a test wants to happen, happens, in a time of its own."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, cast

from aiokafka import TopicPartition
from aiokafka.errors import OffsetOutOfRangeError, ProducerClosed

from controlplane.state.topic import StateTopic

DEADLINE_SECONDS = 10


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():  # noqa: ASYNC110 - of code that tells nobody
            await asyncio.sleep(0)


class Record(NamedTuple):
    offset: int
    key: bytes
    value: bytes | None


class Connections:
    """Of a client."""

    closed = False

    async def close(self) -> None:
        self.closed = True


class FakeTopic:
    """In the place of a `StateTopic`."""

    name = "_zonegate"
    partition = TopicPartition(name, 0)

    def __init__(self) -> None:
        self.now = 0.0
        self.records: list[Record] = []
        self.begin = self.end = 0
        self.frozen = False
        """Nobody answers."""
        self.errors: list[BaseException] = []
        """What the next consumers' polls raise."""
        self.start_errors: list[BaseException] = []
        self.consumers: list[FakeConsumer] = []
        self.producers: list[FakeProducer] = []
        self.on_send: Callable[[FakeProducer, Record], bool] = lambda _producer, _record: True
        """Whether the answer comes at once. It may raise what the brokers answer."""

    @property
    def it(self) -> StateTopic:
        return cast(StateTopic, self)

    def append(self, key: bytes, value: bytes | None) -> None:
        self.records.append(Record(self.end, key, value))
        self.end += 1

    def recreate(self) -> None:
        self.records.clear()
        self.begin = self.end = 0

    async def ensure(self) -> None:
        if self.start_errors:
            raise self.start_errors.pop(0)

    async def consumer(self, offset: int) -> "FakeConsumer":
        self.consumers.append(FakeConsumer(self, offset or self.begin))
        return self.consumers[-1]

    async def producer(self) -> "FakeProducer":
        if self.start_errors:
            raise self.start_errors.pop(0)
        self.producers.append(FakeProducer(self))
        return self.producers[-1]


class FakeConsumer:
    def __init__(self, topic: FakeTopic, offset: int) -> None:
        self._topic = topic
        self._position = offset
        self._answered: int | None = None
        self.client = Connections()
        self.stop_error: BaseException | None = None
        self.late = False
        """Records come with the answer, just when the poll has ended without them."""

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        return {partitions[0]: self._topic.end}

    async def position(self, _partition: TopicPartition) -> int:
        return self._position

    def last_poll_timestamp(self, _partition: TopicPartition) -> int | None:
        return self._answered

    async def getmany(self, timeout_ms: int) -> Mapping[TopicPartition, Sequence[Record]]:
        topic = self._topic
        await asyncio.sleep(0)
        if topic.errors:
            raise topic.errors.pop(0)
        if topic.frozen:
            topic.now += timeout_ms / 1000
            return {}
        if not topic.begin <= self._position <= topic.end:
            raise OffsetOutOfRangeError
        self._answered = (self._answered or 0) + 1
        if self.late:
            self.late = False
            return {}
        found = [record for record in topic.records if record.offset >= self._position]
        if not found:
            topic.now += timeout_ms / 1000
            return {}
        self._position = found[-1].offset + 1
        return {topic.partition: found}

    async def stop(self) -> None:
        if self.stop_error is not None:
            raise self.stop_error


class FakeProducer:
    def __init__(self, topic: FakeTopic) -> None:
        self._topic = topic
        self.client = Connections()
        self.unanswered: list[asyncio.Future[None]] = []
        self.stopped = asyncio.Event()
        self.may_stop = asyncio.Event()
        self.may_stop.set()
        self._stopping = False

    async def send(self, _topic: str, value: bytes | None, key: bytes, partition: int) -> "asyncio.Future[None]":
        assert partition == 0
        if self._stopping:
            raise ProducerClosed
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            if self._topic.on_send(self, Record(self._topic.end, key, value)):
                self._topic.append(key, value)
                answer.set_result(None)
            else:
                self.unanswered.append(answer)
        except Exception as error:  # noqa: BLE001 - whatever the test has the brokers say
            answer.set_exception(error)
        return answer

    async def stop(self) -> None:
        self._stopping = True
        await self.may_stop.wait()
        self.stopped.set()
