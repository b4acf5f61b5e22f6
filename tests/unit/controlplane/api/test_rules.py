"""Every rule of the resource, with the text that a caller is told."""

from typing import Any

import httpx
import pytest

from tests.unit.controlplane.api.conftest import ZONES, resource
from tests.unit.controlplane.api.memory_service import MemoryService

LEGAL = "use letters, digits, '.', '_' and '-' only"
TOPIC = {"name": "a", "backingTopic": "b"}


def topics(*entries: dict[str, Any]) -> dict[str, Any]:
    return resource(topics=[TOPIC | entry for entry in entries])


def renamed(name: Any) -> dict[str, Any]:
    changed = resource()
    changed["metadata"]["name"] = name
    return changed


def without(*path: str) -> dict[str, Any]:
    changed = section = resource()
    for step in path[:-1]:
        section = section[step]
    del section[path[-1]]
    return changed


def added(field: str, value: Any, *path: str) -> dict[str, Any]:
    changed = section = resource()
    for step in path:
        section = section[step]
    section[field] = value
    return changed


TYPES = "use one of PLAIN, OAUTHBEARER, MTLS"
NOT_A_ZONE = "is not a zone name; use 1 to 63 lower-case letters, digits, '_', '.' and '-'"
INTERNAL = "is an internal topic and cannot be shared; name a topic of your own"
NOT_AN_ACCOUNT = "is not a service account; use 1 to 255 printable characters without a space at either end"
WHOLE = "write a whole number, for example 'maxProduceRate: 1048576'"
MAX_INT64 = 2**63 - 1

