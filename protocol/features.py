"""Features of a cluster (KIP-584): which of a broker's a client may be told of, and up to which level.

A client relies on what a finalized feature implies: seeing `transaction.version` 2 it adds no partitions to its
transactions any more and counts on newer versions of other APIs. So a feature passes only up to the level whose APIs
are all offered, and every feature that isn't listed here stays behind.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from protocol.schema import Message

_PRODUCE, _END_TXN, _TXN_OFFSET_COMMIT = 0, 26, 28
_CONSUMER_GROUP_HEARTBEAT, _CONSUMER_GROUP_DESCRIBE = 68, 69

IMPLIED: Final[Mapping[str, Sequence[Mapping[int, int]]]] = {
    # 1 is only about how brokers store transactions (KIP-890)
    "transaction.version": ({}, {_PRODUCE: 12, _END_TXN: 5, _TXN_OFFSET_COMMIT: 5}),
    "group.version": ({_CONSUMER_GROUP_HEARTBEAT: 0, _CONSUMER_GROUP_DESCRIBE: 0},),
}
"""Feature -> per level, beginning with 1, the API keys and versions that it implies."""

UNKNOWN_EPOCH: Final = -1


@dataclass(frozen=True, slots=True)
class Features:
    """What a broker supports (name -> lowest and highest level), and what its cluster has finalized (name -> level)."""

    supported: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    finalized: Mapping[str, int] = field(default_factory=dict)
    epoch: int = UNKNOWN_EPOCH
    """Of what is finalized; clients keep the newest that they have seen."""


def features_of(response: Message) -> Features:
    """The features in an answer to ApiVersions 3+."""
    epoch = response.finalized_features_epoch
    return Features(
        {feature.name: (feature.min_version, feature.max_version) for feature in response.supported_features},
        {feature.name: feature.max_version_level for feature in response.finalized_features} if epoch >= 0 else {},
        epoch,
    )


def common_features(brokers: Iterable[Features]) -> Features:
    """What holds for every one of several brokers: the lowest levels, in the oldest epoch."""
    several = list(brokers)
    if not several:
        return Features()
    first = several[0]
    return Features(
        {
            name: (max(one.supported[name][0] for one in several), min(one.supported[name][1] for one in several))
            for name in first.supported
            if all(name in one.supported for one in several)
        },
        {
            name: min(one.finalized[name] for one in several)
            for name in first.finalized
            if all(name in one.finalized for one in several)
        },
        min(one.epoch for one in several),
    )


def passed_on(features: Features, offered: Mapping[int, tuple[int, int]]) -> Features:
    """The part of a broker's features that these APIs keep the promises of."""
    highest = {name: _highest_level(levels, offered) for name, levels in IMPLIED.items()}
    return Features(
        {
            name: (low, min(high, highest[name]))
            for name, (low, high) in features.supported.items()
            if highest.get(name, 0) >= max(low, 1)
        },
        {
            name: min(level, highest[name])
            for name, level in features.finalized.items()
            if min(level, highest.get(name, 0)) > 0
        },
        features.epoch,
    )


def _highest_level(levels: Sequence[Mapping[int, int]], offered: Mapping[int, tuple[int, int]]) -> int:
    level = 0
    for implied in levels:
        if not all(key in offered and offered[key][1] >= version for key, version in implied.items()):
            break
        level += 1
    return level
