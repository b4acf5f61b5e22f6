"""The section `cluster` of the settings: what it becomes, and what is wrong with one, word for word."""

from pathlib import Path

import pytest

from controlplane.settings import Settings, load_settings
from proxy.config import ClusterConfig
from tests.unit.controlplane.conftest import WriteFile
from tests.unit.controlplane.test_settings import MINIMAL, errors_of

SECRET = 's3 cret"'
PLAIN_LINE = 'org.apache.kafka.common.security.plain.PlainLoginModule required username="gate" password="s3 cret\\"";'
SCRAM_LINE = PLAIN_LINE.replace("plain.Plain", "scram.Scram")
SERVERS = {"bootstrap.servers": "a:1"}


def write_cluster(write: WriteFile, fields: dict[str, str | int], file: str = "zonegate.yaml") -> Path:
    lines = []
    for name, value in fields.items():
        quoted = str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"
        lines.append(f"  {name}: {quoted}\n")
    return write(file, "cluster:\n" + "".join(lines))


def cluster_config(settings: Settings) -> ClusterConfig:
    return settings.gateway_config().clusters[0]


def test_everything_for_tls_with_a_login(write: WriteFile) -> None:
    file = write_cluster(
        write,
        {
            **SERVERS,
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": "gate",
            "sasl.password": "secret",
            "ssl.ca.location": "tls/ca.pem",
            "ssl.certificate.location": "/run/gate.pem",
            "ssl.key.location": "tls/gate.key",
            "ssl.key.password": "of-the-key",
            "ssl.endpoint.identification.algorithm": "none",
        },
        "etc/zonegate.yaml",
    )

    settings = load_settings(file, {})

    assert cluster_config(settings) == ClusterConfig(
        bootstrap_servers=(("a", 1),),
        security_protocol="SASL_SSL",
        mechanism="SCRAM-SHA-512",
        username="gate",
        password="secret",
        ca="etc/tls/ca.pem",
        certificate="/run/gate.pem",
        key="etc/tls/gate.key",
        key_password="of-the-key",
        verify_host=False,
    )
    assert "secret" not in repr(settings) + repr(settings.gateway_config())
    assert "of-the-key" not in repr(settings) + repr(settings.gateway_config())


def test_tls_needs_no_other_setting(write: WriteFile) -> None:
    settings = load_settings(write_cluster(write, {**SERVERS, "security.protocol": "SSL"}), {})

    assert cluster_config(settings) == ClusterConfig(bootstrap_servers=(("a", 1),), security_protocol="SSL")


@pytest.mark.parametrize(("word", "verified"), [("https", True), ("none", False), ("", False)])
def test_the_verification_of_host_names(write: WriteFile, word: str, verified: bool) -> None:
    fields: dict[str, str | int] = {"security.protocol": "SSL", "ssl.endpoint.identification.algorithm": word}
    settings = load_settings(write_cluster(write, {**SERVERS, **fields}), {})

    assert cluster_config(settings).verify_host is verified


def test_the_environment_sets_files_too(write: WriteFile) -> None:
    environment = {
        "ZONEGATE_CLUSTER_SECURITY_PROTOCOL": "SSL",
        "ZONEGATE_CLUSTER_SSL_CA_LOCATION": "ca.pem",
        "ZONEGATE_CLUSTER_SSL_CERTIFICATE_LOCATION": "",
        "ZONEGATE_CLUSTER_SSL_ENDPOINT_IDENTIFICATION_ALGORITHM": "none",
    }
    config = cluster_config(load_settings(write("etc/zonegate.yaml", MINIMAL), environment))

    assert (config.security_protocol, config.ca, config.certificate) == ("SSL", "etc/ca.pem", None)
    assert not config.verify_host


@pytest.mark.parametrize(
    ("mechanism", "line"),
    [("PLAIN", PLAIN_LINE), ("SCRAM-SHA-256", SCRAM_LINE), ("SCRAM-SHA-512", SCRAM_LINE)],
)
def test_a_login_as_java_clients_write_it(write: WriteFile, mechanism: str, line: str) -> None:
    fields = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": mechanism, "sasl.jaas.config": line}
    settings = load_settings(write_cluster(write, {**SERVERS, **fields}), {})

    config = cluster_config(settings)
    assert (config.mechanism, config.username, config.password) == (mechanism, "gate", SECRET)
    assert "s3 cret" not in repr(settings) + repr(settings.all_clusters()[0][1].login())


JAAS_EXPECTED = (
    "write org.apache.kafka.common.security.plain.PlainLoginModule "
    "(or org.apache.kafka.common.security.scram.ScramLoginModule) "
    'required username="…" password="…";'
)
SASL = {**SERVERS, "security.protocol": "SASL_PLAINTEXT"}
TLS = {**SERVERS, "security.protocol": "SSL"}

