"""How a client secures its connections and signs in, in the words of each library."""

import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiokafka.abc import AbstractTokenProvider

from tests.pki import Pair

_LOGIN_MODULES: Final = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}
_BEARER: Final = "org.apache.kafka.common.security.oauthbearer"
_TOKEN_SECONDS: Final = 300
"""After which librdkafka asks for the next one; no test lasts as long."""


class _TokenFile(AbstractTokenProvider):  # type: ignore[misc]
    """aiokafka's way to ask for a token."""

    def __init__(self, file: Path) -> None:
        self._file = file

    async def token(self) -> str:
        return self._file.read_text(encoding="ascii")


@dataclass(frozen=True, slots=True)
class Security:
    """What a partner is told beside the address and the login."""

    protocol: str = "SASL_PLAINTEXT"
    mechanism: str = "PLAIN"
    authority: Path | None = None
    """Who has signed the gateway's certificate; with TLS only."""
    certificate: Pair | None = None
    """The client's own; with SSL only."""
    token: Path | None = None
    """A file with the client's token; with OAUTHBEARER only."""

    @property
    def _has_sasl(self) -> bool:
        return self.protocol.startswith("SASL_")

    def librdkafka(self, user: str, password: str) -> dict[str, Any]:
        settings: dict[str, Any] = {"security.protocol": self.protocol}
        if self.token is not None:
            token = self.token.read_text(encoding="ascii")
            settings["sasl.mechanism"] = self.mechanism
            settings["oauth_cb"] = lambda _config: (token, time.time() + _TOKEN_SECONDS)
        elif self._has_sasl:
            settings |= {"sasl.mechanism": self.mechanism, "sasl.username": user, "sasl.password": password}
        if self.authority is not None:
            settings["ssl.ca.location"] = str(self.authority)
        if self.certificate is not None:
            settings["ssl.certificate.location"] = str(self.certificate.certificate)
            settings["ssl.key.location"] = str(self.certificate.key)
        return settings

    def python(self, user: str, password: str) -> dict[str, Any]:
        """For the libraries that spell settings as Python arguments."""
        settings: dict[str, Any] = {"security_protocol": self.protocol}
        if self.token is not None:
            settings |= {"sasl_mechanism": self.mechanism, "sasl_oauth_token_provider": _TokenFile(self.token)}
        elif self._has_sasl:
            settings |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": user,
                "sasl_plain_password": password,
            }
        if self.authority is not None:
            context = settings["ssl_context"] = ssl.create_default_context(cafile=str(self.authority))
            if self.certificate is not None:
                context.load_cert_chain(self.certificate.certificate, self.certificate.key)
        return settings

    @property
    def java_options(self) -> str:
        """For the command line: since 4.0 a client reads tokens only from where that allows it."""
        if self.token is None:
            return ""
        prefix = "-Dorg.apache.kafka.sasl.oauthbearer.allowed"
        return f"{prefix}.urls=file://{self.token} {prefix}.files={self.token}"

    def java(self, user: str, password: str) -> dict[str, str]:
        settings = {"security.protocol": self.protocol}
        if self.token is not None:
            settings |= {
                "sasl.mechanism": self.mechanism,
                "sasl.oauthbearer.token.endpoint.url": f"file://{self.token}",
                "sasl.login.callback.handler.class": f"{_BEARER}.OAuthBearerLoginCallbackHandler",
                "sasl.jaas.config": f"{_BEARER}.OAuthBearerLoginModule required;",
            }
        elif self._has_sasl:
            settings["sasl.mechanism"] = self.mechanism
            settings["sasl.jaas.config"] = (
                f'{_LOGIN_MODULES[self.mechanism]} required username="{user}" password="{password}";'
            )
        if self.authority is not None:
            settings |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(self.authority)}
        if self.certificate is not None:
            settings |= {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(self.certificate.both)}
        return settings


PLAINTEXT: Final = Security()
