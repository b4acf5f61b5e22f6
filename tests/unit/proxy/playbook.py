"""Dialogues with a real session: "client sends, broker gets, broker answers, client receives".

A `Playbook` is a gateway's inside without its listeners; each `Dialogue` is one client connection and, once the client
has signed in, its broker connection. Nothing waits: every step has happened when its call returns.
"""

import asyncio
import dataclasses
import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self, cast
from unittest.mock import patch

from policies.credentials import Credential, hash_password, scram_keys
from policies.zone import Alias, Permission, Zone
from protocol.api_versions import BrokerVersions
from protocol.codec import decode, encode
from protocol.features import Features
from protocol.headers import (
    RESPONSE_PEEK,
    encode_client_id,
    parse_request_header,
    request_head,
    response_head,
)
from protocol.sasl import build_plain
from protocol.schema import API_NAMES, Message, known_versions, request_struct, response_struct
from proxy import session as session_module
from proxy.accept import Door
from proxy.apis.plan import RequestPlan
from proxy.apis.table import OFFERED, plans_for
from proxy.audit import Audit
from proxy.broker import BrokerConnection, OnLost
from proxy.broker_login import Upstream
from proxy.close import CloseReason
from proxy.cluster import Cluster
from proxy.clusters import Clusters
from proxy.config import ClusterConfig, GatewayConfig, Limits, ListenerConfig
from proxy.flow import MemoryBudget, ReadGate, Share
from proxy.gateway import build_mechanisms
from proxy.mechanisms.mechanism import Mechanism
from proxy.metrics import GatewayMetrics
from proxy.node import Node
from proxy.routing import Listener
from proxy.services import Services
from proxy.session import ClientSession
from proxy.throttled_zones import ThrottledZones
from proxy.zones import ZoneRegistry, ZoneState
from tests.unit.proxy.transports import FakeLoop, FakeTransport

LISTENER: Final = ListenerConfig(advertised_host="gateway", broker_ports_start=9100)
LIMITS: Final = Limits()
CONFIG: Final = GatewayConfig(
    listeners=(LISTENER,),
    clusters=(ClusterConfig(bootstrap_servers=(("kafka", 9092),)),),
    limits=LIMITS,
    shutdown_grace_seconds=1,
)
MAPPED_BROKERS: Final = (1, 2, 3)
UNMAPPED_BROKER: Final = 9
PASSWORD: Final = "correct-horse-battery"
SCRAM_KEYS: Final = scram_keys(PASSWORD, b"salt of a zone")
BEGINNING: Final = 1_900_000_000.0
"""Unix time when the loop's own time is 0."""

ZONE: Final = Zone(
    "partner",
    "cluster",
    "johndoe",
    (
        Alias("orders", "kafka-orders", Permission.WRITE),
        Alias("stock", "kafka-stock", Permission.READ),
        Alias("twin", "kafka-orders", Permission.READ),
        Alias("invoices", "kafka-invoices", Permission.WRITE),
    ),
)
"""`orders` and `twin` share a backing topic."""

BROKER_VERSIONS: Final = {key: known_versions(key) for key in API_NAMES}
NO_FEATURES: Final = Features()

SASL_HANDSHAKE: Final = 17
API_VERSIONS: Final = 18
SASL_AUTHENTICATE: Final = 36


def backing_id(topic: str) -> bytes:
    """The id of a backing topic in these dialogues."""
    return hashlib.sha256(topic.encode()).digest()[:16]


class OpenPorts(Listener):
    """As if the ports of `MAPPED_BROKERS` were open."""

    every_broker_has_a_port = True

    def is_complete(self, cluster: str) -> bool:
        return self.every_broker_has_a_port

    def endpoint(self, node: Node) -> tuple[str, int] | None:
        return (self.config.advertised_host, self.port_of(node)) if node.id in MAPPED_BROKERS else None


Plans = Callable[[Mapping[int, tuple[int, int]]], dict[int, RequestPlan]]


def typed_plans(broker: Mapping[int, tuple[int, int]]) -> dict[int, RequestPlan]:
    """The plans without byte paths."""
    return {
        number: dataclasses.replace(plan, entry=dataclasses.replace(plan.entry, on_bytes=None, on_large_head=None))
        for number, plan in plans_for(broker).items()
    }


