"""Virtual topic and cluster ids: pure functions, so that every gateway gives the same ones without asking another."""

import hashlib
import hmac
from base64 import urlsafe_b64encode

_RESERVED = (bytes(16), bytes(15) + b"\x01")
"""Kafka's Uuid.ZERO_UUID and ONE_UUID, which no topic may have."""


def virtual_topic_id(key: bytes, zone: str, alias: str, backing_id: bytes) -> bytes:
    """16 bytes, one per zone, alias and incarnation of the backing topic. Zero (no id) stays zero."""
    if backing_id == _RESERVED[0]:
        return backing_id
    digest = hmac.digest(key, b"\0".join((b"topic", zone.encode(), alias.encode(), backing_id)), hashlib.sha256)
    for start in range(0, len(digest) - 15):
        if digest[start : start + 16] not in _RESERVED:
            return digest[start : start + 16]
    raise AssertionError("a SHA-256 digest without 16 usable bytes")


def virtual_cluster_id(key: bytes, zone: str) -> str:
    """Looks like Kafka's own: 16 bytes in URL-safe base64 without padding."""
    digest = hmac.digest(key, b"cluster\0" + zone.encode(), hashlib.sha256)
    return urlsafe_b64encode(digest[:16]).rstrip(b"=").decode()
