"""The zones that this gateway serves: rules compiled for the wire, virtual topic ids, and who may sign in.

A `ZoneState` is replaced when its zone's definition changes; what changes inside is only what the gateway learns of the
brokers' topic ids, so that ids and names always belong together.
"""

import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final

from policies.credentials import Credential, decoy_salt
from policies.topic_ids import virtual_cluster_id, virtual_topic_id
from policies.zone import Alias, AuthenticationMode, Zone, ZoneRules
from protocol.codec import write_uvarint
from protocol.error_codes import ErrorCode
from protocol.schema import API_NAMES, ZERO_ID
from proxy.config import Limits
from proxy.flow import Turnstile
from proxy.metrics import AliasMeter, ApiMeter, GatewayMetrics
from proxy.ownership import SoleOwners
from proxy.pending_commits import PendingCommits
from proxy.subscriptions import Subscriptions
from proxy.traffic import Clock, OnThrottled, Sharing, ZoneTraffic, nobody_listens

PLAIN: Final = 0
COMPACT: Final = 1
BY_ID: Final = 2
"""How a message spells a topic: int16 length and name, varint length and name, or id."""


BROKER_REFUSALS: Final = {
    int(code): code.name.lower()
    for code in (
        ErrorCode.TOPIC_AUTHORIZATION_FAILED,
        ErrorCode.GROUP_AUTHORIZATION_FAILED,
        ErrorCode.CLUSTER_AUTHORIZATION_FAILED,
        ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    )
}
WARN_SECONDS: Final = 60.0
"""At most one warning in that time, per zone."""

_log = logging.getLogger("zonegate.zone")


class Route:
    """An alias with both its names, spelled in every way that messages do (indexes PLAIN, COMPACT and BY_ID).

    Never changes, so that a response is renamed as its request was; a newly learnt id makes a new route.
    """

    __slots__ = ("alias", "broker", "broker_keys", "client", "meter", "writable")

    def __init__(self, alias: Alias, meter: AliasMeter, alias_id: bytes = ZERO_ID, topic_id: bytes = ZERO_ID) -> None:
        self.alias = alias
        self.meter = meter
        self.writable = alias.writable
        self.client = (*spell(alias.name.encode()), alias_id)
        self.broker = (*spell(alias.topic.encode()), topic_id)
        self.broker_keys = (alias.topic.encode(), alias.topic.encode(), topic_id)


def spell(raw: bytes) -> tuple[bytes, bytes]:
    """A name or id with its length, PLAIN and COMPACT."""
    compact = bytearray()
    write_uvarint(compact, len(raw) + 1)
    return len(raw).to_bytes(2, "big") + raw, bytes(compact) + raw


