"""Writes audit events as lines of JSON, to standard output or a file, in a thread of its own.

What happens when it can't: lines wait in memory, up to `MAX_WAITING`, and are written when that is possible again;
beyond, they are counted, in a metric and in a line of its own that says how many are missing where it stands. Serving
partners comes first: the event loop never waits for a disk.

Rotation is the platform's. A file that was renamed or removed is opened anew under its name before the next lines are
written, and what had been accepted before is in the old one; a file that was truncated goes on at its beginning, since
everything is appended. Each line is handed to the operating system at once, and not forced to the disk.

Several processes of one gateway may write to one output; they take turns, so that no line stands inside another.
"""

import contextlib
import errno
import fcntl
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

    def at_rest(self) -> None:
        """Called after a write, when no line is left half written."""

    def close(self) -> None: ...


class StandardOutput:
    descriptor = STDOUT_DESCRIPTOR

    def prepare(self) -> bool:
        return False

    def write(self, data: memoryview) -> int:
        return os.write(STDOUT_DESCRIPTOR, data)

    def at_rest(self) -> None:
        """Nobody waits for it."""

    def close(self) -> None:
        """It isn't ours to close."""


class AppendedFile:
    """A file that may be renamed at any time. Raises OSError when it can't be opened to begin with."""

    def __init__(self, path: FilePath) -> None:
        self._path = path
        self.descriptor = self._open()

    def _open(self) -> int:
        return os.open(self._path, _FLAGS, _FILE_MODE)

    def prepare(self) -> bool:
        try:
            now = os.stat(self._path)
        except FileNotFoundError:
            now = None
        if now is not None and os.path.samestat(now, os.fstat(self.descriptor)):
            return False
        descriptor = self._open()
        os.close(self.descriptor)
        self.descriptor = descriptor
        return True

    def write(self, data: memoryview) -> int:
        return os.write(self.descriptor, data)

    def at_rest(self) -> None:
        """Nobody waits for it."""

    def close(self) -> None:
        os.close(self.descriptor)


class InTurns:
    """An output that other processes write to as well. A lock keeps them out while a line is begun and not ended, which
    happens on pipes and full disks; it belongs to the process and ends with it."""

    def __init__(self, output: StandardOutput | AppendedFile) -> None:
        self._output = output

    def prepare(self) -> bool:
        fresh = self._output.prepare()
        self._lock(fcntl.LOCK_EX)
        return fresh

    def write(self, data: memoryview) -> int:
        return self._output.write(data)

    def at_rest(self) -> None:
        self._lock(fcntl.LOCK_UN)

    def close(self) -> None:
        self._output.close()

    def _lock(self, operation: int) -> None:
        # what can't be locked, as pipes on some systems, is written to without
        with contextlib.suppress(OSError):
            fcntl.lockf(self._output.descriptor, operation)


class AuditLog(Collector):
    """`append` takes events from the event loop; its thread writes them. A context manager, and a metric."""

    def __init__(self, output: Output, max_waiting: int = MAX_WAITING, worker: int | None = None) -> None:
        """`worker` is written in every line, where there are several."""
        self._output = output
        self._everywhere: Event = {} if worker is None else {"worker": worker}
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
        self._batch, self._taken = [_line({**event, **self._everywhere}) for event in events], 0
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
        finally:
            if not self._taken:
                self._output.at_rest()
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


def open_audit_log(settings: AuditSettings, shared: bool = False, worker: int | None = None) -> AuditLog | None:
    """None when there is to be none. `shared` with other processes of this gateway, of which this is `worker`. Raises
    ConfigurationError for a file that can't be written."""
    if settings.output == NONE:
        return None
    try:
        output = StandardOutput() if settings.file is None else AppendedFile(settings.file)
        return AuditLog(InTurns(output) if shared else output, worker=worker)
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
