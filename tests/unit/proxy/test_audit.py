"""The audit's lines, in dialogues: whole lines where their form is promised, counts where they are sampled."""

from typing import Any, Final

import pytest

from policies.changes import credential_changes, zone_changes
from policies.credentials import Credential
from policies.zone import Alias, Permission, Zone
from protocol.error_codes import ErrorCode
from protocol.sasl import build_plain
from protocol.schema import API_NAMES, known_versions, request_struct
from proxy import gateway as gateway_module
from proxy.apis.refusals import ANSWERS
from proxy.audit import MAX_NAMES, WINDOW_SECONDS
from proxy.close import CloseReason
from proxy.gateway import Gateway
from proxy.mechanisms.mechanism import Principal
from proxy.resources import Resource, ResourceType, operation
from tests.unit.proxy.playbook import CONFIG, LIMITS, PASSWORD, ZONE, Dialogue, Playbook
from tests.unit.proxy.refusal_cases import CASES
from tests.unit.proxy.test_refusals import build

PRODUCE, FETCH, METADATA, OFFSET_COMMIT, FIND_COORDINATOR, INIT_PRODUCER_ID = 0, 1, 3, 8, 10, 22
AT_THE_BEGINNING: Final = "2030-03-17T17:46:40.000Z"

Line = dict[str, Any]


def lines(playbook: Playbook, event: str) -> list[Line]:
    return [line for line in playbook.audited if line["event"] == event]


def only(playbook: Playbook, event: str) -> Line:
    (line,) = lines(playbook, event)
    return line


def fails_to_sign_in(dialogue: Dialogue, username: str, password: str) -> None:
    dialogue.client_sends(17, 1, mechanism="PLAIN")
    dialogue.client_receives()
    dialogue.client_sends(36, 2, auth_bytes=build_plain(username, password))


def asks_for(dialogue: Dialogue, *names: str) -> None:
    """Metadata of topics, and what the broker says to it."""
    topics = tuple(request_struct(METADATA, 9).nested("topics").new(name=name) for name in names)
    dialogue.client_sends(METADATA, 9, topics=topics)
    dialogue.broker_answers(dialogue.broker_gets(), brokers=(), topics=(), controller_id=1)
    dialogue.client_receives()


# connections and sign-ins


def test_a_session_has_two_lines_that_belong_together() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in(broker_id=2)
        asks_for(dialogue)
        dialogue.client.hang_up()
        assert dialogue.ended == "client_closed"
        signed_in, ended = playbook.audited
        assert signed_in == {
            "time": AT_THE_BEGINNING,
            "version": 1,
            "event": "authentication",
            "outcome": "success",
            "count": 1,
            "connection": signed_in["connection"],
            "peer_address": "client",
            "peer_port": 1,
            "listener": "default",
            "zone": "partner",
            "user": "johndoe",
            "mechanism": "PLAIN",
            "credential_id": "c-partner",
        }
        assert ended == {
            "time": AT_THE_BEGINNING,
            "version": 1,
            "event": "connection",
            "count": 1,
            "connection": signed_in["connection"],
            "peer_address": "client",
            "peer_port": 1,
            "listener": "default",
            "broker": 2,
            "reason": "client_closed",
            "seconds": dialogue.end_line["seconds"],
            "requests": 1,
            "bytes_in": dialogue.end_line["bytes_in"],
            "bytes_out": dialogue.end_line["bytes_out"],
            "zone": "partner",
            "user": "johndoe",
            "mechanism": "PLAIN",
            "credential_id": "c-partner",
        }


def test_connections_are_told_apart() -> None:
    with Playbook() as playbook:
        for _ in range(2):
            playbook.signed_in()
        first, second = (line["connection"] for line in lines(playbook, "authentication"))
        assert first != second


def test_every_session_has_its_line_however_many_there_are() -> None:
    with Playbook() as playbook:
        for _ in range(50):
            playbook.signed_in().client.hang_up()
        playbook.loop.run_due()
        assert len({line["connection"] for line in lines(playbook, "connection")}) == 50


