"""The keys that verify tokens: which are taken, and how they are kept fresh, over real HTTP and from real files."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from proxy import jwks
from proxy.jwks import Keys, KeySetError, parse_key_set
from proxy.metrics import GatewayMetrics
from tests.tokens import KeyServer, Signer, key_set

RSA, EC, ED = Signer("rsa"), Signer("ec", "ES384"), Signer("ed", "EdDSA")
SECRET = {"kty": "oct", "kid": "secret", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ"}
SECONDS = 10.0


@pytest.mark.parametrize(
    ("entry", "algorithms"),
    [
        (RSA.jwk(), ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
        (RSA.jwk(alg="PS384", use="sig", key_ops=["verify"]), ("PS384",)),
        (EC.jwk(), ("ES384",)),
        (ED.jwk(), ("EdDSA",)),
    ],
)
def test_a_key_is_for_what_its_entry_says(entry: dict[str, object], algorithms: tuple[str, ...]) -> None:
    (key,) = parse_key_set(key_set(entry))
    assert key.algorithms == algorithms


@pytest.mark.parametrize(
    "entry",
    [
        SECRET,
        {**SECRET, "alg": "RS256"},
        {**RSA.jwk(), "kty": "oct", "k": "YQ"},
        RSA.jwk(use="enc"),
        RSA.jwk(key_ops=["sign"]),
        RSA.jwk(alg="HS256"),
        RSA.jwk(alg="none"),
        RSA.jwk(alg="ES256"),
        EC.jwk(alg="ES256"),
        EC.jwk(crv="secp256k1"),
        RSA.jwk(d="AQAB"),
        RSA.jwk(n=1),
        RSA.jwk(n=None),
        {"kty": ["RSA"]},
        Signer("weak", bits=1024).jwk(),
    ],
)
def test_other_keys_are_left_out(entry: dict[str, object]) -> None:
    assert [key.id for key in parse_key_set(key_set(entry, ED.jwk()))] == ["ed"]
    with pytest.raises(KeySetError, match="none of its 1 keys is a public key for signatures"):
        parse_key_set(key_set(entry))


@pytest.mark.parametrize("data", [b"", b"<html>", b"[]", b"{}", b'{"keys": 1}', b'{"keys": null}', b"[" * 100_000])
def test_what_is_no_key_set(data: bytes) -> None:
    with pytest.raises(KeySetError, match="it is not a JWK set"):
        parse_key_set(data)


@pytest.fixture
def metrics() -> GatewayMetrics:
    return GatewayMetrics()


@contextlib.asynccontextmanager
async def running(keys: Keys) -> AsyncIterator[None]:
    task = asyncio.create_task(keys.run(), name="keys")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], object], what: str) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110 - conditions of threads and files, which set no event
            await asyncio.sleep(0.01)
    assert condition(), what


async def test_keys_over_http_and_their_rotation(metrics: GatewayMetrics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwks, "EXPEDITED_SECONDS", 0.2)
    with KeyServer(key_set(RSA.jwk())) as server:
        keys = Keys(server.url, metrics)
        await keys.refresh()
        assert keys.find("rsa", "RS256") is not None
        async with running(keys):
            server.body = key_set(EC.jwk(), ED.jwk())
            assert keys.find("ec", "ES384") is None
            await until(lambda: keys.find("ec", "ES384"), "a key that was not known is fetched")
            assert keys.find("rsa", "RS256") is None, "one that is gone is not kept"
        assert metrics.jwks_keys == 2


async def test_unknown_keys_do_not_make_it_ask_more_often(
    metrics: GatewayMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "EXPEDITED_SECONDS", 0.4)
    with KeyServer(key_set(RSA.jwk())) as server:
        keys = Keys(server.url, metrics)
        await keys.refresh()
        started = asyncio.get_running_loop().time()
        async with running(keys):
            while server.asked < 4:
                assert keys.find("unknown", "RS256") is None
                await asyncio.sleep(0.01)
            elapsed = asyncio.get_running_loop().time() - started
        assert elapsed > 2 * 0.4, f"asked {server.asked} times within {elapsed:.2f} s"


async def test_known_keys_are_fetched_anew_now_and_then(
    metrics: GatewayMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "REFRESH_SECONDS", 0.05)
    with KeyServer(key_set(RSA.jwk())) as server:
        keys = Keys(server.url, metrics)
        async with running(keys):
            await until(lambda: server.asked >= 3, "fetched again without being asked")
    assert metrics.jwks_refreshes["failure"] == 0


@pytest.mark.parametrize(
    ("status", "body", "problem"),
    [
        (500, b"", "the server answers with status 500"),
        (302, b"", "the server answers with status 302"),
        (200, b"<html>", "it is not a JWK set: a JSON object with a list 'keys'"),
        (200, key_set(SECRET), "none of its 1 keys is a public key for signatures, of RSA, EC or OKP"),
        (200, b" " * (jwks.MAX_BYTES + 1), "it has more than 1048576 bytes"),
    ],
)
async def test_a_failing_refresh_keeps_the_last_keys(
    metrics: GatewayMetrics, caplog: pytest.LogCaptureFixture, status: int, body: bytes, problem: str
) -> None:
    with KeyServer(key_set(RSA.jwk())) as server:
        keys = Keys(server.url, metrics)
        await keys.refresh()
        server.status, server.body = status, body
        with caplog.at_level(logging.WARNING, "zonegate"):
            await keys.refresh()
            await keys.refresh()
        assert keys.find("rsa", "RS256") is not None
    assert caplog.messages == ["oauth.jwks gives no signature keys; the last ones stay"], (
        "once, while it stays the same"
    )
    assert caplog.records[0].__dict__["problem"] == problem
    assert metrics.jwks_refreshes == {"success": 1, "failure": 2}


async def test_a_server_that_is_not_there_yet(
    metrics: GatewayMetrics, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "EXPEDITED_SECONDS", 0.05)
    with KeyServer(key_set(RSA.jwk())) as server:
        server.status = 503
        keys = Keys(server.url, metrics)
        with caplog.at_level(logging.INFO, "zonegate"):
            await keys.refresh()
            assert keys.find("rsa", "RS256") is None
            assert caplog.messages == ["oauth.jwks gives no signature keys; tokens are refused until there are some"]
            server.status = 200
            async with running(keys):
                await until(lambda: keys.find("rsa", "RS256"), "tried again without being asked")
        assert caplog.messages[-1] == "signature keys are loaded"


async def test_a_url_where_nobody_listens(metrics: GatewayMetrics) -> None:
    with KeyServer(b"") as server:
        url = server.url
    await Keys(url, metrics).refresh()
    assert metrics.jwks_refreshes == {"failure": 1}


async def test_keys_from_a_file_that_changes(
    metrics: GatewayMetrics, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(jwks, "FILE_SECONDS", 0.02)
    file = tmp_path / "keys.json"
    keys = Keys(str(file), metrics)
    await keys.refresh()
    assert metrics.jwks_refreshes == {"failure": 1}, "the file is not there yet"
    async with running(keys):
        _replace(file, key_set(RSA.jwk()))
        await until(lambda: keys.find("rsa", "RS256"), "the file is read when it comes")
        _replace(file, key_set(ED.jwk()))
        await until(lambda: keys.find("ed", "EdDSA"), "the file is read when it changes")
        assert keys.find("rsa", "RS256") is None
        _replace(file, b"{")
        failures = metrics.jwks_refreshes["failure"]
        await until(lambda: metrics.jwks_refreshes["failure"] > failures, "a broken edit is counted")
        assert keys.find("ed", "EdDSA") is not None
    assert metrics.jwks_refreshes["success"] == 2, "a file that has not changed is not read again"


def _replace(file: Path, data: bytes) -> None:
    """As an editor does it."""
    written = file.with_suffix(".new")
    written.write_bytes(data)
    os.replace(written, file)


async def test_a_token_without_a_key_id_means_the_only_key(metrics: GatewayMetrics, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_bytes(key_set(RSA.jwk(), Signer("other").jwk(), ED.jwk()))
    keys = Keys(str(file), metrics)
    await keys.refresh()
    assert keys.find(None, "RS256") is None
    only = keys.find(None, "EdDSA")
    assert only is not None
    assert only.id == "ed"
    assert keys.find("ed", "RS256") is None, "a key is never used for another algorithm than its own"
