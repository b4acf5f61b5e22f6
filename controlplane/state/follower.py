"""Reads the state topic from its beginning to its end, and then whatever comes, for as long as the process lives.

What was read once goes on being served while the topic is out of reach.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from time import monotonic
from typing import Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from controlplane.state.lasting import lasting
from controlplane.state.log import Raw, StateLog, compacted
from controlplane.state.records import GATEWAY, ZONE, kind_of
from controlplane.state.topic import OwnTopic, StateTopic, kafka_problem, no_stray_cancellation, stop

POLL_MS: Final = 500
"""For records; those that come meanwhile are returned at once."""

SILENCE_SECONDS: Final = 5.0
"""Brokers answer a fetch after half a second at the latest."""

STALLED_SECONDS: Final = 20.0
"""After which a new consumer is tried: an old one keeps its TLS context, whose certificate may have ended."""

APPLIED_AT_ONCE: Final = 100
"""Records, until others have a turn: a zone of ten aliases takes a tenth of a millisecond."""

RETRY_SECONDS: Final = 1.0
REMIND_SECONDS: Final = 10.0

_log = logging.getLogger("zonegate.state")


class Follower:
    """`load` once, then `run`."""

    def __init__(self, topic: StateTopic) -> None:
        self.topic = topic
        self.log = StateLog()
        self.problem = "it is being read"
        """Why the topic is out of reach, in plain words; empty when it is not."""
        self.on_change: list[Callable[[], None]] = []
        """Called when something has changed that is served, once for all that has come in together."""
        self.on_gateway: Callable[[bytes], None] = lambda _key: None
        """Called with the key of a gateway's sign of life."""
        self.emptied = False
        """What was read is not what the topic holds now: offsets of the one say nothing of the other."""
        self._awaited: dict[bytes, list[asyncio.Future[bool]]] = {}
        self._loaded = asyncio.Event()
        self._reminded = 0.0

    async def load(self) -> None:
        """Returns when all that the topic holds has been read, also where it is out of reach at first. Raises
        UnusableTopic."""
        while True:
            try:
                with no_stray_cancellation():
                    await self.topic.ensure()
                    async with self._consumer(0) as consumer:
                        await self._read_all(consumer)
                break
            except (KafkaError, OSError, TimeoutError) as error:
                self._fail(kafka_problem(error))
                await asyncio.sleep(RETRY_SECONDS)
        self._loaded.set()
        self._recover()

    async def run(self) -> None:
        """Reads what comes, until cancelled."""
        try:
            while True:
                try:
                    with no_stray_cancellation():
                        await self._read_on()
                except OffsetOutOfRangeError:
                    await self._stay()
                except (KafkaError, OSError, TimeoutError) as error:
                    self._fail(kafka_problem(error))
                await asyncio.sleep(RETRY_SECONDS)
        finally:
            self.problem = "this process reads it no more, since it stops"

    async def _read_on(self) -> None:
        """Follows the log, and begins anew where records are missing. Raises KafkaError, OSError, TimeoutError."""
        while True:
            async with self._consumer(self.log.offset + 1) as consumer:
                await self._follow(consumer)
            async with self._consumer(0) as consumer:
                await self._read_all(consumer)
            self._tell_of_changes()

    async def _stay(self) -> None:
        """With what is known: the records that come say nothing of it, also where their offsets would go on from it."""
        self.emptied = True
        while True:
            self._fail("its records are gone: the topic was emptied or made anew. Restart zonegate to begin anew")
            await asyncio.sleep(REMIND_SECONDS)

    async def _read_all(self, consumer: AIOKafkaConsumer) -> None:
        """From the beginning, as if nothing had been known."""
        records, end = await self._read_to_end(consumer)
        log = StateLog()
        with lasting():
            for position, (offset, key, value) in enumerate(compacted(records)):
                log.apply(offset, key, value)
                if position % APPLIED_AT_ONCE == 0:
                    await asyncio.sleep(0)
        log.caught_up(end - 1)
        self.log.become(log)
        for record in records:
            self._note(record)
        extra = {"event": "state_loaded", "topic": self.topic.name, "records": len(records), "offset": end - 1}
        _log.info("the state topic was read", extra=extra | {"zones": len(log.zones)})

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        """Returns when records are found to be missing: they were compacted away before they were read."""
        answers = Answers(consumer, self.topic)
        while True:
            records = await _poll(consumer)
            before = self.log.changed_at
            for record in records:
                if self.log.misses(record[0]):
                    return
                self.log.apply(*record)
                self._note(record)
            if self.log.changed_at != before:
                self._tell_of_changes()
            self._look_at(answers)

    def _tell_of_changes(self) -> None:
        for callback in self.on_change:
            callback()

    @property
    def name(self) -> str:
        """The topic's."""
        return self.topic.name

    @property
    def is_loaded(self) -> bool:
        return self._loaded.is_set()

    async def loaded(self) -> None:
        """Returns when `load` does."""
        await self._loaded.wait()

    @contextlib.contextmanager
    def expecting(self, *keys: bytes) -> "Iterator[Sequence[asyncio.Future[bool]]]":
        """Each is done when a record of its key has been read: whether it is in force (of an edit), or True."""
        loop = asyncio.get_running_loop()
        futures = [(key, loop.create_future()) for key in keys]
        for key, future in futures:
            self._awaited.setdefault(key, []).append(future)
        try:
            yield [future for _, future in futures]
        finally:
            for key, future in futures:
                if future in (waiting := self._awaited.get(key, [])):
                    waiting.remove(future)
                if not waiting:
                    self._awaited.pop(key, None)

    @contextlib.asynccontextmanager
    async def _consumer(self, offset: int) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = await self.topic.consumer(offset)
        try:
            yield consumer
        finally:
            await stop(consumer)

    async def _read_to_end(self, consumer: AIOKafkaConsumer) -> tuple[Sequence[Raw], int]:
        """All records, and the offset behind the last."""
        partition = self.topic.partition
        end = (await consumer.end_offsets([partition]))[partition]
        records: list[Raw] = []
        answers = Answers(consumer, self.topic)
        while (position := await consumer.position(partition)) < end:
            found = await _poll(consumer)
            if not found and answers.is_new():
                # what has come with that answer just when the poll ended is there at once
                found = await _poll(consumer, 0)
                if not found and await consumer.position(partition) == position:
                    break  # the last record is gone: its tombstone was compacted away, too
            records += found
            if answers.silent() > SILENCE_SECONDS:
                raise TimeoutError
        return records, max(end, records[-1][0] + 1 if records else 0)

    def _look_at(self, answers: "Answers") -> None:
        """Whether the broker still answers: aiokafka tries again by itself, for ever. Raises TimeoutError."""
        silent = answers.silent()
        if silent > STALLED_SECONDS:
            raise TimeoutError
        if silent > SILENCE_SECONDS:
            self._fail("its broker does not answer")
        elif answers.any:
            self._recover()

    def _note(self, record: Raw) -> None:
        """A record was applied."""
        _, key, value = record
        if kind_of(key)[0] == GATEWAY:
            self.on_gateway(key)
        for awaited in self._awaited.pop(key, ()):
            if not awaited.done():
                awaited.set_result(self._in_force(key, value))

    def _in_force(self, key: bytes, value: bytes | None) -> bool:
        kind, rest = kind_of(key)
        return kind != ZONE or value is None or self.log.is_last(rest[0], key)

    def _recover(self) -> None:
        if self.problem and self._loaded.is_set() and not self.emptied:
            if self._reminded:
                _log.info("the state topic answers again", extra={"event": "state_topic", "reachable": True})
            self.problem, self._reminded = "", 0.0

    def _fail(self, problem: str) -> None:
        self.problem = problem
        if monotonic() - self._reminded > REMIND_SECONDS or not self._reminded:
            self._reminded = monotonic()
            extra = {"event": "state_topic", "reachable": False, "topic": self.topic.name, "problem": problem}
            _log.warning("the state topic is out of reach", extra=extra)


class Answers:
    """When the broker has last answered, by a clock that nobody sets: aiokafka's is the system's."""

    def __init__(self, consumer: AIOKafkaConsumer, topic: OwnTopic) -> None:
        self._consumer = consumer
        self._partition = topic.partition
        self._told: int | None = None
        self._at = monotonic()

    def is_new(self) -> bool:
        """Whether there was one since this was last asked."""
        told = self._consumer.last_poll_timestamp(self._partition)
        if told == self._told:
            return False
        self._told, self._at = told, monotonic()
        return True

    def silent(self) -> float:
        """Seconds since the last one, or since the beginning."""
        self.is_new()
        return monotonic() - self._at

    @property
    def any(self) -> bool:
        return self._told is not None


async def _poll(consumer: AIOKafkaConsumer, timeout_ms: int = POLL_MS) -> Sequence[Raw]:
    batches = await consumer.getmany(timeout_ms=timeout_ms)
    return [(record.offset, record.key or b"", record.value) for batch in batches.values() for record in batch]
