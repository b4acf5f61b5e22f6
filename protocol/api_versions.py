"""ApiVersions: version ranges, their intersection, and the answers (KIP-35, KIP-511, KIP-584).

No finalized feature is passed on: a client that sees `transaction.version` or `group.version` relies on APIs that are
not offered here, or not in the versions that the feature implies.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from protocol.error_codes import ErrorCode
from protocol.schema import Message, response_struct

KEY: Final = 18
NEWEST: Final = 4
"""KIP-1242's version 5 carries the cluster id that the client believes in; clients fall back to 4."""

Ranges = Mapping[int, tuple[int, int]]
"""API key -> lowest and highest version."""

PRODUCE_LOWEST_ADVERTISED: Final = 0
"""Brokers serve Produce from 3 but advertise it from 0, or librdkafka before 2.11.1 stops compressing (KAFKA-18659)."""

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


def build_response(version: int, offered: Ranges) -> Message:
    """The answer to a version that we know."""
    struct = response_struct(KEY, version)
    entry = struct.nested("api_keys")
    keys = tuple(
        entry.new(api_key=key, min_version=PRODUCE_LOWEST_ADVERTISED if key == 0 else low, max_version=high)
        for key, (low, high) in sorted(offered.items())
    )
    return struct.new(error_code=ErrorCode.NONE, api_keys=keys)


def build_unsupported(own: tuple[int, int]) -> Message:
    """The answer to a version above ours: a version 0 body that names only ApiVersions itself (KIP-511)."""
    struct = response_struct(KEY, 0)
    entry = struct.nested("api_keys").new(api_key=KEY, min_version=own[0], max_version=own[1])
    return struct.new(error_code=ErrorCode.UNSUPPORTED_VERSION, api_keys=(entry,))


def build_invalid(version: int) -> Message:
    return response_struct(KEY, version).new(error_code=ErrorCode.INVALID_REQUEST)


def has_valid_software(request: Message) -> bool:
    """Versions 3+ name the client's software; a broker refuses names that it would not put into a metric."""
    names = (
        (request.client_software_name, request.client_software_version)
        if hasattr(request, "client_software_name")
        else ()
    )
    return all(_SOFTWARE.fullmatch(name) for name in names)
