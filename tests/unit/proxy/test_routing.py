"""Where clients reach which broker, and what is said of ports that cannot be opened."""

import asyncio
import socket
from typing import Any

import pytest

from proxy.config import ClusterConfig, GatewayConfig, ListenerConfig
from proxy.gateway import Gateway
from proxy.node import Node
from proxy.routing import ONLY_CLUSTER, Listener, ListenError, Routing
from proxy.server_names import ServerNames, UnknownName
from tests.unit.controlplane.test_serve import free_port


def config(**more: Any) -> ListenerConfig:
    return ListenerConfig(host="127.0.0.1", port=free_port(), **{"advertised_host": "gw.example.com", **more})


def accept(_listener: Listener, _node: Node | None) -> asyncio.Protocol:
    return asyncio.Protocol()


NAMES = {
    "broker{id}-{advertised_host}": "broker7-gw.example.com",
    "{id}.kafka.example.org": "7.kafka.example.org",
    "kafka.{advertised_host}.{id}": "kafka.gw.example.com.7",
    "K{id}.{advertised_host}": "k7.gw.example.com",
}


@pytest.mark.parametrize(("pattern", "name"), NAMES.items())
def test_names_lead_back_to_their_brokers(pattern: str, name: str) -> None:
    names = ServerNames(pattern, "gw.example.com", ONLY_CLUSTER)

    assert names.of_broker(Node("", 7)) == name
    assert names.broker_of(name.upper() + ".") == Node("", 7)
    assert names.broker_of("GW.example.com") is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "example.com",
        "broker7",
        "broker-gw.example.com",
        "broker07-gw.example.com",
        "broker7-gw.example.com.evil.org",
    ],
)
def test_other_names_are_unknown(name: str) -> None:
    with pytest.raises(UnknownName):
        ServerNames("broker{id}-{advertised_host}", "gw.example.com", ONLY_CLUSTER).broker_of(name)


async def test_brokers_are_shown_once_they_can_be_reached() -> None:
    start = free_port()
    routing = Routing([config(broker_ports_start=start, min_broker_id=3)], accept)
    endpoints = routing.listeners[0].of_cluster("")

    assert endpoints.endpoint(3) is None
    await routing.open("", [3, 2])
    assert endpoints.endpoint(3) == ("gw.example.com", start)
    assert (endpoints.endpoint(2), endpoints.complete) == (None, False), "a broker below the first port"
    routing.stop()
    assert endpoints.endpoint(3) is None


@pytest.mark.parametrize(("advertised_port", "shown"), [(None, None), (443, 443)])
async def test_names_need_no_ports(advertised_port: int | None, shown: int | None) -> None:
    names = config(routing="sni", advertised_port=advertised_port)
    routing = Routing([names], accept)
    endpoints = routing.listeners[0].of_cluster("")

    await routing.open("", [1])
    await routing.open("", [2])
    for broker in (1, 2):
        assert endpoints.endpoint(broker) == (f"broker{broker}-gw.example.com", shown or names.port)
    assert (endpoints.endpoint(3), endpoints.complete) == (None, True)
    routing.stop()


async def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        routing = Routing(
            [config(name="inside", broker_ports_start=free_port()), config(name="outside", broker_ports_start=port)],
            accept,
        )

        with pytest.raises(ListenError) as caught:
            await routing.open("", [0])
        routing.stop()

    error = caught.value
    assert (error.listener, error.host, error.port, error.node) == ("outside", "127.0.0.1", port, Node("", 0))
    assert (
        str(error) == f"the port of broker 0 of listener outside, 127.0.0.1 port {port}, is in use by another process"
    )


async def test_a_gateway_is_not_ready_while_a_new_broker_has_no_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        listener = config(broker_ports_start=port)
        gateway = Gateway(
            GatewayConfig(listeners=(listener,), clusters=(ClusterConfig(bootstrap_servers=(("kafka", 9092),)),)),
            [],
            [],
        )
        gateway._services.clusters.first.reachable = gateway._started = True
        assert gateway.ready

        await gateway._open_ports("", [0])
        assert gateway.why_not_ready() == (
            f"the port of broker 0 of listener default, 127.0.0.1 port {port}, is in use by another process"
        )

    await gateway._open_ports("", [0])
    assert gateway.ready
    await gateway.stop()
