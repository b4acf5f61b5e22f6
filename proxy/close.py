"""Why a connection ended: one word that the log, the metric and the tests share."""

import enum


class CloseReason(enum.StrEnum):
    # the client's doing
    CLIENT_CLOSED = "client_closed"
    BAD_FRAME = "bad_frame"
    BAD_REQUEST = "bad_request"
    TLS_ON_PLAINTEXT_PORT = "tls_on_plaintext_port"
    UNSUPPORTED_API = "unsupported_api"
    NOT_AUTHENTICATED = "not_authenticated"
    AUTHENTICATION_FAILED = "authentication_failed"
    ACKS_0_REFUSED = "acks_0_refused"
    # deadlines
    AUTHENTICATION_DEADLINE = "authentication_deadline"
    PARTIAL_FRAME_DEADLINE = "partial_frame_deadline"
    IDLE = "idle"
    # the broker's doing
    BROKER_UNREACHABLE = "broker_unreachable"
    BROKER_CLOSED = "broker_closed"
    BROKER_PROTOCOL_ERROR = "broker_protocol_error"
    # ours
    ZONE_CHANGED = "zone_changed"
    CREDENTIAL_REVOKED = "credential_revoked"
    SHUTDOWN = "shutdown"
    INTERNAL_ERROR = "internal_error"
