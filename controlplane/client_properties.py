"""What a partner's Java client needs to reach a zone: the text of its `config.properties`."""

from collections.abc import Iterator, Sequence

from controlplane.zone_service import ClientAccess
from policies.zone import AuthenticationMode
from proxy.config import ListenerConfig

HIDDEN_PASSWORD = "*" * 15

_LOGIN = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}
_MECHANISMS = {"PLAIN": ("PLAIN", "SCRAM-SHA-512"), "OAUTHBEARER": ("OAUTHBEARER",)}


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


def client_properties(access: ClientAccess | None, mode: AuthenticationMode, password: str = HIDDEN_PASSWORD) -> str:
    """The file's text; a comment alone where there is no access."""
    if access is None:
        return f"# No listener of the gateway lets clients sign in as {mode} wants it.\n"
    return "\n".join(_lines(access, password)) + "\n"


def _lines(access: ClientAccess, password: str) -> Iterator[str]:
    mechanism = access.mechanism
    yield f"bootstrap.servers={access.bootstrap}"
    yield f"security.protocol={access.security_protocol}"
    if mechanism is None:
        yield "# The certificate that names this service account, with its key:"
        yield "ssl.keystore.type=PEM"
        yield "ssl.keystore.location=client.pem"
    elif mechanism == "OAUTHBEARER":
        yield f"sasl.mechanism={mechanism}"
        yield "# Where your identity provider issues tokens:"
        yield "sasl.oauthbearer.token.endpoint.url="
        yield "sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;"
    else:
        yield f"sasl.mechanism={mechanism}"
        login = f'username="{_quoted(access.account)}" password="{_quoted(password)}"'
        yield f"sasl.jaas.config={_LOGIN[mechanism]} required {login};"


def _quoted(text: str) -> str:
    """Inside the quotes of a JAAS line, in a properties file, which takes a backslash by itself."""
    plain = text.replace("\\", "\\\\\\\\").replace('"', '\\\\"')
    units = plain.encode("utf-16-be")  # Java reads these files as Latin-1, and takes its own characters in escapes
    codes = (int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2))
    return "".join(chr(code) if code < 0x7F else f"\\u{code:04x}" for code in codes)
