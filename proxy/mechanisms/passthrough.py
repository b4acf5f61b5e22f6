"""The admin's tokens: made over HTTP for a password, and taken by PLAIN in its place.

A token is a JWT (RFC 7519) signed with HS256. Nothing is stored: its key comes from the configured name and password
alone, so that every gateway of one configuration takes the others' tokens, and another password ends them all. The
password itself never signs in to Kafka. A single token can't be taken back before it expires.
"""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import scrypt
from typing import Any, Final

import jwt

from policies.names import PASSTHROUGH
from protocol import sasl
from protocol.errors import ClientProtocolError
from proxy.config import PassthroughConfig
from proxy.mechanisms.mechanism import Accepted, Conversation, Mechanism, Principal, Refused, Step

ALGORITHM: Final = "HS256"

CLAIMS: Final = ("username", "vcluster", "iat", "exp", "jti")

MAX_TOKEN_BYTES: Final = 4096
"""Ours have about 300; what is longer isn't worth parsing."""

_SCRYPT: Final = {"n": 2**15, "r": 8, "p": 3, "maxmem": 64 * 1024 * 1024, "dklen": 32}
"""Whoever has a token can try passwords on it at home: OWASP's cost for 32 MiB, about 0.3 s once per start."""

_SALT: Final = b"zonegate passthrough tokens 1\0"
"""With the user name behind it. The same on every gateway, which share nothing but their configuration."""


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token, and what may be told of it in a log."""

    token: str = field(repr=False)
    id: str
    expires: int
    """In seconds of Unix time."""


class PassthroughTokens:
    """Makes and checks tokens, once `derive_key` has run."""

    def __init__(self, config: PassthroughConfig) -> None:
        self.username = config.username
        self._password = config.password
        self._key = b""

    @property
    def ready(self) -> bool:
        return bool(self._key)

    def derive_key(self) -> None:
        """Takes a while: not for the event loop."""
        self._key = scrypt(self._password.encode(), salt=_SALT + self.username.encode(), **_SCRYPT)

    def is_admin(self, username: str, password: str) -> bool:
        """Whether these are the configured ones; the time tells no more than their lengths."""
        same_name = hmac.compare_digest(username.encode(), self.username.encode())
        return hmac.compare_digest(password.encode(), self._password.encode()) and same_name

    def issue(self, lifetime_seconds: int, now: float) -> IssuedToken:
        token_id, issued = secrets.token_hex(16), int(now)
        expires = issued + lifetime_seconds
        claims = {"username": self.username, "vcluster": PASSTHROUGH, "iat": issued, "exp": expires, "jti": token_id}
        return IssuedToken(jwt.encode(claims, self._key, ALGORITHM), token_id, expires)

    def check(self, username: str, token: str, now: float) -> Step:
        """Whose token it is, or why it is none. Raises nothing, whatever the token."""
        claims = self._claims(token) if username == self.username else None
        if claims is None or claims["vcluster"] != PASSTHROUGH or claims["username"] != username:
            return Refused("invalid_credentials", username=username)
        if claims["exp"] <= now:
            return Refused("expired_token", username=username)
        return Accepted(Principal(PASSTHROUGH, username, sasl.PLAIN, expires=claims["exp"], passthrough=True))

    def _claims(self, token: str) -> dict[str, Any] | None:
        """What a token of ours says; None when it is none. Whether it has expired is for the caller, and his clock."""
        if len(token) > MAX_TOKEN_BYTES:
            return None
        options: Any = {"require": list(CLAIMS), "verify_exp": False, "verify_iat": False}
        try:
            return jwt.decode(token, self._key, [ALGORITHM], options)
        except (jwt.PyJWTError, ValueError, RecursionError):
            # the header is parsed before the signature is checked, and may be anything
            return None


def with_tokens(mechanisms: Mapping[str, Mechanism], tokens: PassthroughTokens) -> Mapping[str, Mechanism]:
    """The same mechanisms, of which PLAIN takes tokens, too."""
    return {**mechanisms, sasl.PLAIN: PlainWithTokens(mechanisms[sasl.PLAIN], tokens)}


class PlainWithTokens:
    """PLAIN: a zone's password first, then a token."""

    name = sasl.PLAIN

    def __init__(self, passwords: Mechanism, tokens: PassthroughTokens) -> None:
        self._passwords = passwords
        self._tokens = tokens

    def begin(self) -> "_Conversation":
        return _Conversation(self._passwords.begin(), self._tokens)


class _Conversation:
    def __init__(self, passwords: Conversation, tokens: PassthroughTokens) -> None:
        self._passwords = passwords
        self._tokens = tokens

    def step(self, token: bytes, now: float) -> Step:
        step = self._passwords.step(token, now)
        if not isinstance(step, Refused):
            return step
        try:
            plain = sasl.parse_plain(token)
        except ClientProtocolError:
            return step
        if plain.username != self._tokens.username:
            return step
        return self._tokens.check(plain.username, plain.password, now)
