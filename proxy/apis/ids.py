"""Group and transactional ids: in the zone's own namespace, and what a zone may do with its own."""

from typing import Final

from policies.zone import ZoneRules
from protocol.error_codes import ErrorCode

MAX_ID_BYTES: Final = 0x7FFF
"""Of a qualified id: a string's length is an int16 in versions that are not flexible, and in the brokers' own logs."""

GROUP_OPERATIONS: Final = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10
"""READ, DELETE, DESCRIBE and DESCRIBE_CONFIGS: bit n is AclOperation n."""

UNKNOWN_HOST: Final = "-"
"""Of a group's member: brokers know only the gateway's address. Kafka's tools print this for what they don't know."""


def is_too_long(rules: ZoneRules, name: str) -> bool:
    """True for a group or transactional id that has no place for the zone's prefix."""
    return len(rules.qualify(name).encode()) > MAX_ID_BYTES


def group_refusal(rules: ZoneRules, group_id: str, *, empty_allowed: bool = False) -> ErrorCode | None:
    """Why a group id is refused; None when it isn't. With the zone's prefix, an empty one would be a legal one."""
    if not rules.aliases:
        return ErrorCode.GROUP_AUTHORIZATION_FAILED
    if (not group_id and not empty_allowed) or is_too_long(rules, group_id):
        return ErrorCode.INVALID_GROUP_ID
    return None


def transaction_refusal(rules: ZoneRules, transactional_id: str) -> ErrorCode | None:
    """Why a zone can't use this transactional id, None when it can. As with a broker, permission comes first."""
    if not rules.writable:
        return ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    # with the zone's prefix, an empty id would be a legal one, shared by all who forget theirs
    if not transactional_id or is_too_long(rules, transactional_id):
        return ErrorCode.INVALID_REQUEST
    return None
