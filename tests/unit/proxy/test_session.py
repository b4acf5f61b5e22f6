"""A connection that has signed in: order, holding back, deadlines, changes of its zone, its end."""

from dataclasses import replace
from time import monotonic

import pytest

from policies.credentials import Credential, hash_password
from policies.zone import Permission
from protocol.headers import frame
from protocol.sasl import build_plain
from protocol.schema import request_struct
from proxy.close import CloseReason
from proxy.mechanisms.mechanism import Accepted
from proxy.mechanisms.plain import Plain
from proxy.metrics import GatewayMetrics
from proxy.zones import ZoneRegistry
from tests.unit.proxy.playbook import LIMITS, PASSWORD, ZONE, Dialogue, Playbook

HEARTBEAT, METADATA, INIT_PRODUCER_ID, DESCRIBE_CLUSTER = 12, 3, 22, 60
GOOD_TOKEN = build_plain("johndoe", PASSWORD)


def heartbeat(dialogue: Dialogue, group: str = "g") -> int:
    return dialogue.client_sends(HEARTBEAT, 4, group_id=group)


# order


def test_answers_made_here_wait_for_the_broker_s() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        first = heartbeat(dialogue)
        versions = dialogue.client_sends(18, 0)
        refused = dialogue.client_sends(INIT_PRODUCER_ID, 4, transactional_id="")
        second = heartbeat(dialogue)
        controllers = dialogue.client_sends(DESCRIBE_CLUSTER, 1, endpoint_type=2)
        dialogue.client_receives_nothing()
        dialogue.broker_answers(dialogue.broker_gets(), error_code=27)
        assert dialogue.client_receives(first).error_code == 27
        dialogue.client_receives(versions)
        assert dialogue.client_receives(refused).error_code == 42
        dialogue.client_receives_nothing()
        dialogue.broker_answers(dialogue.broker_gets())
        dialogue.client_receives(second)
        assert dialogue.client_receives(controllers).error_code == 114


def test_two_answers_in_one_read() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        asked = [heartbeat(dialogue), heartbeat(dialogue)]
        answers = [dialogue.response(dialogue.broker_gets(), error_code=error) for error in (0, 27)]
        dialogue.broker_sends_bytes(b"".join(answers))
        assert [dialogue.client_receives(each).error_code for each in asked] == [0, 27]


def test_correlation_ids_upstream_are_the_gateway_s_own() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        ids = []
        for _ in range(3):
            heartbeat(dialogue)
            ids.append(dialogue.broker_gets().broker_correlation_id)
        assert ids == [1, 2, 3]


@pytest.mark.parametrize("client_id", [None, "", "__admin_client", "x" * 500, "naïve"])
def test_client_ids_are_in_the_zone_s_namespace(client_id: str | None) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(HEARTBEAT, 4, group_id="g", client_id=client_id)
        assert dialogue.broker_gets().client_id == ("partner:" + (client_id or ""))[:200]


def test_a_foreign_correlation_id_ends_both_connections() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        heartbeat(dialogue)
        got = dialogue.broker_gets()
        got.broker_correlation_id += 1
        dialogue.broker_answers(got)
        dialogue.client_receives_nothing()
        dialogue.expect_end(CloseReason.BROKER_PROTOCOL_ERROR)
        assert dialogue.broker.closed


