"""The zones that this gateway serves: rules compiled for the wire, virtual topic ids, and who may sign in.

A `ZoneState` is made when it is first needed, when somebody has signed in: of tens of thousands of zones, most are
asleep. It is replaced when its zone's definition changes; what changes inside is only what the gateway learns of the
brokers' topic ids, so that ids and names always belong together.
"""

import logging
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final

from policies.credentials import Credential, decoy_salt
from policies.topic_ids import virtual_cluster_id, virtual_topic_id
from policies.zone import Alias, Zone, ZoneLimits, ZoneRules
from protocol.codec import write_uvarint
from protocol.error_codes import ErrorCode
from protocol.schema import API_NAMES, ZERO_ID
from proxy.accounts import Account, Accounts, CredentialChanges
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
NO_LIMITS: Final = ZoneLimits()

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


class ClusterIds:
    """What the zones of one cluster have their virtual ids from."""

    __slots__ = ("key", "topics")

    def __init__(self, key: bytes = b"") -> None:
        self.key = key
        """The cluster's own id; empty until it is known."""
        self.topics: dict[str, bytes] = {}
        """Backing topic -> id, as far as known."""


class ZoneState:
    """One zone as this gateway serves it."""

    def __init__(
        self, rules: ZoneRules, metrics: GatewayMetrics, ids: ClusterIds, traffic: ZoneTraffic, missed: set[str]
    ) -> None:
        """`missed` gets the zone's name when a client names a topic id that isn't known."""
        self.rules = rules
        self.name = rules.name
        self.metrics = metrics
        self.traffic = traffic
        self.cluster_id = virtual_cluster_id(ids.key, rules.name)
        self.transactional_prefix = rules.prefix.encode()
        self.commits = Turnstile()
        """Group by group: a commit that is merged into what is stored must not overtake another."""
        self.subscriptions = Subscriptions()
        self.owners = SoleOwners()
        self.pending_commits = PendingCommits()
        self.ids = ids
        self._missed = missed
        self._warned = float("-inf")
        self._meters: dict[int, ApiMeter] = {}
        routes = [self._new_route(alias, metrics.alias(rules.name, alias.name)) for alias in rules.aliases]
        self.routes_by_name = {route.alias.name.encode(): route for route in routes}
        self.routes_by_id = {route.client[BY_ID]: route for route in routes if route.client[BY_ID] != ZERO_ID}

    def _new_route(self, alias: Alias, meter: AliasMeter) -> Route:
        topic_id = self.ids.topics.get(alias.topic, ZERO_ID)
        return Route(alias, meter, virtual_topic_id(self.ids.key, self.name, alias.name, topic_id), topic_id)

    def meter(self, api_key: int) -> ApiMeter:
        meter = self._meters.get(api_key)
        if meter is None:
            meter = self._meters[api_key] = self.metrics.api(self.name, api_key)
        return meter

    def requests(self, api_keys: Iterable[int]) -> int:
        """Of these APIs, as far as they were answered since the zone is as it is."""
        return sum(meter.requests for key in api_keys if (meter := self._meters.get(key)) is not None)

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
                self.ids.topics[topic] = topic_id
                self.routes_by_id.pop(known.client[BY_ID], None)
                route = self._new_route(alias, known.meter)
                self.routes_by_name[alias.name.encode()] = self.routes_by_id[route.client[BY_ID]] = route

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
            self._missed.add(self.name)
            return None
        return route.alias


@dataclass(frozen=True, slots=True)
class Changes:
    """What a new set of zones and credentials has changed, and what it takes away from sessions that are running."""

    zones_before: tuple[Zone, ...]
    zones_after: tuple[Zone, ...]
    shrunken_zones: frozenset[str]
    credentials: CredentialChanges

    @property
    def revoked_credentials(self) -> frozenset[str]:
        return self.credentials.revoked


class _Awake(dict[str, ZoneState]):
    """Of zones that somebody has signed in to; asking for another zone's wakes it."""

    def __init__(self, wake: Callable[[str], ZoneState]) -> None:
        super().__init__()
        self._wake = wake

    def __missing__(self, zone: str) -> ZoneState:
        state = self[zone] = self._wake(zone)
        return state


