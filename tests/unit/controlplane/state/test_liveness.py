"""Which gateways count as living, and which are forgotten."""

from controlplane.state.liveness import FORGET_SECONDS, LIVE_SECONDS, Liveness
from controlplane.state.log import StateLog
from controlplane.state.records import GatewayRecord
from tests.unit.controlplane.state.edits import Topic
from tests.unit.controlplane.state.memory import Node, gateway_record


class Watched:
    def __init__(self) -> None:
        self.log, self.now = StateLog(), 0.0
        self.liveness = Liveness(self.log, lambda: self.now)

    def hear(self, record: GatewayRecord, farewell: bool = False) -> None:
        self.log.apply(self.log.offset + 1, record.key, None if farewell else record.value())
        self.liveness.saw(record.key)

    def live(self) -> list[tuple[str, int | None, float]]:
        return [(each.record.gateway, each.record.worker, each.seen_seconds_ago) for each in self.liveness.live()]


def test_gateways_live_for_a_while_after_each_sign() -> None:
    watched = Watched()
    watched.hear(gateway_record(1, worker=0))
    watched.now = LIVE_SECONDS - 1
    watched.hear(gateway_record(1, worker=1))
    assert watched.live() == [("g1", 0, LIVE_SECONDS - 1), ("g1", 1, 0)]
    watched.now += 1
    assert watched.live() == [("g1", 1, 1)]
    watched.hear(gateway_record(2, worker=0))
    assert watched.live() == [("g1", 0, 0), ("g1", 1, 1)], "one that was away for long is back"


def test_who_has_said_farewell_is_gone_and_takes_no_memory() -> None:
    watched = Watched()
    for number in range(100):
        watched.hear(gateway_record(1, gateway=f"g{number}"))
        watched.hear(gateway_record(1, gateway=f"g{number}"), farewell=True)
    assert watched.live() == []
    assert not watched.liveness._seen


async def test_consoles_remove_records_of_those_that_have_gone_without_a_word() -> None:
    node = Node(Topic())
    for name in ("gone", "alive"):
        node.hear(gateway_record(1, gateway=name))
    node.now = FORGET_SECONDS + 1
    node.hear(gateway_record(1, gateway="alive"))
    node.store.sweep_soon()
    for sweep in list(node.store._sweeps):
        await sweep
    assert [each.gateway for each in node.log.gateways.values()] == ["alive"]
