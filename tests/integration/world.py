"""What the integration tests share: a Kafka with topics, three zones on it, the gateway, and the tap before it.

Every backing topic's name begins with MARKER, brokers have hosts of their own, and the tests' groups begin with
GROUP_MARKER, so that the tap recognises what leaks.
"""

import itertools
import random
import sys
import uuid
from base64 import urlsafe_b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.canary import Canaries
from tests.integration.gateway import Command, Gateway, Manifest, manifest
from tests.integration.security import PLAINTEXT, Security
from tests.integration.tap import Tap
from tests.kafka import Cluster, wire
from tests.kafka.ports import SERVER_PORTS, is_free
from tests.kafka.waiting import wait_until

MARKER = "cnry-"
GROUP_MARKER = "cgrp-"

CLIENT_HOST = "127.0.0.1"
GATEWAY_HOST = "127.0.0.2" if sys.platform == "linux" else "::1"
"""Where the gateway listens: not where it says that it does, which is the tap's address."""

CREATE_SECONDS = 60.0
PLAIN_TOPICS = 96
PAIRS = 32
WIDE_PARTITIONS = 48


@dataclass(frozen=True, slots=True)
class Topic:
    """An alias, and the topic behind it."""

    alias: str
    backing: str
    partitions: int = 2


@dataclass(frozen=True, slots=True)
class Pair:
    """Two aliases of one topic: one to write and read, one to read only."""

    writable: Topic
    readable: Topic


@dataclass(frozen=True, slots=True)
class Account:
    """What a partner is given."""

    bootstrap: str
    zone: str
    user: str
    password: str
    security: Security = PLAINTEXT

    def java_properties(self, folder: Path) -> str:
        """The path of a `config.properties` for Kafka's own tools."""
        path = folder / f"{self.user}-{uuid.uuid4().hex[:8]}.properties"
        settings = self.security.java(self.user, self.password)
        path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8")
        return str(path)


def new_group() -> str:
    return f"{GROUP_MARKER}{uuid.uuid4().hex[:12]}"


def contiguous_ports(count: int) -> list[int]:
    """Ports that are free here and there: the gateway's and the tap's are the same."""
    for first in random.sample(SERVER_PORTS[:-count], len(SERVER_PORTS) - count):
        ports = list(range(first, first + count))
        if all(is_free(host, port) for port in ports for host in (CLIENT_HOST, GATEWAY_HOST)):
            return ports
    raise OSError(f"no {count} free ports in a row")


class Front:
    """A gateway with its tap; all that a client reaches."""

    def __init__(
        self,
        kafka: Cluster,
        canaries: Canaries,
        settings: Mapping[str, object] = MappingProxyType({}),
        workers: int = 1,
        command: Command = "files",
        clusters: int = 1,
    ) -> None:
        """`settings` are further ones of the gateway, which may have several clusters with the same brokers' ids."""
        self._watch(kafka, canaries)
        span = max(kafka.broker_ids) - min(kafka.broker_ids) + 1
        ports = contiguous_ports(1 + span * clusters + 1)
        if clusters > 1:
            apart = {"start": ports[1], "per_cluster": span, "min_broker_id": min(kafka.broker_ids)}
            settings = {"broker_ports": apart, **settings}
        self.gateway = Gateway(
            kafka.bootstrap,
            kafka.broker_ids,
            GATEWAY_HOST,
            CLIENT_HOST,
            ports,
            settings=settings,
            workers=workers,
            command=command,
        )
        self.tap = Tap(CLIENT_HOST, GATEWAY_HOST, ports[:-1], canaries)
        self.canaries = canaries
        self._passwords: dict[str, str] = {}
        self._users: dict[str, str] = {}

    @staticmethod
    def _watch(kafka: Cluster, canaries: Canaries) -> None:
        canaries.add(MARKER, "a backing topic's name")
        for host, _ in kafka.broker_addresses().values():
            if host not in ("localhost", CLIENT_HOST):
                canaries.add(host, "a broker's host")
        cluster_id = wire.metadata(kafka.broker_address(kafka.broker_ids[0])).cluster_id
        assert cluster_id is not None
        canaries.add_id(urlsafe_b64decode(cluster_id + "=="), "the cluster's id")
        canaries.add(cluster_id, "the cluster's id")

    def __enter__(self) -> Self:
        self.tap.start()
        try:
            self.gateway.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.tap.stop()
        self.gateway.remove()

    def add_zone(self, zone: str, user: str, topics: Sequence[tuple[str, str, str]]) -> Account:
        """Write a zone's manifest and make a password for it."""
        self.gateway.write_zone(manifest(zone, user, topics))
        self.canaries.add(f"{zone}:{GROUP_MARKER}", f"the prefix of groups of {zone}")
        # Member ids begin with the zone's name and the client's id; those are of the client's own group.
        self.canaries.add(f"{zone}:", f"the name of {zone}, another zone", user)
        return Account(self.gateway.bootstrap, zone, user, self.gateway.new_password(zone))


