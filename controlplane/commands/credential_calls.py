"""`zonegate credentials` on the API."""

from collections.abc import Sequence

import typer

from controlplane.commands.api import Api, Data
from controlplane.commands.api_error import ApiError
from controlplane.commands.credential_output import (
    Row,
    explain_credential,
    print_credentials,
    tell_ended,
    tell_revoked,
)
from controlplane.commands.output import Format
from controlplane.terminal import EXIT_FAILURE, console, fail


def generate(api: Api, zone: str, expires_in: str) -> None:
    made = api.generate_credential(zone, expires_in)
    if not isinstance(password := made.get("password"), str):
        fail("the API made a credential and did not tell its password; revoke it, and try again", EXIT_FAILURE)
    typer.echo(password)
    expires = made.get("expires")
    account = str(made.get("username"))
    explain_credential(str(made.get("id")), zone, account, str(expires) if expires else None, "zonegate")


def show(api: Api, zone: str | None, output: Format) -> None:
    print_credentials([_row(each) for each in api.credentials(zone)], output)


def revoke(api: Api, ids: Sequence[str]) -> None:
    """Each for itself: what fails doesn't keep the others valid."""
    revoked = 0
    for credential in ids:
        try:
            api.revoke_credential(credential)
        except ApiError as error:
            console().print(f"Could not revoke credential {credential}: {error}", markup=False)
            continue
        tell_revoked(credential, None)
        revoked += 1
    if revoked:
        tell_ended()
    if revoked < len(ids):
        raise typer.Exit(EXIT_FAILURE)


def _row(credential: Data) -> Row:
    """Under the names that the files' list has, so that a program can read both."""
    row = {field: credential.get(field) for field in ("id", "zone", "created", "expires")}
    return row | {"last_used": credential.get("lastUsed"), "state": credential.get("state")}
