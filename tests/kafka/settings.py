"""The server.properties of the cluster's brokers: three nodes, each broker and controller in one."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.side_by_side import PROCESS

BROKER_IDS = (1, 2, 3)

SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-512")
SCRAM_MODULE = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


@dataclass(frozen=True, slots=True)
class Ports:
    broker: int
    controller: int
    sasl: int
    ssl: int
    sasl_ssl: int

    def of(self, listener: str) -> int:
        return {"SASL_PLAINTEXT": self.sasl, "SSL": self.ssl, "SASL_SSL": self.sasl_ssl}[listener]


@dataclass(frozen=True, slots=True)
class Security:
    """How clients sign in beyond PLAIN: a TLS listener without one of these stores doesn't exist.

    scram_users (name -> password) may sign in with SCRAM wherever there is SASL. max_reauth_ms is Kafka's
    connections.max.reauth.ms of every SASL listener.
    """

    sasl_ssl_store: Path | None = None
    """PEM file of the brokers' key and certificate on the listener SASL_SSL."""
    ssl_store: Path | None = None
    """The same on the listener SSL, which demands clients' certificates."""
    client_ca: Path | None = None
    """Whose certificates clients must have there."""
    scram_users: Mapping[str, str] = field(default_factory=dict)
    max_reauth_ms: int = 0


@dataclass(frozen=True, slots=True)
class Layout:
    """What all brokers of a cluster share."""

    ports: Mapping[int, Ports]
    users: Mapping[str, str] = field(default_factory=dict)
    super_users: tuple[str, ...] = ()
    acl: bool = False
    config: Mapping[str, str] = field(default_factory=dict)
    security: Security = field(default_factory=Security)


def host(broker_id: int) -> str:
    """Each broker has a host of its own where the whole of 127/8 is loopback: a leaked address is then told apart, and
    no broker is taken for one that a test process beside this one has started.
    """
    return f"127.77.{PROCESS}.{broker_id}" if sys.platform == "linux" else "127.0.0.1"


def properties(layout: Layout, broker_id: int, log_dir: str) -> dict[str, str]:
    return {
        "node.id": str(broker_id),
        "process.roles": "broker,controller",
        "controller.quorum.voters": ",".join(
            f"{node}@{host(node)}:{ports.controller}" for node, ports in layout.ports.items()
        ),
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": log_dir,
        **_listeners(layout, broker_id),
        **_topics(),
        **_small_and_quick(),
        **(_acl(layout.super_users) if layout.acl else {}),
        **layout.config,
    }


def render(settings: Mapping[str, str]) -> str:
    return "".join(f"{key}={value}\n" for key, value in settings.items())


def _listeners(layout: Layout, broker_id: int) -> dict[str, str]:
    ports = layout.ports[broker_id]
    listeners = {"PLAINTEXT": ports.broker, "CONTROLLER": ports.controller}
    settings = {}
    if layout.users:
        mechanisms = ["PLAIN", *(SCRAM if layout.security.scram_users else ())]
        settings["sasl.enabled.mechanisms"] = ",".join(mechanisms)
        for name in ("SASL_PLAINTEXT", *(["SASL_SSL"] if layout.security.sasl_ssl_store else ())):
            listeners[name] = ports.of(name)
            settings |= _sasl(f"listener.name.{name.lower()}", layout, mechanisms)
    settings |= _tls(layout.security)
    if layout.security.ssl_store:
        listeners["SSL"] = ports.ssl
    addresses = {name: f"{name}://{host(broker_id)}:{port}" for name, port in listeners.items()}
    settings["listeners"] = ",".join(addresses.values())
    settings["advertised.listeners"] = ",".join(addresses[name] for name in addresses if name != "CONTROLLER")
    settings["listener.security.protocol.map"] = (
        "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL"
    )
    return settings


def _sasl(listener: str, layout: Layout, mechanisms: Iterable[str]) -> dict[str, str]:
    settings = {}
    for mechanism in mechanisms:
        prefix = f"{listener}.{mechanism.lower()}"
        settings[f"{prefix}.sasl.jaas.config"] = _jaas(layout.users) if mechanism == "PLAIN" else SCRAM_MODULE
        if layout.security.max_reauth_ms:
            settings[f"{prefix}.connections.max.reauth.ms"] = str(layout.security.max_reauth_ms)
    return settings


def _tls(security: Security) -> dict[str, str]:
    stores = {
        "sasl_ssl.ssl.keystore": security.sasl_ssl_store,
        "ssl.ssl.keystore": security.ssl_store,
        "ssl.ssl.truststore": security.client_ca,
    }
    settings = {"listener.name.ssl.ssl.client.auth": "required"} if security.ssl_store else {}
    for name, store in stores.items():
        if store is not None:
            settings[f"listener.name.{name}.type"] = "PEM"
            settings[f"listener.name.{name}.location"] = str(store)
    return settings


def _jaas(users: Mapping[str, str]) -> str:
    options = " ".join(f'user_{name}="{password}"' for name, password in users.items())
    return f"org.apache.kafka.common.security.plain.PlainLoginModule required {options};"


def _acl(super_users: Iterable[str]) -> dict[str, str]:
    # The internal listeners have no authentication: brokers, controllers and test set-up are ANONYMOUS there.
    principals = ["User:ANONYMOUS", *(f"User:{name}" for name in super_users)]
    return {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": ";".join(principals),
    }


def _topics() -> dict[str, str]:
    return {
        # On purpose: it shows that nothing which a client does through the gateway creates a topic.
        "auto.create.topics.enable": "true",
        "num.partitions": "3",
        "default.replication.factor": "3",
        # An acknowledged record survives one broker, and one broker may be away.
        "min.insync.replicas": "2",
        "offsets.topic.replication.factor": "3",
        "offsets.topic.num.partitions": "6",
        "transaction.state.log.replication.factor": "3",
        "transaction.state.log.min.isr": "2",
        "transaction.state.log.num.partitions": "6",
        "share.coordinator.state.topic.replication.factor": "3",
        "share.coordinator.state.topic.min.isr": "2",
        "share.coordinator.state.topic.num.partitions": "6",
        # Leaders, and so coordinators, move only when a test moves them: by default they go back to a broker that was
        # away five minutes later, in the middle of another test that wants no heartbeat to fail.
        "auto.leader.rebalance.enable": "false",
    }


def _small_and_quick() -> dict[str, str]:
    return {
        "group.initial.rebalance.delay.ms": "0",
        # A member of a KIP-848 group learns of its partitions at its next heartbeat.
        "group.consumer.min.heartbeat.interval.ms": "1000",
        "group.consumer.heartbeat.interval.ms": "1000",
        # A killed broker is noticed, and a stopped one admitted again, after this long instead of 9 s; shorter would
        # fence brokers on a busy machine.
        "broker.session.timeout.ms": "4000",
        "broker.heartbeat.interval.ms": "500",
        # By default the log cleaner alone takes 128 MiB of heap.
        "log.cleaner.dedupe.buffer.size": "4194304",
        "num.io.threads": "4",
        "num.network.threads": "2",
        "background.threads": "2",
    }
