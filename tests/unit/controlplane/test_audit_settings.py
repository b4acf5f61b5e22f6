"""The section `audit`: where the lines go, and what is no place."""

from pathlib import Path

import pytest

from controlplane.problems import ConfigurationError
from controlplane.settings import load_settings
from tests.unit.controlplane.conftest import WriteFile

MINIMAL = "cluster: {bootstrap.servers: 'broker1:9092'}\n"


def test_standard_output_is_the_default(write: WriteFile) -> None:
    audit = load_settings(write("zonegate.yaml", MINIMAL), {}).audit
    assert (audit.output, audit.file) == ("stdout", None)


@pytest.mark.parametrize(
    ("output", "file"),
    [
        ("none", None),
        ("stdout", None),
        ("/var/log/zonegate/audit.log", Path("/var/log/zonegate/audit.log")),
        ("./audit.log", Path("etc/audit.log")),
    ],
)
def test_outputs(write: WriteFile, output: str, file: Path | None) -> None:
    """A relative path begins at the settings file, as that of the credentials does."""
    path = write("etc/zonegate.yaml", MINIMAL + f"audit: {{output: {output}}}\n")
    assert load_settings(path, {}).audit.file == file


def test_a_variable_overrides_the_file(write: WriteFile) -> None:
    path = write("zonegate.yaml", MINIMAL + "audit: {output: none}\n")
    assert load_settings(path, {"ZONEGATE_AUDIT_OUTPUT": "stdout"}).audit.output == "stdout"


@pytest.mark.parametrize("output", ["stderr", "audit.log", "logs/", "STDOUT"])
def test_a_word_is_no_path(write: WriteFile, output: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(write("zonegate.yaml", MINIMAL + f"audit: {{output: {output}}}\n"), {})
    assert str(caught.value) == (
        f"zonegate.yaml:2: audit.output: '{output}' is not an output; "
        "write stdout, none, or a file's path with a slash, for example './audit.log'"
    )
