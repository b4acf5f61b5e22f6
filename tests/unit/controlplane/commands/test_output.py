"""Tables for terminals and for programs."""

import pytest
from rich.text import Text

from controlplane.commands.output import print_fields, print_table

LONG = "a reason of many words that does not fit into the line of a terminal, however wide it is"


def test_plain_tables_keep_every_row_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("A", "B"), [("1\n2", LONG * 5), ("漢字", Text("x\x1b[2J", "red"))])

    assert capsys.readouterr().out == f"A     B\n1�2   {LONG * 5}\n漢字  x�[2J\n"


def test_a_plain_table_without_rows(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("A", "B"), [])
    assert capsys.readouterr().out == "A  B\n"
    print_fields([])
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("terminal")
def test_only_the_last_column_folds_where_it_can(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("NAME", "REASON"), [("n" * 40, LONG)])
    lines = capsys.readouterr().out.splitlines()

    assert lines[1].startswith("n" * 40 + "  a reason of many words")
    assert len(lines) == 3
    assert all(len(line) <= 120 for line in lines[1:])


@pytest.mark.usefixtures("terminal")
def test_a_narrow_terminal_cuts_nothing_off(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    print_table(("NAME", "REASON"), [("x" * 40, "y" * 40)])
    shown = capsys.readouterr().out

    assert (shown.count("x"), shown.count("y")) == (40, 40)


@pytest.mark.usefixtures("terminal")
def test_nothing_is_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields([("name", "[red]text[/red]")])

    assert "[red]text[/red]" in capsys.readouterr().out
