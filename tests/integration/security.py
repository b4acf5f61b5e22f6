"""How a client secures its connections and signs in, in the words of each library."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.pki import Pair

_LOGIN_MODULES: Final = {"PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule"}


@dataclass(frozen=True, slots=True)
class Security:
    """What a partner is told beside the address and the login."""

    protocol: str = "SASL_PLAINTEXT"
    mechanism: str = "PLAIN"
    authority: Path | None = None
    """Who has signed the gateway's certificate; with TLS only."""
    certificate: Pair | None = None
    """The client's own; with SSL only."""

    @property
    def _has_sasl(self) -> bool:
        return self.protocol.startswith("SASL_")

    def librdkafka(self, user: str, password: str) -> dict[str, str]:
        settings = {"security.protocol": self.protocol}
        if self._has_sasl:
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
        if self._has_sasl:
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

    def java(self, user: str, password: str) -> dict[str, str]:
        settings = {"security.protocol": self.protocol}
        if self._has_sasl:
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
