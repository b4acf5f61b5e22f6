"""Test processes that run side by side on one machine, as pytest-xdist starts them.

Which of them this is, so that each has brokers, ports and gateways of its own; and how a test gets the machine to
itself, where it measures time, while all others go on side by side.
"""

import fcntl
import os
import re
from pathlib import Path

PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
"""How many there are: one without pytest-xdist."""

PROCESS = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or 0) % PROCESSES
"""The number of this one, from 0. One that takes the place of a crashed one has the number of some other."""

MACHINE_VARIABLE = "ZONEGATE_TEST_MACHINE"


class Machine:
    """The machine on which tests run: many of them at once, or one that wants it alone.

    Locks of files, which the system takes back from a process that dies.
    """

    def __init__(self, folder: Path) -> None:
        # Whoever wants the machine alone waits at the door, and nobody passes by meanwhile.
        self._door = (folder / "door").open("w")
        self._inside = (folder / "inside").open("w")
        self._alone = False

    def enter(self, alone: bool) -> None:
        if self._alone:
            return
        fcntl.flock(self._door, fcntl.LOCK_EX)
        fcntl.flock(self._inside, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(self._door, fcntl.LOCK_UN)
        self._alone = alone

    def leave(self, to_stay_alone: bool = False) -> None:
        """`to_stay_alone` keeps it for the next test, which wants it as well."""
        if not (self._alone and to_stay_alone):
            fcntl.flock(self._inside, fcntl.LOCK_UN)
            self._alone = False

    def close(self) -> None:
        self._door.close()
        self._inside.close()
