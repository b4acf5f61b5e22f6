"""Consumers that commit far more often than their zone may: nothing fails, nobody is expelled, the rate holds."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition

from tests.canary import Canaries
from tests.integration.clients.librdkafka import Librdkafka
from tests.integration.gateway import Gateway, manifest
from tests.integration.world import Account, Front, World, new_group
from tests.kafka.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.alone]

RECORDS = 4000
PACE_SECONDS = 0.005
"""Between two records: 200 commits a second."""

SECONDS = 10.0
"""Of steady state."""

LATE_SECONDS = 10.0
"""For the last answers: a commit waits for 6 s at most."""

SESSION = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 2000}
"""The shortest that brokers allow (`group.min.session.timeout.ms`), so that late heartbeats would be noticed."""

PER_MINUTE = 60
TOLERANCE = 0.1
BURST = 2
"""One commit is in stock, and one may fall at either end of what is measured."""


class Member:
    """One consumer, the only member of its group, and what it has been told."""

    def __init__(self, account: Account, alias: str, **config: Any) -> None:
        self.zone = account.zone
        self.alias = alias
        self.position = 0
        self.acknowledged = 0
        self.answers = 0
        self.errors: list[KafkaError] = []
        self.rebalances: list[str] = []
        settings = {**Librdkafka(account).config, **SESSION, "group.id": new_group(), "enable.auto.commit": False}
        self.consumer = Consumer({**settings, "auto.offset.reset": "earliest", "on_commit": self._on_commit, **config})
        note = self.rebalances.append
        self.consumer.subscribe(
            [alias],
            on_assign=lambda *_: note("assigned"),
            on_revoke=lambda *_: note("revoked"),
            on_lost=lambda *_: note("lost"),
        )

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        self.answers += 1
        self.errors += [each for each in (error, *(p.error for p in partitions)) if each is not None]
        if error is None:
            self.acknowledged = max(p.offset for p in partitions)

    def works(self, ends: threading.Event, commit: Callable[["Member"], object]) -> None:
        """Take one record after the other, and commit each."""
        while not ends.is_set():
            message = self.consumer.poll(0.1)
            if message is None:
                continue
            assert message.error() is None, message.error()
            offset = message.offset()
            assert offset is not None
            self.position = offset + 1
            commit(self)
            ends.wait(PACE_SECONDS)
        # from now on, polling only brings answers
        self.consumer.pause([TopicPartition(self.alias, 0)])

    def committed(self) -> int:
        (found,) = self.consumer.committed([TopicPartition(self.alias, 0)], timeout=LATE_SECONDS)
        return int(found.offset)


def commits_and_waits(member: Member) -> None:
    (done,) = member.consumer.commit(offsets=[TopicPartition(member.alias, 0, member.position)], asynchronous=False)
    assert done.error is None
    member.answers += 1
    member.acknowledged = member.position


def commits(member: Member) -> None:
    member.consumer.commit(offsets=[TopicPartition(member.alias, 0, member.position)], asynchronous=True)


def commits_by_itself(_member: Member) -> None:
    """At its interval."""


def handled(gateway: Gateway, zone: str) -> float:
    """Commits that the broker has got."""
    answered, joined = gateway.metrics_at_once(
        ("zonegate_requests_total", {"zone": zone, "api": "offset_commit"}),
        ("zonegate_joined_commits_total", {"zone": zone}),
    )
    return answered - joined


def add_zone(front: Front, name: str, topic: str, limits: Mapping[str, int]) -> Account:
    account = front.add_zone(name, f"{name}-user", [("orders", topic, "WRITE")])
    limited: dict[str, Any] = dict(manifest(name, account.user, [("orders", topic, "WRITE")]))
    limited["spec"] |= {"trafficControlPolicies": limits}
    front.gateway.write_zone(limited)
    return account


def all_answered(members: Sequence[Member], sent: Mapping[str, int]) -> Callable[[], bool]:
    def answered() -> bool:
        for member in members:
            member.consumer.poll(0)
        return all(member.acknowledged == sent[member.zone] for member in members)

    return answered


def test_commits_are_held_at_their_rate_and_none_fails(world: World, canaries: Canaries) -> None:
    topic = world.topic()
    Librdkafka(world.supplier).produce(topic.alias, [str(n) for n in range(RECORDS)], partition=0)
    front = Front(world.kafka, canaries)
    zones = [
        add_zone(front, f"commits-{name}", topic.backing, {"limitCommitOffset": PER_MINUTE})
        for name in ("waiting", "pipelined", "automatic")
    ]
    with front:
        members = [
            Member(zones[0], "orders"),
            Member(zones[1], "orders"),
            Member(zones[2], "orders", **{"enable.auto.commit": True, "auto.commit.interval.ms": 200}),
        ]
        ends = threading.Event()
        with ThreadPoolExecutor(len(members)) as threads:
            ways = (commits_and_waits, commits, commits_by_itself)
            working = [threads.submit(member.works, ends, way) for member, way in zip(members, ways, strict=True)]
            try:
                wait_until(lambda: all(member.answers > 2 for member in members), "the first commits", LATE_SECONDS)
                before, since = [handled(front.gateway, member.zone) for member in members], time.monotonic()
                ends.wait(SECONDS)
                seconds = time.monotonic() - since
                after = [handled(front.gateway, member.zone) for member in members]
            finally:
                ends.set()
            for each in working:
                each.result(LATE_SECONDS)
        wanted = {member.zone: member.position for member in members}
        wait_until(all_answered(members, wanted), "the answers to all commits", LATE_SECONDS)
        for member, first, last in zip(members, before, after, strict=True):
            assert not member.errors
            assert member.rebalances == ["assigned"]
            assert member.committed() == member.acknowledged
            expected = seconds * PER_MINUTE / 60
            assert expected * (1 - TOLERANCE) - BURST <= last - first <= expected * (1 + TOLERANCE) + BURST
            member.consumer.close()
