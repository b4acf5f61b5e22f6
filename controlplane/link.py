"""The link between the supervisor and one worker process: messages over a socket pair.

A frame is four bytes of length and a JSON object: a message (`{"tell": name, "body": …}`), a question
(`{"ask": name, "id": 1, "body": …}`) or its answer (`{"answer": 1, "body": …}`, with `problem` in place of the body
where it failed). Frames are handled one after the other, in their order. An end of file means that the other process is
gone.

It knows neither processes nor what the messages mean. A peer that breaks these rules loses the link, which ends both.
"""

import asyncio
import contextlib
import itertools
import json
import logging
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

MAX_FRAME_BYTES: Final = 256 * 1024 * 1024
"""Metrics are by far the largest: a thousand zones that use ten APIs each make 20 MB."""

MAX_UNSENT_BYTES: Final = 1024 * 1024
"""What waits for a peer that doesn't read. Beyond it nothing is offered: later messages make up for those."""

CLOSE_SECONDS: Final = 2.0
"""For what is still to be sent at a close."""

Tell = Callable[[Any], None]
Ask = Callable[[Any], Awaitable[Any]]

_LENGTH: Final = struct.Struct(">I")
_NONE: Final[Mapping[str, Any]] = MappingProxyType({})

_log = logging.getLogger("zonegate.workers")


class LinkError(Exception):
    """A question that got no answer: the link is down, or the other side could not."""


class Link:
    """One end. `open` makes it; `tell`, `offer` and `ask` at any time after."""

    def __init__(
        self,
        end: socket.socket,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        tells: Mapping[str, Tell],
        asks: Mapping[str, Ask],
    ) -> None:
        self._end = end
        self._reader = reader
        self._writer = writer
        self._tells = tells
        self._asks = asks
        self._ids = itertools.count(1)
        self._questions: dict[int, asyncio.Future[Any]] = {}
        self._closing = False
        self._reading = asyncio.create_task(self._read(), name="read the link")

    @classmethod
    async def open(
        cls, end: socket.socket, tells: Mapping[str, Tell] = _NONE, asks: Mapping[str, Ask] = _NONE
    ) -> "Link":
        """Takes over the socket. `tells` and `asks` handle what the other side sends; none of them may ask in turn."""
        reader, writer = await asyncio.open_unix_connection(sock=end)
        return cls(end, reader, writer, tells, asks)

    def tell(self, name: str, body: object = None) -> None:
        """Send a message that is said once: it waits behind whatever is unsent."""
        self._send({"tell": name, "body": body})

    def offer(self, name: str, body: object = None) -> bool:
        """Send a message that a later one makes up for. False when the other side doesn't keep up, and won't get it."""
        if self._writer.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            return False
        self.tell(name, body)
        return True

    async def ask(self, name: str, seconds: float, body: object = None) -> Any:
        """The answer to a question. Raises LinkError, also when it takes longer than this."""
        if self._reading.done():
            raise LinkError("the link is down")
        number = next(self._ids)
        answer = self._questions[number] = asyncio.get_running_loop().create_future()
        self._send({"ask": name, "id": number, "body": body})
        try:
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError:
            raise LinkError(f"no answer within {seconds:g} s") from None
        finally:
            del self._questions[number]

    async def ended(self) -> None:
        """Returns when the other side's last message was handled, and the link is down."""
        await asyncio.wait([self._reading])

    async def close(self) -> None:
        """Sends what is still to be sent, as far as the other side takes it. What it says meanwhile is not handled."""
        self._closing = True
        if not self._writer.is_closing():
            await self._flush()
        self._hang_up()
        self._reading.cancel()
        await self.ended()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _flush(self) -> None:
        self._writer.transport.set_write_buffer_limits(high=0)
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._writer.drain()

    def _hang_up(self) -> None:
        # the other side doesn't see that a socket is closed while a duplicate is open, as `worker.LastResort` has one
        with contextlib.suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)
        if not self._writer.is_closing():
            self._writer.transport.abort()

    def _send(self, message: Mapping[str, object]) -> None:
        if self._closing or self._writer.is_closing():
            return
        data = _encoded(message)
        if len(data) > MAX_FRAME_BYTES and "answer" in message:  # it would cost the link
            data = _encoded({"answer": message["answer"], "problem": f"an answer of {len(data)} bytes"})
        self._writer.write(_LENGTH.pack(len(data)) + data)

    async def _read(self) -> None:
        try:
            while True:
                (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
                if length > MAX_FRAME_BYTES:
                    raise ValueError(f"a frame of {length} bytes")
                data = await self._reader.readexactly(length)
                if not self._closing:
                    await self._handle(json.loads(data))
        except (asyncio.IncompleteReadError, OSError):
            pass  # the other process has ended, or this one closes
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            _log.error("what came over the link can't be read", extra={"event": "link_error", "problem": repr(error)})
        finally:
            self._hang_up()
            for answer in self._questions.values():
                if not answer.done():
                    answer.set_exception(LinkError("the link is down"))

    async def _handle(self, message: Mapping[str, Any]) -> None:
        if "tell" in message:
            self._tells[message["tell"]](message["body"])
        elif "ask" in message:
            self._send({"answer": message["id"], **await self._answer(message["ask"], message["body"])})
        elif (answer := self._questions.get(message["answer"])) is not None and not answer.done():
            if "problem" in message:
                answer.set_exception(LinkError(str(message["problem"])))
            else:
                answer.set_result(message["body"])

    async def _answer(self, name: str, body: Any) -> Mapping[str, object]:
        ask = self._asks[name]
        try:
            return {"body": await ask(body)}
        except Exception as error:  # noqa: BLE001 - whatever it is, the other side must not wait for it
            _log.exception("a question of the other process failed", extra={"event": "internal_error", "ask": name})
            return {"problem": repr(error)}


def _encoded(message: Mapping[str, object]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()
