"""Damage to frames. What comes out mostly ends where it says, so that what is inside gets looked at."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from protocol.headers import PEEK
from protocol.schema import API_NAMES, known_versions

EXTREMES: Final = (
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    b"\0\0\0\0",
    b"\0\0\0\x01",
    b"\0\x07\xa1\x21",  # one more than an array may have
    b"\xff\xff",
    b"\x7f\xff",
    b"\x80\0",
    b"\0\0",
    b"\xff\xff\xff\xff\x0f",
    b"\xff\xff\xff\xff\xff\x01",
    b"\xff",
    b"\x80",
    b"\x01",
    b"\0",
)
KEYS: Final = tuple(API_NAMES)
STRANGE_KEYS: Final = (-1, 4, 6, 999, 32_767, -32_768)
LENGTH: Final = 4

Mutation = Callable[[Random, bytearray, bytes], None]
"""Changes the frame in place; the third is another frame."""


def _flip(rng: Random, data: bytearray, other: bytes) -> None:
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        data[rng.randrange(LENGTH, len(data))] ^= 1 << rng.randrange(8)


def _cut_out(rng: Random, data: bytearray, other: bytes) -> None:
    position = rng.randrange(LENGTH, len(data))
    del data[position : position + rng.choice((1, 2, 4, 9, 16))]


def _truncate(rng: Random, data: bytearray, other: bytes) -> None:
    del data[rng.randrange(LENGTH, len(data)) :]


def _extend(rng: Random, data: bytearray, other: bytes) -> None:
    data += rng.choice((b"\0", b"\0\0\0", rng.randbytes(rng.randrange(1, 40)), bytes(300)))


def _repeat(rng: Random, data: bytearray, other: bytes) -> None:
    position = rng.randrange(LENGTH, len(data))
    part = data[position : position + rng.choice((1, 2, 4, 16, 64))]
    data[position:position] = part * rng.choice((1, 1, 2, 50))


def _set_extreme(rng: Random, data: bytearray, other: bytes) -> None:
    position = rng.randrange(LENGTH, len(data))
    extreme = rng.choice(EXTREMES)
    data[position : position + len(extreme)] = extreme


def _insert_extreme(rng: Random, data: bytearray, other: bytes) -> None:
    position = rng.randrange(LENGTH, len(data) + 1)
    data[position:position] = rng.choice(EXTREMES)


def _splice(rng: Random, data: bytearray, other: bytes) -> None:
    """The beginning of one and the end of another."""
    data[rng.randrange(LENGTH, len(data)) :] = other[rng.randrange(min(LENGTH, len(other)), len(other) + 1) :]


def _exchange_key(rng: Random, data: bytearray, other: bytes) -> None:
    """Another API or version over the same body."""
    if len(data) < PEEK.size:
        return
    key = int.from_bytes(data[4:6], "big", signed=True)
    if rng.random() < 0.5:
        key = rng.choice(KEYS) if rng.random() < 0.8 else rng.choice(STRANGE_KEYS)
        data[4:6] = key.to_bytes(2, "big", signed=True)
    low, high = known_versions(key) if key in API_NAMES else (0, 0)
    version = rng.choice((rng.randint(low, high), low - 1, high + 1, 32_767, -1))
    data[6:8] = version.to_bytes(2, "big", signed=True)


def _client_id_length(rng: Random, data: bytearray, other: bytes) -> None:
    if len(data) >= PEEK.size:
        data[12:14] = rng.choice((b"\xff\xff", b"\xff\xfe", b"\x80\0", b"\x7f\xff", b"\0\0", b"\0\x01", b"\0\xff"))


REQUEST_MUTATIONS: Final[Sequence[Mutation]] = (
    _flip,
    _flip,
    _cut_out,
    _truncate,
    _extend,
    _repeat,
    _set_extreme,
    _set_extreme,
    _insert_extreme,
    _splice,
    _exchange_key,
    _client_id_length,
)
RESPONSE_MUTATIONS: Final = REQUEST_MUTATIONS[:-2]


def mutate(rng: Random, frame: bytes, other: bytes, mutations: Sequence[Mutation] = REQUEST_MUTATIONS) -> bytes:
    """A damaged frame; one in ten says a length that it hasn't."""
    data = bytearray(frame)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if len(data) <= LENGTH:
            break
        rng.choice(mutations)(rng, data, other)
    if rng.random() < 0.9:
        return with_length(bytes(data))
    if rng.random() < 0.5:
        data[:LENGTH] = rng.choice(EXTREMES[:6])
    return bytes(data)


def with_length(data: bytes) -> bytes:
    """The frame with the length that it has."""
    return (len(data) - LENGTH).to_bytes(LENGTH, "big") + data[LENGTH:]
