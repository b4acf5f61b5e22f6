"""The life of `zonegate serve`, around a gateway that serves nobody."""

import asyncio
import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from controlplane.desired import FilesDesired
from controlplane.http import AdminServer, create_app
from controlplane.last_used import read_last_used
from controlplane.serve import serve
from controlplane.settings import Settings
from controlplane.settings_fields import HostPort
from controlplane.start_errors import StartError
from controlplane.watch import DesiredState
from proxy.node import Node
from proxy.routing import ListenError
from tests.pki import Authority
from tests.unit.controlplane.conftest import WriteFile
from tests.unit.controlplane.fake_gateway import FakeGateway
from tests.unit.controlplane.test_watch import ENTRY, zone

DEADLINE_SECONDS = 10


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def settings() -> Settings:
    return Settings.model_validate(
        {"cluster": {"bootstrap.servers": "broker1:9092"}, "admin_listen": f"127.0.0.1:{free_port()}"}
    )


@pytest.fixture
def desired(write: WriteFile) -> FilesDesired:
    write("zones/a.yaml", zone("a"))
    write("c.yaml", ENTRY)
    return FilesDesired(DesiredState(Path("zones"), Path("c.yaml"), None), Path("c.yaml"))


@pytest.fixture
async def _handlers_restored() -> AsyncIterator[None]:
    yield
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().remove_signal_handler(number)


async def wait_for_status(settings: Settings, status: int) -> httpx.Response:
    """The answer of /health/ready, as soon as it has this status."""
    async with asyncio.timeout(DEADLINE_SECONDS), httpx.AsyncClient() as client:
        while True:
            try:
                response = await client.get(f"http://{settings.admin_listen}/health/ready")
            except httpx.TransportError:
                response = None
            if response is not None and response.status_code == status:
                return response
            await asyncio.sleep(0.01)


@pytest.mark.usefixtures("_handlers_restored")
async def test_a_whole_life(settings: Settings, desired: FilesDesired, write: WriteFile) -> None:
    gateway = FakeGateway()
    serving = asyncio.create_task(serve(settings, desired, gateway))

    not_ready = await wait_for_status(settings, 503)
    assert not_ready.json()["reason"] == "no broker answers"
    gateway.reachable.set()
    await wait_for_status(settings, 200)

    write("zones/b.yaml", zone("b"))
    async with asyncio.timeout(DEADLINE_SECONDS):
        zones, _ = await gateway.applied.get()
        assert [found.name for found in zones] == ["a"]
        zones, credentials = await gateway.applied.get()
    assert [found.name for found in zones] == ["a", "b"]
    assert [credential.id for credential in credentials] == ["one"]

    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(DEADLINE_SECONDS):
        await serving
    assert gateway.stopped
    assert read_last_used(Path("c.yaml")) == {"one": "2025-01-27T12:55:05Z"}
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*settings.admin_listen)


@pytest.mark.usefixtures("_handlers_restored")
async def test_a_signal_ends_a_start_that_waits_for_upstream(settings: Settings, desired: FilesDesired) -> None:
    gateway = FakeGateway()
    serving = asyncio.create_task(serve(settings, desired, gateway))
    await wait_for_status(settings, 503)

    os.kill(os.getpid(), signal.SIGINT)

    async with asyncio.timeout(DEADLINE_SECONDS):
        await serving
    assert gateway.stopped


@pytest.mark.usefixtures("_handlers_restored")
async def test_an_admin_port_that_is_taken(settings: Settings, desired: FilesDesired) -> None:
    with socket.create_server(tuple(settings.admin_listen)), pytest.raises(StartError) as caught:
        await serve(settings, desired, FakeGateway())

    assert str(caught.value) == (
        f"admin_listen: {settings.admin_listen} is in use by another process; free it or set another address"
    )


@pytest.mark.usefixtures("_handlers_restored")
@pytest.mark.parametrize(
    ("node", "port", "setting"), [(None, 9094, "listen"), (Node("", 3), 9097, "broker_ports.start")]
)
async def test_a_gateway_port_that_is_taken(
    settings: Settings, desired: FilesDesired, node: Node | None, port: int, setting: str
) -> None:
    gateway = FakeGateway()
    (listener,) = settings.gateway_config().listeners
    gateway.start_error = ListenError(listener, port, node, OSError(errno.EADDRINUSE, "in use"))

    with pytest.raises(StartError) as caught:
        await serve(settings, desired, gateway)

    assert str(caught.value) == (
        f"{setting}: 0.0.0.0:{port} is in use by another process; free it or set another address"
    )
    assert gateway.stopped


