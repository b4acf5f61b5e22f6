"""Cuts a byte stream into Kafka frames; large frames can be handed on chunk by chunk instead of being assembled.

Used for both directions. The owner's callbacks run inside `feed`; whoever wants to stop reading sets `held` and calls
`release` later. Nothing here knows what is inside a frame.
"""

from collections.abc import Callable
from struct import Struct
from typing import Final

from protocol.errors import ProtocolError

STREAM_MIN_BYTES: Final = 32_768
"""A frame above this that is not here yet may be streamed; smaller ones are complete after a read or two anyway."""

HEAD_BYTES: Final = 1024
"""With so much of a frame at hand its head is there: header, client id, one topic name of at most 249 bytes."""

_SIZE: Final = Struct(">i")

OnFrame = Callable[[bytes, int, int], None]
"""(buffer, start, end): one whole frame, its four bytes of length included. The buffer may hold more than the frame."""

OnHead = Callable[[bytes, int, int], "Sink | None"]
"""(buffer, start, frame bytes): the beginning of a large frame, to the buffer's end. Who returns a sink has taken these
bytes and gets the others through it; None assembles the frame."""

Sink = Callable[[bytes], None]
"""Takes the further bytes of a streamed frame as they come in."""

OnAssemble = Callable[[int], None]
"""(frame bytes): a large frame will be kept in memory until it is whole."""

Admit = Callable[[bytes, int], bool]
"""(buffer, start) of a frame of which four bytes at least follow the length: may it be taken now? Who says no sets
`held`, and is asked again after `release`."""

_ADMIT_BYTES: Final = 8
"""Of a frame, before it is asked whether it may be taken."""


class FrameReader:
    """One direction of one connection. `max_frame_bytes` may be raised while it runs (after authentication)."""

    __slots__ = (
        "_admitted",
        "_assemble_bytes",
        "_chunks",
        "_chunks_bytes",
        "_on_assemble",
        "_on_frame",
        "_on_head",
        "_sink",
        "_sink_bytes",
        "admit",
        "held",
        "max_frame_bytes",
    )

    def __init__(self, max_frame_bytes: int, on_frame: OnFrame, on_head: OnHead, on_assemble: OnAssemble) -> None:
        self.max_frame_bytes = max_frame_bytes
        self.held = False
        self.admit: Admit | None = None
        self._admitted = False
        self._on_frame = on_frame
        self._on_head = on_head
        self._on_assemble = on_assemble
        self._chunks: list[bytes] = []
        self._chunks_bytes = 0
        self._assemble_bytes = 0
        self._sink: Sink | None = None
        self._sink_bytes = 0

    @property
    def partial(self) -> bool:
        """True while a frame has begun and is not complete."""
        return self._sink_bytes > 0 or (self._chunks_bytes > 0 and not self.held)

    @property
    def missing(self) -> int:
        """Bytes of a streamed frame that are still to come."""
        return self._sink_bytes

    @property
    def keeps(self) -> bool:
        """Whether anything is kept back that was received."""
        return self._chunks_bytes > 0

    @property
    def streaming(self) -> bool:
        """True while the rest of a streamed frame is missing."""
        return self._sink_bytes > 0

    def feed(self, data: bytes) -> None:
        """Take received bytes. Raises ProtocolError for a length that no frame can have."""
        if self._sink_bytes:
            remaining = self._stream(data)
            if remaining is None:
                return
            data = remaining
        if self._chunks:
            self._chunks.append(data)
            self._chunks_bytes += len(data)
            if self.held or self._chunks_bytes < self._assemble_bytes:
                return
            data = self._take_chunks()
        self._cut(data)

    def release(self) -> None:
        """Go on after `held`: first with what was kept back."""
        self.held = False
        if self._chunks and self._chunks_bytes >= self._assemble_bytes:
            self._cut(self._take_chunks())

    def _take_chunks(self) -> bytes:
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks = []
        self._chunks_bytes = self._assemble_bytes = 0
        return data

    def _keep(self, data: bytes) -> None:
        if data:
            self._chunks.append(data)
            self._chunks_bytes = len(data)

    def _stream(self, data: bytes) -> bytes | None:
        """Hand bytes of a streamed frame on; what belongs to the next frame comes back."""
        sink, missing = self._sink, self._sink_bytes
        assert sink is not None
        if len(data) < missing:
            self._sink_bytes = missing - len(data)
            sink(data)
            return None
        self._sink, self._sink_bytes = None, 0
        if len(data) == missing:
            sink(data)
            return None
        sink(data[:missing])
        return data[missing:]

    def _cut(self, data: bytes) -> None:
        pos, length = 0, len(data)
        while not self.held:
            if length - pos < 4:
                break
            size = _SIZE.unpack_from(data, pos)[0] + 4
            if not 4 <= size <= self.max_frame_bytes + 4:
                raise ProtocolError(f"frame of {size - 4} bytes, allowed are 0 to {self.max_frame_bytes}")
            if self.admit is not None and not self._admitted and size >= _ADMIT_BYTES:
                if length - pos < _ADMIT_BYTES or not self.admit(data, pos):
                    break
                self._admitted = True
            if length - pos >= size:
                self._admitted = False
                self._on_frame(data, pos, pos + size)
                pos += size
                continue
            if size > STREAM_MIN_BYTES and self._begin_large(data, pos, size):
                return
            break
        if pos < length:
            self._keep(data[pos:] if pos else data)

    def _begin_large(self, data: bytes, pos: int, size: int) -> bool:
        """Stream a large frame (True), or note that it will be assembled once its head is here."""
        if len(data) - pos < HEAD_BYTES:
            return False
        sink = self._on_head(data, pos, size)
        if sink is None:
            self._assemble_bytes = size
            self._on_assemble(size)
            return False
        self._admitted = False
        self._sink, self._sink_bytes = sink, size - (len(data) - pos)
        return True
