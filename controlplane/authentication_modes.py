"""What each `authenticationMode` needs of the settings, and what credentials are to it."""

from collections.abc import Mapping

from policies.zone import AuthenticationMode
from proxy.config import GatewayConfig

NO_PASSWORDS: Mapping[str, str] = {
    "OAUTHBEARER": "its clients sign in with tokens of the identity provider (the section oauth of the settings)",
    "MTLS": "its clients sign in with certificates (a listener with security_protocol SSL)",
}
"""Why a zone of that mode has no passwords."""


def unusable_modes(config: GatewayConfig) -> dict[AuthenticationMode, str]:
    """Modes in which nobody can sign in with these settings, each with what is missing."""
    sasl = [listener for listener in config.listeners if listener.security_protocol != "SSL"]
    offered = {mechanism for listener in sasl for mechanism in listener.mechanisms}
    missing: dict[AuthenticationMode, str] = {}
    if offered.isdisjoint(("PLAIN", "SCRAM-SHA-512")):
        missing["PLAIN"] = "no listener offers PLAIN or SCRAM-SHA-512"
    if config.oauth is None:
        missing["OAUTHBEARER"] = "the settings have no section oauth"
    elif "OAUTHBEARER" not in offered:
        missing["OAUTHBEARER"] = "no listener offers OAUTHBEARER"
    if len(sasl) == len(config.listeners):
        missing["MTLS"] = "no listener has the security protocol SSL"
    return missing
