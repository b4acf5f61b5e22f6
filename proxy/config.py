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
    """What bounds clients. Sizes in bytes, times in seconds.

    Where Kafka's own default is no limit at all, it trusts a private network; a gateway is met by strangers.
    """

    connections: int = 10_000
    """In all. Kafka: `max.connections`, unlimited. Each needs two descriptors."""
    connections_per_address: int = 1_000
    """Of one IPv4 address or IPv6 /64. Kafka: `max.connections.per.ip`, unlimited. A partner's whole data centre may
    come from one address, yet ten such addresses are needed to fill the gateway."""
    connections_per_zone: int = 5_000
    """Signed in. Kafka has none per user. Half of all: one partner alone never shuts the others out."""
    connection_rate_per_address: float = 100.0
    """New connections per second. Kafka: the quota `connection_creation_rate` of an IP, unlimited. A TLS handshake
    costs about a millisecond, so that one address takes a tenth of a core at most."""
    connection_burst_per_address: int = 1_000
    """New connections at once: all clients of an address may come back together after a restart."""
    frame_bytes_before_authentication: int = 524_288
    """Kafka: `sasl.server.max.receive.size`."""
    frame_bytes: int = 104_857_600
    """Kafka: `socket.request.max.bytes`."""
    request_bytes: int = 16 * 1024 * 1024
    """Of a request other than Produce, which is decoded whole: clients send no more than a few hundred kilobytes."""
    request_elements: int = 50_000
    """Entries in all lists of one decoded request. Each costs 2 to 10 microseconds, during which nobody else is
    served, and about 200 bytes; a consumer of ten thousand partitions names ten thousand."""
    assembly_bytes: int = 256 * 1024 * 1024
    """In each direction: frames above 32 KiB that are assembled, until what becomes of them is written, of all
    connections together. Kafka: `queued.max.request.bytes`, unlimited. Whoever finds it spent waits unread."""
    assembly_bytes_per_zone: int = 128 * 1024 * 1024
    """Of these, for the connections of one zone: half, so that none keeps the others waiting."""
    assembly_bytes_before_authentication: int = 32 * 1024 * 1024
    """Apart from these, for clients that have not signed in: 64 of their largest frames at a time."""
    pending_bytes: int = 1024 * 1024
    """Of one connection: decoded requests that are being worked on and answers that wait for an earlier one; above it
    no further request is taken. As much as one request of a Kafka client (`max.request.size`)."""
    requests_in_flight: int = 64
    """Of one connection. A broker works on one at a time; Kafka's clients send 5
    (`max.in.flight.requests.per.connection`), librdkafka up to 1,000,000 and copes with fewer."""
    handshake_seconds: float = 10.0
    """For TLS: what Kafka's clients give a connection (`socket.connection.setup.timeout.ms`)."""
    authentication_seconds: float = 10.0
    """From the connection's beginning, TLS included, until a client has signed in: the same."""
    failed_authentication_delay_seconds: float = 0.1
    """Kafka: `connection.failed.authentication.delay.ms`."""
    partial_frame_seconds: float = 30.0
    """For a frame that has begun: Kafka's clients give a whole request as long (`request.timeout.ms`)."""
    partial_frame_bytes_per_second: int = 10_000
    """A frame gets a second more per so many bytes of it that have come: slow links pass, a byte a second doesn't."""
    idle_seconds: float = 600.0
    """Nothing received and nothing taken. Kafka: `connections.max.idle.ms`."""
    half_closed_seconds: float = 30.0
    """For answers to a client that has shut down its sending side: `request.timeout.ms` again, after which a client
    has given up. Kafka has no such limit."""
    burst_seconds: float = 1.0
    """Of a zone's limits: how long it may save up what it doesn't use, and so what it may use at once afterwards. Kafka
    lets a client that has been silent use ten windows of a second at once (`quota.window.num`)."""
    close_seconds: float = 10.0
    """For what is still to be written at a close; then a peer that doesn't read is cut off."""


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
    broker_ports_per_cluster: int = 100
    """With several clusters: how far the ports of one's brokers begin behind those of the one before."""
    min_broker_id: int = 0
    sni_pattern: str = "broker{id}-{advertised_host}"
    tls: ListenerTls | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """One of the company's Kafka clusters, and how the gateway signs in there."""

    id: str = ""
    """What zones name it by. Empty only for a single one, which then serves zones whatever they name."""
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
    clusters: tuple[ClusterConfig, ...]
    """At least one, each with an id of its own."""
    limits: Limits = Limits()
    max_reauthentication_seconds: float = 0.0
    """Kafka's `connections.max.reauth.ms`; 0 leaves sessions as long as their credentials."""
    principal_mapping_rules: str = "DEFAULT"
    """Kafka's `ssl.principal.mapping.rules`: from a certificate's subject to a service account."""
    oauth: OauthConfig | None = None
    passthrough: PassthroughConfig | None = None
    shutdown_grace_seconds: float = 10.0
