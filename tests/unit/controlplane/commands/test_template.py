"""`zonegate template`: what it prints is valid, and complete."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from controlplane.commands.template import ALL, REQUIRED
from controlplane.manifests import load_partner_zones
from controlplane.model_errors import fields_by_name, submodel
from controlplane.partner_zone import Metadata, PartnerZone
from controlplane.yaml_source import parse_documents
from tests.unit.controlplane.conftest import WriteFile
from tests.unit.controlplane.test_cli import zonegate


def all_fields(model: type[BaseModel]) -> Iterator[str]:
    for name, field in fields_by_name(model).items():
        if not field.exclude:  # answers of the server
            yield name
            if (inner := submodel(field.annotation)) is not None:
                yield from all_fields(inner)


def test_it_is_valid(write: WriteFile) -> None:
    for text in (REQUIRED, ALL):
        file = write("zones/a.yaml", text)
        (resource,) = load_partner_zones(file.parent)
        assert resource.metadata.name == "external-partner-zone"


def test_all_has_every_field() -> None:
    (document,) = parse_documents(ALL, "all")
    written = {step for path in document.lines for step in path if isinstance(step, str)}

    assert set(all_fields(PartnerZone)) <= written
    assert document.data["metadata"].keys() <= set(fields_by_name(Metadata))  # type: ignore[index]


def test_the_short_one_has_what_must_be(write: WriteFile) -> None:
    (document,) = parse_documents(REQUIRED, "required")

    assert list(document.data["spec"]) == ["cluster", "serviceAccount", "topics"]  # type: ignore[index]
    assert REQUIRED.count("#") >= 5, "comments say what to write"


@pytest.mark.parametrize(("options", "text"), [([], REQUIRED), (["--all"], ALL), (["-a"], ALL)])
def test_printed_and_written(write: WriteFile, options: list[str], text: str) -> None:
    write("other", "")
    printed = zonegate("template", "PartnerZone", *options)
    assert (printed.exit_code, printed.stdout, printed.stderr) == (0, text, "")

    written = zonegate("template", "pz", "-o", "zone.yaml", *options)
    assert (written.exit_code, written.stdout, written.stderr) == (0, "", "Wrote zone.yaml.\n")
    assert Path("zone.yaml").read_text() == text


def test_nothing_is_overwritten(write: WriteFile) -> None:
    write("zone.yaml", "mine")
    result = zonegate("template", "PartnerZone", "--output", "zone.yaml")

    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == "zonegate: zone.yaml exists already; name another file, or remove it\n"
    assert Path("zone.yaml").read_text() == "mine"


def test_a_file_that_cannot_be_written(write: WriteFile) -> None:
    write("other", "")
    result = zonegate("template", "PartnerZone", "-o", "missing/zone.yaml")

    assert (result.exit_code, result.stderr) == (
        2,
        "zonegate: missing/zone.yaml cannot be written: No such file or directory\n",
    )
