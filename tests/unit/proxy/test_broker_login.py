"""Connections to a broker that listens: who gets in, with which words it fails, and how the cluster sees it."""

import logging
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from protocol.errors import BrokerProtocolError
from proxy import reauthentication
from proxy.broker import BrokerConnection, connect
from proxy.broker_login import RefusedLoginError, Upstream
from proxy.close import CloseReason
from proxy.cluster import Cluster
from proxy.config import ClusterConfig, ClusterMechanism
from proxy.flow import MemoryBudget, ReadGate
from proxy.metrics import GatewayMetrics
from tests.pki import Authority, Pair
from tests.unit.proxy.fake_broker import HOST, METADATA, FakeBroker
from tests.unit.proxy.playbook import SASL_AUTHENTICATE, SASL_HANDSHAKE

USER, SECRET = "gate,way=1", "a-secret-of-the-gateway"
SASL = ClusterConfig(
    bootstrap_servers=((HOST, 9092),), security_protocol="SASL_PLAINTEXT", username=USER, password=SECRET
)
SCRAM: tuple[ClusterMechanism, ...] = ("SCRAM-SHA-256", "SCRAM-SHA-512")
MECHANISMS: tuple[ClusterMechanism, ...] = ("PLAIN", *SCRAM)
API_VERSIONS = 18


async def open_connection(broker: FakeBroker, config: ClusterConfig = SASL) -> BrokerConnection:
    """Raises what the gateway itself would have to handle."""

    def on_lost(reason: CloseReason, detail: str) -> None: ...

    upstream = Upstream(config, GatewayMetrics())
    return await connect(broker.address, upstream, on_lost, ReadGate(), MemoryBudget(1 << 20).share(""))


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_the_gateway_proves_who_it_is(mechanism: ClusterMechanism) -> None:
    async with FakeBroker((mechanism,), SECRET) as broker:
        connection = await open_connection(broker, replace(SASL, mechanism=mechanism))
        assert connection.versions.apis[METADATA] == (0, 12)
        assert connection.reauthentication is None
        connection.abort()
    assert broker.users == [USER]
    steps = 1 if mechanism == "PLAIN" else 2
    assert [got.key for got in broker.got] == [SASL_HANDSHAKE, *[SASL_AUTHENTICATE] * steps, API_VERSIONS]


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_a_wrong_password(mechanism: ClusterMechanism) -> None:
    async with FakeBroker((mechanism,), "another") as broker:
        with pytest.raises(RefusedLoginError) as caught:
            await open_connection(broker, replace(SASL, mechanism=mechanism))
    assert str(caught.value) == "the broker refused sasl.username 'gate,way=1' (SASL_AUTHENTICATION_FAILED)"


async def test_a_mechanism_that_is_not_offered() -> None:
    async with FakeBroker(("GSSAPI", "PLAIN")) as broker:
        with pytest.raises(RefusedLoginError) as caught:
            await open_connection(broker, replace(SASL, mechanism="SCRAM-SHA-512"))
    assert str(caught.value) == "the broker offers GSSAPI, PLAIN, not SCRAM-SHA-512 (UNSUPPORTED_SASL_MECHANISM)"
    assert [got.key for got in broker.got] == [SASL_HANDSHAKE]


@pytest.mark.parametrize("mechanism", SCRAM)
@pytest.mark.parametrize(
    ("lies", "error"),
    [
        ({1: b"r=abc,s=W22Z,i=4096"}, "the broker's SCRAM nonce doesn't continue ours"),
        ({1: b"\xff\xfe"}, "a SCRAM message of the broker is not UTF-8"),
        ({2: b"v=AAAA"}, "the broker's SCRAM signature is wrong: it does not know the password"),
        ({2: b""}, "the broker's last SCRAM message is malformed"),
    ],
)
async def test_a_broker_that_lies(mechanism: ClusterMechanism, lies: dict[int, bytes], error: str) -> None:
    """Whoever doesn't know the password can't pass for a broker."""
    async with FakeBroker((mechanism,), SECRET, lies=lies) as broker:
        with pytest.raises(BrokerProtocolError) as caught:
            await open_connection(broker, replace(SASL, mechanism=mechanism))
    assert str(caught.value) == error
    assert API_VERSIONS not in [got.key for got in broker.got]


# the gateway's own connection


