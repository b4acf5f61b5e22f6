"""Clients of four libraries, each in a zone of its own, held at the zone's limits: 10 MB/s, 1 MB/s, and less than one
batch per second. Zero errors, every record once and in order, nobody loses its place in its group.

All run side by side, in two windows, with the fast producers in one and the fast consumers in the other. A rate is what
a client itself has seen arrive, from one acknowledgement (or response with records) to another that is 30 s later, so
that batches don't count by halves; the gateway's own counters must agree with the clients'.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.canary import Canaries
from tests.integration.traffic.case import BATCH_OVERHEAD, Case, Report
from tests.integration.traffic.stage import BY_HAND, FAST, LIBRARIES, Stage, run
from tests.integration.world import Account, new_group
from tests.kafka import Cluster

pytestmark = [pytest.mark.kafka, pytest.mark.alone]

STEADY_SECONDS = 30.0
SETTLE_SECONDS = 4.0
"""By then the burst of one second is used up, and all have connected and loaded what they need."""

TOLERANCE = 0.02
FETCHED_AHEAD_SECONDS = 2.0

Numbers = dict[int, list[int]]
"""Of records or offsets, by partition."""


@dataclass(frozen=True, slots=True)
class Tier:
    """A limit, and the records with which it is tried; each is a batch of its own."""

    name: str
    rate: int
    partitions: int
    value_bytes: int
    outstanding: int = 0
    session_ms: int = 0
    steady_seconds: float = STEADY_SECONDS
    tolerance: float = TOLERANCE

    @property
    def interval(self) -> float:
        """Seconds for which one batch uses up the limit."""
        return (self.value_bytes + BATCH_OVERHEAD) / self.rate


WRITTEN: Final = (
    Tier("fast", FAST, 2, 990_000, outstanding=10),
    Tier("medium", 1_000_000, 2, 100_000, outstanding=10),
    # of Java's batch.size of 16 KiB
    Tier("slow", 10_000, 1, 16_000, outstanding=2),
)
LARGE_AND_SLOW: Final = Tier("slow", 500_000, 1, 990_000, outstanding=2)
"""Of librdkafka's batch.size of 1 MB."""

READ: Final = (
    # ten batches fill what clients ask for of a partition, 1 MiB, and what the gateway makes of it, a quarter of the
    # burst: a broker sends the beginning of the next batch too, which counts and is of no use
    Tier("fast", FAST, 2, 104_700),
    Tier("medium", 1_000_000, 2, 24_920),
    Tier("slow", 10_000, 1, 16_000),
    # every fetch is paused for longer than the group's session lasts; three of them measure no rate
    Tier("session", 10_000, 1, 65_000, session_ms=6000, steady_seconds=18, tolerance=0.1),
)
FILLED: Final = {"fast": 1950, "medium": 850, "slow": 40, "session": 10}
"""Records of each partition: more than is read in a window."""


SENT_BY_HAND: Final = {"by-hand": ["by-hand"], "acks-0": ["acks-0"], "shared": ["greedy", "modest"]}
"""Further zones, with their topics."""


def tier_written(library: str, name: str) -> Tier:
    if library == "librdkafka" and name == LARGE_AND_SLOW.name:
        return LARGE_AND_SLOW
    return next(tier for tier in WRITTEN if tier.name == name)


