"""What the gateway needs to know to run; the control plane fills it in from settings."""

from dataclasses import dataclass, field
from typing import Literal

SecurityProtocol = Literal["PLAINTEXT", "SASL_PLAINTEXT"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayConfig:
    """Addresses and credentials, fixed for the life of the process."""

    listen_host: str = "0.0.0.0"  # noqa: S104 - partners connect from elsewhere
    listen_port: int = 9094
    advertised_host: str
    broker_ports_start: int
    min_broker_id: int
    bootstrap_servers: tuple[tuple[str, int], ...]
    security_protocol: SecurityProtocol
    sasl_username: str | None
    sasl_password: str | None = field(repr=False)
    shutdown_grace_seconds: float
