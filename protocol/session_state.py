"""The states of a client connection, and which requests each may see.

CONNECTED -> SaslHandshake -> AUTHENTICATING -> token accepted -> READY -> DRAINING -> CLOSED. ApiVersions is answered
in every state before the end, as often as it is asked. SaslHandshake version 0 is followed by bare tokens without
Kafka headers (RAW_TOKEN), version 1 by SaslAuthenticate (KIP-152). What a state doesn't list ends the connection.

A client whose session has an end may sign in again while it is READY (KIP-368). Its connection stays READY, with the
answers that are due; its authentication alone goes READY -> SaslHandshake -> REAUTHENTICATING (or RAW_TOKEN) -> token
accepted -> READY, or FAILED. Meanwhile only the conversation's own requests are heard, and no ApiVersions, as in Kafka.
Once the session's end has passed, SaslHandshake is all that a READY connection hears.

On a listener with client certificates, a connection is READY from the beginning, or REFUSED: then its first request is
its last.
"""

import enum
from typing import Final

SASL_HANDSHAKE: Final = 17
API_VERSIONS: Final = 18
SASL_AUTHENTICATE: Final = 36


class SessionState(enum.Enum):
    CONNECTED = "connected"
    AUTHENTICATING = "authenticating"
    RAW_TOKEN = "raw_token"  # noqa: S105 - a state, not a secret
    REFUSED = "refused"
    FAILED = "failed"
    READY = "ready"
    REAUTHENTICATING = "reauthenticating"
    DRAINING = "draining"
    CLOSED = "closed"


ALLOWED_BEFORE_READY: Final = {
    SessionState.CONNECTED: frozenset({API_VERSIONS, SASL_HANDSHAKE}),
    SessionState.AUTHENTICATING: frozenset({API_VERSIONS, SASL_AUTHENTICATE}),
    SessionState.REAUTHENTICATING: frozenset({SASL_AUTHENTICATE}),
    SessionState.REFUSED: frozenset({API_VERSIONS}),
}
"""The other states but READY take no request with a header at all."""
