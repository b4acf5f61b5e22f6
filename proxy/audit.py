"""What the data plane says to the audit log: who connected, who signed in or failed to, what was refused, what changed.

Each event is one flat dictionary for one line; whoever is given as `sink` writes it. README.md has the format, which is
promised to those who parse it: fields are added, never renamed, and `version` would change with a meaning.

Two kinds of things never get here: secrets (no password, token, hash, client id or record is a parameter of anything
below), and unbounded text. A name under which somebody failed to sign in is shown only when it is a service account's:
anything else may be a password typed into the wrong field, and is told apart by a tag that only this process could
compute. Topics, groups and transactional ids are shown as the client named them, cut to a bounded length.

What clients can cause without end (refusals, failed sign-ins, connections that never sign in) is sampled; `count` says
how many of them a line stands for, and the counts add up to all.
"""

import hashlib
import hmac
import itertools
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic, time
from typing import Any, Final, Generic, NamedTuple, TypeVar

from policies.changes import CredentialChange, ZoneChange
from policies.credentials import Credential
from policies.sampling import Sample, Sampler
from protocol.error_codes import ErrorCode
from protocol.schema import API_NAMES, ZERO_ID
from proxy.mechanisms.mechanism import Principal
from proxy.resources import Resource, ResourceType, operation, topic_id_text
from proxy.traffic import Kind

FORMAT_VERSION: Final = 1

WINDOW_SECONDS: Final = 10.0
"""At most one line of each kind in that time: a flood is seen while it lasts, and does not fill the disk."""

MAX_KINDS: Final = 10_000
"""Told apart at a time, some 5 MB: refused names, or addresses that fail to sign in, or that only connect."""

MAX_NAMES: Final = 100
"""Of one zone, API and error: a client that makes up names is told of as a whole beyond."""

MAX_NAME_CHARACTERS: Final = 249
"""Kafka's longest topic name; ids of clients' own making are cut there, too."""

MAX_DETAIL_CHARACTERS: Final = 500

MAX_LISTED_ALIASES: Final = 100
"""Of one change; their numbers are always told."""

LAST_SECOND: Final = 253_402_300_799.0
"""Of the year 9999. A token's issuer may think further."""

SUMMARY: Final = ("cluster", "reason", "detail", "seconds", "requests", "bytes_in", "bytes_out")

