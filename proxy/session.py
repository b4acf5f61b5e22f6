"""One client connection, from accept to its one log line at the end.

Bytes come in through a `FrameReader`. Until the client has signed in, frames go to `Authentication`; then a connection
to the broker of this port is opened, and frames go to the `Pipeline`. The two connections live and die together: a
broker connection is never silently replaced, since versions, order and state would be lost with it.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from time import monotonic, time
from typing import Final, cast

from protocol.api_versions import BrokerVersions
from protocol.error_codes import ErrorCode
from protocol.errors import BrokerProtocolError, ClientProtocolError, EncodeError, ProtocolError
from protocol.framing import FrameReader, Sink
from protocol.session_state import SessionState
from proxy.activity import Caller
from proxy.admission import Ticket
from proxy.apis.table import plans_for
from proxy.audit import Origin
from proxy.authentication import Authentication, NotAuthenticatedError
from proxy.broker import BrokerConnection, connect, write_pieces
from proxy.client_reauthentication import ClientReauthentication
from proxy.close import CloseReason
from proxy.cluster import BrokerView, Cluster
from proxy.deadlines import Deadlines
from proxy.exchange import Pieces
from proxy.flow import Assembly, Hold, ReadGate
from proxy.mechanisms.mechanism import Principal
from proxy.node import Node
from proxy.passthrough import PassthroughPipeline
from proxy.pipeline import HOLDS_REQUESTS, Pipeline, UnsupportedApiError
from proxy.resources import Resource
from proxy.routing import Listener
from proxy.services import Services
from proxy.session_life import SessionLife
from proxy.sign_in import SignIn
from proxy.zones import Route, ZoneState

_log = logging.getLogger("zonegate.connection")

_TLS_HANDSHAKE: Final = b"\x16\x03"

TURN_SECONDS: Final = 0.001
"""For the requests of one read; then others have their turn. A read of 256 KiB may hold ten thousand requests that are
answered here, and a connection that works on a broker's answers takes a tenth of this."""


_FAILURES: Final = (
    (NotAuthenticatedError, CloseReason.NOT_AUTHENTICATED),
    (UnsupportedApiError, CloseReason.UNSUPPORTED_API),
    (ClientProtocolError, CloseReason.BAD_REQUEST),
    (EncodeError, CloseReason.BAD_REQUEST),
    (BrokerProtocolError, CloseReason.BROKER_PROTOCOL_ERROR),
    (ProtocolError, CloseReason.BAD_FRAME),
)
"""The first that fits says why the connection ends."""


