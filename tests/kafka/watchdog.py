"""Ends a test run's brokers and removes their folder once the run is gone, however it went.

Runs as a process of its own: python watchdog.py FOLDER, with a pipe from the run as standard input. The run writes
"+PID" for each broker that it starts and "-PID" for each that has ended. The pipe closes when the run closes it or
dies, even by SIGKILL; then whatever is left is killed and the folder removed. Imports nothing of the project: it has
to start in no time.
"""

import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable


def watch(lines: Iterable[str], folder: str) -> None:
    running: set[int] = set()
    for line in lines:
        pid = int(line[1:])
        if line[0] == "+":
            running.add(pid)
        else:
            running.discard(pid)
    for pid in running:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while any(map(is_alive, running)) and time.monotonic() < deadline:
        time.sleep(0.02)  # a dying broker may still write into the folder
    shutil.rmtree(folder, ignore_errors=True)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    # Ctrl-C and termination are the run's business; this process ends when the pipe does.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    watch(sys.stdin, sys.argv[1])
