"""Writes records into the state topic, and reads its own writes: what it returns from is in force here, or has lost."""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, ProducerClosed

from controlplane.state.follower import Follower
from controlplane.state.topic import MAX_RECORD_BYTES, kafka_problem, no_stray_cancellation, stop
from controlplane.zone_service import InvalidRequest, Unavailable

WRITE_SECONDS: Final = 8.0
"""For a record to be written and read back, which takes milliseconds. People wait for it."""

SWEEP_RECORDS: Final = 5_000
"""Tombstones at a time: a batch of some hundred kilobytes."""


class Write(NamedTuple):
    key: bytes
    value: bytes | None
    """None is a tombstone."""


class StateWriter:
    """Any number of writes at a time."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._producer: AIOKafkaProducer | None = None
        self._opening = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()
        self._sweeping = asyncio.Lock()

    async def write(self, *writes: Write) -> Sequence[bool]:
        """Whether each is in force, now that it has been read back. Raises Unavailable or InvalidRequest."""
        follower = self._follower
        for write in writes:
            if write.value is not None and len(write.value) > MAX_RECORD_BYTES:
                raise InvalidRequest(
                    f"it takes {len(write.value)} bytes, more than the {MAX_RECORD_BYTES} that a record may have; "
                    "share fewer topics, or use several zones"
                )
        if follower.problem:
            raise Unavailable(
                f"the state topic {follower.topic.name} is out of reach, and nothing was changed: {follower.problem}"
            )
        with follower.expecting(*(write.key for write in writes)) as awaited:
            try:
                async with asyncio.timeout(WRITE_SECONDS):
                    await self.send(*writes)
                    return await asyncio.gather(*awaited)
            except MessageSizeTooLargeError:
                raise InvalidRequest(
                    f"it is larger than the brokers take; raise max.message.bytes of topic {follower.topic.name}, or "
                    "share fewer topics"
                ) from None
            except (KafkaError, OSError, TimeoutError) as error:
                if all(each.done() and not each.cancelled() for each in awaited):
                    return [each.result() for each in awaited]  # the answer was lost, and not the record
                raise Unavailable(
                    f"the state topic {follower.topic.name} did not confirm the change: {kafka_problem(error)}; look "
                    "again whether it was made"
                ) from None

    async def send(self, *writes: Write) -> None:
        """Returns when the brokers have them. Raises KafkaError, OSError, TimeoutError."""
        while True:
            producer = await self._open()
            try:
                return await self._send(producer, writes)
            except ProducerClosed:
                self._abandon(producer)  # another write has, in the moment in between; a record sent twice counts once
            except (KafkaError, OSError, TimeoutError, asyncio.CancelledError):
                self._abandon(producer)
                raise

    async def _send(self, producer: AIOKafkaProducer, writes: Iterable[Write]) -> None:
        topic = self._follower.topic.name
        with no_stray_cancellation():
            sent = [await producer.send(topic, write.value, write.key, partition=0) for write in writes]
            await asyncio.gather(*sent)

    async def sweep(self, forgotten: Sequence[bytes] = ()) -> None:
        """Tombstones for what nothing needs any more, and for these. Best effort: the next sweep finds what this one
        leaves."""
        async with self._sweeping:
            if self._follower.problem:
                return
            first, then = self._follower.log.garbage()
            with contextlib.suppress(KafkaError, OSError, TimeoutError):
                for keys in ([*forgotten, *first], then):
                    await self._bury(keys)

    async def settled(self) -> None:
        """Returns when nothing that was sent before comes any more."""
        if self._closing:
            await asyncio.wait(self._closing)

    async def _bury(self, keys: Sequence[bytes]) -> None:
        for start in range(0, len(keys), SWEEP_RECORDS):
            async with asyncio.timeout(WRITE_SECONDS):
                await self.send(*_tombstones(keys[start : start + SWEEP_RECORDS]))

    async def close(self) -> None:
        if self._producer is not None:
            self._abandon(self._producer)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WRITE_SECONDS):
                await self.settled()

    async def _open(self) -> AIOKafkaProducer:
        async with self._opening:
            if self._producer is None:
                with no_stray_cancellation():
                    self._producer = await self._follower.topic.producer()
            return self._producer

    def _abandon(self, producer: AIOKafkaProducer) -> None:
        """A new one takes its place: after a failure, its numbers of records may have a gap for ever."""
        if self._producer is producer:
            self._producer = None
            task = asyncio.create_task(stop(producer), name="stop a producer")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


def _tombstones(keys: Iterable[bytes]) -> list[Write]:
    return [Write(key, None) for key in keys]
