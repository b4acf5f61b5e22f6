"""Measures the gateway against a direct connection, and against other proxies where they are installed.

make bench                             everything, about a quarter of an hour; the tables go into docs/benchmarks.md
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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # for tests.kafka, which is not an installed package

import limit_costs  # noqa: E402
import machine  # noqa: E402
import many_zones  # noqa: E402
import neighbours  # noqa: E402
import report  # noqa: E402
import targets as ways  # noqa: E402
import traffic_report  # noqa: E402
import workers  # noqa: E402
import zones_report  # noqa: E402
from cases import CASES, Case, Measurement, measure  # noqa: E402
from targets import OPEN_ZONE, Target, ZoneSpec  # noqa: E402

from tests.kafka import Cluster, MissingRequirement, open_cluster  # noqa: E402
from tests.kafka.distribution import kafka_version  # noqa: E402

PAGE = ROOT / "docs" / "benchmarks.md"
RUNS = 3
OTHERS = (limit_costs.NAME, neighbours.NAME, workers.NAME, many_zones.NAME)
"""What is measured with a load of its own, and in the gateway alone."""


@dataclass(frozen=True, slots=True)
class Options:
    cases: tuple[Case, ...]
    others: tuple[str, ...]
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
    names = (*(case.name for case in CASES), *OTHERS)
    parser.add_argument("--only", metavar="NAME", default="", help=f"one of: {', '.join(names)}")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"runs of each case and target (default: {RUNS})")
    options = parser.parse_args()
    chosen = tuple(case for case in CASES if case.name.startswith(options.only))
    others = tuple(name for name in OTHERS if name.startswith(options.only))
    if not chosen and not others:
        parser.error(f"no case is named {options.only}; the cases are {', '.join(names)}")
    runs = 1 if options.quick else options.runs
    return Options(chosen, others, runs, options.quick, options.quick or bool(options.only))


def _run(options: Options, folder: Path) -> str:
    started = time.monotonic()
    print("Starting Kafka", flush=True)
    with open_cluster() as cluster, contextlib.ExitStack() as stack:
        zones = stack.enter_context(ways.gateway(cluster, _aliases(), folder / "gateway"))
        targets, skipped = _open_targets(cluster, zones, folder, stack)
        print(f"Measuring {', '.join(target.version for target in targets)}; {machine.describe_pinning()}", flush=True)
        measurements = list(_measure(cluster, targets, options))
        resident = {target.name: machine.resident_megabytes(target.pid) for target in targets if target.pid is not None}
        others = _measure_others(cluster, zones, options, folder)
    print(f"Took {time.monotonic() - started:.0f} s", flush=True)
    items = [f"- {line}" for line in (*_circumstances(options, targets), *skipped)]
    if aims := report.verdicts(measurements):
        items += ["", *(f"- {line}" for line in aims)]
    tables = report.tables(measurements, targets, resident) if measurements else ""
    return "\n".join(items) + "\n" + tables + others


def _aliases() -> dict[str, str]:
    topics = (*(case.topic for case in CASES), *limit_costs.TOPICS, *neighbours.TOPICS)
    return {topic: topic.rpartition(".")[2] for topic in topics}


def _open_targets(
    cluster: Cluster, zones: Mapping[ZoneSpec, Target], folder: Path, stack: contextlib.ExitStack
) -> tuple[Sequence[Target], Sequence[str]]:
    """The ways to measure, and why others are not there."""
    targets = [ways.direct(cluster, f"Apache Kafka {kafka_version()}"), zones[OPEN_ZONE]]
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


def _measure_others(cluster: Cluster, zones: Mapping[ZoneSpec, Target], options: Options, folder: Path) -> str:
    """Their tables."""
    text = ""
    if limit_costs.NAME in options.others:
        costs = list(limit_costs.measure_all(cluster, zones, options.runs, options.quick))
        text += _shown(traffic_report.limit_costs(costs))
    if neighbours.NAME in options.others:
        text += _shown(traffic_report.neighbours(list(neighbours.measure(cluster, zones))))
    if workers.NAME in options.others:
        text += _shown(traffic_report.workers(list(workers.measure(cluster, folder))))
    if many_zones.NAME in options.others:
        text += _shown(zones_report.many_zones(list(_many_zones(cluster, folder, options.quick))))
    return text


def _many_zones(cluster: Cluster, folder: Path, quick: bool) -> Iterator[many_zones.Found]:
    for found in many_zones.measure(cluster, folder, quick):
        print(zones_report.line(found), flush=True)
        yield found


def _shown(text: str) -> str:
    """As progress."""
    print(text, flush=True)
    return text


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
