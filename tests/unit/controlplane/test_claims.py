"""Ports that several processes of one gateway share, and nobody else may have."""

import asyncio
import errno
import socket
from collections.abc import Iterator

import pytest

from controlplane.claims import Claims
from tests.unit.controlplane.test_serve import free_port


@pytest.fixture
def claims() -> Iterator[Claims]:
    claims = Claims()
    yield claims
    claims.release()


async def listen(port: int, reuse_port: bool) -> asyncio.Server:
    return await asyncio.get_running_loop().create_server(
        asyncio.Protocol, "127.0.0.1", port, reuse_port=reuse_port, start_serving=True
    )


async def test_workers_share_a_claimed_port_and_nobody_else(claims: Claims) -> None:
    port, other = free_port(), Claims()
    await claims.claim("127.0.0.1", port)
    await claims.claim("127.0.0.1", port)

    for _ in range(2):  # without workers, while all of them start anew, and with two
        with pytest.raises(OSError, match="in use") as caught:
            await other.claim("127.0.0.1", port)
        assert caught.value.errno == errno.EADDRINUSE
        with pytest.raises(OSError, match="in use"):
            await listen(port, reuse_port=False)
        workers = [await listen(port, reuse_port=True) for _ in range(2)]
        for worker in workers:
            worker.close()

    claims.release()
    await other.claim("127.0.0.1", port)
    other.release()


async def test_a_port_that_is_taken(claims: Claims) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use") as caught:
        await claims.claim("127.0.0.1", taken.getsockname()[1])
    assert caught.value.errno == errno.EADDRINUSE


async def test_remains_of_ended_connections_do_not_count(claims: Claims) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            accepted.close()
            assert client.recv(1) == b""

    await claims.claim("127.0.0.1", port)


async def test_a_name_may_stand_for_several_addresses(claims: Claims) -> None:
    port = free_port()
    await claims.claim("localhost", port)

    with pytest.raises(OSError, match="in use"):
        await listen(port, reuse_port=False)
