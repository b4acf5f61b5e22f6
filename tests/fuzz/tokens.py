"""SASL tokens: right ones, nearly right ones and rubbish, for whatever mechanism the gateway has."""

from base64 import urlsafe_b64encode
from random import Random
from typing import Final

from protocol.sasl import build_plain
from tests.fuzz import bearer
from tests.fuzz.stage import NONCE
from tests.unit.proxy.playbook import PASSWORD

USERS: Final = ("tokenuser", "johndoe", "janedoe", "nobody", "", "naïve ☃", "u" * 5000, "a=2Cb", "a,b", "a\0b")
PASSWORDS: Final = (PASSWORD, "wrong", "", "p" * 5000, "☃")
FOREIGN_MECHANISMS: Final = ("GSSAPI", "SCRAM-SHA-256", "EXTERNAL", "", "plain", "PLAIN\0", "☃" * 100, "m" * 9000)
TOKEN_VERSIONS: Final = (0, 1, 2, 2, 2)


def draw_mechanism(rng: Random, offered: tuple[str, ...]) -> str:
    return rng.choice(offered) if rng.random() < 0.85 else rng.choice(FOREIGN_MECHANISMS)


def draw_token(rng: Random, mechanism: str) -> bytes:
    """A token for this mechanism, damaged now and then."""
    if rng.random() < 0.1:
        return rng.randbytes(rng.choice((0, 1, 16, 300, 17_000)))
    if mechanism.startswith("SCRAM"):
        token = _scram(rng)
    elif mechanism == "OAUTHBEARER":
        token = bearer.draw(rng, USERS[:4]) if rng.random() < 0.6 else _bearer(rng)
    else:
        token = _plain(rng)
    return _damage(rng, token) if rng.random() < 0.4 else token


def _plain(rng: Random) -> bytes:
    user, password = rng.choice(USERS[:4]), rng.choice(PASSWORDS[:2])
    if rng.random() < 0.7:
        return build_plain(user, password)
    authorization_id = rng.choice(USERS)
    return f"{authorization_id}\0{rng.choice(USERS)}\0{rng.choice(PASSWORDS)}".encode()


def _scram(rng: Random) -> bytes:
    if rng.random() < 0.5:
        gs2 = rng.choice(("n,,", "y,,", "p=tls-unique,,", "n,a=johndoe,", "", ",,", "n,a=other,"))
        user = rng.choice(USERS[:2]) if rng.random() < 0.7 else rng.choice(USERS)
        nonce = rng.choice(("fyko+d2lbbFgONRv9qkxdawL", "", "n" * 5000, "a b", "é"))
        extension = rng.choice(("", "", ",m=must", ",tokenauth=true", ",x=y", ",,", "="))
        return f"{gs2}n={user},r={nonce}{extension}".encode()
    binding = rng.choice(("biws", "eSws", "", "!!", "biws=="))
    proof = rng.choice((urlsafe_b64encode(rng.randbytes(64)).decode(), "", "!", "cA==", "p" * 9000))
    nonce = NONCE.decode() if rng.random() < 0.8 else rng.choice(("", "other"))
    return rng.choice(
        (f"c={binding},r={nonce},p={proof}", f"p={proof}", f"c={binding},r={nonce},x=y,p={proof}")
    ).encode()


def _bearer(rng: Random) -> bytes:
    if rng.random() < 0.1:
        return b"\x01"
    gs2 = rng.choice(("n,,", "n,,", "y,,", "n,a=johndoe,", "p=x,,", ""))
    extension = rng.choice(("", "", "\x01a=b", "\x01auth=x", "\x01=", "\x011=2"))
    scheme = rng.choice(("Bearer", "Bearer", "bearer", "Basic", ""))
    return f"{gs2}\x01auth={scheme} {_jwt(rng)}{extension}\x01\x01".encode()


def _jwt(rng: Random) -> str:
    header = rng.choice(
        (
            '{"alg":"none"}',
            '{"alg":"HS256"}',
            '{"alg":"RS256","kid":"1"}',
            '{"alg":"ES256","kid":["x"]}',
            '{"alg":"RS256","kid":"../../etc","crit":["b64"],"b64":false}',
            "{}",
            "[]",
            "null",
            "[" * 3000,
        )
    )
    claims = rng.choice(
        (
            '{"sub":"johndoe","iss":"issuer","aud":"kafka","exp":9999999999}',
            '{"sub":["johndoe"],"exp":"soon","aud":{},"iss":1}',
            '{"sub":"johndoe","exp":1e400}',
            '{"sub":null,"exp":-1,"nbf":99999999999999999999}',
            "{}",
            "7",
        )
    )
    parts = [urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in (header, claims)]
    return ".".join((*parts, rng.choice(("", "AA", "!!", urlsafe_b64encode(rng.randbytes(256)).decode()))))


def _damage(rng: Random, token: bytes) -> bytes:
    data = bytearray(token)
    for _ in range(rng.choice((1, 1, 2, 5))):
        position = rng.randrange(len(data) + 1)
        match rng.randrange(4):
            case 0:
                data[position : position + 1] = rng.randbytes(1)
            case 1:
                del data[position : position + rng.choice((1, 4, 40))]
            case 2:
                data[position:position] = rng.choice((b"\0", b",", b"=", b"\x01", b"\xff", b"A" * 300))
            case _:
                data[position:position] = data[: rng.randrange(20)]
    return bytes(data)
