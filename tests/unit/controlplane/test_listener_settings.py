"""Settings of listeners: one at the top of the file or several with names, and every complaint in its exact words."""

import textwrap
from pathlib import Path

import pytest

from controlplane.settings import load_settings
from proxy.config import ListenerConfig, ListenerTls
from tests.unit.controlplane.conftest import WriteFile
from tests.unit.controlplane.test_settings import MINIMAL, errors_of


@pytest.fixture(autouse=True)
def _files(write: WriteFile) -> None:
    """Settings name them; nobody reads them here."""
    for name in ("tls.crt", "tls.key", "clients.pem", "etc/tls.crt", "etc/tls.key"):
        write(name, "")


def listeners_of(file: Path | None, environment: dict[str, str] | None = None) -> tuple[ListenerConfig, ...]:
    return load_settings(file, environment or {}).gateway_config().listeners


def test_every_field_of_the_only_listener(write: WriteFile) -> None:
    file = write(
        "etc/zonegate.yaml",
        MINIMAL
        + textwrap.dedent("""\
        listen: 127.0.0.1:19094
        advertised_host: gateway.example.com
        security_protocol: SASL_SSL
        sasl_mechanisms: [PLAIN]
        routing: sni
        sni: {pattern: "kafka-{id}.{advertised_host}", advertised_port: 443}
        tls:
          certificate: tls.crt
          key: tls.key
          key_password: secret
          min_version: TLSv1.3
        """),
    )

    assert listeners_of(file) == (
        ListenerConfig(
            name="default",
            host="127.0.0.1",
            port=19094,
            security_protocol="SASL_SSL",
            mechanisms=("PLAIN",),
            advertised_host="gateway.example.com",
            advertised_port=443,
            routing="sni",
            sni_pattern="kafka-{id}.{advertised_host}",
            tls=ListenerTls(certificate="etc/tls.crt", key="etc/tls.key", key_password="secret", min_version="TLSv1.3"),
        ),
    )
    assert "secret" not in repr(load_settings(file, {}))


def test_several_listeners(write: WriteFile) -> None:
    file = write(
        "zonegate.yaml",
        MINIMAL
        + textwrap.dedent("""\
        listeners:
          - name: inside
            listen: 10.0.0.1:9094
            advertised_host: gateway.internal
          - name: machines
            listen: 0.0.0.0:9194
            advertised_host: gateway.example.com
            broker_ports: {start: 9195, min_broker_id: 1}
            security_protocol: SSL
            tls: {certificate: tls.crt, key: tls.key, client_ca: clients.pem}
        """),
    )

    assert listeners_of(file) == (
        ListenerConfig(name="inside", host="10.0.0.1", port=9094, advertised_host="gateway.internal"),
        ListenerConfig(
            name="machines",
            host="0.0.0.0",  # noqa: S104
            port=9194,
            security_protocol="SSL",
            mechanisms=(),
            advertised_host="gateway.example.com",
            broker_ports_start=9195,
            min_broker_id=1,
            tls=ListenerTls(certificate="tls.crt", key="tls.key", client_ca="clients.pem"),
        ),
    )


def test_the_only_listener_from_the_environment(write: WriteFile) -> None:
    environment = {
        "ZONEGATE_SECURITY_PROTOCOL": "SASL_SSL",
        "ZONEGATE_SASL_MECHANISMS": "PLAIN,",
        "ZONEGATE_ADVERTISED_HOST": "gateway.example.com",
        "ZONEGATE_ROUTING": "sni",
        "ZONEGATE_SNI_PATTERN": "b{id}.example.com",
        "ZONEGATE_SNI_ADVERTISED_PORT": "443",
        "ZONEGATE_TLS_CERTIFICATE": "tls.crt",
        "ZONEGATE_TLS_KEY": "tls.key",
        "ZONEGATE_TLS_KEY_PASSWORD": "secret",
    }

    (listener,) = listeners_of(write("zonegate.yaml", MINIMAL), environment)

    assert (listener.mechanisms, listener.sni_pattern, listener.advertised_port) == (
        ("PLAIN",),
        "b{id}.example.com",
        443,
    )
    assert listener.tls == ListenerTls(certificate="tls.crt", key="tls.key", key_password="secret")


TLS = "tls: {certificate: tls.crt, key: tls.key}"
SNI = f"security_protocol: SASL_SSL\n{TLS}\nrouting: sni\n"

