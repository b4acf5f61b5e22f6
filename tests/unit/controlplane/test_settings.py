"""Settings: the file, the environment over it, and every complaint in its exact words."""

import socket
from pathlib import Path

import pytest

from controlplane.problems import ConfigurationError
from controlplane.settings import load_settings, setting_paths, variable_name
from controlplane.settings_fields import HostPort
from proxy.config import ClusterConfig, GatewayConfig, ListenerConfig
from tests.unit.controlplane.conftest import WriteFile

MINIMAL = "cluster: {bootstrap.servers: 'broker1:9092'}\n"


def errors_of(file: Path | None, environment: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(file, environment or {})
    return [str(problem) for problem in caught.value.problems]


def test_defaults(write: WriteFile) -> None:
    settings = load_settings(write("zonegate.yaml", MINIMAL), {})

    assert settings.listen == HostPort("0.0.0.0", 9094)  # noqa: S104
    assert settings.admin_listen == HostPort("0.0.0.0", 8888)  # noqa: S104
    assert settings.credentials_file == Path("credentials.yaml")
    assert (settings.log.format, settings.log.level) == ("text", "info")
    assert settings.gateway_config() == GatewayConfig(
        listeners=(
            ListenerConfig(
                host="0.0.0.0",  # noqa: S104
                port=9094,
                advertised_host=socket.gethostname(),
                broker_ports_start=9095,
                min_broker_id=0,
            ),
        ),
        clusters=(ClusterConfig(bootstrap_servers=(("broker1", 9092),)),),
        shutdown_grace_seconds=10,
    )


def test_every_field(write: WriteFile) -> None:
    file = write(
        "etc/zonegate.yaml",
        """\
        listen: 127.0.0.1:19094
        advertised_host: gateway.example.com
        broker_ports: {start: 20000, min_broker_id: 1}
        cluster:
          id: partner1
          bootstrap.servers: broker1:9092, [::1]:9093,
          security.protocol: SASL_PLAINTEXT
          sasl.mechanism: PLAIN
          sasl.username: gate
          sasl.password: secret
        credentials_file: secrets/credentials.yaml
        admin_listen: "[::]:18888"
        shutdown_grace_seconds: 2.5
        max_reauthentication_seconds: 3600
        log: {format: json, level: debug}
        """,
    )

    settings = load_settings(file, {})

    assert settings.cluster_ids() == ("partner1",)
    assert settings.credentials_file == Path("etc/secrets/credentials.yaml")
    assert settings.admin_listen == HostPort("::", 18888)
    assert str(settings.admin_listen) == "[::]:18888"
    assert settings.gateway_config() == GatewayConfig(
        listeners=(
            ListenerConfig(
                host="127.0.0.1",
                port=19094,
                advertised_host="gateway.example.com",
                broker_ports_start=20000,
                min_broker_id=1,
            ),
        ),
        clusters=(
            ClusterConfig(
                id="partner1",
                bootstrap_servers=(("broker1", 9092), ("::1", 9093)),
                security_protocol="SASL_PLAINTEXT",
                username="gate",
                password="secret",
            ),
        ),
        shutdown_grace_seconds=2.5,
        max_reauthentication_seconds=3600,
    )


def test_secrets_are_in_no_representation(write: WriteFile) -> None:
    environment = {
        "ZONEGATE_CLUSTER_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "ZONEGATE_CLUSTER_SASL_USERNAME": "gate",
        "ZONEGATE_CLUSTER_SASL_PASSWORD": "topsecret",
    }
    settings = load_settings(write("zonegate.yaml", MINIMAL), environment)

    assert settings.gateway_config().clusters[0].password == "topsecret"
    assert "topsecret" not in repr(settings) + repr(settings.gateway_config())


def test_the_environment_alone_is_enough() -> None:
    environment = {"ZONEGATE_CLUSTER_BOOTSTRAP_SERVERS": "broker1:9092", "ZONEGATE_LOG_LEVEL": "warning"}

    settings = load_settings(None, environment)

    assert settings.all_clusters()[0][1].bootstrap_servers == (HostPort("broker1", 9092),)
    assert settings.log.level == "warning"


def test_the_environment_overrides_the_file(write: WriteFile) -> None:
    file = write("zonegate.yaml", MINIMAL + "listen: 0.0.0.0:1\nbroker_ports: {start: 2, min_broker_id: 3}\nlog:\n")
    environment = {
        "ZONEGATE_LISTEN": "0.0.0.0:9000",
        "ZONEGATE_BROKER_PORTS_START": "9001",
        "ZONEGATE_CREDENTIALS_FILE": "/run/credentials.yaml",
        "ZONEGATE_SHUTDOWN_GRACE_SECONDS": "1.5",
        "ZONEGATE_LOG_FORMAT": "json",
        "ZONEGATE_ADVERTISED_HOST": "",
        "ZONEGATE_CONFIG": "the command line's",
        "ZONEGATE_PORT": "tcp://10.0.0.1:9094",
        "ZONEGATE_SERVICE_HOST": "10.0.0.1",
    }

    settings = load_settings(file, environment)

    assert settings.listen.port == 9000
    assert (settings.broker_ports.start, settings.broker_ports.min_broker_id) == (9001, 3)
    assert settings.credentials_file == Path("/run/credentials.yaml")
    assert settings.shutdown_grace_seconds == 1.5
    assert settings.log.format == "json"
    assert settings.advertised_host == socket.gethostname()


def test_the_variables() -> None:
    limits = ("limits",)
    assert [variable_name(path) for path in setting_paths() if path[:1] != limits] == [
        "ZONEGATE_LISTEN",
        "ZONEGATE_ADVERTISED_HOST",
        "ZONEGATE_BROKER_PORTS_START",
        "ZONEGATE_BROKER_PORTS_PER_CLUSTER",
        "ZONEGATE_BROKER_PORTS_MIN_BROKER_ID",
        "ZONEGATE_SECURITY_PROTOCOL",
        "ZONEGATE_SASL_MECHANISMS",
        "ZONEGATE_ROUTING",
        "ZONEGATE_SNI_PATTERN",
        "ZONEGATE_SNI_ADVERTISED_PORT",
        "ZONEGATE_TLS_CERTIFICATE",
        "ZONEGATE_TLS_KEY",
        "ZONEGATE_TLS_KEY_PASSWORD",
        "ZONEGATE_TLS_CLIENT_CA",
        "ZONEGATE_TLS_MIN_VERSION",
        "ZONEGATE_CLUSTER_ID",
        "ZONEGATE_CLUSTER_BOOTSTRAP_SERVERS",
        "ZONEGATE_CLUSTER_SECURITY_PROTOCOL",
        "ZONEGATE_CLUSTER_SASL_MECHANISM",
        "ZONEGATE_CLUSTER_SASL_JAAS_CONFIG",
        "ZONEGATE_CLUSTER_SASL_USERNAME",
        "ZONEGATE_CLUSTER_SASL_PASSWORD",
        "ZONEGATE_CLUSTER_SSL_CA_LOCATION",
        "ZONEGATE_CLUSTER_SSL_CERTIFICATE_LOCATION",
        "ZONEGATE_CLUSTER_SSL_KEY_LOCATION",
        "ZONEGATE_CLUSTER_SSL_KEY_PASSWORD",
        "ZONEGATE_CLUSTER_SSL_ENDPOINT_IDENTIFICATION_ALGORITHM",
        "ZONEGATE_OAUTH_JWKS",
        "ZONEGATE_OAUTH_ISSUER",
        "ZONEGATE_OAUTH_AUDIENCE",
        "ZONEGATE_OAUTH_CLOCK_SKEW_SECONDS",
        "ZONEGATE_PRINCIPAL_MAPPING_RULES",
        "ZONEGATE_CREDENTIALS_FILE",
        "ZONEGATE_ADMIN_LISTEN",
        "ZONEGATE_SECURED_METRICS",
        "ZONEGATE_SHUTDOWN_GRACE_SECONDS",
        "ZONEGATE_MAX_REAUTHENTICATION_SECONDS",
        "ZONEGATE_LOG_FORMAT",
        "ZONEGATE_LOG_LEVEL",
        "ZONEGATE_PASSTHROUGH_USERNAME",
        "ZONEGATE_PASSTHROUGH_PASSWORD",
        "ZONEGATE_AUDIT_OUTPUT",
        "ZONEGATE_WORKERS",
        "ZONEGATE_CONSOLE_LISTEN",
        "ZONEGATE_CONSOLE_API_KEY",
        "ZONEGATE_CONSOLE_ADMIN_USERNAME",
        "ZONEGATE_CONSOLE_ADMIN_PASSWORD",
        "ZONEGATE_STATE_TOPIC",
    ]


RULES = {
    "no worker": ("workers: 0", "2: workers: 0 is too small; use 1 or more"),
    "too many workers": ("workers: 1000", "2: workers: 1000 is too large; use 128 or less"),
    "half a worker": ("workers: 1.5", "2: workers: 1.5 does not fit; write a whole number"),
    "port out of range": (
        "broker_ports:\n  start: 99999",
        "3: broker_ports.start: 99999 is not a port; use a number between 1 and 65535",
    ),
    "port that is a flag": (
        "broker_ports: {start: true}",
        "2: broker_ports.start: True is not a port; use a number between 1 and 65535",
    ),
    "broker id below zero": (
        "broker_ports: {min_broker_id: -1}",
        "2: broker_ports.min_broker_id: -1 is too small; use 0 or more",
    ),
    "address without a port": (
        "listen: 0.0.0.0",
        "2: listen: '0.0.0.0' is not an address; write host:port, for example '0.0.0.0:9094'",
    ),
    "address that is a number": (
        "listen: 9094",
        "2: listen: 9094 is not an address; write host:port, for example '0.0.0.0:9094'",
    ),
    "address with a port out of range": (
        "admin_listen: 0.0.0.0:0",
        "2: admin_listen: 0 is not a port; use a number between 1 and 65535",
    ),
    "IPv6 address without brackets": (
        "listen: '::1:9094'",
        "2: listen: '::1:9094' is not an address; write host:port, for example '0.0.0.0:9094'",
    ),
    "advertised host with a port": (
        "advertised_host: gateway:9094",
        "2: advertised_host: 'gateway:9094' is not a host name; write the name alone, without protocol and port",
    ),
    "advertised host with a protocol": (
        "advertised_host: http://gateway",
        "2: advertised_host: 'http://gateway' is not a host name; write the name alone, without protocol and port",
    ),
    "unknown field with a likely meaning": (
        "advertised_hots: gateway",
        "2: advertised_hots: unknown field; did you mean advertised_host?",
    ),
    "unknown field": (
        "log: {colour: red}",
        "2: log.colour: unknown field; known here: format, level",
    ),
    "unknown log format": ("log: {format: xml}", "2: log.format: 'xml' is not known here; use one of text, json"),
    "grace below zero": ("shutdown_grace_seconds: -1", "2: shutdown_grace_seconds: -1 is too small; use 0 or more"),
    "re-authentication too often": (
        "max_reauthentication_seconds: 1.5",
        "2: max_reauthentication_seconds: 1.5 is too short for clients to follow; use 2 or more, or 0",
    ),
    "re-authentication below zero": (
        "max_reauthentication_seconds: -1",
        "2: max_reauthentication_seconds: -1 is too small; use 0 or more",
    ),
    "grace that is a flag": ("shutdown_grace_seconds: true", "2: shutdown_grace_seconds: true is not a number"),
    "section that is text": (
        "broker_ports: 9095",
        "2: broker_ports: 9095 does not fit; write 'name: value' lines here",
    ),
    "two listeners at one port": (
        "admin_listen: 0.0.0.0:9094",
        "2: admin_listen: port 9094 is that of listen already; use another",
    ),
    "brokers at the listener's port": (
        "listen: 0.0.0.0:9095",
        "1: broker_ports.start: port 9095 is that of listen already; use another",
    ),
}


@pytest.mark.parametrize(("text", "error"), RULES.values(), ids=RULES.keys())
def test_a_rule(write: WriteFile, text: str, error: str) -> None:
    assert errors_of(write("zonegate.yaml", MINIMAL + text + "\n")) == [f"zonegate.yaml:{error}"]


def test_an_error_in_a_variable_names_the_variable(write: WriteFile) -> None:
    file = write("zonegate.yaml", MINIMAL)

    assert errors_of(file, {"ZONEGATE_BROKER_PORTS_START": "99999", "ZONEGATE_LISTN": "x"}) == [
        "ZONEGATE_BROKER_PORTS_START: 99999 is not a port; use a number between 1 and 65535",
        "ZONEGATE_LISTN: unknown variable; did you mean ZONEGATE_LISTEN?",
    ]


def test_what_is_missing_without_a_file_is_named_by_its_variable() -> None:
    assert errors_of(None) == [
        "ZONEGATE_CLUSTER_BOOTSTRAP_SERVERS: is missing; set it, or name a settings file with --config"
    ]


def test_a_section_of_the_wrong_form_is_the_files_fault(write: WriteFile) -> None:
    file = write("zonegate.yaml", "cluster: broker1:9092\n")

    assert errors_of(file, {"ZONEGATE_CLUSTER_BOOTSTRAP_SERVERS": "broker1:9092"}) == [
        "zonegate.yaml:1: cluster: the value does not fit; write 'name: value' lines here"
    ]


def test_all_errors_are_reported_at_once(write: WriteFile) -> None:
    file = write("zonegate.yaml", "listen: x\nlog: {level: loud}\ncluster: {}\nnonsense: 1\n")

    assert [error.split(": ")[:2] for error in errors_of(file, {"ZONEGATE_LISTN": "x"})] == [
        ["ZONEGATE_LISTN", "unknown variable; did you mean ZONEGATE_LISTEN?"],
        ["zonegate.yaml:1", "listen"],
        ["zonegate.yaml:2", "log.level"],
        ["zonegate.yaml:3", "cluster.bootstrap.servers"],
        ["zonegate.yaml:4", "nonsense"],
    ]


def test_a_file_that_is_not_there() -> None:
    assert errors_of(Path("none.yaml")) == ["none.yaml: cannot be read: No such file or directory"]


def test_a_file_that_is_no_settings_file(write: WriteFile) -> None:
    assert errors_of(write("zonegate.yaml", "- 1\n")) == [
        "zonegate.yaml:1: is not a settings file; write 'name: value' lines"
    ]


def test_the_example_file_is_right() -> None:
    example = Path(__file__).parents[3] / "docker" / "zonegate.yaml"

    settings = load_settings(example, {})

    assert settings.cluster_ids() == ("partner1",)
    assert settings.advertised_host == "gateway.example.com"


def test_secured_metrics_need_a_login(write: WriteFile) -> None:
    secured = MINIMAL + "secured_metrics: true\n"
    assert not load_settings(write("zonegate.yaml", MINIMAL), {}).secured_metrics
    assert errors_of(write("zonegate.yaml", secured)) == [
        "zonegate.yaml:2: secured_metrics: needs the section passthrough, "
        "whose user name and password /metrics then asks for"
    ]
    with_login = secured + "passthrough: {username: admin, password: a password of the admin}\n"
    assert load_settings(write("zonegate.yaml", with_login), {}).secured_metrics
    assert load_settings(
        write("zonegate.yaml", with_login.replace("true", "false")), {"ZONEGATE_SECURED_METRICS": "true"}
    ).secured_metrics
