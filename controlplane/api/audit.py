"""What the REST API and the pages say to the audit log: who changed what, or tried to; who signed in, and who came
with a wrong key.

Lines are like those of `proxy.audit`, which is the usual sink: flat, without secrets, and sampled where anybody can
cause them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic, time
from typing import Any, Final, Protocol

from controlplane.api.errors import status_of
from controlplane.http_requests import HttpProblem
from controlplane.zone_service import ApiKeyView, ServiceError
from policies.sampling import Sample, Sampler

WINDOW_SECONDS: Final = 10.0
"""At most one line of each address in that time, as for failed sign-ins of partners."""

MAX_ADDRESSES: Final = 10_000

MAX_NAME: Final = 255
"""Characters of a name that a caller chose."""

CREATE: Final = "Admin.PartnerZone.Create"
UPDATE: Final = "Admin.PartnerZone.Update"
DELETE: Final = "Admin.PartnerZone.Delete"
TOKEN_CREATE: Final = "Admin.PartnerZone.TokenCreate"  # noqa: S105 - the vendor's name for a new password
TOKEN_REVOKE: Final = "Admin.PartnerZone.TokenRevoke"  # noqa: S105 - in the same manner
KEY_CREATE: Final = "Admin.ApiKey.Create"
KEY_DELETE: Final = "Admin.ApiKey.Delete"

_REASONS: Final = {400: "invalid", 404: "not_found", 409: "conflict", 412: "stale", 503: "unavailable"}


class AuditLog(Protocol):
    """Where lines go: `proxy.audit.Audit`, for example."""

    def write(self, event: str, fields: Mapping[str, object]) -> None:
        """One line; fields that are None are left out of it."""
        ...


@dataclass(slots=True)
class Change:
    """What somebody is about to do; what becomes known on the way is filled in."""

    action: str
    zone: str | None = None
    credential_id: str | None = None
    changed_key_id: str | None = None
    changed_key: str | None = None
    nothing: bool = False
    """It is a trial, or it came out that there is nothing to change: there is nothing to tell, either."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    address: str
    reason: str


class ApiAudit:
    """The lines of one API."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log
        self._refusals: Sampler[str, _Refusal] = Sampler(WINDOW_SECONDS, MAX_ADDRESSES, MAX_ADDRESSES)

    @contextmanager
    def change(self, address: str, key: ApiKeyView, change: Change) -> Iterator[Change]:
        """Tells of a change when it is done, or why it is not."""
        try:
            yield change
        except HttpProblem:
            raise  # a request that could not be read: nobody knows what it was to be
        except Exception as error:
            status = status_of(error) if isinstance(error, ServiceError) else 500
            self._write(address, key, change, "failure", _REASONS.get(status, "internal_error"))
            raise
        self._write(address, key, change, "success", None)

    def _write(self, address: str, key: ApiKeyView, change: Change, outcome: str, reason: str | None) -> None:
        if change.nothing:
            return
        fields = {
            "outcome": outcome,
            "action": change.action,
            "zone": _bounded(change.zone),
            "credential_id": _bounded(change.credential_id),
            "changed_api_key_id": _bounded(change.changed_key_id),
            "changed_api_key": _bounded(change.changed_key),
            **_who(key),
            "peer_address": address,
            "reason": reason,
        }
        self._log.write("api_change", fields)

    def session(self, action: str, address: str, key: ApiKeyView) -> None:
        """Somebody has signed in to the console's pages, or signed out."""
        self._log.write("console_session", {"action": action, **_who(key), "peer_address": address})

    def refused(self, address: str, reason: str) -> None:
        """Somebody could not authenticate. Sampled by address."""
        sample = self._refusals.note(reason, address, _Refusal(address, reason), 1, monotonic())
        if sample is not None:
            self._write_refusal(sample)

    def tick(self) -> None:
        """Called with each request: tells what was counted, also when a flood has stopped."""
        for sample in self._refusals.due(monotonic()):
            self._write_refusal(sample)

    def _write_refusal(self, sample: Sample[_Refusal]) -> None:
        fields: dict[str, Any] = {"outcome": "failure", "count": sample.count, "reason": sample.latest.reason}
        ago = monotonic() - sample.since
        if sample.count > 1:
            since = datetime.fromtimestamp(time() - ago, UTC)
            fields["since"] = since.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        if sample.mixed:
            fields["mixed"] = True
        else:
            fields["peer_address"] = sample.latest.address
        self._log.write("api_authentication", fields)


def _who(key: ApiKeyView) -> Mapping[str, object]:
    """The API key; the settings' admin, who has none, by the name."""
    if not key.id:
        return {"admin": key.name}
    return {"api_key_id": key.id, "api_key": _bounded(key.name)}


def _bounded(text: str | None) -> str | None:
    return text if text is None or len(text) <= MAX_NAME else text[:MAX_NAME] + "…"
