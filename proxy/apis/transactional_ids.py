"""Transactional ids: in the zone's own namespace, as group ids are, and of use only to a zone that may write."""

from typing import Final

from policies.zone import ZoneRules
from protocol.error_codes import ErrorCode

MAX_ID_BYTES: Final = 0x7FFF
"""Of a qualified id: brokers take no longer string, whatever the version, and close the connection."""


def is_too_long(rules: ZoneRules, name: str) -> bool:
    """True for a group or transactional id that has no place for the zone's prefix."""
    return len(rules.qualify(name).encode()) > MAX_ID_BYTES


def refusal_of(rules: ZoneRules, transactional_id: str) -> ErrorCode | None:
    """Why a zone can't use this id, None when it can. As a broker, permission comes first."""
    if not rules.writable:
        return ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    # with the zone's prefix, an empty id would be a legal one, shared by all who forget theirs
    if not transactional_id or is_too_long(rules, transactional_id):
        return ErrorCode.INVALID_REQUEST
    return None
