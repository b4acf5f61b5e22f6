"""`zonegate apply`: create and change zones as manifests say."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from controlplane.commands.api_error import ApiError
from controlplane.commands.connection import Connection, with_connection
from controlplane.commands.kinds import resource_name
from controlplane.commands.output import out, printable
from controlplane.terminal import EXIT_FAILURE, console

if TYPE_CHECKING:
    from controlplane.commands.api import Api
    from controlplane.manifests import Manifest

DEFAULT_WAIT_SECONDS = 60
"""Ample for a change that takes a second, and for a gateway that is just starting; short for a pipeline."""

HELP = f"""Create and change zones as manifests say.

All files are checked first, and nothing is sent if one is wrong. Then each resource is applied, and what fails
doesn't stop the others. In the files, [bold]${{NAME}}[/bold] and [bold]${{NAME:-default}}[/bold] stand for
environment variables; [bold]$${{NAME}}[/bold] is left as ${{NAME}}.

With [bold]--wait[/bold], the exit code is 4 when a zone FAILED, and 5 when one was not READY within
{DEFAULT_WAIT_SECONDS} seconds, or as many as [bold]--wait=SECONDS[/bold] says.

[bold]Example[/bold]

    zonegate apply -f zones/ --dry-run --diff

    zonegate apply -f zones/ --wait
"""

FilesOption = Annotated[
    list[str],
    typer.Option(
        "--file", "-f", metavar="FILE|DIR", help="YAML file, or folder of them; - is standard input. Can be repeated."
    ),
]
RecursiveOption = Annotated[bool, typer.Option("--recursive", "-r", help="Folders inside folders, too.")]
PermissiveOption = Annotated[
    bool, typer.Option("--permissive", help="Missing environment variables are empty, and no error.")
]


class ApplyCommand(TyperCommand):
    """`--wait` may come with a value or without one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [f"--wait={DEFAULT_WAIT_SECONDS}" if arg == "--wait" else arg for arg in args])


@with_connection
def apply(
    connection: Connection,
    files: FilesOption,
    recursive: RecursiveOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Ask what would happen; change nothing.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show what differs from what is stored.")] = False,
    wait: Annotated[
        float | None,
        typer.Option("--wait", metavar="[=SECONDS]", min=0, help="Wait until all zones are READY on every gateway."),
    ] = None,
    permissive: PermissiveOption = False,
) -> None:
    from controlplane.commands.manifest_sources import read_manifests

    manifests = read_manifests(files, recursive, permissive)
    if not manifests:
        console().print("No resources found to apply")
        return
    with connection.open() as api:
        applied = [manifest for manifest in manifests if _apply(api, manifest, dry_run, diff)]
        code = 0
        if wait is not None and not dry_run:
            from controlplane.commands.waiting import wait_until_ready

            code = wait_until_ready(api, [manifest.resource.metadata.name for manifest in applied], wait)
    if len(applied) < len(manifests):
        code = EXIT_FAILURE
    raise typer.Exit(code)


def _apply(api: "Api", manifest: "Manifest", dry_run: bool, diff: bool) -> bool:
    name = resource_name(manifest.resource.metadata.name)
    try:
        if diff:
            _show_differences(api, manifest)
        answer = api.put_zone(manifest.document.data, dry_run)
    except ApiError as error:
        console().print(f"Could not apply resource {name}: {error}", markup=False)
        return False
    typer.echo(f"{name}: {printable(str(answer.get('upsertResult')))}" + (" (dry-run)" if dry_run else ""))
    return True


def _show_differences(api: "Api", manifest: "Manifest") -> None:
    from controlplane.commands.differences import differences

    stored = api.find_zone(manifest.resource.metadata.name)
    for line in differences(stored, manifest.resource, manifest.document.source):
        out().print(line, soft_wrap=True)
