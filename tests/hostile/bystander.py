"""A well-behaved client of another zone: it asks and fetches all the time, and notes how long that takes."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from protocol.schema import request_struct
from tests.hostile.attacker import Attacker
from tests.hostile.fort import STEADY_TOPIC, Fort

METADATA = 3
PAUSE_SECONDS = 0.01
"""Between two requests: so that measuring is no attack by itself."""

CALM_REQUESTS = 30
ATTACK_REQUESTS = 10

FACTOR = 10.0
GRACE_SECONDS = 0.05
"""During an attack the median may be ten times that of calm times and 50 ms more: other processes share the machine and
its two processors, and the attackers' own work is done there as well. A gateway that waits for an attacker, or works on
its behalf without an end, takes seconds."""


class Bystander:
    """One connection with a thread of its own, between `start` and `stop`."""

    def __init__(self, fort: Fort) -> None:
        self._connection = Attacker(fort, "127.0.0.77").sign_in(fort.steady)
        self._struct = request_struct(METADATA, 9)
        self._took: list[float] = []
        self._failure: BaseException | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bystander", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        self._connection.close()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._stopped.wait(PAUSE_SECONDS):
                self._took.append(self._ask())
        except BaseException as failure:  # noqa: BLE001 - told by whoever waits for this thread
            self._failure = failure

    def _ask(self) -> float:
        began = time.monotonic()
        topic = self._struct.nested("topics").new(name=STEADY_TOPIC)
        answer = self._connection.ask(METADATA, 9, topics=(topic,))
        assert [(each.name, each.error_code) for each in answer.topics] == [(STEADY_TOPIC, 0)]
        return time.monotonic() - began

    def _next(self, count: int) -> list[float]:
        """How long the next requests take."""
        first = len(self._took)
        while len(self._took) < first + count:
            self._thread.join(PAUSE_SECONDS)
            if not self._thread.is_alive():
                raise AssertionError("the well-behaved client is not served any more") from self._failure
        return self._took[first:]

    @contextmanager
    def is_served(self) -> Iterator[None]:
        """Measure before, and during what happens inside."""
        calm = median(self._next(CALM_REQUESTS))
        first = len(self._took)
        yield
        self._next(ATTACK_REQUESTS)
        during = median(self._took[first:])
        allowed = FACTOR * calm + GRACE_SECONDS
        assert during < allowed, f"{during * 1000:.1f} ms for a request, {calm * 1000:.1f} ms in calm times"
