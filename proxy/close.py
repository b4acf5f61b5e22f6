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
    REAUTHENTICATION_FAILED = "reauthentication_failed"
    PLAINTEXT_ON_TLS_PORT = "plaintext_on_tls_port"
    TLS_HANDSHAKE_FAILED = "tls_handshake_failed"
    UNKNOWN_SERVER_NAME = "unknown_server_name"
    ACKS_0_REFUSED = "acks_0_refused"
    WRONG_CLUSTER = "wrong_cluster"
    # deadlines
    TLS_HANDSHAKE_DEADLINE = "tls_handshake_deadline"
    AUTHENTICATION_DEADLINE = "authentication_deadline"
    PARTIAL_FRAME_DEADLINE = "partial_frame_deadline"
    IDLE = "idle"
    HALF_CLOSED_DEADLINE = "half_closed_deadline"
    SESSION_EXPIRED = "session_expired"
    # limits
    CONNECTION_LIMIT = "connection_limit"
    ADDRESS_LIMIT = "address_limit"
    ADDRESS_RATE = "address_rate"
    ZONE_LIMIT = "zone_limit"
    # the broker's doing
    BROKER_UNREACHABLE = "broker_unreachable"
    BROKER_CLOSED = "broker_closed"
    BROKER_PROTOCOL_ERROR = "broker_protocol_error"
    BROKER_LOGIN_REFUSED = "broker_login_refused"
    # ours
    ZONE_CHANGED = "zone_changed"
    CREDENTIAL_REVOKED = "credential_revoked"
    CREDENTIAL_EXPIRED = "credential_expired"
    SHUTDOWN = "shutdown"
    INTERNAL_ERROR = "internal_error"
