"""Nothing that a partner does creates a topic, though the brokers would create any that is named to them."""

import pytest
from confluent_kafka import KafkaError
from confluent_kafka.admin import AdminClient

from tests.integration import wire
from tests.integration.clients.base import CLIENT_SECONDS
from tests.integration.clients.librdkafka import Librdkafka
from tests.integration.wire import Connection
from tests.integration.world import Account, World, new_group
from tests.kafka import wire as broker_wire
from tests.kafka.waiting import wait_until

pytestmark = pytest.mark.kafka

VERSIONS = range(1, 9)


def existing_topics(world: World) -> set[str | None]:
    return {topic.name for topic in broker_wire.metadata(world.kafka.broker_address(world.kafka.broker_ids[0])).topics}


def ask_for(world: World, account: Account, topic: str) -> None:
    """By hand in each version of Metadata, and by a consumer that wants its topic created."""
    with Connection(world) as connection:
        connection.sign_in(account)
        for version in VERSIONS:
            tail = b"\0\0" if version >= 8 else b""
            request = wire.metadata_of(version, topic, version)
            connection.send(wire.frame(request[4:] + tail))
            connection.receive(version)
    with Librdkafka(account).consumer(new_group(), **{"allow.auto.create.topics": True}) as consumer:
        consumer.subscribe([topic])
        message = consumer.poll(CLIENT_SECONDS)
        assert message is not None
        error = message.error()
        assert error is not None
        assert error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_AUTHORIZATION_FAILED)


def test_a_name_outside_the_zone_creates_nothing(world: World, supplier: Account) -> None:
    before = existing_topics(world)
    ask_for(world, supplier, "never-created")
    assert existing_topics(world) - before <= {"__consumer_offsets"}


def test_an_alias_whose_topic_was_deleted_does_not_bring_it_back(world: World, supplier: Account) -> None:
    admin = AdminClient({"bootstrap.servers": world.kafka.bootstrap})
    for future in admin.delete_topics([world.doomed.backing]).values():
        future.result(CLIENT_SECONDS)
    wait_until(lambda: world.doomed.backing not in existing_topics(world), "the topic deleted", CLIENT_SECONDS)
    ask_for(world, supplier, world.doomed.alias)
    assert world.doomed.backing not in existing_topics(world)
    assert world.doomed.alias not in Librdkafka(supplier).topics()
