"""The clock of sessions and proofs, which tests move on."""

import time
from collections.abc import Iterator

import pytest

from proxy import session, session_life


class Clock:
    """Ahead of the real one by as much as a test has let pass."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def advance(self, seconds: float) -> None:
        self._ahead += seconds

    def time(self) -> float:
        return time.time() + self._ahead

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    for module in (session, session_life):
        monkeypatch.setattr(module, "time", clock.time)
        monkeypatch.setattr(module, "monotonic", clock.monotonic)
    yield clock
