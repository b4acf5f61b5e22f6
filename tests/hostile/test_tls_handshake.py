"""Handshakes that never end, on a listener with TLS. Without Kafka: nobody gets as far as that."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from proxy.accept import Door
from proxy.close import CloseReason
from proxy.cluster import Cluster
from proxy.clusters import Clusters
from proxy.config import ClusterConfig, GatewayConfig, Limits, ListenerConfig, ListenerTls
from proxy.flow import MemoryBudget
from proxy.gateway import build_mechanisms
from proxy.metrics import GatewayMetrics
from proxy.routing import Listener
from proxy.services import Services
from proxy.tls import server_tls
from proxy.zones import ZoneRegistry

HANDSHAKE_SECONDS = 2.0
"""Long enough for an ordinary handshake on a busy machine; a byte at a time takes ten times as long."""
DRIP_SECONDS = 0.05
DEADLINE_SECONDS = 10.0
SLOW = 50


class TlsDoor:
    """A listener with TLS, and all that its connections need."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        authority.issue_cert("gateway.example.com").private_key_and_cert_chain_pem.write_to_path(folder / "cert.pem")
        self.client_context = ssl.create_default_context()
        authority.configure_trust(self.client_context)
        pem = str(folder / "cert.pem")
        config = ListenerConfig(
            advertised_host="gateway.example.com",
            security_protocol="SASL_SSL",
            tls=ListenerTls(certificate=pem, key=pem),
        )
        self.metrics = GatewayMetrics()
        self.tasks: set[asyncio.Task[None]] = set()
        limits = replace(Limits(), handshake_seconds=HANDSHAKE_SECONDS, connections_per_address=SLOW + 1)
        gateway = GatewayConfig(
            listeners=(config,), clusters=(ClusterConfig(bootstrap_servers=(("kafka", 9092),)),), limits=limits
        )
        registry = ZoneRegistry(self.metrics)
        budget = MemoryBudget(1 << 20)
        cluster = Cluster(gateway.clusters[0], budget.share(""), self.metrics)
        mechanisms = build_mechanisms(registry)
        self.services = Services(gateway, registry, Clusters([cluster]), self.metrics, budget, self._spawn, mechanisms)
        self.listener = Listener(config, lambda listener, node: Door(self.services, listener, node))
        self.listener.use(server_tls(config).context)
        self.port = 0

    def _spawn(self, coroutine: object, name: str) -> "asyncio.Task[None]":
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(coroutine, name=name)  # type: ignore[arg-type]
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    @asynccontextmanager
    async def is_open(self) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Door(self.services, self.listener, None), "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield

    async def has_turned_away(self, count: int) -> None:
        """Returns when so many connections have ended, and no other connection, handshake or task is left."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while sum(self.metrics.connections_closed.values()) < count or self._is_busy():  # noqa: ASYNC110
                await asyncio.sleep(DRIP_SECONDS)

    def _is_busy(self) -> bool:
        return bool(self.tasks or self.services.arriving or self.services.sessions)


@pytest.fixture
def door(tmp_path: Path) -> TlsDoor:
    return TlsDoor(tmp_path)


def client_hello(context: ssl.SSLContext) -> bytes:
    out = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="gateway.example.com")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


async def test_handshakes_one_byte_at_a_time(door: TlsDoor) -> None:
    async with door.is_open():
        hello = client_hello(door.client_context)
        writers = []

        async def drip() -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
            writers.append(writer)
            sending = asyncio.create_task(send(writer))
            try:
                assert await reader.read() == b"", "not even an answer"
            except ConnectionResetError:
                pass
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

        async def send(writer: asyncio.StreamWriter) -> None:
            for byte in hello:
                writer.write(bytes([byte]))
                await asyncio.sleep(DRIP_SECONDS)

        async with asyncio.timeout(DEADLINE_SECONDS):
            slow = asyncio.gather(*(drip() for _ in range(SLOW)))
            # whoever shakes hands as usual gets in beside them
            _, other = await asyncio.open_connection(
                "127.0.0.1", door.port, ssl=door.client_context, server_hostname="gateway.example.com"
            )
            other.close()
            await slow
        for writer in writers:
            writer.close()
        await door.has_turned_away(SLOW + 1)
    assert door.metrics.connections_closed == {
        CloseReason.TLS_HANDSHAKE_DEADLINE: SLOW,
        CloseReason.CLIENT_CLOSED: 1,
    }
    assert door.services.admission.counts._in_all == 0


async def test_handshakes_that_are_given_up(door: TlsDoor) -> None:
    async with door.is_open():
        for data in (b"", client_hello(door.client_context)[:100], b"\0\0\0\x10plaintext"):
            _, writer = await asyncio.open_connection("127.0.0.1", door.port)
            writer.write(data)
            await writer.drain()
            writer.close()
        await door.has_turned_away(3)
    assert door.services.admission.counts._in_all == 0
