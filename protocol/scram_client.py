"""SASL SCRAM (RFC 5802, RFC 7677), the client's side, as Kafka's brokers speak it.

Written here rather than taken from a library for two reasons. Kafka takes passwords as they are (its ScramFormatter
knows no SASLprep), where libraries prepare them. And a gateway signs in thousands of times as one user: the salted
password, which is nearly all of the work, is kept and computed again only when the salt changes, as RFC 5802 section
5.1 allows. There is no channel binding, which brokers don't offer.
"""

import binascii
import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from typing import Final

from protocol.errors import BrokerProtocolError

HASHES: Final = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}

MIN_ITERATIONS: Final = 4096
"""RFC 7677's minimum and Kafka's; a broker that asks for less may be after the password."""

MAX_ITERATIONS: Final = 100_000
"""Kafka's own maximum is 16384; this many take about 50 ms, for which the event loop can stand still once."""

_GS2_HEADER: Final = "n,,"
"""No channel binding, no authorization id."""

_SERVER_FIRST: Final = re.compile(
    r"(?:m=[^,]+,)?r=(?P<nonce>[\x21-\x2b\x2d-\x7e]+),s=(?P<salt>[A-Za-z0-9+/=]+),i=(?P<iterations>[0-9]{1,9})(?:,.*)?"
)
_SERVER_FINAL: Final = re.compile(r"(?:v=(?P<signature>[A-Za-z0-9+/=]+)|e=(?P<error>[^,]+))(?:,.*)?")


class SaltedPassword:
    """A password under the salt that was asked for last. It never appears in a repr."""

    __slots__ = ("_hash", "_password", "_salted", "_salted_with")

    def __init__(self, mechanism: str, password: str) -> None:
        self._hash = HASHES[mechanism]
        self._password = password.encode()
        self._salted_with: tuple[bytes, int] | None = None
        self._salted = b""

    def salted(self, salt: bytes, iterations: int) -> bytes:
        if self._salted_with != (salt, iterations):
            self._salted = hashlib.pbkdf2_hmac(self._hash, self._password, salt, iterations)
            self._salted_with = salt, iterations
        return self._salted


class ScramClient:
    """One conversation: `first`, then `final` with the server's first message, then `verify` with its last."""

    def __init__(self, mechanism: str, username: str, password: SaltedPassword, nonce: str) -> None:
        self._hash = HASHES[mechanism]
        self._password = password
        self._nonce = nonce
        name = username.replace("=", "=3D").replace(",", "=2C")
        self._first_bare = f"n={name},r={nonce}"
        self._signature = b""

    def first(self) -> bytes:
        return (_GS2_HEADER + self._first_bare).encode()

    def final(self, server_first: bytes) -> bytes:
        """The proof that we know the password. Raises BrokerProtocolError."""
        text = _text(server_first)
        match = _SERVER_FIRST.fullmatch(text)
        if match is None:
            raise BrokerProtocolError("the broker's first SCRAM message is malformed")
        nonce, iterations = match["nonce"], int(match["iterations"])
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise BrokerProtocolError("the broker's SCRAM nonce doesn't continue ours")
        if not MIN_ITERATIONS <= iterations <= MAX_ITERATIONS:
            raise BrokerProtocolError(
                f"the broker asks for {iterations} SCRAM iterations, allowed are {MIN_ITERATIONS} to {MAX_ITERATIONS}"
            )
        salted = self._password.salted(_decoded(match["salt"]), iterations)
        without_proof = f"c={b64encode(_GS2_HEADER.encode()).decode()},r={nonce}"
        message = f"{self._first_bare},{text},{without_proof}".encode()
        client_key = self._hmac(salted, b"Client Key")
        signature = self._hmac(hashlib.new(self._hash, client_key).digest(), message)
        proof = bytes(left ^ right for left, right in zip(client_key, signature, strict=True))
        self._signature = self._hmac(self._hmac(salted, b"Server Key"), message)
        return f"{without_proof},p={b64encode(proof).decode()}".encode()

    def verify(self, server_final: bytes) -> None:
        """The server's proof that it knows the password, too. Raises BrokerProtocolError."""
        match = _SERVER_FINAL.fullmatch(_text(server_final))
        if match is None or (match["error"] is None and not self._signature):
            raise BrokerProtocolError("the broker's last SCRAM message is malformed")
        if match["error"] is not None:
            raise BrokerProtocolError("the broker ended SCRAM with an error")
        if not hmac.compare_digest(_decoded(match["signature"]), self._signature):
            raise BrokerProtocolError("the broker's SCRAM signature is wrong: it does not know the password")

    def _hmac(self, key: bytes, message: bytes) -> bytes:
        return hmac.digest(key, message, self._hash)


def _text(message: bytes) -> str:
    try:
        return message.decode()
    except UnicodeDecodeError:
        raise BrokerProtocolError("a SCRAM message of the broker is not UTF-8") from None


def _decoded(value: str) -> bytes:
    try:
        return b64decode(value, validate=True)
    except binascii.Error:
        raise BrokerProtocolError("a SCRAM message of the broker has a value that is not base64") from None
