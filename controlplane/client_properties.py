"""What a partner's Java client needs to reach a zone: the text of its `config.properties`."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from controlplane.zone_service import ClientAccess
from policies.zone import AuthenticationMode
from proxy.config import ListenerConfig

HIDDEN_PASSWORD = "*" * 15

CERTIFICATE = "The certificate that names this service account, with its key:"
TOKENS = "Where your identity provider issues tokens, and who you are there:"

_LOGIN = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}
_BEARER = "org.apache.kafka.common.security.oauthbearer"
_MECHANISMS = {"PLAIN": ("PLAIN", "SCRAM-SHA-512"), "OAUTHBEARER": ("OAUTHBEARER",)}


class Setting(NamedTuple):
    """Of a client."""

    name: str
    value: str


def client_access(listeners: Sequence[ListenerConfig], mode: AuthenticationMode, account: str) -> ClientAccess | None:
    """To the first listener that such a zone's clients can sign in at."""
    for listener in listeners:
        if (mode == "MTLS") != (listener.security_protocol == "SSL"):
            continue
        mechanisms = [each for each in _MECHANISMS.get(mode, ()) if each in listener.mechanisms]
        if mode == "MTLS" or mechanisms:
            mechanism = mechanisms[0] if mechanisms else None
            return ClientAccess(_bootstrap(listener), listener.security_protocol, mechanism, account)
    return None


def _bootstrap(listener: ListenerConfig) -> str:
    port = listener.advertised_port if listener.routing == "sni" else None
    host = f"[{listener.advertised_host}]" if ":" in listener.advertised_host else listener.advertised_host
    return f"{host}:{port or listener.port}"


def client_properties(access: ClientAccess, password: str = HIDDEN_PASSWORD) -> str:
    """The file's text."""
    return "".join(_line(each) for each in java_settings(access, password))


def no_access(mode: AuthenticationMode) -> str:
    """The file's text where there is no access."""
    return f"# No listener of the gateway lets clients sign in as {mode} wants it.\n"


def java_settings(access: ClientAccess, password: str) -> Iterator[Setting | str]:
    """What Java clients are configured with, with comments in between."""
    yield Setting("bootstrap.servers", access.bootstrap)
    yield Setting("security.protocol", access.security_protocol)
    if access.mechanism is None:
        yield CERTIFICATE
        yield Setting("ssl.keystore.type", "PEM")
        yield Setting("ssl.keystore.location", "client.pem")
        return
    yield Setting("sasl.mechanism", access.mechanism)
    if access.mechanism == "OAUTHBEARER":
        yield TOKENS
        yield Setting("sasl.oauthbearer.token.endpoint.url", "")
        yield Setting("sasl.login.callback.handler.class", f"{_BEARER}.OAuthBearerLoginCallbackHandler")
        login = f'{_BEARER}.OAuthBearerLoginModule required clientId="" clientSecret="";'
    else:
        names = f'username="{_quoted(access.account)}" password="{_quoted(password)}"'
        login = f"{_LOGIN[access.mechanism]} required {names};"
    yield Setting("sasl.jaas.config", login)


def _quoted(text: str) -> str:
    """Inside the quotes of a JAAS line."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _line(each: Setting | str) -> str:
    """Of a properties file, which takes a backslash by itself."""
    if isinstance(each, str):
        return f"# {each}\n"
    plain = each.value.replace("\\", "\\\\")
    return f"{each.name}={java_escaped(plain)}\n"


def java_escaped(text: str) -> str:
    """Java's escapes for all but ASCII: it reads properties files as Latin-1, and sources as the machine likes it."""
    units = text.encode("utf-16-be")  # its own characters, two of which make up some of ours
    codes = (int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2))
    return "".join(chr(code) if code < 0x7F else f"\\u{code:04x}" for code in codes)