class ZoneState:
    """One zone as this gateway serves it."""

    def __init__(
        self, rules: ZoneRules, cluster: str, metrics: GatewayMetrics, id_key: bytes, traffic: ZoneTraffic
    ) -> None:
        self.rules = rules
        self.name = rules.name
        self.cluster = cluster
        """The id of the cluster that it is served from."""
        self.metrics = metrics
        self.traffic = traffic
        self.cluster_id = virtual_cluster_id(id_key, rules.name)
        self.transactional_prefix = rules.prefix.encode()
        self.commits = Turnstile()
        """Group by group: a commit that is merged into what is stored must not overtake another."""
        self.subscriptions = Subscriptions()
        self.owners = SoleOwners()
        self.pending_commits = PendingCommits()
        self._id_key = id_key
        self._warned = float("-inf")
        self._meters: dict[int, ApiMeter] = {}
        self.routes_by_name = {
            alias.name.encode(): Route(alias, metrics.alias(rules.name, alias.name)) for alias in rules.aliases
        }
        self.routes_by_id: dict[bytes, Route] = {}
        self.missed_id = False
        """A client has named a topic id that isn't known."""

    def meter(self, api_key: int) -> ApiMeter:
        meter = self._meters.get(api_key)
        if meter is None:
            meter = self._meters[api_key] = self.metrics.api(self.name, api_key)
        return meter

    def note_broker_error(self, api_key: int, code: int) -> None:
        """Count, and tell the operator, when the cluster's ACLs refuse the gateway what a zone grants."""
        name = BROKER_REFUSALS.get(code)
        if name is None:
            return
        self.metrics.broker_refusals[(self.name, API_NAMES[api_key], name)] += 1
        if monotonic() - self._warned > WARN_SECONDS:
            self._warned = monotonic()
            _log.warning(
                "the Kafka cluster refuses the gateway's own user; give it the ACLs that this zone needs",
                extra={"event": "broker_refusal", "zone": self.name, "api": API_NAMES[api_key], "error": name},
            )

    def learn(self, topic: str, topic_id: bytes) -> None:
        """Take note of a backing topic's id, as a broker has just told it. A new id means a re-created topic."""
        if topic_id == ZERO_ID:
            return
        for alias in self.rules.aliases_of(topic):
            known = self.route(alias)
            if known.broker[BY_ID] != topic_id:
                self.routes_by_id.pop(known.client[BY_ID], None)
                alias_id = virtual_topic_id(self._id_key, self.name, alias.name, topic_id)
                route = Route(alias, known.meter, alias_id, topic_id)
                self.routes_by_name[alias.name.encode()] = self.routes_by_id[alias_id] = route

    def shrank_from(self, before: "ZoneState") -> bool:
        """True when live sessions must end."""
        return self.cluster != before.cluster or self.rules.shrank_from(before.rules)

    def inherit(self, before: "ZoneState") -> None:
        """Keep what is known and under way when the zone's definition is replaced."""
        self.commits = before.commits
        self.subscriptions = before.subscriptions
        self.owners = before.owners
        self.pending_commits = before.pending_commits
        for route in before.routes_by_name.values():
            self.learn(route.alias.topic, route.broker[BY_ID])

    def route(self, alias: Alias) -> Route:
        return self.routes_by_name[alias.name.encode()]

    def alias_id(self, alias: Alias) -> bytes:
        """The virtual id of an alias; zero until its backing topic's id is known."""
        return self.route(alias).client[BY_ID]

    def topic_id(self, alias: Alias) -> bytes:
        """The id of its backing topic; zero until it is known."""
        return self.route(alias).broker[BY_ID]

    def alias_with_id(self, alias_id: bytes) -> Alias | None:
        """The alias of a virtual id that a client names."""
        route = self.routes_by_id.get(alias_id)
        if route is None:
            self.missed_id = True
            return None
        return route.alias


