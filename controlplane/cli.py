"""The `zonegate` command. What it prints for programs goes to standard output, all else to standard error."""

import importlib.metadata
from pathlib import Path
from typing import Annotated

import typer

from controlplane import credential_commands
from controlplane.commands.registration import EXIT_CODES, register
from controlplane.credential_commands import ConfigOption
from controlplane.problems import ConfigurationError
from controlplane.settings_fields import MAX_WORKERS
from controlplane.terminal import EXIT_FAILURE, fail, paragraphs, refuse

_HELP = """Share Kafka topics with partners, each in a zone of its own names and permissions.

[bold]Example[/bold]

    zonegate apply -f zones/

    zonegate credentials generate external-partner-zone

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

One process uses one processor. With [bold]--workers N[/bold], N processes serve the same ports, and one more looks
after them and has the admin interface. A zone's rates hold for all together; what the section [bold]limits[/bold] says
holds for each process.
"""

app = typer.Typer(
    help=paragraphs(_HELP),
    epilog=paragraphs(EXIT_CODES),
    rich_markup_mode="rich",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
register(app)
app.add_typer(credential_commands.app, name="credentials")


@app.command(help=paragraphs(_SERVE_HELP))
def serve(
    zones: Annotated[
        Path, typer.Option("--zones", envvar="ZONEGATE_ZONES", metavar="DIR", help="Folder of PartnerZone manifests.")
    ],
    config: ConfigOption = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=1,
            max=MAX_WORKERS,
            show_default="1",
            help="Processes that serve, one per processor at most; counts more than the setting [bold]workers[/bold].",
        ),
    ] = None,
) -> None:
    from controlplane.serve import run  # the other commands start without the servers' libraries
    from controlplane.start_errors import StartError

    try:
        run(config, zones, workers)
    except ConfigurationError as error:
        refuse(error)
    except StartError as error:
        fail(str(error), EXIT_FAILURE)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"zonegate {importlib.metadata.version('zonegate')}")


def main() -> None:
    """The console script."""
    app()
