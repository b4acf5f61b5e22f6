"""Secrets of the settings and of the credentials file: in no repr, and in no complaint about them."""

import dataclasses
import typing
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from controlplane.credential_file import load_credentials
from controlplane.model_errors import submodel
from controlplane.problems import ConfigurationError
from controlplane.settings import Settings, load_settings, setting_paths, variable_name
from proxy import config
from tests.unit.controlplane.conftest import WriteFile

SECRET = "hunter2-marker"
SECRET_WORDS = ("password", "jaas", "secret", "token")

SETTINGS = f"""\
cluster:
  bootstrap.servers: broker1:9092
  security.protocol: SASL_PLAINTEXT
  sasl.username: gate
  sasl.password: {SECRET}
"""
JAAS = f'org.apache.kafka.common.security.plain.PlainLoginModule required username="gate" password="{SECRET}";'


def configs() -> Iterator[type]:
    """Every dataclass of the gateway's configuration that has a secret."""
    for each in vars(config).values():
        if dataclasses.is_dataclass(each) and any(_is_secret(one.name) for one in dataclasses.fields(each)):
            yield typing.cast(type, each)


def _is_secret(name: str) -> bool:
    return any(word in name for word in SECRET_WORDS)


@pytest.mark.parametrize("kind", tuple(configs()), ids=lambda kind: kind.__name__)
def test_configuration_shows_no_secret(kind: type) -> None:
    fields = dataclasses.fields(kind)
    values = {one.name: SECRET if _is_secret(one.name) else "x" for one in fields}
    shown = repr(kind(**values))
    assert SECRET not in shown
    assert shown.startswith(kind.__name__)


def test_there_are_secrets_to_be_hidden() -> None:
    assert {kind.__name__ for kind in configs()} >= {"ClusterConfig", "ListenerTls", "PassthroughConfig"}


@pytest.mark.parametrize(
    "login", [SETTINGS, SETTINGS.partition("  sasl.username")[0] + f"  sasl.jaas.config: '{JAAS}'"]
)
def test_settings_show_no_secret(write: WriteFile, login: str) -> None:
    settings = load_settings(write("zonegate.yaml", login), {})
    assert settings.gateway_config().clusters[0].password == SECRET, "it was read"
    for shown in (repr(settings), str(settings), repr(settings.gateway_config()), settings.model_dump_json()):
        assert SECRET not in shown


def secret_settings() -> list[tuple[str | int, ...]]:
    return [path for path in setting_paths() if _is_secret(str(path[-1]))]


@pytest.mark.parametrize("path", secret_settings(), ids=variable_name)
def test_complaints_repeat_no_secret(write: WriteFile, path: tuple[str | int, ...]) -> None:
    """In whatever is wrong: a value that can't be, one that has no effect, one beside a mistake elsewhere."""
    name = variable_name(path)
    file = write("zonegate.yaml", "cluster: {bootstrap.servers: 'broker1:9092'}\n")
    broken = write("broken.yaml", "cluster: {bootstrap.servers: 'broker1:9092'}\nlisten: nowhere\n")
    for settings_file, environment in (
        (file, {name: SECRET}),
        (broken, {name: SECRET}),
        (file, {name: JAAS}),
        (None, {name: SECRET}),
        (file, {name + "X": SECRET}),
    ):
        try:
            shown = repr(load_settings(settings_file, environment))
        except ConfigurationError as error:
            shown = f"{error} {error!r} {error.problems!r}"
        assert SECRET not in shown


@pytest.mark.parametrize(
    "entry",
    [
        f"[{{id: a, zone: z, created: '2030-01-01T00:00:00Z', hash: {SECRET}}}]",
        f"[{{id: a, zone: z, created: '2030-01-01T00:00:00Z', hash: [{SECRET}]}}]",
        f"- {SECRET}\n",
    ],
)
def test_complaints_about_the_credentials_file_repeat_no_secret(write: WriteFile, entry: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_credentials(write("c.yaml", entry))
    assert SECRET not in f"{caught.value} {caught.value!r} {caught.value.problems!r}"


def test_every_section_hides_what_it_was_given() -> None:
    """pydantic shows a refused value in its own error text, unless it is told not to."""
    every: list[type[BaseModel]] = [Settings, *sections(Settings)]
    assert all(section.model_config.get("hide_input_in_errors") for section in every)


def sections(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for info in model.model_fields.values():
        section = submodel(info.annotation)
        if section is not None:
            yield section
            yield from sections(section)
