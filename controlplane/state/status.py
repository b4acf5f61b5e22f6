"""A zone's status: the truth of what every live gateway does, and of what is there on the cluster. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from controlplane.state.log import StoredZone
from controlplane.state.records import GatewayRecord
from controlplane.zone_service import Status
from protocol.error_codes import ErrorCode

SHOWN_TOPICS: Final = 5
"""Of those that are missing; a list of a thousand helps nobody."""


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
    reason = unreadable or _refusal(zone, gateways) or _absence(zone, cluster)
    if reason:
        return Status.FAILED, reason
    checked = cluster is not None and all(topic.backing_topic in cluster.topics for topic in zone.resource.spec.topics)
    if checked and gateways and all(gateway.applied >= zone.offset for gateway in gateways):
        return Status.READY, None
    return Status.PENDING, None


def _refusal(zone: StoredZone, gateways: Iterable[GatewayRecord]) -> str | None:
    """What keeps a gateway from serving this version, in the gateway's own words."""
    name, mode, cluster = zone.resource.metadata.name, zone.resource.mode, zone.resource.spec.cluster
    for gateway in gateways:
        if gateway.applied < zone.offset:
            continue
        who = f"gateway {gateway.gateway}" + (f" worker {gateway.worker}" if gateway.worker is not None else "")
        if (reason := gateway.refused.get(name)) is not None:
            return f"{who} can't serve the zone: {reason}"
        if (missing := gateway.unusable_modes.get(mode)) is not None:
            return f"{who} lets nobody in: the zone's mode is {mode}, and {missing}"
        if problem := gateway.clusters.get(cluster, gateway.clusters.get("", "")):
            return f"{who} can't reach cluster {cluster!r}: {problem}"
    return None


def _absence(zone: StoredZone, cluster: ClusterReport | None) -> str | None:
    if cluster is None:
        return None
    if cluster.problem:
        return f"cluster {zone.resource.spec.cluster!r} is out of reach: {cluster.problem}"
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
