"""What a gateway's process writes: a sign of life every few seconds, and when credentials were used."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Final

from aiokafka.errors import KafkaError

from controlplane.state.liveness import HEARTBEAT_SECONDS
from controlplane.state.records import GatewayRecord, UsedRecord
from controlplane.state.writer import StateWriter, Write
from controlplane.times import format_unix_time

SOON_SECONDS: Final = 0.02
"""From a change to the word that it is served: changes that come together are told together."""

USED_SECONDS: Final = 60.0
"""Between two notes of when credentials were used; each that is in use makes a record."""

FAREWELL_SECONDS: Final = 2.0

_log = logging.getLogger("zonegate.state")


class Heartbeats:
    """`run` until the process stops, then `farewell`."""

    def __init__(
        self,
        writer: StateWriter,
        describe: Callable[[], GatewayRecord],
        used: Callable[[], Mapping[str, float]],
        noted: Callable[[str], str | None],
    ) -> None:
        """`used`: credential -> Unix time of its last use; `noted`: when the state topic says that it was, empty where
        it doesn't; None of a credential that is none of the topic's."""
        self._writer = writer
        self._describe = describe
        self._used = used
        self._noted = noted
        self._noted_at = monotonic()
        self._due = asyncio.Event()
        self._failed = False
        self._began = False

    def soon(self) -> None:
        """Something has changed that others wait for."""
        self._due.set()

    async def run(self) -> None:
        self._began = True
        while True:
            await self._write(self._beat())
            try:
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await self._due.wait()
                await asyncio.sleep(SOON_SECONDS)
            except TimeoutError:
                pass
            self._due.clear()

    async def farewell(self) -> None:
        """So that nobody waits for this process any more."""
        if self._began:
            await self._write_at_the_end([Write(self._describe().key, None)])

    async def note_used(self) -> None:
        """The last time."""
        if notes := self._notes():
            await self._write_at_the_end(notes)

    async def _write_at_the_end(self, writes: list[Write]) -> None:
        with contextlib.suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await self._writer.settled()  # a beat that was interrupted must not come after it
                await self._writer.send(*writes)

    def _beat(self) -> list[Write]:
        record = self._describe()
        writes = [Write(record.key, record.value())]
        if monotonic() - self._noted_at > USED_SECONDS:
            self._noted_at = monotonic()
            writes += self._notes()
        return writes

    def _notes(self) -> list[Write]:
        """Of credentials that were used later than the topic says, which other gateways write, too."""
        used = [UsedRecord(credential, format_unix_time(at)) for credential, at in self._used().items()]
        news = [
            record for record in used if (noted := self._noted(record.credential)) is not None and noted < record.at
        ]
        return [Write(record.key, record.value()) for record in news]

    async def _write(self, writes: list[Write]) -> None:
        try:
            await self._writer.send(*writes)
        except (KafkaError, OSError, TimeoutError) as error:
            if not self._failed:
                extra = {"event": "heartbeat_failed", "problem": str(error) or type(error).__name__}
                _log.warning("others can't be told that this gateway lives", extra=extra)
            self._failed = True
        else:
            self._failed = False
