"""Zones and credentials through the state topic: what is written, refused, and told."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from controlplane.partner_zone import PartnerZone
from controlplane.state.log import compacted
from controlplane.state.status import ClusterReport
from controlplane.zone_service import (
    ClientAccess,
    Conflict,
    InvalidRequest,
    NotFound,
    Stale,
    Status,
    Unavailable,
    Upserted,
)
from policies.credentials import verify_password
from tests.unit.controlplane.state.edits import Topic, manifest
from tests.unit.controlplane.state.memory import KEY, Node, gateway_record


def zone(name: str = "a", account: str = "johndoe", **spec: Any) -> PartnerZone:
    content = manifest(name, account)
    content["spec"] |= spec
    return PartnerZone.model_validate(content)


async def test_a_zone_is_created_updated_and_left_alone() -> None:
    node = Node(Topic())
    created, first = await node.store.upsert(zone())
    _, again = await node.store.upsert(zone())
    updated, then = await node.store.upsert(zone(description="new"))
    assert (first, again, then) == (Upserted.CREATED, Upserted.NOT_CHANGED, Upserted.UPDATED)
    assert (created.version, updated.version, created.id == updated.id) == (1, 2, True)
    assert updated.updated_at > created.updated_at


async def test_both_spellings_of_the_service_account_are_one() -> None:
    node = Node(Topic())
    content = manifest("a")
    await node.store.upsert(PartnerZone.model_validate(content))
    del content["spec"]["serviceAccount"]
    _, outcome = await node.store.upsert(PartnerZone.model_validate(content))
    del content["spec"]["authenticationMode"]
    content["spec"]["serviceAccount"] = "johndoe"
    content["apiVersion"] = "console/v2"
    content["metadata"] |= {"labels": {}, "id": "x", "status": "READY", "updatedAt": "then"}
    _, then = await node.store.upsert(PartnerZone.model_validate(content))
    assert (outcome, then) == (Upserted.NOT_CHANGED, Upserted.NOT_CHANGED)


async def test_a_dry_run_writes_nothing() -> None:
    node = Node(Topic())
    view, outcome = await node.store.upsert(zone(), dry_run=True)
    assert (outcome, view.resource.metadata.name, node.topic.records) == (Upserted.CREATED, "a", [])


@pytest.mark.parametrize("dry_run", [True, False])
async def test_what_breaks_rules_is_refused_and_nothing_is_written(dry_run: bool) -> None:
    node = Node(Topic(), clusters=("partner1",), admin="root")
    await node.store.upsert(zone("taken", "ann"))
    before = list(node.topic.records)
    with pytest.raises(InvalidRequest, match=r"^spec\.cluster: 'elsewhere' is not configured"):
        await node.store.upsert(zone(cluster="elsewhere"), dry_run)
    with pytest.raises(InvalidRequest, match=r"^spec\.serviceAccount: 'root' is the admin of the settings'"):
        await node.store.upsert(zone(account="root"), dry_run)
    with pytest.raises(Conflict, match=r"^spec\.serviceAccount: 'ann' belongs to zone 'taken' already"):
        await node.store.upsert(zone(account="ann"), dry_run)
    assert node.topic.records == before


async def test_of_two_edits_at_once_one_wins_and_the_other_hears_of_it() -> None:
    topic = Topic()
    one, other = Node(topic), Node(topic)
    await one.store.upsert(zone())
    other.read()
    await one.store.upsert(zone(description="in time"))
    with pytest.raises(Conflict, match="was changed by somebody else at the same time"):
        await other.store.upsert(zone(description="late"))
    one.read()
    assert one.store.zone("a").resource.spec.description == "in time"
    assert other.store.zone("a").resource == one.store.zone("a").resource


async def test_an_account_that_somebody_else_claims_at_the_same_time() -> None:
    topic = Topic()
    one, other = Node(topic), Node(topic)
    await one.store.upsert(zone("a", "joe"))
    with pytest.raises(Conflict, match="'joe' belongs to zone 'a' already"):
        await other.store.upsert(zone("b", "joe"))
    assert [view.resource.metadata.name for view in other.store.zones()] == ["a"]


async def test_an_edit_of_another_version_is_stale() -> None:
    node = Node(Topic())
    await node.store.upsert(zone())
    with pytest.raises(Stale):
        await node.store.upsert(zone(description="x"), version=2)
    with pytest.raises(Stale):
        await node.store.delete("a", version=2)
    await node.store.upsert(zone(description="x"), version=1)
    await node.store.delete("a", version=2)
    with pytest.raises(Stale):
        await node.store.upsert(zone(), version=2)


async def test_a_zone_is_made_only_where_there_is_none() -> None:
    node = Node(Topic())
    await node.store.upsert(zone(), dry_run=True, version=0)
    await node.store.upsert(zone(), version=0)
    for dry_run in (True, False):
        with pytest.raises(Stale):
            await node.store.upsert(zone(description="x"), dry_run, version=0)
    assert node.store.zone("a").version == 1


async def test_a_deleted_zone_is_gone_with_its_passwords() -> None:
    node = Node(Topic())
    await node.store.upsert(zone())
    await node.store.generate("a", None)
    await node.store.delete("a")
    assert (list(node.store.zones()), node.store.credentials()) == ([], [])
    with pytest.raises(NotFound, match="there is no zone 'a'"):
        await node.store.delete("a")
    await node.store.upsert(zone())
    assert node.store.credentials("a") == []
    await asyncio.sleep(0)
    assert len(compacted(node.topic.records)) == 1, "nothing but the zone is left"


async def test_passwords_are_made_listed_and_revoked() -> None:
    node = Node(Topic())
    await node.store.upsert(zone())
    issued = await node.store.generate("a", timedelta(days=90))
    second = await node.store.generate("a", None)
    assert verify_password(issued.password, issued.credential.password_hash)
    assert issued.credential.scram is not None
    assert second.credential.scram is not None
    assert issued.credential.scram.salt == second.credential.scram.salt, "SCRAM names it before it knows the password"
    assert not any(issued.password.encode() in (value or b"") for _, _, value in node.topic.records)
    assert {(each.id, each.state, each.expires is None) for each in node.store.credentials("a")} == {
        (issued.credential.id, "valid", False),
        (second.credential.id, "valid", True),
    }
    revoked = await node.store.revoke(issued.credential.id)
    assert (revoked.id, [each.id for each in node.store.credentials()]) == (
        issued.credential.id,
        [second.credential.id],
    )
    with pytest.raises(NotFound):
        await node.store.revoke(issued.credential.id)
    with pytest.raises(NotFound):
        await node.store.revoke(second.credential.id, zone="other")


async def test_an_expired_password_says_so() -> None:
    node = Node(Topic())
    await node.store.upsert(zone())
    await node.store.generate("a", timedelta(seconds=-5))
    assert [each.state for each in node.store.credentials()] == ["expired"]


async def test_zones_without_passwords_get_none() -> None:
    node = Node(Topic())
    content = manifest("a")
    content["spec"]["authenticationMode"]["type"] = "MTLS"
    await node.store.upsert(PartnerZone.model_validate(content))
    with pytest.raises(Conflict, match="zone 'a' has no passwords: its clients sign in with certificates"):
        await node.store.generate("a", None)
    with pytest.raises(NotFound, match=r"there is no zone 'b'; 'zonegate get PartnerZone -o name' lists them"):
        await node.store.generate("b", None)


async def test_a_password_for_a_zone_that_is_deleted_meanwhile_is_none() -> None:
    topic = Topic()
    one, other = Node(topic), Node(topic)
    await one.store.upsert(zone())
    other.read()
    await one.store.delete("a")
    with pytest.raises(Conflict, match="was deleted meanwhile"):
        await other.store.generate("a", None)


async def test_without_the_topic_nothing_is_written_and_reads_go_on() -> None:
    node = Node(Topic())
    await node.store.upsert(zone())
    node.problem = "it is out of reach"
    for write in (
        node.store.upsert(zone(description="x")),
        node.store.delete("a"),
        node.store.generate("a", None),
        node.store.create_api_key("ci"),
    ):
        with pytest.raises(Unavailable):
            await write
    assert len(list(node.store.zones())) == 1
    assert node.store.state().problem == "it is out of reach"


async def test_a_zone_that_a_newer_version_has_edited_is_left_alone() -> None:
    node = Node(Topic())
    await node.store.upsert(zone())
    node.topic.append(b"zone/a/later", b'{"format":2}')
    node.read()
    with pytest.raises(Conflict, match="it was written by a newer version of zonegate"):
        await node.store.upsert(zone(description="x"))
    with pytest.raises(Conflict, match="it was written by a newer version of zonegate"):
        await node.store.delete("a")
    assert node.store.zone("a").status is Status.FAILED


async def test_the_status_follows_gateways_and_cluster() -> None:
    node = Node(Topic())
    view, _ = await node.store.upsert(zone())
    assert view.status is Status.PENDING, "no gateway lives"
    node.reports["partner1"] = ClusterReport("", {"kafka-topic-a": True})
    node.hear(gateway_record(-1))
    assert node.store.zone("a").status is Status.PENDING, "it has not applied it"
    node.hear(gateway_record(0))
    assert node.store.zone("a").status is Status.READY
    node.reports["partner1"] = ClusterReport("", {"kafka-topic-a": False})
    assert node.store.zone("a").failed_reason == "backing topic 'kafka-topic-a' does not exist"
    node.reports["partner1"] = ClusterReport("", {"kafka-topic-a": True})
    assert node.store.zone("a").status is Status.READY
    node.now = 60.0
    assert node.store.zone("a").status is Status.PENDING, "the gateway has not told of itself for long"


async def test_the_conditions_follow_them_too() -> None:
    node = Node(Topic())
    await node.store.upsert(zone())
    node.reports["partner1"] = ClusterReport("", {"kafka-topic-a": False})
    node.hear(gateway_record(0))
    assert {each.name for each in node.store.conditions("a") if not each.met} == {"Topics"}
    node.reports["partner1"] = ClusterReport("", {"kafka-topic-a": True})
    assert all(each.met for each in node.store.conditions("a"))
    node.now = 60.0
    assert [each.met for each in node.store.conditions("a") if each.name == "Gateways"] == [None]
    with pytest.raises(NotFound):
        node.store.conditions("b")


async def test_topics_to_choose_from() -> None:
    node = Node(Topic(), clusters=("east", "west"))
    assert node.store.clusters() == ("east", "west")
    node.cluster_topics["west"] = ["a", "b"]
    assert await node.store.cluster_topics("west") == ["a", "b"]
    with pytest.raises(InvalidRequest, match=r"^cluster: 'wets' is not configured; .*; did you mean 'west'\?$"):
        await node.store.cluster_topics("wets")
    for error, words in ((OSError("refused"), "refused"), (TimeoutError(), "the brokers did not answer in time")):
        node.cluster_error = error
        with pytest.raises(Unavailable, match=f"cluster 'west' is out of reach: {words}"):
            await node.store.cluster_topics("west")


async def test_where_any_name_of_a_cluster_will_do() -> None:
    node = Node(Topic())
    node.cluster_topics["whatever"] = ["a"]
    assert (node.store.clusters(), await node.store.cluster_topics("whatever")) == ((), ["a"])


async def test_gateways_tell_what_they_serve_and_lack() -> None:
    node = Node(Topic())
    await node.store.upsert(zone())
    await node.store.upsert(zone(description="x"))
    node.hear(gateway_record(0, clusters={"partner1": "no answer"}, refused={"b": "no reason"}))
    (gateway,) = node.store.gateways()
    assert (gateway.applied, gateway.lag) == (0, 1)
    assert list(gateway.problems) == ["cluster partner1: no answer", "zone b: no reason"]


async def test_keys_are_made_found_and_deleted() -> None:
    node = Node(Topic())
    view, key = await node.store.create_api_key("ci")
    assert node.store.api_key(key) == view
    assert not any(key.rpartition("_")[2].encode() in (value or b"") for _, _, value in node.topic.records)
    bootstrap = node.store.api_key(KEY)
    assert bootstrap is not None
    assert bootstrap.name == "the settings' own"
    for wrong in ("", key + "x", key[:-1], f"zonegate_{view.id}_", "zonegate__", "é", "\ud800", KEY[:-1]):
        assert node.store.api_key(wrong) is None
    with pytest.raises(Conflict, match="there is a key named 'ci' already"):
        await node.store.create_api_key("ci")
    await node.store.delete_api_key(view.id)
    assert (node.store.api_key(key), node.store.api_keys()) == (None, [])
    with pytest.raises(NotFound):
        await node.store.delete_api_key(view.id)


async def test_what_a_partner_needs() -> None:
    node = Node(Topic())
    await node.store.upsert(zone())
    assert node.store.kafka_configuration("a") == (
        "bootstrap.servers=gateway.example.com:9094\n"
        "security.protocol=SASL_PLAINTEXT\n"
        "sasl.mechanism=PLAIN\n"
        "sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required "
        'username="johndoe" password="***************";\n'
    )
    assert node.store.access("a") == ClientAccess("gateway.example.com:9094", "SASL_PLAINTEXT", "PLAIN", "johndoe")
    with pytest.raises(NotFound):
        node.store.access("b")


async def test_before_the_topic_was_read_nothing_is_said_of_what_it_holds() -> None:
    """No zones would be a lie, and a stored key is not a wrong one."""
    node = Node(Topic())
    _, key = await node.store.create_api_key("ci")
    node.is_loaded, node.problem = False, "no broker answers"
    for read in (
        node.store.zones,
        lambda: node.store.zone("a"),
        node.store.credentials,
        node.store.api_keys,
        lambda: node.store.api_key(key + "x"),
    ):
        with pytest.raises(Unavailable, match="the state topic _zonegate was not read yet: no broker answers"):
            read()
    for write in (
        node.store.upsert(zone(), dry_run=True),
        node.store.delete("a"),
        node.store.generate("a", None),
        node.store.revoke("c"),
        node.store.delete_api_key("k"),
    ):
        with pytest.raises(Unavailable):
            await write
    assert node.store.api_key(KEY) is not None, "the settings' own is known"
    assert (node.store.gateways(), node.store.state().problem) == ([], "no broker answers")
