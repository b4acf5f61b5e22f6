"""`zonegate explain`: its words follow from the gateway's own table, and from the zone."""

import pytest

from controlplane.commands.explanations import (
    ALLOWED,
    CLOSED,
    HIDDEN,
    NEEDS,
    PARTLY,
    REFUSED,
    all_apis,
    decide,
    describe,
    entry_of,
    errors,
)
from policies.zone import Alias, Permission, Zone, ZoneLimits, ZoneRules
from proxy.apis.coverage import SERVED
from proxy.apis.plan import Treatment
from proxy.apis.table import TABLE
from proxy.traffic import Kind
from tests.unit.controlplane.commands.conftest import zone
from tests.unit.controlplane.commands.fake_api import FakeApi
from tests.unit.controlplane.conftest import WriteFile
from tests.unit.controlplane.test_cli import ZONE, zonegate

A = Alias("topic-a", "kafka-topic-a", Permission.WRITE)
B = Alias("topic-b", "kafka-topic-a", Permission.READ)
BOTH = ZoneRules(Zone("z", "main", "johndoe", (A, B), limits=ZoneLimits(produce_rate=1000)))
READER = ZoneRules(Zone("z", "main", "johndoe", (B,)))


def test_every_entry_of_the_table_is_understood() -> None:
    assert {entry.needs for entry in TABLE.values()} == set(NEEDS)
    for key in all_apis().values():
        entry = entry_of(key)
        for rules in (BOTH, READER):
            for alias in (None, *rules.aliases):
                fields = dict(describe(entry, rules, alias))
                assert all(fields.values()), key
        if entry.treatment is Treatment.DENY:
            assert decide(entry, BOTH).word == REFUSED
        assert (decide(entry, BOTH).word in (ALLOWED, PARTLY)) == (entry.treatment in SERVED)


@pytest.mark.parametrize(
    ("key", "rules", "alias", "word", "why"),
    [
        (0, BOTH, None, PARTLY, "it needs WRITE, which these have: topic-a"),
        (0, BOTH, A, ALLOWED, "topic-a has WRITE"),
        (0, BOTH, B, REFUSED, "topic-b has READ, and it needs WRITE"),
        (0, READER, None, REFUSED, "it needs WRITE, and no alias of the zone has it"),
        (1, READER, None, ALLOWED, "every alias has READ"),
        (10, BOTH, None, ALLOWED, "every client may look for its groups and transactions"),
        (10, READER, None, ALLOWED,
         "every client may look for its groups, but not for transactions, as no alias has WRITE"),
        (11, READER, None, ALLOWED, "every client may"),
        (17, READER, None, ALLOWED, "the gateway answers it itself"),
        (22, BOTH, B, ALLOWED, "an alias of the zone has WRITE"),
        (22, READER, None, REFUSED, "it needs WRITE, and no alias of the zone has it"),
        (28, READER, B, REFUSED, "it needs WRITE, and no alias of the zone has it"),
        (28, BOTH, B, ALLOWED, "an alias of the zone has WRITE"),
        (38, BOTH, None, HIDDEN,
         "not offered (tokens would be the gateway's own user's); who sends it all the same is refused"),
        (4, BOTH, None, CLOSED, "not offered; a request ends the connection (between brokers, before Kafka 4)"),
        (52, BOTH, None, CLOSED, "not offered; a request ends the connection (between brokers)"),
    ],
)  # fmt: skip
def test_decisions(key: int, rules: ZoneRules, alias: Alias | None, word: str, why: str) -> None:
    verdict = decide(entry_of(key), rules, alias)

    assert (verdict.word, verdict.why) == (word, why)


def test_errors_have_names() -> None:
    assert errors(TABLE[0]) == (
        "TOPIC_AUTHORIZATION_FAILED (29), UNKNOWN_TOPIC_ID (100) per partition; acks=0: connection closed"
    )
    assert errors(TABLE[35]) == "CLUSTER_AUTHORIZATION_FAILED (31); before version 3 an empty list"
    assert errors(TABLE[24]).startswith(
        "TOPIC_AUTHORIZATION_FAILED (29), UNKNOWN_TOPIC_OR_PARTITION (3), OPERATION_NOT_ATTEMPTED (55) per partition"
    )


def test_all_about_one_api() -> None:
    assert dict(describe(TABLE[28], BOTH, A)) == {
        "decision": "allowed: an alias of the zone has WRITE",
        "alias": "topic-a is kafka-topic-a of cluster main, with WRITE, which includes READ",
        "treatment": "rewritten: names, ids and addresses are mapped both ways",
        "needs": "READ, and WRITE of any alias",
        "errors": (
            "TOPIC_AUTHORIZATION_FAILED (29) per partition; TRANSACTIONAL_ID_AUTHORIZATION_FAILED (53), "
            "INVALID_REQUEST (42), GROUP_AUTHORIZATION_FAILED (30), INVALID_GROUP_ID (24) on each; a topic outside the "
            "zone alike"
        ),
        "limit": "limitCommitOffset, which the zone does not set",
        "groups": "the partner's group g is z:g",
        "transactions": "the partner's transactional id t is z:t",
        "own ACLs": (
            "Read on the topics kafka-topic-a; Read on groups with the prefix z:; "
            "Write on transactional ids with the prefix z:"
        ),
        "versions": "0-5; a client is offered those that its broker has, too",
    }


