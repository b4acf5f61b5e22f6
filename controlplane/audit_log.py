"""Writes audit events as lines of JSON, to standard output or a file, in a thread of its own.

What happens when it can't: lines wait in memory, up to `MAX_WAITING`, and are written when that is possible again;
beyond, they are counted, in a metric and in a line of its own that says how many are missing where it stands. Serving
partners comes first: the event loop never waits for a disk.

Rotation is the platform's. A file that was renamed or removed is opened anew under its name before the next lines are
written, and what had been accepted before is in the old one; a file that was truncated goes on at its beginning, since
everything is appended. Each line is handed to the operating system at once, and not forced to the disk.
"""

import errno
import json
import logging
import os
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path as FilePath
from time import monotonic
from types import TracebackType
from typing import Final, Protocol, Self

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from controlplane.audit_settings import NONE, AuditSettings
from controlplane.problems import ConfigurationError, Problem
from proxy.audit import FORMAT_VERSION

MAX_WAITING: Final = 20_000
"""Lines, of about 500 bytes each: some 10 MB."""

BATCH: Final = 500
"""Lines in one write."""

RETRY_SECONDS: Final = 0.5
"""After a failed write, before the next."""

REPORT_SECONDS: Final = 60.0
"""Between two complaints about the same trouble in the ordinary log."""

CLOSE_SECONDS: Final = 3.0
"""For what is still to be written at the end; an output that nobody reads must not hold up a stop for long."""

STDOUT_DESCRIPTOR: Final = 1

_FILE_MODE: Final = 0o600
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC

_log = logging.getLogger("zonegate.audit")

Event = Mapping[str, object]


class Output(Protocol):
    """Where bytes go. Both methods raise OSError."""

    def prepare(self) -> bool:
        """Called before each batch; True when what follows goes to another file than what was written last."""

    def write(self, data: memoryview) -> int:
        """How much of it was taken."""

    def close(self) -> None: ...


class StandardOutput:
    def prepare(self) -> bool:
        return False

    def write(self, data: memoryview) -> int:
        return os.write(STDOUT_DESCRIPTOR, data)

    def close(self) -> None:
        """It isn't ours to close."""


class AppendedFile:
    """A file that may be renamed at any time. Raises OSError when it can't be opened to begin with."""

    def __init__(self, path: FilePath) -> None:
        self._path = path
        self._descriptor = self._open()

    def _open(self) -> int:
        return os.open(self._path, _FLAGS, _FILE_MODE)

    def prepare(self) -> bool:
        try:
            now = os.stat(self._path)
        except FileNotFoundError:
            now = None
        if now is not None and os.path.samestat(now, os.fstat(self._descriptor)):
            return False
        descriptor = self._open()
        os.close(self._descriptor)
        self._descriptor = descriptor
        return True

    def write(self, data: memoryview) -> int:
        return os.write(self._descriptor, data)

    def close(self) -> None:
        os.close(self._descriptor)


class AuditLog(Collector):
    """`append` takes events from the event loop; its thread writes them. A context manager, and a metric."""

    def __init__(self, output: Output, max_waiting: int = MAX_WAITING) -> None:
        self._output = output
        self._max_waiting = max_waiting
        self._waiting: deque[Event] = deque()
        self._batch: Sequence[bytes] = ()
        """Lines that the thread is about to write."""
        self._taken = 0
        """Bytes of the first of them that were written already."""
        self._lost = 0
        self._untold = 0
        """How many of them no line tells of yet."""
        self._closing = False
        self._changed = threading.Condition()
        self._complained = float("-inf")
        self._thread = threading.Thread(target=self._run, name="audit-log", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Writes what is left, as far as that is possible in a few seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            missing = len(self._waiting) + len(self._batch)
            _log.error("the audit log was not written to its end", extra={"event": "audit_lost", "lines": missing})
            return
        self._output.close()

    def append(self, event: Event) -> None:
        """Never waits. An event for which there is no room is lost, and counted."""
        with self._changed:
            if len(self._waiting) < self._max_waiting:
                self._tell_of_lost()
                self._waiting.append(event)
            else:
                self._lost += 1
                self._untold += 1
            self._changed.notify()

    def _tell_of_lost(self) -> None:
        """A line stands where others are missing."""
        if self._untold:
            self._waiting.append(_loss(self._untold))
            self._untold = 0

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "zonegate_audit_lost", "Audit lines that could not be written, and never will be.", self._lost
        )

    # the thread

    def _run(self) -> None:
        while self._next_batch():
            while self._batch and not self._write_batch():
                with self._changed:
                    if self._closing:
                        self._give_up()
                        return
                    self._changed.wait_for(lambda: self._closing, RETRY_SECONDS)

    def _next_batch(self) -> bool:
        """Waits for lines to write; False when there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting) or self._closing)
            events = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            if not self._waiting:
                self._tell_of_lost()
        self._batch, self._taken = [_line(event) for event in events], 0
        return bool(events)

    def _write_batch(self) -> bool:
        """True when all of it is written."""
        try:
            if self._output.prepare():
                # the beginning of a line is in the old file; the whole of it goes to the new one
                self._taken = 0
            self._advance(self._output.write(memoryview(b"".join(self._batch))[self._taken :]))
        except OSError as error:
            self._complain(error)
            return False
        return not self._batch

    def _advance(self, written: int) -> None:
        written += self._taken
        done = 0
        while done < len(self._batch) and written >= len(self._batch[done]):
            written -= len(self._batch[done])
            done += 1
        self._batch, self._taken = self._batch[done:], written

    def _complain(self, error: OSError) -> None:
        if monotonic() - self._complained < REPORT_SECONDS:
            return
        self._complained = monotonic()
        _log.error(
            "the audit log can't be written; its lines wait, and the latest are lost when there are too many",
            extra={
                "event": "audit_not_written",
                "problem": os.strerror(error.errno) if error.errno else str(error),
                "lost": self._lost,
            },
        )

    def _give_up(self) -> None:
        """Called at the end, when the last attempt has failed."""
        missing = len(self._batch) + len(self._waiting)
        self._lost += missing
        _log.error("the audit log was not written to its end", extra={"event": "audit_lost", "lines": missing})


def open_audit_log(settings: AuditSettings) -> AuditLog | None:
    """None when there is to be none. Raises ConfigurationError for a file that can't be written."""
    if settings.output == NONE:
        return None
    if settings.file is None:
        return AuditLog(StandardOutput())
    try:
        return AuditLog(AppendedFile(settings.file))
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        if error.errno == errno.ENOENT:
            reason = "its folder does not exist"
        message = f"{settings.file} cannot be written: {reason}"
        raise ConfigurationError([Problem("audit.output", None, "", message)]) from None


def _line(event: Event) -> bytes:
    """ASCII alone: nothing that a client named can begin another line or trick whoever looks at it."""
    return json.dumps(event, separators=(",", ":"), ensure_ascii=True, default=str).encode() + b"\n"


def _loss(count: int) -> Event:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    return {"time": now, "version": FORMAT_VERSION, "event": "audit_lost", "count": count}
