"""What a gateway is to serve, wherever it comes from, and its older source: a folder of manifests and a file of hashes.

The other source is the state topic (`controlplane/state/desired.py`).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Final, Protocol

from controlplane.last_used import LastUsedWriter
from controlplane.watch import DesiredState
from policies.credentials import Credential
from policies.zone import Zone
from proxy.activity_news import ActivityCollector

POLL_SECONDS: Final = 0.5
"""A revoked credential ends its sessions within a second: one look, and the time to read and apply."""

BOOKS_SECONDS: Final = 5.0
"""Between two entries of when credentials were used: soon enough for people, and no load for a disk."""


class Serving(Protocol):
    """The gateway, as far as others are told of it."""

    @property
    def connections(self) -> int: ...

    def cluster_problems(self) -> Mapping[str, str]: ...

    def zone_problems(self) -> Mapping[str, str]: ...

    def credentials_used(self) -> Mapping[str, float]: ...

    @property
    def activity(self) -> ActivityCollector: ...


class Desired(Protocol):
    """`load` once, then `follow`; `close` at the end."""

    @property
    def zones(self) -> Sequence[Zone]: ...

    @property
    def credentials(self) -> Sequence[Credential]: ...

    def why_not_loaded(self) -> str:
        """In plain words; empty once it is."""
        ...

    async def load(self) -> None: ...

    def report(self) -> None:
        """Logs what is in force, and what somebody may expect of it in vain."""
        ...

    async def follow(self, gateway: Serving, apply: Callable[[], None], serving: asyncio.Event) -> None:
        """Calls `apply` whenever there is something new, until cancelled. `serving` is set once partners can come."""
        ...

    async def leave(self) -> None:
        """The gateway takes no new connections from now on, and follows no more."""
        ...

    async def close(self, gateway: Serving) -> None:
        """What is left to be written; the gateway serves nobody any more."""
        ...


class FilesDesired:
    """From files, which are followed."""

    def __init__(self, state: DesiredState, credentials_file: FilePath) -> None:
        self._state = state
        self._last_used = LastUsedWriter(credentials_file)

    @property
    def zones(self) -> Sequence[Zone]:
        return self._state.zones

    @property
    def credentials(self) -> Sequence[Credential]:
        return self._state.credentials

    def why_not_loaded(self) -> str:
        return ""

    async def load(self) -> None:
        """The files have been read before."""

    def report(self) -> None:
        self._state.report()

    async def follow(self, gateway: Serving, apply: Callable[[], None], _serving: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._poll(apply), name="follow the files")
            tasks.create_task(self._keep_books(gateway), name="note when credentials are used")

    async def leave(self) -> None:
        """Nobody needs to know."""

    async def close(self, gateway: Serving) -> None:
        await asyncio.to_thread(self._last_used.write, gateway.credentials_used())

    async def _poll(self, apply: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if await asyncio.to_thread(self._state.refresh):
                apply()
                self.report()

    async def _keep_books(self, gateway: Serving) -> None:
        while True:
            await asyncio.sleep(BOOKS_SECONDS)
            await asyncio.to_thread(self._last_used.write, gateway.credentials_used())
