"""A zone's status: the truth of what every live gateway does, and of what is there on the cluster. Pure.

A zone that has a fault FAILED. Each fault is one condition's, so the status and its conditions can't disagree.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from controlplane.state.log import StoredZone
from controlplane.state.records import GatewayRecord
from controlplane.zone_service import Condition, Status
from protocol.error_codes import ErrorCode

SHOWN_TOPICS: Final = 5
"""Of those that are missing; a list of a thousand helps nobody."""

SHOWN_GATEWAYS: Final = 3
"""Of those that lag behind or have a fault."""

STORED: Final = "Stored"
GATEWAYS: Final = "Gateways"
IN_FORCE: Final = "In force"
SIGN_IN: Final = "Sign-in"
CLUSTER: Final = "Cluster"
TOPICS: Final = "Topics"

_REMEDIES: Final = {
    IN_FORCE: "Change the zone so that it can.",
    SIGN_IN: "Change the gateway's settings, or the zone's authentication mode.",
    CLUSTER: "See that its brokers run, and what the settings say of it.",
    TOPICS: "Create what is missing, let the gateway's user see it, or take it out of the zone.",
}
"""What to do where a condition is not met. Why a zone can't be read says so itself."""

_SIGN_INS: Final = {"PLAIN": "a password", "OAUTHBEARER": "a token", "MTLS": "a certificate"}


@dataclass(frozen=True, slots=True)
class ClusterReport:
    """What was found on a cluster when it was last looked at."""

    problem: str = ""
    """Why it is out of reach."""
    topics: Mapping[str, bool] = field(default_factory=dict)
    """Of topics that were looked for: whether they exist."""
    hidden: Mapping[str, str] = field(default_factory=dict)
    """Of those that don't, as far as one sees: what the brokers answer, where that isn't that they don't exist."""


def zone_status(
    zone: StoredZone, live: Iterable[GatewayRecord], cluster: ClusterReport | None, unreadable: str | None = None
) -> tuple[Status, str | None]:
    """The status and, where it is FAILED, the reason. `cluster` is the zone's own: None where nobody has looked at it.
    `unreadable` says why its last edit can't be read here."""
    gateways = list(live)
    for _, reason in _faults(zone, gateways, cluster, unreadable):
        return Status.FAILED, reason
    if _all_serve(zone, gateways) and _is_looked_up(zone, cluster):
        return Status.READY, None
    return Status.PENDING, None


def zone_conditions(
    zone: StoredZone, live: Iterable[GatewayRecord], cluster: ClusterReport | None, unreadable: str | None = None
) -> Sequence[Condition]:
    """What `zone_status` is made of: READY where all are met, FAILED where one is not."""
    gateways = list(live)
    faults: dict[str, list[str]] = {}
    for name, reason in _faults(zone, gateways, cluster, unreadable):
        faults.setdefault(name, []).append(reason)
    known = [
        _stored(zone),
        _liveness(gateways),
        _in_force(zone, gateways),
        _sign_in(zone, gateways),
        _reach(zone, cluster),
        _existence(zone, cluster),
    ]
    told = [_failed(each.name, faults[each.name]) if each.name in faults else each for each in known]
    return [Condition(each.name, each.met, _sentence(each.detail)) for each in told]


# faults


def _faults(
    zone: StoredZone, gateways: Iterable[GatewayRecord], cluster: ClusterReport | None, unreadable: str | None
) -> Iterator[tuple[str, str]]:
    """The condition that each is of, and what it is; the gravest first."""
    if unreadable:
        yield STORED, unreadable
    yield from _refusals(zone, gateways)
    if cluster is None:
        return
    if cluster.problem:
        yield CLUSTER, f"cluster {zone.resource.spec.cluster!r} is out of reach: {cluster.problem}"
    elif missing := _absence(zone, cluster):
        yield TOPICS, missing


def _refusals(zone: StoredZone, gateways: Iterable[GatewayRecord]) -> Iterator[tuple[str, str]]:
    """What keeps gateways from serving this version, in their own words."""
    name, mode, cluster = zone.resource.metadata.name, zone.resource.mode, zone.resource.spec.cluster
    for gateway in gateways:
        if gateway.applied < zone.offset:
            continue
        if (reason := gateway.refused.get(name)) is not None:
            yield IN_FORCE, f"{_who(gateway)} can't serve the zone: {reason}"
        if (missing := gateway.unusable_modes.get(mode)) is not None:
            yield SIGN_IN, f"{_who(gateway)} lets nobody in: the zone's mode is {mode}, and {missing}"
        if problem := gateway.clusters.get(cluster, gateway.clusters.get("", "")):
            yield CLUSTER, f"{_who(gateway)} can't reach cluster {cluster!r}: {problem}"


def _who(gateway: GatewayRecord) -> str:
    return f"gateway {gateway.gateway}" + (f" worker {gateway.worker}" if gateway.worker is not None else "")


