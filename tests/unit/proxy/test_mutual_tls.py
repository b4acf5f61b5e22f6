"""Client certificates over real sockets, in both event loops: from the TLS handshake to the service account.

How a listener does its handshakes is shown elsewhere; here the event loop does them.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import trustme
import uvloop

from policies.zone import Zone
from protocol.headers import frame
from proxy.cluster import Cluster
from proxy.clusters import Clusters
from proxy.config import ClusterConfig, GatewayConfig, Limits, ListenerConfig
from proxy.flow import MemoryBudget
from proxy.gateway import build_mechanisms
from proxy.metrics import GatewayMetrics
from proxy.routing import Listener
from proxy.services import Services
from proxy.session import ClientSession
from proxy.zones import ZoneRegistry
from tests.kafka.ports import free_ports
from tests.unit.proxy.playbook import ZONE

SECONDS = 10.0
HOST = "127.0.0.1"
RULES = "RULE:^(?:.*,)?CN=([a-z]+)(?:,.*)?$/$1/"
API_VERSIONS_0 = frame(b"\0\x12\0\0\0\0\0\x07\0\x01c")
ZONES: tuple[Zone, ...] = (replace(ZONE, authentication="MTLS"),)

Run = Callable[[Coroutine[Any, Any, None]], None]
RUNS: tuple[Run, ...] = (asyncio.run, uvloop.run)


@cache
def authority() -> trustme.CA:
    return trustme.CA()


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert(HOST).configure_cert(context)
    authority().configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


async def with_services(play: Callable[[Services, int], Awaitable[None]]) -> None:
    """A gateway's inside behind one TLS port, before a cluster that nobody runs."""
    (nobody,) = free_ports(1)
    listener = ListenerConfig(advertised_host=HOST, security_protocol="SSL", mechanisms=())
    config = GatewayConfig(
        listeners=(listener,),
        clusters=(ClusterConfig(bootstrap_servers=((HOST, nobody),)),),
        limits=Limits(failed_authentication_delay_seconds=0.05),
        principal_mapping_rules=RULES,
    )
    metrics = GatewayMetrics()
    registry = ZoneRegistry(metrics)
    registry.apply(ZONES, ())
    budget = MemoryBudget(1 << 20)
    tasks: set[asyncio.Task[None]] = set()

    def spawn(coroutine: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        task = asyncio.create_task(coroutine, name=name)
        tasks.add(task)
        return task

    cluster = Cluster(config.clusters[0], budget.share(""), metrics)
    services = Services(config, registry, Clusters([cluster]), metrics, budget, spawn, build_mechanisms(registry))
    accepting = Listener(listener, lambda _listener, _node: asyncio.Protocol())
    server = await asyncio.get_running_loop().create_server(
        lambda: ClientSession(services, accepting, None), HOST, 0, ssl=server_context()
    )
    async with server, asyncio.timeout(SECONDS):
        await play(services, server.sockets[0].getsockname()[1])
        await services.all_closed()
        await asyncio.gather(*tasks)


def client_context(name: str, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority().configure_trust(context)
    context.minimum_version = context.maximum_version = version
    authority().issue_cert(f"{name}@example.com", common_name=name).configure_cert(context)
    return context


async def answer_to_api_versions(port: int, context: ssl.SSLContext) -> bytes:
    """All that the gateway says until it closes the connection."""
    reader, writer = await asyncio.open_connection(HOST, port, ssl=context)
    writer.write(API_VERSIONS_0)
    try:
        return await reader.read()
    finally:
        writer.close()


def end_of(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    (line,) = [record.__dict__ for record in caplog.records if record.__dict__.get("event") == "connection_end"]
    return line


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("run", RUNS)
def test_a_certificate_names_its_account(run: Run, version: ssl.TLSVersion, caplog: pytest.LogCaptureFixture) -> None:
    async def play(services: Services, port: int) -> None:
        # there is no cluster behind, so the session of this account begins and ends
        assert await answer_to_api_versions(port, client_context("johndoe", version)) == b""

    with caplog.at_level(logging.INFO, "zonegate"):
        run(with_services(play))
    line = end_of(caplog)
    assert (line["reason"], line["zone"], line["user"]) == ("broker_unreachable", "partner", "johndoe")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("run", RUNS)
def test_a_certificate_of_nobody_is_told_so(
    run: Run, version: ssl.TLSVersion, caplog: pytest.LogCaptureFixture
) -> None:
    async def play(services: Services, port: int) -> None:
        answer = await answer_to_api_versions(port, client_context("nobody", version))
        assert answer == frame(b"\0\0\0\x07\0\x1f\0\0\0\0"), "correlation id 7, error 31, no APIs"
        assert services.metrics.authentication_failures == {"unknown_certificate": 1}

    with caplog.at_level(logging.INFO, "zonegate"):
        run(with_services(play))
    line = end_of(caplog)
    assert (line["reason"], line["detail"]) == ("authentication_failed", "unknown_certificate")
