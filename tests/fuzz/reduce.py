"""Makes a failing script short: fewer clients, fewer steps, fewer bytes, as long as it fails in the same way."""

import dataclasses
from collections.abc import Iterator, Sequence
from time import monotonic

from tests.fuzz.mutations import with_length
from tests.fuzz.player import replay
from tests.fuzz.steps import WHOLE, Kind, Script, Step

Steps = Sequence[Step]


class Reducer:
    """Tries shorter scripts until none fails any more, or the time is over."""

    def __init__(self, script: Script, signature: str, seconds: float) -> None:
        self.steps: Steps = tuple(script.steps)
        self._setting = script.setting
        self._signature = signature
        self._until = monotonic() + seconds

    def reduce(self) -> Script:
        if self._fails(self.steps):
            before: Steps = ()
            while before != self.steps and monotonic() < self._until:
                before = self.steps
                self._drop_pairs()
                self._drop_steps()
                for position in range(len(self.steps)):
                    self._shorten(position)
        return Script(self._setting, self.steps)

    def _fails(self, steps: Steps) -> bool:
        failure = replay(Script(self._setting, steps))
        return failure is not None and failure.signature == self._signature

    def _take(self, steps: Steps) -> bool:
        """Go on with these if they fail, too."""
        if monotonic() > self._until or not self._fails(steps):
            return False
        self.steps = tuple(steps)
        return True

    def _drop_pairs(self) -> None:
        for pair in {step.pair for step in self.steps}:
            self._take([step for step in self.steps if step.pair != pair])

    def _drop_steps(self) -> None:
        for size in _halves(len(self.steps)):
            for start in range(len(self.steps) - size, -1, -size):
                self._take([*self.steps[:start], *self.steps[start + size :]])

    def _shorten(self, position: int) -> None:
        step = self.steps[position]
        if not step.data:
            return
        if step.cut != WHOLE:
            self._replace(position, dataclasses.replace(step, cut=WHOLE))
        if step.kind is Kind.CLIENT:
            self._drop_frames(position)
        for size in _halves(len(self.steps[position].data)):
            if size < 4 and len(self.steps[position].data) > 400:
                return
            start = 0
            while start + size <= len(self.steps[position].data):
                if not any(self._replace(position, twin) for twin in _without(self.steps[position], start, size)):
                    start += size

    def _replace(self, position: int, step: Step) -> bool:
        return self._take([*self.steps[:position], step, *self.steps[position + 1 :]])

    def _drop_frames(self, position: int) -> None:
        step = self.steps[position]
        frames = list(_split(step.data))
        for index in range(len(frames) - 1, -1, -1):
            fewer = frames[:index] + frames[index + 1 :]
            if fewer and self._replace(position, dataclasses.replace(step, data=b"".join(fewer))):
                frames = fewer


def _halves(size: int) -> Iterator[int]:
    size //= 2
    while size:
        yield size
        size //= 2


def _split(data: bytes) -> Iterator[bytes]:
    """The frames of a client's bytes; what is no whole frame is the last one."""
    while len(data) >= 4 and len(data) > (size := 4 + max(int.from_bytes(data[:4], "big", signed=True), 0)):
        yield data[:size]
        data = data[size:]
    yield data


def _without(step: Step, start: int, size: int) -> Iterator[Step]:
    """The step with fewer bytes, where it is one frame with the length of what is left first."""
    data = step.data[:start] + step.data[start + size :]
    if start >= 4 and step.kind is not Kind.TOKEN:
        yield dataclasses.replace(step, data=with_length(data))
    yield dataclasses.replace(step, data=data)


def shorter(script: Script, signature: str, seconds: float) -> Script:
    """A script that fails in the same way, as short as can be found in that time."""
    return Reducer(script, signature, seconds).reduce()
