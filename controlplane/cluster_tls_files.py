"""Follows the PEM files towards the brokers: a rotated certificate is used for new connections without a restart."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Final

from controlplane.problems import ConfigurationError, Path, Problem, field_name
from controlplane.watch import Followed, Signature, file_signature
from proxy.cluster_tls import cluster_context
from proxy.config import ClusterConfig
from proxy.tls import TlsError

logger = logging.getLogger("zonegate.configuration")

POLL_SECONDS: Final = 1.0
"""Certificates are rotated hours before the old ones end."""


class ClusterTls:
    """The first load raises ConfigurationError; later ones log it, and the last good context stays."""

    def __init__(self, config: ClusterConfig, source: str, at: Path = ("cluster",)) -> None:
        """`source` and the way `at` are where the files are named, for messages."""
        self._config = config
        self._source = source
        self._at = at
        self._files = [FilePath(file) for file in (config.ca, config.certificate, config.key) if file is not None]
        self._followed: Followed[ssl.SSLContext | None] = Followed("cluster_tls", self._signature, self._load)
        self._followed.load_first()

    @property
    def context(self) -> ssl.SSLContext | None:
        return self._followed.value

    def refresh(self) -> bool:
        """Reads what changed; True when there is a new context to use. Reads files: not for the event loop."""
        return self._followed.refresh()

    async def follow(self, use: Callable[[str, ssl.SSLContext | None], None]) -> None:
        """Gives the cluster's id and each new good context to `use`, until cancelled."""
        extra = {"event": "cluster_tls_loaded", **({"cluster": self._config.id} if self._config.id else {})}
        while self._files:
            await asyncio.sleep(POLL_SECONDS)
            if await asyncio.to_thread(self.refresh):
                use(self._config.id, self.context)
                logger.info("the TLS files of the cluster are in use", extra=extra)

    def _signature(self) -> Signature:
        return tuple(file_signature(file) for file in self._files)

    def _load(self) -> ssl.SSLContext | None:
        without_certificate = replace(self._config, certificate=None, key=None)
        try:
            setting = "ssl.ca.location"
            cluster_context(without_certificate)
            setting = "ssl.certificate.location"
            return cluster_context(self._config)
        except TlsError as error:
            raise ConfigurationError(
                [Problem(self._source, None, field_name((*self._at, setting)), str(error))]
            ) from None
