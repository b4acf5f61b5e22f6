"""SASL OAUTHBEARER (RFC 7628): the message a client sends, and what a server says of a token that it doesn't take.

Kafka's OAuthBearerClientInitialResponse is the model, also where it is laxer than the RFC: of a key that is given twice
the last counts, and an authorization id is taken as it is written. The token itself is opaque here.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from protocol.errors import ClientProtocolError

OAUTHBEARER: Final = "OAUTHBEARER"

REFUSAL: Final = '{"status":"invalid_token"}'
"""The answer to every token that is refused. RFC 7628 has the client confirm it with CONFIRMATION; then follows the
failure, of which Kafka makes this the text as well."""

CONFIRMATION: Final = b"\x01"

_MESSAGE: Final = re.compile(
    rb"n,(?:a=(?P<authorization_id>(?:[\x01-\x2b\x2d-\x3c\x3e-\x7f]|=2C|=3D)+))?,"
    rb"\x01(?P<pairs>(?:[A-Za-z]+=[\x21-\x7e \t\r\n]+\x01)*)\x01"
)
_AUTH: Final = re.compile(rb"(?i:bearer) +(?P<token>[-_~+/.a-zA-Z0-9]+=*)")


@dataclass(frozen=True, slots=True)
class BearerMessage:
    """A client's token, and as whom it asks to act; empty where it doesn't say."""

    token: str = field(repr=False)
    authorization_id: str


def parse_message(message: bytes) -> BearerMessage:
    """`n,[a=authorization id],^Aauth=Bearer token^A[key=value^A]...^A`. Raises ClientProtocolError.

    Further pairs are SASL extensions (KIP-342): well-formed ones are passed over, as a broker does that has no use for
    them.
    """
    match = _MESSAGE.fullmatch(message)
    if match is None:
        raise ClientProtocolError("the OAUTHBEARER message is not one of RFC 7628")
    pairs = dict(pair.split(b"=", 1) for pair in match["pairs"].split(b"\x01") if pair)
    auth = _AUTH.fullmatch(pairs.get(b"auth", b""))
    if auth is None:
        raise ClientProtocolError("the OAUTHBEARER message has no bearer token")
    return BearerMessage(auth["token"].decode("ascii"), (match["authorization_id"] or b"").decode("ascii"))
