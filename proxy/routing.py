"""Where clients reach which broker: by a port of its own, or, with TLS, by a host name of its own.

A broker that has no port or name here is not shown to any client.
"""

import asyncio
import errno
import logging
import os
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final
from weakref import WeakKeyDictionary

from proxy.config import ListenerConfig
from proxy.node import Node
from proxy.server_names import ServerNames, UnknownName
from proxy.tls import ServerTls

_log = logging.getLogger("zonegate.routing")

BACKLOG = 512
"""Connections that may wait for `accept`; a burst of reconnecting clients is larger than Kafka's default of 50."""

Accept = Callable[["Listener", Node | None], asyncio.Protocol]
"""(listener, broker or None on the bootstrap port) -> the protocol of a new connection"""

ONLY_CLUSTER: Final = ("",)
"""The ids of the clusters where there is one, without an id."""

Claim = Callable[[str, int], Awaitable[None]]
"""Makes a port (host, number) this gateway's, before its processes share it. Raises OSError."""


def why_not_bound(error: OSError) -> str:
    """What keeps an address from being listened on, in words that follow the address."""
    if error.errno == errno.EADDRINUSE:
        return "is in use by another process"
    return f"cannot be used ({os.strerror(error.errno) if error.errno else error})"


class ListenError(OSError):
    """A port that cannot be opened, and whose it is."""

    def __init__(
        self,
        config: ListenerConfig,
        port: int,
        node: Node | None,
        error: OSError,
        whose: str = "the bootstrap port",
    ) -> None:
        super().__init__(error.errno, str(error))
        self.reason = why_not_bound(error)
        self.listener = config.name
        self.host = config.host
        self.port = port
        self.node = node
        self._whose = whose

    def __str__(self) -> str:
        return f"{self._whose} of listener {self.listener}, {self.host} port {self.port}, {self.reason}"


class Endpoints:
    """Where clients of a listener reach the brokers of one cluster. Answers from what is open."""

    def __init__(self, listener: "Listener", cluster: str) -> None:
        self._listener = listener
        self._cluster = cluster

    def endpoint(self, broker_id: int) -> tuple[str, int] | None:
        return self._listener.endpoint(Node(self._cluster, broker_id))

    @property
    def complete(self) -> bool:
        """True when every broker of the cluster can be reached here."""
        return self._listener.is_complete(self._cluster)