RULES: dict[str, tuple[Any, str]] = {
    "an unknown field": (
        added("color", "red"),
        "color: unknown field; known here: apiVersion, kind, metadata, spec",
    ),
    "a misspelt field": (
        added("displayname", "x", "spec"),
        "spec.displayname: unknown field; did you mean displayName?",
    ),
    "an unknown field of a topic": (
        topics({"permision": "READ"}),
        "spec.topics[0].permision: unknown field; did you mean permission?",
    ),
    "no apiVersion": (without("apiVersion"), "apiVersion: is missing; add it, for example 'apiVersion: v2'"),
    "another apiVersion": (added("apiVersion", "v3"), "apiVersion: 'v3' is not known here; use one of v2, console/v2"),
    "another kind": (added("kind", "Topic"), "kind: 'Topic' is not known here; write PartnerZone"),
    "no metadata": (
        without("metadata"),
        "metadata: is missing; add it, for example 'metadata: {name: external-partner-zone}'",
    ),
    "no name": (
        without("metadata", "name"),
        "metadata.name: is missing; add it, for example 'name: external-partner-zone'",
    ),
    "an empty name": (renamed(""), f"metadata.name: '' {NOT_A_ZONE}"),
    "a name in capitals": (renamed("Zone"), f"metadata.name: 'Zone' {NOT_A_ZONE}"),
    "a name with a colon": (renamed("a:b"), f"metadata.name: 'a:b' {NOT_A_ZONE}"),
    "a name with a line's end": (renamed("a\n"), f"metadata.name: 'a\\n' {NOT_A_ZONE}"),
    "a long name": (renamed("a" * 64), f"metadata.name: '{'a' * 64}' {NOT_A_ZONE}"),
    "the admin's name": (
        renamed("passthrough"),
        "metadata.name: 'passthrough' is reserved for the admin's access to the cluster itself; choose another name",
    ),
    "a number for a name": (
        renamed(7),
        "metadata.name: 7 is a number and text is needed; put it in quotes",
    ),
    "a number for a label": (
        added("labels", {"team": 1}, "metadata"),
        "metadata.labels.team: 1 is a number and text is needed; put it in quotes",
    ),
    "no spec": (without("spec"), "spec: is missing; add it"),
    "no cluster": (
        without("spec", "cluster"),
        "spec.cluster: is missing; add it, for example 'cluster: partner1'",
    ),
    "an empty cluster": (resource(cluster=" "), "spec.cluster: is empty; write a value"),
    "no service account": (
        without("spec", "serviceAccount"),
        "spec.serviceAccount: is missing; add it, for example 'serviceAccount: johndoe'",
    ),
    "an empty service account": (resource(serviceAccount=""), f"spec.serviceAccount: '' {NOT_AN_ACCOUNT}"),
    "a service account with space": (resource(serviceAccount="a "), f"spec.serviceAccount: 'a ' {NOT_AN_ACCOUNT}"),
    "two service accounts": (
        resource(authenticationMode={"serviceAccount": "jane"}),
        "spec.authenticationMode.serviceAccount: 'jane' contradicts spec.serviceAccount 'johndoe'; keep one of them",
    ),
    "another type": (
        resource(authenticationMode={"type": "plain", "serviceAccount": "johndoe"}),
        f"spec.authenticationMode.type: 'plain' is not known here; {TYPES}",
    ),
    "no topics": (
        without("spec", "topics"),
        "spec.topics: is missing; add it, for example 'topics: [{name: topic-a, backingTopic: kafka-topic-a}]'",
    ),
    "an empty list of topics": (
        resource(topics=[]),
        "spec.topics: needs at least one entry, for example 'topics: [{name: topic-a, backingTopic: kafka-topic-a}]'",
    ),
    "topics that are none": (
        resource(topics="a"),
        "spec.topics: 'a' does not fit; write a list here, each entry on a line that starts with '- '",
    ),
    "one name twice": (
        topics({}, {"backingTopic": "c"}),
        "spec.topics[1].name: another topic of this zone is named 'a' already; give each its own name",
    ),
    "an illegal alias": (topics({"name": "a b"}), f"spec.topics[0].name: 'a b' is not a legal topic name; {LEGAL}"),
    "an empty alias": (topics({"name": ""}), "spec.topics[0].name: a topic name cannot be empty"),
    "two dots": (topics({"name": ".."}), "spec.topics[0].name: '..' is not a legal topic name"),
    "a long alias": (
        topics({"name": "a" * 250}),
        "spec.topics[0].name: a topic name has at most 249 characters, this one has 250",
    ),
    "no backing topic": (
        resource(topics=[{"name": "a"}]),
        "spec.topics[0].backingTopic: is missing; add it, for example 'backingTopic: kafka-topic-a'",
    ),
    "an illegal backing topic": (
        topics({"backingTopic": "ä"}),
        f"spec.topics[0].backingTopic: 'ä' is not a legal topic name; {LEGAL}",
    ),
    "Kafka's own topic": (
        topics({"backingTopic": "__consumer_offsets"}),
        f"spec.topics[0].backingTopic: '__consumer_offsets' {INTERNAL}",
    ),
    "our own topic": (topics({"backingTopic": "_zonegate"}), f"spec.topics[0].backingTopic: '_zonegate' {INTERNAL}"),
    "another permission": (
        topics({"permission": "ALL"}),
        "spec.topics[0].permission: 'ALL' is not known here; use one of READ, WRITE",
    ),
    "two writers": (
        topics({"permission": "WRITE"}, {"name": "c", "permission": "WRITE"}),
        "spec.topics[1].permission: 'a' and 'c' both have WRITE on 'b'; only one alias of a backing topic may, "
        "so give the other READ",
    ),
    "no name of the partner": (
        resource(partner={"role": "x"}),
        "spec.partner.name: is missing; add it, for example 'name: John Doe'",
    ),
    "a limit of nothing": (
        resource(trafficControlPolicies={"maxProduceRate": 0}),
        "spec.trafficControlPolicies.maxProduceRate: 0 is too small; use a number greater than 0",
    ),
    "a negative limit": (
        resource(trafficControlPolicies={"limitCommitOffset": -1}),
        "spec.trafficControlPolicies.limitCommitOffset: -1 is too small; use a number greater than 0",
    ),
    "a limit beyond int64": (
        resource(trafficControlPolicies={"maxConsumeRate": MAX_INT64 + 1}),
        f"spec.trafficControlPolicies.maxConsumeRate: {MAX_INT64 + 1} is too large; use {MAX_INT64} or less",
    ),
    "a fraction of a limit": (
        resource(trafficControlPolicies={"maxProduceRate": 1.5}),
        f"spec.trafficControlPolicies.maxProduceRate: 1.5 does not fit; {WHOLE}",
    ),
    "a limit in quotes": (
        resource(trafficControlPolicies={"maxProduceRate": "1"}),
        f"spec.trafficControlPolicies.maxProduceRate: '1' does not fit; {WHOLE}",
    ),
    "a header without a key": (
        resource(headers={"addOnProduce": [{"key": "", "value": "", "overrideIfExists": False}]}),
        "spec.headers.addOnProduce[0].key: is empty; write a value",
    ),
    "a header that says less": (
        resource(headers={"addOnProduce": [{"key": "a", "value": "b"}]}),
        "spec.headers.addOnProduce[0].overrideIfExists: is missing; add it, for example 'overrideIfExists: true'",
    ),
    "no regular expression": (
        resource(headers={"removeOnConsume": [{"keyRegex": "("}]}),
        "spec.headers.removeOnConsume[0].keyRegex: '(' is not a regular expression: "
        "missing ), unterminated subpattern at position 0",
    ),
}


