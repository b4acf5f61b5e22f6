"""What a gateway tells of itself, when, and what it tells last."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest
from aiokafka.errors import KafkaConnectionError

from controlplane.state import heartbeats as module
from controlplane.state.heartbeats import Heartbeats
from controlplane.state.records import UsedRecord
from controlplane.state.writer import StateWriter, Write
from tests.unit.controlplane.state.fake_topic import until
from tests.unit.controlplane.state.memory import gateway_record

FIRST, LATER = 1737982505.0, 1737982565.0
FIRST_TEXT, LATER_TEXT = "2025-01-27T12:55:05Z", "2025-01-27T12:56:05Z"


class Writer:
    def __init__(self) -> None:
        self.sent: list[Sequence[Write]] = []
        self.problem: Exception | None = None
        self.quiet = asyncio.Event()
        self.quiet.set()

    async def send(self, *writes: Write) -> None:
        await asyncio.sleep(0)
        if self.problem is not None:
            raise self.problem
        self.sent.append(writes)

    async def settled(self) -> None:
        await self.quiet.wait()


class Gateway:
    def __init__(self) -> None:
        self.writer = Writer()
        self.applied = 1
        self.used: dict[str, float] = {}
        self.noted: dict[str, str] = {"known": ""}
        self.heartbeats = Heartbeats(
            cast(StateWriter, self.writer), lambda: gateway_record(self.applied), lambda: self.used, self.noted.get
        )
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self.heartbeats.run())

    async def stop(self) -> None:
        assert self._task is not None
        assert not self._task.done()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def told(self) -> list[Any]:
        return [writes[0].value for writes in self.writer.sent]


@pytest.fixture
async def gateway(monkeypatch: pytest.MonkeyPatch) -> Gateway:
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.01)
    monkeypatch.setattr(module, "SOON_SECONDS", 0)
    monkeypatch.setattr(module, "FAREWELL_SECONDS", 0.05)
    return Gateway()


async def test_a_gateway_tells_of_itself_again_and_again(gateway: Gateway) -> None:
    gateway.start()
    await until(lambda: len(gateway.writer.sent) > 3)
    assert set(gateway.told()) == {gateway_record(1).value()}
    await gateway.stop()


async def test_a_change_is_told_at_once(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 600)
    gateway.start()
    await until(lambda: len(gateway.writer.sent) == 1)
    for gateway.applied in (2, 3):
        gateway.heartbeats.soon()
    await until(lambda: len(gateway.writer.sent) == 2)
    assert gateway.told()[-1] == gateway_record(3).value()
    await gateway.stop()


async def test_the_topic_may_be_away(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    gateway.writer.problem = KafkaConnectionError("gone")
    gateway.start()
    await asyncio.sleep(0.05)
    assert caplog.messages == ["others can't be told that this gateway lives"], "once"
    gateway.writer.problem = None
    await until(lambda: bool(gateway.writer.sent))
    await gateway.stop()


async def test_the_last_word_comes_behind_all_others(gateway: Gateway) -> None:
    gateway.start()
    await until(lambda: bool(gateway.writer.sent))
    await gateway.stop()
    gateway.writer.sent.clear()
    gateway.writer.quiet.clear()
    farewell = asyncio.create_task(gateway.heartbeats.farewell())
    await asyncio.sleep(0)
    assert not gateway.writer.sent, "a beat that was interrupted may still be on its way"
    gateway.writer.quiet.set()
    await farewell
    assert gateway.writer.sent == [(Write(gateway_record(1).key, None),)]


async def test_a_stop_does_not_wait_for_a_topic_that_is_away(gateway: Gateway) -> None:
    gateway.start()
    await until(lambda: bool(gateway.writer.sent))
    await gateway.stop()
    gateway.writer.sent.clear()
    gateway.writer.quiet.clear()
    async with asyncio.timeout(5):
        await gateway.heartbeats.farewell()
    assert not gateway.writer.sent


async def test_who_has_never_told_of_itself_says_no_farewell(gateway: Gateway) -> None:
    await gateway.heartbeats.farewell()
    assert not gateway.writer.sent


async def test_uses_are_noted_once_they_are_later_than_the_topic_says(gateway: Gateway) -> None:
    gateway.used = {"known": FIRST, "of the admin": FIRST}
    gateway.writer.problem = KafkaConnectionError("gone")
    await gateway.heartbeats.note_used()
    gateway.writer.problem = None
    await gateway.heartbeats.note_used()
    note = UsedRecord("known", FIRST_TEXT)
    assert gateway.writer.sent == [(Write(note.key, note.value()),)], "what could not be told is told later"

    gateway.noted["known"] = LATER_TEXT  # another gateway has seen it later
    await gateway.heartbeats.note_used()
    assert len(gateway.writer.sent) == 1
    gateway.used["known"] = LATER + 1
    await gateway.heartbeats.note_used()
    assert len(gateway.writer.sent) == 2


async def test_uses_are_noted_now_and_then(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "USED_SECONDS", 0.03)
    gateway.used = {"known": FIRST}
    gateway.start()
    await until(lambda: any(len(writes) == 2 for writes in gateway.writer.sent))
    assert len(gateway.writer.sent[0]) == 1
    await gateway.stop()