@pytest.mark.usefixtures("_handlers_restored")
async def test_an_address_that_is_not_ours(settings: Settings, desired: FilesDesired) -> None:
    elsewhere = settings.model_copy(update={"admin_listen": HostPort("192.0.2.1", 8888)})

    with pytest.raises(StartError) as caught:
        await serve(elsewhere, desired, FakeGateway())

    assert str(caught.value) == (
        "admin_listen: 192.0.2.1:8888 cannot be used (Cannot assign requested address); free it or set another address"
    )


async def test_the_admin_server_stops_although_a_client_keeps_its_connection() -> None:
    admin = AdminServer(create_app(FakeGateway()), HostPort("127.0.0.1", free_port()))
    admin.start()
    async with httpx.AsyncClient() as client, asyncio.timeout(DEADLINE_SECONDS):
        response = await client.get(f"http://127.0.0.1:{admin.port}/health/live")
        assert response.status_code == 200

        await admin.stop()


_TWO_SIGNALS = """
import asyncio, os, pathlib, signal
from controlplane.serve import serve
from controlplane.settings import Settings
from controlplane.desired import FilesDesired
from controlplane.watch import DesiredState
from tests.unit.controlplane.fake_gateway import FakeGateway

class Hanging(FakeGateway):
    async def stop(self):
        print("stopping", flush=True)
        await asyncio.Event().wait()

async def main():
    settings = Settings.model_validate({"cluster": {"bootstrap.servers": "b:1"}, "admin_listen": "127.0.0.1:%d"})
    credentials = pathlib.Path("c.yaml")
    desired = FilesDesired(DesiredState(pathlib.Path("zones"), credentials, None), credentials)
    asyncio.get_running_loop().call_later(0, os.kill, os.getpid(), signal.SIGTERM)
    await serve(settings, desired, Hanging())

asyncio.run(main())
"""


def test_a_second_signal_ends_the_process_at_once(desired: FilesDesired, request: pytest.FixtureRequest) -> None:
    assert len(desired.zones) == 1
    process = subprocess.Popen(
        [sys.executable, "-c", _TWO_SIGNALS % free_port()],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(request.config.rootpath)},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "stopping\n"
        process.send_signal(signal.SIGTERM)

        assert process.wait(DEADLINE_SECONDS) == 128 + signal.SIGTERM
    finally:
        process.kill()
        process.communicate()


@pytest.mark.usefixtures("_handlers_restored")
async def test_a_new_certificate_reaches_the_gateway(desired: FilesDesired, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("server", "localhost", common_name="first")
    tls = {"certificate": str(pair.certificate), "key": str(pair.key)}
    settings = Settings.model_validate(
        {
            "cluster": {"bootstrap.servers": "broker1:9092"},
            "admin_listen": f"127.0.0.1:{free_port()}",
            "listeners": [{"name": "outside", "security_protocol": "SASL_SSL", "tls": tls}],
        }
    )
    gateway = FakeGateway()
    gateway.reachable.set()
    serving = asyncio.create_task(serve(settings, desired, gateway))
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert (await gateway.shown.get())["outside"].subject.startswith("CN=first")
        authority.issue("next", "localhost", common_name="second").move_to(pair)
        assert (await gateway.shown.get())["outside"].subject.startswith("CN=second")

    await wait_for_status(settings, 200)
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(DEADLINE_SECONDS):
        await serving


@pytest.mark.usefixtures("_handlers_restored")
async def test_a_port_of_one_of_several_listeners_that_is_taken(settings: Settings, desired: FilesDesired) -> None:
    several = Settings.model_validate(
        {
            "cluster": {"bootstrap.servers": "broker1:9092"},
            "admin_listen": str(settings.admin_listen),
            "listeners": [{"name": "a"}, {"name": "b", "listen": "0.0.0.0:9194", "broker_ports": {"start": 9195}}],
        }
    )
    for node, port, setting in ((None, 9194, "listen"), (Node("", 0), 9195, "broker_ports.start")):
        gateway = FakeGateway()
        listener = several.gateway_config().listeners[1]
        gateway.start_error = ListenError(listener, port, node, OSError(errno.EADDRINUSE, "in use"))

        with pytest.raises(StartError) as caught:
            await serve(several, desired, gateway)

        assert str(caught.value) == (
            f"listeners[1].{setting}: 0.0.0.0:{port} is in use by another process; free it or set another address"
        )
