"""`zonegate api-keys`: keys to the REST API."""

from typing import Annotated

import typer
from rich.markup import escape

from controlplane.commands.connection import Connection, with_connection
from controlplane.commands.output import Format, age, print_listing, printable
from controlplane.terminal import EXIT_FAILURE, console, fail, paragraphs

_HELP = """Keys to the REST API, for people and for pipelines.

[bold]Example[/bold]

    zonegate api-keys create ci-pipeline > api-key

    zonegate api-keys list

    zonegate api-keys revoke 5c0f8f5e-9f3c-4a53-8f4e-0a8d1f9f3c11
"""

_CREATE_HELP = """Make a key, and print it once.

Standard output holds the key and nothing else.

[bold]Example[/bold]

    zonegate api-keys create ci-pipeline > api-key
"""

_LIST_HELP = """Show the keys' ids, names and ages; the keys themselves are not kept.

[bold]Example[/bold]

    zonegate api-keys list --output json
"""

_REVOKE_HELP = """Revoke a key: whoever has it is refused from now on.

[bold]Example[/bold]

    zonegate api-keys revoke 5c0f8f5e-9f3c-4a53-8f4e-0a8d1f9f3c11
"""

app = typer.Typer(help=paragraphs(_HELP), rich_markup_mode="rich", no_args_is_help=True)


@app.command(help=paragraphs(_CREATE_HELP))
@with_connection
def create(
    connection: Connection,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who or what it is for.")],
) -> None:
    with connection.open() as api:
        made = api.create_api_key(name)
    if not isinstance(token := made.get("token"), str):
        fail("the API made a key and did not tell it; revoke it, and try again", EXIT_FAILURE)
    typer.echo(token)
    out = console()
    out.print(f"API key [bold]{_shown(made.get('id'))}[/bold], named [bold]{_shown(made.get('name'))}[/bold].")
    out.print("The key is shown this once; zonegate keeps only its hash.")


@app.command("list", help=paragraphs(_LIST_HELP))
@with_connection
def list_(
    connection: Connection,
    output: Annotated[Format, typer.Option("--output", "-o", help="A table for people, the others for programs.")] = (
        Format.TABLE
    ),
) -> None:
    with connection.open() as api:
        keys = api.api_keys()
    print_listing(
        keys,
        output,
        ("ID", "NAME", "AGE"),
        lambda key: (str(key.get("id")), str(key.get("name")), age(key.get("createdAt"))),
        "There are no API keys.",
    )


@app.command(help=paragraphs(_REVOKE_HELP))
@with_connection
def revoke(
    connection: Connection,
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As 'zonegate api-keys list' shows it.")],
) -> None:
    with connection.open() as api:
        api.delete_api_key(key_id)
    console().print(f"Revoked API key [bold]{_shown(key_id)}[/bold].")


def _shown(text: object) -> str:
    return escape(printable(str(text)))
