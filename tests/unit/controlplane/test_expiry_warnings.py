"""Operators hear in time of passwords that are about to expire, and not too often."""

import pytest

from controlplane.expiry_warnings import DAY_SECONDS, WARN_SECONDS, ExpiryWarnings
from policies.credentials import Credential

NOON = 1_737_979_200.0
"""2025-01-27T12:00:00Z"""


def credential(name: str, expires: float | None) -> Credential:
    return Credential(name, "z", "2025-01-01T00:00:00Z", "", expires)


def test_only_what_expires_soon_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    credentials = [
        credential("never", None),
        credential("far", NOON + WARN_SECONDS + 1),
        credential("near", NOON + WARN_SECONDS),
        credential("past", NOON),
    ]
    ExpiryWarnings().check(credentials, NOON)
    assert caplog.messages == [
        "credential near of zone z expires at 2025-02-10T12:00:00Z; "
        "'zonegate credentials generate z' makes a new one beside it"
    ]
    assert caplog.records[0].__dict__["event"] == "credential_expires_soon"


def test_once_a_day(caplog: pytest.LogCaptureFixture) -> None:
    warnings, near = ExpiryWarnings(), [credential("near", NOON + 3 * DAY_SECONDS)]
    for seconds in (0, 5, DAY_SECONDS - 1, DAY_SECONDS, DAY_SECONDS + 5, 2 * DAY_SECONDS, 4 * DAY_SECONDS):
        warnings.check(near, NOON + seconds)
    assert len(caplog.messages) == 3
