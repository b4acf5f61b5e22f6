"""Listeners' certificates: loaded from their files, followed, and watched for their end.

A new pair of certificate and key is in force once both fit together; until then the last good pair stays.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path as FilePath
from time import time
from typing import Final

from controlplane.problems import ConfigurationError, Problem
from controlplane.watch import Followed, Signature, file_signature
from proxy.config import ListenerConfig
from proxy.tls import ServerTls, TlsError, server_tls

WARN_SECONDS: Final = 14 * 86_400
"""Renewal of a certificate of 90 days is due a month before its end; two weeks later something is wrong with it."""

REPEAT_SECONDS: Final = 86_400

logger = logging.getLogger("zonegate.certificates")


class ListenerCertificates:
    """What each listener with TLS shows. The first load raises ConfigurationError; later ones log it."""

    def __init__(self, listeners: Sequence[ListenerConfig], clock: Callable[[], float] = time) -> None:
        self._clock = clock
        self._followed = {listener.name: _follow(listener) for listener in listeners if listener.tls is not None}
        self._reported: dict[str, ServerTls] = {}
        self._warned: dict[str, float] = {}
        problems: list[Problem] = []
        for followed in self._followed.values():
            try:
                followed.load_first()
            except ConfigurationError as error:
                problems += error.problems
        if problems:
            raise ConfigurationError(problems)

    @property
    def in_force(self) -> Mapping[str, ServerTls]:
        """By the listeners' names."""
        return {name: followed.value for name, followed in self._followed.items()}

    def refresh(self) -> bool:
        """Reads what changed; True when there is something new to show. Reads files: not for the event loop."""
        changed = [name for name, followed in self._followed.items() if followed.refresh()]
        return bool(changed)

    def report(self) -> None:
        """Logs each certificate that has come into force, and once a day those that end soon."""
        for listener, tls in self.in_force.items():
            if self._reported.get(listener) is not tls:
                self._reported[listener] = tls
                self._warned.pop(listener, None)
                logger.info("certificate in force", extra=_described("certificate", listener, tls))
            self._warn(listener, tls)

    def _warn(self, listener: str, tls: ServerTls) -> None:
        now = self._clock()
        left = tls.not_after - now
        if left >= WARN_SECONDS or now - self._warned.get(listener, -REPEAT_SECONDS) < REPEAT_SECONDS:
            return
        self._warned[listener] = now
        when = f"ends in {left / 86_400:.1f} days" if left > 0 else "has ended, and clients refuse it"
        logger.warning(
            "the certificate of listener %s %s; replace its files",
            listener,
            when,
            extra=_described("certificate_ends", listener, tls),
        )


def _follow(listener: ListenerConfig) -> Followed[ServerTls]:
    assert listener.tls is not None
    tls = listener.tls
    files = [FilePath(name) for name in (tls.certificate, tls.key, tls.client_ca) if name is not None]

    def signature() -> Signature:
        return tuple(file_signature(file) for file in files)

    def load() -> ServerTls:
        try:
            return server_tls(listener)
        except TlsError as error:
            raise ConfigurationError([Problem(f"listener {listener.name}", None, "tls", str(error))]) from None

    return Followed("certificate", signature, load)


def _described(event: str, listener: str, tls: ServerTls) -> dict[str, object]:
    end = datetime.fromtimestamp(tls.not_after, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"event": event, "listener": listener, "subject": tls.subject, "not_after": end}
