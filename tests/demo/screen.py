"""What the demo prints: numbered steps, commands with their output, files. Plain text where it isn't a terminal."""

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console
from rich.rule import Rule
from rich.syntax import Syntax
from rich.text import Text

INDENT = "   "


class Screen:
    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._steps = 0

    def title(self, title: str, subtitle: str) -> None:
        self._line(Text(f"\n{title}", style="bold"))
        self._line(Text(subtitle))

    def step(self, title: str, explanation: str) -> None:
        self._steps += 1
        self._line(Text.assemble(f"\n{self._steps}. ", title, style="bold cyan"))
        for line in explanation.splitlines():
            self._line(Text(INDENT + line))

    def say(self, text: str) -> None:
        self._line(Text(text))

    def command(self, line: str) -> None:
        self._line(Text.assemble(f"\n{INDENT}", ("$ ", "dim"), (line, "bold")))

    def output(self, text: str, style: str = "") -> None:
        for line in text.splitlines():
            self._line(Text(INDENT + line, style=style))

    def file(self, name: str, text: str, language: str) -> None:
        self._line(Text(f"\n{INDENT}{name}", style="dim italic"))
        highlighted = Syntax("", language, theme="ansi_dark", background_color="default").highlight(text.rstrip())
        for line in highlighted.split("\n"):
            self._line(Text(f"{INDENT}│ ", style="dim") + line)

    def checked(self, text: str) -> None:
        self._line(Text.assemble(INDENT, ("✓ ", "bold green"), text))

    def failed(self, text: str) -> None:
        self._line(Text.assemble("\n", ("✗ ", "bold red"), text))

    def rule(self) -> None:
        self._console.print()
        self._console.print(Rule(style="dim"))

    @contextlib.contextmanager
    def waiting(self, doing: str, done: str) -> Iterator[None]:
        """A spinner, in a terminal, while something takes its time; then one line that says how long."""
        started = time.monotonic()
        with self._console.status(f"{doing} …"):
            yield
        self.checked(f"{done} ({time.monotonic() - started:.1f} s)")

    def _line(self, text: Text) -> None:
        # The terminal breaks long lines, so that a copied command stays one line.
        self._console.print(text, soft_wrap=True)
