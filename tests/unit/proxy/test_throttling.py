"""What each API costs a zone with limits, and what its answer tells: every path, every version.

The rate and the burst are 1000 bytes, so that each byte beyond the burst costs a millisecond. What is refused costs
nothing. What waits and for how long is looked at in `test_throttling_pauses.py`.
"""

from typing import Any

import pytest

from protocol.framing import STREAM_MIN_BYTES
from protocol.schema import request_struct
from proxy.apis.fetch import REFUSED_WAIT_MS
from proxy.apis.table import plans_for
from proxy.traffic import Kind
from tests.unit.proxy.limited import (
    COMMIT,
    COMMITTERS,
    CONSUMERS,
    FETCH,
    HEARTBEAT,
    PRODUCE,
    PRODUCERS,
    SECOND,
    TXN_COMMIT,
    charged,
    commit_request,
    committed,
    fetch_request,
    fetches,
    is_stored,
    limited,
    passes_after,
    produce_request,
    produces,
    records,
    stored,
)
from tests.unit.proxy.playbook import UNMAPPED_BROKER, Plans, Playbook, typed_plans, versions_of

on_both_paths = pytest.mark.parametrize("plans", [plans_for, typed_plans])
THROTTLED_BY_BROKER = [(0, 2000), (1999, 2000), (2001, 2001), (70_000, 70_000)]
"""What the broker tells, and so the client who owes two seconds."""


# Produce


@on_both_paths
@pytest.mark.parametrize("version", versions_of(PRODUCE))
@pytest.mark.parametrize(("by_broker", "told"), THROTTLED_BY_BROKER)
def test_records_are_charged_and_told_at_once(version: int, plans: Plans, by_broker: int, told: int) -> None:
    with Playbook((PRODUCERS,), plans=plans) as playbook:
        dialogue = playbook.signed_in()
        message = produce_request(playbook, version, [("orders", 2500), ("invoices", 500)])
        asked = dialogue.client_sends(PRODUCE, version, message)
        assert charged(playbook, Kind.PRODUCE) == 3000
        got = dialogue.broker_gets()
        dialogue.broker_answers(got, stored(got, by_broker))
        assert dialogue.client_receives(asked).throttle_time == told
        behind = produces(dialogue, 10, version)
        passes_after(dialogue, 2.0)
        is_stored(dialogue)
        assert dialogue.client_receives(behind).throttle_time == 10


@pytest.mark.parametrize("version", versions_of(PRODUCE))
@pytest.mark.parametrize("acks", [-1, 0])
def test_refused_records_cost_nothing(version: int, acks: int) -> None:
    with Playbook((PRODUCERS,)) as playbook:
        dialogue = playbook.signed_in()
        sizes = [("stock", 5000), ("orders", 1700), ("elsewhere", 9000)]
        dialogue.client_sends(PRODUCE, version, produce_request(playbook, version, sizes, acks))
        assert charged(playbook, Kind.PRODUCE) == 1700
        if acks:
            is_stored(dialogue)
            assert dialogue.client_receives().throttle_time == 700


@pytest.mark.parametrize("version", versions_of(PRODUCE))
def test_a_request_that_is_refused_as_a_whole_costs_nothing(version: int) -> None:
    with Playbook((PRODUCERS,)) as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(PRODUCE, version, produce_request(playbook, version, [("stock", 5000)]))
        assert dialogue.client_receives().throttle_time == 0
        no_id = produce_request(playbook, version, [("orders", 5000)], transactional_id="")
        dialogue.client_sends(PRODUCE, version, no_id)
        assert dialogue.client_receives().throttle_time == 0
        assert charged(playbook, Kind.PRODUCE) == 0


