"""Tagged fields that a newer client or broker adds to a version we know, at every level, cross in neither direction.

Every flexible version of every served API is played twice, once with unknown tagged fields and once without; what the
broker gets and what the client receives must be the same bytes.
"""

import pytest

from protocol.codec import encode, write_uvarint
from protocol.headers import encode_client_id, request_head
from protocol.schema import Message, request_struct
from tests.unit.protocol.messages import with_unknown_values
from tests.unit.proxy.borders import ALIASES
from tests.unit.proxy.playbook import BrokerGot, Dialogue, Playbook
from tests.unit.proxy.scenes import (
    FETCH,
    FINE,
    FORWARDED,
    LOCAL,
    Scene,
    make_answer,
    make_request,
    play,
    scenes,
    zone_cast,
)
from tests.unit.proxy.synthesis import Canaries

UNKNOWN = b"unknown-to-us"
FLEXIBLE = [(key, version) for key, version in FORWARDED + LOCAL if request_struct(key, version).flexible]
CASTS = {"all aliases": ALIASES, "writable aliases": ("orders", "invoices")}


def header_tags() -> bytes:
    """One unknown field in a header."""
    out = bytearray(b"\x01")
    write_uvarint(out, 70_000)
    write_uvarint(out, len(UNKNOWN))
    return bytes(out + UNKNOWN)


def with_header_tags(frame: bytes, body_size: int) -> bytes:
    """A frame whose header, empty of tags so far, has unknown ones."""
    body = len(frame) - body_size
    assert frame[body - 1] == 0
    payload = frame[4 : body - 1] + header_tags() + frame[body:]
    return len(payload).to_bytes(4, "big") + payload


def request_frame(message: Message, key: int, version: int, tagged: bool) -> bytes:
    body = encode(with_unknown_values(message, UNKNOWN) if tagged else message)
    frame = request_head(len(body), key, version, 3, encode_client_id(b"app"), True) + bytes(body)
    return with_header_tags(frame, len(body)) if tagged else frame


def answer_frame(dialogue: Dialogue, key: int, got: BrokerGot, tagged: bool) -> bytes:
    answer = make_answer(got, FINE, Canaries("broker"), key)
    if not tagged:
        return dialogue.response(got, answer)
    twin = with_unknown_values(answer, UNKNOWN)
    frame = dialogue.response(got, twin)
    return with_header_tags(frame, len(encode(twin))) if answer.struct.flexible else frame


def scene_of(playbook: Playbook, key: int, version: int, message: Message, *, client: bool, broker: bool) -> Scene:
    """One request and its answer, with unknown fields from the client, from the broker, or from nobody."""
    dialogue = playbook.signed_in()
    dialogue.request(key, version, message)
    data = request_frame(message, key, version, client)
    assert (UNKNOWN in data) == client
    return play(dialogue, data, lambda got: answer_frame(dialogue, key, got, broker))


@pytest.mark.parametrize(("key", "version"), FLEXIBLE)
@pytest.mark.parametrize("aliases", CASTS)
def test_they_are_dropped_both_ways(key: int, version: int, aliases: str) -> None:
    with Playbook() as playbook:
        cast = zone_cast(playbook, CASTS[aliases])
        for overrides in scenes(key, version):
            message = make_request(key, version, cast, Canaries("client"), overrides)
            plain = scene_of(playbook, key, version, message, client=False, broker=False)
            assert plain.answer is not None
            for client, broker in ((True, False), (False, True), (True, True)):
                tagged = scene_of(playbook, key, version, message, client=client, broker=broker)
                assert [got.frame for got in tagged.got] == [got.frame for got in plain.got]
                assert tagged.client_bytes == plain.client_bytes
                assert not tagged.ended


@pytest.mark.parametrize("version", [version for key, version in FLEXIBLE if key == FETCH])
def test_a_large_answer_with_a_tagged_header_is_not_streamed(version: int) -> None:
    """Its frames' lengths would not add up; it arrives whole, and the same."""
    with Playbook() as playbook:
        cast = zone_cast(playbook, CASTS["writable aliases"])
        message = make_request(FETCH, version, cast, Canaries("client"), scenes(FETCH, version)[0])
        received = []
        for tagged in (False, True):
            dialogue = playbook.signed_in()
            dialogue.client_sends(FETCH, version, message)
            got = dialogue.broker_gets()
            answer = make_answer(got, FINE, Canaries("broker"))
            for partition in (partition for topic in answer.responses for partition in topic.partitions):
                partition.records = bytes(20_000)
            frame = dialogue.response(got, answer)
            frame = with_header_tags(frame, len(encode(answer))) if tagged else frame
            dialogue.broker_sends_bytes(*(frame[start : start + 5000] for start in range(0, len(frame), 5000)))
            received.append(dialogue.client_receives())
        assert received[0] == received[1]
        assert len(received[0].responses[0].partitions[0].records) == 20_000
