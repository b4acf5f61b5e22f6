"""How `zonegate credentials` shows credentials, whether they are a file's or the API's."""

from collections.abc import Sequence

from rich.markup import escape
from rich.text import Text

from controlplane.commands.output import Cell, Format, print_listing, printable
from controlplane.terminal import console

Row = dict[str, str | None]
"""id, zone, created, expires, last_used, state."""

HEADS = ("ID", "ZONE", "CREATED", "EXPIRES", "LAST USED", "STATE")
_STYLES = {"valid": "green", "expired": "red", "unknown zone": "yellow"}


def print_credentials(rows: Sequence[Row], output: Format) -> None:
    print_listing(rows, output, HEADS, _cells, "There are no credentials.")


def explain_credential(credential: str, zone: str, account: str, expires: str | None, kept: str) -> None:
    """Beside the password, which goes to standard output. `kept` says where its hash is."""
    credential, zone, account, kept = (escape(printable(text)) for text in (credential, zone, account, kept))
    out = console()
    out.print(
        f"Credential [bold]{credential}[/bold] of zone [bold]{zone}[/bold]; "
        f"user name: [bold]{account}[/bold]; expires: [bold]{expires or 'never'}[/bold]."
    )
    out.print(f"The password is shown this once; {kept} keeps only its hash.")


def tell_revoked(credential: str, zone: str | None) -> None:
    of_zone = f" of zone [bold]{escape(zone)}[/bold]" if zone is not None else ""
    console().print(f"Revoked credential [bold]{escape(credential)}[/bold]{of_zone}.")


def tell_ended() -> None:
    console().print("Running gateways end the connections within a second.")


def _cells(row: Row) -> tuple[Cell, ...]:
    state = str(row["state"])
    return (
        str(row["id"]),
        str(row["zone"]),
        str(row["created"]),
        row["expires"] or "never",
        row["last_used"] or "-",
        Text(state, _STYLES.get(state, "")),
    )
