"""A TCP tap between clients and the gateway: it hands bytes on in both directions and scans what clients receive.

It listens on the address that the gateway advertises, on the same ports, so that a client passes through it on every
connection that it opens, whichever broker it follows.
"""

import asyncio
import contextlib
import re
import threading
from collections.abc import Iterator, Sequence

from tests.canary import Canaries, StreamScanner
from tests.kafka.waiting import wait_until

CHUNK_BYTES = 65536
SIGN_IN_BYTES = 4096
"""A client says who it is within so many bytes."""

START_SECONDS = 10.0
QUIET_SECONDS = 20.0

_SIGN_IN = re.compile(rb"\0([a-z][a-z-]*)\0[0-9A-Za-z]|n,,n=([a-z][a-z-]*),r=")
"""The messages with the user's name, of PLAIN and of SCRAM."""


class Tap:
    """Runs in a thread of its own, between `start` and `stop`."""

    def __init__(self, host: str, gateway_host: str, ports: Sequence[int], canaries: Canaries) -> None:
        self.received = 0
        self._host = host
        self._gateway_host = gateway_host
        self._ports = ports
        self._canaries = canaries
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="tap", daemon=True)
        self._connections: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []

    def start(self) -> None:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(START_SECONDS)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(START_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @contextlib.contextmanager
    def awaiting_the_end(self) -> Iterator[None]:
        """Ends when every connection that was opened meanwhile is closed, and all that it received has been scanned."""
        before = set(self._connections)
        yield
        wait_until(
            lambda: not self._connections - before, "the end of the connections of this test's clients", QUIET_SECONDS
        )

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _listen(self) -> None:
        for port in self._ports:
            self._servers.append(await asyncio.start_server(self._serve, self._host, port, limit=CHUNK_BYTES))

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for connection in tuple(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        writers = [writer]
        try:
            # What goes wrong on one side is told to the other by the end of the connection.
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._relay(reader, writer, writers)
        finally:
            for each in writers:
                each.close()

    async def _relay(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, writers: list[asyncio.StreamWriter]
    ) -> None:
        port = writer.get_extra_info("sockname")[1]
        scanner = StreamScanner(self._canaries, f"the client of port {port}")
        from_gateway, to_gateway = await self._open(writer)
        writers.append(to_gateway)
        up = asyncio.create_task(self._to_gateway(reader, to_gateway, scanner))
        try:
            await self._to_client(from_gateway, writer, scanner)
        finally:
            up.cancel()
            await asyncio.gather(up, return_exceptions=True)

    async def _open(self, client: asyncio.StreamWriter) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The connection to the gateway."""
        port = client.get_extra_info("sockname")[1]
        return await asyncio.open_connection(self._gateway_host, port, limit=CHUNK_BYTES)

    def _finish(self, writer: asyncio.StreamWriter) -> None:
        """Tell the gateway that the client has no more to say."""
        writer.write_eof()

    async def _to_gateway(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, scanner: StreamScanner
    ) -> None:
        said = b""
        while chunk := await reader.read(CHUNK_BYTES):
            if scanner.user is None and len(said) < SIGN_IN_BYTES:
                said += chunk
                message = _SIGN_IN.search(said)
                scanner.user = (message[1] or message[2]).decode() if message else None
            writer.write(chunk)
            await writer.drain()
        self._finish(writer)

    async def _to_client(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, scanner: StreamScanner
    ) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            self.received += len(chunk)
            scanner.feed(chunk)
            writer.write(chunk)
            await writer.drain()