def own_cluster(broker: FakeBroker, config: ClusterConfig = SASL) -> Cluster:
    config = replace(config, bootstrap_servers=(broker.address,))
    return Cluster(config, MemoryBudget(1 << 20).share(""), GatewayMetrics())


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_the_gateways_own_connection_signs_in_again(
    mechanism: ClusterMechanism, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(reauthentication, "monotonic", lambda: now[0])
    async with FakeBroker((mechanism,), SECRET, lifetime=60_000) as broker:
        cluster = own_cluster(broker, replace(SASL, mechanism=mechanism))
        await cluster.refresh()
        assert cluster.reachable
        opened = broker.connections
        for _ in range(3):
            now[0] += 60
            broker.got.clear()
            await cluster.refresh()
            assert cluster.reachable
            steps = 1 if mechanism == "PLAIN" else 2
            assert [got.key for got in broker.got] == [SASL_HANDSHAKE, *[SASL_AUTHENTICATE] * steps, METADATA]
        assert broker.connections == opened
        await close(cluster)


async def test_a_refused_connection_of_the_gateway_itself_says_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [1000.0]
    monkeypatch.setattr(reauthentication, "monotonic", lambda: now[0])
    caplog.set_level(logging.DEBUG)
    async with FakeBroker(("PLAIN",), SECRET, lifetime=60_000) as broker:
        cluster = own_cluster(broker)
        await cluster.refresh()
        broker.password = "changed"
        now[0] += 60
        await cluster.refresh()
        refused = "the broker refused sasl.username 'gate,way=1' (SASL_AUTHENTICATION_FAILED)"
        assert (cluster.reachable, cluster.problem) == (False, refused)
        broker.password = SECRET
        await cluster.refresh()
        assert cluster.reachable
        await close(cluster)
    assert SECRET not in str([record.__dict__ for record in caplog.records])


async def close(cluster: Cluster) -> None:
    connection = cluster._connection
    assert connection is not None
    connection.abort()


# TLS


@pytest.fixture
def pki(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


def server(identity: Pair, client_ca: Path | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def over_tls(pki: Authority, **fields: Any) -> ClusterConfig:
    return replace(SASL, **{"security_protocol": "SASL_SSL", "ca": str(pki.file), **fields})


async def test_sasl_over_tls(pki: Authority) -> None:
    async with FakeBroker(SCRAM, SECRET, context=server(pki.issue("broker", HOST))) as broker:
        (await open_connection(broker, over_tls(pki, mechanism="SCRAM-SHA-512"))).abort()
    assert broker.users == [USER]


async def test_a_client_certificate_with_an_encrypted_key(pki: Authority) -> None:
    own = pki.issue("gate", "gate", common_name="gate", password="of-the-key")
    config = over_tls(
        pki,
        security_protocol="SSL",
        certificate=str(own.certificate),
        key=str(own.key),
        key_password="of-the-key",
    )
    async with FakeBroker(context=server(pki.issue("broker", HOST), client_ca=pki.file)) as broker:
        (await open_connection(broker, config)).abort()
    assert [got.key for got in broker.got] == [API_VERSIONS]


async def test_without_the_client_certificate_that_the_broker_wants(pki: Authority) -> None:
    async with FakeBroker(context=server(pki.issue("broker", HOST), client_ca=pki.file)) as broker:
        # an asyncio server sends no alert that would say why
        with pytest.raises((OSError, BrokerProtocolError)):
            await open_connection(broker, over_tls(pki, security_protocol="SSL"))
    assert not broker.got


async def test_a_broker_of_another_authority(pki: Authority, tmp_path: Path) -> None:
    elsewhere = Authority(tmp_path / "elsewhere")
    async with FakeBroker(password=SECRET, context=server(elsewhere.issue("broker", HOST))) as broker:
        with pytest.raises(OSError, match=r"^the broker's certificate is not accepted: unable to get local issuer"):
            await open_connection(broker, over_tls(pki))
        with pytest.raises(OSError, match=r"^the broker's certificate is not accepted: unable to get local issuer"):
            await open_connection(broker, over_tls(pki, verify_host=False))
    assert not broker.got


async def test_a_broker_of_another_name(pki: Authority) -> None:
    async with FakeBroker(password=SECRET, context=server(pki.issue("broker", "kafka.example.com"))) as broker:
        with pytest.raises(OSError) as caught:
            await open_connection(broker, over_tls(pki))
        assert not broker.got
        assert str(caught.value) == (
            "the broker's certificate is not accepted: IP address mismatch, certificate is not valid for '127.0.0.1'."
        )
        (await open_connection(broker, over_tls(pki, verify_host=False))).abort()


async def test_a_broker_without_tls(pki: Authority) -> None:
    async with FakeBroker() as broker:
        with pytest.raises(OSError, match=r"^the broker closed the connection in the TLS handshake$"):
            await open_connection(broker, over_tls(pki))


async def test_a_broker_that_knows_old_tls_only(pki: Authority) -> None:
    context = server(pki.issue("broker", HOST))
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with FakeBroker(context=context) as broker:
        with pytest.raises(OSError, match=r"reset|closed"):
            await open_connection(broker, over_tls(pki))


async def test_new_files_serve_new_connections_and_old_connections_stay(pki: Authority, tmp_path: Path) -> None:
    renewed = Authority(tmp_path / "renewed")
    contexts = server(pki.issue("broker", HOST)), server(renewed.issue("broker", HOST))
    async with (
        FakeBroker(password=SECRET, context=contexts[0]) as before,
        FakeBroker(password=SECRET, context=contexts[1]) as after,
    ):
        cluster = own_cluster(before, over_tls(pki))
        await cluster.refresh()
        assert cluster.reachable
        cluster.upstream.context = Upstream(over_tls(renewed), GatewayMetrics()).context
        await cluster.refresh()
        assert cluster.reachable
        opened = await cluster._open(after.address)
        opened.abort()
        with pytest.raises(OSError, match="certificate"):
            await cluster._open(before.address)
        await close(cluster)
