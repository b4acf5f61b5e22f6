"""Keys to the REST API. The settings have one to begin with; others are kept in the state topic, as hashes.

    zonegate_<id>_<secret>

The id says which hash to compare with. The secret has 196 random bits, so that one fast hash is enough.
"""

import hmac
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

from controlplane.state.log import StateLog
from controlplane.state.records import ApiKeyRecord
from controlplane.state.writer import Write
from controlplane.times import format_time
from controlplane.zone_service import ApiKeyView, Conflict, NotFound
from policies.credentials import hash_password, new_password, verify_password

PREFIX: Final = "zonegate"
BOOTSTRAP: Final = ApiKeyView("bootstrap", "the settings' own", "")


class Writer(Protocol):
    """Who writes the state topic."""

    async def write(self, *writes: Write) -> Sequence[bool]: ...


class ApiKeys:
    def __init__(self, log: StateLog, writer: Writer, bootstrap: str) -> None:
        self._log = log
        self._writer = writer
        self._bootstrap = bootstrap.encode()

    def find(self, key: str) -> ApiKeyView | None:
        """Whose key it is; None for one that opens nothing."""
        if hmac.compare_digest(key.encode("utf-8", "surrogatepass"), self._bootstrap):
            return BOOTSTRAP
        prefix, _, rest = key.partition("_")
        key_id, _, secret = rest.partition("_")
        record = self._log.api_keys.get(key_id) if prefix == PREFIX else None
        return _view(record) if record is not None and verify_password(secret, record.key_hash) else None

    def all(self) -> Sequence[ApiKeyView]:
        return [_view(record) for record in sorted(self._log.api_keys.values(), key=lambda each: each.created)]

    async def create(self, name: str) -> tuple[ApiKeyView, str]:
        """With the key itself. Raises Conflict or Unavailable."""
        if any(each.name == name for each in self._log.api_keys.values()):
            raise Conflict(f"there is a key named {name!r} already; delete it or choose another name")
        secret = new_password()
        record = ApiKeyRecord(secrets.token_hex(8), name, format_time(datetime.now(UTC)), hash_password(secret))
        await self._writer.write(Write(record.key, record.value()))
        return _view(record), f"{PREFIX}_{record.id}_{secret}"

    async def delete(self, key_id: str) -> None:
        """Raises NotFound or Unavailable."""
        record = self._log.api_keys.get(key_id)
        if record is None:
            raise NotFound(f"there is no key {key_id!r}; 'zonegate api-keys list' shows them")
        await self._writer.write(Write(record.key, None))


def _view(record: ApiKeyRecord) -> ApiKeyView:
    return ApiKeyView(record.id, record.name, record.created)
