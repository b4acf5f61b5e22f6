"""When a worker that is up counts as one that hangs."""

import asyncio

import pytest

from controlplane import health
from controlplane.health import until_it_hangs
from controlplane.link import LinkError

DEADLINE_SECONDS = 10


class Link:
    """Answers as the test says, from the first question to the last."""

    def __init__(self, answers: str) -> None:
        self._answers = iter(answers)
        self.asked = 0

    async def ask(self, _name: str, _seconds: float, _body: object = None) -> None:
        self.asked += 1
        if next(self._answers) == "-":
            raise LinkError("no answer")


@pytest.mark.parametrize(("answers", "asked"), [("---", 3), ("+---", 4), ("--+--+---+", 9)])
async def test_so_many_in_a_row(answers: str, asked: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "WATCH_SECONDS", 0)
    link, up = Link(answers), asyncio.Event()
    up.set()

    async with asyncio.timeout(DEADLINE_SECONDS):
        await until_it_hangs(link, up)

    assert link.asked == asked


async def test_a_worker_that_is_starting_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "WATCH_SECONDS", 0)
    link, up = Link("---"), asyncio.Event()
    watching = asyncio.create_task(until_it_hangs(link, up))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not link.asked

    up.set()
    async with asyncio.timeout(DEADLINE_SECONDS):
        await watching
