"""Damaged frames end in an answer, a forwarded request, or a close with a reason, and never in a failure of our own.

Frames are drawn from the schemas and then damaged, and fed whole and one byte at a time. `Playbook` fails when the log
tells of an internal error.
"""

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kio.index import UnknownAPIKey, UnknownEntity

from protocol.codec import decode, encode
from protocol.errors import ProtocolError
from protocol.headers import encode_client_id, request_head
from protocol.schema import Message, request_struct, response_struct
from proxy.apis.plan import Treatment
from proxy.apis.table import TABLE
from proxy.close import CloseReason
from tests.unit.protocol.messages import random_message
from tests.unit.proxy.playbook import BrokerGot, Dialogue, Playbook, read_request

SEEDS = st.integers(0, 1 << 40)
CLIENT_REASONS = {
    "",
    CloseReason.BAD_FRAME,
    CloseReason.BAD_REQUEST,
    CloseReason.UNSUPPORTED_API,
    CloseReason.NOT_AUTHENTICATED,
    CloseReason.ACKS_0_REFUSED,
    CloseReason.AUTHENTICATION_FAILED,
    CloseReason.TLS_ON_PLAINTEXT_PORT,
}
BROKER_REASONS = {"", CloseReason.BROKER_PROTOCOL_ERROR}
TAKEN = {key: entry.versions for key, entry in sorted(TABLE.items()) if entry.versions is not None}
FORWARDED = [key for key in TAKEN if TABLE[key].treatment in (Treatment.REWRITE, Treatment.FILTER)]
NAMES = ("orders", "twin", "stock", "invoices", "elsewhere")


def name_aliases(rng: Random, playbook: Playbook, message: Message) -> None:
    """Put names and ids of the zone into the fields that hold topics, so that handlers get to work."""
    for spec in message.struct.fields:
        value = getattr(message, spec.name)
        if spec.nested is not None and value is not None:
            for item in value if spec.array else (value,):
                name_aliases(rng, playbook, item)
        elif spec.name == "topic_id":
            setattr(message, spec.name, playbook.alias_id(rng.choice(NAMES[:4])))
        elif spec.name in ("name", "topic", "resource_name") and value is not None:
            setattr(message, spec.name, rng.choice(NAMES))