RULES = {
    "no such protocol": (
        "security_protocol: PLAINTEXT",
        ["2: security_protocol: 'PLAINTEXT' is not known here; use one of SASL_PLAINTEXT, SASL_SSL, SSL"],
    ),
    "tokens of nobody": (
        "sasl_mechanisms: [PLAIN, OAUTHBEARER]",
        ["2: sasl_mechanisms: OAUTHBEARER needs the section oauth, which says whose tokens are accepted"],
    ),
    "no such mechanism": (
        "sasl_mechanisms: [PLAIN, GSSAPI]",
        ["2: sasl_mechanisms[1]: 'GSSAPI' is not known here; use one of PLAIN, SCRAM-SHA-512, OAUTHBEARER"],
    ),
    "no mechanism": ("sasl_mechanisms: []", ["2: sasl_mechanisms: needs at least one entry"]),
    "TLS without files": (
        "security_protocol: SASL_SSL",
        ["1: tls: is missing; SASL_SSL needs tls.certificate and tls.key"],
    ),
    "client certificates without files": (
        "security_protocol: SSL",
        ["1: tls: is missing; SSL needs tls.certificate and tls.key"],
    ),
    "files without TLS": (
        TLS,
        ["2: tls: has no effect with security_protocol SASL_PLAINTEXT; use SASL_SSL or remove it"],
    ),
    "a certificate without its key": (
        "security_protocol: SASL_SSL\ntls: {certificate: tls.crt}",
        ["3: tls.key: is missing; add it, for example 'key: tls.key'"],
    ),
    "client certificates without an authority": (
        f"security_protocol: SSL\n{TLS}",
        ["3: tls.client_ca: is missing; SSL needs the certificates that clients' certificates are verified by"],
    ),
    "an authority without client certificates": (
        "security_protocol: SASL_SSL\ntls: {certificate: tls.crt, key: tls.key, client_ca: clients.pem}",
        ["3: tls.client_ca: has no effect with security_protocol SASL_SSL; use SSL or remove it"],
    ),
    "mechanisms with client certificates": (
        "security_protocol: SSL\nsasl_mechanisms: [PLAIN]\n"
        "tls: {certificate: tls.crt, key: tls.key, client_ca: clients.pem}",
        ["3: sasl_mechanisms: has no effect with security_protocol SSL; use SASL_SSL or remove it"],
    ),
    "files that do not exist": (
        "security_protocol: SSL\ntls: {certificate: a, key: b, client_ca: etc}",
        [
            "3: tls.certificate: a does not exist or is no file",
            "3: tls.key: b does not exist or is no file",
            "3: tls.client_ca: etc does not exist or is no file",
        ],
    ),
    "an older version": (
        "security_protocol: SASL_SSL\ntls: {certificate: tls.crt, key: tls.key, min_version: TLSv1.1}",
        ["3: tls.min_version: 'TLSv1.1' is not known here; use one of TLSv1.2, TLSv1.3"],
    ),
    "names without TLS": (
        "routing: sni\nadvertised_host: gw.example.com",
        ["2: routing: sni needs TLS; use security_protocol SASL_SSL or SSL, or routing ports"],
    ),
    "a pattern without names": (
        "sni: {advertised_port: 443}",
        ["2: sni: has no effect with routing ports; use routing sni or remove it"],
    ),
    "ports with names": (
        SNI + "advertised_host: gw.example.com\nbroker_ports: {start: 1000}",
        ["6: broker_ports: has no effect with routing sni; use routing ports or remove it"],
    ),
    "names of an address": (
        SNI + "advertised_host: 10.0.0.1",
        [
            "5: advertised_host: '10.0.0.1' is not a host name, and clients name nothing else to the server; "
            "sni needs one"
        ],
    ),
    "a pattern without an id": (
        SNI + "sni: {pattern: 'broker.{advertised_host}'}",
        ["5: sni.pattern: 'broker.{advertised_host}' needs {id} once, where the broker's id belongs"],
    ),
    "a pattern with two ids": (
        SNI + "sni: {pattern: '{id}.{id}'}",
        ["5: sni.pattern: '{id}.{id}' needs {id} once, where the broker's id belongs"],
    ),
    "a pattern that makes no names": (
        SNI + "sni: {pattern: 'broker_{id}/{advertised_host}'}",
        [
            "5: sni.pattern: 'broker_{id}/{advertised_host}' makes no host names; "
            "write one such as 'broker{id}.example.com'"
        ],
    ),
    "a pattern with another variable": (
        SNI + "sni: {pattern: 'broker{id}.{host}'}",
        ["5: sni.pattern: 'broker{id}.{host}' makes no host names; write one such as 'broker{id}.example.com'"],
    ),
    "a pattern that makes a name too long": (
        SNI + f"advertised_host: {'a' * 50}.example.com",
        [
            "1: sni.pattern: 'broker{id}-{advertised_host}' makes no host names with advertised_host "
            f"'{'a' * 50}.example.com'"
        ],
    ),
    "a pattern that makes the name to bootstrap": (
        SNI + "advertised_host: broker0.example.com\nsni: {pattern: 'broker{id}.example.com'}",
        [
            "6: sni.pattern: 'broker{id}.example.com' makes advertised_host 'broker0.example.com' a broker's name; "
            "it must differ from all"
        ],
    ),
    "no listeners": ("listeners: []", ["2: listeners: needs at least one entry"]),
    "a listener without a name": (
        "listeners: [{listen: '0.0.0.0:9094'}]",
        ["2: listeners[0].name: is missing; add it, for example 'name: internet'"],
    ),
    "a listener beside the list": (
        "listen: 0.0.0.0:9094\nlisteners: [{name: a}]",
        ["2: listen: belongs to a listener; with listeners, write it in each of them"],
    ),
    "a name used twice": (
        "listeners:\n- {name: a}\n- {name: a, listen: '0.0.0.0:1', broker_ports: {start: 2}}",
        ["4: listeners[1].name: 'a' is that of listeners[0] already; use another"],
    ),
    "an address used twice": (
        "listeners:\n- {name: a, listen: '10.0.0.1:9094'}\n"
        "- {name: b, listen: '10.0.0.1:9094', broker_ports: {start: 1000}}",
        ["4: listeners[1].listen: port 9094 is that of listeners[0].listen already; use another"],
    ),
    "brokers' ports used twice": (
        "listeners:\n- {name: a, listen: '10.0.0.1:1'}\n- {name: b, listen: '0.0.0.0:2'}",
        [
            "4: listeners[1].broker_ports.start: port 9095 is that of listeners[0].broker_ports.start already; "
            "use another"
        ],
    ),
    "a listener at another's brokers": (
        "listeners:\n- {name: a}\n- {name: b, listen: '0.0.0.0:9095', broker_ports: {start: 1000}}",
        ["3: listeners[0].broker_ports.start: port 9095 is that of listeners[1].listen already; use another"],
    ),
    "a rule in a list": (
        "listeners:\n- {name: a}\n- {name: b, listen: '0.0.0.0:1', broker_ports: {start: 2}, security_protocol: SSL}",
        ["4: listeners[1].tls: is missing; SSL needs tls.certificate and tls.key"],
    ),
    "an unknown field in a list": (
        "listeners:\n- {name: a, lisen: '0.0.0.0:1'}",
        ["3: listeners[0].lisen: unknown field; did you mean listen?"],
    ),
}


