"""Measures the gateway against a direct connection, and against other proxies where they are installed.

make bench                             everything, about five minutes; the tables go into docs/benchmarks.md
make bench ARGS=--quick                a smoke run that writes nothing
make bench ARGS="--only batched-1024"  one case, or all whose names begin so
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # for tests.kafka, which is not an installed package

import machine  # noqa: E402
import report  # noqa: E402
import targets as ways  # noqa: E402
from cases import CASES, Case, Measurement, measure  # noqa: E402
from targets import Target  # noqa: E402

from tests.kafka import Cluster, MissingRequirement, open_cluster  # noqa: E402
from tests.kafka.distribution import kafka_version  # noqa: E402

PAGE = ROOT / "docs" / "benchmarks.md"
RUNS = 3


@dataclass(frozen=True, slots=True)
class Options:
    cases: tuple[Case, ...]
    runs: int
    quick: bool
    partial: bool


def main() -> None:
    if sys.platform != "linux":
        sys.exit("The benchmarks read CPU time and memory as Linux tells them; run them on Linux.")
    options = _options()
    signal.signal(signal.SIGTERM, _end)
    load = os.getloadavg()[0]
    try:
        with tempfile.TemporaryDirectory(prefix="zonegate-benchmark-") as folder:
            text = _run(options, Path(folder))
    except MissingRequirement as missing:
        sys.exit(str(missing))
    text += f"\nThe machine's load before the run was {load:.1f}.\n"
    if options.partial:
        print(f"\n{text}\nNot written to {PAGE.relative_to(ROOT)}: only a run of everything is.")
    else:
        report.write(PAGE, text)
        print(f"\n{text}\nWritten to {PAGE.relative_to(ROOT)}.")


def _end(number: int, frame: FrameType | None) -> None:
    """Ended from outside, leave nothing running either."""
    sys.exit(128 + number)


def _options() -> Options:
    parser = argparse.ArgumentParser(
        prog="benchmarks/run.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one short run of each case; its figures mean little")
    parser.add_argument("--only", metavar="NAME", help=f"one of: {', '.join(case.name for case in CASES)}")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"runs of each case and target (default: {RUNS})")
    options = parser.parse_args()
    chosen = tuple(case for case in CASES if case.name.startswith(options.only or ""))
    if not chosen:
        parser.error(f"no case is named {options.only}; the cases are {', '.join(case.name for case in CASES)}")
    runs = 1 if options.quick else options.runs
    return Options(chosen, runs, options.quick, options.quick or options.only is not None)


def _run(options: Options, folder: Path) -> str:
    started = time.monotonic()
    print("Starting Kafka", flush=True)
    with open_cluster() as cluster, contextlib.ExitStack() as stack:
        targets, skipped = _open_targets(cluster, folder, stack)
        print(f"Measuring {', '.join(target.version for target in targets)}; {machine.describe_pinning()}", flush=True)
        measurements = list(_measure(cluster, targets, options))
        resident = {target.name: machine.resident_megabytes(target.pid) for target in targets if target.pid is not None}
    print(f"Took {time.monotonic() - started:.0f} s", flush=True)
    items = [f"- {line}" for line in (*_circumstances(options, targets), *skipped)]
    if aims := report.verdicts(measurements):
        items += ["", *(f"- {line}" for line in aims)]
    return "\n".join(items) + "\n" + report.tables(measurements, targets, resident)


def _open_targets(
    cluster: Cluster, folder: Path, stack: contextlib.ExitStack
) -> tuple[Sequence[Target], Sequence[str]]:
    """The ways to measure, and why others are not there."""
    aliases = {case.topic: case.name for case in CASES}
    targets = [
        ways.direct(cluster, f"Apache Kafka {kafka_version()}"),
        stack.enter_context(ways.gateway(cluster, aliases, folder)),
    ]
    skipped = []
    for name, opening in (
        ("HAProxy", ways.haproxy(cluster, folder)),
        ("kafka-proxy", ways.kafka_proxy(cluster, folder)),
    ):
        try:
            targets.append(stack.enter_context(opening))
        except ways.Skipped as reason:
            skipped.append(f"{name} was skipped: {reason}")
            print(skipped[-1], flush=True)
    return targets, skipped


def _measure(cluster: Cluster, targets: Sequence[Target], options: Options) -> Iterator[Measurement]:
    for case in options.cases:
        for measurement in measure(cluster, case, targets, options.runs, options.quick):
            print(report.line(measurement), flush=True)
            yield measurement


def _circumstances(options: Options, targets: Sequence[Target]) -> list[str]:
    commit = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True)
    command = " ".join(["make bench", *([f'ARGS="{" ".join(sys.argv[1:])}"'] if sys.argv[1:] else [])])
    runs = f"{options.runs} run{'s' if options.runs > 1 else ''} of each case and target in turn"
    today = time.strftime("%Y-%m-%d", time.gmtime())
    return [
        f"Made by `{command}` on {today}, commit {commit.stdout.strip() or 'unknown'}",
        f"{', '.join(target.version for target in targets)}; Python {sys.version.split()[0]}",
        f"{machine.describe()}; {machine.describe_pinning()}",
        f"{runs}; the figures are medians, and in brackets after CPU seconds the least and the most",
    ]


if __name__ == "__main__":
    main()
