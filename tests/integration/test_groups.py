"""Groups of the classic protocol: members of several kinds, what tools show a partner of them, and what the operator.

Rebalances go through real coordinators, which read the members' subscriptions and assignments.
"""

import subprocess
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from confluent_kafka import Consumer, ConsumerGroupState
from confluent_kafka.admin import AdminClient

from tests.integration.clients.librdkafka import Librdkafka
from tests.integration.workload import Member, Writer
from tests.integration.world import Account, Pair, Topic, World, new_group
from tests.kafka.waiting import wait_until

pytestmark = pytest.mark.kafka

REBALANCE_SECONDS = 40.0
"""Until all members have noticed: a few heartbeats of the slowest client, unless something is wrong."""

Tool = Callable[..., list[list[str]]]


def partitions(*aliases: Topic) -> frozenset[tuple[str, int]]:
    return frozenset((alias.alias, partition) for alias in aliases for partition in range(alias.partitions))


def wait_for(condition: Callable[[], bool], what: str, *members: Member) -> None:
    try:
        wait_until(condition, what, REBALANCE_SECONDS)
    except TimeoutError as late:
        raise AssertionError(f"{late}; the members hold {[sorted(member.holds) for member in members]}") from None


def wait_for_all(member: Member, everything: frozenset[tuple[str, int]]) -> None:
    wait_for(lambda: member.holds == everything, "one member with every partition", member)


def wait_for_split(members: Sequence[Member], everything: frozenset[tuple[str, int]]) -> None:
    """Each member has something, and each partition one member."""

    def split() -> bool:
        held = [member.holds for member in members]
        return all(held) and sum(map(len, held)) == len(everything) and frozenset().union(*held) == everything

    wait_for(split, "every partition with one of the members", *members)


def wait_for_records(count: int, *members: Member) -> None:
    wait_for(lambda: sum(len(member.records) for member in members) >= count, f"{count} records", *members)


def produce(account: Account, topic: Topic, prefix: str, count: int) -> list[str]:
    """`count` records into each of the two partitions."""
    values = []
    for partition in (0, 1):
        sent = [f"{prefix}-{partition}-{n:02}" for n in range(count)]
        Librdkafka(account).produce(topic.alias, sent, partition=partition)
        values += sent
    return values


# members


@pytest.mark.parametrize("strategy", ["range", "cooperative-sticky"])
def test_members_come_and_go_while_records_flow(world: World, topic: Topic, pair: Pair, strategy: str) -> None:
    account, group = world.supplier, new_group()
    aliases = (topic, pair.writable, pair.readable)
    everything = partitions(*aliases)

    def member() -> Member:
        names = [alias.alias for alias in aliases]
        return Member(account, group, names, **{"partition.assignment.strategy": strategy})

    with ExitStack() as rest, ExitStack() as writers:
        plain = writers.enter_context(Writer(account, topic.alias, "plain"))
        shared = writers.enter_context(Writer(account, pair.writable.alias, "shared"))
        with member() as first:
            wait_for_all(first, everything)
            second = rest.enter_context(member())
            wait_for_split((first, second), everything)
            wait_for_records(1, second)
        wait_for_all(second, everything)
        with member() as third:
            wait_for_split((second, third), everything)
            wait_for_records(1, third)
        wait_for_all(second, everything)
        writers.close()
        expected = {(topic.alias, value) for value in plain.acknowledged}
        expected |= {(alias.alias, value) for alias in (pair.writable, pair.readable) for value in shared.acknowledged}

        def missing() -> set[tuple[str, str]]:
            return expected - {(each.topic, each.value) for who in (first, second, third) for each in who.records}

        wait_for(lambda: not missing(), "every record", second)


def test_two_members_of_both_aliases_get_their_own_assignment(world: World, pair: Pair) -> None:
    """The coordinator sees one topic; what the leader has assigned comes back as it was."""
    account, group = world.supplier, new_group()
    names = [pair.writable.alias, pair.readable.alias]
    everything = partitions(pair.writable, pair.readable)
    roundrobin = {"partition.assignment.strategy": "roundrobin"}
    with Member(account, group, names, **roundrobin) as first, Member(account, group, names, **roundrobin) as second:
        wait_for_split((first, second), everything)
        assert {len(first.holds), len(second.holds)} == {2}
        sent = produce(account, pair.writable, "both", 10)
        wait_for_records(2 * len(sent), first, second)
        for who in (first, second):
            assert {(each.topic, each.partition) for each in who.records} == who.holds
        found = sorted((each.topic, each.value) for who in (first, second) for each in who.records)
        assert found == sorted((name, value) for name in names for value in sent)


