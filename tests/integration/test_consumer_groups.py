"""The consumer protocol (KIP-848) through a zone: the broker assigns, and every record is delivered on every alias."""

from collections.abc import Callable, Iterator, Sequence

import pytest
from confluent_kafka import KafkaError

from tests.canary import Canaries
from tests.integration.clients.base import Record
from tests.integration.clients.librdkafka import Librdkafka, take, to_record
from tests.integration.gateway import Gateway, manifest
from tests.integration.test_java_tools import Tool, tool
from tests.integration.workload import Reader, Writer
from tests.integration.world import Account, Front, Pair, Topic, World, new_group
from tests.kafka.waiting import wait_until

pytestmark = pytest.mark.kafka

__all__ = ["tool"]

CONSUMER_PROTOCOL = {"group.protocol": "consumer"}
WITHIN_SECONDS = 40.0
"""An assignment takes some heartbeats; a coordinator may have to be found first."""

RECORDS = 30


class Member(Reader):
    """A member of a group of the consumer protocol, which commits what it has read when it leaves."""

    def __init__(self, account: Account, topics: Sequence[str], group: str, client_id: str = "member") -> None:
        super().__init__(account, "")
        self.records: list[Record] = []
        self.errors: list[str] = []
        self._topics = topics
        self._group = group
        self._config = {
            **CONSUMER_PROTOCOL,
            "client.id": client_id,
            "enable.auto.commit": True,
        }

    def read(self, *topics: str) -> set[str]:
        """The values read from these topics."""
        return {record.value for record in tuple(self.records) if record.topic in topics}

    def _run(self) -> None:
        with Librdkafka(self._account).consumer(self._group, **self._config) as consumer:
            consumer.subscribe(list(self._topics))
            while not self._stopping.is_set():
                message = consumer.poll(0.1)
                error = message.error() if message is not None else None
                if error is not None:
                    self.errors.append(str(error))
                elif message is not None:
                    self.records.append(to_record(message))


def wait_for(condition: Callable[[], object], what: str) -> None:
    wait_until(condition, what, WITHIN_SECONDS)


def patterns(topics: Sequence[str]) -> list[str]:
    return [f"^{topic}$" for topic in topics]


explicit_or_pattern = pytest.mark.parametrize("spelled", [list, patterns], ids=["explicit", "pattern"])


@explicit_or_pattern
def test_every_record_is_delivered_while_members_come_and_go(
    supplier: Account, topic: Topic, spelled: Callable[[Sequence[str]], list[str]]
) -> None:
    group, topics = new_group(), spelled([topic.alias])
    with Writer(supplier, topic.alias, "kip") as writer:
        with Member(supplier, topics, group) as first:
            wait_for(lambda: len(first.records) > 20, "records at the first member")
            with Member(supplier, topics, group) as second:
                wait_for(lambda: len(second.records) > 20, "records at the second member")
                with Member(supplier, topics, group) as third:
                    before = len(first.records) + len(second.records)
                    wait_for(lambda: len(first.records) + len(second.records) > before + 100, "records beside a third")
            before = len(first.records)
            wait_for(lambda: len(first.records) > before + 20, "records at the first member again")
        gone = first.read(topic.alias) | second.read(topic.alias) | third.read(topic.alias)
    with Member(supplier, topics, group) as last:
        wanted = set(writer.acknowledged)
        wait_for(lambda: gone | last.read(topic.alias) == wanted, "every record at some member")


@explicit_or_pattern
def test_a_pair_in_one_group_delivers_everything_on_both_and_goes_on(
    supplier: Account, pair: Pair, spelled: Callable[[Sequence[str]], list[str]]
) -> None:
    group, aliases = new_group(), [pair.writable.alias, pair.readable.alias]
    client = Librdkafka(supplier)

    def read(count: int) -> list[Record]:
        with client.consumer(group, **CONSUMER_PROTOCOL) as consumer:
            consumer.subscribe(spelled(aliases))
            found = list(take(consumer, count))
            consumer.commit(asynchronous=False)
            return found

    def expected(values: Sequence[str]) -> list[tuple[str, str]]:
        return sorted((alias, value) for alias in aliases for value in values)

    first, second = [[f"{name}-{n:03}" for n in range(RECORDS)] for name in ("first", "second")]
    client.produce(pair.writable.alias, first)
    assert sorted((record.topic, record.value) for record in read(2 * RECORDS)) == expected(first)
    client.produce(pair.writable.alias, second)
    assert sorted((record.topic, record.value) for record in read(2 * RECORDS)) == expected(second)


