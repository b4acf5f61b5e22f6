"""`zonegate credentials`: make, list and revoke passwords of zones' service accounts."""

import json
import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from time import time
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from controlplane.authentication_modes import NO_PASSWORDS
from controlplane.credential_file import (
    DEFAULT_VALIDITY,
    generate_credential,
    load_credentials,
    revoke_credentials,
)
from controlplane.last_used import forget_last_used, read_last_used
from controlplane.manifests import load_partner_zones
from controlplane.partner_zone import PartnerZone
from controlplane.problems import ConfigurationError, did_you_mean
from controlplane.settings import load_settings
from controlplane.terminal import EXIT_CONFIGURATION, console, fail, paragraphs, refuse
from controlplane.times import format_unix_time, parse_duration
from controlplane.yaml_source import dump
from policies.credentials import Credential
from policies.names import check_zone_name

PLAIN_WIDTH = 200
"""Of a table that no terminal shows: nothing is cut off."""

_HELP = """Passwords of zones' service accounts.

Several may be valid at once, so that a partner can rotate: generate a second one, and revoke the first when it is no
longer used. A running gateway follows within a second.

[bold]Example[/bold]

    PASSWORD=$(zonegate credentials generate external-partner-zone --config zonegate.yaml)

    zonegate credentials list external-partner-zone --config zonegate.yaml

    zonegate credentials revoke 3f0c9a51d2e84b67 --config zonegate.yaml
"""

_GENERATE_HELP = """Make a password for a zone's service account, and print it once.

Only its hash is kept, in the credentials file. Standard output holds the password and nothing else.

[bold]Example[/bold]

    zonegate credentials generate external-partner-zone --credentials-file credentials.yaml --zones zones/
"""

_LIST_HELP = """Show credentials: zone, when they were made, expire and were last used, and whether they are valid.

A credential was last used when a connection that it opened was last seen open; gateways note it every few seconds.

[bold]Example[/bold]

    zonegate credentials list --config zonegate.yaml --output json
"""

_REVOKE_HELP = """Revoke credentials: running gateways end their connections within a second.

All the named ones are removed from the credentials file, or none; nothing else in it changes.

[bold]Example[/bold]

    zonegate credentials revoke 3f0c9a51d2e84b67 --config zonegate.yaml
"""

app = typer.Typer(help=paragraphs(_HELP), rich_markup_mode="rich", no_args_is_help=True)

FileOption = Annotated[
    Path | None, typer.Option("--credentials-file", metavar="FILE", help="Where the hashes are kept.")
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", envvar="ZONEGATE_CONFIG", metavar="FILE", help="Settings; without it, the environment's."),
]
ZonesOption = Annotated[
    Path | None,
    typer.Option("--zones", envvar="ZONEGATE_ZONES", metavar="DIR", help="Checks that the zone exists in this folder."),
]


class Output(StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


@app.command(help=paragraphs(_GENERATE_HELP))
def generate(
    zone: Annotated[str, typer.Argument(metavar="ZONE", help="The zone's name (metadata.name).")],
    credentials_file: FileOption = None,
    config: ConfigOption = None,
    zones: ZonesOption = None,
    expires_in: Annotated[
        str, typer.Option("--expires-in", metavar="TIME", help="How long it is valid: 90d, 12h, 30m, 45s, or never.")
    ] = f"{DEFAULT_VALIDITY.days}d",
) -> None:
    if reason := check_zone_name(zone):
        fail(reason, EXIT_CONFIGURATION)
    try:
        validity = parse_duration(expires_in)
    except ValueError as error:
        fail(f"--expires-in: {error}", EXIT_CONFIGURATION)
    try:
        file = credentials_file or _configured_file(config)
        resource = _find_zone(zone, load_partner_zones(zones)) if zones is not None else None
        if resource is not None and resource.mode != "PLAIN":
            fail(f"zone {zone!r} has no passwords: {NO_PASSWORDS[resource.mode]}", EXIT_CONFIGURATION)
        credential, password = generate_credential(file, zone, validity)
    except ConfigurationError as error:
        refuse(error)
    typer.echo(password)
    _explain(file, credential, resource)


@app.command("list", help=paragraphs(_LIST_HELP))
def list_(
    zone: Annotated[str | None, typer.Argument(metavar="[ZONE]", help="Only this zone's.")] = None,
    credentials_file: FileOption = None,
    config: ConfigOption = None,
    zones: ZonesOption = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="A table for people, the others for programs.")] = (
        Output.TABLE
    ),
) -> None:
    try:
        file = credentials_file or _configured_file(config)
        resources = load_partner_zones(zones) if zones is not None else None
        found = load_credentials(file)
    except ConfigurationError as error:
        refuse(error)
    if zone is not None:
        if resources is not None and all(each.zone != zone for each in found):
            _find_zone(zone, resources)
        found = [each for each in found if each.zone == zone]
    names = {resource.metadata.name for resource in resources} if resources is not None else None
    last_used, now = read_last_used(file), time()
    _print([_row(each, last_used.get(each.id), names, now) for each in found], output)