def test_a_static_member_comes_back_to_its_partitions_without_a_rebalance(world: World, topic: Topic) -> None:
    account, group = world.supplier, new_group()

    def member(instance: str) -> Member:
        return Member(account, group, [topic.alias], **{"group.instance.id": instance})

    with member("instance-b") as second:
        with member("instance-a") as first:
            wait_for_split((first, second), partitions(topic))
            before, assignments = first.holds, second.assignments
        with member("instance-a") as again:
            wait_for(lambda: again.holds == before, "the same partitions", again)
            sent = produce(account, topic, "static", 5)
            wait_for_records(len(sent), again, second)
            assert {(each.topic, each.partition) for each in again.records} == before
            assert second.assignments == assignments


def test_members_of_java_and_librdkafka_in_one_group(world: World, topic: Topic, tmp_path: Path) -> None:
    """Each of them is the leader at some time, and so reads the other's subscription and makes its assignment."""
    account, group = world.supplier, new_group()
    arguments = ["--bootstrap-server", account.bootstrap, "--command-config", account.java_properties(tmp_path)]
    arguments += ["--group", group, "--topic", topic.alias, "--from-beginning", "--timeout-ms", "40000"]
    everything = partitions(topic)

    def member() -> Member:
        return Member(account, group, [topic.alias], **{"partition.assignment.strategy": "range"})

    with ThreadPoolExecutor(1) as pool, ExitStack() as rest:
        with member() as first:
            wait_for_all(first, everything)
            sent = produce(account, topic, "one", 10)
            wait_for_records(20, first)
            java = pool.submit(world.kafka.run_tool, "kafka-console-consumer", [*arguments, "--max-messages", "20"])
            wait_for(lambda: len(first.holds) == 1 or java.done(), "a member in Java", first)
            sent += produce(account, topic, "two", 10)
            wait_for_records(30, first)
        second = rest.enter_context(member())
        wait_for(lambda: len(second.holds) == 1 or java.done(), "a leader in Java", second)
        sent += produce(account, topic, "three", 10)
        shown = java.result()
        assert shown.returncode == 0, shown.stderr
        wait_for_all(second, everything)
        sent += produce(account, topic, "four", 10)
        wait_for_records(30, second)
        found = [each.value for who in (first, second) for each in who.records] + shown.stdout.split()
        assert sorted(found) == sorted(sent)
        assert len(shown.stdout.split()) == 20


def test_a_group_moves_to_the_newer_protocol_and_back(world: World, pair: Pair) -> None:
    """The coordinator converts what our member has sent, then makes its assignments, and then hands them back.

    Partitions that the coordinator itself assigns come under both aliases, as the member has subscribed to both.
    """
    account, group = world.supplier, new_group()
    both = (pair.writable, pair.readable)
    with Member(account, group, [alias.alias for alias in both]) as member:
        wait_for_all(member, partitions(*both))
        operator = Consumer(
            {
                "bootstrap.servers": world.kafka.bootstrap,
                "group.id": f"{account.zone}:{group}",
                "group.protocol": "consumer",
                "auto.offset.reset": "earliest",
            }
        )
        try:
            operator.subscribe([pair.writable.backing])

            def shared_out() -> bool:
                operator.poll(0.1)
                theirs = {each.partition for each in operator.assignment()}
                ours = {(alias.alias, partition) for alias in both for partition in {0, 1} - theirs}
                return len(theirs) == 1 and member.holds == ours

            wait_for(shared_out, "one partition for each member", member)
        finally:
            operator.close()
        wait_for_all(member, partitions(*both))
        sent = produce(account, pair.writable, "after", 5)
        wait_for_records(2 * len(sent), member)


# tools


@pytest.fixture
def groups_tool(tmp_path: Path, world: World) -> Tool:
    """Runs kafka-consumer-groups in a zone, or for the operator; returns the words of each line."""

    def run(account: Account | None, *args: str) -> list[list[str]]:
        server = ["--bootstrap-server", world.kafka.bootstrap]
        if account is not None:
            server = ["--bootstrap-server", account.bootstrap, "--command-config", account.java_properties(tmp_path)]
        done: subprocess.CompletedProcess[str] = world.kafka.run_tool("kafka-consumer-groups", [*server, *args])
        assert (done.returncode, "Error" in done.stdout) == (0, False), done.stdout + done.stderr
        return [line.split() for line in done.stdout.splitlines() if line.strip()]

    return run


def rows(lines: Iterable[Sequence[str]], first: str) -> list[dict[str, str]]:
    """A tool's table; its header begins with the word `first`."""
    table = list(lines)
    start = next((n for n, line in enumerate(table) if line[0] == first), None)
    assert start is not None, f"no table that begins with {first}: {table}"
    return [dict(zip(table[start], line, strict=False)) for line in table[start + 1 :]]


