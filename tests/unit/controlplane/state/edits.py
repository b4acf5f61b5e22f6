"""Records of the state topic, made for tests."""

import itertools
from collections.abc import Mapping
from typing import Any

from controlplane.state.log import StateLog, compacted
from controlplane.state.records import CredentialRecord, ZoneRecord
from policies.credentials import hash_password

_attempts = itertools.count(1)


def manifest(name: str, account: str = "johndoe", topic: str = "kafka-topic-a") -> dict[str, Any]:
    mode = {"type": "PLAIN", "serviceAccount": account}
    topics = [{"name": "topic-a", "backingTopic": topic, "permission": "WRITE"}]
    spec = {"cluster": "partner1", "serviceAccount": account, "authenticationMode": mode, "topics": topics}
    return {"apiVersion": "v2", "kind": "PartnerZone", "metadata": {"name": name}, "spec": spec}


def edit(
    name: str, version: int, account: str = "johndoe", zone_id: str = "id-1", topic: str = "kafka-topic-a"
) -> ZoneRecord:
    return _edit(name, version, zone_id, manifest(name, account, topic))


def deletion(name: str, version: int, zone_id: str = "id-1") -> ZoneRecord:
    return _edit(name, version, zone_id, None)


def _edit(name: str, version: int, zone_id: str, content: Mapping[str, Any] | None) -> ZoneRecord:
    return ZoneRecord(
        name, f"attempt-{next(_attempts)}", version, zone_id, "2025-01-27T12:55:05.387368Z", b"salt", content
    )


def credential(credential_id: str, zone: str, zone_id: str = "id-1") -> CredentialRecord:
    return CredentialRecord(credential_id, zone, zone_id, "2025-01-27T12:55:05Z", None, hash_password("secret"), None)


class Topic:
    """A log that records are appended to."""

    def __init__(self) -> None:
        self.records: list[tuple[int, bytes, bytes | None]] = []
        self._offset = -1

    def append(self, key: bytes, value: bytes | None) -> int:
        self._offset += 1
        self.records.append((self._offset, key, value))
        return self._offset

    def read(self, log: StateLog | None = None, limit: int | None = None) -> StateLog:
        """What a reader makes of the records behind those that it knows, up to an offset."""
        log = log or StateLog()
        for offset, key, value in self.records:
            if offset <= log.offset or (limit is not None and offset > limit):
                continue
            if log.misses(offset):
                self._begin_anew(log)
                return log
            log.apply(offset, key, value)
        return log

    def _begin_anew(self, log: StateLog) -> None:
        """Reads to the end, as it does who finds that records are gone."""
        fresh = StateLog()
        for record in compacted(self.records):
            fresh.apply(*record)
        fresh.caught_up(self._offset)
        log.become(fresh)
