"""Kafka's own command-line tools in the guide's zone, with nothing but its address and a config.properties.

A tool takes a second to start, so each test does all that its zone allows it to do in one go.
"""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.clients.librdkafka import Librdkafka
from tests.integration.world import Account, World, new_group

pytestmark = pytest.mark.kafka

Tool = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def tool(world: World, tmp_path: Path) -> Tool:
    """Runs one of Kafka's tools against the gateway: tool(account, name, *args, given=…)."""

    def run(account: Account, name: str, *args: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        server = ["--bootstrap-server", account.bootstrap, "--command-config", account.java_properties(tmp_path)]
        return world.kafka.run_tool(name, [*server, *args], input=given)

    return run


def test_topics_are_listed_and_described(world: World, tool: Tool) -> None:
    listed = tool(world.guide, "kafka-topics", "--list")
    assert (listed.returncode, listed.stdout.split()) == (0, ["topic-a", "topic-b"]), listed.stderr
    described = tool(world.guide, "kafka-topics", "--describe")
    assert described.returncode == 0, described.stderr
    for alias in ("topic-a", "topic-b"):
        assert f"Topic: {alias}\tTopicId: " in described.stdout
        assert f"\tTopic: {alias}\tPartition: 1\tLeader: " in described.stdout
    assert "PartitionCount: 2\tReplicationFactor: 3" in described.stdout


def test_two_aliases_of_a_topic_have_two_ids(world: World, tool: Tool) -> None:
    shown = tool(world.guide, "kafka-topics", "--describe").stdout
    ids = [line.split("TopicId: ")[1].split()[0] for line in shown.splitlines() if "TopicId: " in line]
    assert len(set(ids)) == 2, shown


def test_what_is_written_to_one_alias_is_read_from_both_and_a_group_goes_on(world: World, tool: Tool) -> None:
    topic_a, topic_b = world.guide_pair.writable.alias, world.guide_pair.readable.alias
    sent = [f"java-{n:03}" for n in range(20)]
    produced = tool(world.guide, "kafka-console-producer", "--topic", topic_a, given="\n".join(sent) + "\n")
    assert (produced.returncode, "ERROR" in produced.stderr) == (0, False), produced.stderr

    def read(*args: str) -> list[str]:
        consumed = tool(world.guide, "kafka-console-consumer", "--timeout-ms", "15000", *args)
        assert consumed.returncode == 0, consumed.stderr
        return consumed.stdout.split()

    assert set(sent) <= set(read("--topic", topic_b, "--from-beginning", "--max-messages", "20"))
    group = new_group()
    first = read("--topic", topic_a, "--group", group, "--from-beginning", "--max-messages", "12")
    rest = read("--topic", topic_a, "--group", group, "--from-beginning", "--max-messages", "8")
    assert sorted(first + rest) == sorted(sent)


def test_one_consumer_of_both_aliases_reads_every_record_on_both(world: World, tool: Tool) -> None:
    pair = world.pair()
    sent = [f"both-{n:03}" for n in range(20)]
    Librdkafka(world.supplier).produce(pair.writable.alias, sent)
    group = new_group()
    both = ["--include", f"{pair.writable.alias}|{pair.readable.alias}", "--group", group]

    def read(count: int, *more: str) -> list[str]:
        consumed = tool(
            world.supplier,
            "kafka-console-consumer",
            *both,
            "--timeout-ms",
            "15000",
            "--max-messages",
            str(count),
            *more,
        )
        assert consumed.returncode == 0, consumed.stderr
        return consumed.stdout.split()

    # A partition that had no position yet when the first one ended has none committed: it begins at the beginning.
    first = read(13, "--from-beginning")
    rest = read(27, "--from-beginning")
    assert sorted(first + rest) == sorted(sent * 2)


def test_offsets_of_both_aliases_in_one_request(world: World, tool: Tool) -> None:
    pair = world.pair()
    Librdkafka(world.supplier).produce(pair.writable.alias, [str(n) for n in range(50)])
    names = f"{pair.writable.alias}|{pair.readable.alias}"
    shown = tool(world.supplier, "kafka-get-offsets", "--topic", names)
    assert shown.returncode == 0, shown.stderr
    offsets = dict(line.rsplit(":", 1) for line in shown.stdout.split())
    for partition in ("0", "1"):
        assert offsets[f"{pair.writable.alias}:{partition}"] == offsets[f"{pair.readable.alias}:{partition}"]
    assert sum(map(int, offsets.values())) == 100


def test_refusals_carry_the_words_that_kafka_users_know(world: World, tool: Tool) -> None:
    read_only = world.guide_pair.readable.alias
    refused = tool(world.guide, "kafka-console-producer", "--topic", read_only, given="x\n")
    assert f"TopicAuthorizationException: Not authorized to access topics: [{read_only}]" in refused.stderr
    unknown = tool(world.guide, "kafka-topics", "--describe", "--topic", "no-such-topic")
    assert unknown.returncode != 0
    assert "no-such-topic" in unknown.stdout + unknown.stderr
    outside = tool(world.guide, "kafka-console-consumer", "--topic", "no-such-topic", "--timeout-ms", "15000")
    assert "TopicAuthorizationException: Not authorized to access topics: [no-such-topic]" in outside.stderr
    wrong = Account(world.guide.bootstrap, world.guide.zone, world.guide.user, "wrong")
    shown = tool(wrong, "kafka-topics", "--list")
    assert shown.returncode != 0
    assert "SaslAuthenticationException: Authentication failed: Invalid username or password" in (
        shown.stdout + shown.stderr
    )


def test_configurations_are_described(world: World, tool: Tool) -> None:
    alias = world.guide_pair.writable.alias
    topics = tool(
        world.guide, "kafka-configs", "--describe", "--all", "--entity-type", "topics", "--entity-name", alias
    )
    assert topics.returncode == 0, topics.stderr
    assert f"All configs for topic {alias} are:" in topics.stdout
    assert "  min.insync.replicas=2 sensitive=false synonyms={" in topics.stdout
    assert "STATIC_BROKER_CONFIG" not in topics.stdout, "the brokers' own settings are not the partner's to see"
    brokers = tool(
        world.guide, "kafka-configs", "--describe", "--all", "--entity-type", "brokers", "--entity-name", "1"
    )
    assert brokers.returncode != 0
    assert "ClusterAuthorizationException" in brokers.stdout + brokers.stderr
