"""The `zonegate` command. What it prints for programs goes to standard output, all else to standard error."""

import importlib.metadata
from collections.abc import Callable
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

    ZONEGATE_CONSOLE_API_KEY=$ZONEGATE_API_KEY zonegate serve --config zonegate.yaml &

    zonegate apply -f pz.yaml --wait

    PASSWORD=$(zonegate credentials generate external-partner-zone)
"""

_SERVE_HELP = """Run gateway and console in one process: all that one machine needs.

Zones and credentials are kept in a topic of your Kafka, [bold]_zonegate[/bold], and managed through the REST API at
port 8080: [bold]zonegate apply[/bold], [bold]get[/bold], [bold]credentials[/bold]. It needs a key to begin with, the
setting [bold]console.api_key[/bold]. With [bold]--zones DIR[/bold] they come from a folder of manifests and a file of
credentials instead, which are followed: an edit is in force within a second, and a broken one is logged and changes
nothing. There is no API then. SIGTERM stops gracefully, a second one at once. Every setting can be given by an
environment variable too: [bold]cluster.bootstrap.servers[/bold] is [bold]ZONEGATE_CLUSTER_BOOTSTRAP_SERVERS[/bold].

[bold]Example[/bold]

    ZONEGATE_CONSOLE_API_KEY=$(openssl rand -hex 24) zonegate serve --config zonegate.yaml

with [bold]zonegate.yaml[/bold]:

    listen: 0.0.0.0:9094

    advertised_host: gateway.example.com

    cluster: {id: partner1, bootstrap.servers: "broker1:9092,broker2:9092"}

One process uses one processor. With [bold]--workers N[/bold], N processes serve the same ports, and one more looks
after them and has the other interfaces. A zone's rates hold for all together; what the section [bold]limits[/bold] says
holds for each process.
"""

_GATEWAY_HELP = """Run a gateway without a console: another one of several, or one whose console runs elsewhere.

It follows the state topic, and so needs the same [bold]cluster[/bold] and [bold]state_topic[/bold] as the console.

[bold]Example[/bold]

    zonegate gateway --config zonegate.yaml --workers 4
"""

_CONSOLE_HELP = """Run a console without a gateway: the REST API at port 8080.

Several may run; an edit through any of them is in force everywhere within a second.

[bold]Example[/bold]

    ZONEGATE_CONSOLE_API_KEY=$(openssl rand -hex 24) zonegate console --config zonegate.yaml
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


ZonesOption = Annotated[
    Path | None,
    typer.Option(
        "--zones",
        envvar="ZONEGATE_ZONES",
        metavar="DIR",
        help="Folder of PartnerZone manifests, instead of the state topic.",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        max=MAX_WORKERS,
        show_default="1",
        help="Processes that serve, one per processor at most; counts more than the setting [bold]workers[/bold].",
    ),
]


@app.command(help=paragraphs(_SERVE_HELP))
def serve(zones: ZonesOption = None, config: ConfigOption = None, workers: WorkersOption = None) -> None:
    from controlplane.serve import Plan, run  # the other commands start without the servers' libraries

    _serve(lambda: run(Plan(config, zones, workers)))


@app.command(help=paragraphs(_GATEWAY_HELP))
def gateway(config: ConfigOption = None, workers: WorkersOption = None) -> None:
    from controlplane.serve import Plan, run

    _serve(lambda: run(Plan(config, None, workers, console=False)))


@app.command("console", help=paragraphs(_CONSOLE_HELP))
def console_(config: ConfigOption = None) -> None:
    from controlplane.console import run

    _serve(lambda: run(config))


def _serve(run: Callable[[], None]) -> None:
    from controlplane.start_errors import StartError

    try:
        run()
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
