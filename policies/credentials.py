"""Passwords of service accounts: made, hashed and verified. Where the hashes are kept is not decided here.

Passwords are never chosen by a person: `new_password` draws more than 192 random bits. A slow hash (bcrypt, scrypt,
PBKDF2) makes guessing expensive where passwords can be guessed; nobody guesses so many, so one salted
SHA-256 is as safe here. It also takes microseconds: a slow one would hold up the event loop, and with it every
other partner's traffic, at each login and at each wrong password that anybody cares to send.
"""

import hashlib
import hmac
import re
import secrets
import string
from dataclasses import dataclass, field

SALT_BYTES = 16
PASSWORD_LENGTH = 33
"""One of 52 letters and 32 of 62 letters and digits: 196 bits."""

_HASH = re.compile(r"sha256:((?:[0-9a-f]{2}){8,64}):([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Credential:
    """One password of a zone's service account. Several may be valid at once, so that a partner can rotate."""

    id: str
    zone: str
    created: str
    password_hash: str = field(repr=False)
    expires: float | None = None
    """In seconds of Unix time; None is never."""

    def valid_at(self, now: float) -> bool:
        """Whether it has not expired by then."""
        return self.expires is None or now < self.expires


def new_password() -> str:
    """A random password, safe in URLs, shells and JAAS lines.

    It begins with a letter, because Java reads an unquoted `password=7abc` of a JAAS line as the number 7.
    """
    first = secrets.choice(string.ascii_letters)
    return first + "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(PASSWORD_LENGTH - 1))


def hash_password(password: str) -> str:
    """`sha256:<salt>:<digest>`, both hexadecimal, with a salt of its own."""
    salt = secrets.token_bytes(SALT_BYTES)
    return f"sha256:{salt.hex()}:{_digest(salt, password).hex()}"


def verify_password(password: str, password_hash: str) -> bool:
    """Whether the hash is of this password, in a time that does not tell how much of it was right."""
    match = _HASH.fullmatch(password_hash)
    if match is None:
        return False
    salt, digest = bytes.fromhex(match[1]), bytes.fromhex(match[2])
    return hmac.compare_digest(_digest(salt, password), digest)


def is_password_hash(text: str) -> bool:
    """Whether the text has the form that `hash_password` returns."""
    return _HASH.fullmatch(text) is not None


def _digest(salt: bytes, password: str) -> bytes:
    # surrogatepass: what a client sends may hold lone surrogates; that is a wrong password, not an error.
    return hashlib.sha256(salt + password.encode("utf-8", "surrogatepass")).digest()
