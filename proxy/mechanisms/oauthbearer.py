"""OAUTHBEARER (RFC 7628, KIP-255): a token that the company's identity provider has signed. For zones of that mode.

The conversation is that of Kafka's OAuthBearerSaslServer: a token that is refused is answered with a JSON text, and the
client's confirmation of it makes the failure. The text is the same whatever is wrong. Unlike there, whatever follows a
refused token is a failure, since verifying signatures is work: one token per connection.
"""

import logging
from typing import Final

import jwt

from protocol.errors import ClientProtocolError
from protocol.oauthbearer import CONFIRMATION, OAUTHBEARER, REFUSAL, BearerMessage, parse_message
from proxy.config import OauthConfig
from proxy.jwks import ALGORITHMS, Keys
from proxy.mechanisms.mechanism import Accepted, Challenge, Principal, Refused, Step
from proxy.zones import ZoneRegistry

_log = logging.getLogger("zonegate.authentication")

MAX_MESSAGE_BYTES: Final = 16_384
"""Tokens have 1 to 8 kB, as web servers take no longer header; all of it is read before anything is verified."""

MALFORMED_TEXT: Final = (
    "Authentication failed during authentication due to invalid credentials with SASL mechanism OAUTHBEARER"
)
"""Kafka's own words."""

_REQUIRED: Final = ["exp", "iat", "iss", "aud", "sub"]
"""As Kafka's BrokerJwtValidator does."""

_REASONS: Final = (
    (jwt.ExpiredSignatureError, "expired_token"),
    (jwt.ImmatureSignatureError, "immature_token"),
    (jwt.InvalidIssuerError, "wrong_issuer"),
    (jwt.InvalidAudienceError, "wrong_audience"),
    (jwt.MissingRequiredClaimError, "missing_claim"),
    (jwt.InvalidAlgorithmError, "wrong_algorithm"),
    (jwt.InvalidSignatureError, "invalid_signature"),
    (jwt.PyJWTError, "malformed_token"),
)
"""The first that fits."""


class Oauthbearer:
    """The mechanism, and the one place where tokens are examined."""

    name = OAUTHBEARER

    def __init__(self, zones: ZoneRegistry, keys: Keys, config: OauthConfig) -> None:
        self._zones = zones
        self._keys = keys
        self._config = config

    def begin(self) -> "_Conversation":
        return _Conversation(self)

    def examine(self, token: str) -> Principal | str:
        """Whom a token names, or the reason why it is refused."""
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in ALGORITHMS:
                return "wrong_algorithm"
            key = self._keys.find(header.get("kid"), header["alg"])
            if key is None:
                return "unknown_key"
            claims = jwt.decode(
                token,
                key.key,
                algorithms=list(key.algorithms),
                issuer=self._config.issuer,
                audience=self._config.audience,
                leeway=self._config.clock_skew_seconds,
                options={"require": _REQUIRED},
            )
            expires = float(claims["exp"]) + self._config.clock_skew_seconds
        except jwt.PyJWTError as error:
            return next(reason for kind, reason in _REASONS if isinstance(error, kind))
        except OverflowError:
            # times beyond all calendars, which the issuer has signed
            return "malformed_token"
        return self._principal(claims["sub"], expires)

    def _principal(self, subject: str, expires: float) -> Principal | str:
        account = self._zones.account(subject)
        if account is not None and account.mode == OAUTHBEARER:
            return Principal(account.zone, subject, self.name, expires=expires)
        reason = "unknown_principal" if account is None else "wrong_mode"
        # from a token that is valid but for this, so it is a name that the issuer has given
        extra = {"event": "bearer_refused", "reason": reason, "subject": subject[:255]}
        _log.warning("a valid bearer token names no service account of a zone of mode OAUTHBEARER", extra=extra)
        return reason


class _Conversation:
    """One client's sign-in."""

    def __init__(self, mechanism: Oauthbearer) -> None:
        self._mechanism = mechanism
        self._refused = ""

    def step(self, token: bytes, now: float) -> Step:
        """Times within a bearer token are PyJWT's to check, by the same clock as `now`."""
        if self._refused:
            return Refused(self._refused, REFUSAL if token == CONFIRMATION else MALFORMED_TEXT)
        try:
            if len(token) > MAX_MESSAGE_BYTES:
                raise ClientProtocolError("the message is too long")
            message = parse_message(token)
        except ClientProtocolError:
            return Refused("malformed_message", MALFORMED_TEXT)
        found = self._mechanism.examine(message.token)
        if isinstance(found, str):
            self._refused = found
            return Challenge(REFUSAL.encode(), found)
        return _as_asked(message, found)


def _as_asked(message: BearerMessage, principal: Principal) -> Step:
    """Nobody acts as somebody else. The text names nothing but what the client itself has sent."""
    if message.authorization_id in ("", principal.username):
        return Accepted(principal)
    text = (
        f"Authentication failed: Client requested an authorization id ({message.authorization_id}) that is different "
        f"from the token's principal name ({principal.username})"
    )
    return Refused("wrong_authorization_id", text)