class Zones:
    """A zone for each library and tier; what is produced and what is consumed in it have limits of their own."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._accounts: dict[str, Account] = {}
        written = {
            f"{library}-{tier.name}": tier_written(library, tier.name) for library in LIBRARIES for tier in WRITTEN
        }
        stage.topics(
            {
                **{f"read-{tier.name}": tier.partitions for tier in READ},
                **{name: tier.partitions for name, tier in written.items()},
                **{topic: 1 for topics in SENT_BY_HAND.values() for topic in topics},
            }
        )
        for tier in READ:
            stage.fill(f"read-{tier.name}", tier.partitions, FILLED[tier.name], tier.value_bytes)
        for library in LIBRARIES:
            for tier in READ:
                zone = f"{library}-{tier.name}"
                topics = [f"read-{tier.name}", *([zone] if zone in written else ())]
                produce = written[zone].rate if zone in written else None
                self._accounts[zone] = stage.zone(zone, topics, produce, tier.rate)
        for zone, sent in SENT_BY_HAND.items():
            self._accounts[zone] = stage.zone(zone, sent, produce=1_000_000)

    def producer(self, library: str, name: str) -> Case:
        tier = tier_written(library, name)
        account = self._accounts[f"{library}-{name}"]
        return self._case(f"{library}-{name}-producer", library, True, account, account.zone, tier)

    def consumer(self, library: str, name: str) -> Case:
        tier = next(tier for tier in READ if tier.name == name)
        account = self._accounts[f"{library}-{name}"]
        return self._case(f"{library}-{name}-consumer", library, False, account, f"read-{name}", tier)

    def by_hand(self, zone: str, topic: str, tier: Tier, acks: int = 1, pause: float = 0.0) -> Case:
        """Straight to the partition's leader."""
        return self._case(topic, BY_HAND, True, self._accounts[zone], topic, tier, acks, pause)

    def _case(
        self,
        name: str,
        library: str,
        produces: bool,
        account: Account,
        topic: str,
        tier: Tier,
        acks: int = 1,
        pause: float = 0.0,
    ) -> Case:
        return Case(
            name=name,
            library=library,
            produces=produces,
            zone=account.zone,
            rate=tier.rate,
            bootstrap=self.stage.leader(topic) if library == BY_HAND else account.bootstrap,
            user=account.user,
            password=account.password,
            topic=topic,
            partitions=tier.partitions,
            value_bytes=tier.value_bytes,
            outstanding=tier.outstanding,
            # the window begins with an arrival, and ends with one
            steady_seconds=tier.steady_seconds,
            tolerance=tier.tolerance,
            seconds=SETTLE_SECONDS + tier.steady_seconds + 2 * tier.interval + 0.5,
            group="" if produces else new_group(),
            session_ms=tier.session_ms,
            acks=acks,
            pause=pause,
        )


@pytest.fixture(scope="module")
def zones(kafka: Cluster, canaries: Canaries) -> Iterator[Zones]:
    with Stage(kafka, canaries) as stage:
        zones = Zones(stage)
        stage.gateway.start()
        yield zones


def test_fast_producers_and_slower_consumers(zones: Zones, tmp_path: Path) -> None:
    """Beside them three that send Produce requests by hand."""
    producers = [zones.producer(library, "fast") for library in LIBRARIES]
    consumers = [zones.consumer(library, name) for library in LIBRARIES for name in ("medium", "slow", "session")]
    pipelined = Tier("by-hand", 1_000_000, 1, 100_000, outstanding=8)
    by_hand = [zones.by_hand("by-hand", "by-hand", pipelined), zones.by_hand("acks-0", "acks-0", pipelined, acks=0)]
    cases = [*producers, *consumers, *by_hand]
    reports = run(cases, tmp_path)
    check(zones.stage, cases, reports)
    assert reports["by-hand"].throttle_ms > 0


def test_fast_consumers_and_slower_producers(zones: Zones, tmp_path: Path) -> None:
    """Beside them two connections of one zone: one sends as much as it may, and the other, which asks for less than
    half of the limit, gets all that it asks for."""
    consumers = [zones.consumer(library, "fast") for library in LIBRARIES]
    producers = [zones.producer(library, name) for library in LIBRARIES for name in ("medium", "slow")]
    modest_rate = 200_000
    modest = Tier("modest", modest_rate, 1, 20_000 - BATCH_OVERHEAD, outstanding=1)
    greedy = Tier("greedy", 1_000_000 - modest_rate, 1, 100_000, outstanding=8)
    shared = [
        zones.by_hand("shared", "modest", modest, pause=modest.interval),
        zones.by_hand("shared", "greedy", greedy),
    ]
    cases = [*producers, *consumers, *shared]
    check(zones.stage, cases, run(cases, tmp_path))


