"""Throttling is seen: metrics of the limits, and the lines that tell when a zone's throttling starts and has ended."""

import asyncio
import dataclasses
import logging
from collections.abc import Callable
from math import inf
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from pytest import approx

from policies.zone import ZoneLimits
from proxy.close import CloseReason
from proxy.gateway import Gateway
from proxy.traffic import Kind, Limiter
from proxy.traffic_metrics import TrafficMetrics
from tests.unit.proxy.playbook import CONFIG, ZONE, Dialogue, Playbook
from tests.unit.proxy.test_offsets import commit
from tests.unit.proxy.test_produce import batch, stored

PRODUCE, COMMIT = 0, 8
LIMITED = dataclasses.replace(ZONE, limits=ZoneLimits(1_000, 2_000, 60))
FREE = dataclasses.replace(LIMITED, limits=ZoneLimits())

Line = dict[str, Any]


def produces(dialogue: Dialogue, size: int, acks: int = -1) -> int:
    """One request with so many bytes of records; the `throttle_time_ms` of its answer comes back."""
    message = batch(9, {"orders": [0]}, acks=acks)
    message.topic_data[0].partition_data[0].records = bytes(size)
    dialogue.client_sends(PRODUCE, 9, message)
    got = dialogue.broker_gets()
    if not acks:
        return 0
    dialogue.broker_answers(got, stored(got))
    return int(dialogue.client_receives().throttle_time)


def series(playbook: Playbook) -> dict[str, float]:
    """What is scraped: 'name kind' -> value, of the usual zone."""
    metrics = TrafficMetrics(playbook.registry)
    found = {}
    for family in metrics.collect():
        for sample in family.samples:
            assert sample.labels["zone"] == ZONE.name
            found[f"{sample.name.removeprefix('zonegate_')} {sample.labels['kind']}"] = sample.value
    return found


def of_kind(playbook: Playbook, kind: Kind) -> dict[str, float]:
    ending = f" {kind}"
    return {name.removesuffix(ending): value for name, value in series(playbook).items() if name.endswith(ending)}


def told(playbook: Playbook) -> list[Line]:
    """The lines about throttling so far, without what all lines have."""
    lines = [line for line in playbook.audited if line["event"].startswith("throttling")]
    return [{name: value for name, value in line.items() if name not in ("version", "zone")} for line in lines]


def passes(playbook: Playbook, seconds: float) -> None:
    """Time passes, in the ticks of the gateway."""
    for _ in range(int(seconds * 2)):
        playbook.loop.advance(0.5)
        playbook.throttled.tick()


# metrics


def test_a_zone_without_limits_has_no_series() -> None:
    with Playbook() as playbook:
        produces(playbook.signed_in(), 5_000)
        assert series(playbook) == {}


def test_a_zone_that_nobody_has_signed_in_to_has_no_series() -> None:
    with Playbook([LIMITED]) as playbook:
        assert series(playbook) == {}
        playbook.signed_in()
        assert len(series(playbook)) == 18


def test_each_limit_has_its_series_in_its_own_unit() -> None:
    with Playbook([LIMITED]) as playbook:
        playbook.signed_in()
        nothing = {"throttled_connections": 0, "throttled_requests_total": 0, "throttled_seconds_total": 0}
        assert of_kind(playbook, Kind.PRODUCE) == nothing | {
            "traffic_limit_bytes_per_second": 1_000,
            "traffic_limit_share_bytes_per_second": 1_000,
            "traffic_rate_bytes_per_second": 0,
        }
        assert of_kind(playbook, Kind.CONSUME) == nothing | {
            "traffic_limit_bytes_per_second": 2_000,
            "traffic_limit_share_bytes_per_second": 2_000,
            "traffic_rate_bytes_per_second": 0,
        }
        assert of_kind(playbook, Kind.COMMIT) == nothing | {
            "traffic_limit_commits_per_minute": 60,
            "traffic_limit_share_commits_per_minute": 60,
            "traffic_rate_commits_per_minute": 0,
        }


def test_only_the_limits_that_are_configured_have_series() -> None:
    with Playbook([dataclasses.replace(ZONE, limits=ZoneLimits(commits_per_minute=7))]) as playbook:
        playbook.signed_in()
        assert {name.split()[1] for name in series(playbook)} == {"commit"}
        assert of_kind(playbook, Kind.COMMIT)["traffic_limit_commits_per_minute"] == 7


def test_the_rate_is_that_of_the_last_ten_seconds() -> None:
    with Playbook([LIMITED]) as playbook:
        dialogue = playbook.signed_in()
        for _ in range(20):
            assert produces(dialogue, 500) == 5  # the broker's own
            playbook.loop.advance(1.0)
        # nine whole seconds of ten
        assert of_kind(playbook, Kind.PRODUCE)["traffic_rate_bytes_per_second"] == 500
        playbook.loop.advance(9.0)
        assert of_kind(playbook, Kind.PRODUCE)["traffic_rate_bytes_per_second"] == 0