class World:
    """The shared gateway and its zones. Tests take topics that no other test uses."""

    def __init__(self, kafka: Cluster, canaries: Canaries) -> None:
        self.kafka = kafka
        self.canaries = canaries
        self.front = Front(kafka, canaries)
        self.gateway = self.front.gateway
        self.tap = self.front.tap
        self._plain = [self._topic(f"plain-{n:02}") for n in range(PLAIN_TOPICS)]
        self._pairs = [self._pair(f"pair-{n:02}-write", f"pair-{n:02}-read", f"pair-{n:02}") for n in range(PAIRS)]
        self.wide = self._topic("wide", WIDE_PARTITIONS)
        self.reading = self._topic("reading")
        self.doomed = self._topic("doomed")
        self.guide_pair = self._pair("topic-a", "topic-b", "kafka-topic-a")
        self.hidden = self._topic("hidden-alias")
        self._create_topics()
        self.guide = self._add("external-partner-zone", "johndoe", self._pair_rows(self.guide_pair))
        self.supplier = self._add("supplier-zone", "supplier", self.supplier_rows())
        self.rival = self._add("rival-zone", "rival", [(self.hidden.alias, self.hidden.backing, "WRITE")])
        canaries.add(self.hidden.alias, "an alias of another zone", "rival")
        self._next_plain: Iterator[Topic] = iter(self._plain)
        self._next_pair: Iterator[Pair] = iter(self._pairs)

    def topic(self) -> Topic:
        """A topic of the supplier's, with WRITE, for one test alone."""
        return next(self._next_plain)

    def pair(self) -> Pair:
        """Two aliases of the supplier's on one topic, for one test alone."""
        return next(self._next_pair)

    def supplier_manifest(self, without: Sequence[str] = ()) -> Manifest:
        rows = [row for row in self.supplier_rows() if row[0] not in without]
        return manifest(self.supplier.zone, self.supplier.user, rows)

    @staticmethod
    def _topic(alias: str, partitions: int = 2, backing: str | None = None) -> Topic:
        return Topic(alias, MARKER + (backing or alias), partitions)

    def _pair(self, writable: str, readable: str, backing: str) -> Pair:
        return Pair(self._topic(writable, backing=backing), self._topic(readable, backing=backing))

    @staticmethod
    def _pair_rows(pair: Pair) -> list[tuple[str, str, str]]:
        return [
            (pair.writable.alias, pair.writable.backing, "WRITE"),
            (pair.readable.alias, pair.readable.backing, "READ"),
        ]

    def supplier_rows(self) -> list[tuple[str, str, str]]:
        writable = [(each.alias, each.backing, "WRITE") for each in (*self._plain, self.wide, self.doomed)]
        pairs = itertools.chain.from_iterable(map(self._pair_rows, self._pairs))
        return [*writable, *pairs, (self.reading.alias, self.reading.backing, "READ")]

    def _add(self, zone: str, user: str, rows: Sequence[tuple[str, str, str]]) -> Account:
        return self.front.add_zone(zone, user, rows)

    def _create_topics(self) -> None:
        """All at once: one after the other they would take longer than all tests."""
        pairs = [pair.writable for pair in (*self._pairs, self.guide_pair)]
        topics = [*self._plain, *pairs, self.wide, self.reading, self.doomed, self.hidden]
        admin = AdminClient({"bootstrap.servers": self.kafka.bootstrap})
        made = admin.create_topics([NewTopic(each.backing, each.partitions, 3) for each in topics])
        for future in made.values():
            future.result(CREATE_SECONDS)
        names = {each.backing: each.partitions for each in topics}
        for broker_id in self.kafka.broker_ids:
            address = self.kafka.broker_address(broker_id)
            wait_until(lambda at=address: self._all_led(at, names), "leaders of all topics", CREATE_SECONDS)  # type: ignore[misc]
        self.watch_ids()

    @staticmethod
    def _all_led(address: wire.Address, names: dict[str, int]) -> bool:
        led = {
            str(topic.name): sum(partition.leader_id >= 0 for partition in topic.partitions)
            for topic in wire.metadata(address).topics
        }
        return all(led.get(name, 0) == count for name, count in names.items())

    def watch_ids(self) -> None:
        """Make the real ids of all topics canaries."""
        for topic in wire.metadata(self.kafka.broker_address(self.kafka.broker_ids[0])).topics:
            assert topic.topic_id is not None
            self.canaries.add_id(topic.topic_id.bytes, f"the id of {topic.name}")
