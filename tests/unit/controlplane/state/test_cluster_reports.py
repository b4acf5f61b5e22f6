"""When a cluster is asked for which topics, and what is known of it."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from controlplane.state import cluster_watch as module
from controlplane.state.cluster_watch import LOOK_SECONDS, ClusterWatch
from controlplane.state.status import ClusterReport
from protocol.error_codes import ErrorCode
from protocol.errors import ProtocolError
from tests.unit.controlplane.state.fake_topic import until

MISSING, HIDDEN = int(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION), int(ErrorCode.TOPIC_AUTHORIZATION_FAILED)


class World:
    """A cluster, the topics that zones share, and the time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.errors: dict[str, int] = {}
        self.problem: Exception | None = None
        self.shared: list[str] = []
        self.asked: list[Sequence[str]] = []
        monkeypatch.setattr(module, "monotonic", lambda: self.now)
        self.watch = ClusterWatch(self, lambda: self.shared)

    async def topic_errors(self, topics: Sequence[str]) -> Mapping[str, int]:
        self.asked.append(list(topics))
        if self.problem is not None:
            raise self.problem
        return {topic: self.errors[topic] for topic in topics if topic in self.errors}

    async def look(self, after: float = LOOK_SECONDS) -> ClusterReport:
        self.now += after
        self.watch.soon()
        await self.watch._look()
        assert self.watch.report is not None
        return self.watch.report


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


async def test_drift_is_noticed_both_ways(world: World) -> None:
    world.shared = ["a", "b", "a"]
    assert await world.look() == ClusterReport("", {"a": True, "b": True})
    assert world.asked == [["a", "b"]]
    world.errors["b"] = MISSING
    assert await world.look() == ClusterReport("", {"a": True, "b": False})
    del world.errors["b"]
    assert await world.look(0.1) == ClusterReport("", {"a": True, "b": True}), "what was missing is asked for each time"
    assert world.asked[-1] == ["b"]


async def test_new_topics_are_asked_for_at_once_and_old_ones_forgotten(world: World) -> None:
    world.shared = ["a"]
    await world.look()
    world.shared = ["b"]
    assert await world.look(0.1) == ClusterReport("", {"b": True})
    assert world.asked == [["a"], ["b"]]


async def test_why_a_topic_is_not_shown(world: World) -> None:
    world.shared = ["hidden", "missing", "odd", "young", "there"]
    world.errors = {
        "hidden": HIDDEN,
        "missing": MISSING,
        "odd": 9999,
        "young": int(ErrorCode.LEADER_NOT_AVAILABLE),
    }
    report = await world.look()
    assert report.topics == {"hidden": False, "missing": False, "odd": False, "young": True, "there": True}
    assert report.hidden["hidden"] == "TOPIC_AUTHORIZATION_FAILED"
    assert report.hidden["odd"] == "error 9999"
    world.errors = {"hidden": MISSING}
    assert "hidden" not in (await world.look()).hidden


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (OSError("no broker"), "no broker"),
        (TimeoutError(), "the brokers did not answer in time"),
        (ProtocolError("odd"), "odd"),
    ],
)
async def test_out_of_reach_what_was_known_stays(world: World, problem: Exception, told: str) -> None:
    world.shared, world.errors = ["a", "b"], {"b": HIDDEN}
    known = await world.look()
    world.problem = problem
    assert await world.look() == ClusterReport(told, known.topics, known.hidden)
    world.problem = None
    assert await world.look() == known


async def test_many_are_asked_rarely_and_whether_the_cluster_answers_each_time(world: World) -> None:
    world.shared = [f"topic-{number}" for number in range(20_000)]
    for _ in range(5):
        await world.look()
    assert [len(topics) for topics in world.asked] == [20_000, 0, 0, 0, 20_000]
    world.problem = OSError("gone")
    assert (await world.look()).problem == "gone", "twenty seconds are not waited for"
    world.problem = None
    assert (await world.look(0.1)).problem == ""
    assert len((await world.look()).topics) == 20_000


async def test_it_looks_by_itself_and_when_zones_have_changed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    running = asyncio.create_task(world.watch.run())
    await until(lambda: len(world.asked) > 3)
    monkeypatch.setattr(module, "LOOK_SECONDS", 600)
    seen = len(world.asked)
    await until(lambda: len(world.asked) > seen)
    await asyncio.sleep(0)  # the look is over, and the next is far
    world.shared = ["new"]
    world.watch.soon()
    await until(lambda: ["new"] in world.asked)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
