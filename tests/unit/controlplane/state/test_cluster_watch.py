"""Which topics are looked at, and when: new ones at once, missing ones and all in measured steps."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from controlplane.state import cluster_watch
from controlplane.state.cluster_watch import LOOK_SECONDS, LOOK_TOPICS, ClusterWatch
from controlplane.state.status import ClusterReport
from protocol.error_codes import ErrorCode
from protocol.errors import ProtocolError
from tests.unit.controlplane.state.fake_topic import until


class _Cluster:
    """Where some topics exist. It notes what each look has asked for."""

    def __init__(self, *topics: str) -> None:
        self.topics = set(topics)
        self.asked: list[list[str]] = []
        self.problem: Exception | None = None
        self.errors: dict[str, int] = {}
        """Other ones than that a topic doesn't exist."""

    async def topic_errors(self, topics: Sequence[str]) -> Mapping[str, int]:
        self.asked.append(list(topics))
        if self.problem is not None:
            raise self.problem
        missing = {topic: int(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION) for topic in topics if topic not in self.topics}
        return {**missing, **{topic: code for topic, code in self.errors.items() if topic in topics}}


class _Scene:
    """A watch that looks when it is told to, and a clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *wanted: str) -> None:
        self.now = 1000.0
        monkeypatch.setattr(cluster_watch, "monotonic", lambda: self.now)
        self.wanted = list(wanted)
        self.cluster = _Cluster()
        self.watch = ClusterWatch(self.cluster, lambda: self.wanted)

    def look(self) -> list[str]:
        """What it asked for."""
        before = len(self.cluster.asked)
        asyncio.run(self.watch._look())
        return [topic for asked in self.cluster.asked[before:] for topic in asked]

    def want(self, *topics: str) -> None:
        self.wanted += topics
        self.watch.soon()


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> _Scene:
    return _Scene(monkeypatch, "a", "a", "b")


def test_all_are_looked_at_once_in_a_while(scene: _Scene) -> None:
    scene.cluster.topics |= {"a", "b"}
    assert scene.look() == ["a", "b"]
    assert scene.watch.report == ClusterReport("", {"a": True, "b": True})
    assert scene.look() == []
    scene.now += LOOK_SECONDS
    assert scene.look() == ["a", "b"]


def test_new_and_missing_ones_are_looked_at_when_zones_change(scene: _Scene) -> None:
    scene.cluster.topics |= {"a", "c"}
    scene.look()
    scene.want("c")
    scene.now += 0.1
    assert scene.look() == ["c", "b"]
    assert scene.watch.report == ClusterReport("", {"a": True, "b": False, "c": True})


def test_what_no_zone_shares_any_more_is_forgotten(scene: _Scene) -> None:
    scene.look()
    scene.wanted = ["c"]
    scene.watch.soon()
    scene.look()
    assert scene.watch.report == ClusterReport("", {"c": False})


def test_many_missing_ones_are_not_asked_for_at_every_edit(scene: _Scene) -> None:
    missing = [f"missing-{number}" for number in range(LOOK_TOPICS + 100)]
    scene.wanted = [*missing]
    assert scene.look() == missing
    scene.want("new")
    assert scene.look() == ["new"]
    assert scene.look() == []


def test_many_topics_take_turns(scene: _Scene) -> None:
    scene.wanted = [f"there-{number}" for number in range(LOOK_TOPICS + 100)]
    scene.cluster.topics |= set(scene.wanted)
    assert scene.look() == scene.wanted
    turns = []
    for _ in range(3):
        scene.now += LOOK_SECONDS
        turns.append(scene.look())
    assert turns == [scene.wanted[LOOK_TOPICS:], scene.wanted[:LOOK_TOPICS], scene.wanted[LOOK_TOPICS:]]


def test_after_a_failure_all_are_asked_for(scene: _Scene) -> None:
    scene.cluster.topics |= {"a", "b"}
    scene.look()
    scene.want("c")
    scene.cluster.problem = OSError("it is gone")
    scene.look()
    assert scene.watch.report == ClusterReport("it is gone", {"a": True, "b": True})
    scene.cluster.problem = None
    assert scene.look() == ["c", "a", "b"]
    assert scene.watch.report == ClusterReport("", {"a": True, "b": True, "c": False})


def test_why_a_topic_is_not_shown(scene: _Scene) -> None:
    scene.wanted = ["hidden", "missing", "odd", "young", "there"]
    scene.cluster.topics.add("there")
    hidden, young = int(ErrorCode.TOPIC_AUTHORIZATION_FAILED), int(ErrorCode.LEADER_NOT_AVAILABLE)
    scene.cluster.errors = {"hidden": hidden, "odd": 9999, "young": young}
    scene.look()
    report = scene.watch.report
    assert report is not None
    assert report.topics == {"hidden": False, "missing": False, "odd": False, "young": True, "there": True}
    assert report.hidden == {"hidden": "TOPIC_AUTHORIZATION_FAILED", "odd": "error 9999"}
    scene.cluster.errors = {}
    scene.look()
    assert scene.watch.report is not None
    assert scene.watch.report.hidden == {}


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (OSError("no broker"), "no broker"),
        (TimeoutError(), "the brokers did not answer in time"),
        (ProtocolError("odd"), "odd"),
    ],
)
def test_out_of_reach_what_was_known_stays(scene: _Scene, problem: Exception, told: str) -> None:
    scene.cluster.topics.add("a")
    scene.cluster.errors = {"b": int(ErrorCode.TOPIC_AUTHORIZATION_FAILED)}
    scene.look()
    known = scene.watch.report
    assert known is not None
    scene.cluster.problem = problem
    scene.look()
    assert scene.watch.report == ClusterReport(told, known.topics, known.hidden)
    scene.cluster.problem = None
    scene.look()
    assert scene.watch.report == known


def test_whether_the_cluster_answers_is_asked_each_time(scene: _Scene) -> None:
    """Also where no topic's turn has come."""
    scene.cluster.topics |= {"a", "b"}
    scene.look()
    scene.cluster.problem = OSError("gone")
    assert scene.look() == []
    assert scene.watch.report is not None
    assert scene.watch.report.problem == "gone"


async def test_it_looks_by_itself_and_when_zones_have_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, shared = _Cluster("a", "new"), ["a"]
    watch = ClusterWatch(cluster, lambda: shared)
    monkeypatch.setattr(cluster_watch, "LOOK_SECONDS", 0.01)
    running = asyncio.create_task(watch.run())
    await until(lambda: len(cluster.asked) > 3)
    monkeypatch.setattr(cluster_watch, "LOOK_SECONDS", 600)
    seen = len(cluster.asked)
    await until(lambda: len(cluster.asked) > seen)
    shared.append("new")
    watch.soon()
    await until(lambda: ["new"] in cluster.asked)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
