"""Passwords of service accounts: made, hashed and verified. Where the hashes are kept is not decided here.

Two things are kept of a password: a hash, for clients that send it (PLAIN), and the keys of SCRAM-SHA-512 (RFC 5802),
for clients that only prove that they have it. SCRAM's salt belongs to the zone and not to the password: the server
names it before it can know which of a zone's passwords the client has.

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

SCRAM_ITERATIONS = 4096
"""Kafka's least for SCRAM-SHA-512. More would make each sign-in slower, and guessing 196 bits no harder."""

_HASH = re.compile(r"sha256:((?:[0-9a-f]{2}){8,64}):([0-9a-f]{64})", re.ASCII)
_SCRAM = re.compile(
    r"scram-sha-512:([1-9][0-9]{3,6}):((?:[0-9a-f]{2}){8,64}):([0-9a-f]{128}):([0-9a-f]{128})", re.ASCII
)


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """What a server needs to verify SCRAM-SHA-512: enough to check a client's proof, not to make one."""

    salt: bytes
    iterations: int
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credential:
    """One password of a zone's service account. Several may be valid at once, so that a partner can rotate."""

    id: str
    zone: str
    created: str
    password_hash: str = field(repr=False)
    expires: float | None = None
    """In seconds of Unix time; None is never."""
    scram: ScramKeys | None = None
    """None of passwords that were made before there was SCRAM here; they are good for PLAIN."""

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
    salt = new_salt()
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


def new_salt() -> bytes:
    """A random salt."""
    return secrets.token_bytes(SALT_BYTES)


def scram_keys(password: str, salt: bytes) -> ScramKeys:
    """The keys of a password that `new_password` made (SASLprep would leave it as it is)."""
    salted = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, SCRAM_ITERATIONS)
    stored_key = hashlib.sha512(hmac.digest(salted, b"Client Key", "sha512")).digest()
    return ScramKeys(salt, SCRAM_ITERATIONS, stored_key, hmac.digest(salted, b"Server Key", "sha512"))


def format_scram_keys(keys: ScramKeys) -> str:
    """`scram-sha-512:<iterations>:<salt>:<stored key>:<server key>`, the last three hexadecimal."""
    return f"scram-sha-512:{keys.iterations}:{keys.salt.hex()}:{keys.stored_key.hex()}:{keys.server_key.hex()}"


def parse_scram_keys(text: str) -> ScramKeys | None:
    """What `format_scram_keys` returned; None for any other text."""
    match = _SCRAM.fullmatch(text)
    if match is None:
        return None
    return ScramKeys(bytes.fromhex(match[2]), int(match[1]), bytes.fromhex(match[3]), bytes.fromhex(match[4]))


def decoy_salt(key: bytes, username: str) -> bytes:
    """The salt of an account without a password: the same at any time and, with one key, at any gateway.

    Without the key it looks like a random one, so that it doesn't tell which accounts there are.
    """
    return hmac.digest(key, b"scram salt\0" + username.encode(), hashlib.sha256)[:SALT_BYTES]


def _digest(salt: bytes, password: str) -> bytes:
    # surrogatepass: what a client sends may hold lone surrogates; that is a wrong password, not an error.
    return hashlib.sha256(salt + password.encode("utf-8", "surrogatepass")).digest()
