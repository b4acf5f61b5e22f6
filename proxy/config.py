"""What the gateway needs to know to run; the control plane fills it in from settings."""

from dataclasses import dataclass, field
from typing import Final, Literal

ListenerProtocol = Literal["SASL_PLAINTEXT", "SASL_SSL", "SSL"]
"""How partners sign in. There is no PLAINTEXT: nobody gets in without a proof."""

ClusterProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
ClusterMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
Routing = Literal["ports", "sni"]

MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-512", "OAUTHBEARER")
"""What a listener can offer, and offers unless its settings say otherwise, in the order in which clients are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What bounds clients. Sizes in bytes, times in seconds; every default has its reason in docs/DESIGN.md."""

    connections: int = 10_000
    connections_per_address: int = 1_000
    connections_per_zone: int = 5_000
    connection_rate_per_address: float = 100.0
    frame_bytes_before_authentication: int = 524_288
    frame_bytes: int = 104_857_600
    request_bytes: int = 16 * 1024 * 1024
    assembly_bytes: int = 256 * 1024 * 1024
    requests_in_flight: int = 64
    handshake_seconds: float = 10.0
    authentication_seconds: float = 10.0
    failed_authentication_delay_seconds: float = 0.1
    partial_frame_seconds: float = 30.0
    partial_frame_bytes_per_second: int = 10_000
    idle_seconds: float = 600.0
    close_seconds: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerTls:
    """The PEM files of a listener with TLS. `client_ca` verifies clients' certificates, where they are asked for."""

    certificate: str
    key: str
    key_password: str | None = field(default=None, repr=False)
    client_ca: str | None = None
    min_version: Literal["TLSv1.2", "TLSv1.3"] = "TLSv1.2"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerConfig:
    """One address where partners bootstrap, and the ports or host names of the brokers that belong to it."""

    name: str = "default"
    host: str = "0.0.0.0"  # noqa: S104 - partners connect from elsewhere
    port: int = 9094
    security_protocol: ListenerProtocol = "SASL_PLAINTEXT"
    mechanisms: tuple[str, ...] = ("PLAIN", "SCRAM-SHA-512")
    advertised_host: str
    advertised_port: int | None = None
    """With SNI routing: the port that clients are told; None is `port` itself."""
    routing: Routing = "ports"
    broker_ports_start: int = 9095
    min_broker_id: int = 0
    sni_pattern: str = "broker{id}-{advertised_host}"
    tls: ListenerTls | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """The company's Kafka, and how the gateway signs in there."""

    bootstrap_servers: tuple[tuple[str, int], ...]
    security_protocol: ClusterProtocol = "PLAINTEXT"
    mechanism: ClusterMechanism = "PLAIN"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    key_password: str | None = field(default=None, repr=False)
    verify_host: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class OauthConfig:
    """Whose tokens are accepted, where OAUTHBEARER is offered."""

    jwks: str
    """An http(s) URL, or a file's path."""
    issuer: str
    audience: str
    clock_skew_seconds: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PassthroughConfig:
    """The admin who may see the real cluster through the gateway."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayConfig:
    """Addresses, proofs and limits, fixed for the life of the process."""

    listeners: tuple[ListenerConfig, ...]
    cluster: ClusterConfig
    limits: Limits = Limits()
    max_reauthentication_seconds: float = 0.0
    """Kafka's `connections.max.reauth.ms`; 0 leaves sessions as long as their credentials."""
    principal_mapping_rules: str = "DEFAULT"
    """Kafka's `ssl.principal.mapping.rules`: from a certificate's subject to a service account."""
    oauth: OauthConfig | None = None
    passthrough: PassthroughConfig | None = None
    shutdown_grace_seconds: float = 10.0
