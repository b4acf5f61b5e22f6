"""Dialogues of an admin who signed in with a token: the broker gets what was sent, the client what was answered."""

from random import Random
from typing import Any, Final

import pytest

from protocol.addresses import has_addresses
from protocol.api_versions import ranges_of
from protocol.codec import decode, encode
from protocol.headers import RESPONSE_PEEK, request_head, response_head
from protocol.sasl import build_plain
from protocol.schema import API_NAMES, Message, known_versions, request_struct, response_struct
from proxy.apis.plan import Treatment
from proxy.apis.table import TABLE
from proxy.close import CloseReason
from proxy.mechanisms.passthrough import PassthroughTokens, with_tokens
from proxy.passthrough import OFFERED, all_plans
from tests.unit.protocol.messages import as_known, random_message, with_unknown_tag, with_unknown_values
from tests.unit.proxy.admin import ADMIN, PASSWORD, SESSION_NOW, signed_in
from tests.unit.proxy.playbook import BROKER_VERSIONS, LIMITS, Dialogue, Playbook
from tests.unit.proxy.playbook import PASSWORD as PARTNER_PASSWORD

METADATA, FETCH, PRODUCE, FIND_COORDINATOR, HEARTBEAT = 3, 1, 0, 10, 12
CREATE_TOPICS, DESCRIBE_CLUSTER, SHARE_FETCH, LIST_GROUPS = 19, 60, 78, 16
LOCAL: Final = (17, 18, 36)
UNKNOWN: Final = b"what a later version says"
PASSING: Final = [key for key in sorted(OFFERED) if key not in LOCAL]


def versions_of(key: int) -> range:
    low, high = known_versions(key)
    return range(low, high + 1)


def bodies(key: int, version: int, message: Message, correlation_id: int, broker_id: int) -> tuple[bytes, bytes]:
    """A response's frame as the broker sends it, and as the client gets it, where nothing of it changes."""
    struct = response_struct(key, version)
    body = bytes(encode(message))
    return (
        response_head(len(body), broker_id, struct.flexible) + body,
        response_head(len(body), correlation_id, struct.flexible) + body,
    )


@pytest.mark.parametrize("key", PASSING)
def test_every_request_and_response_passes_byte_for_byte(admin: Dialogue, key: int) -> None:
    rng = Random(key)  # noqa: S311 - test data
    for version in versions_of(key):
        message = with_unknown_values(random_message(rng, request_struct(key, version)), UNKNOWN)
        if key == PRODUCE:
            message.acks = -1
        correlation_id, data = admin.request(key, version, message)
        admin.client_sends_bytes(data)
        sent = admin.broker.sent
        assert len(sent) == len(data)
        broker_id = int.from_bytes(sent[8:12], "big")
        assert bytes(sent) == data[:8] + sent[8:12] + data[12:], "all but the correlation id"
        sent.clear()
        answer = with_unknown_values(random_message(rng, response_struct(key, version)), UNKNOWN)
        if has_addresses(key, response_struct(key, version)):
            answer = with_unknown_values(response_struct(key, version).new(), UNKNOWN)
            if hasattr(answer, "node_id"):
                answer.node_id = -1
        from_broker, to_client = bodies(key, version, answer, correlation_id, broker_id)
        admin.broker_sends_bytes(from_broker)
        assert admin.client_receives_bytes() == to_client


@pytest.mark.parametrize("client_id", ["app", "", None, "x" * 3000, "naïve ☃"])
def test_client_ids_are_the_clients_own(admin: Dialogue, client_id: str | None) -> None:
    admin.client_sends(LIST_GROUPS, 3, client_id=client_id)
    frame = bytes(admin.broker.sent)
    raw = b"\xff\xff" if client_id is None else len(client_id.encode()).to_bytes(2, "big") + client_id.encode()
    assert frame[12 : 12 + len(raw)] == raw


def test_tagged_fields_of_headers_pass_in_responses_and_are_left_out_of_requests(admin: Dialogue) -> None:
    struct = request_struct(LIST_GROUPS, 3)
    body = bytes(encode(struct.new()))
    plain = request_head(len(body), LIST_GROUPS, 3, 7, b"\0\x03app", True)
    tags = b"\x01\x05\x03tag"
    length = len(plain) - 4 - 1 + len(tags) + len(body)
    admin.client_sends_bytes(length.to_bytes(4, "big") + plain[4:-1] + tags + body)
    got = admin.broker_gets()
    assert (got.key, got.client_id) == (LIST_GROUPS, "app")
    answer = bytes(encode(response_struct(LIST_GROUPS, 3).new()))
    head = (4 + len(tags) + len(answer)).to_bytes(4, "big")
    admin.broker_sends_bytes(head + got.broker_correlation_id.to_bytes(4, "big") + tags + answer)
    assert admin.client_receives_bytes() == head + (7).to_bytes(4, "big") + tags + answer


