"""Two Kafka clusters behind one gateway: a partner of each, who never notices that there is another.

The clusters' brokers have the same ids and the same backing topic; only ports and ids tell them apart.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import pytest
from confluent_kafka import TopicPartition

from tests.canary import Canaries
from tests.integration import wire
from tests.integration.clients.base import Client
from tests.integration.clients.kafka_python import KafkaPython
from tests.integration.clients.librdkafka import Librdkafka
from tests.integration.gateway import Gateway, manifest
from tests.integration.tap import Tap
from tests.integration.wire import Connection
from tests.integration.workload import Writer
from tests.integration.world import CLIENT_HOST, GATEWAY_HOST, GROUP_MARKER, MARKER, Account, contiguous_ports
from tests.kafka import Cluster, KafkaCluster
from tests.kafka import wire as kafka_wire
from tests.kafka.waiting import wait_until

pytestmark = pytest.mark.kafka

EAST, WEST = "east", "west"
ALIASES: Final = ("librdkafka", "kafka-python", "grouped", "moved", "steady")
"""Each test has one of its own."""
PARTITIONS: Final = 2
NOTICE_SECONDS: Final = 30.0


def _backing(alias: str) -> str:
    return f"{MARKER}clusters-{alias}"


class Both:
    """A gateway before two clusters, with a zone and an account on each."""

    def __init__(self, kafkas: Mapping[str, Cluster], canaries: Canaries) -> None:
        self.kafkas = kafkas
        self.canaries = canaries
        ids = kafkas[EAST].broker_ids
        self.span = max(ids) - min(ids) + 1
        ports = contiguous_ports(1 + 2 * self.span + 1)
        settings = {
            "cluster": None,
            "clusters": [{"id": name, "bootstrap.servers": kafka.bootstrap} for name, kafka in kafkas.items()],
            "broker_ports": {"start": ports[1], "per_cluster": self.span, "min_broker_id": min(ids)},
        }
        self.gateway = Gateway(kafkas[EAST].bootstrap, ids, GATEWAY_HOST, CLIENT_HOST, ports, settings=settings)
        self.tap = Tap(CLIENT_HOST, GATEWAY_HOST, ports[:-1], canaries)
        for kafka in kafkas.values():
            for alias in ALIASES:
                kafka.create_topic(_backing(alias), PARTITIONS)
            self._watch(kafka)
        self.accounts = {name: self._add(name) for name in kafkas}

    def _watch(self, kafka: Cluster) -> None:
        """Make a canary of what a partner must not see of it."""
        told = kafka_wire.metadata(kafka.broker_address(kafka.broker_ids[0]))
        assert told.cluster_id is not None
        self.canaries.add(MARKER, "a backing topic's name")
        self.canaries.add(told.cluster_id, "a cluster's id")
        for host, _ in kafka.broker_addresses().values():
            if host not in ("localhost", CLIENT_HOST):
                self.canaries.add(host, "a broker's host")
        for topic in told.topics:
            assert topic.topic_id is not None
            self.canaries.add_id(topic.topic_id.bytes, f"the id of {topic.name}")

    def _add(self, cluster: str) -> Account:
        zone, user = f"{cluster}ern-zone", f"{cluster}erner"
        self.share(zone, user, cluster)
        self.canaries.add(f"{zone}:", f"the name of {zone}, another zone", user)
        return Account(self.gateway.bootstrap, zone, user, self.gateway.new_password(zone))

    def share(self, zone: str, user: str, cluster: str) -> None:
        rows = [(alias, _backing(alias), "WRITE") for alias in ALIASES]
        self.gateway.write_zone(manifest(zone, user, rows, cluster=cluster))

    def signs_in_at(self, cluster: str, account: Account) -> bool:
        """Whether a partner is served at the port of a broker of this cluster."""
        with Connection(self, self.broker_at_port_of(cluster, 2)) as connection:
            connection.sign_in(account)
            connection.send(wire.metadata(3))
            try:
                return wire.text(ALIASES[0]) in connection.receive(3)
            except (AssertionError, ConnectionResetError):
                return False

    def broker_at_port_of(self, cluster: str, broker_id: int) -> int:
        """The number under which `Connection` finds a broker's port."""
        return broker_id + (self.span if cluster == WEST else 0)

    def reachable(self, cluster: str) -> bool:
        return self.gateway.metric("zonegate_upstream_reachable", cluster=cluster) == 1


