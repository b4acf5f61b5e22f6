"""`authenticationMode` from the manifest to what is warned of, and the settings that its types need."""

import logging
from pathlib import Path

import pytest
from typer.testing import CliRunner

from controlplane.authentication_modes import unusable_modes
from controlplane.cli import app
from controlplane.manifests import load_zones
from controlplane.problems import ConfigurationError
from controlplane.settings import load_settings
from controlplane.watch import DesiredState
from policies.credentials import hash_password
from policies.zone import AuthenticationMode
from proxy.config import ClusterConfig, GatewayConfig, ListenerConfig, OauthConfig
from tests.unit.controlplane.conftest import WriteFile

OAUTH = OauthConfig(jwks="keys.json", issuer="https://issuer", audience="zonegate")
CLUSTER = ClusterConfig(bootstrap_servers=(("kafka", 9092),))
SASL = ListenerConfig(advertised_host="gateway")
BEARER = ListenerConfig(advertised_host="gateway", mechanisms=("OAUTHBEARER",))
CERTIFICATES = ListenerConfig(advertised_host="gateway", security_protocol="SSL")

MINIMAL = "cluster: {bootstrap.servers: 'broker1:9092'}\n"
OAUTH_SECTION = "oauth: {jwks: keys.json, issuer: https://issuer, audience: zonegate}\n"


def manifest(mode: str) -> str:
    return f"""\
apiVersion: v2
kind: PartnerZone
metadata: {{name: a}}
spec:
  cluster: partner1
  authenticationMode: {{type: {mode}, serviceAccount: johndoe}}
  topics: [{{name: topic-a, backingTopic: kafka-topic-a}}]
"""


@pytest.mark.parametrize("mode", ["PLAIN", "OAUTHBEARER", "MTLS"])
def test_the_mode_reaches_the_data_plane(write: WriteFile, mode: str) -> None:
    write("zones/a.yaml", manifest(mode))
    (zone,) = load_zones(Path("zones"))
    assert (zone.authentication, zone.service_account) == (mode, "johndoe")


@pytest.mark.parametrize(
    ("config", "missing"),
    [
        (
            GatewayConfig(listeners=(SASL,), clusters=(CLUSTER,)),
            {
                "OAUTHBEARER": "the settings have no section oauth",
                "MTLS": "no listener has the security protocol SSL",
            },
        ),
        (
            GatewayConfig(listeners=(SASL, CERTIFICATES), clusters=(CLUSTER,), oauth=OAUTH),
            {"OAUTHBEARER": "no listener offers OAUTHBEARER"},
        ),
        (
            GatewayConfig(listeners=(BEARER, CERTIFICATES), clusters=(CLUSTER,), oauth=OAUTH),
            {"PLAIN": "no listener offers PLAIN or SCRAM-SHA-512"},
        ),
        (GatewayConfig(listeners=(SASL, BEARER, CERTIFICATES), clusters=(CLUSTER,), oauth=OAUTH), {}),
    ],
)
def test_which_modes_the_settings_leave_without_a_way_in(
    config: GatewayConfig, missing: dict[AuthenticationMode, str]
) -> None:
    assert unusable_modes(config) == missing


def test_the_report_warns_of_a_zone_that_lets_nobody_in(write: WriteFile, caplog: pytest.LogCaptureFixture) -> None:
    write("zones/a.yaml", manifest("MTLS"))
    state = DesiredState(
        Path("zones"), Path("c.yaml"), None, unusable_modes={"MTLS": "no listener has the security protocol SSL"}
    )
    with caplog.at_level(logging.WARNING):
        state.report()
        state.report()
    assert caplog.messages == ["zone a lets nobody in: its mode is MTLS, and no listener has the security protocol SSL"]