def check(stage: Stage, cases: list[Case], reports: dict[str, Report]) -> None:
    for case in cases:
        sys.stdout.write(line(case, reports[case.name]) + "\n")
    held = stage.held({case.topic: case.partitions for case in cases if case.produces})
    problems = [
        f"{case.name}: {problem}\n  {line(case, reports[case.name])}"
        for case in cases
        for problem in problems_of(stage, case, reports[case.name], held.get(case.topic, {}))
    ]
    assert not problems, "\n".join(problems)


def problems_of(stage: Stage, case: Case, report: Report, held: Numbers) -> Iterator[str]:
    """Everything that is not as it should be, rather than the first of it: a run takes long. `held` is what the
    brokers have of a producer's records."""
    if report.errors:
        yield f"errors: {report.errors[:5]}"
        return
    off = measured(case, report)[0] / case.rate - 1
    if abs(off) > case.tolerance:
        yield f"{off:+.2%} off its rate"
    if report.throttle_ms == 0 and not (case.acks == 0 or case.pause):
        yield "it was never told that it is throttled"
    if report.rebalances:
        yield f"{report.rebalances} rebalances"
    if case.produces:
        yield from written_problems(report, held)
    else:
        yield from read_problems(report)
    yield from counter_problems(stage, case, report)


def written_problems(report: Report, held: Numbers) -> Iterator[str]:
    acknowledged: Numbers = defaultdict(list)
    for _, partition, _, number, _ in report.arrivals:
        acknowledged[partition].append(number)
    if held != acknowledged:
        yield f"acknowledged are {summary(acknowledged)}, the brokers hold {summary(held)}"


def read_problems(report: Report) -> Iterator[str]:
    offsets: Numbers = defaultdict(list)
    for _, partition, offset, number, _ in report.arrivals:
        offsets[partition].append(offset)
        if number != offset:
            yield f"record {number} at offset {offset}"
            return
    if any(each != list(range(len(each))) for each in offsets.values()):
        yield f"lost or repeated: {summary(offsets)}"


def counter_problems(stage: Stage, case: Case, report: Report) -> Iterator[str]:
    """The gateway's own count of record bytes must be the client's."""
    api = "produce" if case.produces else "fetch"
    counted = stage.gateway.metric("zonegate_alias_record_bytes_total", zone=case.zone, alias=case.topic, api=api)
    seen = sum(arrival[-1] + BATCH_OVERHEAD for arrival in report.arrivals)
    # what a consumer had fetched at its end, and has not given to the application
    ahead = 0 if case.produces else FETCHED_AHEAD_SECONDS * case.rate + 2 * case.value_bytes
    # several records in one batch are a little less than if each had its own
    if not 0.999 * seen <= counted <= 1.001 * seen + ahead:
        yield f"the gateway counted {counted:.0f} bytes, the client {seen}"


def measured(case: Case, report: Report) -> tuple[float, float]:
    """Bytes per second, and the seconds: from one arrival to another, with what came at the first and not at the last
    one, so that whole responses count."""
    times = [arrival[0] for arrival in report.arrivals]
    first = next(index for index, at in enumerate(times) if at >= times[0] + SETTLE_SECONDS)
    last = next(index for index, at in enumerate(times) if at >= times[first] + case.steady_seconds)
    taken = sum(arrival[-1] + BATCH_OVERHEAD for arrival in report.arrivals[first:last])
    seconds = times[last] - times[first]
    return taken / seconds, seconds


def summary(numbers: Numbers) -> str:
    return ", ".join(
        f"{len(each)} of partition {partition}: {each[:3]}…{each[-3:]}" for partition, each in numbers.items()
    )


def line(case: Case, report: Report) -> str:
    rate, seconds = measured(case, report) if not report.errors else (0.0, 0.0)
    return (
        f"{case.name:30} {rate / 1000:9.1f} kB/s in {seconds:.2f} s ({rate / case.rate - 1:+.2%}), "
        f"throttle {report.throttle_ms:.0f} ms, {len(report.arrivals)} records, {report.seen}"
    )
