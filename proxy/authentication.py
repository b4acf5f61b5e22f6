"""What a connection says before it may do anything: ApiVersions, SaslHandshake, SaslAuthenticate.

No sockets here: frames in, replies out. Kafka's SaslServerAuthenticator is the model: an unknown mechanism is told what
there is, a failure says no more than that, and the answer to a failure is delayed by the session.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from policies.credentials import Credential
from protocol import api_versions, sasl
from protocol.codec import decode, encode
from protocol.error_codes import ErrorCode
from protocol.errors import ClientProtocolError, DecodeError
from protocol.headers import PEEK, frame, parse_request_header, response_head
from protocol.schema import Message, request_struct, response_struct
from protocol.session_state import (
    ALLOWED_BEFORE_READY,
    API_VERSIONS,
    SASL_AUTHENTICATE,
    SASL_HANDSHAKE,
    SessionState,
)
from proxy.apis.table import OFFERED
from proxy.zones import ZoneRegistry, ZoneState

FAILURE_TEXT: Final = "Authentication failed: Invalid username or password"
"""Kafka's own words, the same whether the user exists or not."""


class NotAuthenticatedError(ClientProtocolError):
    """A request that the connection's state doesn't allow."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who has signed in."""

    zone: ZoneState
    credential: Credential
    username: str


class Authentication:
    """The conversation of one connection. `state` is the connection's until it is READY."""

    def __init__(self, zones: ZoneRegistry, broker_versions: Callable[[], api_versions.BrokerVersions]) -> None:
        self.state = SessionState.CONNECTED
        self.identity: Identity | None = None
        self.failure = ""
        self._zones = zones
        self._broker_versions = broker_versions

    def on_frame(self, data: bytes, start: int, end: int) -> bytes:
        """The reply to one frame. Raises ClientProtocolError, NotAuthenticatedError for a request out of turn."""
        if self.state is SessionState.RAW_TOKEN:
            return self._on_raw_token(bytes(data[start + 4 : end]))
        key, version = _peek(data, start, end)
        if key not in ALLOWED_BEFORE_READY.get(self.state, frozenset()):
            raise NotAuthenticatedError(f"API key {key} version {version} while {self.state.value}")
        return self.answer(data, start, end)

    def answer(self, data: bytes, start: int, end: int) -> bytes:
        """The reply to ApiVersions, SaslHandshake or SaslAuthenticate, in any state."""
        key, version = _peek(data, start, end)
        correlation_id = PEEK.unpack_from(data, start)[3]
        low, high = OFFERED[key]
        if not low <= version <= high:
            if key == API_VERSIONS:
                return _reply(correlation_id, api_versions.build_unsupported((low, high)), False)
            raise ClientProtocolError(f"API key {key} version {version} is not offered")
        struct = request_struct(key, version)
        header = parse_request_header(data, start, end, struct.flexible)
        try:
            request = decode(struct, data, header.body, end, ignore_rest=True)
        except DecodeError as error:
            raise ClientProtocolError(str(error)) from None
        if key == API_VERSIONS:
            return _reply(correlation_id, self._versions(version, request), False)
        answer = self._handshake(version, request) if key == SASL_HANDSHAKE else self._authenticate(version, request)
        return _reply(correlation_id, answer, answer.struct.flexible)

    def _versions(self, version: int, request: Message) -> Message:
        if not api_versions.has_valid_software(request):
            return api_versions.build_invalid(version)
        broker = self._broker_versions()
        return api_versions.build_response(version, api_versions.intersect(OFFERED, broker.apis), broker.features)

    def _handshake(self, version: int, request: Message) -> Message:
        struct = response_struct(SASL_HANDSHAKE, version)
        if self.state is not SessionState.CONNECTED:
            return struct.new(error_code=ErrorCode.ILLEGAL_SASL_STATE, mechanisms=(sasl.MECHANISM,))
        if request.mechanism != sasl.MECHANISM:
            self._fail("unsupported_mechanism")
            return struct.new(error_code=ErrorCode.UNSUPPORTED_SASL_MECHANISM, mechanisms=(sasl.MECHANISM,))
        self.state = SessionState.AUTHENTICATING if version else SessionState.RAW_TOKEN
        return struct.new(mechanisms=(sasl.MECHANISM,))

    def _authenticate(self, version: int, request: Message) -> Message:
        struct = response_struct(SASL_AUTHENTICATE, version)
        if self.state is not SessionState.AUTHENTICATING:
            text = "SaslAuthenticate request received after successful authentication"
            return struct.fit(error_code=ErrorCode.ILLEGAL_SASL_STATE, error_message=text)
        if not self._check(request.auth_bytes):
            return struct.fit(error_code=ErrorCode.SASL_AUTHENTICATION_FAILED, error_message=FAILURE_TEXT)
        return struct.new()

    def _on_raw_token(self, token: bytes) -> bytes:
        """Handshake version 0: the answer to a good token is an empty one, to a bad one none at all."""
        return frame(b"") if self._check(token) else b""

    def _check(self, token: bytes) -> bool:
        try:
            plain = sasl.parse_plain(token)
        except ClientProtocolError:
            return self._fail("malformed_token")
        found = self._zones.authenticate(plain.username, plain.password)
        if found is None:
            return self._fail("invalid_credentials")
        self.identity = Identity(*found, plain.username)
        self.state = SessionState.READY
        return True

    def _fail(self, reason: str) -> bool:
        self.state, self.failure = SessionState.FAILED, reason
        return False


def _peek(data: bytes, start: int, end: int) -> tuple[int, int]:
    if end - start < PEEK.size:
        raise ClientProtocolError(f"a request of {end - start - 4} bytes has no header")
    _, key, version, _, _ = PEEK.unpack_from(data, start)
    return key, version


def _reply(correlation_id: int, message: Message, flexible_header: bool) -> bytes:
    body = encode(message)
    return response_head(len(body), correlation_id, flexible_header) + body