@pytest.mark.parametrize(("text", "errors"), RULES.values(), ids=RULES.keys())
def test_a_rule(write: WriteFile, text: str, errors: list[str]) -> None:
    assert errors_of(write("zonegate.yaml", MINIMAL + text + "\n")) == [f"zonegate.yaml:{error}" for error in errors]


def test_a_listener_of_the_environment_beside_the_list(write: WriteFile) -> None:
    file = write("zonegate.yaml", MINIMAL + "listeners: [{name: a}]\n")

    assert errors_of(file, {"ZONEGATE_TLS_CERTIFICATE": "tls.crt", "ZONEGATE_TLS_KEY": "tls.key"}) == [
        "zonegate.yaml:1: tls: belongs to a listener; with listeners, write it in each of them"
    ]


LEGAL = {
    "the same port at two addresses": (
        "listeners:\n- {name: a, listen: '10.0.0.1:9094'}\n- {name: b, listen: '10.0.0.2:9094'}"
    ),
    "a default that does not meet": "admin_listen: 127.0.0.1:9094\nlisten: 10.0.0.1:9094",
    "a pattern of another domain": SNI + "advertised_host: gw.example.com\nsni: {pattern: 'k{id}.example.org'}",
}


@pytest.mark.parametrize("text", LEGAL.values(), ids=LEGAL.keys())
def test_what_is_legal(write: WriteFile, text: str) -> None:
    assert listeners_of(write("zonegate.yaml", MINIMAL + text + "\n"))