@pytest.mark.parametrize("dry_mode", ["true", "false"])
@pytest.mark.parametrize(("body", "cause"), RULES.values(), ids=RULES.keys())
async def test_a_broken_rule(
    client: httpx.AsyncClient, service: MemoryService, body: Any, cause: str, dry_mode: str
) -> None:
    response = await client.put(ZONES, json=body, params={"dryMode": dry_mode})
    assert response.json() == {"title": "The request is not valid", "cause": cause}
    assert response.status_code == 400
    assert not service.zones()


async def test_the_cluster_must_be_configured(client: httpx.AsyncClient, service: MemoryService) -> None:
    service.cluster_ids = ("main",)
    response = await client.put(ZONES, json=resource())
    assert (response.status_code, response.json()["cause"]) == (
        400,
        "spec.cluster: 'partner1' is not configured; the configured cluster is 'main'",
    )


async def test_all_mistakes_are_told_at_once(client: httpx.AsyncClient) -> None:
    response = await client.put(ZONES, json=resource("Z", cluster="", topics=[{"name": "", "backingTopic": "b"}]))
    assert response.json()["cause"].splitlines() == [
        f"metadata.name: 'Z' {NOT_A_ZONE}",
        "spec.cluster: is empty; write a value",
        "spec.topics[0].name: a topic name cannot be empty",
    ]


async def test_but_not_without_end(client: httpx.AsyncClient) -> None:
    response = await client.put(ZONES, json=resource(topics=[{"name": "", "backingTopic": "b"}] * 1000))
    lines = response.json()["cause"].splitlines()
    assert (len(lines), lines[-1]) == (101, "and 900 more")


@pytest.mark.parametrize(
    "body",
    [
        topics({"name": "a", "permission": "WRITE"}, {"name": "c"}, {"name": "d"}),
        renamed("a" * 63),
        resource(serviceAccount=None, authenticationMode={"type": "OAUTHBEARER", "serviceAccount": "x"}),
        resource(authenticationMode={"serviceAccount": "johndoe"}),
        resource(trafficControlPolicies={"maxProduceRate": MAX_INT64}),
        added("status", "FAILED", "metadata"),
        added("failedReason", None, "metadata"),
    ],
)
async def test_what_is_legal(client: httpx.AsyncClient, body: Any) -> None:
    response = await client.put(ZONES, json=body)
    assert response.status_code == 200, response.text
