"""TLS contexts from PEM files. What is wrong with a file is said in words that name it.

A context is never edited: when files change, a new one takes its place, and connections that exist keep theirs.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from proxy.config import ListenerConfig, ListenerTls


class TlsError(ValueError):
    """Files that make no TLS context; the message names them."""


@dataclass(frozen=True, slots=True)
class ServerTls:
    """What a listener shows to its clients, and until when its certificate is valid (Unix seconds)."""

    context: ssl.SSLContext
    subject: str
    not_after: float


def server_tls(config: ListenerConfig) -> ServerTls:
    """What a listener with TLS works with. Reads files; raises TlsError."""
    assert config.tls is not None
    certificate = _certificate(config.tls.certificate)
    _read(config.tls.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if config.tls.min_version == "TLSv1.3" else ssl.TLSVersion.TLSv1_2
    # no compression (CRIME), no renegotiation (a client could demand work again and again), our order of ciphers
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    # No resumed sessions with TLS 1.3: one would bring the certificate that its client showed a while ago. Kafka's
    # connections are long, so that little is saved by them. With TLS 1.2, Python has no switch for it.
    context.num_tickets = 0
    _load_identity(context, config.tls)
    if config.security_protocol == "SSL":
        _require_client_certificates(context, config.tls.client_ca)
    return ServerTls(context, certificate.subject.rfc4514_string(), certificate.not_valid_after_utc.timestamp())


def _read(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise TlsError(f"{file} cannot be read: {error.strerror}") from None


def _certificate(file: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(_read(file))[0]
    except TlsError:
        raise
    except ValueError:
        raise TlsError(f"{file} holds no PEM certificate, or a damaged one") from None


def _load_identity(context: ssl.SSLContext, tls: ListenerTls) -> None:
    try:
        # without a callback, an encrypted key would ask at the terminal
        context.load_cert_chain(tls.certificate, tls.key, lambda: tls.key_password or "")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsError(f"the key in {tls.key} does not belong to the certificate in {tls.certificate}") from None
        why = error.reason or "it is no PEM key, or tls.key_password is missing or wrong"
        raise TlsError(f"{tls.certificate} with the key in {tls.key} cannot be used: {why}") from None
    except OSError as error:
        raise TlsError(f"{tls.certificate} or {tls.key} cannot be read: {error.strerror}") from None


def _require_client_certificates(context: ssl.SSLContext, client_ca: str | None) -> None:
    if client_ca is None:
        raise TlsError("a listener with security_protocol SSL needs tls.client_ca, which verifies its clients")
    _certificate(client_ca)
    try:
        context.load_verify_locations(client_ca)
    except (ssl.SSLError, OSError) as error:
        raise TlsError(f"{client_ca} cannot be used: {error}") from None
    context.verify_mode = ssl.CERT_REQUIRED