@on_both_paths
@pytest.mark.parametrize("version", versions_of(PRODUCE))
def test_what_the_broker_refuses_is_charged(version: int, plans: Plans) -> None:
    """It has come all the way, as to a broker that throttles."""
    with Playbook((PRODUCERS,), plans=plans) as playbook:
        dialogue = playbook.signed_in()
        produces(dialogue, 3000, version)
        got = dialogue.broker_gets()
        response = stored(got, 3, error_code=6)
        if version >= 10:
            node = response.struct.nested("node_endpoints")
            response.node_endpoints = (node.new(node_id=UNMAPPED_BROKER, host="kafka-9", port=9092),)
        dialogue.broker_answers(got, response)
        answer = dialogue.client_receives()
        assert answer.throttle_time == 2000
        assert answer.responses[0].partition_responses[0].error_code == 6


@on_both_paths
@pytest.mark.parametrize("version", versions_of(PRODUCE))
def test_without_acks_the_next_one_is_held(version: int, plans: Plans) -> None:
    with Playbook((PRODUCERS,), plans=plans) as playbook:
        dialogue = playbook.signed_in()
        produces(dialogue, 3000, version, acks=0)
        assert dialogue.broker_gets().message.acks == 0
        produces(dialogue, 5, version, acks=0)
        passes_after(dialogue, 2.0)
        dialogue.broker_gets()
        dialogue.client_receives_nothing()


@pytest.mark.parametrize("version", versions_of(PRODUCE))
@pytest.mark.parametrize("acks", [-1, 0])
def test_a_streamed_request_is_charged_at_its_head(version: int, acks: int) -> None:
    with Playbook((limited(produce=10_000),)) as playbook:
        dialogue = playbook.signed_in()
        message = produce_request(playbook, version, [("orders", 40_000)], acks)
        asked, data = dialogue.request(PRODUCE, version, message)
        dialogue.client_sends_bytes(data[:2000])
        assert charged(playbook, Kind.PRODUCE) == 40_000
        assert dialogue.broker.sent
        playbook.loop.advance(1)
        dialogue.client_sends_bytes(data[2000:])
        if acks:
            is_stored(dialogue)
            assert dialogue.client_receives(asked).throttle_time == 2000
        else:
            dialogue.broker_gets()
        produces(dialogue, 5, version, acks)
        passes_after(dialogue, 2.0)


# Fetch


@on_both_paths
@pytest.mark.parametrize("version", versions_of(FETCH))
@pytest.mark.parametrize(("by_broker", "told"), THROTTLED_BY_BROKER)
def test_fetched_records_are_charged_and_told_at_once(version: int, plans: Plans, by_broker: int, told: int) -> None:
    with Playbook((CONSUMERS,), plans=plans) as playbook:
        dialogue = playbook.signed_in()
        asked = fetches(dialogue, version, "orders", "stock")
        got = dialogue.broker_gets()
        assert charged(playbook, Kind.CONSUME) == 0
        dialogue.broker_answers(got, records(got, {"kafka-orders": 2500, "kafka-stock": 500}, by_broker))
        assert dialogue.client_receives(asked).throttle_time == told
        assert charged(playbook, Kind.CONSUME) == 3000
        fetches(dialogue, version)
        passes_after(dialogue, 2.0)


@on_both_paths
@pytest.mark.parametrize("version", versions_of(FETCH))
@pytest.mark.parametrize(
    ("asked", "forwarded"), [({"max_bytes": 1 << 20}, 250), ({"max_bytes": 249}, 249), ({"min_bytes": 600}, 250)]
)
def test_a_fetch_asks_for_a_quarter_of_the_burst(
    version: int, plans: Plans, asked: dict[str, Any], forwarded: int
) -> None:
    """A broker takes the lesser one of `min_bytes` and `max_bytes` for the former (KafkaApis.handleFetchRequest)."""
    with Playbook((CONSUMERS,), plans=plans) as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(FETCH, version, fetch_request(playbook, version, ["orders"], **asked))
        message = dialogue.broker_gets().message
        assert message.max_bytes == forwarded
        assert message.min_bytes == asked.get("min_bytes", 1)
        assert message.topics[0].partitions[0].partition_max_bytes == 1 << 20


