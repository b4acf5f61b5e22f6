"""How often the supervisor divides limits: once for all that came in meanwhile, with breaks as long as it is slow."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from controlplane.granting import LONGEST_SECONDS, Granting

DEADLINE_SECONDS = 10


class FakeDivider:
    """Takes as long as the test says, on a clock of its own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.takes = 0.0
        self.heard: list[object] = []
        self.divided_after: list[int] = []

    def join(self, worker: int) -> None:
        self.heard.append(worker)

    def leave(self, worker: int) -> None:
        self.heard.append(worker)

    def report(self, _worker: int, message: dict[str, Any]) -> None:
        self.heard.append(message)

    def grants(self) -> Mapping[int, dict[str, Any]]:
        self.now += self.takes
        self.divided_after.append(len(self.heard))
        return {0: {"after": len(self.heard)}}


class Stage:
    def __init__(self) -> None:
        self.divider = FakeDivider()
        self.sent: asyncio.Queue[tuple[int, dict[str, Any]]] = asyncio.Queue()
        self.granting = Granting(
            self.divider, lambda *grant: self.sent.put_nowait(grant), clock=lambda: self.divider.now
        )

    async def next_grant(self) -> tuple[int, dict[str, Any]]:
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await self.sent.get()


@pytest.fixture
async def stage() -> Stage:
    return Stage()


async def test_one_division_for_all_that_came_in(stage: Stage) -> None:
    stage.granting.join(0)
    stage.granting.join(1)
    for number in range(5):
        stage.granting.report(0, {"number": number})
    stage.granting.leave(1)
    assert await stage.next_grant() == (0, {"after": 8})

    stage.granting.report(0, {"number": 6})
    assert await stage.next_grant() == (0, {"after": 9})
    assert stage.divider.divided_after == [8, 9]


@pytest.mark.parametrize(("takes", "pause"), [(0.0, 0.0), (0.01, 0.03), (0.05, 0.15), (60.0, LONGEST_SECONDS)])
async def test_the_break_after_a_division(stage: Stage, takes: float, pause: float) -> None:
    stage.divider.takes = takes
    stage.granting.report(0, {})
    await stage.next_grant()

    assert stage.granting.pause == pytest.approx(pause)
    stage.granting.report(0, {})
    await stage.next_grant()


async def test_nothing_is_divided_after_the_end(stage: Stage) -> None:
    stage.granting.report(0, {})
    stage.granting.close()

    done = asyncio.Event()
    asyncio.get_running_loop().call_later(0, done.set)  # later than what would be due
    await done.wait()
    assert stage.divider.divided_after == []