def test_the_rate_of_commits_is_per_minute() -> None:
    with Playbook([LIMITED]) as playbook:
        dialogue = playbook.signed_in()
        for _ in range(10):
            dialogue.client_sends(COMMIT, 7, commit(7, {"invoices": {0: 1}}))
            dialogue.broker_gets()
            playbook.loop.advance(2.0)
        # the last nine seconds had four of them
        assert of_kind(playbook, Kind.COMMIT)["traffic_rate_commits_per_minute"] == approx(60 * 4 / 9)


def test_the_share_of_a_process_is_told_beside_the_zones_limit() -> None:
    with Playbook([LIMITED]) as playbook:
        playbook.zone().traffic[Kind.PRODUCE].use_share(0.25, 0.5, inf)
        found = of_kind(playbook, Kind.PRODUCE)
        assert found["traffic_limit_bytes_per_second"] == 1_000
        assert found["traffic_limit_share_bytes_per_second"] == 250


def test_a_process_without_any_share_counts_no_endless_wait() -> None:
    with Playbook([LIMITED]) as playbook:
        playbook.zone().traffic[Kind.PRODUCE].use_share(0.0, 0.0, inf)
        produces(playbook.signed_in(), 5_000)
        playbook.loop.advance(3.0)
        assert of_kind(playbook, Kind.PRODUCE)["throttled_seconds_total"] == 3.0


def test_time_and_requests_in_throttle() -> None:
    with Playbook([LIMITED]) as playbook:
        dialogue = playbook.signed_in()
        assert produces(dialogue, 1_000) == 5  # all that was in stock
        assert produces(dialogue, 3_000) == 3_000
        found = of_kind(playbook, Kind.PRODUCE)
        # time counts as it passes, not as it is promised
        assert (found["throttled_connections"], found["throttled_seconds_total"]) == (1, 0)
        playbook.loop.advance(2.0)
        assert of_kind(playbook, Kind.PRODUCE)["throttled_seconds_total"] == 2.0
        playbook.loop.advance(10.0)
        found = of_kind(playbook, Kind.PRODUCE)
        assert found["throttled_connections"] == 0
        assert found["throttled_seconds_total"] == approx(3.0)
        assert found["throttled_requests_total"] == 1


def test_requests_in_one_pipeline_count_the_time_once() -> None:
    """Each is held until the one before is paid, by a client that waits for no answer."""
    with Playbook([LIMITED]) as playbook:
        dialogue = playbook.signed_in()
        message = batch(9, {"orders": [0]}, acks=0)
        message.topic_data[0].partition_data[0].records = bytes(2_000)
        dialogue.client_sends_bytes(b"".join(dialogue.request(PRODUCE, 9, message)[1] for _ in range(3)))
        for _ in range(12):
            playbook.loop.advance(0.5)
            dialogue.broker.sent.clear()
        found = of_kind(playbook, Kind.PRODUCE)
        # 6,000 bytes less the burst; six seconds have passed
        assert found["throttled_seconds_total"] == approx(5.0)
        assert found["throttled_requests_total"] == 3


def test_two_connections_wait_for_themselves() -> None:
    with Playbook([LIMITED]) as playbook:
        first, second = playbook.signed_in(), playbook.signed_in()
        produces(first, 2_000)
        produces(second, 1_000)
        assert of_kind(playbook, Kind.PRODUCE)["throttled_connections"] == 2
        playbook.loop.advance(5.0)
        assert of_kind(playbook, Kind.PRODUCE)["throttled_seconds_total"] == approx(4.0)


def test_a_connection_that_is_gone_waits_no_more() -> None:
    with Playbook([LIMITED]) as playbook:
        dialogue = playbook.signed_in()
        produces(dialogue, 9_000)
        playbook.loop.advance(1.0)
        dialogue.client.hang_up()
        dialogue.expect_end(CloseReason.CLIENT_CLOSED)
        found = of_kind(playbook, Kind.PRODUCE)
        assert (found["throttled_connections"], found["throttled_seconds_total"]) == (0, 1.0)
        playbook.loop.advance(1.0)
        assert of_kind(playbook, Kind.PRODUCE)["throttled_seconds_total"] == 1.0


