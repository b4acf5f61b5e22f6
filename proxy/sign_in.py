"""A client's first sign-in on its connection: by a certificate, or frame by frame.

The conversation itself is `Authentication`'s; here its outcome is counted, told to the audit log, and acted upon.
"""

import asyncio
from typing import Protocol

from protocol.session_state import SessionState
from proxy.audit import Origin
from proxy.authentication import Authentication
from proxy.close import CloseReason
from proxy.exchange import Pieces
from proxy.flow import Hold
from proxy.mechanisms.mechanism import Principal
from proxy.services import Services


class Owner(Protocol):
    """The session, as it is needed here."""

    origin: Origin

    @property
    def closed(self) -> bool: ...

    def on_signed_in(self, principal: Principal) -> None: ...

    def write(self, pieces: Pieces, size: int) -> None: ...

    def hold(self, reason: Hold) -> None: ...

    def close(self, reason: CloseReason, detail: str = "") -> None: ...


class SignIn:
    """Of one connection."""

    def __init__(self, owner: Owner, authentication: Authentication, services: Services) -> None:
        self._owner = owner
        self._authentication = authentication
        self._services = services
        self._failure_noted = False

    def by_certificate(self, certificate: bytes | None, peer: str) -> None:
        """The handshake of a listener with client certificates is done."""
        self._authentication.by_certificate(self._services.certificates.identify(certificate, peer))
        self._look()

    def on_frame(self, data: bytes, start: int, end: int) -> None:
        """A frame of a client that has not signed in."""
        reply = self._authentication.on_frame(data, start, end)
        if self._authentication.state is SessionState.FAILED:
            self._look()
            self._refuse(reply)
            return
        self._owner.write((reply,), len(reply))
        self._look()

    def _look(self) -> None:
        """Act upon what has come out. A failure is noted once, as soon as it is known: not every client waits for the
        end."""
        tried = self._authentication
        if tried.principal is not None:
            self._owner.on_signed_in(tried.principal)
        elif tried.failure and not self._failure_noted:
            self._failure_noted = True
            self._services.metrics.authentication_failures[tried.failure] += 1
            self._services.audit.authentication_failed(
                self._owner.origin, tried.mechanism, tried.failure, tried.username
            )

    def _refuse(self, reply: bytes) -> None:
        """Answer and close late, as Kafka does, which slows guessing down."""
        self._owner.hold(Hold.CLOSING)

        def answer_and_close() -> None:
            if reply and not self._owner.closed:
                self._owner.write((reply,), len(reply))
            self._owner.close(CloseReason.AUTHENTICATION_FAILED, self._authentication.failure)

        delay = self._services.config.limits.failed_authentication_delay_seconds
        asyncio.get_running_loop().call_later(delay, answer_and_close)
