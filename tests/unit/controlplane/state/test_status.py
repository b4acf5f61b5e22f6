"""A zone's status, from what gateways and the cluster say."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.partner_zone import PartnerZone
from controlplane.state.log import StoredZone
from controlplane.state.records import GatewayRecord
from controlplane.state.status import ClusterReport, zone_conditions, zone_status
from controlplane.zone_service import Condition, Status
from tests.unit.controlplane.state.edits import manifest
from tests.unit.controlplane.state.memory import gateway_record

ZONE = StoredZone(PartnerZone.model_validate(manifest("a")), "id", 2, 10, "now", b"salt")
THERE = ClusterReport("", {"kafka-topic-a": True})
SERVES = gateway_record(10, clusters={"partner1": ""})


@pytest.mark.parametrize(
    ("live", "report"),
    [
        ([], THERE),
        ([SERVES], None),
        ([SERVES], ClusterReport()),
        ([gateway_record(9)], THERE),
        ([SERVES, gateway_record(9, gateway="g2")], THERE),
        ([gateway_record(9, refused={"a": "an earlier version"})], THERE),
    ],
)
def test_pending_until_all_serve_this_version_and_its_topics_were_seen(
    live: list[GatewayRecord], report: ClusterReport | None
) -> None:
    assert zone_status(ZONE, live, report) == (Status.PENDING, None)


def test_ready() -> None:
    live = [SERVES, gateway_record(11, gateway="g2", worker=1)]
    assert zone_status(ZONE, live, THERE) == (Status.READY, None)


@pytest.mark.parametrize(
    ("live", "report", "reason"),
    [
        ([SERVES], ClusterReport("no answer", THERE.topics), "cluster 'partner1' is out of reach: no answer"),
        ([], ClusterReport("no answer"), "cluster 'partner1' is out of reach: no answer"),
        ([SERVES], ClusterReport("", {"kafka-topic-a": False}), "backing topic 'kafka-topic-a' does not exist"),
        ([gateway_record(10, refused={"a": "why"})], THERE, "gateway g1 can't serve the zone: why"),
        (
            [SERVES, gateway_record(10, worker=3, unusable_modes={"PLAIN": "no listener offers it"})],
            THERE,
            "gateway g1 worker 3 lets nobody in: the zone's mode is PLAIN, and no listener offers it",
        ),
        ([gateway_record(10, clusters={"": "down"})], THERE, "gateway g1 can't reach cluster 'partner1': down"),
        ([gateway_record(10, clusters={"partner1": "down"})], THERE, "gateway g1 can't reach cluster 'partner1': down"),
    ],
)
def test_failed_says_why(live: list[GatewayRecord], report: ClusterReport, reason: str) -> None:
    assert zone_status(ZONE, live, report) == (Status.FAILED, reason)


def test_an_edit_that_can_not_be_read_fails() -> None:
    assert zone_status(ZONE, [SERVES], THERE, "too new") == (Status.FAILED, "too new")


def several(count: int) -> StoredZone:
    content = manifest("a")
    content["spec"]["topics"] = [{"name": f"t{n}", "backingTopic": f"b{n}"} for n in range(count)]
    return StoredZone(PartnerZone.model_validate(content), "id", 2, 10, "now", b"salt")


def test_what_the_gateway_may_not_see_is_not_said_to_be_missing() -> None:
    denied = "TOPIC_AUTHORIZATION_FAILED"
    report = ClusterReport("", {"kafka-topic-a": False}, {"kafka-topic-a": denied})
    _, reason = zone_status(ZONE, [SERVES], report)
    assert reason == f"the gateway's user may not see backing topic 'kafka-topic-a' on the cluster: {denied}"
    hidden = {"b0": denied, "b1": denied, "b3": "UNKNOWN_SERVER_ERROR"}
    _, reason = zone_status(several(4), [SERVES], ClusterReport("", {f"b{n}": False for n in range(4)}, hidden))
    assert reason == (
        f"the gateway's user may not see backing topics 'b0', 'b1' on the cluster: {denied}; "
        "backing topic 'b2' does not exist; "
        "the cluster does not show backing topic 'b3': UNKNOWN_SERVER_ERROR"
    )


def test_many_missing_topics_are_counted() -> None:
    report = ClusterReport("", {f"b{n}": False for n in range(7)})
    _, reason = zone_status(several(7), [SERVES], report)
    assert reason == "backing topics 'b0', 'b1', 'b2', 'b3', 'b4' and 2 more don't exist"


# conditions


def by_name(conditions: Iterable[Condition]) -> dict[str, tuple[bool | None, str]]:
    return {each.name: (each.met, each.detail) for each in conditions}


def test_all_conditions_of_a_zone_that_is_ready() -> None:
    assert by_name(zone_conditions(ZONE, [SERVES], THERE)) == {
        "Stored": (True, "Version 2, since now UTC."),
        "Gateways": (True, "1 gateway is live."),
        "In force": (True, "On the only gateway."),
        "Sign-in": (True, "Clients can sign in with a password."),
        "Cluster": (True, "Cluster 'partner1' answers."),
        "Topics": (True, "The backing topic exists."),
    }


def test_when_it_was_stored_is_readable() -> None:
    zone = StoredZone(ZONE.resource, "id", 3, 10, "2025-01-27T12:55:05.387368Z", b"salt")
    assert by_name(zone_conditions(zone, [], None))["Stored"] == (True, "Version 3, since 2025-01-27 12:55:05 UTC.")


def test_without_a_gateway_and_before_anybody_looked_at_the_cluster_it_is_not_known() -> None:
    found = by_name(zone_conditions(ZONE, [], None))
    assert {name: met for name, (met, _) in found.items() if name != "Stored"} == dict.fromkeys(
        ("Gateways", "In force", "Sign-in", "Cluster", "Topics")
    )
    assert found["Gateways"][1] == "No gateway tells of itself. Start one, or see that it reaches the state topic."
    assert found["Topics"][1] == "They are being looked up on the cluster."


def test_who_lags_behind_is_named() -> None:
    live = [SERVES, *(gateway_record(9, gateway=f"g{n}", worker=0) for n in range(2, 7))]
    assert by_name(zone_conditions(ZONE, live, THERE))["In force"] == (
        None,
        "On 1 of 6 gateways. Not yet on gateway g2 worker 0, gateway g3 worker 0, gateway g4 worker 0 and 2 more: "
        "wait, or look at what it logs.",
    )
    both = [SERVES, gateway_record(10, gateway="g2", worker=0), gateway_record(10, gateway="g2", worker=1)]
    assert by_name(zone_conditions(ZONE, both, THERE))["In force"] == (True, "On all 2 gateways.")
    assert by_name(zone_conditions(ZONE, both, THERE))["Gateways"] == (True, "2 gateways are live.")


def test_what_is_wrong_is_said_with_what_to_do() -> None:
    live = [
        *(gateway_record(10, gateway=f"g{n}", unusable_modes={"PLAIN": "no listener offers it"}) for n in range(5)),
        gateway_record(10, gateway="g7", refused={"a": "why"}, clusters={"partner1": "down"}),
    ]
    found = by_name(zone_conditions(ZONE, live, ClusterReport("no answer", {"kafka-topic-a": False}), "too new"))
    assert found["Stored"] == (False, "Too new.")
    assert found["In force"] == (False, "Gateway g7 can't serve the zone: why. Change the zone so that it can.")
    assert found["Sign-in"][0] is False
    assert found["Sign-in"][1].endswith(
        "gateway g2 lets nobody in: the zone's mode is PLAIN, and no listener offers it; and 2 more. "
        "Change the gateway's settings, or the zone's authentication mode."
    )
    assert found["Cluster"] == (
        False,
        "Gateway g7 can't reach cluster 'partner1': down; cluster 'partner1' is out of reach: no answer. "
        "See that its brokers run, and what the settings say of it.",
    )
    assert found["Topics"] == (None, "They can't be looked up while the cluster is out of reach.")
    missing = by_name(zone_conditions(ZONE, [], ClusterReport("", {"kafka-topic-a": False})))["Topics"]
    assert missing[0] is False
    assert missing[1].startswith("Backing topic 'kafka-topic-a' does not exist. Create what is missing")


RECORDS = st.builds(
    gateway_record,
    st.sampled_from((9, 10, 11)),
    gateway=st.sampled_from(("g1", "g2")),
    worker=st.none() | st.integers(0, 1),
    refused=st.sampled_from(({}, {"a": "why"}, {"b": "why"})),
    unusable_modes=st.sampled_from(({}, {"PLAIN": "x"}, {"MTLS": "x"})),
    clusters=st.sampled_from(({}, {"partner1": ""}, {"partner1": "down"}, {"": "down"}, {"": ""})),
)
REPORTS = st.none() | st.builds(
    ClusterReport,
    st.sampled_from(("", "no answer")),
    st.dictionaries(st.sampled_from(("b0", "b1", "b2")), st.booleans()),
    st.sampled_from(({}, {"b0": "TOPIC_AUTHORIZATION_FAILED"})),
)


@given(st.lists(RECORDS, max_size=3), REPORTS, st.sampled_from((None, "too new")))
def test_conditions_and_status_agree(
    live: list[GatewayRecord], report: ClusterReport | None, unreadable: str | None
) -> None:
    zone = several(2)
    conditions = zone_conditions(zone, live, report, unreadable)
    status, reason = zone_status(zone, live, report, unreadable)
    met = {each.met for each in conditions}
    assert status is (Status.FAILED if False in met else Status.PENDING if None in met else Status.READY)
    assert reason is None or any(reason[1:] in each.detail for each in conditions if each.met is False)
    assert len({each.name for each in conditions}) == len(conditions)
