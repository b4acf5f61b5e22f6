"""The frame reader: the same frames however the stream is cut, streamed or assembled, held or not."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.codec import encode
from protocol.errors import ProtocolError
from protocol.framing import HEAD_BYTES, STREAM_MIN_BYTES, FrameReader, Sink
from protocol.headers import frame
from protocol.schema import API_NAMES, known_versions, response_struct

MAX_FRAME_BYTES = 200_000


class Owner:
    """Keeps the frames of a reader; streams large ones when told to."""

    def __init__(self, stream: bool = False) -> None:
        self.frames: list[bytes] = []
        self.streamed = 0
        self.assembled: list[int] = []
        self.on_frame: Callable[[], None] = lambda: None
        self._stream = stream
        self.reader = FrameReader(MAX_FRAME_BYTES, self._on_frame, self._on_head, self.assembled.append)

    def _on_frame(self, data: bytes, start: int, end: int) -> None:
        self.frames.append(bytes(data[start:end]))
        self.on_frame()

    def _on_head(self, data: bytes, start: int, size: int) -> Sink | None:
        if not self._stream:
            return None
        assert HEAD_BYTES <= len(data) - start < size
        self.streamed += 1
        received = bytearray(data[start:])

        def sink(chunk: bytes) -> None:
            received.extend(chunk)
            if len(received) == size:
                self.frames.append(bytes(received))

        return sink


def chunks(stream: bytes, cuts: list[int]) -> list[bytes]:
    points = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[low:high] for low, high in pairwise(points) if high > low]


SIZES = st.one_of(
    st.integers(0, 40),
    st.sampled_from([HEAD_BYTES, STREAM_MIN_BYTES - 4, STREAM_MIN_BYTES - 3, STREAM_MIN_BYTES + 5, 70_000]),
)
FRAMES = st.lists(SIZES, max_size=6).map(
    lambda sizes: [frame(bytes((index + offset) % 251 for offset in range(size))) for index, size in enumerate(sizes)]
)
CUTS = st.lists(st.integers(0, 1 << 20), max_size=12)


@settings(max_examples=80, deadline=None)
@given(frames=FRAMES, cuts=CUTS, stream=st.booleans())
def test_any_cut_gives_the_same_frames(frames: list[bytes], cuts: list[int], stream: bool) -> None:
    owner = Owner(stream)
    for chunk in chunks(b"".join(frames), cuts):
        owner.reader.feed(chunk)
    assert owner.frames == frames
    assert not owner.reader.partial
    assert all(size > STREAM_MIN_BYTES for size in owner.assembled)
    assert not (owner.assembled and owner.streamed)


@pytest.mark.parametrize("stream", [False, True])
def test_one_byte_at_a_time(stream: bool) -> None:
    frames = [frame(bytes(range(8))), frame(bytes(STREAM_MIN_BYTES + 100)), frame(b"\x01" * 9)]
    owner = Owner(stream)
    for byte in b"".join(frames):
        owner.reader.feed(bytes((byte,)))
    assert owner.frames == frames
    assert owner.streamed == int(stream)
    assert owner.assembled == ([] if stream else [STREAM_MIN_BYTES + 104])


@settings(max_examples=80, deadline=None)
@given(frames=FRAMES, cuts=CUTS, holds=st.lists(st.booleans(), min_size=1, max_size=7), stream=st.booleans())
def test_holding_changes_nothing_but_the_time(
    frames: list[bytes], cuts: list[int], holds: list[bool], stream: bool
) -> None:
    """An owner that holds after some of its frames gets none before it releases, and then all in order."""
    owner = Owner(stream)
    answers = iter(holds)

    def hold() -> None:
        assert not owner.reader.held
        owner.reader.held = next(answers, False)

    owner.on_frame = hold
    for chunk in chunks(b"".join(frames), cuts):
        owner.reader.feed(chunk)
        before = len(owner.frames)
        if owner.reader.held:
            owner.reader.feed(b"")
            assert len(owner.frames) == before
    while owner.reader.held:
        owner.reader.release()
    assert owner.frames == frames
    assert not owner.reader.partial


def test_what_is_held_back_is_no_partial_frame() -> None:
    owner = Owner()
    owner.reader.held = True
    owner.reader.feed(frame(bytes(10)))
    assert (owner.frames, owner.reader.partial) == ([], False)
    owner.reader.release()
    assert owner.frames == [frame(bytes(10))]


def test_a_frame_that_has_begun_is_partial_until_it_is_whole() -> None:
    owner = Owner()
    whole = frame(bytes(10))
    owner.reader.feed(whole[:1])
    assert owner.reader.partial
    owner.reader.feed(whole[1:])
    assert not owner.reader.partial


@pytest.mark.parametrize("length", [-(2**31), -5, -1, MAX_FRAME_BYTES + 1, 2**31 - 1])
@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_length_that_no_frame_has_is_refused_as_soon_as_it_is_here(length: int, one_by_one: bool) -> None:
    owner = Owner()
    data = length.to_bytes(4, "big", signed=True)
    chunks_of_it = [bytes((byte,)) for byte in data] if one_by_one else [data]
    with pytest.raises(ProtocolError, match=f"frame of {length} bytes, allowed are 0 to {MAX_FRAME_BYTES}"):
        for chunk in chunks_of_it:
            owner.reader.feed(chunk)
    assert owner.frames == []


def test_the_limit_can_be_raised_while_it_runs() -> None:
    owner = Owner()
    owner.reader.max_frame_bytes = 20
    owner.reader.feed(frame(bytes(20)))
    with pytest.raises(ProtocolError):
        owner.reader.feed(frame(bytes(21)))
    raised = Owner()
    raised.reader.feed(frame(bytes(21)))
    assert len(raised.frames) == 1


def test_every_response_of_kafka_passes() -> None:
    """The smallest have six bytes: Heartbeat and LeaveGroup 0 are an error code behind the correlation id."""
    for key in API_NAMES:
        for version in range(known_versions(key)[0], known_versions(key)[1] + 1):
            struct = response_struct(key, version)
            owner = Owner()
            owner.reader.feed(frame(bytes(4 + struct.flexible) + encode(struct.new())))
            assert len(owner.frames) == 1