def test_the_limit_that_throttles() -> None:
    assert dict(describe(TABLE[0], BOTH, None))["limit"] == "maxProduceRate: 1000 bytes of record batches per second"
    assert dict(describe(TABLE[1], BOTH, None))["limit"] == "maxConsumeRate, which the zone does not set"
    assert dict(describe(TABLE[3], BOTH, None))["limit"] == "none: it counts towards no limit of the zone"
    assert {entry.kind for entry in TABLE.values()} == {None, *Kind}


def test_what_the_cluster_must_allow_the_gateway() -> None:
    def acls(key: int, rules: ZoneRules, alias: Alias | None = None) -> str | None:
        return dict(describe(TABLE[key], rules, alias)).get("own ACLs")

    assert acls(0, BOTH) == "Write on the topics kafka-topic-a; Write on transactional ids with the prefix z:"
    assert acls(0, BOTH, B) is None, "what is refused never reaches a broker"
    assert acls(19, BOTH) is None
    assert acls(2, READER) == "Describe (Read or Write includes it) on the topics kafka-topic-a"
    assert acls(10, READER) == "Describe (Read or Write includes it) on groups with the prefix z:"
    assert acls(22, BOTH) == (
        "Write on transactional ids with the prefix z:; Write on any topic, or IdempotentWrite on the cluster"
    )
    assert (
        acls(32, READER) == "DescribeConfigs on the topics kafka-topic-a; DescribeConfigs on groups with the prefix z:"
    )


@pytest.mark.parametrize("name", ["Produce", "produce", "PRODUCE", "0"])
def test_one_api_of_the_stored_zone(api: FakeApi, name: str) -> None:
    api.store(zone())
    result = zonegate("explain", "external-partner-zone", "--api", name, "--alias", "topic-a")

    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "Produce (API 0) on topic-a in zone external-partner-zone, user johndoe"
    assert lines[1] == "decision      allowed: topic-a has WRITE"
    assert lines[2].startswith("alias         topic-a is kafka-topic-a of cluster partner1")


def test_all_apis_of_a_zone_in_a_file(api: FakeApi, write: WriteFile) -> None:
    write("a.yaml", ZONE)
    result = zonegate("explain", "external-partner-zone", "--file", "a.yaml")

    assert (result.exit_code, api.requests) == (0, [])
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["KEY", "API", "DECISION", "ANSWER", "NOTE"]
    assert lines[1].startswith("0    Produce ")
    assert "  refused   TOPIC_AUTHORIZATION_FAILED (29)  " in lines[1]
    assert lines[1].endswith("it needs WRITE, and no alias of the zone has it")
    assert next(line for line in lines if "CreateTopics" in line).endswith("  kafka-topics --create")
    assert [line.split()[0] for line in lines[1:]] == [str(key) for key in sorted(all_apis().values())]


@pytest.mark.usefixtures("terminal")
def test_colours_on_a_terminal(api: FakeApi) -> None:
    api.store(zone())

    assert "\x1b[32mallowed" in zonegate("explain", "external-partner-zone").stdout
    assert "\x1b[31mrefused" in zonegate("explain", "external-partner-zone", "--api", "CreateTopics").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--api", "Produse"], "Kafka has no API 'Produse'; did you mean Produce?"),
        (["--api", "create_topic"], "Kafka has no API 'create_topic'; did you mean CreateTopics?"),
        (["--api", "xyz"], "Kafka has no API 'xyz'; 'zonegate explain ZONE' shows all"),
        (["--alias", "topica"], "zone 'external-partner-zone' has no alias 'topica'; did you mean topic-a?"),
        (["--alias", "x"], "zone 'external-partner-zone' has no alias 'x'; its aliases are: topic-a"),
    ],
)
def test_what_is_not_known(api: FakeApi, arguments: list[str], message: str) -> None:
    api.store(zone())
    result = zonegate("explain", "external-partner-zone", *arguments)

    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"zonegate: {message}\n")


def test_zones_that_are_not_there(api: FakeApi, write: WriteFile) -> None:
    write("a.yaml", ZONE)
    result = zonegate("explain", "external", "--file", "a.yaml")
    assert (result.exit_code, result.stderr) == (
        2,
        "zonegate: there is no zone 'external'; the zones are: external-partner-zone\n",
    )
    result = zonegate("explain", "external")
    assert (result.exit_code, result.stderr) == (1, "zonegate: No partner-zone with this technical id exists\n")


def test_a_zone_of_a_newer_server(api: FakeApi) -> None:
    api.store(zone())["spec"]["newer"] = 1
    result = zonegate("explain", "external-partner-zone")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "use the server's version" in result.stderr
