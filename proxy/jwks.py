"""The keys of those who sign tokens: a JWK set (RFC 7517) from a URL or a file, kept fresh in the background.

What can't be had or read changes nothing: the last good set stays, which is logged and counted. A key is taken for what
its entry says that it is for, never for what a token says.
"""

import asyncio
import json
import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

import httpx
import jwt

from proxy.metrics import GatewayMetrics

_log = logging.getLogger("zonegate.jwks")

REFRESH_SECONDS: Final = 300.0
"""Kafka's `sasl.oauthbearer.jwks.endpoint.refresh.ms` is an hour; a key that its owner takes back should go sooner."""

EXPEDITED_SECONDS: Final = 10.0
"""Between two fetches that a failure or an unknown key asks for; anybody can send a token with such a key."""

FILE_SECONDS: Final = 1.0
"""How soon a changed file is seen."""

FETCH_SECONDS: Final = 5.0
MAX_BYTES: Final = 1 << 20
"""Of a key set; those of large providers have 10 kB."""

MIN_RSA_BITS: Final = 2048
"""RFC 7518 asks for as many."""

_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_FITTING: Final = {
    "RSA": _RSA,
    "EC P-256": ("ES256",),
    "EC P-384": ("ES384",),
    "EC P-521": ("ES512",),
    "OKP Ed25519": ("EdDSA",),
    "OKP Ed448": ("EdDSA",),
}
ALGORITHMS: Final = (*_RSA, "ES256", "ES384", "ES512", "EdDSA")
"""All are asymmetric: with a shared secret, whoever can verify a token can make one."""


class KeySetError(ValueError):
    """What was fetched or read is no key set that can be used."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key, and the algorithms whose signatures it may verify."""

    id: str | None
    algorithms: tuple[str, ...]
    key: Any


def parse_key_set(data: bytes) -> tuple[VerificationKey, ...]:
    """The usable keys of a set. Raises KeySetError when there is none."""
    try:
        document = json.loads(data)
        entries = document["keys"]
        keys = tuple(key for entry in entries if isinstance(entry, dict) and (key := _verification_key(entry)))
    except (ValueError, TypeError, KeyError, RecursionError):
        raise KeySetError("it is not a JWK set: a JSON object with a list 'keys'") from None
    if not keys:
        raise KeySetError(f"none of its {len(entries)} keys is a public key for signatures, of RSA, EC or OKP")
    return keys


def _verification_key(entry: dict[str, Any]) -> VerificationKey | None:
    """None for a key that signs nothing, that is too weak, secret or unknown."""
    if entry.get("use", "sig") != "sig" or "verify" not in entry.get("key_ops", ("verify",)) or "d" in entry:
        return None
    kind = "RSA" if entry.get("kty") == "RSA" else f"{entry.get('kty')} {entry.get('crv')}"
    algorithms = tuple(each for each in _FITTING.get(kind, ()) if entry.get("alg", each) == each)
    if not algorithms:
        return None
    try:
        key = jwt.PyJWK(entry, algorithms[0]).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError):
        return None
    if kind == "RSA" and key.key_size < MIN_RSA_BITS:
        return None
    return VerificationKey(entry.get("kid"), algorithms, key)


Fetch = Callable[[], Awaitable[bytes | None]]
"""The set's text; None when it is what it was."""


class Keys:
    """The keys in force. `run` keeps them fresh; `find` may be asked at any time."""

    def __init__(self, source: str, metrics: GatewayMetrics) -> None:
        """`source` is an http(s) URL, or a file's path."""
        self._keys: tuple[VerificationKey, ...] = ()
        self._metrics = metrics
        self._is_url = source.startswith(("http://", "https://"))
        self._fetch: Fetch = _Url(source).fetch if self._is_url else _File(source).fetch
        self._wanted = asyncio.Event()
        self._attempted = float("-inf")
        self._problem = ""

    def find(self, key_id: str | None, algorithm: str) -> VerificationKey | None:
        """The key that a token names; the only fitting one where it names none. An unknown one hastens a refresh."""
        fitting = [key for key in self._keys if algorithm in key.algorithms]
        if key_id is None:
            return fitting[0] if len(fitting) == 1 else None
        found = next((key for key in fitting if key.id == key_id), None)
        if found is None:
            self._wanted.set()
        return found

    async def refresh(self) -> None:
        """One attempt. Raises nothing; what goes wrong is logged when it is new, and counted."""
        self._attempted = monotonic()
        self._wanted.clear()
        try:
            data = await self._fetch()
            if data is None:
                return
            keys = parse_key_set(data)
        except (OSError, TimeoutError, httpx.HTTPError, httpx.InvalidURL, KeySetError) as error:
            self._failed(str(error) or type(error).__name__)
            return
        self._metrics.jwks_refreshes["success"] += 1
        self._metrics.jwks_keys = len(keys)
        if self._problem or [key.id for key in keys] != [key.id for key in self._keys]:
            ids = ", ".join(str(key.id) for key in keys)
            _log.info("signature keys are loaded", extra={"event": "jwks_loaded", "keys": len(keys), "ids": ids})
        self._keys, self._problem = keys, ""

    def _failed(self, problem: str) -> None:
        self._metrics.jwks_refreshes["failure"] += 1
        if problem != self._problem:
            self._problem = problem
            what = "the last ones stay" if self._keys else "tokens are refused until there are some"
            extra = {"event": "jwks_refresh_failed", "problem": problem, "keys": len(self._keys)}
            _log.warning("oauth.jwks gives no signature keys; %s", what, extra=extra)

    async def run(self) -> None:
        """Refresh for ever, beginning with the first pause."""
        while True:
            await self._pause()
            await self.refresh()

    async def _pause(self) -> None:
        if not self._is_url:
            await asyncio.sleep(FILE_SECONDS)
            return
        try:
            async with asyncio.timeout(EXPEDITED_SECONDS if self._problem else REFRESH_SECONDS):
                await self._wanted.wait()
        except TimeoutError:
            return
        await asyncio.sleep(max(0.0, self._attempted + EXPEDITED_SECONDS - monotonic()))


class _Url:
    """A key set behind a URL. Proxies and further authorities (SSL_CERT_FILE) are those of the environment."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def fetch(self) -> bytes:
        """Raises OSError, TimeoutError, httpx.HTTPError, KeySetError."""
        context = await asyncio.to_thread(httpx.create_ssl_context)
        headers = {"Accept": "application/jwk-set+json, application/json", "Accept-Encoding": "identity"}
        async with (
            asyncio.timeout(FETCH_SECONDS),
            httpx.AsyncClient(verify=context, headers=headers) as client,
            client.stream("GET", self._url) as response,
        ):
            if response.status_code != httpx.codes.OK:
                raise KeySetError(f"the server answers with status {response.status_code}")
            data = bytearray()
            async for chunk in response.aiter_raw():
                data += chunk
                _check_size(len(data))
            return bytes(data)


class _File:
    """A key set in a file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen: tuple[int, ...] | None = None

    async def fetch(self) -> bytes | None:
        """Raises OSError, as long as it can't be read, and KeySetError."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> bytes | None:
        try:
            status = os.stat(self._path)
        except OSError:
            self._seen = None
            raise
        seen = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        if seen == self._seen:
            return None
        _check_size(status.st_size)
        with open(self._path, "rb") as file:
            data = file.read()
        self._seen = seen
        return data


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise KeySetError(f"it has more than {MAX_BYTES} bytes")
