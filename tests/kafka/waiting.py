"""Waiting for a condition, with a deadline: never for a fixed time."""

import time
from collections.abc import Callable

POLL_SECONDS = 0.05


def wait_until(condition: Callable[[], object], what: str, timeout: float) -> None:
    """Return once condition() holds; raise TimeoutError naming what was waited for otherwise."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {timeout:g} s there still is not: {what}")
        time.sleep(POLL_SECONDS)