def damage(rng: Random, frame: bytes) -> bytes:
    """One of: as it is, flipped bits, a part cut out, a part doubled, a length set to something extreme."""
    data = bytearray(frame)
    how = rng.randrange(6)
    position = rng.randrange(len(data))
    if how == 1:
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(4, len(data))] ^= 1 << rng.randrange(8)
    elif how == 2:
        del data[position : position + rng.randint(1, 9)]
    elif how == 3:
        data[position:position] = data[position : position + rng.randint(1, 9)]
    elif how == 4:
        extreme = rng.choice((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\xff\xff", b"\0\0\0\0"))
        data[position : position + len(extreme)] = extreme
    elif how == 5:
        del data[position:]
    if rng.random() < 0.8 and len(data) >= 4:
        # let the frame end where it says, so that what is inside gets looked at
        data[:4] = (len(data) - 4).to_bytes(4, "big")
    return bytes(data)


def request_frame(rng: Random, playbook: Playbook, key: int, version: int) -> bytes:
    struct = request_struct(key, version)
    message = random_message(rng, struct, 2)
    name_aliases(rng, playbook, message)
    if key == 0 and rng.random() < 0.8:
        message.transactional_id = None
    body = encode(message)
    return request_head(len(body), key, version, 7, encode_client_id(b"fuzz"), struct.flexible) + bytes(body)


def forwarded(dialogue: Dialogue) -> Iterator[BrokerGot]:
    """The requests that the broker got and understands; a broker would close on the others."""
    sent = dialogue.broker.sent
    while len(sent) >= 4 and len(sent) >= 4 + int.from_bytes(sent[:4], "big"):
        frame = bytes(sent[: 4 + int.from_bytes(sent[:4], "big")])
        del sent[: len(frame)]
        try:
            got = read_request(frame)
        except ProtocolError:
            dialogue.broker.hang_up()
            return
        yield got


def feed(dialogue: Dialogue, data: bytes, one_by_one: bool) -> None:
    for chunk in [bytes((byte,)) for byte in data] if one_by_one else [data]:
        if not dialogue.client.closed:
            dialogue.client_sends_bytes(chunk)


@pytest.mark.parametrize("key", TAKEN)
@pytest.mark.parametrize("one_by_one", [False, True], ids=["whole", "one by one"])
def test_a_client_that_has_signed_in(key: int, one_by_one: bool) -> None:
    with Playbook() as playbook:

        @settings(max_examples=25, deadline=None, database=None)
        @given(SEEDS)
        def run(seed: int) -> None:
            rng = Random(seed)  # noqa: S311 - test data
            dialogue = playbook.signed_in()
            for version in range(TAKEN[key][0], TAKEN[key][1] + 1):
                frame = damage(rng, request_frame(rng, playbook, key, version))
                feed(dialogue, frame, one_by_one)
                for got in forwarded(dialogue):
                    if got.key == 0 and got.message.acks == 0:
                        continue
                    answer = random_message(rng, response_struct(got.key, got.version), 2)
                    if not dialogue.broker.closed:
                        dialogue.broker_answers(got, answer)
                assert dialogue.ended in CLIENT_REASONS | BROKER_REASONS | {CloseReason.BROKER_CLOSED}
                if dialogue.ended or dialogue.session.reader.partial:
                    dialogue = playbook.signed_in()
            assert not playbook.internal_errors

        run()


@settings(max_examples=150, deadline=None, database=None)
@given(SEEDS, st.booleans())
def test_a_client_that_has_not(seed: int, one_by_one: bool) -> None:
    rng = Random(seed)  # noqa: S311 - test data
    with Playbook() as playbook:
        dialogue = playbook.connects()
        for _ in range(3):
            key = rng.choice((17, 17, 18, 36, 36, 3, 0))
            version = rng.randint(*TAKEN[key])
            feed(dialogue, damage(rng, request_frame(rng, playbook, key, version)), one_by_one)
        playbook.loop.advance(1)
        assert dialogue.ended in CLIENT_REASONS


@settings(max_examples=100, deadline=None, database=None)
@given(st.binary(max_size=200), st.booleans(), st.booleans())
def test_garbage(data: bytes, signed_in: bool, one_by_one: bool) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in() if signed_in else playbook.connects()
        feed(dialogue, data, one_by_one)
        playbook.loop.advance(1)
        assert dialogue.ended in CLIENT_REASONS
        assert not dialogue.client.sent or data


@pytest.mark.parametrize("key", FORWARDED)
def test_a_broker_whose_answers_are_damaged(key: int) -> None:
    with Playbook() as playbook:

        @settings(max_examples=25, deadline=None, database=None)
        @given(SEEDS, st.booleans())
        def run(seed: int, one_by_one: bool) -> None:
            rng = Random(seed)  # noqa: S311 - test data
            dialogue = playbook.signed_in()
            for version in range(TAKEN[key][0], TAKEN[key][1] + 1):
                dialogue.client_sends_bytes(request_frame(rng, playbook, key, version))
                for got in forwarded(dialogue):
                    struct = response_struct(got.key, got.version)
                    answer = damage(rng, dialogue.response(got, random_message(rng, struct, 2)))
                    for chunk in [bytes((byte,)) for byte in answer] if one_by_one else [answer]:
                        if not dialogue.broker.closed:
                            dialogue.broker_sends_bytes(chunk)
                assert dialogue.ended in CLIENT_REASONS | BROKER_REASONS
                if dialogue.ended or key == 0:
                    dialogue = playbook.signed_in()
            assert not playbook.internal_errors

        run()


def test_the_damaged_frames_are_not_all_refused() -> None:
    """The fuzz is worth something only while part of its frames gets past the decoder."""
    rng = Random(1)  # noqa: S311 - test data
    passed = 0
    with Playbook() as playbook:
        for _ in range(300):
            frame = damage(rng, request_frame(rng, playbook, 2, 6))
            try:
                passed += bool(read_request(frame))
            except (ProtocolError, UnknownAPIKey, UnknownEntity):
                continue
    assert 60 < passed < 240
    assert decode(request_struct(2, 6), bytes(encode(request_struct(2, 6).new()))) is not None
