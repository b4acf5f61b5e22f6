"""The kinds of gateways and brokers that are fuzzed."""

import dataclasses
from collections.abc import Mapping
from typing import Final

from policies.zone import Alias, Permission, Zone, ZoneLimits
from protocol.features import Features
from proxy.apis.table import plans_for
from proxy.close import CloseReason
from proxy.config import GatewayConfig, Limits
from tests.fuzz import bearer
from tests.fuzz.checks import OTHER_TOPIC, OTHER_ZONE
from tests.unit.proxy.playbook import BROKER_VERSIONS, CONFIG, ZONE, Plans, typed_plans

LIMITS: Final = Limits(
    frame_bytes_before_authentication=16_384,
    frame_bytes=1 << 20,
    request_bytes=131_072,
    requests_in_flight=8,
)
"""Small enough to be met."""
OTHER: Final = Zone(OTHER_ZONE, "cluster", "janedoe", (Alias("orders", OTHER_TOPIC, Permission.WRITE),))
BEARER: Final = Zone(
    "neighbour-3", "cluster", "tokenuser", (Alias("orders", OTHER_TOPIC, Permission.WRITE),), "OAUTHBEARER"
)
ACCOUNTS: Final[Mapping[str, Zone]] = {zone.service_account: zone for zone in (ZONE, OTHER, BEARER)}
UNLIMITED: Final = ZoneLimits()
TIGHT: Final = ZoneLimits(produce_rate=2, consume_rate=2, commits_per_minute=3)
"""So that most connections that have produced, fetched or committed are in debt."""
LIMITS_OF_ZONES: Final[Mapping[str, ZoneLimits]] = {
    "no limits": UNLIMITED,
    "tight limits": TIGHT,
    "other limits": ZoneLimits(produce_rate=1, commits_per_minute=1_000_000),
}
ENDS: Final = frozenset(CloseReason) - {CloseReason.INTERNAL_ERROR}


FEATURES: Final = Features(
    {"transaction.version": (0, 2), "group.version": (0, 1), "metadata.version": (1, 29), "☃": (-1, 32_767)},
    {"transaction.version": 2, "group.version": 1, "metadata.version": 29, "☃": -5},
    7,
)
LEAST: Final = {3: 12, 8: 8, 9: 8}
"""Versions that the gateway itself uses towards brokers; all since Kafka 3.1 have them."""


def _older(share: float) -> dict[int, tuple[int, int]]:
    return {
        key: (low, max(low + int((high - low) * share), LEAST.get(key, 0)))
        for key, (low, high) in BROKER_VERSIONS.items()
    }


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """What is fixed for the life of a world."""

    versions: Mapping[int, tuple[int, int]]
    """Of the brokers."""
    plans: Plans = plans_for
    session_seconds: float = 3600.0
    """After which clients have to sign in again; they may before that (KIP-368)."""
    limits: ZoneLimits = UNLIMITED
    """Of each zone, at the beginning."""


NEWEST: Final = Setting(BROKER_VERSIONS)
SETTINGS: Final[Mapping[str, Setting]] = {
    "newest": NEWEST,
    "older": Setting(_older(0.6), session_seconds=0.0),
    "few": Setting({key: BROKER_VERSIONS[key] for key in (0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 18)}),
    "typed": Setting(BROKER_VERSIONS, typed_plans),
    "short": Setting(BROKER_VERSIONS, session_seconds=1e-6),
    "limited": Setting(BROKER_VERSIONS, limits=TIGHT),
}
"""Brokers of different age; no byte paths; sessions that are over as soon as they have begun; zones with limits."""


def with_limits(limits: ZoneLimits, *zones: Zone) -> tuple[Zone, ...]:
    return tuple(dataclasses.replace(zone, limits=limits) for zone in zones)


def config_of(setting: Setting) -> GatewayConfig:
    return dataclasses.replace(
        CONFIG, limits=LIMITS, max_reauthentication_seconds=setting.session_seconds, oauth=bearer.OAUTH
    )
