"""The watch over a worker that is up: one that hangs keeps its part of new connections, and would never end."""

import asyncio
from typing import Any, Final, Protocol

from controlplane.link import LinkError

QUESTION: Final = "alive"
"""It is answered by the event loop itself, whatever the worker's gateway does."""

WATCH_SECONDS: Final = 5.0
"""Between an answer and the next question, and for an answer."""

MISSES: Final = 3
"""One may be the metrics of some thousand zones, or a pause of the supervisor's own. 15 to 20 s of silence end it."""


class Asked(Protocol):
    """The link to the worker."""

    async def ask(self, name: str, seconds: float, body: object = None) -> Any: ...


async def until_it_hangs(link: Asked, up: asyncio.Event) -> None:
    """Returns when a worker has left so many questions in a row without an answer."""
    await up.wait()
    missed = 0
    while missed < MISSES:
        if not missed:
            await asyncio.sleep(WATCH_SECONDS)
        try:
            await link.ask(QUESTION, WATCH_SECONDS)
            missed = 0
        except LinkError:
            missed += 1