class Playbook:
    """The stage. A context manager, since sessions look for a running loop."""

    def __init__(
        self,
        zones: Sequence[Zone] = (ZONE,),
        *,
        broker_versions: dict[int, tuple[int, int]] | None = None,
        features: Features = NO_FEATURES,
        plans: Plans = plans_for,
        budget: int = 1 << 20,
        config: GatewayConfig = CONFIG,
        configured: Callable[[ZoneRegistry], Sequence[Mechanism]] = lambda _registry: (),
        loop: FakeLoop | None = None,
    ) -> None:
        """Clients come to the first listener of `config`; `configured` makes further mechanisms. `loop` may be another
        playbook's, for one time in both."""
        self.loop = loop or FakeLoop()
        self.metrics = GatewayMetrics()
        self.broker_versions = BrokerVersions(broker_versions or dict(BROKER_VERSIONS), features)
        self.broker_answers_connects = True
        self.broker_goes_at_once = False
        self.ended: dict[str, dict[str, Any]] = {}
        self.internal_errors: list[str] = []
        self.registry = ZoneRegistry(
            self.metrics,
            self.loop.time,
            on_throttled=lambda limiter, units, wait: self.throttled.note(limiter, units, wait),
            clusters=[cluster.id for cluster in config.clusters],
        )
        self.apply(zones)
        for cluster in config.clusters:
            self.registry.identify(cluster.id, cluster.id or "the-cluster")
            self.registry.learn(cluster.id, {topic: backing_id(topic) for topic in self.registry.topics(cluster.id)})
        self.budget = MemoryBudget(budget)
        clusters = Clusters([self._cluster(cluster) for cluster in config.clusters])
        mechanisms = build_mechanisms(self.registry, *configured(self.registry))
        self.audited: list[dict[str, Any]] = []
        self.audits_refusals = True
        """What was refused and what was audited is compared at the end."""
        self.audit = Audit(
            lambda event: self.audited.append(dict(event)),
            lambda username: self.registry.account(username) is not None,
            lambda: BEGINNING + self.loop.time(),
            lambda: self.loop.time(),
        )
        self.throttled = ThrottledZones(self.audit, self.registry, self.loop.time)
        self.services = Services(
            config,
            self.registry,
            clusters,
            self.metrics,
            self.budget,
            self._spawn,
            mechanisms,
            audit=self.audit,
        )
        self.listener = OpenPorts(
            config.listeners[0], lambda listener, node: Door(self.services, listener, node), clusters=clusters.ids
        )
        self._plans = plans
        self._broker_sides: dict[ReadGate, FakeTransport] = {}
        self._clients = 0
        self._undo: list[Callable[[], object]] = []

    def _cluster(self, config: ClusterConfig) -> Cluster:
        """As if it had been asked; hosts of brokers begin with the cluster's id."""
        cluster = Cluster(config, self.budget.share(""), self.metrics)
        cluster.brokers = {broker_id: (f"{config.id or 'kafka'}-{broker_id}", 9092) for broker_id in MAPPED_BROKERS}
        cluster.versions = dict.fromkeys(MAPPED_BROKERS, self.broker_versions)
        return cluster

    def apply(self, zones: Sequence[Zone]) -> frozenset[str]:
        """Serve these zones; the names of those that shrank."""
        credentials = [
            Credential(f"c-{z.name}", z.name, "2030-01-01T00:00:00Z", hash_password(PASSWORD), scram=SCRAM_KEYS)
            for z in zones
        ]
        shrunken = self.registry.apply(zones, credentials).shrunken_zones
        for session in list(self.services.sessions) if hasattr(self, "services") else ():
            if session.zone_name not in shrunken:
                session.apply_limits()
        return shrunken

    def zone(self, name: str = ZONE.name) -> ZoneState:
        return self.registry.zones[name]

    def alias_id(self, name: str) -> bytes:
        """The virtual id of an alias of the usual zone."""
        alias = self.zone().rules.alias(name)
        assert alias is not None
        return self.zone().alias_id(alias)

    def __enter__(self) -> Self:
        asyncio._set_running_loop(cast(asyncio.AbstractEventLoop, self.loop))
        self._undo.append(lambda: asyncio._set_running_loop(None))
        for name, replacement in (("connect", self._connect), ("plans_for", self._plans)):
            patcher = patch.object(session_module, name, replacement)
            patcher.start()
            self._undo.append(patcher.stop)
        handler = _Listener(self)
        logger = logging.getLogger("zonegate")
        level = logger.level
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        self._undo += [lambda: logger.removeHandler(handler), lambda: logger.setLevel(level)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        while self._undo:
            self._undo.pop()()
        if kind is None:
            assert not self.internal_errors, self.internal_errors
            if self.audits_refusals:
                assert self._audited_refusals() == {name: n for name, n in self.metrics.refusals.items() if n}

    def _audited_refusals(self) -> dict[tuple[str, str, str], int]:
        """As the metric has them: (zone, API, error) -> how many the audit's lines stand for."""
        self.audit.finish()
        told: Counter[tuple[str, str, str]] = Counter()
        for line in self.audited:
            if line["event"] == "refusal":
                told[line["zone"], line["api"], line["error"]] += line["count"]
        return told

    def _spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        def run() -> None:
            try:
                coroutine.send(None)
            except StopIteration:
                return
            raise AssertionError(f"{name} waits for something that these dialogues don't have")

        self.loop.call_soon(run)
        return cast("asyncio.Task[None]", None)

    async def _connect(
        self, address: tuple[str, int], upstream: Upstream, on_lost: OnLost, gate: ReadGate, share: Share
    ) -> BrokerConnection:
        if not self.broker_answers_connects:
            raise OSError(f"{address[0]} refuses")
        connection = BrokerConnection(on_lost, gate, share)
        connection.versions = self.broker_versions
        transport = self._broker_sides[gate] = FakeTransport(self.loop, address)
        transport.attach(connection)
        if self.broker_goes_at_once:
            transport.hang_up()
        return connection

    def another_gateway(self) -> "Playbook":
        """A second gateway before the same brokers, which shares nothing with this one but the time."""
        other = Playbook()
        other.loop = self.loop
        other._broker_sides = self._broker_sides
        return other

    def broker_side(self, session: ClientSession) -> FakeTransport:
        return self._broker_sides[session.gate]

    def connects(self, broker_id: int | None = 1, certificate: bytes | None = None, cluster: str = "") -> "Dialogue":
        """A client opens a connection to the port of this broker of a cluster, or to the bootstrap port."""
        self._clients += 1
        node = Node(cluster, broker_id) if broker_id is not None else None
        return Dialogue(self, node, self._clients, certificate)

    def signed_in(
        self, broker_id: int | None = 1, username: str = ZONE.service_account, cluster: str = ""
    ) -> "Dialogue":
        """A client that has a broker connection."""
        dialogue = self.connects(broker_id, cluster=cluster)
        dialogue.signs_in(username)
        return dialogue


class _Listener(logging.Handler):
    """Keeps what the log says of each connection's end, and of our own failures."""

    def __init__(self, playbook: Playbook) -> None:
        super().__init__()
        self._playbook = playbook

    def emit(self, record: logging.LogRecord) -> None:
        event = getattr(record, "event", "")
        if event == "connection_end":
            self._playbook.ended[record.__dict__["peer"]] = record.__dict__
        elif event == "internal_error":
            cause = record.exc_info[1] if record.exc_info else None
            self._playbook.internal_errors.append(f"{record.getMessage()}: {cause!r}")


@dataclasses.dataclass(slots=True)
class BrokerGot:
    """A request as the broker gets it."""

    key: int
    version: int
    broker_correlation_id: int
    client_id: str
    message: Message
    frame: bytes


class Dialogue:
    """One client connection with its broker connection."""

    def __init__(self, playbook: Playbook, node: Node | None, number: int, certificate: bytes | None = None) -> None:
        self.playbook = playbook
        self.session = ClientSession(playbook.services, playbook.listener, node)
        self.client = FakeTransport(playbook.loop, ("client", number), certificate)
        self.client.attach(self.session)
        self._peer = f"client:{number}"
        self._correlation_id = 0
        self._asked: dict[int, tuple[int, int]] = {}

    @property
    def broker(self) -> FakeTransport:
        return self.playbook.broker_side(self.session)

    # the client

    def client_sends(
        self, key: int, version: int, message: Message | None = None, /, *, client_id: str | None = "app", **fields: Any
    ) -> int:
        """One request; its correlation id comes back."""
        correlation_id, data = self.request(key, version, message, client_id=client_id, **fields)
        self.client_sends_bytes(data)
        return correlation_id

    def request(
        self, key: int, version: int, message: Message | None = None, /, *, client_id: str | None = "app", **fields: Any
    ) -> tuple[int, bytes]:
        """A request's correlation id and frame."""
        struct = request_struct(key, version)
        body = encode(message if message is not None else struct.new(**fields))
        self._correlation_id += 1
        self._asked[self._correlation_id] = key, version
        raw_id = encode_client_id(client_id.encode() if client_id is not None else None)
        return self._correlation_id, request_head(
            len(body), key, version, self._correlation_id, raw_id, struct.flexible
        ) + bytes(body)

    def client_sends_bytes(self, *chunks: bytes) -> None:
        for chunk in chunks:
            self.client.receive(chunk)
            self.playbook.loop.run_due()

    def client_receives(self, correlation_id: int | None = None, *, body_version: int | None = None) -> Message:
        """The next response; it must be the one to `correlation_id`, or to whatever was asked."""
        frame = self.client_receives_bytes()
        received_id = RESPONSE_PEEK.unpack_from(frame)[1]
        if correlation_id is not None:
            assert received_id == correlation_id, f"the response to {received_id}, not to {correlation_id}"
        key, version = self._asked[received_id]
        struct = response_struct(key, version if body_version is None else body_version)
        return decode(struct, frame, RESPONSE_PEEK.size + (struct.flexible and key != API_VERSIONS))

    def client_receives_bytes(self) -> bytes:
        """The next frame."""
        frame = _take_frame(self.client.sent)
        assert frame is not None, f"the client received nothing; the session ended: {self.ended}"
        return frame

    def client_receives_nothing(self) -> None:
        assert not self.client.sent, f"the client received {bytes(self.client.sent)!r}"

    # the broker

    def broker_gets(self) -> BrokerGot:
        """The next request."""
        frame = _take_frame(self.broker.sent)
        assert frame is not None, f"the broker got nothing; the session ended: {self.ended}"
        return read_request(frame)

    def broker_gets_nothing(self) -> None:
        assert not self.broker.sent, f"the broker got {bytes(self.broker.sent)!r}"

    def broker_answers(self, got: BrokerGot, message: Message | None = None, **fields: Any) -> None:
        self.broker_sends_bytes(self.response(got, message, **fields))

    def response(self, got: BrokerGot, message: Message | None = None, **fields: Any) -> bytes:
        """The frame of a broker's response."""
        struct = response_struct(got.key, got.version)
        body = encode(message if message is not None else struct.new(**fields))
        return response_head(len(body), got.broker_correlation_id, struct.flexible) + bytes(body)

    def broker_sends_bytes(self, *chunks: bytes) -> None:
        for chunk in chunks:
            self.broker.receive(chunk)
            self.playbook.loop.run_due()

    # both

    def signs_in(self, username: str = ZONE.service_account, password: str = PASSWORD) -> None:
        self.client_sends(SASL_HANDSHAKE, 1, mechanism="PLAIN")
        assert self.client_receives().error_code == 0
        self.client_sends(SASL_AUTHENTICATE, 2, auth_bytes=build_plain(username, password))
        assert self.client_receives().error_code == 0

    @property
    def ended(self) -> str:
        """The reason in the log line of this connection's end; empty while it lives."""
        self.playbook.loop.run_due()
        return str(self.playbook.ended.get(self._peer, {}).get("reason", ""))

    @property
    def end_line(self) -> dict[str, Any]:
        """All of the log line of this connection's end."""
        self.playbook.loop.run_due()
        return self.playbook.ended[self._peer]

    def expect_end(self, reason: CloseReason) -> None:
        assert self.ended == reason
        assert self.client.closed


def _take_frame(sent: bytearray) -> bytes | None:
    """The first frame of what was written, which must hold all of it."""
    if len(sent) < 4:
        return None
    size = 4 + int.from_bytes(sent[:4], "big")
    assert len(sent) >= size, f"{len(sent)} bytes of a frame of {size}"
    frame = bytes(sent[:size])
    del sent[:size]
    return frame


def read_request(frame: bytes) -> BrokerGot:
    key, version = int.from_bytes(frame[4:6], "big"), int.from_bytes(frame[6:8], "big")
    struct = request_struct(key, version)
    header = parse_request_header(frame, 0, len(frame), struct.flexible)
    message = decode(struct, frame, header.body)
    client_id = (header.client_id or b"").decode(errors="replace")
    return BrokerGot(key, version, header.client_correlation_id, client_id, message, frame)


def versions_of(key: int) -> Iterable[int]:
    """Every version that the gateway offers of an API."""
    low, high = OFFERED[key]
    return range(low, high + 1)
