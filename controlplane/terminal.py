"""How the command line speaks to people: on standard error, with exit codes that tell what to do about it."""

import re
from typing import NoReturn

import typer
from rich.console import Console

from controlplane.problems import ConfigurationError

EXIT_FAILURE = 1
"""The server said no, or is out of reach; or what was asked about is not well."""
EXIT_CONFIGURATION = 2
"""To be corrected on the command line, in a file, in the environment."""
EXIT_EXISTS = 3
"""A file that would be overwritten."""
EXIT_FAILED = 4
"""Waited for a zone, and it is FAILED."""
EXIT_NOT_IN_TIME = 5
"""Waited for a zone, and it is not READY."""


def console() -> Console:
    """Standard error; standard output belongs to what programs read."""
    return Console(stderr=True, soft_wrap=True, highlight=False)


def paragraphs(text: str) -> str:
    """A help text whose paragraphs fill the terminal's lines, not ours. Indented lines, as of examples, stay apart."""
    return re.sub(r"(?<=\S)\n(?=\S)", " ", text)


def refuse(error: ConfigurationError) -> NoReturn:
    """End the command with everything that is to be corrected."""
    out = console()
    for problem in error.problems:
        out.print(str(problem), markup=False)
    raise typer.Exit(EXIT_CONFIGURATION)


def fail(message: str, code: int) -> NoReturn:
    """End the command with one sentence."""
    console().print(f"zonegate: {message}", markup=False)
    raise typer.Exit(code)
