"""Waiting until zones are in force on every gateway."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from controlplane.commands.kinds import resource_name
from controlplane.commands.output import printable
from controlplane.terminal import EXIT_FAILED, EXIT_NOT_IN_TIME, console

if TYPE_CHECKING:
    from controlplane.commands.api import Api

POLL_SECONDS = 0.5
"""Gateways follow within a second; nobody notices half of one."""


def wait_until_ready(api: "Api", names: Sequence[str], seconds: float) -> int:
    """The exit code: 0 when all are READY. Tells of each that is not, and why."""
    waiting, code = list(names), 0
    deadline = time.monotonic() + seconds
    with Console(stderr=True).status("") as progress:
        while waiting:
            for name in tuple(waiting):
                status, reason = _status(api, name)
                if status == "READY":
                    waiting.remove(name)
                elif status == "FAILED":
                    waiting.remove(name)
                    code = EXIT_FAILED
                    _tell(f"{resource_name(name)}: FAILED: {reason}")
            if not waiting or time.monotonic() >= deadline:
                break
            progress.update(f"Waiting until {_counted(waiting)}")
            time.sleep(POLL_SECONDS)
    for name in waiting:
        _tell(f"{resource_name(name)}: not READY after {seconds:g} s")
    return code or (EXIT_NOT_IN_TIME if waiting else 0)


def _status(api: "Api", name: str) -> tuple[str, str]:
    metadata = api.zone(name).get("metadata", {})
    return str(metadata.get("status")), printable(str(metadata.get("failedReason") or "no reason was given"))


def _counted(names: Sequence[str]) -> str:
    return f"{resource_name(names[0])} is READY" if len(names) == 1 else f"{len(names)} zones are READY"


def _tell(message: str) -> None:
    console().print(message, markup=False)