@pytest.mark.parametrize("version", versions_of(FETCH))
def test_two_aliases_of_one_partition_share_it(version: int) -> None:
    with Playbook((CONSUMERS,)) as playbook:
        dialogue = playbook.signed_in()
        asked = fetches(dialogue, version, "orders", "twin")
        probes = [dialogue.broker_gets(), dialogue.broker_gets()]
        assert [probe.message.max_bytes for probe in probes] == [125, 125]
        for probe in probes:
            dialogue.broker_answers(probe, records(probe, {"kafka-orders": 0}))
        waiting = dialogue.broker_gets()
        assert waiting.message.max_bytes == 125
        dialogue.broker_answers(waiting, records(waiting, {"kafka-orders": 3000}))
        assert dialogue.client_receives(asked).throttle_time == 2000
        assert charged(playbook, Kind.CONSUME) == 3000
        fetches(dialogue, version)
        passes_after(dialogue, 2.0)


@pytest.mark.parametrize("version", versions_of(FETCH))
def test_both_aliases_records_are_charged(version: int) -> None:
    with Playbook((CONSUMERS,)) as playbook:
        dialogue = playbook.signed_in()
        asked = fetches(dialogue, version, "orders", "twin")
        for probe in (dialogue.broker_gets(), dialogue.broker_gets()):
            dialogue.broker_answers(probe, records(probe, {"kafka-orders": 1500}))
        assert dialogue.client_receives(asked).throttle_time == 2000
        assert charged(playbook, Kind.CONSUME) == 3000


@on_both_paths
@pytest.mark.parametrize("version", versions_of(FETCH))
def test_records_beside_errors_are_charged(version: int, plans: Plans) -> None:
    """An unusual response: errors, null, leaders."""
    with Playbook((CONSUMERS,), plans=plans) as playbook:
        dialogue = playbook.signed_in()
        asked = fetches(dialogue, version, "orders", "stock", "invoices")
        got = dialogue.broker_gets()
        response = records(got, {"kafka-orders": 3000, "kafka-stock": 0, "kafka-invoices": 0})
        response.responses[1].partitions[0].error_code = 6
        response.responses[2].partitions[0].records = None
        dialogue.broker_answers(got, response)
        answer = dialogue.client_receives(asked)
        assert answer.throttle_time == 2000
        assert charged(playbook, Kind.CONSUME) == 3000


@pytest.mark.parametrize("version", versions_of(FETCH))
def test_refused_partitions_cost_nothing(version: int) -> None:
    with Playbook((CONSUMERS,)) as playbook:
        dialogue = playbook.signed_in()
        fetches(dialogue, version, "elsewhere", "stock")
        got = dialogue.broker_gets()
        dialogue.broker_answers(got, records(got, {"kafka-stock": 1300}))
        assert dialogue.client_receives().throttle_time == 300
        playbook.loop.advance(0.3)
        fetches(dialogue, version, "elsewhere")
        playbook.loop.advance(REFUSED_WAIT_MS / 1000)
        assert dialogue.client_receives().throttle_time == 0
        assert charged(playbook, Kind.CONSUME) == 1300