def test_a_pair_is_delivered_on_both_while_members_come_and_go(supplier: Account, pair: Pair) -> None:
    group, aliases = new_group(), [pair.writable.alias, pair.readable.alias]
    with Member(supplier, aliases, group) as first:
        with Writer(supplier, pair.writable.alias, "pair") as writer:
            wait_for(lambda: len(first.records) > 20, "records at the first member")
            with Member(supplier, patterns(aliases), group) as second:
                wait_for(lambda: all(second.read(alias) for alias in aliases), "records on both aliases")
        wanted = set(writer.acknowledged)
        for alias in aliases:
            wait_for(lambda at=alias: first.read(at) | second.read(at) == wanted, f"every record on {alias}")  # type: ignore[misc]


def test_members_with_different_aliases_of_one_topic_are_refused(supplier: Account, pair: Pair) -> None:
    """The broker would share its partitions among them; so the second one is told, and the first goes on."""
    group = new_group()
    client = Librdkafka(supplier)
    with Member(supplier, [pair.writable.alias], group) as first:
        client.produce(pair.writable.alias, ["before"])
        wait_for(lambda: first.read(pair.writable.alias) == {"before"}, "the first record")
        with Member(supplier, [pair.readable.alias], group) as second:
            wait_for(lambda: second.errors, "the refusal")
            assert "Fatal error: Broker: Invalid request" in second.errors[0]
            assert second.records == []
        values = {f"after-{n}" for n in range(RECORDS)}
        client.produce(pair.writable.alias, sorted(values))
        wait_for(lambda: first.read(pair.writable.alias) == {"before", *values}, "every record at the first member")


@pytest.mark.parametrize(("name", "backing"), [("no-such-topic", False), ("hidden-alias", False), ("reading", True)])
def test_a_name_outside_the_zone_is_refused(world: World, supplier: Account, name: str, backing: bool) -> None:
    subscription = getattr(world, name).backing if backing else name
    # the client is told of the name that it asked for
    with (
        world.canaries.expecting(),
        world.tap.awaiting_the_end(),
        Librdkafka(supplier).consumer(new_group(), **CONSUMER_PROTOCOL) as consumer,
    ):
        consumer.subscribe([subscription])
        message = consumer.poll(WITHIN_SECONDS)
    assert message is not None
    error = message.error()
    assert error is not None
    assert error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_a_broken_pattern_is_refused(supplier: Account) -> None:
    with Member(supplier, [r"^(a)\1"], new_group()) as member:
        wait_for(lambda: member.errors, "the refusal")
        assert "Fatal error: Broker: The regular expression is not valid" in member.errors[0]


# Kafka's own tools


def consume_with_java(tool: Tool, account: Account, count: int, *args: str) -> list[str]:
    properties = ["--command-property", "group.protocol=consumer", "--command-property", "auto.offset.reset=earliest"]
    limits = ["--timeout-ms", "30000", "--max-messages", str(count)]
    consumed = tool(account, "kafka-console-consumer", *args, *properties, *limits)
    assert consumed.returncode == 0, consumed.stderr
    return consumed.stdout.split()


def test_java_consumers(world: World, tool: Tool) -> None:
    pair, group = world.pair(), new_group()
    sent = [f"java-{n:03}" for n in range(RECORDS)]
    Librdkafka(world.supplier).produce(pair.writable.alias, sent)
    both = f"{pair.writable.alias}|{pair.readable.alias}"
    found = consume_with_java(tool, world.supplier, 2 * RECORDS, "--include", both, "--group", group)
    assert sorted(found) == sorted(sent * 2)
    found = consume_with_java(tool, world.supplier, RECORDS, "--topic", pair.readable.alias, "--group", new_group())
    assert sorted(found) == sent


def test_java_tools_describe_the_group_as_its_members_said_it(world: World, tool: Tool) -> None:
    pair, topic, group = world.pair(), world.topic(), new_group()
    described = ["--describe", "--group", group]
    pattern = f"^{pair.readable.alias}$"
    Librdkafka(world.supplier).produce(pair.writable.alias, ["record"], partition=0)
    with Member(world.supplier, [topic.alias, pattern], group, "a-client") as member:
        wait_for(lambda: member.read(pair.readable.alias) == {"record"}, "the record")
        shown = tool(world.supplier, "kafka-consumer-groups", *described, "--members", "--verbose")
        assert shown.returncode == 0, shown.stderr
        assert f"{pair.readable.alias}:0,1" in shown.stdout
        assert f"{topic.alias}:0,1" in shown.stdout
        assert "a-client" in shown.stdout
        assert pair.writable.alias not in shown.stdout
        offsets = tool(world.supplier, "kafka-consumer-groups", *described)
        assert offsets.returncode == 0, offsets.stderr
        assert pair.readable.alias in offsets.stdout
        assert pair.writable.alias not in offsets.stdout
    assert world.gateway.metric("zonegate_requests_total", zone=world.supplier.zone, api="consumer_group_describe") > 0