class ClientSession(asyncio.Protocol):
    """The client's side of a connection pair."""

    def __init__(self, services: Services, listener: Listener, node: Node | None, ticket: Ticket | None = None) -> None:
        """`node` is the broker of this port or host name, None where clients bootstrap. `ticket` is the connection's
        place among all; without one it doesn't count."""
        self._services = services
        self._limits = services.config.limits
        self._listener = listener
        self._node = node
        self._cluster: Cluster | None = None
        """On the bootstrap port it isn't known before it is known who the client is."""
        self._ticket = ticket
        self.gate = ReadGate()
        self.gate.on_release = self.settle
        self._assembly = Assembly(services.strangers.share(""), self.gate)
        self.reader = FrameReader(
            self._limits.frame_bytes_before_authentication, self._on_frame, self._on_head, self._assembly.begin
        )
        self.zone_name = ""
        self.credential_id = ""
        mechanisms = {name: services.mechanisms[name] for name in listener.config.mechanisms}
        self._life = SessionLife(services.config.max_reauthentication_seconds)
        self._authentication = Authentication(mechanisms, self._broker_versions, time, self._life)
        self._reauthentication = ClientReauthentication(
            self, self._authentication, self._limits, services.metrics, services.audit
        )
        self._sign_in = SignIn(self, self._authentication, services)
        self._state = SessionState.CONNECTED
        """Until it is DRAINING or CLOSED; what the client may say is in `Authentication.state`."""
        self._transport: asyncio.Transport | None = None
        self.origin: Origin
        self._broker: BrokerConnection | None = None
        self._pipeline: Pipeline | None = None
        self._peer = ""
        self._reason: CloseReason | None = None
        self._detail = ""
        self._ending = (CloseReason.SHUTDOWN, "")
        self._deadlines = Deadlines(self._limits, ticket.opened if ticket is not None else monotonic())
        self._half_closed = False
        self._turn_began = 0.0
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
            self._sign_in.by_certificate(self._transport.get_extra_info("ssl_object").getpeercert(True), self._peer)

    def data_received(self, data: bytes) -> None:
        now = monotonic()
        self._turn_began = now
        self._deadlines.on_active(now)
        if not self._received_bytes and data.startswith(_TLS_HANDSHAKE):
            self.close(CloseReason.TLS_ON_PLAINTEXT_PORT, "a TLS client on a plaintext port")
            return
        self._received_bytes += len(data)
        try:
            self.reader.feed(data)
        except Exception as error:  # noqa: BLE001 - whatever a client provokes ends with its connection
            self._fail(error)
        self._deadlines.on_data(now, len(data), self.reader.partial)
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

    def pause_writing(self) -> None:
        if self._broker is not None:
            self._broker.gate.hold(Hold.CLIENT_FULL)
        self.hold(Hold.CLIENT_FULL)

    def resume_writing(self) -> None:
        if self._broker is not None:
            self._broker.gate.release(Hold.CLIENT_FULL)
        self.gate.release(Hold.CLIENT_FULL)
        if self.reader.held and not self.gate.holds(HOLDS_REQUESTS):
            self.resume_soon()
        self._deadlines.on_active(monotonic())

    def eof_received(self) -> bool:
        """A client that only shuts down its sending side gets its answers first, as from a broker, which reads the end
        after having answered everything before it. Not with TLS: there the end of one side is the end of both."""
        if not self._is_working():
            return False
        if not self._half_closed:
            self._half_closed = True
            self._deadlines.on_half_closed(monotonic())
            if self._pipeline is not None:
                self._pipeline.draining = True
        return True

    def _is_working(self) -> bool:
        """Whether an answer is due to what the client has sent."""
        return self.reader.held or (self._pipeline is not None and self._pipeline.in_flight > 0)

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
        self._deadlines.on_frame()
        if self._assembly.frame:
            self._assembly.end()
        if self._pipeline is None:
            if self._state is not SessionState.CLOSED:
                self._sign_in.on_frame(data, start, end)
        elif self._deadlines.last_active < self._life.open_until:
            self._pipeline.on_request(data, start, end)
        else:
            self._reauthentication.on_frame(self._pipeline, data, start, end)
        if self._assembly.kept:
            self.settle()
        if monotonic() - self._turn_began > TURN_SECONDS and not self.gate.holds(Hold.TURN | Hold.CLOSING):
            self.hold(Hold.TURN)
            asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self.gate.release(Hold.TURN)
        self._resume()

    def _on_head(self, data: bytes, start: int, size: int) -> Sink | None:
        self._deadlines.on_frame()
        if self._pipeline is not None and self._deadlines.last_active < self._life.open_until:
            return self._pipeline.on_large_head(data, start, size)
        if self._pipeline is not None:
            self._reauthentication.on_large_head()
        return None

    def settle(self) -> None:
        """Give back what assembled frames have taken, as far as they are in memory no more."""
        if self._assembly.kept and not self.gate.holds(Hold.BROKER_FULL):
            self._assembly.settle(self._pipeline.pending_bytes if self._pipeline is not None else 0)
        if self._broker is not None:
            self._broker.settle()

    def _broker_versions(self) -> BrokerVersions:
        """Of the very broker behind this connection; before there is one, what is known of the brokers of its port."""
        if self._broker is not None:
            return self._broker.versions
        if self._cluster is not None:
            return self._cluster.versions_for(self._broker_id)
        return self._services.clusters.versions_for(self._node)

    @property
    def _broker_id(self) -> int | None:
        return self._node.id if self._node is not None else None

    def answer_locally(self, data: bytes, start: int, end: int, respond: Callable[[bytes], None]) -> None:
        """ApiVersions and the SASL requests of a client that has signed in."""
        self._reauthentication.answer(data, start, end, respond)
        self._services.activity.clients_changed(self.zone_name)

    # signing in

    def on_signed_in(self, principal: Principal) -> None:
        self.belongs_to(principal)
        self._services.metrics.connections[self.zone_name] += 1
        self._services.audit.authenticated(self.origin, principal)
        cluster = self._cluster = self._services.cluster_of(principal, self._node)
        if self._node is not None and self._node.cluster != cluster.id:
            detail = f"the zone is on cluster {cluster.id}, and this is where cluster {self._node.cluster} is reached"
            self.close(CloseReason.WRONG_CLUSTER, detail)
            return
        if self._ticket is not None and not self._ticket.enter_zone(self.zone_name):
            self.close(CloseReason.ZONE_LIMIT, f"the zone has {self._limits.connections_per_zone} connections")
            return
        self._assembly.move(self._services.budget.share(self.zone_name))
        self.reader.max_frame_bytes = self._limits.frame_bytes
        self.hold(Hold.CONNECTING)
        self._services.spawn(self._connect(cluster), f"connect {self._peer}")

    def belongs_to(self, principal: Principal) -> None:
        """Revoking this credential ends the session."""
        self.zone_name = principal.zone
        self.credential_id = principal.credential.id if principal.credential is not None else ""
        self._note_use()

    def _note_use(self) -> None:
        if self.credential_id:
            self._services.credentials_used[self.credential_id] = time()

    def hold(self, reason: Hold) -> None:
        """Take no more requests, not even those that have been read."""
        self.reader.held = True
        self.gate.hold(reason)

    async def _connect(self, cluster: Cluster) -> None:
        """Open the connection to the broker of this port; on the bootstrap port, to any that answers."""
        problems = []
        share = self._services.responses.share(self.zone_name)
        for address in cluster.candidates(self._broker_id):
            try:
                broker = await connect(address, cluster.upstream, self._on_broker_lost, self.gate, share)
            except (OSError, TimeoutError, ProtocolError) as error:
                problems.append(str(error) or type(error).__name__)
                continue
            self._start(cluster, broker, address)
            return
        cluster.refresh_soon()
        self.close(CloseReason.BROKER_UNREACHABLE, "; ".join(problems) or "the broker is not known")

    def _start(self, cluster: Cluster, broker: BrokerConnection, address: tuple[str, int]) -> None:
        principal = self._authentication.principal
        passthrough = principal is not None and principal.passthrough
        served = passthrough or self.zone_name in self._services.zones.served
        if self._state is SessionState.CLOSED or not served:
            broker.abort()
            self.close(CloseReason.ZONE_CHANGED)
            return
        if broker.closed:
            self.close(CloseReason.BROKER_CLOSED, "right after it was opened")
            return
        broker_id = cluster.broker_at(address)
        if broker_id is not None:
            cluster.versions[broker_id] = broker.versions
        self._broker = broker
        view, endpoints = BrokerView(cluster, broker), self._listener.of_cluster(cluster.id)
        if passthrough:
            metrics = self._services.metrics
            self._pipeline = PassthroughPipeline(self, broker, endpoints, view, self._limits, metrics)
        else:
            plans = plans_for(broker.versions.apis)
            self._pipeline = Pipeline(self, broker, plans, self._zone, endpoints, view, self._limits)
        self._pipeline.apply_limits()
        self._services.activity.clients_changed(self.zone_name)
        self._pipeline.release(Hold.CONNECTING)

    def apply_limits(self) -> None:
        """The zone may have other limits than before."""
        if self._pipeline is not None and not self.closed:
            self._pipeline.apply_limits()

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
        services, origin = self._services, self.origin
        services.audit.refused(origin, principal, api_key, error, resource, count)
        services.activity.refused(principal.zone, principal.username, origin.address, api_key, error, resource, count)

    def resume_soon(self) -> None:
        asyncio.get_running_loop().call_soon(self._resume)

    def _resume(self) -> None:
        ended = self._state in (SessionState.DRAINING, SessionState.CLOSED)
        if not ended and self.reader.held and not self.gate.holds(HOLDS_REQUESTS):
            self._turn_began = monotonic()
            self.run(self.reader.release)
            self._end_half_closed()

    def seconds_open(self) -> float:
        """Until the client must have signed in again, for its session's sake or its proof's."""
        principal = self._authentication.principal
        expires = principal.expires if principal is not None else None
        seconds = self._life.open_until - monotonic()
        return seconds if expires is None else min(seconds, expires - time())

    def drained(self) -> None:
        if self._state is SessionState.DRAINING:
            self.close(*self._ending)
        else:
            # further requests may be here, and be taken in this very turn
            asyncio.get_running_loop().call_soon(self._end_half_closed)

    def _end_half_closed(self) -> None:
        if self._half_closed and not self._is_working():
            self.close(CloseReason.CLIENT_CLOSED, "after its answers")

    # what people see of it

    @property
    def opened(self) -> float:
        """When it was, by a monotonic clock."""
        return self._deadlines.opened

    def caller(self) -> Caller | None:
        """Who is at the other end; None of an admin, and before anything can be done for a zone."""
        principal, pipeline = self._authentication.principal, self._pipeline
        if principal is None or principal.passthrough or pipeline is None:
            return None
        told = self._authentication
        return Caller(told.client_id or pipeline.client_id, told.software, principal.username, self.origin.address)

    def take_used(self) -> Collection[Route]:
        """What it has produced to, or fetched from, since this was last asked."""
        pipeline = self._pipeline
        if pipeline is None or not pipeline.used:
            return ()
        used = frozenset(pipeline.used)
        pipeline.used.clear()
        return used

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
        self._deadlines.on_closed(monotonic())
        self._reason, self._detail = reason, detail
        self.hold(Hold.CLOSING)
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
            if self._deadlines.must_be_cut_off(now):
                self._cut_off()
            return
        principal = self._authentication.principal
        if principal is not None and principal.expires is not None and time() >= principal.expires:
            self.close(CloseReason.CREDENTIAL_EXPIRED, f"the {principal.mechanism} credential has expired")
            return
        overdue = self._deadlines.overdue(
            now, signed_in=principal is not None, held=self.gate.closed, idle=self._is_idle()
        )
        if overdue is not None:
            self.close(*overdue)

    def _is_idle(self) -> bool:
        """Nothing is due to the client, or it doesn't take what is."""
        if self.gate.holds(Hold.CLIENT_FULL):
            return True
        return not self.gate.closed and not (self._pipeline and self._pipeline.in_flight)

    @property
    def closed(self) -> bool:
        return self._state is SessionState.CLOSED

    def _end(self) -> None:
        """The client's connection is gone."""
        self._state = SessionState.CLOSED
        self._assembly.free()
        if self._ticket is not None:
            self._ticket.leave()
        self._note_use()
        self._services.forget(self)
        self._services.activity.left(self.zone_name, self.caller(), self.take_used())
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
            "seconds": round(monotonic() - self._deadlines.opened, 3),
            "requests": self._pipeline.requests if self._pipeline is not None else 0,
            "bytes_in": self._received_bytes,
            "bytes_out": self._sent_bytes,
            **self._services.clusters.fields_of(self._cluster_id()),
        }

    def _cluster_id(self) -> str:
        if self._node is not None:
            return self._node.cluster
        return self._cluster.id if self._cluster is not None else ""
