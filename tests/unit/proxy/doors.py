"""A gateway's listeners on real sockets, without a Kafka behind: what happens to a client before it has signed in."""

import asyncio
import logging
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Final, Self

import pytest
import uvloop

from protocol.api_versions import BrokerVersions
from proxy.accept import Door
from proxy.cluster import Cluster
from proxy.clusters import Clusters
from proxy.config import ClusterConfig, GatewayConfig, Limits, ListenerConfig
from proxy.flow import MemoryBudget
from proxy.gateway import build_mechanisms
from proxy.metrics import GatewayMetrics
from proxy.routing import Routing
from proxy.services import Services
from proxy.tls import server_tls
from proxy.zones import ZoneRegistry
from tests.kafka.waiting import wait_until
from tests.unit.proxy.playbook import BROKER_VERSIONS, MAPPED_BROKERS, NO_FEATURES

SECONDS: Final = 10.0

LOOPS: Final[dict[str, Callable[[], asyncio.AbstractEventLoop]]] = {
    "uvloop": uvloop.new_event_loop,
    "asyncio": asyncio.new_event_loop,
}

API_VERSIONS: Final = bytes.fromhex("0000000d 0012 0000 00000007 0003 617070")
"""ApiVersions 0 of the client `app`, correlation id 7."""


HOST: Final = "gateway.example.com"
NAMES: Final = (HOST, *(f"broker{broker}-{HOST}" for broker in (1, 2, 77)))
PATIENT: Final = Limits()
HASTY: Final = Limits(handshake_seconds=0.2)


class Doors:
    """Listeners in a loop in a thread of its own; a context manager."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: Limits, *listeners: ListenerConfig) -> None:
        self._loop = loop
        self._thread = threading.Thread(target=loop.run_forever, name="doors")
        self._ends: dict[str, dict[str, Any]] = {}
        config = GatewayConfig(
            listeners=listeners, clusters=(ClusterConfig(bootstrap_servers=(("kafka", 9092),)),), limits=limits
        )
        metrics = GatewayMetrics()
        registry = ZoneRegistry(metrics)
        budget = MemoryBudget(1 << 20)
        cluster = Cluster(config.clusters[0], budget.share(""), metrics)
        cluster.versions = dict.fromkeys(MAPPED_BROKERS, BrokerVersions(dict(BROKER_VERSIONS), NO_FEATURES))
        self.services = Services(
            config, registry, Clusters([cluster]), metrics, budget, self._spawn, build_mechanisms(registry)
        )
        self.services.routing = Routing(listeners, lambda listener, node: Door(self.services, listener, node))

    def _spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        raise AssertionError(f"{name}: nobody signs in here")

    def __enter__(self) -> Self:
        self._thread.start()
        self._handler = _Ends(self._ends)
        logger = logging.getLogger("zonegate.connection")
        logger.addHandler(self._handler)
        logger.setLevel(logging.INFO)
        self.use_certificates()
        self.run(self.services.routing.open("", MAPPED_BROKERS))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.run(self._close())
        wait_until(lambda: not self.services.sessions and not self.services.arriving, "no connection left", SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS)
        self._loop.close()
        logging.getLogger("zonegate.connection").removeHandler(self._handler)

    async def _close(self) -> None:
        self.services.routing.stop()
        for arriving in list(self.services.arriving):
            arriving.abort()
        for session in list(self.services.sessions):
            session.abort()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(SECONDS)

    def use_certificates(self) -> None:
        """Load the listeners' files, as they are now."""
        loaded = {
            listener.config.name: server_tls(listener.config)
            for listener in self.services.routing.listeners
            if listener.config.tls is not None
        }

        async def use() -> None:
            self.services.routing.use(loaded)

        self.run(use())

    def connect(self, listener: int = 0) -> socket.socket:
        """To the bootstrap port of one of the listeners."""
        config = self.services.config.listeners[listener]
        return socket.create_connection((config.host, config.port), SECONDS)

    def end_of_closed(self, client: socket.socket) -> dict[str, Any]:
        """Close the client, and return the log line of its end."""
        peer = peer_of(client)
        client.close()
        return self.end_of(peer)

    def end_of(self, client: socket.socket | str) -> dict[str, Any]:
        """The log line of a connection's end, once it is there; `client` is the socket or its address."""
        peer = client if isinstance(client, str) else peer_of(client)
        wait_until(lambda: peer in self._ends, f"the end of {peer}", SECONDS)
        return self._ends[peer]


class _Ends(logging.Handler):
    def __init__(self, ends: dict[str, dict[str, Any]]) -> None:
        super().__init__()
        self._ends = ends

    def emit(self, record: logging.LogRecord) -> None:
        self._ends[record.__dict__["peer"]] = record.__dict__


def peer_of(client: socket.socket) -> str:
    host, port = client.getsockname()[:2]
    return f"{host}:{port}"


def receive(client: socket.socket, size: int) -> bytes:
    """So many bytes, or fewer when the connection ends."""
    received = b""
    while len(received) < size and (piece := client.recv(size - len(received))):
        received += piece
    return received


def ask(client: socket.socket) -> bytes:
    """What the gateway answers to ApiVersions; empty when it ends the connection."""
    client.sendall(API_VERSIONS)
    return receive(client, int.from_bytes(receive(client, 4), "big"))


class ByHand:
    """A TLS client whose records are sent by the test itself."""

    def __init__(self, context: ssl.SSLContext, server_hostname: str | None) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=server_hostname)

    def hello(self) -> bytes:
        """The first bytes of the handshake."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return self.outgoing.read()
        raise AssertionError("a handshake without a server")

    def finish(self, client: socket.socket) -> None:
        """Read the server's part; what ends the handshake waits in `outgoing`."""
        while True:
            self.incoming.write(client.recv(65536))
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                continue
            return

    def answer(self, client: socket.socket) -> bytes:
        """The next frame."""
        received = b""
        while len(received) < 4 or len(received) < 4 + int.from_bytes(received[:4], "big"):
            try:
                received += self.tls.read()
            except ssl.SSLWantReadError:
                self.incoming.write(client.recv(65536))
        return received[4:]

    def reads_end(self, client: socket.socket) -> bool:
        """Whether the server ends TLS, and then the connection, with nothing before."""
        while data := client.recv(65536):
            self.incoming.write(data)
        try:
            return self.tls.read() == b""
        except ssl.SSLZeroReturnError:
            return True


Open = Callable[..., Doors]
"""Opens one listener: doors(limits, **more of ListenerConfig and ListenerTls)."""


def is_refused(answer: bytes) -> bool:
    """CLUSTER_AUTHORIZATION_FAILED, for a certificate that is nobody's."""
    return answer == bytes.fromhex("00000007 001f 00000000")


def is_api_versions(received: bytes) -> bool:
    return received[:6] == struct.pack(">ih", 7, 0)


def shake_hands(doors: Doors, context: ssl.SSLContext, name: str | None = HOST) -> ssl.SSLSocket:
    client = doors.connect()
    try:
        return context.wrap_socket(client, server_hostname=name)
    except BaseException:
        client.close()
        raise


def refused(doors: Doors, context: ssl.SSLContext, name: str | None = HOST) -> tuple[str, dict[str, Any]]:
    """The alert that a client is sent, and the log line of its end. A client of TLS 1.3 sees it when it reads."""
    with doors.connect() as client:
        peer = peer_of(client)
        with pytest.raises(ssl.SSLError) as caught, context.wrap_socket(client, server_hostname=name) as tls:
            tls.recv(1)
        return str(caught.value.reason), doors.end_of(peer)
