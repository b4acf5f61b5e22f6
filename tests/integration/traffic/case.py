"""What a client has to do, and what it reports: JSON, so that a library may run in any process, of any language.

A driver reads a list of cases from its standard input, runs all of them side by side and prints one line for each. A
case ends by itself: it goes on until it has seen an arrival that is `seconds` later than its first one.
"""

import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

BATCH_OVERHEAD: Final = 72
"""Bytes of a record batch (61) and of its only record (11) beside the value, for values of 16 KiB to 1 MiB."""

GIVE_UP_SECONDS: Final = 75.0
"""No window is as long."""

ID_DIGITS: Final = 10


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    library: str
    produces: bool
    zone: str
    rate: int
    """What it should be held at, in bytes per second."""
    bootstrap: str
    user: str
    password: str
    topic: str
    partitions: int
    value_bytes: int
    outstanding: int
    """Records that a producer has under way at most."""
    steady_seconds: float
    """How long the rate is measured for."""
    tolerance: float
    """How far off it may be."""
    seconds: float
    """From the first arrival to the last."""
    group: str = ""
    session_ms: int = 0
    """A consumer's session.timeout.ms; 0 for the library's own."""
    acks: int = 1
    """By hand only; the libraries have their own default, which is all."""
    pause: float = 0.0
    """By hand only: seconds from one record to the next, of a producer that asks for less than it might."""


@dataclass(slots=True)
class Report:
    """`arrivals` are acknowledgements, or records that were received: (seconds of the monotonic clock, partition,
    offset, number, value bytes)."""

    name: str
    arrivals: list[tuple[float, int, int, int, int]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    rebalances: int = 0
    """How often a consumer was assigned partitions after it had received records."""
    throttle_ms: float = 0.0
    """The longest throttle time that the library tells of by its own means; -1 where it has none."""
    seen: dict[str, object] = field(default_factory=dict)
    """What else it tells, for whoever reads a failed test's output."""

    def assigned(self) -> None:
        self.rebalances += bool(self.arrivals)

    def arrived(self, partition: int, offset: int, number: int, size: int) -> None:
        self.arrivals.append((time.monotonic(), partition, offset, number, size))


class Progress:
    """Whether a case has seen enough."""

    def __init__(self, case: Case, report: Report) -> None:
        self._case = case
        self._report = report
        self._end = time.monotonic() + GIVE_UP_SECONDS

    @property
    def complete(self) -> bool:
        arrivals = self._report.arrivals
        if time.monotonic() > self._end:
            self._report.errors.append(f"gave up after {GIVE_UP_SECONDS:g} s and {len(arrivals)} arrivals")
            return True
        return bool(arrivals) and arrivals[-1][0] - arrivals[0][0] > self._case.seconds


def value(number: int, size: int) -> bytes:
    return str(number).zfill(ID_DIGITS).encode().ljust(size, b".")


def number(data: bytes) -> int:
    return int(data[:ID_DIGITS])


def dump(cases: Sequence[Case]) -> str:
    return json.dumps([asdict(case) for case in cases])


def load(text: str) -> list[Case]:
    return [Case(**each) for each in json.loads(text)]


def parse(line: str) -> Report:
    report = Report(**json.loads(line))
    report.arrivals = [(at, partition, offset, number, size) for at, partition, offset, number, size in report.arrivals]
    return report


def show(report: Report) -> None:
    sys.stdout.write(json.dumps(asdict(report)) + "\n")
    sys.stdout.flush()


HARMLESS: Final = (
    " throttled by broker ",
    # kafka-python makes a fetch ready, finds the connection paused and keeps it for later
    "NodeNotReadyError: Node paused: {'throttle'}",
    # kafka-python would rather have three heartbeats in a session than two
    "heartbeat_interval_ms is high relative to session_timeout_ms",
    # kafka-python finds its own process slow: the machine is busy
    "s threshold). It is blocking the event loop",
    # kafka-python joins its group before it knows the topic
    "No partition metadata for topic",
    "Sending username and password in the clear",
)
"""Parts of warnings that aren't about requests that failed."""


class Complaints(logging.Handler):
    """What a library logs as a warning or an error."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if not any(part in line for part in HARMLESS):
            self.lines.append(f"{record.name}: {line}")


def run_in_threads(run: Callable[[Case, Report], None]) -> None:
    """A driver of a library that blocks."""
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    cases = load(sys.stdin.read())
    reports = [Report(case.name) for case in cases]

    def guarded(case: Case, report: Report) -> None:
        try:
            run(case, report)
        except Exception as error:  # noqa: BLE001 - it is reported
            report.errors.append(repr(error))

    threads = [threading.Thread(target=guarded, args=each) for each in zip(cases, reports, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for report in reports:
        report.errors += complaints.lines
        show(report)
