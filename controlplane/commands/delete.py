"""`zonegate delete`: take zones away."""

from typing import TYPE_CHECKING, Annotated

import typer

from controlplane.commands.api_error import ApiError
from controlplane.commands.apply import PermissiveOption, RecursiveOption
from controlplane.commands.connection import Connection, with_connection
from controlplane.commands.kinds import KIND_HELP, check_kind, resource_name
from controlplane.terminal import EXIT_CONFIGURATION, EXIT_FAILURE, console, fail

if TYPE_CHECKING:
    from controlplane.commands.api import Api

HELP = """Delete zones: one by its name, or all that manifests describe.

Their partners lose access, and their connections end within a second. Nobody is asked for confirmation;
[bold]--dry-run[/bold] shows whether the zones exist.

[bold]Example[/bold]

    zonegate delete PartnerZone external-partner-zone

    zonegate delete -f zones/old/ --dry-run
"""


@with_connection
def delete(
    connection: Connection,
    kind: Annotated[str | None, typer.Argument(metavar="KIND", help=KIND_HELP)] = None,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The zone's name (metadata.name).")] = None,
    files: Annotated[
        list[str] | None,
        typer.Option(
            "--file", "-f", metavar="FILE|DIR", help="Manifests; only their names matter. - is standard input."
        ),
    ] = None,
    recursive: RecursiveOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check that they exist; delete nothing.")] = False,
    permissive: PermissiveOption = False,
) -> None:
    names = _names(kind, name, files, recursive, permissive)
    with connection.open() as api:
        deleted = [each for each in names if _delete(api, each, dry_run)]
    if len(deleted) < len(names):
        raise typer.Exit(EXIT_FAILURE)


def _names(kind: str | None, name: str | None, files: list[str] | None, recursive: bool, permissive: bool) -> list[str]:
    if files and kind is None:
        from controlplane.commands.manifest_sources import read_names

        names = read_names(files, recursive, permissive)
        if not names:
            console().print("No resources found to delete")
        return names
    if files or kind is None or name is None:
        fail("name what to delete: PartnerZone NAME, or -f FILE", EXIT_CONFIGURATION)
    check_kind(kind)
    return [name]


def _delete(api: "Api", name: str, dry_run: bool) -> bool:
    try:
        if dry_run:
            api.zone(name)
        else:
            api.delete_zone(name)
    except ApiError as error:
        console().print(f"Could not delete resource {resource_name(name)}: {error}", markup=False)
        return False
    typer.echo(f"{resource_name(name)}: Deleted" + (" (dry-run)" if dry_run else ""))
    return True