def _absence(zone: StoredZone, cluster: ClusterReport) -> str | None:
    topics = dict.fromkeys(topic.backing_topic for topic in zone.resource.spec.topics)
    missing = [topic for topic in topics if cluster.topics.get(topic) is False]
    by_answer: dict[str, list[str]] = {}
    for topic in missing:
        by_answer.setdefault(cluster.hidden.get(topic, ""), []).append(topic)
    return "; ".join(_absent(topics, answer) for answer, topics in by_answer.items()) or None


def _absent(topics: Sequence[str], answer: str) -> str:
    shown = ", ".join(repr(topic) for topic in topics[:SHOWN_TOPICS])
    more = f" and {len(topics) - SHOWN_TOPICS} more" if len(topics) > SHOWN_TOPICS else ""
    one = len(topics) == 1
    if not answer:
        return f"backing topic {shown} does not exist" if one else f"backing topics {shown}{more} don't exist"
    which = f"backing topic{'' if one else 's'} {shown}{more}"
    if answer == ErrorCode.TOPIC_AUTHORIZATION_FAILED.name:
        return f"the gateway's user may not see {which} on the cluster: {answer}"
    return f"the cluster does not show {which}: {answer}"


# conditions, as they are without faults


def _all_serve(zone: StoredZone, gateways: Sequence[GatewayRecord]) -> bool:
    return bool(gateways) and all(gateway.applied >= zone.offset for gateway in gateways)


def _is_looked_up(zone: StoredZone, cluster: ClusterReport | None) -> bool:
    return cluster is not None and all(topic.backing_topic in cluster.topics for topic in zone.resource.spec.topics)


def _failed(name: str, reasons: Sequence[str]) -> Condition:
    more = f"; and {len(reasons) - SHOWN_GATEWAYS} more" if len(reasons) > SHOWN_GATEWAYS else ""
    shown = _sentence("; ".join(reasons[:SHOWN_GATEWAYS]) + more)
    return Condition(name, False, f"{shown} {_REMEDIES[name]}" if name in _REMEDIES else shown)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _stored(zone: StoredZone) -> Condition:
    since = zone.updated_at.partition(".")[0].replace("T", " ")
    return Condition(STORED, True, f"version {zone.version}, since {since} UTC")


def _liveness(gateways: Sequence[GatewayRecord]) -> Condition:
    count = len({gateway.gateway for gateway in gateways})
    if not count:
        return Condition(
            GATEWAYS, None, "no gateway tells of itself. Start one, or see that it reaches the state topic"
        )
    return Condition(GATEWAYS, True, "1 gateway is live" if count == 1 else f"{count} gateways are live")


def _in_force(zone: StoredZone, gateways: Sequence[GatewayRecord]) -> Condition:
    every = {gateway.gateway for gateway in gateways}
    if not every:
        return Condition(IN_FORCE, None, "it will be as soon as a gateway is live")
    lagging = [gateway for gateway in gateways if gateway.applied < zone.offset]
    if not lagging:
        return Condition(IN_FORCE, True, "on the only gateway" if len(every) == 1 else f"on all {len(every)} gateways")
    behind = {gateway.gateway for gateway in lagging}
    more = f" and {len(lagging) - SHOWN_GATEWAYS} more" if len(lagging) > SHOWN_GATEWAYS else ""
    who = ", ".join(_who(gateway) for gateway in lagging[:SHOWN_GATEWAYS]) + more
    have = f"on {len(every - behind)} of {len(every)} gateway{'' if len(every) == 1 else 's'}"
    return Condition(IN_FORCE, None, f"{have}. Not yet on {who}: wait, or look at what it logs")


def _sign_in(zone: StoredZone, gateways: Sequence[GatewayRecord]) -> Condition:
    if not _all_serve(zone, gateways):
        return Condition(SIGN_IN, None, "it is known once this version is in force")
    return Condition(SIGN_IN, True, f"clients can sign in with {_SIGN_INS[zone.resource.mode]}")


def _reach(zone: StoredZone, cluster: ClusterReport | None) -> Condition:
    name = zone.resource.spec.cluster
    if cluster is None:
        return Condition(CLUSTER, None, f"nobody has looked at cluster {name!r} yet")
    return Condition(CLUSTER, True, f"cluster {name!r} answers")


def _existence(zone: StoredZone, cluster: ClusterReport | None) -> Condition:
    if cluster is not None and cluster.problem:
        return Condition(TOPICS, None, "they can't be looked up while the cluster is out of reach")
    if not _is_looked_up(zone, cluster):
        return Condition(TOPICS, None, "they are being looked up on the cluster")
    count = len({topic.backing_topic for topic in zone.resource.spec.topics})
    return Condition(TOPICS, True, "the backing topic exists" if count == 1 else f"all {count} backing topics exist")
