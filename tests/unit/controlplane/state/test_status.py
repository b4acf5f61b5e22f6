"""A zone's status, from what gateways and the cluster say."""

import pytest

from controlplane.partner_zone import PartnerZone
from controlplane.state.log import StoredZone
from controlplane.state.records import GatewayRecord
from controlplane.state.status import ClusterReport, zone_status
from controlplane.zone_service import Status
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
