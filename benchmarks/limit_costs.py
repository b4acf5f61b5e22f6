"""What limits cost that are never reached: the same load in a zone without limits and in one with, in turn."""

from collections.abc import Iterator, Mapping

from cases import Case, Measurement, measure
from frames import MAX_BATCH_BYTES
from targets import OPEN_ZONE, UNREACHED_ZONE, Target, ZoneSpec

from tests.kafka import Cluster

NAME = "limits"

CASES = (
    Case(f"{NAME}-single-200", 200, 3000, window=1, kinds=("produce",)),
    Case(f"{NAME}-unbatched-200", 200, 9000, kinds=("produce",)),
    Case(f"{NAME}-batched-1024", 1024, 125, MAX_BATCH_BYTES),
)
TOPICS = tuple(case.topic for case in CASES)


def measure_all(cluster: Cluster, zones: Mapping[ZoneSpec, Target], runs: int, quick: bool) -> Iterator[Measurement]:
    chosen = [zones[OPEN_ZONE], zones[UNREACHED_ZONE]]
    for case in CASES:
        yield from measure(cluster, case, chosen, runs, quick)
