"""Whatever a client sends, in whatever pieces, and whenever a broker must be signed in to again: it gets the same."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings

from protocol import produce
from protocol.schema import Message
from tests.unit.proxy.playbook import SASL_AUTHENTICATE, SASL_HANDSHAKE, Dialogue, Playbook
from tests.unit.proxy.test_broker_reauthentication import HEARTBEAT, LIFETIME, Clock, clock, with_lifetime
from tests.unit.proxy.test_paths import SEEDS
from tests.unit.proxy.test_produce import batch
from tests.unit.proxy.test_streaming import large_produce

__all__ = ["clock"]


def requests(rng: Random, dialogue: Dialogue) -> bytes:
    """Small requests, large ones that are streamed, and some without an answer, back to back."""
    frames = []
    for number in range(rng.randint(2, 12)):
        kind = rng.randrange(4)
        if kind == 0:
            message = large_produce(rng, dialogue, 9)
            message.topic_data[0].name = "orders"
            frames.append(dialogue.request(produce.KEY, 9, message)[1])
        elif kind == 1:
            frames.append(dialogue.request(produce.KEY, 9, batch(9, {"orders": [number]}, acks=0))[1])
        else:
            frames.append(dialogue.request(HEARTBEAT, 4, group_id=f"g{number}")[1])
    return b"".join(frames)


def cut(rng: Random, data: bytes) -> list[bytes]:
    points = sorted({0, len(data), *(rng.randint(1, len(data) - 1) for _ in range(rng.randint(0, 20)))})
    return [data[low:high] for low, high in pairwise(points)]


def has_whole_frame(sent: bytes | bytearray) -> bool:
    return len(sent) >= 4 and len(sent) >= 4 + int.from_bytes(sent[:4], "big")


def take(dialogue: Dialogue, got: list[Message]) -> None:
    """The broker takes what is there, but for a frame of which the rest is missing, and answers each at once."""
    signing_in = False
    while has_whole_frame(dialogue.broker.sent):
        request = dialogue.broker_gets()
        if request.key == SASL_HANDSHAKE:
            signing_in = True
            dialogue.broker_gets_nothing()
            dialogue.broker_answers(request, mechanisms=("PLAIN",))
        elif request.key == SASL_AUTHENTICATE:
            assert signing_in
            signing_in = False
            dialogue.broker_gets_nothing()
            dialogue.broker_answers(request, session_lifetime=round(LIFETIME * 1000))
        else:
            assert not signing_in, "a request between the handshake and the end of signing in"
            got.append(request.message)
            if request.key == HEARTBEAT or request.message.acks:
                dialogue.broker_answers(request)


@pytest.mark.usefixtures("clock")
def test_nothing_is_lost_reordered_or_torn(clock: Clock) -> None:
    signed_in_again = 0

    @settings(max_examples=150, deadline=None, database=None)
    @given(SEEDS)
    def run(seed: int) -> None:
        nonlocal signed_in_again
        rng = Random(seed)  # noqa: S311 - test data
        with Playbook() as playbook:
            plain, dialogue = playbook.signed_in(), with_lifetime(playbook.signed_in())
            data = requests(rng, dialogue)
            plain.client_sends_bytes(data)
            expected: list[Message] = []
            take(plain, expected)
            got: list[Message] = []
            for chunk in cut(rng, data):
                if rng.random() < 0.3:
                    clock.now += LIFETIME
                dialogue.client_sends_bytes(chunk)
                if rng.random() < 0.5:
                    take(dialogue, got)
            take(dialogue, got)
            dialogue.broker_gets_nothing()
            assert got == expected
            assert dialogue.ended == ""
            assert not dialogue.client.paused
            signed_in_again += playbook.metrics.upstream_reauthentications[""]

    run()
    assert signed_in_again > 100
