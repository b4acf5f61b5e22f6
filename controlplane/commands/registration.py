"""Which commands there are that speak to the API, and in which order `zonegate --help` shows them."""

import typer

from controlplane.commands import api_keys, apply, completion, delete, explain, get, status, template
from controlplane.terminal import paragraphs

EXIT_CODES = """[bold]Exit codes[/bold]

0: done. 1: the server said no or is out of reach, or what 'status' looked at is not well. 2: wrong options, files or
environment. 3: 'template' found the file already there. 4 and 5: 'apply --wait' found a zone FAILED, or not READY in
time.
"""


def register(app: typer.Typer) -> None:
    app.command(help=paragraphs(apply.HELP), cls=apply.ApplyCommand)(apply.apply)
    app.command(help=paragraphs(get.HELP))(get.get)
    app.command(help=paragraphs(delete.HELP))(delete.delete)
    app.command(help=paragraphs(template.HELP))(template.template)
    app.command(help=paragraphs(explain.HELP))(explain.explain)
    app.command(help=paragraphs(status.HELP))(status.status)
    app.command(help=paragraphs(completion.HELP))(completion.completion)
    app.add_typer(api_keys.app, name="api-keys")
