"""SASL PLAIN (RFC 4616): the message a client sends, and the one that we send to a broker."""

from dataclasses import dataclass

from protocol.errors import ClientProtocolError

PLAIN = "PLAIN"


@dataclass(frozen=True, slots=True)
class PlainCredentials:
    """User name and password of a PLAIN message. The password never appears in a repr."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"PlainCredentials(username={self.username!r})"


def parse_plain(message: bytes) -> PlainCredentials:
    """[authorization id] NUL user NUL password. Raises ClientProtocolError.

    An authorization id must be absent or the user itself, as Kafka's PlainSaslServer demands.
    """
    try:
        parts = message.decode().split("\0")
    except UnicodeDecodeError:
        raise ClientProtocolError("the PLAIN message is not UTF-8") from None
    if len(parts) != 3:
        raise ClientProtocolError(f"the PLAIN message has {len(parts)} parts, not 3")
    authorization_id, username, password = parts
    if not username or not password:
        raise ClientProtocolError("the PLAIN message lacks the user name or the password")
    if authorization_id not in ("", username):
        raise ClientProtocolError("the PLAIN message asks to act as another user")
    return PlainCredentials(username, password)


def build_plain(username: str, password: str) -> bytes:
    return f"\0{username}\0{password}".encode()
