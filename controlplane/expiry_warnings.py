"""Tells the operator in time that a password is about to expire: while the partner can still rotate at leisure."""

import logging
from collections.abc import Sequence

from controlplane.times import format_unix_time
from policies.credentials import Credential

DAY_SECONDS = 86_400.0
WARN_SECONDS = 14 * DAY_SECONDS
"""Two weeks: partners are other companies, and need some days for a change."""

logger = logging.getLogger("zonegate.credentials")


class ExpiryWarnings:
    """One warning a day for each credential that will expire soon."""

    def __init__(self) -> None:
        self._warned: dict[str, float] = {}

    def check(self, credentials: Sequence[Credential], now: float) -> None:
        """`now` is Unix time."""
        soon = {each.id: each for each in credentials if _expires_soon(each, now)}
        self._warned = {key: when for key, when in self._warned.items() if key in soon}
        for key, credential in soon.items():
            if now - self._warned.get(key, float("-inf")) < DAY_SECONDS:
                continue
            self._warned[key] = now
            assert credential.expires is not None
            logger.warning(
                "credential %s of zone %s expires at %s; 'zonegate credentials generate %s' makes a new one beside it",
                key,
                credential.zone,
                format_unix_time(credential.expires),
                credential.zone,
                extra={"event": "credential_expires_soon", "zone": credential.zone, "credential": key},
            )


def _expires_soon(credential: Credential, now: float) -> bool:
    return credential.expires is not None and now < credential.expires <= now + WARN_SECONDS
