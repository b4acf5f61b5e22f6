"""What a connection says before it may do anything: ApiVersions, SaslHandshake, SaslAuthenticate.

No sockets here: frames in, replies out. Kafka's SaslServerAuthenticator is the model: an unknown mechanism is told what
there is, a failure says no more than that, and the answer to a failure is delayed by the session. A client that has
signed in may do so again (KIP-368), with the same mechanism and as the same one.
"""

from collections.abc import Callable, Mapping
from typing import Final

from protocol import api_versions
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
from proxy.activity import shown, shown_bytes
from proxy.apis.table import OFFERED
from proxy.certificates import MTLS
from proxy.mechanisms.mechanism import Accepted, Challenge, Conversation, Mechanism, Principal, Refused, Step
from proxy.passthrough import versions_answer
from proxy.session_life import SessionLife

ALREADY_AUTHENTICATED: Final = "SaslAuthenticate request received after successful authentication"


class NotAuthenticatedError(ClientProtocolError):
    """A request that the connection's state doesn't allow."""


class Authentication:
    """The conversation of one connection. `state` is the connection's until it is READY for the first time."""

    def __init__(
        self,
        mechanisms: Mapping[str, Mechanism],
        broker_versions: Callable[[], api_versions.BrokerVersions],
        clock: Callable[[], float],
        life: SessionLife,
    ) -> None:
        """`mechanisms` are what the listener offers, by name; `clock` tells Unix time."""
        self.state = SessionState.CONNECTED
        self.principal: Principal | None = None
        self.failure = ""
        self.mechanism = ""
        """As the client named it; one that is not offered, too."""
        self.username = ""
        """Under which the client failed to sign in."""
        self.client_id = self.software = ""
        """What the client calls itself, and its library (KIP-511), as people may see it."""
        self._mechanisms = mechanisms
        self._conversation: Conversation | None = None
        self._mechanism = ""
        self._lifetime = 0
        self._life = life
        self._broker_versions = broker_versions
        self._clock = clock
        self._last_versions: tuple[int, api_versions.BrokerVersions | None, bytes] = (-1, None, b"")
        """What was answered last: who asks again and again costs little."""

    def on_frame(self, data: bytes, start: int, end: int) -> bytes:
        """The reply to one frame. Raises ClientProtocolError, NotAuthenticatedError for a request out of turn."""
        if self.state is SessionState.READY:
            return self.answer(data, start, end)
        if self.principal is not None and self.principal.mechanism != self._mechanism:
            # as in Kafka the handshake was answered, and whatever comes next is not
            self._fail("mechanism_changed")
            return b""
        if self.state is SessionState.RAW_TOKEN:
            return self._on_raw_token(bytes(data[start + 4 : end]))
        key, version = _peek(data, start, end)
        if self.state is SessionState.REFUSED:
            return self._on_refused(key, version, PEEK.unpack_from(data, start)[3])
        if key not in ALLOWED_BEFORE_READY.get(self.state, frozenset()):
            if self.failure:
                # a client that takes the challenge with the refusal for success
                self.state = SessionState.FAILED
                return b""
            raise NotAuthenticatedError(f"API key {key} version {version} while {self.state.value}")
        return self.answer(data, start, end)

    def may_begin_again(self, data: bytes, start: int, end: int) -> bool:
        """Whether this frame lets a client that has signed in do so again."""
        return _peek(data, start, end)[0] == SASL_HANDSHAKE and self._life.may_begin()

    def by_certificate(self, step: Accepted | Refused) -> None:
        """What a certificate has proved, on a listener without SASL."""
        if isinstance(step, Accepted):
            self.principal, self.state = step.principal, SessionState.READY
        else:
            self.failure, self.state = step.reason, SessionState.REFUSED
            self.mechanism, self.username = MTLS, step.username

    def _on_refused(self, key: int, version: int, correlation_id: int) -> bytes:
        """A broker just closes; an error that clients log by its name says whom to ask."""
        heard, self.state = ALLOWED_BEFORE_READY[self.state], SessionState.FAILED
        if key not in heard:
            return b""
        known = version if version in range(OFFERED[key][0], OFFERED[key][1] + 1) else 0
        message = api_versions.build_error(known, ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
        return _reply(correlation_id, message, False)

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
        self.client_id = self.client_id or shown_bytes(header.client_id)
        try:
            request = decode(struct, data, header.body, end, ignore_rest=True)
        except DecodeError as error:
            raise ClientProtocolError(str(error)) from None
        if key == API_VERSIONS:
            body = self._versions(version, request)
            return response_head(len(body), correlation_id, False) + body
        answer = self._handshake(version, request) if key == SASL_HANDSHAKE else self._authenticate(version, request)
        return _reply(correlation_id, answer, answer.struct.flexible)

    def _versions(self, version: int, request: Message) -> bytes:
        if not api_versions.has_valid_software(request):
            return bytes(encode(api_versions.build_error(version, ErrorCode.INVALID_REQUEST)))
        if "client_software_name" in request.struct.names:
            self.software = f"{shown(request.client_software_name)} {shown(request.client_software_version)}"
        broker = self._broker_versions()
        if self.principal is not None and self.principal.passthrough:
            return bytes(encode(versions_answer(version, broker)))
        known, of_broker, body = self._last_versions
        if known != version or of_broker is not broker:
            ranges = api_versions.intersect(OFFERED, broker.apis)
            body = bytes(encode(api_versions.build_response(version, ranges, broker.features)))
            self._last_versions = version, broker, body
        return body

    def _handshake(self, version: int, request: Message) -> Message:
        struct = response_struct(SASL_HANDSHAKE, version)
        offered = tuple(self._mechanisms)
        again = self.state is SessionState.READY and self._life.may_begin()
        if again:
            self._life.begin()
        elif self.state is not SessionState.CONNECTED:
            return struct.new(error_code=ErrorCode.ILLEGAL_SASL_STATE)
        self.mechanism = request.mechanism
        mechanism = self._mechanisms.get(request.mechanism)
        if mechanism is None:
            self._fail("unsupported_mechanism")
            return struct.new(error_code=ErrorCode.UNSUPPORTED_SASL_MECHANISM, mechanisms=offered)
        self._conversation = mechanism.begin()
        self._mechanism = mechanism.name
        with_headers = SessionState.REAUTHENTICATING if again else SessionState.AUTHENTICATING
        self.state = with_headers if version else SessionState.RAW_TOKEN
        return struct.new(mechanisms=offered)

    def _authenticate(self, version: int, request: Message) -> Message:
        struct = response_struct(SASL_AUTHENTICATE, version)
        if self.state is SessionState.READY:
            return struct.fit(error_code=ErrorCode.ILLEGAL_SASL_STATE, error_message=ALREADY_AUTHENTICATED)
        step = self._step(request.auth_bytes)
        if isinstance(step, Refused):
            text = step.text if step.text is not None else self._failure_text()
            return struct.fit(error_code=ErrorCode.SASL_AUTHENTICATION_FAILED, error_message=text)
        lifetime = self._lifetime if isinstance(step, Accepted) else 0
        # as brokers say it: no text rather than null
        return struct.fit(error_message="", auth_bytes=step.token, session_lifetime=lifetime)

    def _failure_text(self) -> str:
        """Kafka's words where a mechanism has none of its own."""
        what = "authentication" if self.principal is None else "re-authentication"
        return f"Authentication failed during {what} due to invalid credentials with SASL mechanism {self._mechanism}"

    def _on_raw_token(self, token: bytes) -> bytes:
        """Handshake version 0: a refused token gets no answer at all."""
        step = self._step(token)
        return b"" if isinstance(step, Refused) else frame(step.token)

    def _step(self, token: bytes) -> Step:
        assert self._conversation is not None
        step = self._conversation.step(token, self._clock())
        if isinstance(step, Accepted) and self.principal is not None:
            step = _if_unchanged(self.principal, step)
        if isinstance(step, Refused):
            self.username = step.username
            self._fail(step.reason)
        elif isinstance(step, Accepted):
            self.principal = step.principal
            self._lifetime = self._life.on_signed_in(step.principal)
            self.state = SessionState.READY
        else:
            assert isinstance(step, Challenge)
            self.failure, self.username = step.failure, step.username
        return step

    def _fail(self, reason: str) -> None:
        self.state, self.failure = SessionState.FAILED, reason


def _if_unchanged(before: Principal, step: Accepted) -> Step:
    """Who signs in again must be who it was, in the same zone."""
    now = step.principal
    if (now.zone, now.username) == (before.zone, before.username):
        return step
    text = f"Cannot change principals during re-authentication from User.{before.username}: User.{now.username}"
    return Refused("principal_changed", text)


def _peek(data: bytes, start: int, end: int) -> tuple[int, int]:
    if end - start < PEEK.size:
        raise ClientProtocolError(f"a request of {end - start - 4} bytes has no header")
    _, key, version, _, _ = PEEK.unpack_from(data, start)
    return key, version


def _reply(correlation_id: int, message: Message, flexible_header: bool) -> bytes:
    body = encode(message)
    return response_head(len(body), correlation_id, flexible_header) + body