def test_a_service_account_that_fails_is_named() -> None:
    with Playbook() as playbook:
        dialogue = playbook.connects()
        fails_to_sign_in(dialogue, "johndoe", "wrong")
        playbook.loop.advance(LIMITS.failed_authentication_delay_seconds)
        failed = only(playbook, "authentication")
        assert {name: failed[name] for name in ("outcome", "reason", "user", "mechanism", "count")} == {
            "outcome": "failure",
            "reason": "invalid_credentials",
            "user": "johndoe",
            "mechanism": "PLAIN",
            "count": 1,
        }
        ended = only(playbook, "connection")
        assert (ended["reason"], ended["detail"]) == ("authentication_failed", "invalid_credentials")
        assert ended["connection"] == failed["connection"]
        assert "user" not in ended


def test_any_other_name_is_a_tag_since_it_may_be_a_password() -> None:
    with Playbook() as playbook:
        for username in (PASSWORD, PASSWORD, "another"):
            fails_to_sign_in(playbook.connects(), username, "x")
            playbook.loop.advance(WINDOW_SECONDS)
            playbook.audit.tick()
        tags = [line["user_tag"] for line in lines(playbook, "authentication")]
        assert tags[0] == tags[1] != tags[2]
        assert all(len(tag) == 8 for tag in tags)
        assert not any("user" in line for line in playbook.audited)
        assert PASSWORD not in str(playbook.audited)
    with Playbook() as other:
        fails_to_sign_in(other.connects(), PASSWORD, "x")
        assert only(other, "authentication")["user_tag"] != tags[0], "the tag must not allow to try passwords"


@pytest.mark.parametrize(("asked", "shown"), [("SCRAM-SHA-256", "SCRAM-SHA-256"), ("hunter2", None), ("", None)])
def test_mechanisms_that_nobody_has_are_not_repeated(asked: str, shown: str | None) -> None:
    with Playbook() as playbook:
        playbook.connects().client_sends(17, 1, mechanism=asked)
        failed = only(playbook, "authentication")
        assert failed["reason"] == "unsupported_mechanism"
        assert failed.get("mechanism") == shown


def test_a_flood_of_failures_is_counted_by_address_and_account() -> None:
    with Playbook() as playbook:
        for username in ("johndoe", "x", "y", "z", "johndoe", "johndoe"):
            fails_to_sign_in(playbook.connects(), username, "wrong")
        assert [(line.get("user"), line["count"]) for line in lines(playbook, "authentication")] == [
            ("johndoe", 1),
            (None, 1),
        ]
        playbook.loop.advance(WINDOW_SECONDS)
        playbook.audit.tick()
        later = lines(playbook, "authentication")[2:]
        assert [(line.get("user"), line["count"], line["since"]) for line in later] == [
            ("johndoe", 2, AT_THE_BEGINNING),
            (None, 2, AT_THE_BEGINNING),
        ]


def test_connections_that_never_sign_in_are_counted() -> None:
    with Playbook() as playbook:
        for _ in range(100):
            dialogue = playbook.connects()
            dialogue.client_sends_bytes(b"GET / HTTP/1.1\r\n\r\n")
            dialogue.expect_end(CloseReason.BAD_FRAME)
        only(playbook, "connection")
        playbook.audit.finish()
        first, rest = lines(playbook, "connection")
        assert (first["count"], rest["count"]) == (1, 99)
        assert first["reason"] == rest["reason"] == "bad_frame"


# refusals


def test_a_refusal() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        asks_for(dialogue, "elsewhere")
        refusal = only(playbook, "refusal")
        assert refusal == {
            "time": AT_THE_BEGINNING,
            "version": 1,
            "event": "refusal",
            "count": 1,
            "connection": only(playbook, "authentication")["connection"],
            "peer_address": "client",
            "peer_port": 1,
            "listener": "default",
            "zone": "partner",
            "user": "johndoe",
            "mechanism": "PLAIN",
            "credential_id": "c-partner",
            "alias": "elsewhere",
            "api": "metadata",
            "operation": "DESCRIBE",
            "resource_type": "topic",
            "error": "topic_authorization_failed",
            "error_code": 29,
        }


