"""Listeners' certificates: what is loaded, what is followed, and what is said about their end."""

import logging
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controlplane.certificates import ListenerCertificates
from controlplane.problems import ConfigurationError
from proxy.config import ListenerConfig, ListenerTls
from tests.pki import Authority, Pair

DAY = 86_400
START = datetime(2030, 1, 1, tzinfo=UTC)
END = START + timedelta(days=90)


class Clock:
    def __init__(self) -> None:
        self.now = START.timestamp()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def pair(authority: Authority) -> Pair:
    return authority.issue("server", "localhost", common_name="first", not_before=START, not_after=END)


def listener(pair: Pair, name: str = "outside", **more: object) -> ListenerConfig:
    tls = ListenerTls(certificate=str(pair.certificate), key=str(pair.key), **more)  # type: ignore[arg-type]
    protocol = "SSL" if "client_ca" in more else "SASL_SSL"
    return ListenerConfig(name=name, advertised_host="localhost", security_protocol=protocol, tls=tls)  # type: ignore[arg-type]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def certificates(pair: Pair, clock: Clock) -> ListenerCertificates:
    inside = ListenerConfig(name="inside", advertised_host="localhost")
    return ListenerCertificates([inside, listener(pair)], clock)


def subject(certificates: ListenerCertificates) -> str:
    return certificates.in_force["outside"].subject.partition(",")[0]


def test_what_is_in_force(certificates: ListenerCertificates) -> None:
    assert list(certificates.in_force) == ["outside"]
    assert subject(certificates) == "CN=first"
    assert certificates.in_force["outside"].not_after == END.timestamp()
    assert not certificates.refresh()