_MECHANISMS: Final = frozenset(("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "GSSAPI", "MTLS"))
"""Words that are shown; others are of a client's making."""

Sink = Callable[[Mapping[str, object]], None]
Fields = dict[str, object]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a connection comes from: what ties its lines together."""

    connection: str
    address: str
    port: int
    listener: str
    broker: int | None
    tls_version: str | None
    tls_cipher: str | None


class _Refusal(NamedTuple):
    origin: Origin
    principal: Principal
    api_key: int
    error: ErrorCode
    resource: Resource


class _Failure(NamedTuple):
    origin: Origin
    event: str
    mechanism: str
    reason: str
    name: tuple[str, str] | None
    """A field and its value, in place of what was sent, which is kept nowhere."""


class _TokenRefusal(NamedTuple):
    address: str
    reason: str


class _Turned(NamedTuple):
    origin: Origin
    summary: Mapping[str, object]


E = TypeVar("E")


class _Sampled(Generic[E]):
    """A sampler with the lines that it makes."""

    def __init__(self, write: Callable[[Sample[E], float], None], max_kinds_per_group: int) -> None:
        self._write = write
        self._sampler: Sampler[tuple[object, ...], E] = Sampler(WINDOW_SECONDS, MAX_KINDS, max_kinds_per_group)

    def note(self, group: tuple[object, ...], kind: tuple[object, ...], event: E, count: int, now: float) -> None:
        sample = self._sampler.note(group, kind, event, count, now)
        if sample is not None:
            self._write(sample, now)

    def tell(self, now: float, everything: bool) -> None:
        for sample in self._sampler.rest(now) if everything else self._sampler.due(now):
            self._write(sample, now)


class Audit:
    """One gateway's audit events. Without a sink nothing is noted."""

    def __init__(
        self,
        sink: Sink | None = None,
        is_account: Callable[[str], bool] = lambda _name: False,
        clock: Callable[[], float] = time,
        ticks: Callable[[], float] = monotonic,
    ) -> None:
        """`is_account` knows service accounts; `clock` tells Unix time, `ticks` measures."""
        self._sink = sink
        self._is_account = is_account
        self._clock = clock
        self._ticks = ticks
        self._process = secrets.token_hex(4)
        self._tag_key = secrets.token_bytes(32)
        self._numbers = itertools.count(1)
        self._refusals = _Sampled(self._write_refusal, MAX_NAMES)
        self._failures = _Sampled(self._write_failure, MAX_KINDS)
        self._turned = _Sampled(self._write_turned, MAX_KINDS)
        self._token_refusals = _Sampled(self._write_token_refusal, MAX_KINDS)

    # connections

    def origin(self, transport: Any, listener: str, broker: int | None) -> Origin:
        """The origin of a connection that was just accepted, or has just ended its TLS handshake."""
        peer = transport.get_extra_info("peername")
        tls = transport.get_extra_info("ssl_object")
        cipher = tls.cipher() if tls is not None else None
        return Origin(
            connection=f"{self._process}-{next(self._numbers)}",
            address=str(peer[0]) if peer else "",
            port=int(peer[1]) if peer else 0,
            listener=listener,
            broker=broker,
            tls_version=tls.version() if tls is not None else None,
            tls_cipher=cipher[0] if cipher is not None else None,
        )

    def connection_ended(self, origin: Origin, principal: Principal | None, summary: Mapping[str, object]) -> None:
        """The one line of a connection; connections that never signed in are sampled by address and reason.

        `summary` is what the ordinary log has of it: of `SUMMARY`, what is known.
        """
        if self._sink is None:
            return
        if principal is None:
            group = summary["reason"], origin.listener
            self._turned.note(group, (origin.address,), _Turned(origin, summary), 1, self._ticks())
            return
        self.write("connection", {"count": 1, **_whole(origin, summary), **_who(principal)})

    def _write_turned(self, sample: Sample[_Turned], now: float) -> None:
        origin, summary = sample.latest
        fields = self._counted(sample, now)
        if sample.mixed:
            fields |= {"reason": summary["reason"], "listener": origin.listener}
        else:
            fields |= _whole(origin, summary)
        self.write("connection", fields)

    # signing in

    def authenticated(self, origin: Origin, principal: Principal, *, again: bool = False) -> None:
        """Somebody has signed in; `again` on a connection on which somebody had."""
        expires = self._iso(principal.expires) if principal.expires is not None else None
        fields: Fields = {"outcome": "success", "count": 1}
        self.write(_event(again), fields | _whence(origin) | _who(principal) | {"expires": expires})

    def authentication_failed(
        self, origin: Origin, mechanism: str, reason: str, username: str, *, again: bool = False
    ) -> None:
        """Somebody could not sign in under the name that was sent. Sampled by address."""
        if self._sink is None:
            return
        mechanism = mechanism if mechanism in _MECHANISMS else ""
        name = self._name(username)
        failure = _Failure(origin, _event(again), mechanism, reason, name)
        known = name if name is not None and name[0] == "user" else None
        self._failures.note(
            (failure.event, reason, mechanism, origin.listener), (origin.address, known), failure, 1, self._ticks()
        )

    def _write_failure(self, sample: Sample[_Failure], now: float) -> None:
        failure = sample.latest
        fields: Fields = {"outcome": "failure", **self._counted(sample, now), "reason": failure.reason}
        if sample.mixed:
            fields |= {"listener": failure.origin.listener}
        else:
            fields |= _whence(failure.origin) | dict([failure.name] if failure.name is not None else [])
        self.write(failure.event, fields | {"mechanism": failure.mechanism or None})

    def _name(self, username: str) -> tuple[str, str] | None:
        """A service account's name; of any other nothing but a tag, the same for the same name in this process."""
        if not username:
            return None
        if self._is_account(username):
            return "user", _bounded(username)
        digest = hmac.digest(self._tag_key, username.encode("utf-8", "surrogatepass"), hashlib.sha256)
        return "user_tag", digest.hex()[:8]

    # admin access

    def token_issued(self, user: str, address: str, token_id: str, expires: float) -> None:
        """An admin was given a token; it is known by its id."""
        fields = {"outcome": "success", "count": 1, "peer_address": address, "user": user, "token_id": token_id}
        self.write("admin_token", fields | {"expires": self._iso(expires)})

    def token_refused(self, address: str, reason: str) -> None:
        """Somebody asked for a token in vain. Sampled by address."""
        if self._sink is not None:
            self._token_refusals.note((reason,), (address,), _TokenRefusal(address, reason), 1, self._ticks())

    def _write_token_refusal(self, sample: Sample[_TokenRefusal], now: float) -> None:
        refusal = sample.latest
        fields: Fields = {"outcome": "failure", **self._counted(sample, now), "reason": refusal.reason}
        self.write("admin_token", fields | {"peer_address": None if sample.mixed else refusal.address})

    # refusals

    def refused(
        self, origin: Origin, principal: Principal, api_key: int, error: ErrorCode, resource: Resource, count: int
    ) -> None:
        """`count` entries of a request were refused. Sampled by zone, user, API, error and resource."""
        if self._sink is None or not count:
            return
        refusal = _Refusal(origin, principal, api_key, error, resource)
        group = principal.zone, api_key, error, resource.type
        self._refusals.note(group, (principal.username, resource), refusal, count, self._ticks())

    def _write_refusal(self, sample: Sample[_Refusal], now: float) -> None:
        origin, principal, api_key, error, resource = sample.latest
        fields = self._counted(sample, now)
        fields |= {"zone": principal.zone} if sample.mixed else _whence(origin) | _who(principal) | _named(resource)
        fields |= {
            "api": API_NAMES[api_key],
            "operation": operation(api_key, resource) or None,
            "resource_type": resource.type.value or None,
            "error": error.name.lower(),
            "error_code": int(error),
        }
        self.write("refusal", fields)

    # changes

    def zones_changed(self, changes: Iterable[ZoneChange], sessions_ended: Mapping[str, int]) -> None:
        """Zones are served from now on as the changes say; `sessions_ended` by zone."""
        for each in changes:
            fields: Fields = {"change": each.change, "zone": each.zone.name, "user": each.zone.service_account}
            if each.change == "changed":
                fields["fields"] = list(each.fields)
            for name in ("aliases_added", "aliases_removed", "aliases_changed"):
                aliases: tuple[str, ...] = getattr(each, name)
                if aliases:
                    fields |= {name: list(aliases[:MAX_LISTED_ALIASES]), f"{name}_count": len(aliases)}
            for limit in each.limits:
                fields |= {f"{limit.name}_before": limit.before, limit.name: limit.after}
            self.write("zone_change", fields | {"sessions_ended": sessions_ended.get(each.zone.name, 0)})

    def credentials_changed(self, changes: Iterable[CredentialChange], sessions_ended: Mapping[str, int]) -> None:
        """Credentials are in force or not from now on; `sessions_ended` by credential id."""
        for each in changes:
            self._credential(each.credential, each.change, sessions_ended.get(each.credential.id, 0))

    def credential_expired(self, credential: Credential, sessions_ended: int) -> None:
        """Its time has come while the gateway was running."""
        self._credential(credential, "expired", sessions_ended)

    def _credential(self, credential: Credential, change: str, sessions_ended: int) -> None:
        fields: Fields = {
            "change": change,
            "zone": credential.zone,
            "credential_id": credential.id,
            "expires": self._iso(credential.expires) if credential.expires is not None else None,
            "sessions_ended": sessions_ended,
        }
        self.write("credential_change", fields)

    # limits

    def throttling_started(self, zone: str, kind: Kind, limit: int) -> None:
        """A zone's connections are throttled from now on; `limit` is in the unit of its definition."""
        self.write("throttling_started", {"zone": zone, "kind": kind.value, "limit": limit})

    def throttling_ended(
        self, zone: str, kind: Kind, limit: int, seconds: float, throttled_requests: int, used: int
    ) -> None:
        """Its connections were throttled for so long; all of them together used so much in that time."""
        fields: Fields = {"zone": zone, "kind": kind.value, "limit": limit, "seconds": seconds}
        counted = "commits" if kind is Kind.COMMIT else "record_bytes"
        self.write("throttling_ended", fields | {"throttled_requests": throttled_requests, counted: used})

    # all of them

    def write(self, event: str, fields: Mapping[str, object]) -> None:
        """One line. Fields that are None do not apply, and are left out."""
        if self._sink is not None:
            line: Fields = {"time": self._iso(self._clock()), "version": FORMAT_VERSION, "event": event}
            self._sink(line | {name: value for name, value in fields.items() if value is not None})

    def tick(self) -> None:
        """Called now and then: tells what was counted, also when a flood has stopped."""
        self._tell(everything=False)

    def finish(self) -> None:
        """Nothing more will happen: tells all that was counted."""
        self._tell(everything=True)

    def _tell(self, everything: bool) -> None:
        now = self._ticks()
        for sampled in (self._refusals, self._failures, self._turned, self._token_refusals):
            sampled.tell(now, everything)

    def _counted(self, sample: Sample[Any], now: float) -> Fields:
        """How many a line stands for, and since when, if it isn't the one that has just happened."""
        fields: Fields = {"count": sample.count}
        if sample.since < now:
            fields["since"] = self._iso(self._clock() - (now - sample.since))
        if sample.mixed:
            fields["mixed"] = True
        return fields

    @staticmethod
    def _iso(seconds: float) -> str:
        return datetime.fromtimestamp(min(seconds, LAST_SECOND), UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _event(again: bool) -> str:
    return "reauthentication" if again else "authentication"


def _whence(origin: Origin) -> Fields:
    return {
        "connection": origin.connection,
        "peer_address": origin.address,
        "peer_port": origin.port,
        "listener": origin.listener,
    }


def _whole(origin: Origin, summary: Mapping[str, object]) -> Fields:
    fields = _whence(origin) | {
        "broker": origin.broker,
        "tls_version": origin.tls_version,
        "tls_cipher": origin.tls_cipher,
        **{name: summary[name] for name in SUMMARY if name in summary},
    }
    fields["detail"] = _bounded(str(fields.get("detail", "")), MAX_DETAIL_CHARACTERS) or None
    return fields


def _who(principal: Principal) -> Fields:
    return {
        "zone": principal.zone,
        "user": principal.username,
        "mechanism": principal.mechanism,
        "credential_id": principal.credential.id if principal.credential is not None else None,
    }


def _named(resource: Resource) -> Fields:
    if resource.type is ResourceType.TOPIC:
        by_id = not resource.name and resource.topic_id != ZERO_ID
        return {"topic_id": topic_id_text(resource.topic_id)} if by_id else {"alias": _bounded(resource.name)}
    return {"resource_name": _bounded(resource.name)} if resource.name else {}


def _bounded(text: str, limit: int = MAX_NAME_CHARACTERS) -> str:
    return text if len(text) <= limit else text[:limit] + "…"
