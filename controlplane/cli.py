"""The `zonegate` command. What it prints for programs goes to standard output, all else to standard error."""

import importlib.metadata
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from controlplane.authentication_modes import NO_PASSWORDS
from controlplane.credential_file import generate_credential
from controlplane.manifests import load_partner_zones
from controlplane.partner_zone import PartnerZone
from controlplane.problems import ConfigurationError, did_you_mean
from controlplane.settings import load_settings
from policies.names import check_zone_name

EXIT_FAILURE = 1
EXIT_CONFIGURATION = 2

_HELP = """Share Kafka topics with partners, each in a zone of its own names and permissions.

[bold]Example[/bold]

    zonegate credentials generate external-partner-zone --config zonegate.yaml

    zonegate serve --config zonegate.yaml --zones zones/
"""

_SERVE_HELP = """Run the gateway.

The zones folder and the credentials file are followed: an edit is in force within a second, and a broken one is logged
and changes nothing. SIGTERM stops gracefully, a second one at once. Every setting can be given by an environment
variable too: [bold]cluster.bootstrap.servers[/bold] is [bold]ZONEGATE_CLUSTER_BOOTSTRAP_SERVERS[/bold].

[bold]Example[/bold]

    zonegate serve --config zonegate.yaml --zones zones/

with [bold]zonegate.yaml[/bold]:

    listen: 0.0.0.0:9094

    advertised_host: gateway.example.com

    cluster: {bootstrap.servers: "broker1:9092,broker2:9092"}

    credentials_file: credentials.yaml
"""

_CREDENTIALS_HELP = """Passwords of zones' service accounts.

Several may be valid at once, so that a partner can rotate. To revoke one, remove its entry from the credentials file; a
running gateway ends its sessions within a second.

[bold]Example[/bold]

    PASSWORD=$(zonegate credentials generate external-partner-zone --config zonegate.yaml)
"""

_GENERATE_HELP = """Make a password for a zone's service account, and print it once.

Only its hash is kept, in the credentials file. Standard output holds the password and nothing else.

[bold]Example[/bold]

    zonegate credentials generate external-partner-zone --credentials-file credentials.yaml --zones zones/
"""

app = typer.Typer(help=_HELP, rich_markup_mode="rich", no_args_is_help=True, pretty_exceptions_enable=False)
credentials = typer.Typer(help=_CREDENTIALS_HELP, rich_markup_mode="rich", no_args_is_help=True)
app.add_typer(credentials, name="credentials")

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", envvar="ZONEGATE_CONFIG", metavar="FILE", help="Settings; without it, the environment's."),
]


@app.command(help=_SERVE_HELP)
def serve(
    zones: Annotated[
        Path, typer.Option("--zones", envvar="ZONEGATE_ZONES", metavar="DIR", help="Folder of PartnerZone manifests.")
    ],
    config: ConfigOption = None,
) -> None:
    from controlplane.serve import StartError, run  # the other commands start without the servers' libraries

    try:
        run(config, zones)
    except ConfigurationError as error:
        _refuse(error)
    except StartError as error:
        _fail(str(error), EXIT_FAILURE)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"zonegate {importlib.metadata.version('zonegate')}")


@credentials.command(help=_GENERATE_HELP)
def generate(
    zone: Annotated[str, typer.Argument(metavar="ZONE", help="The zone's name (metadata.name).")],
    credentials_file: Annotated[
        Path | None, typer.Option("--credentials-file", metavar="FILE", help="Where the hash is kept.")
    ] = None,
    config: ConfigOption = None,
    zones: Annotated[
        Path | None,
        typer.Option(
            "--zones", envvar="ZONEGATE_ZONES", metavar="DIR", help="Checks that the zone exists in this folder."
        ),
    ] = None,
) -> None:
    if reason := check_zone_name(zone):
        _fail(reason, EXIT_CONFIGURATION)
    try:
        file = credentials_file or _configured_file(config)
        resource = _find_zone(zone, load_partner_zones(zones)) if zones is not None else None
        if resource is not None and resource.mode != "PLAIN":
            _fail(f"zone {zone!r} has no passwords: {NO_PASSWORDS[resource.mode]}", EXIT_CONFIGURATION)
        credential, password = generate_credential(file, zone)
    except ConfigurationError as error:
        _refuse(error)
    typer.echo(password)
    _explain(file, credential.id, zone, resource)


def main() -> None:
    """The console script."""
    app()


def _configured_file(config: Path | None) -> Path:
    if config is None:
        _fail("name the credentials file: --credentials-file FILE, or --config FILE for settings that name it", 2)
    return load_settings(config, os.environ).credentials_file


def _find_zone(name: str, resources: Sequence[PartnerZone]) -> PartnerZone:
    by_name = {resource.metadata.name: resource for resource in resources}
    if name not in by_name:
        meant = did_you_mean(name, by_name)
        known = f"did you mean {meant}?" if meant else f"the zones are: {', '.join(sorted(by_name)) or 'none'}"
        _fail(f"there is no zone {name!r}; {known}", EXIT_CONFIGURATION)
    return by_name[name]


def _explain(file: Path, credential_id: str, zone: str, resource: PartnerZone | None) -> None:
    account = resource.spec.service_account if resource else "the zone's service account"
    console = _console()
    console.print(
        f"Credential [bold]{credential_id}[/bold] of zone [bold]{escape(zone)}[/bold]; "
        f"user name: [bold]{escape(str(account))}[/bold]."
    )
    console.print(f"The password is shown this once; {escape(str(file))} keeps only its hash.")


def _console() -> Console:
    return Console(stderr=True, soft_wrap=True, highlight=False)


def _refuse(error: ConfigurationError) -> NoReturn:
    console = _console()
    for problem in error.problems:
        console.print(str(problem), markup=False)
    raise typer.Exit(EXIT_CONFIGURATION)


def _fail(message: str, code: int) -> NoReturn:
    _console().print(f"zonegate: {message}", markup=False)
    raise typer.Exit(code)
