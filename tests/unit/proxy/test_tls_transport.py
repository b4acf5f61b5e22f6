"""The TLS transport as a session uses it: much to write, clients that don't read, pauses, and the end."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from proxy.tls_transport import TlsTransport
from tests.pki import Authority
from tests.unit.proxy.doors import receive

SECONDS = 20.0
LARGE = bytes(range(256)) * 32_768  # 8 MiB


class Server(asyncio.Protocol):
    """One connection: keeps what it receives, and says what the transport tells it."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self.transport: TlsTransport | None = None
        self.received = bytearray()
        self.told: list[str] = []
        self.pauses = False
        """Whether it wants nothing more after each piece."""
        self._happened = asyncio.Event()

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            self._happened.clear()
            await self._happened.wait()

    async def until_told(self, what: str) -> None:
        await self.until(lambda: what in self.told)

    def _tell(self, what: str) -> None:
        self.told.append(what)
        self._happened.set()

    def accept(self) -> asyncio.Protocol:
        outer = self

        class Door(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                assert isinstance(transport, asyncio.Transport) or hasattr(transport, "set_protocol")
                TlsTransport(transport, outer._context, outer)  # type: ignore[arg-type]

        return Door()

    def handshake_done(self) -> asyncio.Protocol:
        return self

    def handshake_failed(self, error: ssl.SSLError) -> None:
        raise AssertionError(error)

    def connection_lost_in_handshake(self) -> None:
        raise AssertionError("lost")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, TlsTransport)
        self.transport = transport
        self._happened.set()

    def data_received(self, data: bytes) -> None:
        self.received += data
        if self.pauses and self.transport is not None:
            self.transport.pause_reading()
        self._tell("data")

    def pause_writing(self) -> None:
        self._tell("pause")

    def resume_writing(self) -> None:
        self._tell("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self._tell("lost")


Play = Callable[[Server, "Client"], Awaitable[None]]


class Client:
    """A blocking client, in threads: it has no loop that could read ahead."""

    def __init__(self, context: ssl.SSLContext, port: int) -> None:
        raw = socket.create_connection(("127.0.0.1", port), SECONDS)
        self.socket = context.wrap_socket(raw, server_hostname="localhost")

    async def reads(self, size: int) -> bytes:
        """So many bytes, or fewer when the server ends TLS."""
        return await asyncio.to_thread(receive, self.socket, size)

    async def writes(self, data: bytes) -> None:
        await asyncio.to_thread(self.socket.sendall, data)


@pytest.fixture(params=[uvloop.run, asyncio.run], ids=["uvloop", "asyncio"])
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Play], Server]:
    """Runs a scene with one client, whose handshake is done."""
    authority = Authority(tmp_path)
    pair = authority.issue("server", "localhost")

    async def run(scene: Play) -> Server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        server = Server(context)
        listening = await asyncio.get_running_loop().create_server(server.accept, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        async with asyncio.timeout(SECONDS), listening:
            client = await asyncio.to_thread(Client, authority.client_context(), port)
            with client.socket:
                await server.until(lambda: server.transport)
                await scene(server, client)
            await server.until_told("lost")
        return server

    return lambda scene: request.param(run(scene))


def transport(server: Server) -> TlsTransport:
    assert server.transport is not None
    return server.transport


def test_what_was_written_arrives_before_the_end(play: Callable[[Play], Server]) -> None:
    async def scene(server: Server, client: Client) -> None:
        transport(server).write(b"head")
        transport(server).writelines([b"", memoryview(LARGE), bytearray(b"tail")])
        transport(server).close()
        assert transport(server).is_closing()
        assert await client.reads(2 * len(LARGE)) == b"head" + LARGE + b"tail", "all of it, and TLS's own end behind"
        await server.until_told("lost")

    told = play(scene).told
    assert (told[0], told[-1]) == ("pause", "lost")


def test_a_client_that_does_not_read_pauses_the_writer(play: Callable[[Play], Server]) -> None:
    async def scene(server: Server, client: Client) -> None:
        transport(server).write(LARGE)
        assert server.told == ["pause"]
        assert transport(server).get_write_buffer_size() > 0
        assert await client.reads(len(LARGE)) == LARGE
        await server.until_told("resume")
        assert transport(server).get_write_buffer_size() == 0

    assert play(scene).told[:2] == ["pause", "resume"]


def test_a_paused_transport_delivers_nothing(play: Callable[[Play], Server]) -> None:
    async def scene(server: Server, client: Client) -> None:
        transport(server).pause_reading()
        assert not transport(server).is_reading()
        with pytest.raises(TimeoutError):  # the sockets take no more
            client.socket.settimeout(0.2)
            await client.writes(LARGE)
        assert not server.received
        transport(server).resume_reading()
        await server.until(lambda: server.received)

    play(scene)


def test_many_small_writes_keep_their_order(play: Callable[[Play], Server]) -> None:
    async def scene(server: Server, client: Client) -> None:
        expected = b"".join(b"%06d" % n for n in range(5000))
        for n in range(5000):
            transport(server).write(b"%06d" % n)
        assert await client.reads(len(expected)) == expected
        await client.writes(expected)
        await server.until(lambda: len(server.received) >= len(expected))
        assert server.received == expected

    play(scene)


def test_an_abort_ends_although_much_is_unwritten(play: Callable[[Play], Server]) -> None:
    async def scene(server: Server, client: Client) -> None:
        transport(server).write(LARGE)
        transport(server).close()
        transport(server).abort()
        await server.until_told("lost")
        transport(server).write(b"ignored")
        transport(server).close()

    assert play(scene).told == ["pause", "lost"]


def test_a_close_does_not_wait_for_the_clients_own(play: Callable[[Play], Server]) -> None:
    async def scene(server: Server, client: Client) -> None:
        transport(server).close()
        await server.until_told("lost")

    assert play(scene).told == ["lost"]


def test_the_clients_end_ends_the_connection(play: Callable[[Play], Server]) -> None:
    async def scene(server: Server, client: Client) -> None:
        await client.writes(b"last words")
        client.socket.close()
        await server.until_told("lost")

    server = play(scene)
    assert (bytes(server.received), server.told[-1]) == (b"last words", "lost")


def test_the_clients_end_is_seen_when_reading_goes_on(play: Callable[[Play], Server]) -> None:
    """Its end of TLS comes together with its last words, of which not all were taken yet."""

    async def scene(server: Server, client: Client) -> None:
        transport(server).pause_reading()
        await client.writes(b"last words")
        client.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(client.socket.unwrap)
        server.pauses = True
        transport(server).resume_reading()
        await server.until_told("data")
        assert not transport(server).is_closing()
        transport(server).resume_reading()
        await server.until_told("lost")

    server = play(scene)
    assert bytes(server.received) == b"last words"


def test_what_belongs_to_the_connection_is_told(play: Callable[[Play], Server]) -> None:
    async def scene(server: Server, client: Client) -> None:
        extra: Callable[[str], Any] = transport(server).get_extra_info
        assert extra("peername")[:2] == client.socket.getsockname()
        assert extra("ssl_object").version() == "TLSv1.3"
        assert transport(server).get_extra_info("nothing", "default") == "default"
        assert transport(server).get_protocol() is server

    play(scene)
