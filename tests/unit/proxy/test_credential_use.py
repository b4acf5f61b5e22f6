"""When credentials were last used, and when they expire, as metrics."""

from unittest.mock import patch

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from policies.credentials import Credential, hash_password
from proxy import credential_use
from proxy.credential_use import CredentialUse
from tests.unit.proxy.clock import Clock, clock
from tests.unit.proxy.playbook import PASSWORD, ZONE, Playbook

__all__ = ["clock"]


def series(use: CredentialUse) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(use)
    lines = generate_latest(registry).decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def test_a_credential_is_in_use_while_its_connection_is_open(clock: Clock) -> None:
    start = clock.time()
    credentials = [
        Credential("used", ZONE.name, "", hash_password(PASSWORD), start + 1000),
        Credential("unused", ZONE.name, "", hash_password("another"), None),
    ]
    with Playbook() as playbook, patch.object(credential_use, "time", clock.time):
        playbook.registry.apply([ZONE], credentials)
        use = CredentialUse(playbook.services)
        assert use.times() == {}
        dialogue = playbook.signed_in()
        assert use.times() == {"used": pytest.approx(start, abs=5)}
        clock.advance(100)
        assert use.times() == {"used": pytest.approx(start + 100, abs=5)}
        clock.advance(100)
        dialogue.client.hang_up()
        assert dialogue.ended
        clock.advance(100)
        assert use.times() == {"used": pytest.approx(start + 200, abs=5)}
        assert series(use) == {
            'zonegate_credential_last_used_seconds{credential="used",zone="partner"}': pytest.approx(
                start + 200, abs=5
            ),
            'zonegate_credential_expires_seconds{credential="used",zone="partner"}': start + 1000,
        }
        playbook.registry.apply([ZONE], credentials[1:])
        assert use.times() == {}
        assert series(use) == {}