def offsets_and_lag(lines: Iterable[Sequence[str]]) -> dict[tuple[str, str], tuple[str, str, str]]:
    return {
        (row["TOPIC"], row["PARTITION"]): (row["CURRENT-OFFSET"], row["LOG-END-OFFSET"], row["LAG"])
        for row in rows(lines, "GROUP")
    }


def test_a_group_s_life_in_kafka_s_own_tool(world: World, topic: Topic, groups_tool: Tool) -> None:
    account, group = world.supplier, new_group()
    sent = produce(account, topic, "before", 6)
    with Member(account, group, [topic.alias]) as member:
        wait_for_records(len(sent), member)
    with Member(account, group, [topic.alias], **{"enable.auto.commit": "false"}) as member:
        wait_for_all(member, partitions(topic))
        later = produce(account, topic, "later", 4)
        wait_for_records(len(later), member)
        shown = groups_tool(account, "--describe", "--group", group)
        assert offsets_and_lag(shown) == {(topic.alias, "0"): ("6", "10", "4"), (topic.alias, "1"): ("6", "10", "4")}
        for row in rows(shown, "GROUP"):
            assert row["GROUP"] == group
            assert row["CONSUMER-ID"].startswith(f"{account.zone}:librdkafka-client-")
            assert (row["HOST"], row["CLIENT-ID"]) == ("-", "librdkafka-client")
        (row,) = rows(groups_tool(account, "--describe", "--group", group, "--members", "--verbose"), "GROUP")
        assert (row["GROUP"], row["HOST"], row["#PARTITIONS"]) == (group, "-", "2")
        assert topic.alias in row["CURRENT-ASSIGNMENT"]
        (row,) = rows(groups_tool(account, "--describe", "--group", group, "--state"), "GROUP")
        assert (row["GROUP"], row["STATE"], row["#MEMBERS"]) == (group, "Stable", "1")
        operators = groups_tool(None, "--describe", "--group", f"{account.zone}:{group}")
        assert offsets_and_lag(operators) == {
            (topic.backing, "0"): ("6", "10", "4"),
            (topic.backing, "1"): ("6", "10", "4"),
        }
        for row in rows(operators, "GROUP"):
            assert row["GROUP"] == f"{account.zone}:{group}"
            assert row["CLIENT-ID"] == f"{account.zone}:librdkafka-client"
    reset = groups_tool(account, "--reset-offsets", "--to-earliest", "--execute", "--group", group, "--all-topics")
    assert [(row["GROUP"], row["TOPIC"], row["NEW-OFFSET"]) for row in rows(reset, "GROUP")] == [
        (group, topic.alias, "0"),
        (group, topic.alias, "0"),
    ]
    with Member(account, group, [topic.alias]) as member:
        wait_for_records(20, member)
        assert sorted(each.value for each in member.records) == sorted(sent + later)
    listed = groups_tool(account, "--list", "--state")
    assert [group, "Empty"] in [line[:1] + line[-1:] for line in listed], listed
    assert not [line for line in listed if line[0].startswith(f"{account.zone}:")]
    deleted = groups_tool(account, "--delete", "--group", group)
    assert ["Deletion", "of", "requested", "consumer", "groups", f"('{group}')", "was", "successful."] in deleted


def test_groups_in_librdkafka_s_administration(world: World, topic: Topic) -> None:
    """It ends its process when an answer names a group that it hasn't asked for."""
    account, group = world.supplier, new_group()
    admin = AdminClient(Librdkafka(account).config)
    with Member(account, group, [topic.alias]) as member:
        wait_for_all(member, partitions(topic))
        described = admin.describe_consumer_groups([group], include_authorized_operations=True)[group].result()
        assert (described.group_id, described.state) == (group, ConsumerGroupState.STABLE)
        (told,) = described.members
        assert {(each.topic, each.partition) for each in told.assignment.topic_partitions} == partitions(topic)
        assert {operation.name for operation in described.authorized_operations} == {
            "READ",
            "DELETE",
            "DESCRIBE",
            "DESCRIBE_CONFIGS",
        }
    found = admin.list_consumer_groups().result()
    assert group in {each.group_id for each in found.valid}
    assert not found.errors
    other = new_group()
    rival = AdminClient(Librdkafka(world.rival).config)
    assert group not in {each.group_id for each in rival.list_consumer_groups().result().valid}
    assert admin.delete_consumer_groups([group])[group].result() is None
    missing = admin.delete_consumer_groups([other])[other].exception()
    assert missing is not None
    assert missing.args[0].name() == "GROUP_ID_NOT_FOUND"
    assert group not in {each.group_id for each in admin.list_consumer_groups().result().valid}
