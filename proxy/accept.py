"""From a socket to a session: a connection's first moments, up to the end of its TLS handshake.

Whoever is turned away here never becomes a session, but leaves the same log line and counts with the same reasons.
"""

import asyncio
import logging
import ssl
from typing import Final, cast

from proxy.admission import Ticket
from proxy.close import CloseReason
from proxy.routing import Listener
from proxy.session import ClientSession, Services
from proxy.tls import is_plaintext

_log = logging.getLogger("zonegate.connection")

_ALERTS: Final = {
    "UNRECOGNIZED_NAME": CloseReason.UNKNOWN_SERVER_NAME,
    "CALLBACK_FAILED": CloseReason.UNKNOWN_SERVER_NAME,
}


class Door(asyncio.Protocol):
    """Hands a plaintext connection to its session at once, and one with TLS after the handshake."""

    def __init__(self, services: Services, listener: Listener, broker_id: int | None) -> None:
        self._services = services
        self._listener = listener
        self._broker_id = broker_id
        self._transport: asyncio.Transport | None = None
        self._peer = ""
        self._early: list[bytes] = []
        self._ticket: Ticket | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's in all but inheritance
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._peer = f"{peer[0]}:{peer[1]}" if peer else ""
        host = peer[0] if peer else ""
        self._ticket = self._services.admission.admit(host, self._peer, self._listener.config.name)
        if self._ticket is None:
            self._transport.abort()
            return
        if self._listener.context is None:
            self._hand_over(self._transport, self._broker_id)
            return
        self._services.arriving.add(self)
        self._transport.pause_reading()
        self._services.spawn(self._shake_hands(self._listener.context), f"handshake {self._peer}")

    def data_received(self, data: bytes) -> None:
        """Between the end of the handshake and the session's beginning; at most one read."""
        self._early.append(data)

    async def _shake_hands(self, context: ssl.SSLContext) -> None:
        assert self._transport is not None
        try:
            transport = await asyncio.get_running_loop().start_tls(
                self._transport,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=self._services.config.limits.handshake_seconds,
                ssl_shutdown_timeout=self._services.config.limits.close_seconds,
            )
        except (OSError, TimeoutError) as error:
            self._turn_away(*_reason(error))
            return
        finally:
            self._services.arriving.discard(self)
        if transport is None or transport.is_closing():
            self._turn_away(CloseReason.CLIENT_CLOSED, "in the TLS handshake")
            return
        asked = self._listener.broker_asked(transport.get_extra_info("ssl_object"))
        self._hand_over(transport, asked if self._listener.config.routing == "sni" else self._broker_id)

    def _hand_over(self, transport: asyncio.Transport, broker_id: int | None) -> None:
        session = ClientSession(self._services, self._listener, broker_id, self._ticket)
        transport.set_protocol(session)
        session.connection_made(transport)
        for data in self._early:
            session.data_received(data)

    def _turn_away(self, reason: CloseReason, detail: str) -> None:
        self.abort()
        if self._ticket is not None:
            self._ticket.leave()
        metrics = self._services.metrics
        metrics.connections_opened += 1
        metrics.connections_closed[reason.value] += 1
        extra = {
            "event": "connection_end",
            "reason": reason.value,
            "detail": detail,
            "peer": self._peer,
            "listener": self._listener.config.name,
        }
        _log.info("connection ended", extra=extra)

    def abort(self) -> None:
        """End the connection now."""
        if self._transport is not None:
            self._transport.abort()


def _reason(error: BaseException) -> tuple[CloseReason, str]:
    """Why a handshake failed."""
    if is_plaintext(error):
        return CloseReason.PLAINTEXT_ON_TLS_PORT, "a client without TLS on a TLS port"
    if isinstance(error, ssl.SSLError):
        return _ALERTS.get(error.reason or "", CloseReason.TLS_HANDSHAKE_FAILED), error.reason or str(error)
    if isinstance(error, ConnectionAbortedError | TimeoutError):
        return CloseReason.TLS_HANDSHAKE_DEADLINE, str(error)
    return CloseReason.CLIENT_CLOSED, "in the TLS handshake"
