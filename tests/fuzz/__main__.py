"""The program: plays worlds in several processes until so many frames have been seen, and reports what must not be.

Exit code 0 when nothing failed, 1 when something did.
"""

import argparse
import sys
from collections.abc import Sequence
from os import cpu_count
from pathlib import Path

from tests.fuzz.player import replay
from tests.fuzz.run import Options, Run, show_steps
from tests.fuzz.steps import Script


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parse(arguments)
    if given.replay is not None:
        return _replay(given.replay)
    print(f"Fuzzing: {given.frames:,} frames, seed {given.seed}, {given.jobs} processes", flush=True)
    return Run(Options(given.frames, given.seed, given.jobs, given.nice, given.out)).watch()


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--frames", type=int, default=1_000_000, help="at least so many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="what is played follows from it (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=cpu_count() or 1, help="processes (default: one per core)")
    parser.add_argument("--nice", type=int, default=0, help="how much to leave the machine to others, up to 19")
    parser.add_argument(
        "--out", type=Path, default=Path("build/fuzz"), help="folder of failures (default: %(default)s)"
    )
    parser.add_argument("--replay", type=Path, metavar="FILE", help="play the steps of a failure again")
    return parser.parse_args(arguments)


def _replay(path: Path) -> int:
    script = Script.load(path)
    show_steps(script)
    failure = replay(script)
    if failure is None:
        print("\nNothing fails.")
        return 0
    print(f"\nFails: {failure.signature}\n{failure}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
