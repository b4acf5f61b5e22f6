"""Many connections that ask as much as they can, in a process of their own: its work delays nobody who measures."""

import contextlib
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.sharedctypes import SynchronizedArray
from multiprocessing.synchronize import Event

from driver import Address, Connection, Login
from frames import Question

START_SECONDS = 30.0
STOP_SECONDS = 60.0

_SPAWN = multiprocessing.get_context("spawn")
"""A copy of this process would have the threads' locks of its client libraries, and not the threads."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What a crowd has had answered, since its start or between two times."""

    requests: int
    record_bytes: int
    at: float

    def since(self, before: "Moved") -> "Moved":
        """`at` is then the seconds in between."""
        return Moved(self.requests - before.requests, self.record_bytes - before.record_bytes, self.at - before.at)


class Crowd:
    """All its connections do the same."""

    def __init__(
        self, address: Address, login: Login | None, question: Question, window: int, connections: int
    ) -> None:
        self._counts: SynchronizedArray[int] = _SPAWN.Array("q", 2 * connections)
        self._stop = _SPAWN.Event()
        self._process = _SPAWN.Process(
            target=_run, args=(address, login, question, window, self._counts, self._stop), daemon=True
        )

    def start(self) -> None:
        """Returns when every connection has had an answer."""
        if not len(self._counts):
            return
        self._process.start()
        self._wait(lambda: all(self._counts[1::2]))

    def wait_for(self, record_bytes: int) -> None:
        """Returns when so many have moved since the start."""
        self._wait(lambda: self.moved().record_bytes >= record_bytes)

    def _wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            if not self._process.is_alive() or time.monotonic() > deadline:
                raise ChildProcessError("a crowd of connections did not get going")
            time.sleep(0.01)

    def moved(self) -> Moved:
        counts = self._counts[:]
        return Moved(sum(counts[1::2]), sum(counts[::2]), time.perf_counter())

    def stop(self) -> None:
        """Nothing more is sent; returns when everything is answered. Raises when an answer was wrong."""
        if not len(self._counts):
            return
        self._stop.set()
        self._process.join(STOP_SECONDS)
        if self._process.exitcode != 0:
            raise ChildProcessError(f"a crowd of connections failed, exit code {self._process.exitcode}")

    def end(self) -> None:
        """Whatever it is doing."""
        if self._process.pid is not None and self._process.is_alive():
            self._process.kill()


@contextlib.contextmanager
def crowd(address: Address, login: Login | None, question: Question, window: int, connections: int) -> Iterator[Crowd]:
    running = Crowd(address, login, question, window, connections)
    try:
        running.start()
        yield running
        running.stop()
    finally:
        running.end()


def _run(
    address: Address,
    login: Login | None,
    question: Question,
    window: int,
    counts: "SynchronizedArray[int]",
    stop: Event,
) -> None:
    """The process."""
    failures: list[BaseException] = []
    stopping = threading.Event()  # a process's event asks the kernel each time

    def ask(number: int) -> None:
        moved = [0, 0]

        def on_answer(record_bytes: int) -> None:
            moved[0] += record_bytes
            moved[1] += 1
            cells[2 * number], cells[2 * number + 1] = moved

        try:
            with Connection(address, login) as connection:
                connection.keep_asking(question, window, lambda: not stopping.is_set(), on_answer)
        except BaseException as failure:
            failures.append(failure)
            raise

    cells = counts.get_obj()  # each has one writer
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(cells) // 2)]
    for thread in threads:
        thread.start()
    stop.wait()
    stopping.set()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
