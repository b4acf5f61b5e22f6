"""The PEM files towards the brokers: what is wrong with one, and how a rotated one comes into use."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from controlplane import cluster_tls_files
from controlplane.cluster_tls_files import ClusterTls
from controlplane.problems import ConfigurationError
from proxy.config import ClusterConfig
from tests.pki import Authority

DEADLINE_SECONDS = 10


@pytest.fixture
def pki(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def config(pki: Authority) -> ClusterConfig:
    own = pki.issue("gate", "gate", password="of-the-key")
    return ClusterConfig(
        bootstrap_servers=(("a", 1),),
        security_protocol="SSL",
        ca=str(pki.file),
        certificate=str(own.certificate),
        key=str(own.key),
        key_password="of-the-key",
    )


def test_the_cluster_of_several_is_named(config: ClusterConfig) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ClusterTls(replace(config, ca="/none.pem"), "zonegate.yaml", ("clusters", 1))
    expected = "zonegate.yaml: clusters[1].ssl.ca.location: /none.pem cannot be read (No such file or directory)"
    assert str(caught.value) == expected


def error_of(config: ClusterConfig) -> str:
    with pytest.raises(ConfigurationError) as caught:
        ClusterTls(config, "zonegate.yaml")
    return str(caught.value)


def test_without_tls_there_is_nothing_to_follow() -> None:
    tls = ClusterTls(ClusterConfig(bootstrap_servers=(("a", 1),)), "zonegate.yaml")
    assert tls.context is None
    assert not tls.refresh()


def test_the_systems_authorities_verify_where_none_is_named(config: ClusterConfig) -> None:
    context = ClusterTls(replace(config, ca=None), "zonegate.yaml").context
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def write_garbage(file: str | None) -> None:
    assert file is not None
    Path(file).write_text("-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n")


def test_files_that_are_not_there(config: ClusterConfig) -> None:
    for setting, field in (
        ("ssl.ca.location", "ca"),
        ("ssl.certificate.location", "certificate"),
        ("ssl.certificate.location", "key"),
    ):
        missing = replace(config, **{field: "/none.pem"})  # type: ignore[arg-type]
        expected = f"zonegate.yaml: cluster.{setting}: /none.pem cannot be read (No such file or directory)"
        assert error_of(missing) == expected


def test_an_authority_that_is_none(config: ClusterConfig) -> None:
    assert config.ca is not None
    Path(config.ca).write_text("hello")
    expected = (
        f"zonegate.yaml: cluster.ssl.ca.location: {config.ca} holds no PEM certificates (no certificate or crl found)"
    )
    assert error_of(config) == expected


WRONG_KEYS: dict[str, Callable[[ClusterConfig, Authority], ClusterConfig]] = {
    "a wrong password": lambda config, _: replace(config, key_password="wrong"),
    "no password": lambda config, _: replace(config, key_password=None),
    "another certificate's key": lambda config, pki: replace(config, key=str(pki.issue("other", "other").key)),
}


@pytest.mark.parametrize("change", WRONG_KEYS.values(), ids=WRONG_KEYS.keys())
def test_a_key_that_does_not_fit(
    config: ClusterConfig, pki: Authority, change: Callable[[ClusterConfig, Authority], ClusterConfig]
) -> None:
    wrong = change(config, pki)
    error = error_of(wrong)
    start = (
        f"zonegate.yaml: cluster.ssl.certificate.location: {wrong.certificate} and {wrong.key} are no PEM certificate"
        " and its key, or ssl.key.password is wrong ("
    )
    assert error.startswith(start)
    assert "of-the-key" not in error


async def test_a_rotated_certificate_comes_into_use(
    config: ClusterConfig, pki: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_tls_files, "POLL_SECONDS", 0.01)
    tls = ClusterTls(replace(config, id="payments"), "zonegate.yaml")
    first = tls.context
    used: asyncio.Queue[tuple[str, ssl.SSLContext | None]] = asyncio.Queue()
    following = asyncio.create_task(tls.follow(lambda cluster, context: used.put_nowait((cluster, context))))
    pki.issue("gate", "gate", password="of-the-key")
    async with asyncio.timeout(DEADLINE_SECONDS):
        # the certificate and its key are two files, and a look in between finds two that don't fit
        cluster, context = await used.get()
    assert cluster == "payments"
    assert context is not first
    assert context is tls.context
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


def test_a_broken_change_is_told_and_changes_nothing(config: ClusterConfig, caplog: pytest.LogCaptureFixture) -> None:
    tls = ClusterTls(config, "zonegate.yaml")
    good = tls.context
    assert not tls.refresh()
    write_garbage(config.certificate)
    assert not tls.refresh()
    assert tls.context is good
    assert not tls.refresh()
    told = [record.getMessage() for record in caplog.records]
    assert told[0].startswith(f"zonegate.yaml: cluster.ssl.certificate.location: {config.certificate} and ")
    assert told[1] == "the change of the cluster_tls is not in force; the last good state stays"
    assert len(told) == 2