def test_a_topic_by_an_id_that_is_nobodys() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        struct = request_struct(METADATA, 12)
        topics = (struct.nested("topics").new(name=None, topic_id=bytes(range(16))),)
        dialogue.client_sends(METADATA, 12, topics=topics)
        dialogue.broker_answers(dialogue.broker_gets(), brokers=(), topics=(), controller_id=1)
        refusal = only(playbook, "refusal")
        assert refusal["topic_id"] == "AAECAwQFBgcICQoLDA0ODw"
        assert refusal["error"] == "unknown_topic_id"
        assert "alias" not in refusal


def test_a_produce_to_a_topic_that_may_only_be_read() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        struct = request_struct(PRODUCE, 9)
        topic = struct.nested("topic_data")
        partitions = tuple(topic.nested("partition_data").new(index=index, records=b"x") for index in range(3))
        dialogue.client_sends(
            PRODUCE, 9, acks=1, timeout=1, topic_data=(topic.new(name="stock", partition_data=partitions),)
        )
        refusal = only(playbook, "refusal")
        assert (refusal["alias"], refusal["operation"], refusal["count"]) == ("stock", "WRITE", 3)


def test_without_acks_a_refused_transaction_leaves_its_line_before_the_connection_ends() -> None:
    with Playbook((Zone("partner", "cluster", "johndoe", (Alias("stock", "kafka-stock", Permission.READ),)),)) as stage:
        dialogue = stage.signed_in()
        struct = request_struct(PRODUCE, 9)
        topic = struct.nested("topic_data")
        partition = topic.nested("partition_data").new(index=0, records=b"x")
        data = (topic.new(name="stock", partition_data=(partition,)),)
        dialogue.client_sends(PRODUCE, 9, transactional_id="mine", acks=0, timeout=1, topic_data=data)
        dialogue.expect_end(CloseReason.ACKS_0_REFUSED)
        refused = {
            (line["resource_type"], line.get("resource_name"), line["error"]) for line in lines(stage, "refusal")
        }
        assert ("transactional_id", "mine", "transactional_id_authorization_failed") in refused


def test_names_are_cut() -> None:
    with Playbook() as playbook:
        asks_for(playbook.signed_in(), "x" * 30_000)
        assert only(playbook, "refusal")["alias"] == "x" * 249 + "…"


def test_a_flood_of_refusals_is_counted() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        for _ in range(200):
            asks_for(dialogue, "elsewhere")
        asks_for(dialogue, "nowhere")
        assert [(line["alias"], line["count"]) for line in lines(playbook, "refusal")] == [
            ("elsewhere", 1),
            ("nowhere", 1),
        ]
        playbook.loop.advance(WINDOW_SECONDS)
        playbook.audit.tick()
        (later,) = lines(playbook, "refusal")[2:]
        assert (later["alias"], later["count"], later["since"]) == ("elsewhere", 199, AT_THE_BEGINNING)
        playbook.loop.advance(2 * WINDOW_SECONDS)
        playbook.audit.tick()
        assert len(lines(playbook, "refusal")) == 3, "the flood is over"


def test_names_that_a_client_makes_up_are_told_as_a_whole_beyond_a_bound() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        for number in range(MAX_NAMES + 50):
            asks_for(dialogue, f"made-up-{number}")
        playbook.audit.finish()
        told = lines(playbook, "refusal")
        assert len(told) == MAX_NAMES + 2
        mixed = [line for line in told if "mixed" in line]
        assert [line["count"] for line in mixed] == [1, 49]
        assert mixed[1] == {
            "time": AT_THE_BEGINNING,
            "version": 1,
            "event": "refusal",
            "count": 49,
            "mixed": True,
            "zone": "partner",
            "api": "metadata",
            "operation": "DESCRIBE",
            "resource_type": "topic",
            "error": "topic_authorization_failed",
            "error_code": 29,
        }