def test_a_new_pair_is_taken_over_once_both_fit(
    certificates: ListenerCertificates, authority: Authority, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    before = certificates.in_force["outside"]
    following = authority.issue("following", "localhost", common_name="second", not_before=START, not_after=END)

    following.certificate.replace(pair.certificate)
    assert not certificates.refresh()
    assert certificates.in_force["outside"] is before
    assert caplog.messages == [
        f"listener outside: tls: the key in {pair.key} does not belong to the certificate in {pair.certificate}",
        "the change of the certificate is not in force; the last good state stays",
    ]
    assert not certificates.refresh(), "it is said once"
    assert len(caplog.messages) == 2

    following.key.replace(pair.key)
    assert certificates.refresh()
    assert subject(certificates) == "CN=second"
    assert certificates.in_force["outside"].context is not before.context


def test_a_file_that_is_written_in_place(certificates: ListenerCertificates, authority: Authority, pair: Pair) -> None:
    following = authority.issue("following", "localhost", common_name="second", not_before=START, not_after=END)
    text = following.certificate.read_bytes()

    pair.certificate.write_bytes(text[:200])
    assert not certificates.refresh()
    pair.certificate.write_bytes(text)
    assert not certificates.refresh()
    pair.key.write_bytes(following.key.read_bytes())
    assert certificates.refresh()
    assert subject(certificates) == "CN=second"


def test_files_that_vanish_change_nothing(certificates: ListenerCertificates, pair: Pair) -> None:
    pair.certificate.unlink()
    pair.key.unlink()

    assert not certificates.refresh()
    assert subject(certificates) == "CN=first"


def test_a_secret_that_kubernetes_mounts(authority: Authority, tmp_path: Path, clock: Clock) -> None:
    """Files are links into a folder, which is a link itself, and is swapped."""
    for name in ("first", "second"):
        made = authority.issue("made", "localhost", common_name=name, not_before=START, not_after=END)
        (tmp_path / name).mkdir()
        made.certificate.rename(tmp_path / name / "tls.crt")
        made.key.rename(tmp_path / name / "tls.key")
    (tmp_path / "..data").symlink_to("first")
    for file in ("tls.crt", "tls.key"):
        (tmp_path / file).symlink_to(f"..data/{file}")
    mounted = Pair(tmp_path / "tls.crt", tmp_path / "tls.key", tmp_path / "none")
    certificates = ListenerCertificates([listener(mounted)], clock)
    assert subject(certificates) == "CN=first"

    (tmp_path / "..next").symlink_to("second")
    (tmp_path / "..next").rename(tmp_path / "..data")

    assert certificates.refresh()
    assert subject(certificates) == "CN=second"


def test_new_authorities_of_clients(authority: Authority, pair: Pair, tmp_path: Path, clock: Clock) -> None:
    authorities = tmp_path / "clients.pem"
    authorities.write_bytes(authority.file.read_bytes())
    certificates = ListenerCertificates([listener(pair, client_ca=str(authorities))], clock)
    assert certificates.in_force["outside"].context.verify_mode is ssl.CERT_REQUIRED
    assert certificates.in_force["outside"].context.cert_store_stats()["x509_ca"] == 1

    authorities.write_bytes(authority.file.read_bytes() + Authority(tmp_path, "another").file.read_bytes())

    assert certificates.refresh()
    assert certificates.in_force["outside"].context.cert_store_stats()["x509_ca"] == 2


def test_a_broken_pair_of_one_listener_does_not_hold_up_the_others(
    authority: Authority, tmp_path: Path, clock: Clock
) -> None:
    pairs = [authority.issue(name, "localhost", common_name=name, not_before=START, not_after=END) for name in "ab"]
    certificates = ListenerCertificates([listener(pair, pair.key.stem) for pair in pairs], clock)

    pairs[0].key.write_bytes(b"")
    authority.issue("c", "localhost", common_name="c", not_before=START, not_after=END).move_to(pairs[1])

    assert certificates.refresh()
    assert [tls.subject.partition(",")[0] for tls in certificates.in_force.values()] == ["CN=a", "CN=c"]


def test_a_key_with_a_password(authority: Authority, clock: Clock) -> None:
    pair = authority.issue("server", "localhost", password="secret")

    assert ListenerCertificates([listener(pair, key_password="secret")], clock).in_force
    for wrong in ({}, {"key_password": "other"}):
        with pytest.raises(ConfigurationError) as caught:
            ListenerCertificates([listener(pair, **wrong)], clock)
        assert str(caught.value) == (
            f"listener outside: tls: {pair.certificate} with the key in {pair.key} cannot be used: "
            "it is no PEM key, or tls.key_password is missing or wrong"
        )


Spoil = Callable[[Pair], object]

BROKEN: dict[str, tuple[Spoil, str]] = {
    "no certificate": (
        lambda pair: pair.certificate.unlink(),
        "{certificate} cannot be read: No such file or directory",
    ),
    "an empty certificate": (
        lambda pair: pair.certificate.write_bytes(b""),
        "{certificate} holds no PEM certificate, or a damaged one",
    ),
    "half a certificate": (
        lambda pair: pair.certificate.write_bytes(pair.certificate.read_bytes()[:200]),
        "{certificate} holds no PEM certificate, or a damaged one",
    ),
    "no key": (lambda pair: pair.key.unlink(), "{key} cannot be read: No such file or directory"),
    "half a key": (
        lambda pair: pair.key.write_bytes(pair.key.read_bytes()[:60]),
        "{certificate} with the key in {key} cannot be used: it is no PEM key, or tls.key_password is missing or wrong",
    ),
}


@pytest.mark.parametrize(("spoil", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_a_bad_start(pair: Pair, spoil: Spoil, message: str) -> None:
    spoil(pair)

    with pytest.raises(ConfigurationError) as caught:
        ListenerCertificates([listener(pair)])

    expected = message.format(certificate=pair.certificate, key=pair.key)
    assert str(caught.value) == f"listener outside: tls: {expected}"


def test_a_bad_authority(pair: Pair) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ListenerCertificates([listener(pair, client_ca=str(pair.key))])

    assert str(caught.value) == f"listener outside: tls: {pair.key} holds no PEM certificate, or a damaged one"


def test_the_report(
    certificates: ListenerCertificates,
    authority: Authority,
    pair: Pair,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "zonegate")

    certificates.report()
    certificates.report()
    (record,) = caplog.records
    said = vars(record)
    assert (said["event"], said["listener"], said["not_after"]) == ("certificate", "outside", "2030-04-01T00:00:00Z")
    assert said["subject"].startswith("CN=first")

    caplog.clear()
    for days in (75.9, 76.1, 76.5, 77.2, 90.1):
        clock.now = START.timestamp() + days * DAY
        certificates.report()
    assert caplog.messages == [
        "the certificate of listener outside ends in 13.9 days; replace its files",
        "the certificate of listener outside ends in 12.8 days; replace its files",
        "the certificate of listener outside has ended, and clients refuse it; replace its files",
    ]

    caplog.clear()
    authority.issue("next", "localhost", not_before=START, not_after=END + timedelta(days=90)).move_to(pair)
    assert certificates.refresh()
    certificates.report()
    assert caplog.messages == ["certificate in force"]
