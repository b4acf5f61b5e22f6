"""Where clients reach which broker: one port of the gateway per broker, opened when the broker is first seen.

A broker whose port is not open is not shown to any client.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable

from proxy.config import GatewayConfig

_log = logging.getLogger("zonegate.routing")

BACKLOG = 512
"""Connections that may wait for `accept`; a burst of reconnecting clients is larger than Kafka's default of 50."""

SessionFactory = Callable[[int | None], asyncio.Protocol]
"""(broker id, or None on the bootstrap port) -> the protocol of a new connection"""


class Routing:
    """The listeners. `endpoint` answers from what is open."""

    def __init__(self, config: GatewayConfig, session_factory: SessionFactory) -> None:
        self._config = config
        self._session_factory = session_factory
        self._servers: dict[int | None, asyncio.Server] = {}
        self._opening = asyncio.Lock()
        self._stopped = False
        self._has_unmapped = False

    def endpoint(self, broker_id: int) -> tuple[str, int] | None:
        return (self._config.advertised_host, self.port_of(broker_id)) if broker_id in self._servers else None

    @property
    def complete(self) -> bool:
        """True when every broker of the cluster has a port here."""
        return not self._has_unmapped

    def port_of(self, broker_id: int) -> int:
        return self._config.broker_ports_start + broker_id - self._config.min_broker_id

    async def open(self, broker_ids: Iterable[int]) -> None:
        """Open the bootstrap port and those of these brokers. Raises OSError when a port is taken."""
        async with self._opening:
            self._has_unmapped = False
            for broker_id in sorted(set(broker_ids) - self._servers.keys()):
                port = self.port_of(broker_id)
                if broker_id < self._config.min_broker_id or not 0 < port < 65536:
                    self._has_unmapped = True
                    _log.warning(
                        "broker has no port and stays invisible; lower broker_ports.min_broker_id",
                        extra={"event": "broker_unmapped", "broker": broker_id, "port": port},
                    )
                    continue
                await self._listen(broker_id, port)
            if None not in self._servers:
                await self._listen(None, self._config.listen_port)

    async def _listen(self, broker_id: int | None, port: int) -> None:
        if self._stopped:
            return
        self._servers[broker_id] = await asyncio.get_running_loop().create_server(
            lambda: self._session_factory(broker_id),
            self._config.listen_host,
            port,
            backlog=BACKLOG,
        )
        _log.info("listening", extra={"event": "listening", "port": port, "broker": broker_id})

    def stop(self) -> None:
        """Stop accepting; connections that exist go on."""
        self._stopped = True
        for server in self._servers.values():
            server.close()
        self._servers.clear()
