"""SCRAM (RFC 5802) with SHA-512, the server's side: messages and proofs. Which keys are tried is not decided here.

What Kafka's server takes is taken: no channel binding, and an authorization id only if it is the user's own name.
Extensions are refused, in particular Kafka's `tokenauth=true`, which means that the user name is a delegation token.
User names are compared as they are, without SASLprep, as with PLAIN.
"""

import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Final

from protocol.errors import ClientProtocolError

SCRAM_SHA_512: Final = "SCRAM-SHA-512"
PROOF_BYTES: Final = 64

_NAME: Final = rb"(?:[^\x00=,]|=2C|=3D)+"
_PRINTABLE: Final = rb"[\x21-\x2b\x2d-\x7e]+"
_CLIENT_FIRST: Final = re.compile(rb"(n,(?:a=(%b))?,)(n=(%b),r=(%b))" % (_NAME, _NAME, _PRINTABLE))
_CLIENT_FINAL: Final = re.compile(rb"(c=([A-Za-z0-9+/=]+),r=(%b)),p=([A-Za-z0-9+/]{86}==)" % _PRINTABLE)


@dataclass(frozen=True, slots=True)
class ClientFirst:
    """Who the client says it is, and its nonce."""

    username: str
    nonce: bytes
    header: bytes
    """What is said of channel binding; the final message must repeat it."""
    bare: bytes
    """The message without that."""


@dataclass(frozen=True, slots=True)
class ClientFinal:
    """The client's proof."""

    header: bytes
    nonce: bytes
    without_proof: bytes
    proof: bytes


def parse_client_first(message: bytes) -> ClientFirst:
    """Raises ClientProtocolError."""
    match = _CLIENT_FIRST.fullmatch(message)
    if match is None:
        raise ClientProtocolError("the first SCRAM message is malformed")
    header, other_name, bare, name, nonce = match.groups()
    if other_name is not None and other_name != name:
        raise ClientProtocolError("the first SCRAM message asks to act as another user")
    try:
        username = name.replace(b"=2C", b",").replace(b"=3D", b"=").decode()
    except UnicodeDecodeError:
        raise ClientProtocolError("the user name of the first SCRAM message is not UTF-8") from None
    return ClientFirst(username, nonce, header, bare)


def build_server_first(nonce: bytes, salt: bytes, iterations: int) -> bytes:
    """`nonce` is the client's with ours behind it."""
    return b"r=%b,s=%b,i=%d" % (nonce, b64encode(salt), iterations)


def parse_client_final(message: bytes) -> ClientFinal:
    """Raises ClientProtocolError."""
    match = _CLIENT_FINAL.fullmatch(message)
    if match is None:
        raise ClientProtocolError("the final SCRAM message is malformed")
    without_proof, header, nonce, proof = match.groups()
    try:
        return ClientFinal(b64decode(header, validate=True), nonce, without_proof, b64decode(proof, validate=True))
    except ValueError:
        raise ClientProtocolError("the final SCRAM message is not base64") from None


def auth_message(first: ClientFirst, server_first: bytes, final: ClientFinal) -> bytes:
    """What both sides sign."""
    return b"%b,%b,%b" % (first.bare, server_first, final.without_proof)


def is_proof(stored_key: bytes, signed: bytes, proof: bytes) -> bool:
    """Whether whoever made the proof has the key of which this is the hash; takes the same time either way."""
    signature = hmac.digest(stored_key, signed, "sha512")
    client_key = bytes(left ^ right for left, right in zip(signature, proof, strict=True))
    return hmac.compare_digest(hashlib.sha512(client_key).digest(), stored_key)


def build_server_final(server_key: bytes, signed: bytes) -> bytes:
    """Proves to the client that this server knows its password, too."""
    return b"v=" + b64encode(hmac.digest(server_key, signed, "sha512"))