NO_OPERATION: Final = {"create_delegation_token", "renew_delegation_token", "expire_delegation_token"} | {
    "describe_delegation_token",
    "get_telemetry_subscriptions",
    "push_telemetry",
}
"""For what Kafka has no ACL of a user's own."""


@pytest.mark.parametrize("key", sorted(ANSWERS), ids=[API_NAMES[key] for key in sorted(ANSWERS)])
def test_what_is_refused_as_a_whole_is_audited_as_it_is_counted(key: int) -> None:
    version = known_versions(key)[1]
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        for request, _, _ in CASES[key]:
            dialogue.client_sends(key, version, build(request_struct(key, version), request))
            dialogue.client_receives()
        for line in lines(playbook, "refusal"):
            has_none = line["api"] in NO_OPERATION or line["error"] == "invalid_request"
            assert "operation" in line or has_none, line
            assert ("resource_type" in line) == ("operation" in line), line


@pytest.mark.parametrize(
    ("key", "fields", "resource"),
    [
        (OFFSET_COMMIT, {"group_id": "x" * 40_000}, ("group", "x" * 249 + "…", "READ")),
        (FIND_COORDINATOR, {"key_type": 1, "coordinator_keys": ("t",)}, ("transactional_id", "t", "DESCRIBE")),
        (INIT_PRODUCER_ID, {"transactional_id": "t"}, ("transactional_id", "t", "WRITE")),
        (INIT_PRODUCER_ID, {"transactional_id": None}, ("cluster", None, "IDEMPOTENT_WRITE")),
        (24, {"v3_and_below_transactional_id": "t"}, None),
        (26, {"transactional_id": "t"}, ("transactional_id", "t", "WRITE")),
        (32, {"resources": ({"resource_type": 4, "resource_name": "1"},)}, ("cluster", "1", "DESCRIBE_CONFIGS")),
    ],
)
def test_other_resources_are_named_in_kafkas_words(
    key: int, fields: dict[str, Any], resource: tuple[str, str | None, str] | None
) -> None:
    reader = Zone("partner", "cluster", "johndoe", (Alias("stock", "kafka-stock", Permission.READ),))
    version = {OFFSET_COMMIT: 9, FIND_COORDINATOR: 4, INIT_PRODUCER_ID: 4, 24: 3, 26: 3, 32: 4}[key]
    with Playbook((reader,)) as playbook:
        playbook.signed_in().client_sends(key, version, build(request_struct(key, version), fields))
        found = [
            (line["resource_type"], line.get("resource_name"), line["operation"]) for line in lines(playbook, "refusal")
        ]
        assert found == ([] if resource is None else [resource])


def test_kafka_asks_for_a_permission_of_every_api_that_names_topics() -> None:
    assert operation(FETCH, Resource(ResourceType.TOPIC, "x")) == "READ"
    assert operation(18, Resource(ResourceType.TOPIC, "x")) == ""


# changes


def test_zones() -> None:
    read = Alias("orders", "kafka-orders", Permission.READ)
    narrowed = Zone("partner", "cluster", "janedoe", (read, Alias("new", "kafka-new", Permission.READ)))
    with Playbook() as playbook:
        playbook.audit.zones_changed(zone_changes([ZONE], [narrowed]), {"partner": 3})
        assert playbook.audited == [
            {
                "time": AT_THE_BEGINNING,
                "version": 1,
                "event": "zone_change",
                "change": "changed",
                "zone": "partner",
                "user": "janedoe",
                "fields": ["service_account", "aliases"],
                "aliases_added": ["new"],
                "aliases_added_count": 1,
                "aliases_removed": ["stock", "twin", "invoices"],
                "aliases_removed_count": 3,
                "aliases_changed": ["orders"],
                "aliases_changed_count": 1,
                "sessions_ended": 3,
            }
        ]


