"""Administration through a zone: every tool tells its user that he may not, soon, and nothing is changed."""

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import ElectionType, KafkaError, KafkaException, TopicPartition
from confluent_kafka import admin as confluent_admin

from tests.integration.clients.base import CLIENT_SECONDS
from tests.integration.clients.librdkafka import Librdkafka
from tests.integration.world import Topic, World
from tests.kafka import wire

pytestmark = pytest.mark.kafka

lib: Any = confluent_admin
"""Its type hints export none of the names that it imports for its users."""

TOOL_SECONDS = 45.0
"""Less than the minute for which Kafka's tools try again what they take for a passing failure."""

TOPIC_REFUSED = "Topic authorization failed."
CLUSTER_REFUSED = "Cluster authorization failed."


@pytest.fixture
def unchanged(world: World, topic: Topic) -> Iterator[Topic]:
    """A topic with records, which must be afterwards what it was before, as must the list of topics."""
    Librdkafka(world.supplier).produce(topic.alias, [str(n) for n in range(10)], partition=0)
    before = state(world, topic)
    yield topic
    assert state(world, topic) == before


def state(world: World, topic: Topic) -> tuple[Any, ...]:
    """What the brokers themselves say of the topics, and of this one's first record and configuration."""
    admin = lib.AdminClient({"bootstrap.servers": world.kafka.bootstrap})
    resource = lib.ConfigResource(lib.ConfigResource.Type.TOPIC, topic.backing)
    configs = admin.describe_configs([resource])[resource].result(CLIENT_SECONDS)
    partition = TopicPartition(topic.backing, 0)
    first = admin.list_offsets({partition: lib.OffsetSpec.earliest()})[partition].result(CLIENT_SECONDS)
    seen = wire.metadata(world.kafka.broker_address(world.kafka.broker_ids[0])).topics
    topics = {str(each.name): len(each.partitions) for each in seen if not str(each.name).startswith("__")}
    assert topics[topic.backing] == topic.partitions
    return topics, first.offset, {name: entry.value for name, entry in configs.items()}


JAVA_TOOLS: list[tuple[str, Callable[[Topic], list[str]], str]] = [
    ("kafka-topics", lambda _: ["--create", "--topic", "a-new-topic", "--partitions", "1"], TOPIC_REFUSED),
    ("kafka-topics", lambda topic: ["--delete", "--topic", topic.alias], TOPIC_REFUSED),
    (
        "kafka-configs",
        lambda topic: ["--alter", "--topic", topic.alias, "--add-config", "retention.ms=1000"],
        TOPIC_REFUSED,
    ),
    ("kafka-acls", lambda _: ["--list"], f"ClusterAuthorizationException: {CLUSTER_REFUSED}"),
    (
        "kafka-delete-records",
        lambda _: ["--offset-json-file", "offsets.json"],
        f"TopicAuthorizationException: {TOPIC_REFUSED}",
    ),
    (
        "kafka-leader-election",
        lambda _: ["--election-type", "preferred", "--all-topic-partitions"],
        "Not authorized to perform leader election",
    ),
    ("kafka-log-dirs", lambda _: ["--describe"], "ClusterAuthorizationException"),
]


@pytest.mark.parametrize(
    ("tool", "args", "told"), JAVA_TOOLS, ids=[f"{tool} {args(Topic('', ''))[0]}" for tool, args, _ in JAVA_TOOLS]
)
def test_kafkas_own_tools(
    world: World, unchanged: Topic, tmp_path: Path, tool: str, args: Callable[[Topic], list[str]], told: str
) -> None:
    deletions = {"partitions": [{"topic": unchanged.alias, "partition": 0, "offset": 5}], "version": 1}
    offsets = tmp_path / "offsets.json"
    offsets.write_text(json.dumps(deletions), encoding="utf-8")
    server = [
        "--bootstrap-server",
        world.supplier.bootstrap,
        "--command-config",
        world.supplier.java_properties(tmp_path),
    ]
    given = [str(offsets) if arg == offsets.name else arg for arg in args(unchanged)]
    done = world.kafka.run_tool(tool, [*server, *given], timeout=TOOL_SECONDS)
    assert told in done.stdout + done.stderr


TOPIC_ERROR = KafkaError.TOPIC_AUTHORIZATION_FAILED
CLUSTER_ERROR = KafkaError.CLUSTER_AUTHORIZATION_FAILED


