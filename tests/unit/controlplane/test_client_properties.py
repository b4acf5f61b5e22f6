"""What a partner's Java client is given, read as Java reads it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.client_properties import HIDDEN_PASSWORD, client_access, client_properties, no_access
from controlplane.jaas import parse_login
from controlplane.zone_service import ClientAccess
from policies.zone import AuthenticationMode
from proxy.config import ListenerConfig

_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


def listener(**fields: Any) -> ListenerConfig:
    return ListenerConfig(**{"advertised_host": "gw.example.com", **fields})


PLAINTEXT = listener()
TLS = listener(security_protocol="SASL_SSL", mechanisms=("PLAIN", "SCRAM-SHA-512", "OAUTHBEARER"), port=9194)
MUTUAL = listener(security_protocol="SSL", mechanisms=(), port=9294)


def properties(listeners: list[ListenerConfig], mode: AuthenticationMode, account: str) -> str:
    access = client_access(listeners, mode, account)
    return client_properties(access) if access is not None else no_access(mode)


def value_in_java(raw: str) -> str:
    """As `java.util.Properties.load` reads a value from Latin-1 bytes."""
    units: list[int] = []
    rest = iter(raw.encode("latin-1").decode("latin-1"))
    for char in rest:
        if char != "\\":
            units.append(ord(char))
        elif (escaped := next(rest)) == "u":
            units.append(int("".join(next(rest) for _ in range(4)), 16))
        else:
            units.append(ord(_ESCAPES.get(escaped, escaped)))
    return b"".join(unit.to_bytes(2, "big") for unit in units).decode("utf-16-be")


def read(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {name: value_in_java(value) for name, _, value in (line.partition("=") for line in lines)}


@pytest.mark.parametrize(
    ("mode", "listeners", "expected"),
    [
        ("PLAIN", [MUTUAL, PLAINTEXT, TLS], ("gw.example.com:9094", "SASL_PLAINTEXT", "PLAIN")),
        (
            "PLAIN",
            [listener(mechanisms=("SCRAM-SHA-512",))],
            ("gw.example.com:9094", "SASL_PLAINTEXT", "SCRAM-SHA-512"),
        ),
        ("OAUTHBEARER", [PLAINTEXT, MUTUAL, TLS], ("gw.example.com:9194", "SASL_SSL", "OAUTHBEARER")),
        ("MTLS", [PLAINTEXT, TLS, MUTUAL], ("gw.example.com:9294", "SSL", None)),
        ("PLAIN", [listener(advertised_host="fd00::1")], ("[fd00::1]:9094", "SASL_PLAINTEXT", "PLAIN")),
        ("MTLS", [listener(security_protocol="SSL", routing="sni")], ("gw.example.com:9094", "SSL", None)),
        (
            "MTLS",
            [listener(security_protocol="SSL", routing="sni", advertised_port=443)],
            ("gw.example.com:443", "SSL", None),
        ),
        (
            "PLAIN",
            [listener(advertised_port=443)],  # which is for SNI alone
            ("gw.example.com:9094", "SASL_PLAINTEXT", "PLAIN"),
        ),
    ],
)
def test_the_first_listener_that_lets_the_mode_in(
    mode: AuthenticationMode, listeners: list[ListenerConfig], expected: tuple[str, str, str | None]
) -> None:
    found = read(properties(listeners, mode, "johndoe"))
    assert (found["bootstrap.servers"], found["security.protocol"], found.get("sasl.mechanism")) == expected
    assert ("ssl.keystore.location" in found) == (mode == "MTLS")
    assert ("sasl.jaas.config" in found) == (mode != "MTLS")


@pytest.mark.parametrize(
    ("mode", "listeners"), [("MTLS", [PLAINTEXT, TLS]), ("OAUTHBEARER", [PLAINTEXT]), ("PLAIN", [MUTUAL])]
)
def test_where_no_listener_does_it_says_so(mode: AuthenticationMode, listeners: list[ListenerConfig]) -> None:
    text = properties(listeners, mode, "johndoe")
    assert text == f"# No listener of the gateway lets clients sign in as {mode} wants it.\n"


def test_how_its_clients_get_in() -> None:
    assert client_access([MUTUAL, TLS], "PLAIN", "joe") == ClientAccess(
        "gw.example.com:9194", "SASL_SSL", "PLAIN", "joe"
    )
    assert client_access([MUTUAL], "MTLS", "joe") == ClientAccess("gw.example.com:9294", "SSL", None, "joe")
    assert client_access([MUTUAL], "PLAIN", "joe") is None


def test_with_a_password() -> None:
    text = client_properties(ClientAccess("gw:9094", "SASL_PLAINTEXT", "PLAIN", "joe"), 'p"\\ä')
    assert parse_login(read(text)["sasl.jaas.config"]).password == 'p"\\ä'


def test_login_modules() -> None:
    scram = read(properties([listener(mechanisms=("SCRAM-SHA-512",))], "PLAIN", "joe"))["sasl.jaas.config"]
    assert parse_login(scram).scram
    bearer = read(properties([TLS], "OAUTHBEARER", "joe"))
    classes = "org.apache.kafka.common.security.oauthbearer"
    assert bearer["sasl.jaas.config"] == f'{classes}.OAuthBearerLoginModule required clientId="" clientSecret="";'
    assert bearer["sasl.login.callback.handler.class"] == f"{classes}.OAuthBearerLoginCallbackHandler"


def test_quotes_and_backslashes_in_a_file() -> None:
    text = properties([PLAINTEXT], "PLAIN", 'a\\b"c é')
    assert r'username="a\\\\b\\"c \u00e9"' in text


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1))
def test_java_reads_the_account_as_it_is(account: str) -> None:
    text = properties([PLAINTEXT], "PLAIN", account)
    assert text.isascii()
    login = parse_login(read(text)["sasl.jaas.config"])
    assert (login.username, login.password) == (account, HIDDEN_PASSWORD)