class ZoneRegistry:
    """All zones and credentials. What `apply` costs grows with what is edited, not with what there is."""

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
        self._ids = {cluster: ClusterIds() for cluster in clusters}
        self._clock = clock
        self._burst_seconds = burst_seconds
        self._on_throttled = on_throttled
        self._sharing: Sharing | None = None
        self._decoy_key = secrets.token_bytes(32)
        self._missed: set[str] = set()
        self._limited = 0
        self.served: Mapping[str, Zone] = {}
        self.unserved: Mapping[str, str] = {}
        """Zone -> why it can't be served here, in plain words."""
        self.zones: dict[str, ZoneState] = _Awake(self._wake)
        """Of the zones that are in use: a zone's is made when it is first asked for. Raises KeyError for one that isn't
        served."""
        self._accounts = Accounts()

    # ids

    def identify(self, cluster: str, kafka_id: str) -> None:
        """Derive virtual ids from a cluster's own id, which every gateway of the cluster knows."""
        key = kafka_id.encode()
        if cluster == self._clusters[0]:
            self._decoy_key = key
        if self._ids[cluster].key != key:
            before, self._ids[cluster] = self._ids[cluster], ClusterIds(key)
            for name, state in self.zones.items():
                if state.ids is before:
                    self.zones[name] = self._new_state(self.served[name], state.traffic)

    def topics(self, cluster: str, zones: Iterable[str] | None = None) -> list[str]:
        """The backing topics of a cluster's zones, of all or of these, each once."""
        asked = map(self.served.get, self.served if zones is None else zones)
        of_cluster = (zone for zone in asked if zone is not None and self._cluster_id(zone) == cluster)
        return list(dict.fromkeys(alias.topic for zone in of_cluster for alias in zone.aliases))

    def learn(self, cluster: str, topic_ids: Mapping[str, bytes], zones: Iterable[str] | None = None) -> None:
        """Take note of the ids (topic -> id) of these zones' topics, or of all."""
        ids = self._ids[cluster]
        ids.topics.update((topic, topic_id) for topic, topic_id in topic_ids.items() if topic_id != ZERO_ID)
        for state in map(self.zones.get, list(self.zones) if zones is None else zones):
            if state is not None and state.ids is ids:
                for topic in state.rules.topics:
                    state.learn(topic, topic_ids.get(topic, ZERO_ID))

    @property
    def missed_ids(self) -> bool:
        """Whether clients have named topic ids that aren't known."""
        return bool(self._missed)

    def take_missed(self) -> frozenset[str]:
        """The zones whose clients have done so, since this was last asked."""
        missed = frozenset(self._missed)
        self._missed.clear()
        return missed

    # clusters

    def cluster_of(self, zone: str) -> str:
        """The id of the cluster that a zone is served from."""
        return self._cluster_id(self.served[zone])

    def _cluster_id(self, zone: Zone) -> str:
        return zone.cluster if zone.cluster in self._ids else ""

    def _is_served(self, zone: Zone) -> bool:
        return "" in self._ids or zone.cluster in self._ids

    def _not_configured(self, zone: Zone) -> str:
        known = ", ".join(map(repr, self._clusters))
        configured = f"cluster is {known}" if len(self._clusters) == 1 else f"clusters are {known}"
        return f"its cluster {zone.cluster!r} is not configured at this gateway; the configured {configured}"

    # edits

    def apply(self, zones: Sequence[Zone], credentials: Sequence[Credential]) -> Changes:
        """Serve these and only these from now on. Zones that are the same objects as before are not looked at."""
        old, new = self.served, {zone.name: zone for zone in zones}
        if "" not in self._ids:
            self.unserved = {zone.name: self._not_configured(zone) for zone in zones if not self._is_served(zone)}
            for name in self.unserved:
                del new[name]
        others = [zone for name, zone in new.items() if old.get(name) is not zone]
        after = tuple(zone for zone in others if old.get(zone.name) != zone)
        gone = [zone for name, zone in old.items() if name not in new]
        before = (*gone, *(old[zone.name] for zone in after if zone.name in old))
        self.served = new
        self._accounts.use_zones(new, before, after)
        self._limited += sum(zone.limits != NO_LIMITS for zone in after) - sum(z.limits != NO_LIMITS for z in before)
        shrunken = frozenset(zone.name for zone in before if self._replace(zone, new.get(zone.name)))
        return Changes(before, after, shrunken, self._accounts.use_credentials(credentials))

    def _replace(self, before: Zone, after: Zone | None) -> bool:
        """Serve `after` in its place, or nothing; True when live sessions must end."""
        ids, state = self._ids[self._cluster_id(before)], self.zones.get(before.name)
        moved = after is not None and self._ids[self._cluster_id(after)] is not ids
        kept = {alias.topic for alias in after.aliases} if after is not None and not moved else ()
        for alias in before.aliases:
            if alias.topic not in kept:
                # where another zone has it too, it is learnt again when it is missed
                ids.topics.pop(alias.topic, None)
        if after is None:
            self.zones.pop(before.name, None)
            return True
        if state is not None:
            state.traffic.configure(after.limits)
            self.zones[after.name] = self._new_state(after, state.traffic)
            if not moved:
                self.zones[after.name].inherit(state)
        return moved or ZoneRules(after).shrank_from(ZoneRules(before))

    def _wake(self, name: str) -> ZoneState:
        zone = self.served[name]
        traffic = ZoneTraffic(name, self._clock, self._burst_seconds, self._on_throttled, self._sharing)
        traffic.configure(zone.limits)
        return self._new_state(zone, traffic)

    def _new_state(self, zone: Zone, traffic: ZoneTraffic) -> ZoneState:
        return ZoneState(ZoneRules(zone), self._metrics, self._ids[self._cluster_id(zone)], traffic, self._missed)

    # limits

    @property
    def has_limits(self) -> bool:
        """Whether any zone has one."""
        return self._limited > 0

    def share_limits(self, sharing: Sharing) -> None:
        """Other processes serve these zones too, now and in future. Best said before there are any."""
        self._sharing = sharing
        for state in self.zones.values():
            for limiter in state.traffic:
                limiter.share_by(sharing)

    # accounts

    @property
    def credentials(self) -> Mapping[str, Credential]:
        """By their ids."""
        return self._accounts.credentials

    def account(self, username: str) -> Account | None:
        """The service account of this name, if a zone has it."""
        return self._accounts.find(username)

    def decoy_salt(self, username: str) -> bytes:
        """What SCRAM tells of an account without a password; the same at every gateway that has the same first cluster,
        once that is known."""
        return decoy_salt(self._decoy_key, username)