@pytest.mark.parametrize("version", versions_of(FETCH))
@pytest.mark.parametrize("by_broker", [0, 100_000])
def test_a_streamed_response_is_charged_for_its_records(version: int, by_broker: int) -> None:
    """How many these are is known at its end; until then, and in what is told, its size stands for them."""
    with Playbook((limited(consume=10_000),)) as playbook:
        dialogue = playbook.signed_in()
        asked = fetches(dialogue, version, "orders", "stock")
        got = dialogue.broker_gets()
        sizes = {"kafka-orders": STREAM_MIN_BYTES, "kafka-stock": 7232}
        frame = dialogue.response(got, records(got, sizes, by_broker))
        dialogue.broker_sends_bytes(frame[:5000])
        assert dialogue.client.sent, "it is streamed"
        assert charged(playbook, Kind.CONSUME) == len(frame)
        dialogue.broker_sends_bytes(frame[5000:])
        assert charged(playbook, Kind.CONSUME) == 40_000
        told = dialogue.client_receives(asked).throttle_time
        assert told == max(by_broker, -((10_000 - len(frame)) // 10))
        assert 3000 <= told <= 3000 + (len(frame) - 40_000) or by_broker
        fetches(dialogue, version)
        passes_after(dialogue, 3.0)


@pytest.mark.parametrize("version", range(7, 19))
def test_an_error_of_the_whole_fetch_tells_what_is_owed(version: int) -> None:
    with Playbook((CONSUMERS,)) as playbook:
        dialogue = playbook.signed_in()
        fetches(dialogue, version)
        fetches(dialogue, version)
        got, failed = dialogue.broker_gets(), dialogue.broker_gets()
        dialogue.broker_answers(got, records(got, {"kafka-orders": 1500}))
        assert dialogue.client_receives().throttle_time == 500
        dialogue.broker_answers(failed, error_code=56, throttle_time=9)
        answer = dialogue.client_receives()
        assert (answer.error_code, answer.throttle_time) == (56, 500)


# commits

COMMITS = [(key, version) for key in (COMMIT, TXN_COMMIT) for version in versions_of(key)]


@pytest.mark.parametrize(("key", "version"), COMMITS)
@pytest.mark.parametrize(("by_broker", "told"), [(0, 1000), (1001, 1001)])
def test_each_commit_is_one(key: int, version: int, by_broker: int, told: int) -> None:
    """60 a minute, one at once: a second for each of the others, whatever it commits."""
    with Playbook((COMMITTERS,)) as playbook:
        dialogue = playbook.signed_in()
        message = commit_request(playbook, key, version, ["stock", "invoices"])
        for count, by_now in ((1, 0), (2, told)):
            asked = dialogue.client_sends(key, version, message)
            assert charged(playbook, Kind.COMMIT) == count
            got = dialogue.broker_gets()
            dialogue.broker_answers(got, committed(got, by_broker if count == 2 else 0))
            answer = dialogue.client_receives(asked)
            # before version 3 of OffsetCommit, not reading is all that can be done
            assert getattr(answer, "throttle_time", by_now) == by_now
            assert ("throttle_time" in answer.struct.names) == (key == TXN_COMMIT or version >= 3)
        dialogue.client_sends(key, version, message)
        passes_after(dialogue, 1.0)


@pytest.mark.parametrize(("key", "version"), COMMITS)
def test_refused_commits_cost_nothing(key: int, version: int) -> None:
    with Playbook((COMMITTERS,)) as playbook:
        dialogue = playbook.signed_in()
        message = commit_request(playbook, key, version, ["stock"])
        message.group_id = "g" * 0x7FFF
        for _ in range(3):
            answer = dialogue.client_receives(dialogue.client_sends(key, version, message))
            assert getattr(answer, "throttle_time", 0) == 0
        assert charged(playbook, Kind.COMMIT) == 0


# what isn't limited


def test_without_limits_nothing_is_asked_or_told() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        assert dialogue.session.reader.admit is None
        produces(dialogue, 100_000)
        is_stored(dialogue, 5)
        assert dialogue.client_receives().throttle_time == 5
        fetches(dialogue)
        assert dialogue.broker_gets().message.max_bytes == 1 << 20
        assert all(limiter.charged == 0 for limiter in playbook.zone().traffic)


@pytest.mark.parametrize(
    ("key", "version", "fields"),
    [(HEARTBEAT, 4, {"group_id": "g"}), (3, 9, {"topics": None}), (18, 3, {}), (22, 4, {"transactional_id": None})],
)
def test_other_requests_cost_nothing_and_pass(key: int, version: int, fields: dict[str, Any]) -> None:
    with Playbook((limited(SECOND, SECOND, 60),)) as playbook:
        dialogue = playbook.signed_in()
        produces(dialogue, 50_000)
        is_stored(dialogue)
        assert dialogue.client_receives().throttle_time == 10_000
        asked = dialogue.client_sends(key, version, request_struct(key, version).fit(**fields))
        if key != 18:
            dialogue.broker_answers(dialogue.broker_gets())
        dialogue.client_receives(asked)
        assert [limiter.charged for limiter in playbook.zone().traffic] == [50_000, 0, 0]