def answer_with_nodes(key: int, version: int, node_ids: tuple[int, ...]) -> Message:
    struct = response_struct(key, version)
    field, name = {METADATA: ("brokers", "node_id"), DESCRIBE_CLUSTER: ("brokers", "broker_id")}.get(
        key, ("coordinators" if key == FIND_COORDINATOR else "node_endpoints", "node_id")
    )
    if field not in struct.names:
        return struct.new(node_id=node_ids[0], host=f"kafka-{node_ids[0]}", port=9092)
    entry = struct.nested(field)
    nodes = tuple(entry.new(**{name: node, "host": f"kafka-{node}", "port": 9092}) for node in node_ids)
    return struct.new(**{field: nodes})


@pytest.mark.parametrize(
    ("key", "version"),
    [
        (key, version)
        for key in OFFERED
        for version in versions_of(key)
        if has_addresses(key, response_struct(key, version))
    ],
)
def test_brokers_addresses_are_the_gateways(admin: Dialogue, key: int, version: int) -> None:
    request = random_message(Random(1), request_struct(key, version))  # noqa: S311 - test data
    if key == PRODUCE:
        request.acks = 1
    correlation_id = admin.client_sends(key, version, request)
    got = admin.broker_gets()
    admin.broker_answers(got, with_unknown_values(answer_with_nodes(key, version, (2, 1)), UNKNOWN))
    frame = admin.client_receives_bytes()
    struct = response_struct(key, version)
    assert b"kafka-" not in frame
    received = decode(with_unknown_tag(struct), frame, RESPONSE_PEEK.size + struct.flexible)
    assert (received.unknown if struct.flexible else UNKNOWN) == UNKNOWN
    known = as_known(struct, received)
    entries: Any = getattr(known, "brokers", getattr(known, "coordinators", getattr(known, "node_endpoints", (known,))))
    assert (entries[0].host, entries[0].port) == ("gateway", 9102)
    assert RESPONSE_PEEK.unpack_from(frame)[1] == correlation_id


def test_a_broker_without_a_port_is_left_out_and_looked_up(admin: Dialogue, playbook: Playbook) -> None:
    assert not playbook.services.clusters.first._wake.is_set()
    admin.client_sends(METADATA, 12)
    admin.broker_answers(admin.broker_gets(), answer_with_nodes(METADATA, 12, (1, 9, 2)))
    assert [broker.node_id for broker in admin.client_receives().brokers] == [1, 2]
    assert playbook.services.clusters.first._wake.is_set()
    admin.client_sends(FIND_COORDINATOR, 4, coordinator_keys=("g",))
    admin.broker_answers(admin.broker_gets(), answer_with_nodes(FIND_COORDINATOR, 4, (9,)))
    (coordinator,) = admin.client_receives().coordinators
    assert (coordinator.error_code, coordinator.node_id, coordinator.host, coordinator.port) == (15, -1, "", -1)


def test_produce_without_acks_has_no_response_and_the_next_request_has_one(admin: Dialogue) -> None:
    versions = versions_of(PRODUCE)
    for version in versions:
        for transactional_id in (None, "", "t", "x" * 300):
            admin.client_sends(PRODUCE, version, acks=0, transactional_id=transactional_id)
            assert admin.broker_gets().message.acks == 0
        correlation_id = admin.client_sends(HEARTBEAT, 4, group_id="g")
        got = admin.broker_gets()
        assert got.message.group_id == "g"
        admin.broker_answers(got)
        admin.client_receives(correlation_id)
    assert admin.playbook.metrics.api("passthrough", PRODUCE).requests == 4 * len(versions)


@pytest.mark.parametrize("body", [b"", b"\0", b"\x03ab", b"\xff\xff\xff\xff\xff\xff"])
def test_produce_that_ends_before_its_acks_ends_the_connection(admin: Dialogue, body: bytes) -> None:
    admin.client_sends_bytes(request_head(len(body), PRODUCE, 9, 1, b"\0\0", True) + body)
    admin.expect_end(CloseReason.BAD_REQUEST)


