"""TLS towards the brokers: the context that all connections share, and what is wrong with a handshake in plain words.

As with listeners, a context is never edited: when files change, a new one takes its place.
"""

import ssl

from proxy.config import ClusterConfig
from proxy.tls import TlsError


def uses_tls(config: ClusterConfig) -> bool:
    return config.security_protocol in ("SSL", "SASL_SSL")


def cluster_context(config: ClusterConfig) -> ssl.SSLContext | None:
    """None without TLS. Reads files; raises TlsError."""
    if not uses_tls(config):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Kafka's ssl.enabled.protocols since 2.6; older versions have known weaknesses
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION
    context.check_hostname = config.verify_host
    _load_authorities(context, config.ca)
    if config.certificate is not None and config.key is not None:
        _load_certificate(context, config.certificate, config.key, config.key_password)
    return context


def _load_authorities(context: ssl.SSLContext, ca: str | None) -> None:
    if ca is None:
        context.load_default_certs()
        return
    _must_be_readable(ca)
    try:
        context.load_verify_locations(ca)
    except OSError as error:
        raise TlsError(f"{ca} holds no PEM certificates ({_words(error)})") from None


def _load_certificate(context: ssl.SSLContext, certificate: str, key: str, password: str | None) -> None:
    _must_be_readable(certificate)
    _must_be_readable(key)
    try:
        # without a callback, an encrypted key would ask at the terminal
        context.load_cert_chain(certificate, key, lambda: password or "")
    except OSError as error:
        raise TlsError(
            f"{certificate} and {key} are no PEM certificate and its key, or ssl.key.password is wrong"
            f" ({_words(error)})"
        ) from None


def _must_be_readable(file: str) -> None:
    """The ssl module's own error names no file."""
    try:
        with open(file, "rb"):
            pass
    except OSError as error:
        raise TlsError(f"{file} cannot be read ({error.strerror})") from None


def tls_problem(error: Exception) -> str:
    """Why a connection that uses TLS failed: of its errors, the library's words alone say little."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the broker's certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        if error.reason == "WRONG_VERSION_NUMBER":
            return "the broker's port doesn't speak TLS"
        return f"TLS failed: {_words(error)}"
    return str(error) or "the broker closed the connection in the TLS handshake"


def _words(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    return error.strerror or str(error)