def test_the_report_warns_of_a_credential_of_no_use(write: WriteFile, caplog: pytest.LogCaptureFixture) -> None:
    write("zones/a.yaml", manifest("OAUTHBEARER"))
    write("c.yaml", f"- {{id: one, zone: a, created: 2025-01-27T12:55:05Z, hash: '{hash_password('secret')}'}}\n")
    state = DesiredState(Path("zones"), Path("c.yaml"), None)
    with caplog.at_level(logging.WARNING):
        state.report()
    assert caplog.messages == [
        "zone a has a credential, but its mode is OAUTHBEARER: its clients sign in with tokens of the identity "
        "provider (the section oauth of the settings)"
    ]


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        (
            "OAUTHBEARER",
            "its clients sign in with tokens of the identity provider (the section oauth of the settings)",
        ),
        ("MTLS", "its clients sign in with certificates (a listener with security_protocol SSL)"),
    ],
)
def test_no_password_is_made_for_a_zone_without_passwords(write: WriteFile, mode: str, why: str) -> None:
    write("zones/a.yaml", manifest(mode))
    command = ["credentials", "generate", "a", "--credentials-file", "c.yaml", "--zones", "zones"]
    result = CliRunner().invoke(app, command)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"zonegate: zone 'a' has no passwords: {why}\n"
    assert not Path("c.yaml").exists()


def test_the_oauth_settings(write: WriteFile) -> None:
    settings = load_settings(write("etc/zonegate.yaml", MINIMAL + OAUTH_SECTION), {})
    config = settings.gateway_config()
    assert config.oauth == OauthConfig(jwks="etc/keys.json", issuer="https://issuer", audience="zonegate")
    assert config.oauth.clock_skew_seconds == 30
    assert "OAUTHBEARER" in config.listeners[0].mechanisms


def test_the_oauth_settings_of_the_environment() -> None:
    environment = {
        "ZONEGATE_CLUSTER_BOOTSTRAP_SERVERS": "broker1:9092",
        "ZONEGATE_OAUTH_JWKS": "https://issuer/keys",
        "ZONEGATE_OAUTH_ISSUER": "https://issuer",
        "ZONEGATE_OAUTH_AUDIENCE": "zonegate",
        "ZONEGATE_OAUTH_CLOCK_SKEW_SECONDS": "5",
        "ZONEGATE_PRINCIPAL_MAPPING_RULES": "RULE:^CN=(.*?),.*$/$1/L,DEFAULT",
    }
    config = load_settings(None, environment).gateway_config()
    assert config.oauth == OauthConfig(
        jwks="https://issuer/keys", issuer="https://issuer", audience="zonegate", clock_skew_seconds=5
    )
    assert config.principal_mapping_rules == "RULE:^CN=(.*?),.*$/$1/L,DEFAULT"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "oauth: {jwks: 'ftp://issuer/keys', issuer: i, audience: a}",
            "2: oauth.jwks: 'ftp://issuer/keys' is neither an http or https URL nor a file's path",
        ),
        (
            "oauth: {jwks: 'https://', issuer: i, audience: a}",
            "2: oauth.jwks: 'https://' is neither an http or https URL nor a file's path",
        ),
        (
            "oauth: {jwks: 'https://me:secret@issuer/keys', issuer: i, audience: a}",
            "2: oauth.jwks: holds a user name; a key set is public, so write the URL without it",
        ),
        (
            "oauth: {jwks: keys.json, audience: a}",
            "2: oauth.issuer: is missing; add it, for example 'issuer: https://login.example.com'",
        ),
        (
            "oauth: {jwks: keys.json, issuer: i, audience: a, clock_skew_seconds: -1}",
            "2: oauth.clock_skew_seconds: -1 is too small; use 0 or more",
        ),
        (
            "principal_mapping_rules: default",
            "2: principal_mapping_rules: 'default' is not a rule; "
            "write DEFAULT or RULE:pattern/replacement/, RULE:…/…/L or …/U",
        ),
        (
            "principal_mapping_rules: ', ,'",
            "2: principal_mapping_rules: holds no rule, so that no certificate would name anybody; "
            "write DEFAULT or a RULE",
        ),
    ],
)
def test_a_wrong_setting(write: WriteFile, text: str, error: str) -> None:
    file = write("zonegate.yaml", MINIMAL + text + "\n")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(file, {})
    assert [str(problem) for problem in caught.value.problems] == [f"zonegate.yaml:{error}"]