@app.command(help=paragraphs(_REVOKE_HELP))
def revoke(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids, as 'zonegate credentials list' shows them.")],
    credentials_file: FileOption = None,
    config: ConfigOption = None,
) -> None:
    try:
        file = credentials_file or _configured_file(config)
        revoked = revoke_credentials(file, ids)
    except ConfigurationError as error:
        refuse(error)
    forget_last_used(file, ids)
    out = console()
    for credential in revoked:
        out.print(
            f"Revoked credential [bold]{escape(credential.id)}[/bold] of zone [bold]{escape(credential.zone)}[/bold]."
        )
    out.print("Running gateways end the connections within a second.")


Row = dict[str, str | None]


def _row(credential: Credential, last_used: str | None, zones: set[str] | None, now: float) -> Row:
    if not credential.valid_at(now):
        state = "expired"
    elif zones is not None and credential.zone not in zones:
        state = "unknown zone"
    else:
        state = "valid"
    return {
        "id": credential.id,
        "zone": credential.zone,
        "created": credential.created,
        "expires": format_unix_time(credential.expires) if credential.expires is not None else None,
        "last_used": last_used,
        "state": state,
    }


_STYLES = {"valid": "green", "expired": "red", "unknown zone": "yellow"}


def _print(rows: Sequence[Row], output: Output) -> None:
    if output is Output.JSON:
        typer.echo(json.dumps(rows, indent=2))
    elif output is Output.YAML:
        typer.echo(dump(rows), nl=False)
    elif not rows:
        console().print("There are no credentials.")
    else:
        _print_table(rows)


def _print_table(rows: Sequence[Row]) -> None:
    table = Table("ID", "ZONE", "CREATED", "EXPIRES", "LAST USED", "STATE", box=None, pad_edge=False)
    for row in rows:
        cells = [row["id"], row["zone"], row["created"], row["expires"] or "never", row["last_used"] or "-"]
        state = str(row["state"])
        table.add_row(*(escape(str(cell)) for cell in cells), f"[{_STYLES[state]}]{state}[/]")
    Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False).print(table)


def _configured_file(config: Path | None) -> Path:
    if config is None:
        fail(
            "name the credentials file: --credentials-file FILE, or --config FILE for settings that name it",
            EXIT_CONFIGURATION,
        )
    return load_settings(config, os.environ).credentials_file


def _find_zone(name: str, resources: Sequence[PartnerZone]) -> PartnerZone:
    by_name = {resource.metadata.name: resource for resource in resources}
    if name not in by_name:
        meant = did_you_mean(name, by_name)
        known = f"did you mean {meant}?" if meant else f"the zones are: {', '.join(sorted(by_name)) or 'none'}"
        fail(f"there is no zone {name!r}; {known}", EXIT_CONFIGURATION)
    return by_name[name]


def _explain(file: Path, credential: Credential, resource: PartnerZone | None) -> None:
    account = resource.spec.service_account if resource else "the zone's service account"
    until = format_unix_time(credential.expires) if credential.expires is not None else "never"
    out = console()
    out.print(
        f"Credential [bold]{credential.id}[/bold] of zone [bold]{escape(credential.zone)}[/bold]; "
        f"user name: [bold]{escape(str(account))}[/bold]; expires: [bold]{until}[/bold]."
    )
    out.print(f"The password is shown this once; {escape(str(file))} keeps only its hash.")
