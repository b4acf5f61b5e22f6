"""A client that signs in again on its connection (KIP-368), or should have done so.

Frames come here from `ClientSession` while the client signs in again and after its session's end, and from the pipeline
when they are SASL requests or ApiVersions, so that answers keep their order. The conversation itself is
`Authentication`'s, the times are `SessionLife`'s.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from protocol.framing import FrameReader
from protocol.session_state import SessionState
from proxy.audit import Audit, Origin
from proxy.authentication import Authentication
from proxy.close import CloseReason
from proxy.config import Limits
from proxy.mechanisms.mechanism import Principal
from proxy.metrics import GatewayMetrics
from proxy.pipeline import Pipeline


class Owner(Protocol):
    """The session, as it is needed here."""

    reader: FrameReader
    zone_name: str
    origin: Origin

    def belongs_to(self, principal: Principal) -> None:
        """From now on the session lives and dies with this proof."""

    def drain(self, reason: CloseReason, detail: str = "") -> None: ...

    def close(self, reason: CloseReason, detail: str = "") -> None: ...


class ClientReauthentication:
    """Of one connection, once its client has signed in."""

    def __init__(
        self, owner: Owner, authentication: Authentication, limits: Limits, metrics: GatewayMetrics, audit: Audit
    ) -> None:
        self._owner = owner
        self._authentication = authentication
        self._limits = limits
        self._metrics = metrics
        self._audit = audit

    def on_frame(self, pipeline: Pipeline, data: bytes, start: int, end: int) -> None:
        """A frame while the client signs in again, or after the end of its session."""
        if self._authentication.state is not SessionState.READY:
            pipeline.on_token(data, start, end)
        elif self._authentication.may_begin_again(data, start, end):
            pipeline.on_request(data, start, end)
        else:
            self._owner.close(CloseReason.SESSION_EXPIRED, "a request after the end of the session")

    def on_large_head(self) -> None:
        """The beginning of a large frame then: no SaslHandshake, so it needn't be here as a whole."""
        if self._authentication.state is SessionState.READY:
            self._owner.close(CloseReason.SESSION_EXPIRED, "a request after the end of the session")

    def answer(self, data: bytes, start: int, end: int, respond: Callable[[bytes], None]) -> None:
        """The answer to ApiVersions or a SASL request of a client that has signed in."""
        authentication = self._authentication
        before = authentication.principal
        reply = authentication.on_frame(data, start, end)
        if authentication.state is SessionState.FAILED:
            self._fail(lambda: respond(reply))
            return
        ready = authentication.state is SessionState.READY
        limits = self._limits
        self._owner.reader.max_frame_bytes = limits.frame_bytes if ready else limits.frame_bytes_before_authentication
        if authentication.principal is not before and authentication.principal is not None:
            self._owner.belongs_to(authentication.principal)
            self._metrics.reauthentications[self._owner.zone_name] += 1
            self._audit.authenticated(self._owner.origin, authentication.principal, again=True)
        respond(reply)

    def _fail(self, respond: Callable[[], None]) -> None:
        """The refusal leaves late, and after what was asked before; then the connection ends, whatever is still due."""
        tried = self._authentication
        failure = tried.failure
        self._metrics.authentication_failures[failure] += 1
        self._audit.authentication_failed(self._owner.origin, tried.mechanism, failure, tried.username, again=True)
        self._owner.drain(CloseReason.REAUTHENTICATION_FAILED, failure)
        delay = self._limits.failed_authentication_delay_seconds
        loop = asyncio.get_running_loop()
        loop.call_later(delay, respond)
        loop.call_later(
            delay + self._limits.close_seconds,
            lambda: self._owner.close(CloseReason.REAUTHENTICATION_FAILED, failure),
        )
