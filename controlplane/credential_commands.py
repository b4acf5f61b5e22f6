"""`zonegate credentials`: make, list and revoke passwords of zones' service accounts, by the API or in a file."""

import os
from pathlib import Path
from typing import Annotated

import typer

from controlplane.commands.connection import Connection, with_connection
from controlplane.commands.output import Format
from controlplane.terminal import EXIT_CONFIGURATION, fail, paragraphs
from controlplane.times import parse_duration
from policies.names import check_zone_name

DEFAULT_EXPIRES_IN = "90d"
"""`credential_file.DEFAULT_VALIDITY`, which takes long to import."""

_HELP = """Passwords of zones' service accounts.

Several may be valid at once, so that a partner can rotate: generate a second one, and revoke the first when it is no
longer used. A running gateway follows within a second.

The API is asked, unless [bold]--config[/bold] or [bold]--credentials-file[/bold] names the file of a gateway that has
its zones from a folder.

[bold]Example[/bold]

    PASSWORD=$(zonegate credentials generate external-partner-zone)

    PASSWORD=$(zonegate credentials generate external-partner-zone --config zonegate.yaml)

    zonegate credentials list external-partner-zone --config zonegate.yaml

    zonegate credentials revoke 3f0c9a51d2e84b67 --config zonegate.yaml
"""

_GENERATE_HELP = """Make a password for a zone's service account, and print it once.

Only its hash is kept, by the API or in the credentials file. Standard output holds the password and nothing else.

[bold]Example[/bold]

    zonegate credentials generate external-partner-zone --expires-in 30d

    zonegate credentials generate external-partner-zone --credentials-file credentials.yaml --zones zones/
"""

_LIST_HELP = """Show credentials: zone, when they were made, expire and were last used, and whether they are valid.

A credential was last used when a connection that it opened was last seen open; gateways note it every few seconds.

[bold]Example[/bold]

    zonegate credentials list

    zonegate credentials list --config zonegate.yaml --output json
"""

_REVOKE_HELP = """Revoke credentials: running gateways end their connections within a second.

In a credentials file, all the named ones are removed, or none; nothing else in it changes. The API revokes each for
itself.

[bold]Example[/bold]

    zonegate credentials revoke 3f0c9a51d2e84b67

    zonegate credentials revoke 3f0c9a51d2e84b67 --config zonegate.yaml
"""

app = typer.Typer(help=paragraphs(_HELP), rich_markup_mode="rich", no_args_is_help=True)

_PANEL = "Files instead of the API"

FileOption = Annotated[
    Path | None,
    typer.Option("--credentials-file", metavar="FILE", help="Where the hashes are kept.", rich_help_panel=_PANEL),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", envvar="ZONEGATE_CONFIG", metavar="FILE", help="Settings; without it, the environment's."),
]
ConfiguredFileOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Settings, which name the credentials file; without an API key, those of [bold]ZONEGATE_CONFIG[/bold].",
        rich_help_panel=_PANEL,
    ),
]
ZonesOption = Annotated[
    Path | None,
    typer.Option(
        "--zones",
        envvar="ZONEGATE_ZONES",
        metavar="DIR",
        help="With a file: checks that the zone exists in this folder.",
        rich_help_panel=_PANEL,
    ),
]


@app.command(help=paragraphs(_GENERATE_HELP))
@with_connection
def generate(
    connection: Connection,
    zone: Annotated[str, typer.Argument(metavar="ZONE", help="The zone's name (metadata.name).")],
    expires_in: Annotated[
        str, typer.Option("--expires-in", metavar="TIME", help="How long it is valid: 90d, 12h, 30m, 45s, or never.")
    ] = DEFAULT_EXPIRES_IN,
    credentials_file: FileOption = None,
    config: ConfiguredFileOption = None,
    zones: ZonesOption = None,
) -> None:
    if reason := check_zone_name(zone):
        fail(reason, EXIT_CONFIGURATION)
    try:
        parse_duration(expires_in)
    except ValueError as error:
        fail(f"--expires-in: {error}", EXIT_CONFIGURATION)
    if (file := _file(connection, credentials_file, config)) is not None:
        from controlplane.commands import credential_files

        credential_files.generate(file, zones, zone, expires_in)
        return
    from controlplane.commands import credential_calls

    with connection.open() as api:
        credential_calls.generate(api, zone, expires_in)


@app.command("list", help=paragraphs(_LIST_HELP))
@with_connection
def list_(
    connection: Connection,
    zone: Annotated[str | None, typer.Argument(metavar="ZONE", help="Only this zone's.")] = None,
    output: Annotated[Format, typer.Option("--output", "-o", help="A table for people, the others for programs.")] = (
        Format.TABLE
    ),
    credentials_file: FileOption = None,
    config: ConfiguredFileOption = None,
    zones: ZonesOption = None,
) -> None:
    if (file := _file(connection, credentials_file, config)) is not None:
        from controlplane.commands import credential_files

        credential_files.show(file, zones, zone, output)
        return
    from controlplane.commands import credential_calls

    with connection.open() as api:
        credential_calls.show(api, zone, output)


@app.command(help=paragraphs(_REVOKE_HELP))
@with_connection
def revoke(
    connection: Connection,
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids, as 'zonegate credentials list' shows them.")],
    credentials_file: FileOption = None,
    config: ConfiguredFileOption = None,
) -> None:
    if (file := _file(connection, credentials_file, config)) is not None:
        from controlplane.commands import credential_files

        credential_files.revoke(file, ids)
        return
    from controlplane.commands import credential_calls

    with connection.open() as api:
        credential_calls.revoke(api, ids)


def _file(connection: Connection, credentials_file: Path | None, config: Path | None) -> Path | None:
    """The credentials file that is meant; None for the API."""
    if credentials_file is not None:
        return credentials_file
    if config is None and not connection.has_api_key and (named := os.environ.get("ZONEGATE_CONFIG")):
        config = Path(named)
    if config is not None:
        from controlplane.commands.credential_files import configured_file

        return configured_file(config)
    if not connection.has_api_key:
        fail(
            "set ZONEGATE_API_KEY (or CDK_API_KEY, or --api-key-file FILE) for the API; or name the credentials file: "
            "--credentials-file FILE, or --config FILE for settings that name it",
            EXIT_CONFIGURATION,
        )
    return None
