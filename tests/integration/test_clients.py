"""Partners' client libraries, unmodified: what each of them does every day, through the gateway."""

import time

import pytest

from tests.integration.clients import kcat
from tests.integration.clients.aiokafka_client import Aiokafka
from tests.integration.clients.base import TOPIC_AUTHORIZATION_FAILED, Client, NotAuthenticated, Refused
from tests.integration.clients.kafka_python import KafkaPython
from tests.integration.clients.kcat import Kcat
from tests.integration.clients.librdkafka import Librdkafka
from tests.integration.world import Account, Topic, World, new_group
from tests.kafka import wire

pytestmark = pytest.mark.kafka

LIBRARIES = [Librdkafka, Aiokafka, KafkaPython]
KCAT = pytest.param(Kcat, marks=pytest.mark.skipif(not kcat.installed(), reason="kcat is not installed"))
COMPRESSIONS = ["none", "gzip", "snappy", "lz4", "zstd"]


def library(kind: object) -> str:
    return str(getattr(kind, "name", kind))


all_clients = pytest.mark.parametrize("kind", [*LIBRARIES, KCAT], ids=library)
python_clients = pytest.mark.parametrize("kind", LIBRARIES, ids=library)


def values(prefix: str, count: int = 20) -> list[str]:
    return [f"{prefix}-{n:03}" for n in range(count)]


@all_clients
def test_list_and_describe(world: World, kind: type[Client]) -> None:
    assert kind(world.guide).topics() == {world.guide_pair.writable.alias: 2, world.guide_pair.readable.alias: 2}
    assert kind(world.rival).topics() == {world.hidden.alias: 2}
    seen = kind(world.supplier).topics()
    assert seen[world.wide.alias] == world.wide.partitions
    assert world.hidden.alias not in seen


@all_clients
def test_produce_with_each_acks_and_consume_without_a_group(
    kind: type[Client], supplier: Account, topic: Topic
) -> None:
    client = kind(supplier)
    expected = []
    for acks in ("0", "1", "all"):
        client.produce(topic.alias, values(f"acks-{acks}"), acks=acks)
        expected += values(f"acks-{acks}")
        found = client.consume([topic.alias], len(expected))
        assert sorted(record.value for record in found) == sorted(expected)
        assert {record.topic for record in found} == {topic.alias}


@all_clients
def test_each_compression(kind: type[Client], supplier: Account, topic: Topic) -> None:
    client = kind(supplier)
    expected = []
    for compression in COMPRESSIONS:
        sent = [value + " " + "text that is worth compressing " * 5 for value in values(compression)]
        client.produce(topic.alias, sent, compression=compression)
        expected += sent
    found = client.consume([topic.alias], len(expected))
    assert sorted(record.value for record in found) == sorted(expected)


@all_clients
def test_idempotent_producer(kind: type[Client], supplier: Account, topic: Topic) -> None:
    client = kind(supplier)
    client.produce(topic.alias, values("once", 200), idempotent=True)
    found = client.consume([topic.alias], 200)
    assert sorted(record.value for record in found) == values("once", 200)


@all_clients
def test_a_group_goes_on_where_it_has_committed(kind: type[Client], supplier: Account, topic: Topic) -> None:
    client, group = kind(supplier), new_group()
    client.produce(topic.alias, values("first"))
    first = client.consume([topic.alias], 12, group=group)
    rest = client.consume([topic.alias], 8, group=group)
    assert sorted(record.value for record in first + rest) == values("first")
    client.produce(topic.alias, values("second"))
    second = client.consume([topic.alias], 20, group=group)
    assert sorted(record.value for record in second) == values("second")


@all_clients
def test_the_same_group_name_in_two_zones_is_two_groups(
    world: World, kind: type[Client], supplier: Account, topic: Topic
) -> None:
    ours, theirs, group = kind(supplier), kind(world.rival), new_group()
    ours.produce(topic.alias, values("ours"))
    theirs.produce(world.hidden.alias, values("theirs"))
    assert len(ours.consume([topic.alias], 20, group=group)) == 20
    assert {record.topic for record in theirs.consume([world.hidden.alias], 20, group=group)} == {world.hidden.alias}


@all_clients
def test_look_up_by_timestamp(kind: type[Client], supplier: Account, topic: Topic) -> None:
    start = int(time.time() * 1000) - 3_600_000
    for partition in range(2):
        for n in range(10):
            value = f"{partition}-{n}"
            Librdkafka(supplier).produce(topic.alias, [value], timestamp=start + 1000 * n, partition=partition)
    client = kind(supplier)
    assert client.offsets_at(topic.alias, start + 3500) == {0: 4, 1: 4}
    (found,) = client.consume_from({(topic.alias, 1): 4}, 1)
    assert found.value == "1-4"
    assert set(client.offsets_at(topic.alias, start + 9001).values()) == {None}


@all_clients
def test_a_write_to_a_topic_shared_to_read_is_refused(world: World, kind: type[Client], supplier: Account) -> None:
    with pytest.raises(Refused) as refused:
        kind(supplier).produce(world.reading.alias, ["refused"])
    assert refused.value.code == TOPIC_AUTHORIZATION_FAILED


@all_clients
def test_a_topic_outside_the_zone_is_refused_alike_whether_it_exists_or_not(
    world: World, kind: type[Client], supplier: Account
) -> None:
    codes = []
    # the client is told of the names that it asked for
    with world.canaries.expecting(), world.tap.awaiting_the_end():
        for name in ("no-such-topic", world.hidden.alias, world.hidden.backing):
            with pytest.raises(Refused) as refused:
                kind(supplier).produce(name, ["refused"])
            codes.append(refused.value.code)
    assert codes == [TOPIC_AUTHORIZATION_FAILED] * 3
    topics = wire.metadata(world.kafka.broker_address(world.kafka.broker_ids[0])).topics
    assert "no-such-topic" not in {topic.name for topic in topics}


@all_clients
def test_a_wrong_password_is_refused(world: World, kind: type[Client], supplier: Account) -> None:
    wrong = Account(supplier.bootstrap, supplier.zone, supplier.user, supplier.password + "x")
    before = world.gateway.metric("zonegate_authentication_failures_total", reason="invalid_credentials")
    with pytest.raises(NotAuthenticated):
        kind(wrong).topics()
    assert world.gateway.metric("zonegate_authentication_failures_total", reason="invalid_credentials") > before


@python_clients
def test_large_records(kind: type[Client], supplier: Account, topic: Topic) -> None:
    client = kind(supplier)
    sent = [letter * 900_000 for letter in "abcd"]
    client.produce(topic.alias, sent)
    found = client.consume([topic.alias], len(sent))
    assert sorted(record.value for record in found) == sent


@python_clients
def test_many_partitions(world: World, kind: type[Client], supplier: Account) -> None:
    client = kind(supplier)
    sent = values(f"{kind.name}-wide", 2000)
    client.produce(world.wide.alias, sent)
    found: list[str] = []
    group = new_group()
    while not set(sent) <= set(found):  # other clients' records are there, too
        found += [record.value for record in client.consume([world.wide.alias], 2000, group=group)]
    assert len(found) == len(set(found))
