"""Where clients reach which broker: by a port of its own, or, with TLS, by a host name of its own.

A broker that has no port or name here is not shown to any client.
"""

import asyncio
import errno
import logging
import os
import re
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final
from weakref import WeakKeyDictionary

from proxy.config import ListenerConfig
from proxy.tls import ServerTls

_log = logging.getLogger("zonegate.routing")

BACKLOG = 512
"""Connections that may wait for `accept`; a burst of reconnecting clients is larger than Kafka's default of 50."""

Accept = Callable[["Listener", int | None], asyncio.Protocol]
"""(listener, broker id or None on the bootstrap port) -> the protocol of a new connection"""

Claim = Callable[[str, int], Awaitable[None]]
"""Makes a port (host, number) this gateway's, before its processes share it. Raises OSError."""

_ID: Final = re.compile(r"0|[1-9][0-9]{0,9}", re.ASCII)


class UnknownName(LookupError):
    """A client asked for a host name that is none of this listener's."""


def why_not_bound(error: OSError) -> str:
    """What keeps an address from being listened on, in words that follow the address."""
    if error.errno == errno.EADDRINUSE:
        return "is in use by another process"
    return f"cannot be used ({os.strerror(error.errno) if error.errno else error})"


class ListenError(OSError):
    """A port that cannot be opened, and whose it is."""

    def __init__(self, config: ListenerConfig, port: int, broker_id: int | None, error: OSError) -> None:
        super().__init__(error.errno, str(error))
        self.reason = why_not_bound(error)
        self.listener = config.name
        self.host = config.host
        self.port = port
        self.broker_id = broker_id

    def __str__(self) -> str:
        whose = "the bootstrap port" if self.broker_id is None else f"the port of broker {self.broker_id}"
        return f"{whose} of listener {self.listener}, {self.host} port {self.port}, {self.reason}"


class ServerNames:
    """The host names of a listener with SNI routing: one to bootstrap, one per broker."""

    def __init__(self, config: ListenerConfig) -> None:
        pattern = config.sni_pattern.replace("{advertised_host}", config.advertised_host).lower()
        self._bootstrap = config.advertised_host.lower()
        self._before, _, self._behind = pattern.partition("{id}")

    def of_broker(self, broker_id: int) -> str:
        return f"{self._before}{broker_id}{self._behind}"

    def broker_of(self, name: str) -> int | None:
        """The broker of a host name; None for the bootstrap name. Raises UnknownName."""
        name = name.lower().rstrip(".")
        if name == self._bootstrap:
            return None
        if name.startswith(self._before) and name.endswith(self._behind):
            middle = name[len(self._before) : len(name) - len(self._behind)]
            if _ID.fullmatch(middle):
                return int(middle)
        raise UnknownName(name)


class Listener:
    """One configured listener, with the ports or names of its brokers. `endpoint` answers from what is open."""

    def __init__(self, config: ListenerConfig, accept: Accept, claim: Claim | None = None) -> None:
        self.config = config
        self._accept = accept
        self._claim = claim
        self._servers: dict[int | None, asyncio.Server] = {}
        self._brokers: set[int] = set()
        self._has_unmapped = False
        self._stopped = False
        self._names = ServerNames(config)
        self._asked: WeakKeyDictionary[ssl.SSLObject, str] = WeakKeyDictionary()
        self.context: ssl.SSLContext | None = None

    @property
    def complete(self) -> bool:
        """True when every broker of the cluster can be reached here."""
        return not self._has_unmapped

    def endpoint(self, broker_id: int) -> tuple[str, int] | None:
        config = self.config
        if broker_id not in self._brokers:
            return None
        if config.routing == "sni":
            return self._names.of_broker(broker_id), config.advertised_port or config.port
        return config.advertised_host, self.port_of(broker_id)

    def port_of(self, broker_id: int) -> int:
        return self.config.broker_ports_start + broker_id - self.config.min_broker_id

    def use(self, context: ssl.SSLContext) -> None:
        """Take this context for the handshakes from now on. It is this listener's own."""
        if self.config.routing == "sni":
            context.sni_callback = self._on_server_name
        self.context = context

    def _on_server_name(self, connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> int | None:
        """A broker's name is not refused because the broker is unknown: it may have joined just now, and clients take
        an alert for the end, but try again after a closed connection."""
        self._asked[connection] = name or ""
        try:
            self._names.broker_of(name or "")
        except UnknownName:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        return None

    def name_asked(self, connection: ssl.SSLObject) -> str | None:
        """The host name that a client asked for in its handshake; empty when it named none, None when it is no text."""
        return self._asked.get(connection)

    def broker_asked(self, connection: ssl.SSLObject) -> int | None:
        """The broker whose host name a client asked for in its handshake; None where it bootstraps."""
        return self._names.broker_of(self._asked[connection])

    async def open(self, broker_ids: Iterable[int]) -> None:
        """Open what these brokers need, and at last the bootstrap port. Raises ListenError."""
        assert self.config.tls is None or self.context is not None, "a TLS port without its certificate"
        if self.config.routing == "sni":
            self._brokers.update(broker_ids)
        else:
            await self._open_ports(broker_ids)
        if None not in self._servers:
            await self._listen(None, self.config.port)

    async def _open_ports(self, broker_ids: Iterable[int]) -> None:
        self._has_unmapped = False
        for broker_id in sorted(set(broker_ids) - self._brokers):
            port = self.port_of(broker_id)
            if broker_id < self.config.min_broker_id or not 0 < port < 65536:
                self._has_unmapped = True
                _log.warning(
                    "broker has no port and stays invisible; lower broker_ports.min_broker_id",
                    extra={"event": "broker_unmapped", "broker": broker_id, "port": port},
                )
                continue
            await self._listen(broker_id, port)
            self._brokers.add(broker_id)

    async def _listen(self, broker_id: int | None, port: int) -> None:
        if self._stopped:
            return
        try:
            if self._claim is not None:
                await self._claim(self.config.host, port)
            self._servers[broker_id] = await asyncio.get_running_loop().create_server(
                lambda: self._accept(self, broker_id),
                self.config.host,
                port,
                backlog=BACKLOG,
                reuse_port=self._claim is not None,
            )
        except OSError as error:
            raise ListenError(self.config, port, broker_id, error) from error
        extra = {"event": "listening", "listener": self.config.name, "port": port, "broker": broker_id}
        _log.info("listening", extra=extra)

    def stop(self) -> None:
        """Stop accepting; connections that exist go on."""
        self._stopped = True
        for server in self._servers.values():
            server.close()
        self._servers.clear()
        self._brokers.clear()


class Routing:
    """All listeners of a gateway."""

    def __init__(self, configs: Sequence[ListenerConfig], accept: Accept, claim: Claim | None = None) -> None:
        """With `claim`, other processes listen on the same ports, and the system gives some connections to each."""
        self.listeners = tuple(Listener(config, accept, claim) for config in configs)
        self._opening = asyncio.Lock()

    async def open(self, broker_ids: Iterable[int]) -> None:
        """Open what is not open yet for these brokers, on every listener. Raises ListenError."""
        known = tuple(broker_ids)
        async with self._opening:
            for listener in self.listeners:
                await listener.open(known)

    def use(self, tls: Mapping[str, ServerTls]) -> None:
        """Take what is given by listeners' names for the handshakes from now on."""
        for listener in self.listeners:
            if listener.config.name in tls:
                listener.use(tls[listener.config.name].context)

    def stop(self) -> None:
        """Stop accepting; connections that exist go on."""
        for listener in self.listeners:
            listener.stop()
