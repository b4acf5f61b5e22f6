"""From a socket to a session: a connection's first moments, up to the end of its TLS handshake.

Whoever is turned away here never becomes a session, but leaves the same log line and counts with the same reasons.
"""

import asyncio
import logging
import ssl
from typing import Final, cast

from proxy.admission import Ticket
from proxy.audit import Origin
from proxy.close import CloseReason
from proxy.node import Node
from proxy.routing import Listener
from proxy.services import Services
from proxy.session import ClientSession
from proxy.tls_transport import TlsTransport

_log = logging.getLogger("zonegate.connection")

_TLS_HANDSHAKE: Final = 0x16
"""The first byte of whoever speaks TLS; a Kafka client without it begins with a small length, that is with 0."""

_REFUSED_BY_NAME: Final = "CALLBACK_FAILED"
"""OpenSSL's word for a handshake that `Listener` has refused because of the server's name."""


class Door(asyncio.Protocol):
    """Hands a plaintext connection to its session at once, and one with TLS after the handshake."""

    def __init__(self, services: Services, listener: Listener, node: Node | None) -> None:
        self._services = services
        self._listener = listener
        self._node = node
        self._raw: asyncio.Transport | None = None
        self._tls: TlsTransport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._peer = ""
        self._origin: Origin
        self._turned_away = False
        self._ticket: Ticket | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's in all but inheritance
        self._raw = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._peer = f"{peer[0]}:{peer[1]}" if peer else ""
        self._origin = self._services.audit.origin(transport, self._listener.config.name, self._broker_id)
        self._ticket = self._services.admission.admit(self._origin)
        if self._ticket is None:
            self._turned_away = True
            self._raw.abort()
            return
        if self._listener.context is None:
            session = ClientSession(self._services, self._listener, self._node, self._ticket)
            self._raw.set_protocol(session)
            session.connection_made(self._raw)
            return
        self._services.arriving.add(self)
        self._timer = asyncio.get_running_loop().call_later(
            self._services.config.limits.handshake_seconds, self._on_deadline
        )

    def data_received(self, data: bytes) -> None:
        """The first bytes on a port with TLS."""
        assert self._raw is not None
        assert self._listener.context is not None
        if data[0] != _TLS_HANDSHAKE:
            # no alert: a client that doesn't expect TLS takes it for the length of an answer of 336 MiB
            self._turn_away(CloseReason.PLAINTEXT_ON_TLS_PORT, "a client without TLS on a TLS port")
            self._raw.close()
            return
        self._tls = TlsTransport(self._raw, self._listener.context, self)
        self._tls.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.connection_lost_in_handshake()

    @property
    def _broker_id(self) -> int | None:
        return self._node.id if self._node is not None else None

    # the end of the handshake

    def handshake_done(self) -> ClientSession:
        assert self._tls is not None
        self._leave()
        if self._listener.config.routing == "sni":
            self._node = self._listener.broker_asked(self._tls.tls)
        return ClientSession(self._services, self._listener, self._node, self._ticket)

    def handshake_failed(self, error: ssl.SSLError) -> None:
        assert self._raw is not None
        assert self._tls is not None
        if error.reason == _REFUSED_BY_NAME:
            self._turn_away(CloseReason.UNKNOWN_SERVER_NAME, _asked(self._listener.name_asked(self._tls.tls)))
        else:
            self._turn_away(CloseReason.TLS_HANDSHAKE_FAILED, _words(error))
        # As Kafka does, and so that the client reads the alert before its own unread bytes reset the connection.
        delay = self._services.config.limits.failed_authentication_delay_seconds
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(delay, self._raw.close)

    def connection_lost_in_handshake(self) -> None:
        self._leave()
        if self._ticket is not None:
            self._ticket.leave()
        self._turn_away(CloseReason.CLIENT_CLOSED, "in the TLS handshake")

    def _on_deadline(self) -> None:
        seconds = self._services.config.limits.handshake_seconds
        self._turn_away(CloseReason.TLS_HANDSHAKE_DEADLINE, f"no end of the TLS handshake after {seconds:g} s")
        self._cut_off()

    # ending

    def abort(self) -> None:
        """End the connection now, because the gateway stops."""
        self._turn_away(CloseReason.SHUTDOWN, "in the TLS handshake")
        self._cut_off()

    def _cut_off(self) -> None:
        if self._raw is not None:
            self._raw.abort()

    def _leave(self) -> None:
        """The door is behind this connection."""
        self._services.arriving.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    def _turn_away(self, reason: CloseReason, detail: str) -> None:
        """Count and log, the first time; the first reason stands."""
        if self._turned_away:
            return
        self._turned_away = True
        metrics = self._services.metrics
        metrics.connections_opened += 1
        metrics.connections_closed[reason.value] += 1
        extra = {
            "event": "connection_end",
            "reason": reason.value,
            "detail": detail,
            "peer": self._peer,
            "broker": self._broker_id,
            "zone": "",
            "user": "",
            "listener": self._listener.config.name,
            **self._services.clusters.fields_of(self._node.cluster if self._node is not None else ""),
        }
        _log.info("connection ended", extra=extra)
        self._services.audit.connection_ended(self._origin, None, extra)


def _asked(name: str | None) -> str:
    if name is None:
        return "asked for a server name that is no text"
    return f"asked for {name!r}" if name else "asked for no server name"


def _words(error: ssl.SSLError) -> str:
    """What OpenSSL says; of a certificate, why it was not accepted."""
    reason = error.reason or str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{reason}: {error.verify_message}"
    return reason
