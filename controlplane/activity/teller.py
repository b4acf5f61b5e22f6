"""A gateway's process tells, every few seconds, what its partners do.

Whatever goes wrong with it, partners are served: it is said once in the log, and tried again now and then. What passes
meanwhile is told then, as far as it adds up.
"""

import asyncio
import contextlib
import logging
from time import monotonic, time
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from controlplane.activity.records import RECORD_BYTES, write_record, write_zone
from controlplane.activity.topic import ActivityTopic, activity_problem
from controlplane.state.client import Identity
from controlplane.state.topic import UnusableTopic, no_stray_cancellation, stop
from proxy.activity_news import ActivityCollector

TELL_SECONDS: Final = 2.0

QUIET_SECONDS: Final = 5.0
"""After which a process tells that it lives, though there is no news."""

AGAIN_SECONDS: Final = 10.0
"""From a failure to the next attempt."""

ANSWER_SECONDS: Final = 15.0
"""For a broker to take a record, which takes milliseconds."""

FAREWELL_SECONDS: Final = 1.0

TURN_ZONES: Final = 50
"""That are told of before others have a turn: a millisecond or two."""

_log = logging.getLogger("zonegate.activity")


class Teller:
    """`run` while the gateway serves, then `farewell`."""

    def __init__(self, topic: ActivityTopic, identity: Identity) -> None:
        self._topic = topic
        self._identity = identity
        self._producer: AIOKafkaProducer | None = None
        self._told_at = 0.0
        self._had_rates = False
        self._failed = False

    async def run(self, collector: ActivityCollector) -> None:
        """Until cancelled."""
        collector.begin()
        while True:
            try:
                with no_stray_cancellation():
                    await self._tell_on(collector)
            except (KafkaError, OSError, TimeoutError, UnusableTopic) as error:
                self._fail(activity_problem(error))
            except Exception as error:  # noqa: BLE001 - nothing of this is worth a gateway
                self._fail(f"{type(error).__name__}: {error}", error)
            await self._abandon()
            await asyncio.sleep(AGAIN_SECONDS)

    async def farewell(self) -> None:
        """So that its clients aren't shown any more."""
        if self._producer is None:
            return
        with contextlib.suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                with no_stray_cancellation():
                    now = time()
                    await self._send(self._producer, write_record(self._identity, now, now, (), ends=True))
        await self._abandon()

    async def _tell_on(self, collector: ActivityCollector) -> None:
        """Raises KafkaError, OSError, TimeoutError, UnusableTopic."""
        await self._topic.ensure()
        producer = self._producer = await self._topic.producer()
        while True:
            await self._tell(producer, collector)
            await asyncio.sleep(TELL_SECONDS)

    async def _tell(self, producer: AIOKafkaProducer, collector: ActivityCollector) -> None:
        since, until, news = collector.collect()
        zones: list[bytes] = []
        size, has_rates, sent = 0, False, False
        for number, found in enumerate(news):
            if number % TURN_ZONES == 0:
                await asyncio.sleep(0)
            zone = write_zone(*found)
            has_rates = has_rates or any(found[1].rates)
            if zones and size + len(zone) > RECORD_BYTES:
                await self._send(producer, write_record(self._identity, since, until, zones))
                zones, size, sent = [], 0, True
            zones.append(zone)
            size += len(zone)
        quiet = monotonic() - self._told_at >= QUIET_SECONDS
        # rates that were, and aren't any more, are told by their absence
        if zones or quiet or (self._had_rates and not sent):
            await self._send(producer, write_record(self._identity, since, until, zones))
        self._had_rates = has_rates

    async def _send(self, producer: AIOKafkaProducer, value: bytes) -> None:
        async with asyncio.timeout(ANSWER_SECONDS):
            await (await producer.send(self._topic.name, value, partition=0))
        self._told_at = monotonic()
        if self._failed:
            self._failed = False
            _log.info("people can be told again what partners do", extra={"event": "activity_topic", "reachable": True})

    async def _abandon(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL_SECONDS):
                    await stop(producer)

    def _fail(self, problem: str, error: Exception | None = None) -> None:
        if not self._failed:
            extra = {"event": "activity_topic", "reachable": False, "topic": self._topic.name, "problem": problem}
            _log.warning("people can't be told what partners do", extra=extra, exc_info=error)
        self._failed = True
