"""TLS contexts from PEM files. What is wrong with a file is said in words that name it.

A context is never edited: when files change, a new one takes its place, and connections that exist keep theirs.
"""

import ssl
from typing import Final

from proxy.config import ListenerConfig

_PLAINTEXT_SIGNS: Final = frozenset(("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST"))
"""OpenSSL's words for bytes that are no TLS at all."""


class TlsError(ValueError):
    """Files that make no TLS context; the message names them."""


def server_context(config: ListenerConfig) -> ssl.SSLContext:
    """The context of a listener with TLS. Reads files; raises TlsError."""
    assert config.tls is not None
    tls = config.tls
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if tls.min_version == "TLSv1.3" else ssl.TLSVersion.TLSv1_2
    # no compression (CRIME), no renegotiation (a client could demand work again and again), our order of ciphers
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    _load_identity(context, tls.certificate, tls.key, tls.key_password)
    if config.security_protocol == "SSL":
        _require_client_certificates(context, tls.client_ca)
    return context


def is_plaintext(error: BaseException) -> bool:
    """Whether a handshake failed because the peer doesn't speak TLS."""
    return isinstance(error, ssl.SSLError) and error.reason in _PLAINTEXT_SIGNS


def _load_identity(context: ssl.SSLContext, certificate: str, key: str, password: str | None) -> None:
    try:
        # without a callback, an encrypted key would ask at the terminal
        context.load_cert_chain(certificate, key, lambda: password or "")
    except FileNotFoundError as error:
        raise TlsError(f"{certificate} or {key} does not exist ({error.strerror})") from None
    except (ssl.SSLError, OSError) as error:
        reason = error.reason or str(error) if isinstance(error, ssl.SSLError) else error.strerror
        raise TlsError(
            f"{certificate} and {key} are no PEM certificate chain with its key and the key's password: {reason}"
        ) from None


def _require_client_certificates(context: ssl.SSLContext, client_ca: str | None) -> None:
    if client_ca is None:
        raise TlsError("a listener with security_protocol SSL needs tls.client_ca, which verifies its clients")
    try:
        context.load_verify_locations(client_ca)
    except (ssl.SSLError, OSError) as error:
        raise TlsError(f"{client_ca} holds no PEM certificates: {error}") from None
    context.verify_mode = ssl.CERT_REQUIRED
    # a resumed session would bring a certificate that was verified with yesterday's authorities
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
