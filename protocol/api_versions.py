"""ApiVersions: version ranges, their intersection, and the answers (KIP-35, KIP-511, KIP-584).

Which features are passed on is decided in `protocol/features.py`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from protocol.error_codes import ErrorCode
from protocol.features import Features, common_features, features_of, passed_on
from protocol.schema import Message, Struct, response_struct

KEY: Final = 18
NEWEST: Final = 4
"""KIP-1242's version 5 carries the cluster id that the client believes in; clients fall back to 4."""

Ranges = Mapping[int, tuple[int, int]]
"""API key -> lowest and highest version."""

FIRST_WITH_FEATURES: Final = 3
FIRST_WITH_LEVEL_0: Final = 4
"""Older clients can't read a supported feature whose lowest level is 0 (KAFKA-17011)."""

PRODUCE_LOWEST_ADVERTISED: Final = 0
"""Brokers serve Produce from 3 but advertise it from 0, or librdkafka before 2.11.1 stops compressing (KAFKA-18659)."""


@dataclass(frozen=True, slots=True)
class BrokerVersions:
    """What a broker says of itself."""

    apis: Ranges = field(default_factory=dict)
    features: Features = field(default_factory=Features)


_SOFTWARE: Final = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?")


def intersect(ours: Ranges, broker: Ranges) -> dict[int, tuple[int, int]]:
    """What both understand; keys without a common version are left out."""
    both = {}
    for key, (low, high) in ours.items():
        if key in broker:
            low, high = max(low, broker[key][0]), min(high, broker[key][1])
            if low <= high:
                both[key] = (low, high)
    return both


def common(ranges: Iterable[Ranges]) -> dict[int, tuple[int, int]]:
    """What every one of several brokers understands."""
    result: dict[int, tuple[int, int]] | None = None
    for one in ranges:
        result = dict(one) if result is None else intersect(result, one)
    return result or {}


def ranges_of(response: Message) -> dict[int, tuple[int, int]]:
    return {entry.api_key: (entry.min_version, entry.max_version) for entry in response.api_keys}


def versions_of(response: Message) -> BrokerVersions:
    """All that an answer to version 3+ tells."""
    return BrokerVersions(ranges_of(response), features_of(response))


def common_versions(brokers: Iterable[BrokerVersions]) -> BrokerVersions:
    """What every one of several brokers understands."""
    several = list(brokers)
    return BrokerVersions(
        common(broker.apis for broker in several), common_features(broker.features for broker in several)
    )


def build_response(version: int, offered: Ranges, features: Features) -> Message:
    """The answer to a version that we know; of the broker's features it has those that `offered` can keep."""
    return build_with_features(version, offered, passed_on(features, offered))


def build_with_features(version: int, offered: Ranges, features: Features) -> Message:
    """The answer to a version that we know, with just these features."""
    struct = response_struct(KEY, version)
    entry = struct.nested("api_keys")
    keys = tuple(
        entry.new(api_key=key, min_version=PRODUCE_LOWEST_ADVERTISED if key == 0 else low, max_version=high)
        for key, (low, high) in sorted(offered.items())
    )
    tagged = _features(struct, version, features) if version >= FIRST_WITH_FEATURES else {}
    return struct.new(error_code=ErrorCode.NONE, api_keys=keys, **tagged)


def _features(struct: Struct, version: int, features: Features) -> dict[str, Any]:
    supported, finalized = struct.nested("supported_features"), struct.nested("finalized_features")
    return {
        "supported_features": tuple(
            supported.new(name=name, min_version=low, max_version=high)
            for name, (low, high) in sorted(features.supported.items())
            if low > 0 or version >= FIRST_WITH_LEVEL_0
        ),
        "finalized_features": tuple(
            finalized.new(name=name, min_version_level=level, max_version_level=level)
            for name, level in sorted(features.finalized.items())
        ),
        "finalized_features_epoch": features.epoch,
    }


def build_unsupported(own: tuple[int, int]) -> Message:
    """The answer to a version above ours: a version 0 body that names only ApiVersions itself (KIP-511)."""
    struct = response_struct(KEY, 0)
    entry = struct.nested("api_keys").new(api_key=KEY, min_version=own[0], max_version=own[1])
    return struct.new(error_code=ErrorCode.UNSUPPORTED_VERSION, api_keys=(entry,))


def build_error(version: int, code: ErrorCode) -> Message:
    return response_struct(KEY, version).new(error_code=code)


def has_valid_software(request: Message) -> bool:
    """Versions 3+ name the client's software; a broker refuses names that it would not put into a metric."""
    names = (
        (request.client_software_name, request.client_software_version)
        if hasattr(request, "client_software_name")
        else ()
    )
    return all(_SOFTWARE.fullmatch(name) for name in names)
