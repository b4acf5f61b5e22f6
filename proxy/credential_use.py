"""When credentials were last used, and when they expire: metrics, and the times for whoever keeps them."""

from collections.abc import Iterator
from time import time
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from proxy.services import Services

_LABELS: Final = ["zone", "credential"]


class CredentialUse(Collector):
    """Of one gateway process, since its start. A credential is in use while a connection that it opened is open."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def times(self) -> dict[str, float]:
        """Credential id -> Unix time of its last use; of those that there are."""
        used = self._services.credentials_used
        now = time()
        for session in self._services.sessions:
            if session.credential_id:
                used[session.credential_id] = now
        for gone in used.keys() - self._services.zones.credentials.keys():
            del used[gone]
        return dict(used)

    def collect(self) -> Iterator[Metric]:
        used = GaugeMetricFamily(
            "zonegate_credential_last_used_seconds", "Unix time of the last use by this process.", labels=_LABELS
        )
        expires = GaugeMetricFamily(
            "zonegate_credential_expires_seconds", "Unix time at which the credential expires.", labels=_LABELS
        )
        times = self.times()
        for credential in self._services.zones.credentials.values():
            labels = [credential.zone, credential.id]
            if credential.id in times:
                used.add_metric(labels, times[credential.id])
            if credential.expires is not None:
                expires.add_metric(labels, credential.expires)
        yield from (used, expires)
