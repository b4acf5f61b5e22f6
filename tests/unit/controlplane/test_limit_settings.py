"""The section `limits`: every limit of the gateway, in the file and by environment variable."""

import dataclasses
from pathlib import Path

import pytest

from controlplane.limit_settings import LimitSettings
from controlplane.problems import ConfigurationError
from controlplane.settings import load_settings, setting_paths, variable_name
from proxy.config import Limits
from tests.unit.controlplane.conftest import WriteFile

MINIMAL = "cluster: {bootstrap.servers: 'broker1:9092'}\n"
NAMES = [field.name for field in dataclasses.fields(Limits)]


def test_every_limit_is_a_setting_with_the_same_default(write: WriteFile) -> None:
    assert list(LimitSettings.model_fields) == NAMES
    assert load_settings(write("zonegate.yaml", MINIMAL), {}).gateway_config().limits == Limits()


@pytest.mark.parametrize("name", NAMES)
def test_each_can_be_set_in_the_file_and_by_its_variable(write: WriteFile, name: str) -> None:
    file = write("zonegate.yaml", MINIMAL + f"limits: {{{name}: 2000}}\n")
    variable = f"ZONEGATE_LIMITS_{name.upper()}"
    assert variable in [variable_name(path) for path in setting_paths()]

    for environment, value in (({}, 2000), ({variable: "3000"}, 3000)):
        limits = load_settings(file, environment).gateway_config().limits
        assert limits == dataclasses.replace(Limits(), **{name: value})
        assert type(getattr(limits, name)) is type(getattr(Limits(), name))


RULES = {
    "connections: 0": "limits.connections: 0 is too small; use 1 or more",
    "connections: true": "limits.connections: true is not a number",
    "connections: many": "limits.connections: 'many' does not fit; write a whole number",
    "connections: 1.5": "limits.connections: 1.5 does not fit; write a whole number",
    "connection_rate_per_address: 0": "limits.connection_rate_per_address: 0 is too small; use a number greater than 0",
    "connection_rate_per_address: .inf": "limits.connection_rate_per_address: '.inf' does not fit; write a number",
    "frame_bytes: 1023": "limits.frame_bytes: 1023 is too small; use 1024 or more",
    "assembly_bytes: -1": "limits.assembly_bytes: -1 is too small; use 1024 or more",
    "idle_seconds: 0": "limits.idle_seconds: 0 is too small; use a number greater than 0",
    "idle_seconds: -1": "limits.idle_seconds: -1 is too small; use a number greater than 0",
    "failed_authentication_delay_seconds: -1": "limits.failed_authentication_delay_seconds: -1 is too small; "
    "use 0 or more",
    "idle_second: 1": "limits.idle_second: unknown field; did you mean idle_seconds?",
    "requests_in_flight:": "limits.requests_in_flight: is empty; write a whole number or remove the field",
}


@pytest.mark.parametrize(("line", "error"), RULES.items(), ids=RULES.keys())
def test_a_rule(write: WriteFile, line: str, error: str) -> None:
    file: Path = write("zonegate.yaml", MINIMAL + f"limits:\n  {line}\n")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(file, {})
    assert [str(problem) for problem in caught.value.problems] == [f"zonegate.yaml:3: {error}"]


def test_no_delay_at_all_is_allowed(write: WriteFile) -> None:
    file = write("zonegate.yaml", MINIMAL + "limits: {failed_authentication_delay_seconds: 0}\n")
    assert load_settings(file, {}).limits.failed_authentication_delay_seconds == 0