@pytest.fixture(scope="module")
def second_kafka() -> Iterator[KafkaCluster]:
    with KafkaCluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def both(kafka: Cluster, second_kafka: KafkaCluster, canaries: Canaries) -> Iterator[Both]:
    if not isinstance(kafka, KafkaCluster):
        pytest.skip("the cluster existed before the tests, and its brokers' ids may be any")
    both = Both({EAST: kafka, WEST: second_kafka}, canaries)
    both.tap.start()
    try:
        both.gateway.start()
        yield both
    finally:
        both.tap.stop()
        both.gateway.remove()


@pytest.mark.parametrize("kind", [Librdkafka, KafkaPython], ids=lambda kind: str(kind.name))
def test_each_partner_writes_to_its_own_cluster_and_reads_from_it(both: Both, kind: type[Client]) -> None:
    for name, account in both.accounts.items():
        assert kind(account).topics() == dict.fromkeys(ALIASES, PARTITIONS)
        kind(account).produce(kind.name, [f"{name}-{n}" for n in range(20)])
    for name, account in both.accounts.items():
        found = kind(account).consume([kind.name], 20, group=f"{GROUP_MARKER}{kind.name}")
        assert {record.value for record in found} == {f"{name}-{n}" for n in range(20)}, "nothing of the other's"


def test_a_group_of_one_name_is_two_groups(both: Both) -> None:
    group, committed = f"{GROUP_MARKER}same", {}
    for count, (name, account) in enumerate(both.accounts.items(), 1):
        client = Librdkafka(account)
        client.produce("grouped", [f"{name}-{n}" for n in range(10 * count)], partition=0)
        client.consume(["grouped"], 10 * count, group=group)
    for name, account in both.accounts.items():
        with Librdkafka(account).consumer(group) as consumer:
            (offset,) = consumer.committed([TopicPartition("grouped", 0)], timeout=10)
        committed[name] = offset.offset
    assert committed == {EAST: 10, WEST: 20}


def test_a_client_at_the_other_clusters_port_is_sent_away(both: Both) -> None:
    for home, away in ((EAST, WEST), (WEST, EAST)):
        account = both.accounts[home]
        assert both.signs_in_at(home, account)
        with Connection(both, both.broker_at_port_of(away, 2)) as astray:
            astray.sign_in(account)
            assert astray.is_ended()
            end = astray.end()
            assert (end["reason"], end["cluster"], end["broker"], end["requests"]) == ("wrong_cluster", away, 2, 0)
    assert both.gateway.metric("zonegate_connections_closed_total", reason="wrong_cluster") == 2


def test_a_zone_moves_to_the_other_cluster(both: Both) -> None:
    account = both.accounts[EAST]
    with Connection(both) as connection:
        connection.sign_in(account)
        both.share(account.zone, account.user, WEST)
        assert connection.is_ended()
        assert connection.end()["reason"] == "zone_changed"
    Librdkafka(account).produce("moved", ["from-east"], partition=0)
    assert [each.value for each in Librdkafka(both.accounts[WEST]).consume(["moved"], 1)] == ["from-east"]
    both.share(account.zone, account.user, EAST)
    wait_until(lambda: both.signs_in_at(EAST, account), "the zone back on its cluster", 5)


def test_one_cluster_stops_and_the_others_partner_works_on(both: Both, second_kafka: KafkaCluster) -> None:
    with Writer(both.accounts[EAST], "steady", "through-it") as writer:
        wait_until(lambda: len(writer.acknowledged) > 50, "a producer at work", 20)
        second_kafka.stop()
        wait_until(lambda: not both.reachable(WEST), "that the cluster is missed", NOTICE_SECONDS)
        before = len(writer.acknowledged)
        wait_until(lambda: len(writer.acknowledged) > before + 100, "the producer still at work", 20)
    assert both.reachable(EAST)
    assert both.gateway.is_up(), "ready for the one"
    with Connection(both) as connection:
        connection.sign_in(both.accounts[WEST])
        assert connection.is_ended()
        assert connection.end()["reason"] == "broker_unreachable"


def test_a_start_needs_but_one_of_the_clusters(both: Both) -> None:
    both.gateway.stop()
    both.gateway.start()
    assert Librdkafka(both.accounts[EAST]).topics() == dict.fromkeys(ALIASES, PARTITIONS)
    assert not both.reachable(WEST)