CLUSTER_RULES = {
    "no servers": (
        {"id": "partner1"},
        "1: cluster.bootstrap.servers: is missing; add it, for example 'bootstrap.servers: broker1:9092,broker2:9092'",
    ),
    "empty servers": (
        {"bootstrap.servers": " , "},
        "2: cluster.bootstrap.servers: needs the brokers' addresses with commas between them, "
        "for example 'broker1:9092,broker2:9092'",
    ),
    "server without a port": (
        {"bootstrap.servers": "a:1,b"},
        "2: cluster.bootstrap.servers: 'b' is not an address; write host:port, for example '0.0.0.0:9094'",
    ),
    "unknown protocol": (
        {"bootstrap.servers": "a:1", "security.protocol": "TLS"},
        "3: cluster.security.protocol: 'TLS' is not known here; use one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL",
    ),
    "another mechanism": (
        {**SASL, "sasl.mechanism": "GSSAPI"},
        "4: cluster.sasl.mechanism: 'GSSAPI' is not known here; use one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512",
    ),
    "a login without effect": (
        {"bootstrap.servers": "a:1", "sasl.username": "gate"},
        "3: cluster.sasl.username: has no effect with security.protocol PLAINTEXT; use SASL_PLAINTEXT or remove it",
    ),
    "a login without effect, with TLS": (
        {**TLS, "sasl.username": "gate"},
        "4: cluster.sasl.username: has no effect with security.protocol SSL; use SASL_SSL or remove it",
    ),
    "a mechanism without effect": (
        {**TLS, "sasl.mechanism": "PLAIN"},
        "4: cluster.sasl.mechanism: has no effect with security.protocol SSL; use SASL_SSL or remove it",
    ),
    "an authority without effect": (
        {"bootstrap.servers": "a:1", "ssl.ca.location": "ca.pem"},
        "3: cluster.ssl.ca.location: has no effect with security.protocol PLAINTEXT; use SSL or remove it",
    ),
    "an authority without effect, with a login": (
        {**SASL, "sasl.username": "gate", "sasl.password": "x", "ssl.ca.location": "ca.pem"},
        "6: cluster.ssl.ca.location: has no effect with security.protocol SASL_PLAINTEXT; use SASL_SSL or remove it",
    ),
    "no verification without TLS": (
        {"bootstrap.servers": "a:1", "ssl.endpoint.identification.algorithm": ""},
        "3: cluster.ssl.endpoint.identification.algorithm: has no effect with security.protocol PLAINTEXT; "
        "use SSL or remove it",
    ),
    "a certificate without its key": (
        {**TLS, "ssl.certificate.location": "gate.pem"},
        "1: cluster.ssl.key.location: is missing; the certificate of ssl.certificate.location needs its key",
    ),
    "a key without its certificate": (
        {**TLS, "ssl.key.location": "gate.key"},
        "1: cluster.ssl.certificate.location: is missing; the key of ssl.key.location needs its certificate",
    ),
    "a password of no key": (
        {**TLS, "ssl.key.password": "x"},
        "4: cluster.ssl.key.password: has no effect without ssl.key.location; remove it",
    ),
    "a path that is empty": (
        {**TLS, "ssl.ca.location": ""},
        "4: cluster.ssl.ca.location: is empty; write the path of a PEM file, or remove the field",
    ),
    "another verification": (
        {**TLS, "ssl.endpoint.identification.algorithm": "ldap"},
        "4: cluster.ssl.endpoint.identification.algorithm: 'ldap' is not known here; use one of https, none",
    ),
    "a login of PLAIN for SCRAM": (
        {**SASL, "sasl.mechanism": "SCRAM-SHA-512", "sasl.jaas.config": PLAIN_LINE},
        "5: cluster.sasl.jaas.config: is a login for PLAIN, and sasl.mechanism is SCRAM-SHA-512; change one of the two",
    ),
    "a login of SCRAM without its mechanism": (
        {**SASL, "sasl.jaas.config": SCRAM_LINE},
        "4: cluster.sasl.jaas.config: is a login for SCRAM; set sasl.mechanism to SCRAM-SHA-256 or SCRAM-SHA-512",
    ),
    "a login without a password": (
        {"bootstrap.servers": "a:1", "security.protocol": "SASL_PLAINTEXT", "sasl.username": "gate"},
        "1: cluster.sasl.password: is missing; "
        "SASL_PLAINTEXT needs sasl.username and sasl.password, or sasl.jaas.config",
    ),
    "two logins": (
        {
            "bootstrap.servers": "a:1",
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.jaas.config": PLAIN_LINE,
            "sasl.username": "gate",
        },
        "5: cluster.sasl.username: is given by sasl.jaas.config too; keep one of the two",
    ),
    "a login of another mechanism": (
        {"bootstrap.servers": "a:1", "sasl.jaas.config": PLAIN_LINE.replace("plain.Plain", "oauth.Oauth")},
        f"3: cluster.sasl.jaas.config: is not a login for PLAIN or SCRAM; {JAAS_EXPECTED}",
    ),
    "a login without its semicolon": (
        {"bootstrap.servers": "a:1", "sasl.jaas.config": PLAIN_LINE[:-1]},
        f"3: cluster.sasl.jaas.config: must end with a semicolon after its options; {JAAS_EXPECTED}",
    ),
    "a login line without a password": (
        {"bootstrap.servers": "a:1", "sasl.jaas.config": PLAIN_LINE.replace("password", "pass")},
        f"3: cluster.sasl.jaas.config: needs username and password; {JAAS_EXPECTED}",
    ),
    "a password that is a number": (
        {"bootstrap.servers": "a:1", "sasl.password": 123456},
        "3: cluster.sasl.password: the value does not fit; write text here, in quotes if it looks like a number",
    ),
}


@pytest.mark.parametrize(("cluster", "error"), CLUSTER_RULES.values(), ids=CLUSTER_RULES.keys())
def test_a_rule_of_the_cluster(write: WriteFile, cluster: dict[str, str | int], error: str) -> None:
    assert errors_of(write_cluster(write, cluster)) == [f"zonegate.yaml:{error}"]