class Listener:
    """One configured listener, with the ports or names of all clusters' brokers."""

    def __init__(
        self,
        config: ListenerConfig,
        accept: Accept,
        claim: Claim | None = None,
        clusters: Sequence[str] = ONLY_CLUSTER,
    ) -> None:
        """`clusters` are their ids, in the order of the settings."""
        self.config = config
        self._accept = accept
        self._claim = claim
        self._clusters = tuple(clusters)
        self._servers: dict[Node | None, asyncio.Server] = {}
        self._brokers: set[Node] = set()
        self._unmapped: set[str] = set()
        self._stopped = False
        self._names = ServerNames(config.sni_pattern, config.advertised_host, clusters)
        self._asked: WeakKeyDictionary[ssl.SSLObject, str] = WeakKeyDictionary()
        self.context: ssl.SSLContext | None = None

    def of_cluster(self, cluster: str) -> Endpoints:
        """What clients of this cluster's zones see of it."""
        return Endpoints(self, cluster)

    def is_complete(self, cluster: str) -> bool:
        return cluster not in self._unmapped

    def endpoint(self, node: Node) -> tuple[str, int] | None:
        config = self.config
        if node not in self._brokers:
            return None
        if config.routing == "sni":
            return self._names.of_broker(node), config.advertised_port or config.port
        return config.advertised_host, self.port_of(node)

    def port_of(self, node: Node) -> int:
        return self._first_port(self._clusters.index(node.cluster)) + node.id - self.config.min_broker_id

    def _first_port(self, position: int) -> int:
        """Of the cluster at this position."""
        return self.config.broker_ports_start + position * self.config.broker_ports_per_cluster

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

    def broker_asked(self, connection: ssl.SSLObject) -> Node | None:
        """The broker whose host name a client asked for in its handshake; None where it bootstraps."""
        return self._names.broker_of(self._asked[connection])

    async def open(self, cluster: str, broker_ids: Iterable[int]) -> None:
        """Open what these brokers of a cluster need, and at last the bootstrap port. Raises ListenError."""
        assert self.config.tls is None or self.context is not None, "a TLS port without its certificate"
        if self.config.routing == "sni":
            self._brokers.update(Node(cluster, broker_id) for broker_id in broker_ids)
        else:
            await self._open_ports(cluster, broker_ids)
        if None not in self._servers:
            await self._listen(None, self.config.port)

    async def _open_ports(self, cluster: str, broker_ids: Iterable[int]) -> None:
        self._unmapped.discard(cluster)
        for node in sorted({Node(cluster, broker_id) for broker_id in broker_ids} - self._brokers):
            advice = self._why_unmapped(node)
            if advice:
                self._unmapped.add(cluster)
                extra = {"event": "broker_unmapped", "broker": node.id, "port": self.port_of(node)}
                told = extra if len(self._clusters) == 1 else {**extra, "cluster": cluster}
                _log.warning("broker has no port and stays invisible; %s", advice, extra=told)
                continue
            await self._listen(node, self.port_of(node))
            self._brokers.add(node)

    def _why_unmapped(self, node: Node) -> str:
        """What to do for a broker that can't have a port; empty where it can."""
        port, following = self.port_of(node), self._clusters.index(node.cluster) + 1
        if following < len(self._clusters) and port >= self._first_port(following):
            return "raise broker_ports.per_cluster or broker_ports.min_broker_id"
        if node.id < self.config.min_broker_id or not 0 < port < 65536:
            return "lower broker_ports.min_broker_id"
        return ""

    async def _listen(self, node: Node | None, port: int) -> None:
        if self._stopped:
            return
        try:
            if self._claim is not None:
                await self._claim(self.config.host, port)
            self._servers[node] = await asyncio.get_running_loop().create_server(
                lambda: self._accept(self, node),
                self.config.host,
                port,
                backlog=BACKLOG,
                reuse_port=self._claim is not None,
            )
        except OSError as error:
            raise ListenError(self.config, port, node, error, self._whose(node)) from error
        broker_id = node.id if node is not None else None
        extra = {"event": "listening", "listener": self.config.name, "port": port, "broker": broker_id}
        if node is not None and len(self._clusters) > 1:
            extra["cluster"] = node.cluster
        _log.info("listening", extra=extra)

    def _whose(self, node: Node | None) -> str:
        if node is None:
            return "the bootstrap port"
        return f"the port of broker {node.id}" + (f" of cluster {node.cluster}" if len(self._clusters) > 1 else "")

    def stop(self) -> None:
        """Stop accepting; connections that exist go on."""
        self._stopped = True
        for server in self._servers.values():
            server.close()
        self._servers.clear()
        self._brokers.clear()


class Routing:
    """All listeners of a gateway."""

    def __init__(
        self,
        configs: Sequence[ListenerConfig],
        accept: Accept,
        claim: Claim | None = None,
        clusters: Sequence[str] = ONLY_CLUSTER,
    ) -> None:
        """With `claim`, other processes listen on the same ports, and the system gives some connections to each."""
        self.listeners = tuple(Listener(config, accept, claim, clusters) for config in configs)
        self._opening = asyncio.Lock()

    async def open(self, cluster: str, broker_ids: Iterable[int]) -> None:
        """Open what is not open yet for these brokers of a cluster, on every listener. Raises ListenError."""
        known = tuple(broker_ids)
        async with self._opening:
            for listener in self.listeners:
                await listener.open(cluster, known)

    def use(self, tls: Mapping[str, ServerTls]) -> None:
        """Take what is given by listeners' names for the handshakes from now on."""
        for listener in self.listeners:
            if listener.config.name in tls:
                listener.use(tls[listener.config.name].context)

    def stop(self) -> None:
        """Stop accepting; connections that exist go on."""
        for listener in self.listeners:
            listener.stop()