@dataclass(frozen=True, slots=True)
class Account:
    """What is known of a service account."""

    zone: str
    mode: AuthenticationMode
    credentials: tuple[Credential, ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """What a new set of zones and credentials takes away from sessions that are running."""

    shrunken_zones: frozenset[str]
    revoked_credentials: frozenset[str]


class ZoneRegistry:
    """All zones and credentials. `apply` swaps them whole."""

    def __init__(
        self,
        metrics: GatewayMetrics,
        clock: Clock = monotonic,
        burst_seconds: float = Limits().burst_seconds,
        on_throttled: OnThrottled = nobody_listens,
        clusters: Sequence[str] = ("",),
    ) -> None:
        """`clusters` are the ids of those that are configured; a single one without id has all zones."""
        self._metrics = metrics
        self._clusters = tuple(clusters)
        self._clock = clock
        self._burst_seconds = burst_seconds
        self._on_throttled = on_throttled
        self._sharing: Sharing | None = None
        self._id_keys: dict[str, bytes] = {}
        self._decoy_key = secrets.token_bytes(32)
        self.unserved: Mapping[str, str] = {}
        """Zone -> why it can't be served here, in plain words."""
        self.zones: dict[str, ZoneState] = {}
        self._accounts: dict[str, Account] = {}
        self._credentials: frozenset[Credential] = frozenset()
        self.credential_ids: frozenset[str] = frozenset()

    def identify(self, cluster: str, kafka_id: str) -> None:
        """Derive virtual ids from a cluster's own id, which every gateway of the cluster knows."""
        key = kafka_id.encode()
        if cluster == self._clusters[0]:
            self._decoy_key = key
        if self._id_keys.get(cluster) != key:
            self._id_keys[cluster] = key
            for name, state in self.zones.items():
                if state.cluster == cluster:
                    self.zones[name] = ZoneState(state.rules, cluster, self._metrics, key, state.traffic)

    def cluster_of(self, zone: str) -> str:
        """The id of the cluster that a zone is served from."""
        return self.zones[zone].cluster

    def topics(self, cluster: str) -> list[str]:
        """The backing topics of all zones of a cluster, each once."""
        states = [state for state in self.zones.values() if state.cluster == cluster]
        return sorted({topic for state in states for topic in state.rules.topics})

    def learn(self, cluster: str, topic_ids: Mapping[str, bytes]) -> None:
        """Take note of many topics' ids at once (topic -> id)."""
        for state in self.zones.values():
            if state.cluster == cluster:
                for topic in state.rules.topics:
                    state.learn(topic, topic_ids.get(topic, ZERO_ID))

    def apply(self, zones: Sequence[Zone], credentials: Sequence[Credential]) -> Changes:
        """Serve these and only these from now on."""
        self.unserved = {zone.name: self._not_configured(zone) for zone in zones if self._id_of(zone) is None}
        zones = [zone for zone in zones if zone.name not in self.unserved]
        before, states = self.zones, {}
        for zone in zones:
            known = before.get(zone.name)
            if known is not None and known.rules.zone == zone:
                states[zone.name] = known
                continue
            traffic = known.traffic if known is not None else self._new_traffic(zone.name)
            traffic.configure(zone.limits)
            cluster = self._id_of(zone) or ""
            key = self._id_keys.get(cluster, b"")
            states[zone.name] = ZoneState(ZoneRules(zone), cluster, self._metrics, key, traffic)
            if known is not None and known.cluster == cluster:
                states[zone.name].inherit(known)
        shrunken = {name for name, state in before.items() if name not in states or states[name].shrank_from(state)}
        # one that was edited in place is another one, so that a new hash under an old id ends the old sessions
        revoked = {credential.id for credential in self._credentials - set(credentials)}
        self.zones = states
        self._credentials = frozenset(credentials)
        self.credential_ids = frozenset(credential.id for credential in credentials)
        grouped: dict[str, tuple[Credential, ...]] = {}
        for credential in credentials:
            grouped[credential.zone] = (*grouped.get(credential.zone, ()), credential)
        self._accounts = {
            zone.service_account: Account(zone.name, zone.authentication, grouped.get(zone.name, ())) for zone in zones
        }
        return Changes(frozenset(shrunken), frozenset(revoked))

    def _id_of(self, zone: Zone) -> str | None:
        """The id of its cluster; None when that is not configured."""
        if self._clusters == ("",):
            return ""
        return zone.cluster if zone.cluster in self._clusters else None

    def _not_configured(self, zone: Zone) -> str:
        known = ", ".join(map(repr, self._clusters))
        configured = f"cluster is {known}" if len(self._clusters) == 1 else f"clusters are {known}"
        return f"its cluster {zone.cluster!r} is not configured at this gateway; the configured {configured}"

    def take_missed_id(self) -> bool:
        """Whether a client has named a topic id that isn't known, since this was last asked."""
        missed = [state for state in self.zones.values() if state.missed_id]
        for state in missed:
            state.missed_id = False
        return bool(missed)

    def _new_traffic(self, zone: str) -> ZoneTraffic:
        return ZoneTraffic(zone, self._clock, self._burst_seconds, self._on_throttled, self._sharing)

    def share_limits(self, sharing: Sharing) -> None:
        """Other processes serve these zones too, now and in future. Best said before there are any."""
        self._sharing = sharing
        for state in self.zones.values():
            for limiter in state.traffic:
                limiter.share_by(sharing)

    @property
    def credentials(self) -> frozenset[Credential]:
        return self._credentials

    def account(self, username: str) -> Account | None:
        """The service account of this name, if a zone has it."""
        return self._accounts.get(username)

    def decoy_salt(self, username: str) -> bytes:
        """What SCRAM tells of an account without a password; the same at every gateway that has the same
        first cluster, once that is known."""
        return decoy_salt(self._decoy_key, username)
