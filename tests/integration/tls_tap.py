"""A tap that ends TLS on both sides, so that it can read what passes. It hands the server name on, and checks the
gateway's certificate as its clients do; to the gateway it shows the client's own certificate, where it is given one.
"""

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path
from weakref import WeakKeyDictionary

from tests.canary import Canaries
from tests.integration.tap import CHUNK_BYTES, Tap
from tests.pki import Pair

Address = tuple[str, int]


class TlsTap(Tap):
    """Listens on the keys of `ways`; each leads to a port of the gateway."""

    def __init__(
        self,
        ways: Mapping[Address, int],
        gateway_host: str,
        canaries: Canaries,
        shown: Pair,
        authority: Path,
        client: Pair | None = None,
    ) -> None:
        super().__init__("", gateway_host, (), canaries)
        self._ways = ways
        self._names: WeakKeyDictionary[ssl.SSLObject, str | None] = WeakKeyDictionary()
        self._server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._server.load_cert_chain(shown.certificate, shown.key)
        self._server.sni_callback = self._on_server_name
        self._client = ssl.create_default_context(cafile=str(authority))
        if client is not None:
            self._client.load_cert_chain(client.certificate, client.key)
            self._server.load_verify_locations(str(authority))
            self._server.verify_mode = ssl.CERT_REQUIRED

    def _on_server_name(self, connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        self._names[connection] = name

    async def _listen(self) -> None:
        for host, port in self._ways:
            self._servers.append(
                await asyncio.start_server(self._serve, host, port, limit=CHUNK_BYTES, ssl=self._server)
            )

    async def _open(self, client: asyncio.StreamWriter) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = client.get_extra_info("sockname")[:2]
        name = self._names[client.get_extra_info("ssl_object")]
        # a client that connects to an address names no server, but checks the certificate for it
        return await asyncio.open_connection(
            self._gateway_host,
            self._ways[host, port],
            limit=CHUNK_BYTES,
            ssl=self._client,
            server_hostname=name or host,
        )

    def _finish(self, writer: asyncio.StreamWriter) -> None:
        """TLS of asyncio knows no half-closed connections."""
        writer.close()
