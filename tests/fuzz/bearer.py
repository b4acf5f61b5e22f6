"""Bearer tokens of a provider that is trusted, right ones and strange ones, and the mechanism that verifies them."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt import PyJWTError

from proxy.config import OauthConfig
from proxy.jwks import Keys
from proxy.mechanisms.mechanism import Mechanism
from proxy.mechanisms.oauthbearer import Oauthbearer
from proxy.metrics import GatewayMetrics
from proxy.zones import ZoneRegistry
from tests.tokens import AUDIENCE, ISSUER, Signer, key_set

OAUTH: Final = OauthConfig(jwks="keys.json", issuer=ISSUER, audience=AUDIENCE)
STRANGE: Final[Sequence[Any]] = (
    None, "", "x", 0, -1, 1.5, True, [], {}, ["johndoe"], 10**400, 1e308,
    float("inf"), float("nan"), "9" * 5000, "\ud800", [AUDIENCE, 1],
)  # fmt: skip
TIMES: Final[dict[str, Any]] = {"iat": 1_700_000_000, "exp": 4_000_000_000}
"""Good for long, and not of the day on which the test runs."""

CLAIMS: Final = ("exp", "iat", "nbf", "iss", "aud", "jti", "sub")
HEADERS: Final = ("kid", "typ", "crit", "b64", "cty", "jwk", "x5c")


@cache
def signer() -> Signer:
    """With a key that is always the same, and signatures that follow from what is signed: a seed gives one story."""
    signer = Signer("one", "EdDSA")
    signer.key = Ed25519PrivateKey.from_private_bytes(b"always the same, so not a secret")
    return signer


@cache
def _keys() -> Keys:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "keys.json"
        file.write_bytes(key_set(signer().jwk()))
        keys = Keys(str(file), GatewayMetrics())
        asyncio.run(keys.refresh())
    return keys


def mechanisms(registry: ZoneRegistry) -> Sequence[Mechanism]:
    return (Oauthbearer(registry, _keys(), OAUTH),)


def message(token: str) -> bytes:
    return f"n,,\x01auth=Bearer {token}\x01\x01".encode()


def draw(rng: Random, users: Sequence[str]) -> bytes:
    """A token with a good signature, mostly with a strange claim or header."""
    strange = {} if rng.random() < 0.3 else {rng.choice(CLAIMS): rng.choice(STRANGE)}
    claims: dict[str, Any] = TIMES | strange
    headers = {rng.choice(HEADERS): rng.choice(STRANGE)} if rng.random() < 0.2 else {}
    user = claims.pop("sub", rng.choice(users))
    with suppress(PyJWTError, ValueError, TypeError):
        return message(signer().token(user, headers=headers, **claims))
    # what the provider's own library doesn't sign
    return message(signer().token("tokenuser", **TIMES))
