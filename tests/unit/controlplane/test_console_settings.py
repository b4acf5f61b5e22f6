"""The settings of the console and the state topic, and what is said of wrong ones."""

import pytest

from controlplane.settings import load_settings
from tests.unit.controlplane.conftest import WriteFile
from tests.unit.controlplane.test_settings import errors_of

CLUSTER = "cluster: {bootstrap.servers: 'a:1'}\n"
KEY = "0123456789abcdef"
PASSWORD = "a-password-for-pages"


def test_what_is_there_without_a_word(write: WriteFile) -> None:
    settings = load_settings(write("zonegate.yaml", CLUSTER), {})
    assert (settings.state_topic, str(settings.console.listen), settings.console.api_key) == (
        "_zonegate",
        "0.0.0.0:8080",
        None,
    )


def test_the_key_may_come_from_the_environment_and_is_not_shown(write: WriteFile) -> None:
    settings = load_settings(write("zonegate.yaml", CLUSTER), {"ZONEGATE_CONSOLE_API_KEY": KEY})
    assert settings.console.api_key is not None
    assert settings.console.api_key.get_secret_value() == KEY
    assert KEY not in repr(settings)
    assert KEY not in str(settings.model_dump())


def test_an_admin_of_the_file_and_of_the_environment(write: WriteFile) -> None:
    assert load_settings(write("zonegate.yaml", CLUSTER), {}).console.admin is None
    for text, environment in (
        (f"console: {{admin: {{username: ann, password: {PASSWORD}}}}}\n", {}),
        ("", {"ZONEGATE_CONSOLE_ADMIN_USERNAME": "ann", "ZONEGATE_CONSOLE_ADMIN_PASSWORD": PASSWORD}),
    ):
        settings = load_settings(write("zonegate.yaml", CLUSTER + text), environment)
        assert settings.console.admin is not None
        assert settings.console.admin.username == "ann"
        assert settings.console.admin.password.get_secret_value() == PASSWORD
        assert PASSWORD not in repr(settings) + str(settings.model_dump())


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "console: {api_key: too-short}",
            "console.api_key: has 9 characters; use at least 16, for example 'openssl rand -hex 24'",
        ),
        (
            "console: {api_key: 0123456789abcdeé}",
            "console.api_key: must be printable ASCII, since it travels in an HTTP header",
        ),
        (
            'console: {api_key: "0123456789abcde\\t"}',
            "console.api_key: must be printable ASCII, since it travels in an HTTP header",
        ),
        (
            "console: {admin: {username: ann, password: too-short}}",
            "console.admin.password: has 9 characters; use at least 16, for example 'openssl rand -base64 24'",
        ),
        (
            "console: {admin: {username: 'a:n', password: 0123456789abcdex}}",
            "console.admin.username: 'a:n' is not a user name; use 1 to 64 letters, digits, '_', '.', '@' and '-'",
        ),
        ("console: {admin: {username: ann}}", "console.admin.password: is missing; add it"),
        ("state_topic: zonegate", "state_topic: 'zonegate' must begin with _zonegate, so that no zone can share it"),
        ("state_topic: _zonegate/x", "state_topic: "),
    ],
)
def test_what_is_wrong_is_said_and_no_key_with_it(write: WriteFile, text: str, error: str) -> None:
    (found,) = errors_of(write("zonegate.yaml", CLUSTER + text + "\n"))
    assert error in found
    for secret in ("too-short", "abcde"):
        assert secret not in found
