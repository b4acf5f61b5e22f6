"""What commands print for people and programs: tables, YAML and JSON on standard output.

On a terminal, tables are Rich's: coloured, and fitted to its width. Elsewhere they are plain: no colours, nothing cut
off, every row one line.
"""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from itertools import zip_longest
from typing import Any

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from controlplane.times import parse_time

Cell = str | Text

STATUS_STYLES: Mapping[str, str] = {"READY": "green", "PENDING": "yellow", "FAILED": "red"}

GAP = "  "
NARROWEST_LAST = 20
"""What the last column of a table needs, so that it is the one which holds long texts, and the only one to fold."""


class Format(StrEnum):
    """Of lists and reports: a table for people, the others for programs."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def on_terminal() -> bool:
    """Whether a person reads standard output. The one place that decides."""
    return sys.stdout.isatty()


def out() -> Console:
    """Standard output, with colours on a terminal only."""
    return Console(highlight=False, soft_wrap=not on_terminal(), force_terminal=on_terminal())


def print_table(heads: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    lines = [[_printable(cell) for cell in row] for row in rows]
    if not on_terminal():
        _print_plain([[Text(head) for head in heads], *lines])
        return
    console, table = out(), Table(box=None, pad_edge=False)
    widths = _widths([[Text(head) for head in heads], *lines])
    only_last_folds = sum(widths[:-1]) + len(GAP) * len(widths) + NARROWEST_LAST <= console.width
    for head in heads:
        table.add_column(head, overflow="fold", no_wrap=only_last_folds and head != heads[-1])
    for line in lines:
        table.add_row(*line)
    console.print(table)


def print_fields(fields: Iterable[tuple[str, Cell]]) -> None:
    """One thing, a line for each of its fields."""
    lines = [(name, _printable(value)) for name, value in fields]
    if not on_terminal():
        _print_plain([[Text(name), value] for name, value in lines])
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in lines:
        table.add_row(name, value)
    out().print(table)


def print_data(data: object, output: Format) -> None:
    """As it is, in the order in which it has its fields."""
    if output is Format.JSON:
        typer.echo(json.dumps(data, indent=2, ensure_ascii=False))
    else:
        from controlplane.yaml_source import dump

        typer.echo(dump(data), nl=False)


def print_listing(
    data: Sequence[Any], output: Format, heads: Sequence[str], row: Callable[[Any], Sequence[Cell]], none: str
) -> None:
    """A list in any of the formats; `none` tells people that it is empty."""
    if output is not Format.TABLE:
        print_data(data, output)
    elif data:
        print_table(heads, [row(each) for each in data])
    else:
        Console(stderr=True, highlight=False).print(none)


def status_cell(status: str) -> Text:
    return Text(status, STATUS_STYLES.get(status, ""))


def age(time: str | None, now: datetime | None = None) -> str:
    """How long ago, in the largest unit that fits: `3d`. What is no time stays as it is."""
    if not time:
        return "-"
    try:
        passed = ((now or datetime.now(UTC)) - parse_time(time)).total_seconds()
    except ValueError:
        return time
    return short_duration(passed)


def short_duration(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= length:
            return f"{int(seconds // length)}{unit}"
    return f"{max(0, int(seconds))}s"


def printable(text: str) -> str:
    """What somebody else wrote, without what a terminal would obey."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _printable(cell: Cell) -> Text:
    return Text(printable(cell.plain), cell.style) if isinstance(cell, Text) else Text(printable(cell))


def _widths(rows: Sequence[Sequence[Text]]) -> list[int]:
    return [max(cell_len(cell.plain) for cell in column) for column in zip_longest(*rows, fillvalue=Text())]


def _print_plain(rows: Sequence[Sequence[Text]]) -> None:
    widths = _widths(rows)
    for row in rows:
        padded = (cell.plain + " " * (width - cell_len(cell.plain)) for cell, width in zip(row, widths, strict=False))
        typer.echo(GAP.join(padded).rstrip())
