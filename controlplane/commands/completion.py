"""`zonegate completion`: what a shell needs to complete commands and options."""

from enum import StrEnum
from typing import Annotated

import typer

HELP = """Print a script with which a shell completes commands and options.

[bold]Example[/bold], each for its own shell:

    zonegate completion bash > ~/.local/share/bash-completion/completions/zonegate

    zonegate completion zsh > "${fpath[1]}/_zonegate"

    zonegate completion fish > ~/.config/fish/completions/zonegate.fish
"""

PROGRAM = "zonegate"
COMPLETION_VARIABLE = "_ZONEGATE_COMPLETE"
"""By which the script asks the program; Typer makes it of the program's name."""


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    context: typer.Context, shell: Annotated[Shell, typer.Argument(metavar="bash|zsh|fish", help="Which one.")]
) -> None:
    from typer.completion import shell_complete

    shell_complete(context.find_root().command, {}, PROGRAM, COMPLETION_VARIABLE, f"source_{shell}")
