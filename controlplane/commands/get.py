"""`zonegate get`: zones as they are stored, and how they are."""

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controlplane.commands.connection import Connection, with_connection
from controlplane.commands.kinds import KindArgument, check_kind, resource_name
from controlplane.commands.output import Cell, age, on_terminal, print_table, status_cell
from controlplane.terminal import console

if TYPE_CHECKING:
    from controlplane.commands.api import Data

HELP = """Show zones: one, or all.

What [bold]-o yaml[/bold] shows can be edited and applied. Without [bold]-o[/bold], a list is a table on a terminal;
one zone, and whatever is piped to a program, is YAML.

[bold]Example[/bold]

    zonegate get PartnerZone

    zonegate get PartnerZone external-partner-zone -o yaml > zone.yaml
"""


class Output(StrEnum):
    TABLE = "table"
    WIDE = "wide"
    YAML = "yaml"
    JSON = "json"
    NAME = "name"


@with_connection
def get(
    connection: Connection,
    kind: KindArgument,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Only this one.")] = None,
    output: Annotated[
        Output | None,
        typer.Option(
            "--output",
            "-o",
            show_default="table for a list on a terminal, else yaml",
            help="wide is a table with more.",
        ),
    ] = None,
) -> None:
    check_kind(kind)
    with connection.open() as api:
        resources = api.zones() if name is None else [api.zone(name)]
    if output is None:
        output = Output.TABLE if name is None and on_terminal() else Output.YAML
    if output is Output.JSON:
        typer.echo(json.dumps(resources if name is None else resources[0], indent=2, ensure_ascii=False))
    elif output is Output.YAML:
        _print_yaml(resources)
    elif output is Output.NAME:
        for resource in resources:
            typer.echo(resource_name(resource.get("metadata", {}).get("name")))
    elif resources:
        _print_table(resources, wide=output is Output.WIDE)
    else:
        console().print("There are no zones.")


def _print_yaml(resources: "Sequence[Data]") -> None:
    from controlplane.yaml_source import dump

    for resource in resources:
        typer.echo(f"---\n{dump(resource)}", nl=False)


HEADS = ("NAME", "STATUS", "TOPICS", "CLUSTER", "SERVICE ACCOUNT", "UPDATED")
WIDE_HEADS = (*HEADS, "ID", "DISPLAY NAME", "PRODUCE/S", "CONSUME/S", "COMMITS/MIN", "FAILED REASON")


def _print_table(resources: "Sequence[Data]", wide: bool) -> None:
    rows = [(*_row(each), *(_wide_row(each) if wide else ())) for each in resources]
    print_table(WIDE_HEADS if wide else HEADS, rows)


def _row(resource: "Data") -> tuple[Cell, ...]:
    metadata, spec = _section(resource, "metadata"), _section(resource, "spec")
    return (
        _text(metadata.get("name")),
        status_cell(_text(metadata.get("status"))),
        str(len(spec.get("topics") or ())),
        _text(spec.get("cluster")),
        _text(spec.get("serviceAccount") or _section(spec, "authenticationMode").get("serviceAccount")),
        age(metadata.get("updatedAt")),
    )


def _wide_row(resource: "Data") -> tuple[Cell, ...]:
    metadata, spec = _section(resource, "metadata"), _section(resource, "spec")
    limits = _section(spec, "trafficControlPolicies")
    return (
        _text(metadata.get("id")),
        _text(spec.get("displayName")),
        *(_text(limits.get(name)) for name in ("maxProduceRate", "maxConsumeRate", "limitCommitOffset")),
        _text(metadata.get("failedReason")),
    )


def _section(data: "Data", name: str) -> dict[str, Any]:
    """Empty where the server says null, or nothing."""
    found = data.get(name)
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str:
    return "-" if value is None or value == "" else str(value)