def test_topics_are_described_in_pages(world: World, tool: Tool) -> None:
    def served() -> float:
        return world.gateway.metric(
            "zonegate_requests_total", zone=world.supplier.zone, api="describe_topic_partitions"
        )

    before = served()
    shown = tool(world.supplier, "kafka-topics", "--describe", "--partition-size-limit-per-response", "7")
    assert shown.returncode == 0, shown.stderr
    names = [line.split("\t")[0].removeprefix("Topic: ") for line in shown.stdout.splitlines() if "TopicId: " in line]
    lines = [line for line in shown.stdout.splitlines() if "\tPartition: " in line]
    seen = Librdkafka(world.supplier).topics()
    assert sorted(names) == sorted(seen)
    assert len(lines) == sum(seen.values())
    assert served() - before >= len(lines) / 7


# what an operator changes while members are at work


class Changing:
    """A gateway of its own, whose zone changes and which is started anew."""

    def __init__(self, world: World, canaries: Canaries) -> None:
        self.front = Front(world.kafka, canaries)
        self.gateway: Gateway = self.front.gateway
        self.first, self.second = world.topic().backing, world.topic().backing
        self.rows = [("part-a", self.first, "WRITE"), ("other", self.second, "WRITE")]
        self.account = self.front.add_zone("kip-zone", "kip", self.rows)

    def share(self, *more: tuple[str, str, str]) -> None:
        self.gateway.write_zone(manifest(self.account.zone, self.account.user, [*self.rows, *more]))


@pytest.fixture
def changing(world: World, canaries: Canaries) -> Iterator[Changing]:
    changing = Changing(world, canaries)
    with changing.front:
        yield changing


def test_a_pattern_gets_what_the_zone_gains(changing: Changing) -> None:
    client, account = Librdkafka(changing.account), changing.account
    with Member(account, ["^part-.*"], new_group()) as member:
        client.produce("part-a", ["one"])
        wait_for(lambda: member.read("part-a") == {"one"}, "a record of the first alias")
        changing.share(("part-b", changing.second, "READ"))
        client.produce("other", ["two"])
        wait_for(lambda: member.read("part-b") == {"two"}, "a record of a new topic's alias")
        changing.share(("part-b", changing.second, "READ"), ("part-c", changing.first, "READ"))
        client.produce("part-a", ["three"])
        wait_for(lambda: member.read("part-a", "part-c") == {"one", "three"}, "a record of the first alias")
        wait_for(lambda: member.read("part-c") == {"one", "three"}, "everything on a second alias of the first topic")


def test_members_of_a_topic_that_becomes_shared_go_on(changing: Changing) -> None:
    account, group = changing.account, new_group()
    with Member(account, ["part-a"], group) as first:
        with Writer(account, "part-a", "shared") as writer:
            with Member(account, ["part-a"], group) as second:
                wait_for(lambda: first.records and second.records, "records at both members")
                changing.share(("part-b", changing.first, "READ"))
                wait_for(lambda: "part-b" in Librdkafka(account).topics(), "the second alias")
                before = len(first.records), len(second.records)
                wait_for(lambda: len(first.records) > before[0] + 20, "records at the first member")
                wait_for(lambda: len(second.records) > before[1] + 20, "records at the second member")
            with Member(account, ["part-a"], group) as third:
                wait_for(lambda: third.records, "records at a member that joined later")
        wanted = set(writer.acknowledged)
        wait_for(lambda: set().union(*(m.read("part-a") for m in (first, second, third))) == wanted, "every record")
        assert first.errors + second.errors + third.errors == []


@explicit_or_pattern
def test_members_outlive_the_gateway(changing: Changing, spelled: Callable[[Sequence[str]], list[str]]) -> None:
    changing.share(("part-b", changing.first, "READ"))
    aliases, group = ["part-a", "part-b"], new_group()
    account, topics = changing.account, spelled(aliases)
    with Member(account, topics, group) as first:
        with Writer(account, "part-a", "restart") as writer:
            wait_for(lambda: all(first.read(alias) for alias in aliases), "records on both aliases")
            changing.gateway.stop()
            changing.gateway.start()
            with Member(account, topics, group) as second:
                wait_for(lambda: all(second.read(alias) for alias in aliases), "records at a member that joined later")
                before = len(first.records)
                wait_for(lambda: len(first.records) > before + 20, "records at the first member")
        wanted = set(writer.acknowledged)
        for alias in aliases:
            wait_for(lambda at=alias: first.read(at) | second.read(at) == wanted, f"every record on {alias}")  # type: ignore[misc]
