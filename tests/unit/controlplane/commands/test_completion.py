"""`zonegate completion`: the scripts, and what they ask the program."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.controlplane.test_cli import zonegate


@pytest.mark.parametrize(
    ("shell", "first"),
    [("bash", "_zonegate_completion()"), ("zsh", "#compdef zonegate"), ("fish", "complete --command")],
)
def test_a_script_for_each_shell(shell: str, first: str) -> None:
    result = zonegate("completion", shell)

    assert (result.exit_code, result.stderr) == (0, "")
    assert first in result.stdout
    assert "_ZONEGATE_COMPLETE" in result.stdout


def test_another_shell() -> None:
    assert zonegate("completion", "tcsh").exit_code == 2


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_with_it(tmp_path: Path) -> None:
    program = tmp_path / "zonegate"
    program.write_text(f"#!{sys.executable}\nfrom controlplane.cli import main\nmain()\n")
    program.chmod(0o755)
    script = tmp_path / "completion"
    script.write_text(zonegate("completion", "bash").stdout)
    words = "COMP_WORDS=(zonegate expl); COMP_CWORD=1"
    asked = f"source {script}; {words}; _zonegate_completion zonegate; echo ${{COMPREPLY[@]}}"

    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    completed = subprocess.run(
        ["bash", "-c", asked], env=os.environ | {"PATH": path}, capture_output=True, text=True, check=True
    )

    assert completed.stdout == "explain\n"