def test_responses_leave_in_the_order_of_the_requests(admin: Dialogue) -> None:
    first = admin.client_sends(METADATA, 12)
    second = admin.client_sends(18, 3, client_software_name="x", client_software_version="1")
    third = admin.client_sends(LIST_GROUPS, 3)
    asked, listed = frames(admin)
    admin.client_receives_nothing()
    admin.broker_sends_bytes(answer_to(asked, METADATA, 12))
    admin.client_receives(first)
    admin.client_receives(second)
    admin.client_receives_nothing()
    admin.broker_sends_bytes(answer_to(listed, LIST_GROUPS, 3))
    admin.client_receives(third)


def frames(dialogue: Dialogue) -> list[int]:
    """The correlation ids of all requests that the broker has got."""
    ids = []
    while dialogue.broker.sent:
        ids.append(dialogue.broker_gets().broker_correlation_id)
    return ids


def answer_to(broker_id: int, key: int, version: int) -> bytes:
    struct = response_struct(key, version)
    body = bytes(encode(struct.new()))
    return response_head(len(body), broker_id, struct.flexible) + body


def test_a_deep_pipeline_waits_for_its_answers(admin: Dialogue) -> None:
    requests = [admin.request(LIST_GROUPS, 3)[1] for _ in range(LIMITS.requests_in_flight + 5)]
    admin.client_sends_bytes(b"".join(requests))
    ids = frames(admin)
    assert len(ids) == LIMITS.requests_in_flight
    admin.broker_sends_bytes(*(answer_to(one, LIST_GROUPS, 3) for one in ids))
    assert len(frames(admin)) == 5


def test_what_is_offered_after_signing_in_is_what_the_broker_has(admin: Dialogue, playbook: Playbook) -> None:
    correlation_id = admin.client_sends(18, 4, client_software_name="x", client_software_version="1")
    answer = admin.client_receives(correlation_id)
    between = {key for key, entry in TABLE.items() if entry.treatment is Treatment.INTERNAL}
    expected = {key: versions for key, versions in BROKER_VERSIONS.items() if key not in between}
    expected[PRODUCE] = (0, expected[PRODUCE][1])
    assert ranges_of(answer) == expected
    assert {one.name: one.max_version for one in answer.supported_features} == {
        "transaction.version": 2,
        "share.version": 1,
        "metadata.version": 27,
    }
    assert {one.name: one.max_version_level for one in answer.finalized_features} == {
        "transaction.version": 2,
        "share.version": 1,
        "metadata.version": 27,
    }
    # before that nobody knows who asks
    early = playbook.connects()
    early.client_sends(18, 4, client_software_name="x", client_software_version="1")
    assert SHARE_FETCH not in ranges_of(early.client_receives())


def test_only_what_the_broker_has_is_taken(tokens: PassthroughTokens) -> None:
    with Playbook(broker_versions={18: (0, 4), 3: (8, 9), 36: (0, 2), 17: (0, 1)}) as playbook:
        playbook.services.mechanisms = with_tokens(playbook.services.mechanisms, tokens)
        admin = signed_in(playbook, tokens)
        admin.client_sends(METADATA, 9)
        assert admin.broker_gets().version == 9
        admin.client_sends(METADATA, 10)
        admin.expect_end(CloseReason.UNSUPPORTED_API)


@pytest.mark.parametrize("key", sorted({*API_NAMES, 4, 5, 6, 7, 999} - set(PASSING) - set(LOCAL)))
def test_what_brokers_ask_each_other_ends_the_connection(admin: Dialogue, key: int) -> None:
    admin.client_sends_bytes(request_head(20, key, 0, 1, b"\0\0", False) + bytes(20))
    admin.expect_end(CloseReason.UNSUPPORTED_API)


def test_an_admin_signs_in_again_before_the_token_expires(admin: Dialogue, tokens: PassthroughTokens) -> None:
    token = tokens.issue(3600, SESSION_NOW).token
    admin.client_sends(17, 1, mechanism="PLAIN")
    assert admin.client_receives().error_code == 0
    admin.client_sends(36, 2, auth_bytes=build_plain(ADMIN, token))
    answer = admin.client_receives()
    assert answer.error_code == 0
    assert answer.session_lifetime > 0
    admin.client_sends(HEARTBEAT, 4, group_id="g")
    assert admin.broker_gets().message.group_id == "g"


