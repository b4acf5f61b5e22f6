"""The link between two processes: messages, questions, and what happens when the other side breaks the rules."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import uvloop

from controlplane.link import MAX_FRAME_BYTES, MAX_UNSENT_BYTES, Link, LinkError

DEADLINE_SECONDS = 10


async def double(body: Any) -> Any:
    return body * 2


async def fail(_body: Any) -> Any:
    raise RuntimeError("inside")


async def never(_body: Any) -> Any:
    await asyncio.Event().wait()


class Pair:
    """Both ends in one event loop; what the right one is told comes into `told`."""

    async def open(self) -> None:
        ours, theirs = socket.socketpair()
        self.told: asyncio.Queue[Any] = asyncio.Queue()
        self.left = await Link.open(ours)
        asks: dict[str, Callable[[Any], Awaitable[Any]]] = {"double": double, "fail": fail, "never": never}
        self.right = await Link.open(theirs, {"note": self.told.put_nowait}, asks)

    async def close(self) -> None:
        await self.left.close()
        await self.right.close()


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    pair = Pair()
    await pair.open()
    async with asyncio.timeout(DEADLINE_SECONDS):
        yield pair
        await pair.close()


async def test_messages_arrive_in_their_order(pair: Pair) -> None:
    sent = [{"text": "ä\n\0"}, [1, 2.5, None], "x" * 1_000_000]
    for body in sent:
        pair.left.tell("note", body)

    assert [await pair.told.get() for _ in sent] == sent


async def test_questions_are_answered(pair: Pair) -> None:
    answers = await asyncio.gather(*(pair.left.ask("double", DEADLINE_SECONDS, number) for number in range(20)))

    assert answers == [2 * number for number in range(20)]
    assert await pair.left.ask("double", DEADLINE_SECONDS, "x" * 5_000_000) == "x" * 10_000_000


async def test_a_question_that_fails_is_answered_too(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(LinkError, match=r"RuntimeError\('inside'\)"):
        await pair.left.ask("fail", DEADLINE_SECONDS)

    assert caplog.messages == ["a question of the other process failed"]
    assert await pair.left.ask("double", DEADLINE_SECONDS, 1) == 2


async def test_an_answer_that_is_too_long(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controlplane.link.MAX_FRAME_BYTES", 1000)

    with pytest.raises(LinkError, match=r"an answer of 12\d\d bytes"):
        await pair.left.ask("double", DEADLINE_SECONDS, "x" * 600)

    assert await pair.left.ask("double", DEADLINE_SECONDS, 1) == 2


async def test_a_question_without_an_answer(pair: Pair) -> None:
    with pytest.raises(LinkError, match=r"no answer within 0\.01 s"):
        await pair.left.ask("never", 0.01)


async def test_an_end_is_seen_by_both(pair: Pair) -> None:
    asked = asyncio.create_task(pair.left.ask("never", DEADLINE_SECONDS))
    pair.left.tell("note", "last words")
    assert await pair.told.get() == "last words"

    await pair.right.close()

    await pair.left.ended()
    with pytest.raises(LinkError, match="the link is down"):
        await asked
    with pytest.raises(LinkError, match="the link is down"):
        await pair.left.ask("double", DEADLINE_SECONDS, 1)
    pair.left.tell("note", "to nobody")
    assert pair.left.offer("note", "to nobody"), "what is said to one who is gone needs no answer"


async def test_who_does_not_read_is_offered_no_more() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        link = await Link.open(ours)
        offered = 0
        while link.offer("note", "x" * 100_000):
            offered += 1
            assert offered < 100
        assert offered * 100_000 > MAX_UNSENT_BYTES
        async with asyncio.timeout(DEADLINE_SECONDS):
            await link.close()


async def test_what_must_arrive_does_behind_much_that_is_unsent(pair: Pair) -> None:
    pair.left.tell("note", "x" * 2 * MAX_UNSENT_BYTES)

    assert not pair.left.offer("note", "what a later one makes up for")
    pair.left.tell("note", "what is said once")

    assert len(await pair.told.get()) == 2 * MAX_UNSENT_BYTES
    assert await pair.told.get() == "what is said once"


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">I", MAX_FRAME_BYTES + 1),
        struct.pack(">I", 3) + b"{}}",
        struct.pack(">I", 2) + b"{}",
        struct.pack(">I", 2) + b"[]",
        struct.pack(">I", 100_000) + b"[" * 100_000,
        struct.pack(">I", 29) + json.dumps({"tell": "unknown", "body": 1}).encode(),
    ],
    ids=["too long", "no JSON", "no message", "no object", "too deep", "unknown"],
)
async def test_who_breaks_the_rules_loses_the_link(data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        link = await Link.open(ours)
        theirs.setblocking(True)
        theirs.sendall(data)
        async with asyncio.timeout(DEADLINE_SECONDS):
            await link.ended()
            await link.close()
    assert caplog.messages == ["what came over the link can't be read"]


async def test_a_close_is_seen_while_a_duplicate_is_open(pair: Pair) -> None:
    ours, theirs = socket.socketpair()
    with theirs.dup():
        left = await Link.open(ours, {"note": pair.told.put_nowait})
        right = await Link.open(theirs)
        right.tell("note", "x" * 1_000_000)
        right.tell("note", "last words")

        await asyncio.gather(right.close(), left.ended())

    assert [len(pair.told.get_nowait()) for _ in range(2)] == [1_000_000, len("last words")]
    await left.close()


async def test_who_breaks_the_rules_sees_the_end_while_a_duplicate_is_open() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs.dup():
        link = await Link.open(theirs)
        ours.sendall(struct.pack(">I", 2) + b"{}")
        async with asyncio.timeout(DEADLINE_SECONDS):
            await link.ended()
        ours.settimeout(DEADLINE_SECONDS)
        assert ours.recv(1) == b""
        await link.close()


def test_a_close_after_the_other_sides_on_the_gateways_own_event_loop() -> None:
    async def end_twice() -> None:
        pair = Pair()
        await pair.open()
        async with asyncio.timeout(DEADLINE_SECONDS):
            await pair.right.close()
            await pair.left.ended()
            await pair.close()

    uvloop.run(end_twice())