def test_a_removed_limit_keeps_its_counters_only() -> None:
    with Playbook([LIMITED]) as playbook:
        dialogue = playbook.signed_in()
        produces(dialogue, 3_000)
        playbook.loop.advance(1.0)
        playbook.apply([FREE])
        counters = {"throttled_requests_total": 1, "throttled_seconds_total": 1.0}
        assert of_kind(playbook, Kind.PRODUCE) == counters
        playbook.loop.advance(5.0)
        produces(dialogue, 3_000)
        assert of_kind(playbook, Kind.PRODUCE) == counters
        playbook.apply([LIMITED])
        assert of_kind(playbook, Kind.PRODUCE).items() >= counters.items()
        produces(dialogue, 2_000)
        assert of_kind(playbook, Kind.PRODUCE)["throttled_requests_total"] == 2


def test_a_zone_that_is_removed_and_added_again_is_exposed_once() -> None:
    with Playbook([LIMITED]) as playbook:
        registry = CollectorRegistry()
        registry.register(TrafficMetrics(playbook.registry))
        produces(playbook.signed_in(), 3_000)
        playbook.apply([])
        assert b"{" not in generate_latest(registry)
        playbook.apply([LIMITED])
        text = generate_latest(registry).decode()
        assert text.count('zonegate_throttled_requests_total{kind="produce",zone="partner"} 0.0\n') == 1
        assert text.count('zonegate_traffic_limit_bytes_per_second{kind="produce",zone="partner"} 1000.0\n') == 1


# the audit log


def test_starts_at_once_and_ends_ten_seconds_after_the_last() -> None:
    with Playbook([LIMITED]) as playbook:
        dialogue = playbook.signed_in()
        produces(dialogue, 1_000)
        assert told(playbook) == []
        produces(dialogue, 2_500)
        assert playbook.audited[-1] == {
            "time": "2030-03-17T17:46:40.000Z",
            "version": 1,
            "event": "throttling_started",
            "zone": "partner",
            "kind": "produce",
            "limit": 1_000,
        }
        passes(playbook, 12.0)
        assert len(told(playbook)) == 1
        passes(playbook, 0.5)
        assert playbook.audited[-1] == {
            "time": "2030-03-17T17:46:52.500Z",
            "version": 1,
            "event": "throttling_ended",
            "zone": "partner",
            "kind": "produce",
            "limit": 1_000,
            "seconds": 2.5,
            "throttled_requests": 1,
            "record_bytes": 2_500,
        }
        passes(playbook, 60.0)
        assert len(told(playbook)) == 2


def test_a_zone_at_its_limit_is_told_of_once() -> None:
    """It is in and out of debt with every request."""
    with Playbook([LIMITED]) as playbook:
        dialogue = playbook.signed_in()
        for _ in range(60):
            produces(dialogue, 1_250)
            passes(playbook, 1.5)
        passes(playbook, 11.0)
        _, ended = told(playbook)
        assert [line["event"] for line in told(playbook)] == ["throttling_started", "throttling_ended"]
        # 1,000 in stock at first, then 1,500 come in between two requests
        assert (ended["throttled_requests"], ended["record_bytes"]) == (60, 75_000)
        assert ended["seconds"] == 59 * 1.5 + 0.25


def test_kinds_and_zones_are_told_apart() -> None:
    other = dataclasses.replace(LIMITED, name="other", service_account="other")
    with Playbook([LIMITED, other]) as playbook:
        first, second = playbook.signed_in(), playbook.signed_in(username="other")
        produces(first, 2_000)
        for _ in range(2):
            first.client_sends(COMMIT, 7, commit(7, {"invoices": {0: 1}}))
        produces(second, 2_000)
        started = [(line["zone"], line["kind"], line["limit"]) for line in playbook.audited if "kind" in line]
        assert started == [("partner", "produce", 1_000), ("partner", "commit", 60), ("other", "produce", 1_000)]
        passes(playbook, 12.0)
        (commits,) = (line for line in playbook.audited if line.get("kind") == "commit" and "seconds" in line)
        assert (commits["limit"], commits["throttled_requests"], commits["commits"]) == (60, 1, 1)
        assert "record_bytes" not in commits


def change_limit(playbook: Playbook) -> None:
    playbook.apply([FREE])


def remove_zone(playbook: Playbook) -> None:
    playbook.apply([])


def replace_zone(playbook: Playbook) -> None:
    playbook.apply([])
    playbook.apply([LIMITED])


@pytest.mark.parametrize("edit", [change_limit, remove_zone, replace_zone])
def test_ends_at_once_with_its_limit_or_zone(edit: Callable[[Playbook], None]) -> None:
    with Playbook([LIMITED]) as playbook:
        produces(playbook.signed_in(), 9_000)
        passes(playbook, 1.0)
        edit(playbook)
        playbook.throttled.tick()
        (ended,) = (line for line in told(playbook) if line["event"] == "throttling_ended")
        assert (ended["limit"], ended["seconds"], ended["record_bytes"]) == (1_000, 1.0, 9_000)
        playbook.throttled.finish()
        assert len(told(playbook)) == 2


