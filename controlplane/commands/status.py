"""`zonegate status`: whether what is stored is in force everywhere."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from controlplane.commands.connection import Connection, with_connection
from controlplane.commands.output import (
    STATUS_STYLES,
    Cell,
    Format,
    out,
    print_data,
    print_table,
    printable,
    short_duration,
    status_cell,
)
from controlplane.terminal import EXIT_FAILURE

if TYPE_CHECKING:
    from controlplane.commands.api import Data

HELP = """Show the gateways, how far each has got, and the zones that are not well.

The exit code is 0 when a gateway is there, all are caught up, the state is within reach and no zone is FAILED; else 1.

[bold]Example[/bold]

    zonegate status

    zonegate status --output json
"""

HEADS = ("GATEWAY", "WORKER", "VERSION", "SEEN", "ZONES", "CONNECTIONS", "APPLIED", "LAG", "PROBLEMS")


@dataclass(frozen=True, slots=True)
class Report:
    state: "Data"
    gateways: "Sequence[Data]"
    zones: "Sequence[Data]"

    @property
    def well(self) -> bool:
        caught_up = bool(self.gateways) and all(gateway.get("lag") == 0 for gateway in self.gateways)
        return caught_up and not self.state.get("problem") and not self.failed

    @property
    def failed(self) -> "list[Data]":
        """Metadata of the zones."""
        return [zone["metadata"] for zone in self.zones if _status(zone) == "FAILED"]

    @property
    def counts(self) -> Counter[str]:
        return Counter(_status(zone) for zone in self.zones)

    def data(self) -> dict[str, Any]:
        failed = [{"name": each.get("name"), "failedReason": each.get("failedReason")} for each in self.failed]
        zones = {"count": len(self.zones), "statuses": dict(sorted(self.counts.items())), "failed": failed}
        return {"well": self.well, "state": self.state, "gateways": list(self.gateways), "zones": zones}


@with_connection
def status(
    connection: Connection,
    output: Annotated[
        Format, typer.Option("--output", "-o", help="Tables for people, the others for programs.")
    ] = Format.TABLE,
) -> None:
    with connection.open() as api:
        answer = api.gateways()
        report = Report(answer.get("state") or {}, answer.get("gateways") or [], api.zones())
    if output is Format.TABLE:
        _print(report)
    else:
        print_data(report.data(), output)
    if not report.well:
        raise typer.Exit(EXIT_FAILURE)


def _print(report: Report) -> None:
    state = report.state
    _say(Text(f"State: {state.get('kind')} {state.get('name')}, offset {state.get('offset')}"))
    if problem := state.get("problem"):
        _say(Text(f"State: {problem}", "red"))
    typer.echo()
    if report.gateways:
        print_table(HEADS, [_row(gateway) for gateway in report.gateways])
    else:
        _say(Text("There is no live gateway.", "red"))
    typer.echo()
    _say(_summary(report))
    if report.failed:
        typer.echo()
        rows = [(str(each.get("name")), status_cell("FAILED"), _reason(each)) for each in report.failed]
        print_table(("ZONE", "STATUS", "REASON"), rows)


def _row(gateway: "Data") -> tuple[Cell, ...]:
    lag, problems = gateway.get("lag"), gateway.get("problems") or []
    worker = gateway.get("worker")
    return (
        str(gateway.get("gateway")),
        "-" if worker is None else str(worker),
        str(gateway.get("version")),
        short_duration(float(gateway.get("seenSecondsAgo") or 0)),
        str(gateway.get("zones")),
        str(gateway.get("connections")),
        str(gateway.get("applied")),
        Text(str(lag), "green" if lag == 0 else "yellow"),
        Text("; ".join(map(str, problems)), "red") if problems else "-",
    )


def _summary(report: Report) -> Text:
    """`3 zones: 2 READY, 1 FAILED`"""
    line = Text(f"{len(report.zones)} zone{'' if len(report.zones) == 1 else 's'}")
    parts = [Text(f"{count} {status}", STATUS_STYLES.get(status, "")) for status, count in report.counts.most_common()]
    return line + Text(": ") + Text(", ").join(parts) if parts else line


def _reason(metadata: "Data") -> str:
    return str(metadata.get("failedReason") or "-")


def _status(zone: "Data") -> str:
    return str(zone.get("metadata", {}).get("status"))


def _say(text: Text) -> None:
    text.plain = printable(text.plain)
    out().print(text)