def test_an_admin_does_not_become_a_partner(admin: Dialogue) -> None:
    admin.client_sends(17, 1, mechanism="PLAIN")
    assert admin.client_receives().error_code == 0
    admin.client_sends(36, 2, auth_bytes=build_plain("johndoe", PARTNER_PASSWORD))
    admin.playbook.loop.advance(LIMITS.failed_authentication_delay_seconds)
    assert admin.client_receives().error_code == 58
    admin.expect_end(CloseReason.REAUTHENTICATION_FAILED)


def test_zones_are_what_they_were(admin: Dialogue, playbook: Playbook) -> None:
    """Beside an admin's session, a partner's has its aliases, its prefix and its refusals."""
    admin.client_sends(HEARTBEAT, 4, group_id="partner:g")
    assert admin.broker_gets().message.group_id == "partner:g"
    partner = playbook.signed_in()
    partner.client_sends(HEARTBEAT, 4, group_id="g")
    got = partner.broker_gets()
    assert (got.message.group_id, got.client_id) == ("partner:g", "partner:app")
    partner.broker_answers(got)
    partner.client_receives()
    topic = request_struct(CREATE_TOPICS, 7).nested("topics").new(name="new", num_partitions=1, replication_factor=1)
    partner.client_sends(CREATE_TOPICS, 7, topics=(topic,))
    partner.broker_gets_nothing()
    assert [one.error_code for one in partner.client_receives().topics] == [29]


def test_sessions_are_counted_and_named(admin: Dialogue, playbook: Playbook) -> None:
    assert playbook.metrics.connections == {"passthrough": 1}
    admin.client_sends(LIST_GROUPS, 3)
    admin.broker_answers(admin.broker_gets())
    admin.client_receives()
    assert playbook.metrics.api("passthrough", LIST_GROUPS).requests == 1
    admin.client.hang_up()
    assert admin.ended == CloseReason.CLIENT_CLOSED
    assert (admin.end_line["zone"], admin.end_line["user"]) == ("passthrough", ADMIN)
    assert playbook.metrics.connections == {"passthrough": 0}


def test_a_stop_lets_answers_finish(admin: Dialogue) -> None:
    correlation_id = admin.client_sends(LIST_GROUPS, 3)
    got = admin.broker_gets()
    admin.session.drain()
    assert admin.ended == ""
    admin.broker_answers(got)
    admin.client_receives(correlation_id)
    admin.expect_end(CloseReason.SHUTDOWN)


def test_zones_that_come_and_go_leave_the_session_alone(admin: Dialogue, playbook: Playbook) -> None:
    assert "passthrough" not in playbook.apply([])
    admin.client_sends(LIST_GROUPS, 3)
    assert admin.broker_gets().key == LIST_GROUPS


@pytest.mark.parametrize(
    ("password", "failure"),
    [
        (PASSWORD, "invalid_credentials"),
        ("expired", "expired_token"),
        ("another's", "invalid_credentials"),
    ],
)
def test_what_is_no_token_is_refused_in_kafkas_words(
    playbook: Playbook, tokens: PassthroughTokens, password: str, failure: str
) -> None:
    given = {"expired": tokens.issue(60, 1_600_000_000).token, "another's": "x.y.z"}.get(password, password)
    dialogue = playbook.connects()
    dialogue.client_sends(17, 1, mechanism="PLAIN")
    dialogue.client_receives()
    dialogue.client_sends(36, 2, auth_bytes=build_plain(ADMIN, given))
    playbook.loop.advance(LIMITS.failed_authentication_delay_seconds)
    answer = dialogue.client_receives()
    assert (answer.error_code, answer.error_message) == (
        58,
        "Authentication failed: Invalid username or password",
    )
    dialogue.expect_end(CloseReason.AUTHENTICATION_FAILED)
    assert playbook.metrics.authentication_failures == {failure: 1}


def test_without_the_setting_a_token_is_a_wrong_password(tokens: PassthroughTokens) -> None:
    with Playbook() as playbook:
        dialogue = playbook.connects()
        dialogue.client_sends(17, 1, mechanism="PLAIN")
        dialogue.client_receives()
        token = tokens.issue(3600, SESSION_NOW).token
        dialogue.client_sends(36, 2, auth_bytes=build_plain(ADMIN, token))
        playbook.loop.advance(LIMITS.failed_authentication_delay_seconds)
        assert dialogue.client_receives().error_code == 58
        dialogue.expect_end(CloseReason.AUTHENTICATION_FAILED)


def test_every_version_has_a_plan() -> None:
    assert {number >> 16 for number in all_plans()} == set(PASSING)
    assert all(plan.entry.on_bytes and plan.entry.on_large_head for plan in all_plans().values())
