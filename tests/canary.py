"""Looks for what a partner must never see in the bytes that it received.

`Canaries` knows the markers and keeps every hit; a `StreamScanner` follows one connection, so that a marker is found
wherever the stream was cut into chunks. Nothing is decoded: a name inside a compressed record batch goes unseen, and is
the partner's own data in any case.
"""

import contextlib
import threading
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass

TAIL_BYTES = 512
"""Kept of each chunk, to find what crosses into the next one; longer than any marker."""

EXCERPT_BYTES = 80


@dataclass(frozen=True, slots=True)
class Canary:
    """A marker, and the one user (if any) who may see it."""

    pattern: bytes
    what: str
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A marker that was seen, by whom and where in the stream."""

    canary: Canary
    connection: str
    position: int
    excerpt: bytes

    def __str__(self) -> str:
        return f"{self.connection} received {self.canary.what} at byte {self.position}: …{self.excerpt!r}…"


class Canaries:
    """The markers of a test run, and the hits. Used by the tests' thread and by the taps' threads."""

    def __init__(self) -> None:
        self._known: dict[Canary, None] = {}
        self._hits: list[Hit] = []
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Canary]:
        with self._lock:
            return iter(tuple(self._known))

    def add(self, text: str, what: str, user: str | None = None) -> None:
        self._add(text.encode(), what, user)

    def add_id(self, raw: bytes, what: str) -> None:
        """A topic's or cluster's id, as 16 bytes and in the form that Kafka prints."""
        self._add(raw, f"{what} as bytes", None)
        self._add(urlsafe_b64encode(raw).rstrip(b"="), f"{what} as text", None)

    def _add(self, pattern: bytes, what: str, user: str | None) -> None:
        if not 4 <= len(pattern) < TAIL_BYTES:
            raise ValueError(f"a marker of {len(pattern)} bytes is seen by chance, or never: {pattern!r}")
        with self._lock:
            self._known[Canary(pattern, what, user)] = None

    def report(self, hit: Hit) -> None:
        with self._lock:
            self._hits.append(hit)

    def take_hits(self) -> list[Hit]:
        """The hits since the last call."""
        with self._lock:
            hits, self._hits = self._hits, []
            return hits

    @contextlib.contextmanager
    def expecting(self) -> Iterator[list[Hit]]:
        """For a test in which a client is shown a marker on purpose: its hits go to the list and not to the report."""
        before = self.take_hits()
        expected: list[Hit] = []
        try:
            yield expected
        finally:
            expected += self.take_hits()
            with self._lock:
                self._hits = before + self._hits


class StreamScanner:
    """Scans what one connection's client receives."""

    def __init__(self, canaries: Canaries, connection: str) -> None:
        self.user: str | None = None
        self._canaries = canaries
        self._connection = connection
        self._tail = b""
        self._received = 0

    def feed(self, chunk: bytes) -> None:
        data = self._tail + chunk
        start = self._received - len(self._tail)
        for canary in self._canaries:
            if canary.user is None or canary.user != self.user:
                self._find(canary, data, start)
        self._received += len(chunk)
        self._tail = data[-TAIL_BYTES:]

    def _find(self, canary: Canary, data: bytes, start: int) -> None:
        """Reports what ends in the new chunk; what ends in the tail was reported with the chunk before."""
        position = data.find(canary.pattern, max(len(self._tail) - len(canary.pattern) + 1, 0))
        while position >= 0:
            end = position + len(canary.pattern)
            excerpt = data[max(position - EXCERPT_BYTES, 0) : end + EXCERPT_BYTES]
            name = f"{self._connection} ({self.user or 'not signed in'})"
            self._canaries.report(Hit(canary, name, start + position, excerpt))
            position = data.find(canary.pattern, end)
