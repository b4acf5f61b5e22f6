"""Signing in to a broker, as a conversation without a connection: requests come out, answers go in.

The same conversation opens a connection (broker.py) and renews its session (reauthentication.py).
"""

import secrets
import ssl
from collections.abc import Generator
from typing import Any, Final

from protocol import sasl
from protocol.error_codes import name_of
from protocol.errors import BrokerProtocolError
from protocol.schema import Message, request_struct
from protocol.scram_client import SaltedPassword, ScramClient
from proxy.cluster_tls import cluster_context
from proxy.config import ClusterConfig
from proxy.exchange import BrokerRequest
from proxy.metrics import GatewayMetrics

SASL_HANDSHAKE: Final = 17
SASL_AUTHENTICATE: Final = 36

NONCE_BYTES: Final = 18
"""144 random bits, 24 characters; Kafka's own clients take 130."""

Conversation = Generator[BrokerRequest, Message, float]
"""Requests to the broker, one at a time. Its result: after how many seconds the broker wants it again, 0 for never."""


class RefusedLoginError(BrokerProtocolError):
    """The broker doesn't let us in. The text names the user, never the password."""


class Upstream:
    """What all connections to the cluster share: how to sign in there, and the TLS context of new ones."""

    def __init__(self, config: ClusterConfig, metrics: GatewayMetrics) -> None:
        """Reads the files of TLS; raises TlsError."""
        self.config = config
        self.metrics = metrics
        self.context: ssl.SSLContext | None = cluster_context(config)
        mechanism, password = config.mechanism, config.password or ""
        self.salted = None if mechanism == sasl.PLAIN else SaltedPassword(mechanism, password)

    @property
    def signs_in(self) -> bool:
        return self.config.security_protocol in ("SASL_PLAINTEXT", "SASL_SSL")


def sign_in(upstream: Upstream) -> Conversation:
    """SASL with the configured mechanism. Raises BrokerProtocolError."""
    config = upstream.config
    username = config.username or ""
    handshake = request_struct(SASL_HANDSHAKE, 1).new(mechanism=config.mechanism)
    offer: Any = yield BrokerRequest(SASL_HANDSHAKE, 1, handshake)
    if offer.error_code:
        offered = ", ".join(offer.mechanisms) or "no SASL"
        raise RefusedLoginError(f"the broker offers {offered}, not {config.mechanism} ({name_of(offer.error_code)})")
    if upstream.salted is None:
        answer = yield from _authenticate(username, sasl.build_plain(username, config.password or ""))
    else:
        scram = ScramClient(config.mechanism, username, upstream.salted, secrets.token_urlsafe(NONCE_BYTES))
        answer = yield from _authenticate(username, scram.first())
        answer = yield from _authenticate(username, scram.final(answer.auth_bytes))
        scram.verify(answer.auth_bytes)
    return float(answer.session_lifetime) / 1000


def _authenticate(username: str, token: bytes) -> Generator[BrokerRequest, Message, Any]:
    request = request_struct(SASL_AUTHENTICATE, 2).new(auth_bytes=token)
    answer: Any = yield BrokerRequest(SASL_AUTHENTICATE, 2, request)
    if answer.error_code:
        raise RefusedLoginError(f"the broker refused sasl.username {username!r} ({name_of(answer.error_code)})")
    return answer