@pytest.mark.parametrize("size", [0, 1, 3, 4])
def test_a_response_that_nobody_asked_for_ends_both_connections(size: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.broker_sends_bytes(frame(bytes(size)))
        dialogue.expect_end(CloseReason.BROKER_PROTOCOL_ERROR)


def test_the_connections_live_and_die_together() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        heartbeat(dialogue)
        dialogue.broker.hang_up()
        dialogue.expect_end(CloseReason.BROKER_CLOSED)
        other = playbook.signed_in()
        other.client.hang_up()
        assert other.ended == CloseReason.CLIENT_CLOSED
        assert other.broker.closed
        assert playbook.metrics.connections == {"partner": 0}
        assert not playbook.services.sessions


# holding back


def test_too_many_requests_in_flight_wait_unread_and_go_on() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        frames = [
            dialogue.request(HEARTBEAT, 4, group_id=f"g{number}")[1] for number in range(LIMITS.requests_in_flight + 2)
        ]
        dialogue.client_sends_bytes(b"".join(frames))
        got = [dialogue.broker_gets() for _ in range(LIMITS.requests_in_flight)]
        dialogue.broker_gets_nothing()
        assert dialogue.client.paused
        dialogue.broker_answers(got[0])
        dialogue.client_receives(got[0].broker_correlation_id + 2)
        assert dialogue.broker_gets().message.group_id == f"partner:g{LIMITS.requests_in_flight}"
        dialogue.broker_gets_nothing()
        for one in got[1:]:
            dialogue.broker_answers(one)
        assert dialogue.broker_gets().message.group_id == f"partner:g{LIMITS.requests_in_flight + 1}"
        assert not dialogue.client.paused


def paused(dialogue: Dialogue) -> tuple[bool, bool]:
    """(client, broker)"""
    return dialogue.client.paused, dialogue.broker.paused


def test_a_client_that_does_not_read_stops_the_reading_of_both() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.session.pause_writing()
        assert paused(dialogue) == (True, True)
        dialogue.session.resume_writing()
        assert paused(dialogue) == (False, False)


def test_a_broker_that_does_not_read_stops_the_reading_of_the_client() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        heartbeat(dialogue)
        got = dialogue.broker_gets()
        dialogue.broker.protocol.pause_writing()
        assert dialogue.client.paused
        assert not dialogue.broker.paused
        dialogue.broker_answers(got)
        dialogue.client_receives()
        heartbeat(dialogue)
        dialogue.broker_gets_nothing()
        dialogue.broker.protocol.resume_writing()
        playbook.loop.run_due()
        assert dialogue.broker_gets().key == HEARTBEAT


def test_two_reasons_to_stop_reading_both_have_to_go() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.session.pause_writing()
        dialogue.broker.protocol.pause_writing()
        dialogue.session.resume_writing()
        assert paused(dialogue) == (True, False)
        dialogue.broker.protocol.resume_writing()
        assert paused(dialogue) == (False, False)


def test_frames_that_are_assembled_share_a_budget() -> None:
    with Playbook(budget=100_000) as playbook:
        first, second = playbook.signed_in(), playbook.signed_in()
        entry = request_struct(METADATA, 1).nested("topics")
        topics = tuple(entry.new(name="x" * 200) for _ in range(300))
        frames = [dialogue.request(METADATA, 1, topics=topics)[1] for dialogue in (first, second)]
        first.client_sends_bytes(frames[0][:2000])
        second.client_sends_bytes(frames[1][:2000], frames[1][2000:])
        assert not first.client.paused
        assert second.client.paused
        second.broker_gets_nothing()
        first.client_sends_bytes(frames[0][2000:])
        got = first.broker_gets()
        second.broker_gets_nothing()
        first.broker_answers(got)
        first.client_receives()
        playbook.loop.run_due()
        assert second.broker_gets().key == METADATA
        assert not second.client.paused


# deadlines, with the clock given


def test_a_client_must_sign_in_in_time() -> None:
    with Playbook() as playbook:
        dialogue = playbook.connects()
        dialogue.client_sends(18, 0)
        dialogue.session.check_deadlines(monotonic() + LIMITS.authentication_seconds - 1)
        assert dialogue.ended == ""
        dialogue.session.check_deadlines(monotonic() + LIMITS.authentication_seconds)
        dialogue.expect_end(CloseReason.AUTHENTICATION_DEADLINE)


def test_a_frame_that_has_begun_must_go_on() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends_bytes(dialogue.request(HEARTBEAT, 4)[1][:9])
        dialogue.session.check_deadlines(monotonic() + LIMITS.partial_frame_seconds - 1)
        assert dialogue.ended == ""
        dialogue.session.check_deadlines(monotonic() + LIMITS.partial_frame_seconds + 1)
        dialogue.expect_end(CloseReason.PARTIAL_FRAME_DEADLINE)


def test_each_frame_has_its_own_time() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        first, second = dialogue.request(HEARTBEAT, 4)[1], dialogue.request(HEARTBEAT, 4)[1]
        dialogue.client_sends_bytes(first[:9])
        begun = dialogue.session._deadlines._partial_since
        dialogue.client_sends_bytes(first[9:] + second[:9])
        assert dialogue.session._deadlines._partial_since > begun > 0


def test_a_frame_that_we_hold_back_has_time() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends_bytes(dialogue.request(HEARTBEAT, 4)[1][:9])
        dialogue.session.pause_writing()
        later = monotonic() + 10 * LIMITS.partial_frame_seconds
        dialogue.session.check_deadlines(later)
        dialogue.session.resume_writing()
        dialogue.session.check_deadlines(later + LIMITS.partial_frame_seconds - 1)
        assert dialogue.ended == ""


def test_an_idle_connection_ends_unless_an_answer_is_due() -> None:
    with Playbook() as playbook:
        idle, waiting = playbook.signed_in(), playbook.signed_in()
        heartbeat(waiting)
        for dialogue in (idle, waiting):
            dialogue.session.check_deadlines(monotonic() + LIMITS.idle_seconds - 1)
            assert dialogue.ended == ""
            dialogue.session.check_deadlines(monotonic() + LIMITS.idle_seconds + 1)
        idle.expect_end(CloseReason.IDLE)
        assert waiting.ended == ""


def test_a_client_that_takes_nothing_is_idle_even_if_an_answer_is_due() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        heartbeat(dialogue)
        dialogue.session.pause_writing()
        dialogue.session.check_deadlines(monotonic() + LIMITS.idle_seconds - 1)
        assert dialogue.ended == ""
        dialogue.session.check_deadlines(monotonic() + LIMITS.idle_seconds + 1)
        dialogue.expect_end(CloseReason.IDLE)


def test_a_closed_connection_whose_client_takes_nothing_is_cut_off() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client.takes_nothing = True
        dialogue.session.close(CloseReason.ZONE_CHANGED)
        dialogue.session.check_deadlines(monotonic() + LIMITS.close_seconds - 1)
        playbook.loop.run_due()
        assert dialogue.ended == ""
        dialogue.session.check_deadlines(monotonic() + LIMITS.close_seconds + 1)
        playbook.loop.run_due()
        dialogue.expect_end(CloseReason.ZONE_CHANGED)


def test_a_broker_that_is_gone_as_soon_as_it_is_there() -> None:
    with Playbook() as playbook:
        playbook.broker_goes_at_once = True
        dialogue = playbook.connects()
        dialogue.client_sends(17, 1, mechanism="PLAIN")
        dialogue.client_receives()
        dialogue.client.receive(dialogue.request(36, 1, auth_bytes=GOOD_TOKEN)[1])
        playbook.loop.run_due()
        dialogue.expect_end(CloseReason.BROKER_CLOSED)


# changes and the end


def test_a_credential_that_was_edited_is_another_one() -> None:
    registry = ZoneRegistry(GatewayMetrics())
    first = Credential("c1", ZONE.name, "2030-01-01T00:00:00Z", hash_password("one"))
    other = Credential("c2", ZONE.name, "2030-01-01T00:00:00Z", hash_password("other"))
    registry.apply([ZONE], [first, other])
    edited = replace(first, password_hash=hash_password("two"))
    assert registry.apply([ZONE], [edited, other]).revoked_credentials == {"c1"}
    assert registry.apply([ZONE], [edited]).revoked_credentials == {"c2"}
    for password, accepted in (("one", False), ("two", True)):
        step = Plain(registry).step(build_plain(ZONE.service_account, password), 0.0)
        assert isinstance(step, Accepted) == accepted


def test_a_zone_that_gains_an_alias_serves_it_on_the_same_connection() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(METADATA, 4, topics=None)
        assert [topic.name for topic in dialogue.broker_gets().message.topics] == [
            "kafka-orders",
            "kafka-stock",
            "kafka-invoices",
        ]
        grown = replace(ZONE, aliases=(*ZONE.aliases, replace(ZONE.aliases[0], name="new", topic="kafka-new")))
        assert playbook.apply([grown]) == frozenset()
        dialogue.client_sends(METADATA, 4, topics=None)
        assert dialogue.broker_gets().message.topics[-1].name == "kafka-new"


@pytest.mark.parametrize("aliases", [(), tuple(replace(alias, permission=Permission.READ) for alias in ZONE.aliases)])
def test_a_zone_that_shrank_is_named(aliases: tuple[()]) -> None:
    with Playbook() as playbook:
        assert playbook.apply([replace(ZONE, aliases=aliases)]) == {"partner"}
        assert playbook.apply([]) == {"partner"}


def test_a_zone_that_is_gone_when_its_client_has_a_broker_connection_at_last() -> None:
    with Playbook() as playbook:
        dialogue = playbook.connects()
        dialogue.client_sends(17, 1, mechanism="PLAIN")
        dialogue.client_receives()
        data = dialogue.request(36, 1, auth_bytes=GOOD_TOKEN)[1]
        dialogue.client.receive(data)
        playbook.apply([])
        dialogue.expect_end(CloseReason.ZONE_CHANGED)


def test_draining_waits_for_the_answers_and_takes_no_more_requests() -> None:
    with Playbook() as playbook:
        idle, busy = playbook.signed_in(), playbook.signed_in()
        first, second = heartbeat(busy), heartbeat(busy)
        got = [busy.broker_gets(), busy.broker_gets()]
        for dialogue in (idle, busy):
            dialogue.session.drain()
        idle.expect_end(CloseReason.SHUTDOWN)
        heartbeat(busy)
        busy.broker_gets_nothing()
        busy.broker_answers(got[0])
        busy.client_receives(first)
        assert busy.ended == ""
        busy.broker_answers(got[1])
        busy.client_receives(second)
        busy.expect_end(CloseReason.SHUTDOWN)
        assert busy.broker.closed


def test_the_line_at_the_end() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        heartbeat(dialogue)
        dialogue.broker_answers(dialogue.broker_gets())
        dialogue.client.hang_up()
        line = dialogue.end_line
        assert {key: line[key] for key in ("reason", "zone", "user", "broker", "requests", "peer")} == {
            "reason": "client_closed",
            "zone": "partner",
            "user": "johndoe",
            "broker": 1,
            "requests": 1,
            "peer": "client:1",
        }
        assert line["bytes_in"] > line["bytes_out"] > 0
        assert PASSWORD not in str(line)
