"""One client connection, from accept to its one log line at the end.

Bytes come in through a `FrameReader`. Until the client has signed in, frames go to `Authentication`; then a connection
to the broker of this port is opened, and frames go to the `Pipeline`. The two connections live and die together: a
broker connection is never silently replaced, since versions, order and state would be lost with it.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic, time
from typing import Final, Protocol, cast

from protocol.api_versions import BrokerVersions
from protocol.error_codes import ErrorCode
from protocol.errors import BrokerProtocolError, ClientProtocolError, EncodeError, ProtocolError
from protocol.framing import FrameReader, Sink
from protocol.session_state import SessionState
from proxy.apis.table import plans_for
from proxy.audit import Audit, Origin
from proxy.authentication import Authentication, NotAuthenticatedError
from proxy.broker import BrokerConnection, connect, write_pieces
from proxy.certificates import Certificates
from proxy.client_reauthentication import ClientReauthentication
from proxy.close import CloseReason
from proxy.cluster import Cluster
from proxy.config import GatewayConfig
from proxy.exchange import Pieces
from proxy.flow import Hold, MemoryBudget, ReadGate
from proxy.mechanisms.mechanism import Mechanism, Principal
from proxy.metrics import GatewayMetrics
from proxy.passthrough import PassthroughPipeline
from proxy.pipeline import HOLDS_REQUESTS, Pipeline, UnsupportedApiError
from proxy.resources import Resource
from proxy.routing import Listener, Routing
from proxy.session_life import SessionLife
from proxy.zones import ZoneRegistry, ZoneState

_log = logging.getLogger("zonegate.connection")

_TLS_HANDSHAKE: Final = b"\x16\x03"


_FAILURES: Final = (
    (NotAuthenticatedError, CloseReason.NOT_AUTHENTICATED),
    (UnsupportedApiError, CloseReason.UNSUPPORTED_API),
    (ClientProtocolError, CloseReason.BAD_REQUEST),
    (EncodeError, CloseReason.BAD_REQUEST),
    (BrokerProtocolError, CloseReason.BROKER_PROTOCOL_ERROR),
    (ProtocolError, CloseReason.BAD_FRAME),
)
"""The first that fits says why the connection ends."""


class Arriving(Protocol):
    """A connection that is no session yet."""

    def abort(self) -> None: ...


@dataclass(slots=True)
class Services:
    """What all connections of a gateway share."""

    config: GatewayConfig
    zones: ZoneRegistry
    cluster: Cluster
    metrics: GatewayMetrics
    budget: MemoryBudget
    spawn: Callable[..., "asyncio.Task[None]"]
    mechanisms: Mapping[str, Mechanism]
    certificates: Certificates = field(init=False)
    routing: Routing = field(init=False)
    sessions: "set[ClientSession]" = field(default_factory=set)
    arriving: "set[Arriving]" = field(default_factory=set)
    """Connections that are in their TLS handshake."""
    audit: Audit = field(default_factory=Audit)
    credentials_used: dict[str, float] = field(default_factory=dict)
    """Credential id -> Unix time of its last use."""
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.certificates = Certificates(self.zones, self.config.principal_mapping_rules)

    def forget(self, session: "ClientSession") -> None:
        """A connection is gone."""
        self.sessions.discard(session)
        self._ended.set()

    async def all_closed(self) -> None:
        """Returns when no connection is left."""
        while self.sessions:
            self._ended.clear()
            await self._ended.wait()


class _BrokerView:
    """The cluster as the handlers of one connection see it."""

    __slots__ = ("_cluster", "_versions")

    def __init__(self, cluster: Cluster, broker: BrokerConnection) -> None:
        self._cluster = cluster
        self._versions = broker.versions.apis

    def version_range(self, api_key: int) -> tuple[int, int]:
        return self._versions[api_key]

    def offers(self, api_key: int) -> bool:
        return api_key in self._versions

    def saw_brokers(self, broker_ids: Sequence[int]) -> None:
        self._cluster.saw_brokers(broker_ids)


class ClientSession(asyncio.Protocol):
    """The client's side of a connection pair."""

    def __init__(self, services: Services, listener: Listener, broker_id: int | None) -> None:
        self._services = services
        self._limits = services.config.limits
        self._listener = listener
        self._broker_id = broker_id
        self.gate = ReadGate()
        self.reader = FrameReader(
            self._limits.frame_bytes_before_authentication, self._on_frame, self._on_head, self._on_assemble
        )
        self.zone_name = ""
        self.credential_id = ""
        mechanisms = {name: services.mechanisms[name] for name in listener.config.mechanisms}
        self._life = SessionLife(services.config.max_reauthentication_seconds)
        self._authentication = Authentication(mechanisms, self._broker_versions, time, self._life)
        self._reauthentication = ClientReauthentication(
            self, self._authentication, self._limits, services.metrics, services.audit
        )
        self._state = SessionState.CONNECTED
        self._failure_noted = False
        self._transport: asyncio.Transport | None = None
        self.origin: Origin
        self._broker: BrokerConnection | None = None
        self._pipeline: Pipeline | None = None
        self._peer = ""
        self._reason: CloseReason | None = None
        self._detail = ""
        self._ending = (CloseReason.SHUTDOWN, "")
        self._opened = self._last_active = self._closed = monotonic()
        self._partial_since = 0.0
        self._partial_bytes = 0
        self._budget_taken = 0
        self._received_bytes = 0
        self._sent_bytes = 0

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's in all but inheritance
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._peer = f"{peer[0]}:{peer[1]}" if peer else ""
        self.origin = self._services.audit.origin(transport, self._listener.config.name, self._broker_id)
        self.gate.attach(self._transport)
        self._services.sessions.add(self)
        self._services.metrics.connections_opened += 1
        if self._listener.config.security_protocol == "SSL":
            self._on_certificate(self._transport.get_extra_info("ssl_object").getpeercert(True))

    def data_received(self, data: bytes) -> None:
        self._last_active = monotonic()
        if not self._received_bytes and data.startswith(_TLS_HANDSHAKE):
            self.close(CloseReason.TLS_ON_PLAINTEXT_PORT, "a TLS client on a plaintext port")
            return
        self._received_bytes += len(data)
        try:
            self.reader.feed(data)
        except Exception as error:  # noqa: BLE001 - whatever a client provokes ends with its connection
            self._fail(error)
        if self.reader.partial:
            self._note_partial(len(data))
        else:
            self._partial_since = 0.0
        if self._state is SessionState.DRAINING:
            self._stop_reading_after_stream()

    def run(self, work: Callable[[], None]) -> None:
        """Do what a client's bytes ask for; whatever goes wrong ends this connection and nothing else."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever a client provokes ends with its connection
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        reason = next((reason for kind, reason in _FAILURES if isinstance(error, kind)), CloseReason.INTERNAL_ERROR)
        if reason is CloseReason.INTERNAL_ERROR:
            _log.error("a request failed", exc_info=error, extra={"event": "internal_error", "zone": self.zone_name})
            self.close(reason)
        else:
            self.close(reason, str(error))

    def _note_partial(self, size: int) -> None:
        if self._partial_since:
            self._partial_bytes += size
        else:
            self._partial_since, self._partial_bytes = self._last_active, size

    def pause_writing(self) -> None:
        if self._broker is not None:
            self._broker.gate.hold(Hold.CLIENT_FULL)
        self.gate.hold(Hold.CLIENT_FULL)

    def resume_writing(self) -> None:
        if self._broker is not None:
            self._broker.gate.release(Hold.CLIENT_FULL)
        self.gate.release(Hold.CLIENT_FULL)
        self._last_active = monotonic()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._reason is None:
            self._reason = self._reason_of_leaving()
            self._detail = self._authentication.failure or (str(exc) if exc is not None else "")
        self._end()

    def _reason_of_leaving(self) -> CloseReason:
        """Why a client goes by itself: whoever leaves before being told of a failure has failed all the same."""
        if not self._authentication.failure:
            return CloseReason.CLIENT_CLOSED
        if self._authentication.principal is None:
            return CloseReason.AUTHENTICATION_FAILED
        return CloseReason.REAUTHENTICATION_FAILED

    # frames

    def _on_frame(self, data: bytes, start: int, end: int) -> None:
        self._partial_since = 0.0
        if self._budget_taken:
            self._give_budget()
        if self._pipeline is None:
            if self._state is not SessionState.CLOSED:
                self._on_sign_in(data, start, end)
        elif self._last_active < self._life.open_until:
            self._pipeline.on_request(data, start, end)
        else:
            self._reauthentication.on_frame(self._pipeline, data, start, end)

    def _on_head(self, data: bytes, start: int, size: int) -> Sink | None:
        self._partial_since = 0.0
        if self._pipeline is not None and self._last_active < self._life.open_until:
            return self._pipeline.on_large_head(data, start, size)
        if self._pipeline is not None:
            self._reauthentication.on_large_head()
        return None

    def _on_assemble(self, size: int) -> None:
        self._budget_taken = size
        self._services.budget.take(size, self.gate)

    def _give_budget(self) -> None:
        if self._budget_taken:
            size, self._budget_taken = self._budget_taken, 0
            self._services.budget.give(size, self.gate)

    def _broker_versions(self) -> BrokerVersions:
        """Of the very broker behind this connection; before there is one, what is known of the brokers of its port."""
        if self._broker is not None:
            return self._broker.versions
        return self._services.cluster.versions_for(self._broker_id)

    def answer_locally(self, data: bytes, start: int, end: int, respond: Callable[[bytes], None]) -> None:
        """ApiVersions and the SASL requests of a client that has signed in."""
        self._reauthentication.answer(data, start, end, respond)

    # signing in

    def _on_certificate(self, certificate: bytes | None) -> None:
        self._authentication.by_certificate(self._services.certificates.identify(certificate, self._peer))
        self._state = self._authentication.state
        if self._authentication.principal is not None:
            self._on_signed_in(self._authentication.principal)
        else:
            self._note_failure()

    def _on_sign_in(self, data: bytes, start: int, end: int) -> None:
        reply = self._authentication.on_frame(data, start, end)
        self._state = self._authentication.state
        if self._authentication.failure:
            self._note_failure()
        if self._state is SessionState.FAILED:
            self._on_failed_authentication(reply)
            return
        self.write((reply,), len(reply))
        if self._authentication.principal is not None:
            self._on_signed_in(self._authentication.principal)

    def _on_signed_in(self, principal: Principal) -> None:
        self.belongs_to(principal)
        self._services.metrics.connections[self.zone_name] += 1
        self._services.audit.authenticated(self.origin, principal)
        self.reader.max_frame_bytes = self._limits.frame_bytes
        self._hold(Hold.CONNECTING)
        self._services.spawn(self._connect(), f"connect {self._peer}")

    def belongs_to(self, principal: Principal) -> None:
        """Revoking this credential ends the session."""
        self.zone_name = principal.zone
        self.credential_id = principal.credential.id if principal.credential is not None else ""
        self._note_use()

    def _note_use(self) -> None:
        if self.credential_id:
            self._services.credentials_used[self.credential_id] = time()

    def _note_failure(self) -> None:
        """Once per connection, as soon as it is known: not every client waits for the end."""
        if not self._failure_noted:
            self._failure_noted = True
            tried = self._authentication
            self._services.metrics.authentication_failures[tried.failure] += 1
            self._services.audit.authentication_failed(self.origin, tried.mechanism, tried.failure, tried.username)

    def _on_failed_authentication(self, reply: bytes) -> None:
        self._hold(Hold.CLOSING)

        def answer_and_close() -> None:
            if reply and self._transport is not None and not self._transport.is_closing():
                self.write((reply,), len(reply))
            self.close(CloseReason.AUTHENTICATION_FAILED, self._authentication.failure)

        asyncio.get_running_loop().call_later(self._limits.failed_authentication_delay_seconds, answer_and_close)

    def _hold(self, reason: Hold) -> None:
        self.reader.held = True
        self.gate.hold(reason)

    async def _connect(self) -> None:
        """Open the connection to the broker of this port; on the bootstrap port, to any that answers."""
        problems = []
        for address in self._services.cluster.candidates(self._broker_id):
            try:
                broker = await connect(
                    address, self._services.cluster.upstream, self._on_broker_lost, self.gate, self._services.budget
                )
            except (OSError, TimeoutError, ProtocolError) as error:
                problems.append(str(error) or type(error).__name__)
                continue
            self._start(broker, address)
            return
        self._services.cluster.refresh_soon()
        self.close(CloseReason.BROKER_UNREACHABLE, "; ".join(problems) or "the broker is not known")

    def _start(self, broker: BrokerConnection, address: tuple[str, int]) -> None:
        principal = self._authentication.principal
        passthrough = principal is not None and principal.passthrough
        served = passthrough or self.zone_name in self._services.zones.zones
        if self._state is SessionState.CLOSED or not served:
            broker.abort()
            self.close(CloseReason.ZONE_CHANGED)
            return
        if broker.closed:
            self.close(CloseReason.BROKER_CLOSED, "right after it was opened")
            return
        cluster = self._services.cluster
        broker_id = cluster.broker_at(address)
        if broker_id is not None:
            cluster.versions[broker_id] = broker.versions
        self._broker = broker
        view = _BrokerView(cluster, broker)
        if passthrough:
            metrics = self._services.metrics
            self._pipeline = PassthroughPipeline(self, broker, self._listener, view, self._limits, metrics)
        else:
            plans = plans_for(broker.versions.apis)
            self._pipeline = Pipeline(self, broker, plans, self._zone, self._listener, view, self._limits)
        self._pipeline.release(Hold.CONNECTING)

    def _zone(self) -> ZoneState:
        return self._services.zones.zones[self.zone_name]

    def _on_broker_lost(self, reason: CloseReason, detail: str) -> None:
        if self._broker is not None:
            self.close(reason, detail)

    # the client, as the pipeline sees it

    def write(self, pieces: Pieces, size: int) -> None:
        if self._transport is not None:
            self._sent_bytes += size
            write_pieces(self._transport, pieces, size)

    def on_refused(self, api_key: int, error: ErrorCode, resource: Resource, count: int) -> None:
        assert self._authentication.principal is not None
        principal = self._authentication.principal
        self._services.audit.refused(self.origin, principal, api_key, error, resource, count)

    def resume_soon(self) -> None:
        asyncio.get_running_loop().call_soon(self._resume)

    def _resume(self) -> None:
        if self._state is SessionState.READY and self.reader.held and not self.gate.holds(HOLDS_REQUESTS):
            self.run(self.reader.release)

    def drained(self) -> None:
        self.close(*self._ending)

    # ending

    def drain(self, reason: CloseReason = CloseReason.SHUTDOWN, detail: str = "") -> None:
        """Take no more requests; close when those under way are answered."""
        if self._pipeline is None or not self._pipeline.in_flight:
            self.close(reason, detail)
            return
        self._ending = reason, detail
        self._state = SessionState.DRAINING
        self._pipeline.draining = True
        self.reader.held = True
        self._stop_reading_after_stream()

    def _stop_reading_after_stream(self) -> None:
        """A request whose beginning has gone to the broker still gets the rest."""
        if not self.reader.streaming:
            self.gate.hold(Hold.CLOSING)

    def close(self, reason: CloseReason, detail: str = "") -> None:
        """End both connections, after what was written to them has left. The first reason counts."""
        if self._state is SessionState.CLOSED:
            return
        self._state = SessionState.CLOSED
        self._closed = monotonic()
        self._reason, self._detail = reason, detail
        self._hold(Hold.CLOSING)
        if self._broker is not None:
            self._broker.close()
        if self._transport is not None:
            self._transport.close()
        if self._pipeline is not None:
            self._pipeline.abandon()

    def abort(self) -> None:
        """End both connections now, whatever is still to be written."""
        self.close(CloseReason.SHUTDOWN)
        self._cut_off()

    def _cut_off(self) -> None:
        for side in (self._transport, self._broker):
            if side is not None:
                side.abort()

    def check_deadlines(self, now: float) -> None:
        """Called every second."""
        if self._state is SessionState.CLOSED:
            if now - self._closed > self._limits.close_seconds:
                self._cut_off()
            return
        limits = self._limits
        principal = self._authentication.principal
        if principal is not None and principal.expires is not None and time() >= principal.expires:
            self.close(CloseReason.CREDENTIAL_EXPIRED, f"the {principal.mechanism} credential has expired")
        elif principal is None and now - self._opened > limits.authentication_seconds:
            self.close(CloseReason.AUTHENTICATION_DEADLINE, f"not signed in after {limits.authentication_seconds:g} s")
        elif now - self._last_active > limits.idle_seconds and self._is_idle():
            self.close(CloseReason.IDLE, f"nothing received or taken for {limits.idle_seconds:g} s")
        elif self.gate.closed:
            self._partial_since = now if self._partial_since else 0.0
        elif self._partial_since and now - self._partial_since > self._partial_allowance():
            self.close(CloseReason.PARTIAL_FRAME_DEADLINE, f"{self._partial_bytes} bytes of a frame, then too slow")

    def _is_idle(self) -> bool:
        """Nothing is due to the client, or it doesn't take what is."""
        if self.gate.holds(Hold.CLIENT_FULL):
            return True
        return not self.gate.closed and not (self._pipeline and self._pipeline.in_flight)

    def _partial_allowance(self) -> float:
        return self._limits.partial_frame_seconds + self._partial_bytes / self._limits.partial_frame_bytes_per_second

    @property
    def closed(self) -> bool:
        return self._state is SessionState.CLOSED

    def _end(self) -> None:
        """The client's connection is gone."""
        self._state = SessionState.CLOSED
        self._give_budget()
        self._note_use()
        self._services.forget(self)
        if self._pipeline is not None:
            self._pipeline.abandon()
        if self._broker is not None:
            # what a producer without acks has sent must still reach the broker
            self._broker.close()
        metrics = self._services.metrics
        if self._authentication.principal is not None:
            metrics.connections[self.zone_name] -= 1
        metrics.connections_closed[self._reason.value if self._reason is not None else ""] += 1
        summary = self._summary()
        _log.info("connection ended", extra=summary)
        self._services.audit.connection_ended(self.origin, self._authentication.principal, summary)

    def _summary(self) -> dict[str, object]:
        principal = self._authentication.principal
        return {
            "event": "connection_end",
            "reason": self._reason.value if self._reason is not None else "",
            "detail": self._detail,
            "peer": self._peer,
            "broker": self._broker_id,
            "zone": self.zone_name,
            "user": principal.username if principal is not None else "",
            "credential": self.credential_id,
            "listener": self._listener.config.name,
            "seconds": round(monotonic() - self._opened, 3),
            "requests": self._pipeline.requests if self._pipeline is not None else 0,
            "bytes_in": self._received_bytes,
            "bytes_out": self._sent_bytes,
        }
