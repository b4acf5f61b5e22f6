"""MTLS: whom a client's certificate names, on a listener with the security protocol SSL. For zones of that mode.

The TLS handshake has verified the certificate before anybody asks here; there is no SASL on such a listener.
"""

import logging
from typing import Final

from cryptography import x509

from policies.principal_mapping import PrincipalMapper
from protocol.distinguished_name import subject
from protocol.errors import DecodeError
from proxy.mechanisms.mechanism import Accepted, Principal, Refused
from proxy.zones import ZoneRegistry

_log = logging.getLogger("zonegate.authentication")

MTLS: Final = "MTLS"
LOGGED_CHARACTERS: Final = 1024


class Certificates:
    """From a certificate to a service account, by the mapping rules. Raises InvalidRuleError."""

    def __init__(self, zones: ZoneRegistry, rules: str) -> None:
        self._zones = zones
        self._mapper = PrincipalMapper(rules)

    def identify(self, certificate: bytes | None, peer: str) -> Accepted | Refused:
        """Who has come with this DER certificate. The log says which subject was refused; the client is not told."""
        try:
            parsed = x509.load_der_x509_certificate(certificate or b"")
            name = subject(certificate or b"")
        except (ValueError, DecodeError) as error:
            return _refused("unknown_certificate", peer, f"not readable: {error}", None)
        account_name = self._mapper.name_of(name)
        account = self._zones.account(account_name) if account_name is not None else None
        if account is None or account_name is None:
            return _refused("unknown_certificate", peer, name, account_name)
        if account.mode != MTLS:
            return _refused("wrong_mode", peer, name, account_name)
        expires = parsed.not_valid_after_utc.timestamp()
        return Accepted(Principal(account.zone, account_name, MTLS, expires=expires))


def _refused(reason: str, peer: str, name: str, account_name: str | None) -> Refused:
    extra = {
        "event": "certificate_refused",
        "reason": reason,
        "peer": peer,
        "subject": name[:LOGGED_CHARACTERS],
        "account": account_name[:LOGGED_CHARACTERS] if account_name is not None else None,
    }
    _log.warning("a client's certificate names no service account of a zone of mode MTLS", extra=extra)
    return Refused(reason, username=account_name or "")
