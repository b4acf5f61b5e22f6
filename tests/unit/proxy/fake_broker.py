"""A broker that listens, signs in whoever proves to be the gateway, and remembers what it was asked."""

import asyncio
import ssl
from types import TracebackType
from typing import Any, Self

from scramp import ScramException, ScramMechanism

from protocol import api_versions
from protocol.codec import encode
from protocol.headers import response_head
from protocol.schema import Message, response_struct
from tests.unit.proxy.playbook import SASL_AUTHENTICATE, SASL_HANDSHAKE, BrokerGot, read_request

METADATA = 3
HOST = "127.0.0.1"
MAX_REQUEST_BYTES = 104_857_600


class FakeBroker:
    """Offers some mechanisms; `lies` replaces the server's words in SCRAM by their number."""

    def __init__(
        self,
        mechanisms: tuple[str, ...] = ("PLAIN",),
        password: str = "",
        lifetime: int = 0,
        context: ssl.SSLContext | None = None,
        lies: dict[int, bytes] | None = None,
    ) -> None:
        self.got: list[BrokerGot] = []
        self.users: list[str] = []
        self.connections = 0
        self.topics: dict[str, int] = {}
        """Names, and the codes with which it answers."""
        self._mechanisms = mechanisms
        self.password = password
        self._lifetime = lifetime
        self._context = context
        self._lies = lies or {}
        self._open: set[asyncio.StreamWriter] = set()
        self._gone = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, HOST, 0, ssl=self._context)
        self.address = (HOST, int(self._server.sockets[0].getsockname()[1]))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for connection in self._open:
            connection.transport.abort()
        while self._open:
            self._gone.clear()
            await self._gone.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        signing_in = _SigningIn(self)
        try:
            while True:
                size = await reader.readexactly(4)
                if int.from_bytes(size, "big") > MAX_REQUEST_BYTES:
                    raise OSError("not Kafka")
                got = read_request(size + await reader.readexactly(int.from_bytes(size, "big")))
                self.got.append(got)
                answer = self._answer(got, signing_in)
                body = encode(answer)
                flexible = answer.struct.flexible and got.key != api_versions.KEY
                writer.write(response_head(len(body), got.broker_correlation_id, flexible) + bytes(body))
        except (asyncio.IncompleteReadError, OSError):
            writer.transport.abort()
        finally:
            self._open.discard(writer)
            self._gone.set()

    def _answer(self, got: BrokerGot, signing_in: "_SigningIn") -> Message:
        struct = response_struct(got.key, got.version)
        if got.key == SASL_HANDSHAKE:
            known = got.message.mechanism in self._mechanisms
            signing_in.begin(got.message.mechanism)
            return struct.new(error_code=0 if known else 33, mechanisms=self._mechanisms)
        if got.key == SASL_AUTHENTICATE:
            try:
                return struct.new(auth_bytes=signing_in.step(got.message.auth_bytes), session_lifetime=self._lifetime)
            except ScramException:
                return struct.new(error_code=58, error_message="Authentication failed")
        if got.key == METADATA:
            broker = struct.nested("brokers").new(node_id=1, host=self.address[0], port=self.address[1])
            entry, named = struct.nested("topics"), got.message.topics
            asked = [topic.name for topic in named] if named is not None else [*self.topics]
            topics = tuple(
                entry.new(name=name, error_code=self.topics[name], topic_id=name.encode().ljust(16))
                for name in asked
                if name in self.topics
            )
            return struct.new(brokers=(broker,), cluster_id="c", topics=topics)
        key = struct.nested("api_keys")
        return struct.new(api_keys=tuple(key.new(api_key=k, min_version=0, max_version=12) for k in (METADATA, 18)))

    def password_of(self, username: str) -> str:
        self.users.append(username)
        return self.password

    def lie(self, number: int, truth: bytes) -> bytes:
        return self._lies.get(number, truth)


class _SigningIn:
    """The server's side of one conversation."""

    def __init__(self, broker: FakeBroker) -> None:
        self._broker = broker
        self._mechanism = ""
        self._server: Any = None
        self._step = 0

    def begin(self, mechanism: str) -> None:
        self._mechanism, self._server, self._step = mechanism, None, 0

    def step(self, token: bytes) -> bytes:
        self._step += 1
        if self._mechanism == "PLAIN":
            _, username, password = token.decode().split("\0")
            if password != self._broker.password_of(username):
                raise ScramException("wrong password")
            return b""
        if self._server is None:
            library = ScramMechanism(self._mechanism)
            self._server = library.make_server(lambda name: library.make_auth_info(self._broker.password_of(name)))
            self._server.set_client_first(token.decode())
            return self._broker.lie(1, self._server.get_server_first().encode())
        self._server.set_client_final(token.decode())
        return self._broker.lie(2, self._server.get_server_final().encode())
