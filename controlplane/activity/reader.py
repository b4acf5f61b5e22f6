"""Reads what gateways tell, from an hour ago on, for as long as a console serves; and answers from memory."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from time import monotonic, time
from typing import Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from controlplane.activity.memory import ActivityMemory, Process
from controlplane.activity.records import BadRecord, NewerFormat, read_record
from controlplane.activity.topic import ActivityTopic, activity_problem
from controlplane.state.follower import POLL_MS, SILENCE_SECONDS, STALLED_SECONDS, Answers
from controlplane.state.topic import UnusableTopic, no_stray_cancellation, stop
from controlplane.zone_activity import LATELY_SECONDS, GatewayTraffic, ZoneActivity

RETRY_SECONDS: Final = 2.0

SWEEP_SECONDS: Final = 5.0

UNHEARD_SECONDS: Final = 15.0
"""After which it is strange that a gateway, which lives, tells nothing."""

_log = logging.getLogger("zonegate.activity")


class ActivityReader:
    """An `Activity`; `run` it."""

    def __init__(self, topic: ActivityTopic, living: Callable[[], Iterable[Process]]) -> None:
        """`living` are the gateways' processes, as the state topic knows them."""
        self._topic = topic
        self._living = living
        self._memory = ActivityMemory()
        self._problem = "what gateways have told in the last hour is being read"
        self._failed = False
        self._next: int | None = None
        """The offset from which to read on."""
        self._unheard: dict[Process, float] = {}
        """Since when."""
        self._swept_at = 0.0

    @property
    def problem(self) -> str:
        return self._problem or self._silence()

    def zone(self, name: str) -> ZoneActivity:
        return self._memory.zone(name)

    def gateway(self, gateway: str, worker: int | None) -> GatewayTraffic:
        return self._memory.gateway(gateway, worker)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                with no_stray_cancellation():
                    await self._read()
            except (KafkaError, OSError, TimeoutError, UnusableTopic) as error:
                self._fail(activity_problem(error))
            except Exception as error:  # noqa: BLE001 - nothing of this is worth a console
                self._fail(f"{type(error).__name__}: {error}", error)
            await asyncio.sleep(RETRY_SECONDS)

    async def _read(self) -> None:
        """Raises KafkaError, OSError, TimeoutError, UnusableTopic."""
        topic = self._topic
        await topic.ensure()
        if self._next is None:
            consumer = await topic.consumer_since(time() - LATELY_SECONDS)
        else:
            consumer = await topic.consumer_at(self._next)
        try:
            await self._follow(consumer)
        finally:
            await stop(consumer)

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        partition = self._topic.partition
        end = (await consumer.end_offsets([partition]))[partition]
        answers = Answers(consumer, self._topic)
        while True:
            found = await consumer.getmany(timeout_ms=POLL_MS)
            for record in found.get(partition, ()):
                stamp = record.timestamp / 1000
                # of what was written before we looked, the stamp says how old it is; the rest is new
                self._take(record.value, stamp, max(time() - stamp, 0.0) if record.offset < end else 0.0)
                self._next = record.offset + 1
                await asyncio.sleep(0)
            self._look_around()
            silent = answers.silent()
            if silent > STALLED_SECONDS:
                raise TimeoutError
            if silent > SILENCE_SECONDS:
                self._fail("its broker does not answer")
            elif answers.any and await consumer.position(partition) >= end:
                self._recover()

    def _take(self, value: bytes | None, stamp: float, ago: float) -> None:
        try:
            self._memory.apply(read_record(value or b""), stamp, ago)
        except (NewerFormat, BadRecord):
            return  # a newer version's, or nobody's

    def _look_around(self) -> None:
        """For those who say nothing, or nothing any more."""
        now = monotonic()
        if now - self._swept_at < SWEEP_SECONDS:
            return
        self._swept_at = now
        self._memory.sweep()
        unheard = [process for process in self._living() if not self._memory.heard(process)]
        self._unheard = {process: self._unheard.get(process, now) for process in unheard}

    def _silence(self) -> str:
        now = monotonic()
        silent = [process for process, since in self._unheard.items() if now - since >= UNHEARD_SECONDS]
        if not silent:
            return ""
        (gateway, worker), more = silent[0], len(silent) - 1
        name = gateway if worker is None else f"{gateway}, worker {worker},"
        others = f" (and {more} more)" if more else ""
        return f"gateway {name}{others} does not tell what its partners do; its log says why"

    def _recover(self) -> None:
        self._problem = ""
        if self._failed:
            self._failed = False
            _log.info("it can be read again what partners do", extra={"event": "activity_topic", "reachable": True})

    def _fail(self, problem: str, error: Exception | None = None) -> None:
        self._problem = f"topic {self._topic.name} can't be read: {problem}"
        if not self._failed:
            extra = {"event": "activity_topic", "reachable": False, "topic": self._topic.name, "problem": problem}
            _log.warning("it can't be read what partners do", extra=extra, exc_info=error)
        self._failed = True