def refusal(future: "Future[Any]") -> int:
    with pytest.raises(KafkaException) as refused:
        future.result(CLIENT_SECONDS)
    return int(refused.value.args[0].code())


def refusals(futures: Mapping[Any, "Future[Any]"]) -> dict[Any, int]:
    return {asked: refusal(future) for asked, future in futures.items()}


def test_librdkafka_on_topics(world: World, unchanged: Topic) -> None:
    admin = lib.AdminClient(Librdkafka(world.supplier).config)
    name = unchanged.alias
    both = {name: TOPIC_ERROR, "a-new-topic": TOPIC_ERROR}
    assert refusals(admin.create_topics([lib.NewTopic(each, 1, 1) for each in both])) == both
    assert refusals(admin.delete_topics(list(both))) == both
    assert refusals(admin.create_partitions([lib.NewPartitions(each, 5) for each in both])) == both
    assert refusals(admin.delete_records([TopicPartition(name, 0, 5)])) == {TopicPartition(name, 0): TOPIC_ERROR}
    assert refusal(admin.elect_leaders(ElectionType.PREFERRED, [TopicPartition(name, 0)])) == CLUSTER_ERROR


def test_librdkafka_on_configurations(world: World, unchanged: Topic) -> None:
    admin = lib.AdminClient(Librdkafka(world.supplier).config)
    entry = lib.ConfigEntry("retention.ms", "1000", incremental_operation=lib.AlterConfigOpType.SET)
    resources = [
        lib.ConfigResource(lib.ConfigResource.Type.TOPIC, unchanged.alias, incremental_configs=[entry]),
        lib.ConfigResource(lib.ConfigResource.Type.TOPIC, "no-such-topic", incremental_configs=[entry]),
    ]
    assert set(refusals(admin.incremental_alter_configs(resources)).values()) == {TOPIC_ERROR}
    old = lib.ConfigResource(lib.ConfigResource.Type.TOPIC, unchanged.alias, set_config={"retention.ms": "1000"})
    with pytest.warns(DeprecationWarning):
        replaced = admin.alter_configs([old])
    assert refusals(replaced) == {old: TOPIC_ERROR}
    broker = lib.ConfigResource(
        lib.ConfigResource.Type.BROKER,
        str(world.kafka.broker_ids[0]),
        incremental_configs=[
            lib.ConfigEntry("log.cleaner.threads", "2", incremental_operation=lib.AlterConfigOpType.SET),
        ],
    )
    assert refusals(admin.incremental_alter_configs([broker])) == {broker: CLUSTER_ERROR}


def test_librdkafka_on_security(world: World, unchanged: Topic) -> None:
    """Without DescribeUserScramCredentials: whoever answers that with an error, a broker too, ends librdkafka's process
    (2.16.0 frees the text of this error, which is on its stack)."""
    admin = lib.AdminClient(Librdkafka(world.supplier).config)
    bindings = [
        lib.AclBinding(
            lib.ResourceType.TOPIC,
            name,
            lib.ResourcePatternType.LITERAL,
            "User:somebody",
            "*",
            lib.AclOperation.ALL,
            lib.AclPermissionType.ALLOW,
        )
        for name in (unchanged.alias, "another")
    ]
    everything = lib.AclBindingFilter(
        lib.ResourceType.ANY,
        None,
        lib.ResourcePatternType.ANY,
        None,
        None,
        lib.AclOperation.ANY,
        lib.AclPermissionType.ANY,
    )
    assert refusals(admin.create_acls(bindings)) == dict.fromkeys(bindings, CLUSTER_ERROR)
    assert refusals(admin.delete_acls([everything])) == {everything: CLUSTER_ERROR}
    assert admin.describe_acls(everything).result(CLIENT_SECONDS) == []  # librdkafka reads this error and drops it
    scram = lib.ScramCredentialInfo(lib.ScramMechanism.SCRAM_SHA_256, 4096)
    changes = [
        lib.UserScramCredentialUpsertion("one", scram, b"secret", b"salt"),
        lib.UserScramCredentialDeletion("two", lib.ScramMechanism.SCRAM_SHA_512),
    ]
    expected = {"one": CLUSTER_ERROR, "two": CLUSTER_ERROR}
    assert refusals(admin.alter_user_scram_credentials(changes)) == expected
