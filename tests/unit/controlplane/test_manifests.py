"""Every rule of the PartnerZone resource, with the exact words in which its breach is reported."""

import textwrap
from pathlib import Path

import pytest

from controlplane.manifests import load_partner_zones, load_zones
from controlplane.problems import ConfigurationError
from policies.zone import Alias, Permission, Zone, ZoneLimits
from tests.unit.controlplane.conftest import WriteFile

ZONE = """\
apiVersion: v2
kind: PartnerZone
metadata:
  name: external-partner-zone
spec:
  cluster: partner1
  serviceAccount: johndoe
  topics:
  - name: topic-a
    backingTopic: kafka-topic-a
    permission: WRITE
  - name: topic-b
    backingTopic: kafka-topic-a
"""

GUIDE = """\
apiVersion: v2
kind: PartnerZone
metadata:
  name: external-partner-zone
  labels: {team: payments}
spec:
  cluster: partner1
  displayName: External Partner Zone
  description: Why this is shared
  url: https://partner1.com
  authenticationMode: {type: PLAIN, serviceAccount: johndoe}
  topics:
    - {name: topic-a, backingTopic: kafka-topic-a, permission: WRITE}
    - {name: topic-b, backingTopic: kafka-topic-a, permission: READ}
  partner: {name: John Doe, role: Data analyst, email: johndoe@company.io, phone: "07827 837 177"}
  trafficControlPolicies:
    maxProduceRate: 1048576
    maxConsumeRate: 1048576
    limitCommitOffset: 600
  headers:
    addOnProduce: [{key: x-partner, value: "{{user}}", overrideIfExists: true}]
    removeOnConsume: [{keyRegex: "^internal-.*"}]
"""


