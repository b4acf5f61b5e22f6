"""The section `passthrough` of the settings, and the names that it takes from zones."""

from pathlib import Path

import pytest

from controlplane.manifests import load_zones
from controlplane.problems import ConfigurationError
from controlplane.settings import load_settings
from controlplane.watch import DesiredState
from proxy.config import PassthroughConfig
from tests.unit.controlplane.conftest import WriteFile
from tests.unit.controlplane.test_settings import MINIMAL, errors_of
from tests.unit.controlplane.test_watch import zone

PASSWORD = "0123456789abcdef"


def test_it_is_off_unless_configured(write: WriteFile) -> None:
    for text in ("", "passthrough:\n"):
        assert load_settings(write("zonegate.yaml", MINIMAL + text), {}).gateway_config().passthrough is None


def test_in_the_file_and_in_the_environment(write: WriteFile) -> None:
    wanted = PassthroughConfig(username="admin", password=PASSWORD)
    in_file = load_settings(
        write("zonegate.yaml", MINIMAL + f"passthrough: {{username: admin, password: '{PASSWORD}'}}\n"), {}
    )
    assert in_file.gateway_config().passthrough == wanted
    environment = {"ZONEGATE_PASSTHROUGH_USERNAME": "admin", "ZONEGATE_PASSTHROUGH_PASSWORD": PASSWORD}
    settings = load_settings(write("zonegate.yaml", MINIMAL), environment)
    assert settings.gateway_config().passthrough == wanted
    assert PASSWORD not in repr(settings) + repr(settings.gateway_config())


RULES = {
    "no password": ("{username: admin}", "password: is missing; add it"),
    "no user name": (f"{{password: {PASSWORD}}}", "username: is missing; add it, for example 'username: admin'"),
    "a short password": (
        "{username: admin, password: short-password}",
        "password: has 14 characters; use at least 16, for example 'openssl rand -base64 24'",
    ),
    "a number": (
        "{username: admin, password: 1234567890123456}",
        "password: the value does not fit; write text here, in quotes if it looks like a number",
    ),
    "a user name that no basic authentication can carry": (
        f"{{username: 'ad:min', password: {PASSWORD}}}",
        "username: 'ad:min' is not a user name; use 1 to 64 letters, digits, '_', '.', '@' and '-'",
    ),
    "an unknown field": (
        f"{{username: admin, password: {PASSWORD}, role: owner}}",
        "role: unknown field; known here: username, password",
    ),
}


@pytest.mark.parametrize(("section", "error"), RULES.values(), ids=RULES.keys())
def test_a_rule(write: WriteFile, section: str, error: str) -> None:
    file = write("zonegate.yaml", MINIMAL + f"passthrough: {section}\n")
    assert errors_of(file) == [f"zonegate.yaml:2: passthrough.{error}"]


def test_no_secret_is_repeated_in_an_error() -> None:
    environment = {
        "ZONEGATE_CLUSTER_BOOTSTRAP_SERVERS": "broker1:9092",
        "ZONEGATE_PASSTHROUGH_USERNAME": "admin",
        "ZONEGATE_PASSTHROUGH_PASSWORD": "topsecret",
    }
    assert errors_of(None, environment) == [
        "ZONEGATE_PASSTHROUGH_PASSWORD: has 9 characters; use at least 16, for example 'openssl rand -base64 24'"
    ]


def test_no_zone_is_called_as_the_admins_sessions_are(write: WriteFile) -> None:
    write("zones/a.yaml", zone("passthrough"))
    with pytest.raises(ConfigurationError) as caught:
        load_zones(Path("zones"))
    assert str(caught.value) == (
        "zones/a.yaml:3: metadata.name: 'passthrough' is reserved for the admin's access to the cluster itself; "
        "choose another name"
    )


def test_no_zone_has_the_admins_user_name(write: WriteFile) -> None:
    write("zones/a.yaml", zone("a").replace("account-a", "admin"))
    DesiredState(Path("zones"), Path("c.yaml"), None)
    DesiredState(Path("zones"), Path("c.yaml"), None, "root")
    with pytest.raises(ConfigurationError) as caught:
        DesiredState(Path("zones"), Path("c.yaml"), None, "admin")
    (problem,) = caught.value.problems
    assert problem.field == "spec.serviceAccount"
    assert problem.message == (
        "'admin' is the admin of the setting passthrough.username; give the zone another service account"
    )
