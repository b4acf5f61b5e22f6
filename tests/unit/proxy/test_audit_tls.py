"""What the audit says of connections at a TLS port: over real sockets."""

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import trustme
import uvloop

from proxy.accept import Door
from proxy.audit import Audit
from proxy.config import ListenerConfig, ListenerTls
from proxy.node import Node
from proxy.routing import Listener
from proxy.tls import server_tls
from tests.unit.proxy.playbook import Playbook

DEADLINE_SECONDS = 10.0

Line = dict[str, Any]


class Port:
    """A TLS port with nothing behind it, and what was audited there."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        issued = authority.issue_cert("localhost")
        certificate, key = folder / "certificate.pem", folder / "key.pem"
        issued.private_key_pem.write_to_path(str(key))
        for pem in issued.cert_chain_pems:
            pem.write_to_path(str(certificate), append=True)
        self.client = ssl.create_default_context()
        authority.configure_trust(self.client)
        tls = ListenerTls(certificate=str(certificate), key=str(key))
        config = ListenerConfig(name="partners", security_protocol="SASL_SSL", advertised_host="localhost", tls=tls)
        self._lines: asyncio.Queue[Line] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._services = Playbook().services
        self._services.spawn = self._spawn
        self._services.audit = Audit(lambda line: self._lines.put_nowait(dict(line)))
        self._listener = Listener(config, lambda listener, node: Door(self._services, listener, node))
        self._listener.use(server_tls(config).context)

    def _spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def line_after(self, data: bytes, tls: ssl.SSLContext | None) -> tuple[Line, int]:
        """A client sends this and goes: the line that this leaves, and the client's port."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Door(self._services, self._listener, Node("", 1)), "127.0.0.1", 0)
        async with server, asyncio.timeout(DEADLINE_SECONDS):
            port = server.sockets[0].getsockname()[1]
            name = "localhost" if tls is not None else None
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=name)
            own_port = int(writer.get_extra_info("sockname")[1])
            writer.write(data)
            line = await self._lines.get()
            writer.close()
        return line, own_port


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_version_and_cipher_of_a_session(tmp_path: Path, run: Callable[[Any], tuple[Line, int]]) -> None:
    port = Port(tmp_path)
    line, own_port = run(port.line_after(b"\xff\xff\xff\xff", port.client))
    assert (line["event"], line["reason"], line["listener"]) == ("connection", "bad_frame", "partners")
    assert (line["tls_version"], line["tls_cipher"]) == ("TLSv1.3", "TLS_AES_256_GCM_SHA384")
    assert (line["peer_address"], line["peer_port"], line["broker"]) == ("127.0.0.1", own_port, 1)


@pytest.mark.parametrize("data", [b"\0\0\0\x11\0\x12\0\3\0\0\0\1\0\3app\0\0\0\0", b"GET / HTTP/1.1\r\n\r\n"])
def test_who_is_turned_away_in_the_handshake_has_an_address(tmp_path: Path, data: bytes) -> None:
    port = Port(tmp_path)
    line, own_port = uvloop.run(port.line_after(data, None))
    assert (line["event"], line["reason"]) == ("connection", "plaintext_on_tls_port")
    assert (line["peer_address"], line["peer_port"]) == ("127.0.0.1", own_port)
    assert "tls_version" not in line
