"""What clients that know their password say when they sign in, mechanism by mechanism."""

from collections.abc import Generator
from contextlib import suppress

from scramp import ScramClient, ScramException

from protocol.oauthbearer import OAUTHBEARER
from protocol.sasl import build_plain
from tests.fuzz import bearer
from tests.unit.proxy.playbook import PASSWORD

Tokens = Generator[bytes, bytes, None]
"""Takes the server's last word and gives the client's next one."""


def _plain(user: str) -> Tokens:
    yield b""
    yield build_plain(user, PASSWORD)


def _scram(mechanism: str, user: str) -> Tokens:
    client = ScramClient([mechanism], user, PASSWORD, c_nonce="fyko+d2lbbFgONRv9qkxdawL")
    yield b""
    challenge = yield client.get_client_first().encode()
    with suppress(ScramException, UnicodeDecodeError):
        client.set_server_first(challenge.decode())
        yield client.get_client_final().encode()


def _bearer(user: str) -> Tokens:
    yield b""
    yield bearer.message(bearer.signer().token(user))


def tokens_of(mechanism: str, user: str) -> Tokens:
    """Begun, so that the server's last word can be sent to it."""
    if mechanism == OAUTHBEARER:
        tokens = _bearer(user)
    else:
        tokens = _scram(mechanism, user) if mechanism.startswith("SCRAM") else _plain(user)
    next(tokens)
    return tokens