def errors_of(*cluster_ids: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load_zones(Path("zones"), cluster_ids or None)
    return [str(problem) for problem in caught.value.problems]


def test_a_zone_becomes_what_the_data_plane_needs(write: WriteFile) -> None:
    write("zones/a.yaml", ZONE)

    assert load_zones(Path("zones"), ("partner1",)) == [
        Zone(
            "external-partner-zone",
            "partner1",
            "johndoe",
            (
                Alias("topic-a", "kafka-topic-a", Permission.WRITE),
                Alias("topic-b", "kafka-topic-a", Permission.READ),
            ),
        )
    ]


def test_the_whole_resource_is_kept(write: WriteFile) -> None:
    write("zones/a.yaml", GUIDE)

    (resource,) = load_partner_zones(Path("zones"))
    returned = resource.model_dump(by_alias=True, exclude_none=True)

    assert returned["spec"]["serviceAccount"] == "johndoe"
    assert returned["spec"]["authenticationMode"] == {"type": "PLAIN", "serviceAccount": "johndoe"}
    assert returned["spec"]["partner"]["phone"] == "07827 837 177"
    assert returned["spec"]["headers"]["addOnProduce"] == [
        {"key": "x-partner", "value": "{{user}}", "overrideIfExists": True}
    ]
    assert returned["metadata"]["labels"] == {"team": "payments"}


def test_the_short_spelling_is_returned_in_both(write: WriteFile) -> None:
    write("zones/a.yaml", ZONE)

    (resource,) = load_partner_zones(Path("zones"))

    spec = resource.model_dump(by_alias=True)["spec"]
    assert spec["serviceAccount"] == "johndoe"
    assert spec["authenticationMode"] == {"type": "PLAIN", "serviceAccount": "johndoe"}


def test_what_is_not_enforced_yet_is_known(write: WriteFile) -> None:
    write("zones/a.yaml", GUIDE)
    write("zones/b.yaml", ZONE.replace("external-partner-zone", "b").replace("johndoe", "b"))

    first, second = load_partner_zones(Path("zones"))

    assert first.not_enforced() == ["spec.headers"]
    assert second.not_enforced() == []


def test_which_files_are_read(write: WriteFile) -> None:
    def zone(name: str) -> str:
        return ZONE.replace("external-partner-zone", name).replace("johndoe", f"account-{name}")

    write("zones/b.yml", zone("b"))
    write("zones/a.yaml", f"{zone('a1')}---\n{zone('a2')}---\n")
    write("zones/empty.yaml", "# nothing yet\n")
    write("zones/.hidden.yaml", "{")
    write("zones/notes.txt", "{")
    write("zones/below/c.yaml", "{")

    assert [found.name for found in load_zones(Path("zones"))] == ["a1", "a2", "b"]


@pytest.mark.parametrize("version", ["v2", "console/v2"])
def test_accepted_versions(write: WriteFile, version: str) -> None:
    write("zones/a.yaml", ZONE.replace("apiVersion: v2", f"apiVersion: {version}"))

    assert len(load_zones(Path("zones"))) == 1


RULES = {
    "unknown field with a likely meaning": (
        "  cluster: partner1",
        "  cluster: partner1\n  display_name: X",
        "7: spec.display_name: unknown field; did you mean displayName?",
    ),
    "unknown field": (
        "    permission: WRITE",
        "    compression: gzip",
        "11: spec.topics[0].compression: unknown field; known here: name, backingTopic, permission",
    ),
    "no apiVersion": ("apiVersion: v2\n", "", "1: apiVersion: is missing; add it, for example 'apiVersion: v2'"),
    "wrong apiVersion": (
        "apiVersion: v2",
        "apiVersion: v1",
        "1: apiVersion: 'v1' is not known here; use one of v2, console/v2",
    ),
    "no kind": ("kind: PartnerZone\n", "", "1: kind: is missing; add it, for example 'kind: PartnerZone'"),
    "another kind": (
        "kind: PartnerZone",
        "kind: Topic",
        "2: kind: 'Topic' is not known here; the only kind is PartnerZone",
    ),
    "no name": (
        "  name: external-partner-zone",
        "  labels: {}",
        "3: metadata.name: is missing; add it, for example 'name: external-partner-zone'",
    ),
    "illegal name": (
        "name: external-partner-zone",
        "name: External Zone",
        "4: metadata.name: 'External Zone' is not a zone name; "
        "use 1 to 63 lower-case letters, digits, '_', '.' and '-'",
    ),
    "name that is a number": (
        "name: external-partner-zone",
        "name: 2025",
        "4: metadata.name: 2025 is a number and text is needed; put it in quotes",
    ),
    "label that is no text": (
        "  name: external-partner-zone",
        "  name: external-partner-zone\n  labels: {paid: true}",
        "5: metadata.labels.paid: true is true or false and text is needed; put it in quotes",
    ),
    "no cluster": (
        "  cluster: partner1\n",
        "",
        "5: spec.cluster: is missing; add it, for example 'cluster: partner1'",
    ),
    "empty cluster": ("cluster: partner1", "cluster: ''", "6: spec.cluster: is empty; write a value"),
    "no service account": (
        "  serviceAccount: johndoe\n",
        "",
        "5: spec.serviceAccount: is missing; add it, for example 'serviceAccount: johndoe'",
    ),
    "illegal service account": (
        "serviceAccount: johndoe",
        "serviceAccount: 'john\\0'".replace("'", '"'),
        "7: spec.serviceAccount: 'john\\x00' is not a service account; "
        "use 1 to 255 printable characters without a space at either end",
    ),
    "contradicting service accounts": (
        "  serviceAccount: johndoe",
        "  serviceAccount: johndoe\n  authenticationMode: {serviceAccount: jane}",
        "8: spec.authenticationMode.serviceAccount: 'jane' contradicts spec.serviceAccount 'johndoe'; keep one of them",
    ),
    "an unknown mechanism": (
        "  serviceAccount: johndoe",
        "  authenticationMode: {type: SCRAM, serviceAccount: johndoe}",
        "7: spec.authenticationMode.type: 'SCRAM' is not known here; use one of PLAIN, OAUTHBEARER, MTLS",
    ),
    "the same alias twice": (
        "  - name: topic-b",
        "  - name: topic-a",
        "12: spec.topics[1].name: another topic of this zone is named 'topic-a' already; give each its own name",
    ),
    "illegal alias": (
        "- name: topic-b",
        "- name: topic b",
        "12: spec.topics[1].name: 'topic b' is not a legal topic name; use letters, digits, '.', '_' and '-' only",
    ),
    "no backing topic": (
        "    backingTopic: kafka-topic-a\n    permission",
        "    permission",
        "9: spec.topics[0].backingTopic: is missing; add it, for example 'backingTopic: kafka-topic-a'",
    ),
    "illegal backing topic": (
        "backingTopic: kafka-topic-a\n    permission",
        "backingTopic: ..\n    permission",
        "10: spec.topics[0].backingTopic: '..' is not a legal topic name",
    ),
    "unknown permission": (
        "permission: WRITE",
        "permission: ADMIN",
        "11: spec.topics[0].permission: 'ADMIN' is not known here; use one of READ, WRITE",
    ),
    "two writers of one backing topic": (
        "  - name: topic-b\n",
        "  - name: topic-b\n    permission: WRITE\n",
        "13: spec.topics[1].permission: 'topic-a' and 'topic-b' both have WRITE on 'kafka-topic-a'; "
        "only one alias of a backing topic may, so give the other READ",
    ),
    "topics of the wrong form": (
        "  cluster: partner1\n  serviceAccount: johndoe\n  topics:",
        "  cluster: partner1\n  serviceAccount: johndoe\n  url: [x]\n  topics:",
        "8: spec.url: a list does not fit; write text here, in quotes if it looks like a number",
    ),
    "a partner without a name": (
        "  cluster: partner1",
        "  cluster: partner1\n  partner: {role: Data analyst}",
        "7: spec.partner.name: is missing; add it, for example 'name: John Doe'",
    ),
    "a limit of nothing": (
        "  cluster: partner1",
        "  cluster: partner1\n  trafficControlPolicies:\n    maxProduceRate: 0",
        "8: spec.trafficControlPolicies.maxProduceRate: 0 is too small; use a number greater than 0",
    ),
    "a negative limit": (
        "  cluster: partner1",
        "  cluster: partner1\n  trafficControlPolicies: {limitCommitOffset: -1}",
        "7: spec.trafficControlPolicies.limitCommitOffset: -1 is too small; use a number greater than 0",
    ),
    "a limit with a unit": (
        "  cluster: partner1",
        "  cluster: partner1\n  trafficControlPolicies: {maxConsumeRate: 1MB}",
        "7: spec.trafficControlPolicies.maxConsumeRate: '1MB' does not fit; "
        "write a whole number, for example 'maxConsumeRate: 1048576'",
    ),
    "a limit with a fraction": (
        "  cluster: partner1",
        "  cluster: partner1\n  trafficControlPolicies: {limitCommitOffset: 1.5}",
        "7: spec.trafficControlPolicies.limitCommitOffset: 1.5 does not fit; "
        "write a whole number, for example 'limitCommitOffset: 600'",
    ),
    "a limit that is a switch": (
        "  cluster: partner1",
        "  cluster: partner1\n  trafficControlPolicies: {maxProduceRate: yes}",
        "7: spec.trafficControlPolicies.maxProduceRate: 'yes' does not fit; "
        "write a whole number, for example 'maxProduceRate: 1048576'",
    ),
    "a limit in quotes": (
        "  cluster: partner1",
        "  cluster: partner1\n  trafficControlPolicies: {maxProduceRate: '1000'}",
        "7: spec.trafficControlPolicies.maxProduceRate: '1000' does not fit; "
        "write a whole number, for example 'maxProduceRate: 1048576'",
    ),
    "a limit beyond all measure": (
        "  cluster: partner1",
        "  cluster: partner1\n  trafficControlPolicies: {maxProduceRate: 9223372036854775808}",
        "7: spec.trafficControlPolicies.maxProduceRate: 9223372036854775808 is too large; "
        "use 9223372036854775807 or less",
    ),
    "an unknown limit": (
        "  cluster: partner1",
        "  cluster: partner1\n  trafficControlPolicies: {maxProducerRate: 1000}",
        "7: spec.trafficControlPolicies.maxProducerRate: unknown field; did you mean maxProduceRate?",
    ),
    "a header without all its fields": (
        "  cluster: partner1",
        "  cluster: partner1\n  headers:\n    addOnProduce:\n    - {key: a, value: b}",
        "9: spec.headers.addOnProduce[0].overrideIfExists: is missing; add it, for example 'overrideIfExists: true'",
    ),
    "a header flag that is text": (
        "  cluster: partner1",
        "  cluster: partner1\n  headers: {addOnProduce: [{key: a, value: b, overrideIfExists: yes}]}",
        "7: spec.headers.addOnProduce[0].overrideIfExists: 'yes' does not fit; write true or false",
    ),
    "a broken regular expression": (
        "  cluster: partner1",
        "  cluster: partner1\n  headers: {removeOnConsume: [{keyRegex: '('}]}",
        "7: spec.headers.removeOnConsume[0].keyRegex: '(' is not a regular expression: "
        "missing ), unterminated subpattern at position 0",
    ),
}


@pytest.mark.parametrize(("before", "after", "error"), RULES.values(), ids=RULES.keys())
def test_a_rule(write: WriteFile, before: str, after: str, error: str) -> None:
    assert ZONE.count(before) == 1
    write("zones/a.yaml", ZONE.replace(before, after))

    assert errors_of() == [f"zones/a.yaml:{error}"]


@pytest.mark.parametrize(
    "topic",
    ["__consumer_offsets", "__transaction_state", "__share_group_state", "__cluster_metadata", "_zonegate"],
)
def test_internal_topics_are_never_shared(write: WriteFile, topic: str) -> None:
    write("zones/a.yaml", ZONE.replace("kafka-topic-a\n    permission", f"{topic}\n    permission"))

    assert errors_of() == [
        f"zones/a.yaml:10: spec.topics[0].backingTopic: {topic!r} is an internal topic and cannot be shared; "
        "name a topic of your own"
    ]


@pytest.mark.parametrize("topics", ["topics: []", "topics:"])
def test_at_least_one_topic(write: WriteFile, topics: str) -> None:
    write("zones/a.yaml", ZONE[: ZONE.index("topics:")] + topics + "\n")

    (error,) = errors_of()

    assert error.startswith("zones/a.yaml:8: spec.topics: ")
    assert "needs at least one entry, for example" in error or "is empty; write a list here" in error


def test_another_cluster_than_the_configured_one(write: WriteFile) -> None:
    write("zones/a.yaml", ZONE)

    assert errors_of("main") == [
        "zones/a.yaml:6: spec.cluster: 'partner1' is not configured; the configured cluster is 'main'"
    ]


def test_a_zone_is_defined_once(write: WriteFile) -> None:
    write("zones/a.yaml", ZONE)
    write("zones/b.yaml", "# the same\n" + ZONE)

    assert errors_of() == [
        "zones/b.yaml:5: metadata.name: zone 'external-partner-zone' is defined already in zones/a.yaml:4; "
        "rename or remove one"
    ]


def test_a_service_account_belongs_to_one_zone(write: WriteFile) -> None:
    write("zones/a.yaml", ZONE)
    second = ZONE.replace("external-partner-zone", "second")
    write("zones/b.yaml", second.replace("serviceAccount: johndoe", "authenticationMode: {serviceAccount: johndoe}"))

    assert errors_of() == [
        "zones/b.yaml:7: spec.authenticationMode.serviceAccount: 'johndoe' belongs to zone 'external-partner-zone' "
        "already (zones/a.yaml:7); a service account belongs to one zone only"
    ]


def test_two_zones_may_write_to_one_topic(write: WriteFile) -> None:
    write("zones/a.yaml", ZONE)
    write("zones/b.yaml", ZONE.replace("external-partner-zone", "second").replace("johndoe", "jane"))

    assert len(load_zones(Path("zones"))) == 2


def test_everything_wrong_in_every_file_is_reported_at_once(write: WriteFile) -> None:
    write("zones/a.yaml", "a: [")
    write("zones/b.yaml", ZONE.replace("  cluster: partner1\n", "").replace("WRITE", "ADMIN"))
    write("zones/c.yaml", "just text")
    write("zones/d.yaml", textwrap.dedent(ZONE).replace("name: topic-b", "name: topic-a"))

    assert [error.partition(": ")[0] for error in errors_of()] == [
        "zones/a.yaml:2",
        "zones/b.yaml:5",
        "zones/b.yaml:10",
        "zones/c.yaml:1",
        "zones/d.yaml:12",
    ]


def test_a_manifest_is_a_group_of_fields(write: WriteFile) -> None:
    write("zones/a.yaml", "- 1\n")

    assert errors_of() == ["zones/a.yaml:1: is not a manifest; write apiVersion, kind: PartnerZone, metadata and spec"]


def test_a_folder_that_is_not_there(write: WriteFile) -> None:
    write("elsewhere.yaml", "")

    assert errors_of() == [
        "zones: cannot be read: No such file or directory; name a folder that holds PartnerZone manifests"
    ]


@pytest.mark.parametrize("limit", [1, 2**63 - 1])
def test_the_smallest_and_the_largest_limit(write: WriteFile, limit: int) -> None:
    spec = f"  cluster: partner1\n  trafficControlPolicies: {{maxProduceRate: {limit}, limitCommitOffset: {limit}}}"
    write("zones/a.yaml", ZONE.replace("  cluster: partner1", spec))

    (zone,) = load_partner_zones(Path("zones"))

    assert zone.to_zone().limits == ZoneLimits(produce_rate=limit, commits_per_minute=limit)


@pytest.mark.parametrize("policies", ["", "{}", "{maxProduceRate: }", "{maxProduceRate: null}"])
def test_no_limit(write: WriteFile, policies: str) -> None:
    spec = f"  cluster: partner1\n  trafficControlPolicies: {policies}"
    write("zones/a.yaml", ZONE.replace("  cluster: partner1", spec))

    (zone,) = load_partner_zones(Path("zones"))

    assert zone.to_zone().limits == ZoneLimits()