def test_what_charges_after_its_zone_is_gone_starts_nothing() -> None:
    with Playbook([LIMITED]) as playbook:
        limiter = playbook.zone().traffic[Kind.PRODUCE]
        playbook.apply([])
        limiter.charge(limiter.open(), 9_000)
        assert told(playbook) == []


def test_a_new_limit_is_told_at_the_end() -> None:
    with Playbook([LIMITED]) as playbook:
        dialogue = playbook.signed_in()
        produces(dialogue, 9_000)
        passes(playbook, 1.0)
        playbook.apply([dataclasses.replace(LIMITED, limits=ZoneLimits(produce_rate=1_000_000))])
        passes(playbook, 11.0)
        _, ended = told(playbook)
        # 7,000 bytes were left, which is seven milliseconds: seen with the next tick
        assert (ended["limit"], ended["seconds"]) == (1_000_000, 1.5)
        assert dialogue.ended == ""


def test_whoever_leaves_ends_it() -> None:
    with Playbook([LIMITED]) as playbook:
        dialogue = playbook.signed_in()
        produces(dialogue, 100_000)
        passes(playbook, 2.0)
        dialogue.client.hang_up()
        dialogue.expect_end(CloseReason.CLIENT_CLOSED)
        passes(playbook, 11.0)
        _, ended = told(playbook)
        assert ended["seconds"] == 2.5


def test_the_end_of_the_gateway_is_the_end_of_it() -> None:
    with Playbook([LIMITED]) as playbook:
        produces(playbook.signed_in(), 9_000)
        passes(playbook, 3.0)
        playbook.throttled.finish()
        started, ended = told(playbook)
        assert (started["event"], ended["event"], ended["seconds"]) == ("throttling_started", "throttling_ended", 3.0)


def test_the_ordinary_log_has_it_too(caplog: pytest.LogCaptureFixture) -> None:
    with Playbook([LIMITED]) as playbook, caplog.at_level(logging.INFO, "zonegate.zone"):
        produces(playbook.signed_in(), 2_000)
        passes(playbook, 12.0)
    lines = [record.__dict__ for record in caplog.records if record.__dict__.get("event") == "throttling"]
    assert [(line["msg"], line["state"], line["zone"], line["kind"], line["limit"]) for line in lines] == [
        ("throttling has started", "started", "partner", "produce", 1_000),
        ("throttling has ended", "ended", "partner", "produce", 1_000),
    ]


# the whole gateway


def test_the_edit_is_told_before_what_it_ends() -> None:
    lines: list[Line] = []
    gateway = Gateway(CONFIG, [LIMITED], [], lambda line: lines.append(dict(line)))
    limiter: Limiter = gateway._services.zones.zones[ZONE.name].traffic[Kind.PRODUCE]
    limiter.charge(limiter.open(), 1_000_000)
    assert b'zonegate_throttled_connections{kind="produce",zone="partner"} 1.0\n' in generate_latest(
        gateway.metrics.registry
    )
    gateway.apply([FREE], [])
    assert [line["event"] for line in lines] == ["throttling_started", "zone_change", "throttling_ended"]
    assert {name: value for name, value in lines[1].items() if name != "time"} == {
        "version": 1,
        "event": "zone_change",
        "change": "changed",
        "zone": "partner",
        "user": "johndoe",
        "fields": ["limits"],
        "produce_rate_before": 1_000,
        "consume_rate_before": 2_000,
        "commits_per_minute_before": 60,
        "sessions_ended": 0,
    }


def test_a_gateway_that_stops_tells_the_end_first() -> None:
    lines: list[Line] = []
    gateway = Gateway(CONFIG, [LIMITED], [], lambda line: lines.append(dict(line)))
    limiter = gateway._services.zones.zones[ZONE.name].traffic[Kind.CONSUME]
    limiter.charge(limiter.open(), 1_000_000)
    asyncio.run(gateway.stop())
    assert [line["event"] for line in lines] == ["throttling_started", "throttling_ended", "gateway_stop"]


def test_sessions_go_on_when_only_limits_change() -> None:
    with Playbook([LIMITED]) as playbook:
        dialogue = playbook.signed_in()
        for limits in (ZoneLimits(1, 1, 1), ZoneLimits(), ZoneLimits(5_000)):
            assert playbook.apply([dataclasses.replace(LIMITED, limits=limits)]) == frozenset()
            dialogue.client_sends(12, 4, group_id="g")
            dialogue.broker_answers(dialogue.broker_gets())
            dialogue.client_receives()
        assert dialogue.ended == ""
