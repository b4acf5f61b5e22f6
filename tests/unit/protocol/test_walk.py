"""A walk along the schema ends where the message does, wherever its bytes are cut, and knows where each field is."""

from itertools import pairwise
from random import Random

import pytest

from protocol.codec import encode
from protocol.errors import DecodeError
from protocol.schema import API_NAMES, Message, known_versions, request_struct, response_struct
from protocol.walk import Cursor, finish, read_varint, walk_struct, walk_tags, walk_until
from tests.unit.protocol.messages import random_message, with_unknown_values

UNKNOWN = b"what a later version says"


def messages(key: int, rounds: int = 5) -> list[Message]:
    """Random messages of every version, with and without fields that nobody knows."""
    rng = Random(key)  # noqa: S311 - test data
    low, high = known_versions(key)
    found = []
    for version in range(low, high + 1):
        for struct in (request_struct(key, version), response_struct(key, version)):
            for _ in range(rounds):
                message = random_message(rng, struct)
                found += [message, with_unknown_values(message, UNKNOWN)]
    return found


@pytest.mark.parametrize("key", sorted(API_NAMES))
def test_a_walk_ends_where_the_message_ends(key: int) -> None:
    for message in messages(key):
        data = bytes(encode(message))
        at = Cursor(data + b"more")
        spans = finish(walk_struct(at, message.struct))
        assert at.pos == len(data), message
        # the untagged fields follow each other without a gap
        ends = [0, *(end for _, end in spans.values())]
        assert [start for start, _ in spans.values()] == ends[:-1]


@pytest.mark.parametrize("key", sorted(API_NAMES))
def test_a_walk_in_pieces_takes_no_byte_too_many(key: int) -> None:
    rng = Random(key)  # noqa: S311 - test data
    for message in messages(key, rounds=2):
        data = bytes(encode(message))
        points = sorted({0, len(data), *(rng.randint(0, len(data)) for _ in range(rng.choice((2, 10, len(data)))))})
        at = Cursor()
        steps = walk_struct(at, message.struct)
        ended = False
        for low, high in pairwise(points):
            assert not ended, "a walk that ended before the message"
            at.data, at.pos = at.data[at.pos :] + data[low:high], 0
            try:
                next(steps)
            except StopIteration:
                ended = True
        assert ended or not data
        assert at.pos == len(at.data)


def test_fields_have_their_places() -> None:
    struct = response_struct(3, 12)
    broker = struct.nested("brokers").new(node_id=1, host="kafka", port=9092)
    data = bytes(encode(struct.new(throttle_time=1, brokers=(broker,), cluster_id="c")))
    at = Cursor(data)
    assert finish(walk_until(at, struct, "brokers")) == {"throttle_time": (0, 4)}
    assert at.pos == 4
    spans = finish(walk_struct(Cursor(data, 5), struct.nested("brokers")))
    assert data[slice(*spans["host"])] == b"\x06kafka"
    assert data[slice(*spans["port"])] == (9092).to_bytes(4, "big")


def test_tags_have_their_places() -> None:
    data = b"\x02\x00\x03abc\x90\x4e\x01z"
    assert finish(walk_tags(Cursor(data))) == [(0, (3, 6)), (10_000, (9, 10))]


def test_a_message_that_ends_too_early_is_told() -> None:
    struct = response_struct(3, 12)
    data = bytes(encode(struct.new(cluster_id="cluster")))
    for length in range(len(data)):
        with pytest.raises(DecodeError, match="ends inside a field"):
            finish(walk_struct(Cursor(data[:length]), struct))


def test_a_varint_has_an_end() -> None:
    with pytest.raises(DecodeError, match="varint beyond 32 bits"):
        finish(read_varint(Cursor(b"\xff" * 6)))