def test_credentials_without_their_hashes() -> None:
    credential = Credential("c1", "partner", "2030-01-01T00:00:00Z", "sha256:aa:bb", expires=1_900_000_060.5)
    with Playbook() as playbook:
        playbook.audit.credentials_changed(credential_changes([], [credential]), {})
        playbook.audit.credential_expired(credential, sessions_ended=2)
        added, expired = playbook.audited
        assert added == {
            "time": AT_THE_BEGINNING,
            "version": 1,
            "event": "credential_change",
            "change": "added",
            "zone": "partner",
            "credential_id": "c1",
            "expires": "2030-03-17T17:47:40.500Z",
            "sessions_ended": 0,
        }
        assert (expired["change"], expired["sessions_ended"]) == ("expired", 2)


def test_tokens_of_admins_are_known_by_their_ids() -> None:
    with Playbook() as playbook:
        playbook.audit.token_issued("root", "10.0.0.9", "jti-1", 1_900_000_060.0)
        for _ in range(5):
            playbook.audit.token_refused("10.0.0.7", "wrong_login")
        playbook.audit.finish()
        issued, refused, more = playbook.audited
        assert issued == {
            "time": AT_THE_BEGINNING,
            "version": 1,
            "event": "admin_token",
            "outcome": "success",
            "count": 1,
            "peer_address": "10.0.0.9",
            "user": "root",
            "token_id": "jti-1",
            "expires": "2030-03-17T17:47:40.000Z",
        }
        assert [line["count"] for line in (refused, more)] == [1, 4]
        assert {name: refused[name] for name in ("event", "outcome", "reason", "peer_address")} == {
            "event": "admin_token",
            "outcome": "failure",
            "reason": "wrong_login",
            "peer_address": "10.0.0.7",
        }


def test_a_gateway_tells_what_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000.0]
    monkeypatch.setattr(gateway_module, "time", lambda: now[0])
    told: list[Line] = []
    first = Credential("first", "partner", "2030-01-01T00:00:00Z", "sha256:aa:bb", expires=1_100.0)
    second = Credential("second", "partner", "2030-01-01T00:00:00Z", "sha256:aa:bb")
    gateway = Gateway(CONFIG, [ZONE], [first], lambda line: told.append(dict(line)))
    gateway.apply([ZONE], [first])
    assert told == [], "what it starts with is no change"
    now[0] = 1_100.0
    gateway.apply([], [first, second])
    assert [(line["event"], line["change"], line.get("credential_id"), line["sessions_ended"]) for line in told] == [
        ("credential_change", "expired", "first", 0),
        ("zone_change", "removed", None, 0),
        ("credential_change", "added", "second", 0),
    ]
    gateway.apply([], [second])
    assert [line["change"] for line in told[3:]] == ["removed"], "it expires once"


def test_a_session_that_signs_in_again_says_so() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        session = dialogue.session
        principal = session._authentication.principal
        assert principal is not None
        playbook.audit.authenticated(session.origin, principal, again=True)
        playbook.audit.authentication_failed(session.origin, "PLAIN", "another_principal", "johndoe", again=True)
        again = lines(playbook, "reauthentication")
        assert [line["outcome"] for line in again] == ["success", "failure"]
        assert {line["connection"] for line in again} == {only(playbook, "authentication")["connection"]}


def test_a_proof_that_outlasts_the_calendar() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        playbook.audit.authenticated(
            dialogue.session.origin, Principal("partner", "johndoe", "OAUTHBEARER", None, 1e300)
        )
        assert lines(playbook, "authentication")[1]["expires"] == "9999-12-31T23:59:59.000Z"


def test_without_a_sink_nothing_is_noted() -> None:
    with Playbook() as playbook:
        playbook.audit._sink = None
        dialogue = playbook.signed_in()
        asks_for(dialogue, "elsewhere")
        fails_to_sign_in(playbook.connects(), "johndoe", "wrong")
        dialogue.client.hang_up()
        playbook.loop.run_due()
        playbook.audit.finish()
        assert playbook.audited == []
        playbook.audits_refusals = False
        assert playbook.metrics.refusals[ZONE.name, "metadata", ErrorCode.TOPIC_AUTHORIZATION_FAILED.name.lower()] == 1
