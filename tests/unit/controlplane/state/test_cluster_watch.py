"""Which topics are looked at, and when: new ones at once, missing ones and all in measured steps."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from controlplane.state import cluster_watch
from controlplane.state.cluster_watch import LOOK_SECONDS, LOOK_TOPICS, ClusterWatch
from controlplane.state.status import ClusterReport


class _Cluster:
    """Where some topics exist. It notes what each look has asked for."""

    def __init__(self, *topics: str) -> None:
        self.topics = set(topics)
        self.asked: list[list[str]] = []
        self.problem = ""

    async def topic_ids(self, topics: Sequence[str]) -> Mapping[str, bytes]:
        self.asked.append(list(topics))
        if self.problem:
            raise OSError(self.problem)
        return {topic: b"id" for topic in topics if topic in self.topics}


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
    scene.cluster.problem = "it is gone"
    scene.look()
    assert scene.watch.report == ClusterReport("it is gone", {"a": True, "b": True})
    scene.cluster.problem = ""
    assert scene.look() == ["c", "a", "b"]
    assert scene.watch.report == ClusterReport("", {"a": True, "b": True, "c": False})
