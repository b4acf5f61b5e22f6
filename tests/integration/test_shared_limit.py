"""Two worker processes share one zone's limit: together they use it, whichever of them has the connections."""

import struct
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import pytest

from tests.canary import Canaries
from tests.integration.gateway import manifest
from tests.integration.traffic.by_hand import PRODUCE, TIMEOUT_MS, batch
from tests.integration.wire import Connection, request, text
from tests.integration.world import Account, Front, World
from tests.kafka import wire
from tests.kafka.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.alone]

LIMIT: Final = 1_000_000
TOLERANCE: Final = 0.05
PART_TOLERANCE: Final = 0.15
"""Of one worker's share, for which its connections' random turns count."""

RECORD_BYTES: Final = 20_000
UNDER_WAY: Final = 2
"""Requests of each connection."""

SETTLE_SECONDS: Final = 3.0
"""The burst of one second, and two in which shares follow."""

SECONDS: Final = 6.0
FOLLOW_SECONDS: Final = 5.0
"""Two, which `tests/unit/proxy/test_shared_limits.py` holds it to, and time for a busy machine."""

END_SECONDS: Final = 15.0
BOTH: Final = ("0", "1")
ATTEMPTS: Final = 60
"""Connections until each worker has as many as are wanted: the system chooses, and so often it fails us in one of 10^10
runs."""


class Sender:
    """One connection that produces as much as it may."""

    def __init__(self, connection: Connection, topic: str) -> None:
        self.acknowledged = 0
        """Bytes of record batches."""
        self._connection = connection
        records = batch(bytes(RECORD_BYTES))
        head = struct.pack(">hhii", -1, 1, TIMEOUT_MS, 1) + text(topic)
        self._body = head + struct.pack(">iii", 1, 0, len(records)) + records
        self._batch_bytes = len(records)
        self._error_at = 4 + len(text(topic)) + 8

    def send_until(self, ends: threading.Event) -> None:
        for number in range(UNDER_WAY):
            self._connection.send(request(PRODUCE, 3, number, self._body))
        number = 0
        while not ends.is_set():
            self._acknowledge(number)
            self._connection.send(request(PRODUCE, 3, number + UNDER_WAY, self._body))
            number += 1
        for late in range(UNDER_WAY):
            self._acknowledge(number + late)

    def _acknowledge(self, number: int) -> None:
        answer = self._connection.receive(number)
        assert struct.unpack_from(">h", answer, self._error_at) == (0,)
        self.acknowledged += self._batch_bytes


class Place:
    """A gateway of two workers with one limited zone."""

    def __init__(self, world: World, canaries: Canaries) -> None:
        self.front = Front(world.kafka, canaries, workers=2)
        self.gateway = self.front.gateway
        self.canaries = canaries
        topic = world.topic()
        rows = [("orders", topic.backing, "WRITE")]
        self.account: Account = self.front.add_zone("shared-zone", "shared", rows)
        limited: dict[str, Any] = dict(manifest("shared-zone", "shared", rows))
        limited["spec"] |= {"trafficControlPolicies": {"maxProduceRate": LIMIT}}
        self.gateway.write_zone(limited)
        found = wire.metadata(world.kafka.broker_address(world.kafka.broker_ids[0])).topics
        (partitions,) = (each.partitions for each in found if str(each.name) == topic.backing)
        (self.leader,) = (int(each.leader_id) for each in partitions if each.partition_index == 0)

    def of_each(self, name: str) -> list[float]:
        return self._at_once(name, {"zone": "shared-zone"})

    def shares(self) -> list[float]:
        name = "zonegate_traffic_limit_share_bytes_per_second"
        return self._at_once(name, {"zone": "shared-zone", "kind": "produce"})

    def _at_once(self, name: str, labels: dict[str, str]) -> list[float]:
        return self.gateway.metrics_at_once(*((name, {**labels, "worker": worker}) for worker in BOTH))

    @contextmanager
    def senders(self, wanted: Sequence[int]) -> Iterator[list[list[Sender]]]:
        """So many at each worker, at work until the end."""
        ends = threading.Event()
        wait_until(lambda: self.of_each("zonegate_connections") == [0, 0], "no connection left", END_SECONDS)
        with ExitStack() as stack, ThreadPoolExecutor(sum(wanted)) as threads:
            senders = self._spread(stack, wanted)
            working = [threads.submit(each.send_until, ends) for group in senders for each in group]
            try:
                yield senders
            finally:
                ends.set()
            for each in working:
                each.result(END_SECONDS)

    def _spread(self, stack: ExitStack, wanted: Sequence[int]) -> list[list[Sender]]:
        senders: list[list[Sender]] = [[], []]
        before = self.of_each("zonegate_connections")
        for _ in range(ATTEMPTS):
            if [len(group) for group in senders] == list(wanted):
                return senders
            connection = stack.enter_context(Connection(self, self.leader))
            connection.sign_in(self.account)
            after = self.of_each("zonegate_connections")
            worker = 0 if after[0] > before[0] else 1
            before = after
            # one too many stays, and is idle
            if len(senders[worker]) < wanted[worker]:
                senders[worker].append(Sender(connection, "orders"))
        raise AssertionError(f"{[len(group) for group in senders]} connections at the workers, wanted are {wanted}")


@pytest.fixture(scope="module")
def place(world: World, canaries: Canaries) -> Iterator[Place]:
    place = Place(world, canaries)
    with place.front:
        yield place


def acknowledged(senders: list[list[Sender]]) -> list[int]:
    return [sum(each.acknowledged for each in group) for group in senders]


@pytest.mark.parametrize("wanted", [(2, 2), (1, 3)], ids=["even", "uneven"])
def test_two_workers_use_the_limit_together(place: Place, wanted: tuple[int, int]) -> None:
    with place.senders(wanted) as senders:
        time.sleep(SETTLE_SECONDS)
        before, since = acknowledged(senders), time.monotonic()
        time.sleep(SECONDS)
        after, seconds = acknowledged(senders), time.monotonic() - since
    rates = [(last - first) / seconds for first, last in zip(before, after, strict=True)]
    assert sum(rates) == pytest.approx(LIMIT, rel=TOLERANCE), rates
    # every connection gets the same, wherever it is
    parts = [LIMIT * count / sum(wanted) for count in wanted]
    assert rates == pytest.approx(parts, rel=PART_TOLERANCE)


def test_a_share_follows_demand(place: Place) -> None:
    with place.senders((2, 0)):
        wait_until(lambda: place.shares()[0] > 0.9 * LIMIT, "most of the limit for worker 0", FOLLOW_SECONDS)
    with place.senders((0, 2)):
        wait_until(lambda: place.shares()[1] > 0.9 * LIMIT, "most of the limit for worker 1", FOLLOW_SECONDS)
