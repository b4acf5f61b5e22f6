"""What the operating system says about this machine and its processes. Linux only."""

import contextlib
import os
import platform
import time
from collections.abc import Iterator, Set
from pathlib import Path

CPUCLOCK_SCHED = 2
"""Linux' number for the clock of CPU time as the scheduler counts it, user and system; see clock_getcpuclockid(3)."""

SMALL_MACHINE = 3
"""With fewer cores, brokers and load generator need all of them, and only the proxy is pinned."""


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process, as in /proc/PID/stat, but not rounded to hundredths."""
    return time.clock_gettime(~pid << 3 | CPUCLOCK_SCHED)


def cpu_seconds_of_all(pid: int) -> float:
    """The same of a process and its children; all of them have to live on until the next call."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    children = [int(child) for task in tasks for child in task.read_text(encoding="ascii").split()]
    return sum(map(cpu_seconds, (pid, *children)))


def resident_megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (kilobytes,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(kilobytes) * 1024 / 1e6


def cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def proxy_core() -> set[int]:
    return {cores()[-1]}


def other_cores() -> set[int]:
    return set(cores()) if len(cores()) < SMALL_MACHINE else set(cores()[:-1])


@contextlib.contextmanager
def started_on(chosen: Set[int]) -> Iterator[None]:
    """What is started within runs on these cores, with all its threads."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, chosen)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def describe() -> str:
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    models = {line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")}
    return f"{len(cores())} cores ({', '.join(sorted(models)) or platform.machine()}), Linux {platform.release()}"


def describe_pinning() -> str:
    if len(cores()) == 1:
        return "one core for everything"
    where = f"each proxy is pinned to core {cores()[-1]}"
    if len(cores()) < SMALL_MACHINE:
        return f"{where}, which the brokers and the load generator use as well"
    return f"{where}, and the brokers and the load generator to the others"
