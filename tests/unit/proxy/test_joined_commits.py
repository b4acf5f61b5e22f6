"""Commits that wait for the zone's limit are joined: one at the broker, and an answer for each."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.positions import MARK
from policies.zone import Zone, ZoneLimits
from protocol.schema import Message, response_struct
from proxy.close import CloseReason
from proxy.joined_requests import MAX_JOINED
from proxy.traffic import Kind
from tests.unit.proxy.coordinator import COMMIT
from tests.unit.proxy.playbook import ZONE, BrokerGot, Dialogue, Playbook, versions_of
from tests.unit.proxy.test_offsets import GENERATION, HEARTBEAT, MEMBER, TOO_LONG, commit, committed, key_at
from tests.unit.proxy.test_produce import key_of, naming, topic_key

TOO_LARGE = 12
UNKNOWN_PARTITION = 3
ILLEGAL_GENERATION = 22
PARTITIONS = 3
METADATA_CHARACTERS = 8
BY_NAME = 9
BY_ID = 10

LIMITED = dataclasses.replace(ZONE, limits=ZoneLimits(commits_per_minute=60))

Stored = dict[tuple[str, Any, int], tuple[int, int, str]]


class Broker:
    """Judges each position by itself, as a coordinator does, after the generation."""

    def __init__(self) -> None:
        self.stored: Stored = {}
        """(group, topic, partition) -> (offset, leader epoch, metadata)"""
        self.commits = 0

    def response(self, got: BrokerGot) -> Message:
        if got.key == HEARTBEAT:
            return response_struct(HEARTBEAT, got.version).new()
        self.commits += 1
        struct = response_struct(COMMIT, got.version)
        entry = struct.nested("topics")
        partition = entry.nested("partitions")
        return struct.fit(
            topics=tuple(
                entry.new(
                    **naming(key_of(topic)),
                    partitions=tuple(
                        partition.new(partition_index=p.partition_index, error_code=self._keep(got.message, topic, p))
                        for p in topic.partitions
                    ),
                )
                for topic in got.message.topics
            )
        )

    def _keep(self, request: Message, topic: Message, partition: Message) -> int:
        if request.generation_id_or_member_epoch != GENERATION:
            return ILLEGAL_GENERATION
        if partition.partition_index >= PARTITIONS:
            return UNKNOWN_PARTITION
        metadata = partition.committed_metadata or ""
        if len(metadata) > METADATA_CHARACTERS:
            return TOO_LARGE
        epoch = getattr(partition, "committed_leader_epoch", -1)
        self.stored[request.group_id, key_of(topic), partition.partition_index] = (
            partition.committed_offset,
            epoch,
            metadata,
        )
        return 0

    def serve(self, dialogue: Dialogue) -> None:
        while dialogue.broker.sent:
            got = dialogue.broker_gets()
            dialogue.broker_answers(got, self.response(got))


def in_debt(playbook: Playbook, version: int = BY_NAME, zone: Zone = LIMITED) -> Dialogue:
    """A client that owes a commit, so that the next one waits for a second."""
    dialogue = playbook.signed_in(username=zone.service_account)
    for _ in range(2):
        dialogue.client_sends(COMMIT, version, commit(version, {key_at(playbook, version, "stock"): {0: 0}}))
        Broker().serve(dialogue)
        dialogue.client_receives()
    return dialogue


def sends(dialogue: Dialogue, *messages: Message, version: int = BY_NAME) -> list[int]:
    """All in one read; their correlation ids."""
    requests = [dialogue.request(COMMIT, version, message) for message in messages]
    dialogue.client_sends_bytes(b"".join(frame for _, frame in requests))
    return [correlation_id for correlation_id, _ in requests]


def positions_of(got: BrokerGot) -> dict[Any, dict[int, int]]:
    return {key_of(t): {p.partition_index: p.committed_offset for p in t.partitions} for t in got.message.topics}


def charged(playbook: Playbook) -> float:
    return playbook.zone().traffic[Kind.COMMIT].charged


@pytest.mark.parametrize("version", versions_of(COMMIT))
@pytest.mark.parametrize("count", [2, 100])
def test_commits_that_wait_become_one(count: int, version: int) -> None:
    with Playbook([LIMITED]) as playbook:
        stock, topic = key_at(playbook, version, "stock"), topic_key(13 if version >= BY_ID else 0, "kafka-stock")
        dialogue, broker = in_debt(playbook, version), Broker()
        before = charged(playbook)
        ids = sends(dialogue, *(commit(version, {stock: {0: n}}) for n in range(count)), version=version)
        playbook.loop.advance(0.99)
        dialogue.broker_gets_nothing()
        playbook.loop.advance(0.01)
        got = dialogue.broker_gets()
        assert positions_of(got) == {topic: {0: count - 1}}
        dialogue.broker_gets_nothing()
        dialogue.client_receives_nothing()
        dialogue.broker_answers(got, broker.response(got))
        for correlation_id in ids:
            response = dialogue.client_receives(correlation_id)
            assert committed(response) == {stock: {0: 0}}
            assert getattr(response, "throttle_time", 1000) == 1000
        assert charged(playbook) == before + 1
        assert playbook.zone().meter(COMMIT).requests == 2 + count
        assert dict(playbook.metrics.joined_commits) == {"partner": count - 1}


def test_a_later_position_replaces_an_earlier_one_and_others_stay() -> None:
    with Playbook([LIMITED]) as playbook:
        dialogue, broker = in_debt(playbook), Broker()
        ids = sends(
            dialogue,
            commit(BY_NAME, {"stock": {0: 5, 1: 6}, "invoices": {2: 7}}, metadata="one"),
            commit(BY_NAME, {"stock": {1: 3}}, metadata="two"),
            commit(BY_NAME, {"invoices": {0: 9, 7: 1}}, metadata="ten"),
        )
        playbook.loop.advance(1)
        broker.serve(dialogue)
        assert committed(dialogue.client_receives(ids[0])) == {"stock": {0: 0, 1: 0}, "invoices": {2: 0}}
        assert committed(dialogue.client_receives(ids[1])) == {"stock": {1: 0}}
        assert committed(dialogue.client_receives(ids[2])) == {"invoices": {0: 0, 7: UNKNOWN_PARTITION}}
        assert broker.commits == 1
        assert broker.stored == {
            ("partner:g", "kafka-stock", 0): (5, -1, "one"),
            ("partner:g", "kafka-stock", 1): (3, -1, "two"),
            ("partner:g", "kafka-invoices", 2): (7, -1, "one"),
            ("partner:g", "kafka-invoices", 0): (9, -1, "ten"),
        }


@pytest.mark.parametrize("zone", [ZONE, dataclasses.replace(ZONE, limits=ZoneLimits(produce_rate=1))])
def test_without_a_limit_for_commits_none_are_joined(zone: Zone) -> None:
    with Playbook([zone]) as playbook:
        dialogue = in_debt(playbook, zone=zone)
        sends(dialogue, *(commit(BY_NAME, {"stock": {0: n}}) for n in range(5)))
        assert [positions_of(dialogue.broker_gets()) for _ in range(5)] == [{"kafka-stock": {0: n}} for n in range(5)]


def test_without_debt_none_are_joined() -> None:
    with Playbook([dataclasses.replace(ZONE, limits=ZoneLimits(commits_per_minute=600))]) as playbook:
        dialogue = playbook.signed_in()
        sends(dialogue, *(commit(BY_NAME, {"stock": {0: n}}) for n in range(14)))
        # ten are in stock, and the eleventh makes the debt
        assert [positions_of(dialogue.broker_gets()) for _ in range(11)] == [{"kafka-stock": {0: n}} for n in range(11)]
        dialogue.broker_gets_nothing()
        playbook.loop.advance(0.1)
        assert positions_of(dialogue.broker_gets()) == {"kafka-stock": {0: 13}}


def test_a_limit_that_goes_while_commits_wait_joins_none() -> None:
    with Playbook([LIMITED]) as playbook:
        dialogue = in_debt(playbook)
        sends(dialogue, *(commit(BY_NAME, {"stock": {0: n}}) for n in range(2)))
        playbook.apply([ZONE])
        dialogue.session.apply_limits()
        playbook.loop.run_due()
        assert [positions_of(dialogue.broker_gets()) for _ in range(2)] == [{"kafka-stock": {0: n}} for n in range(2)]


def another(**values: Any) -> Callable[[Message], None]:
    def change(message: Message) -> None:
        for name, value in values.items():
            setattr(message, name, value)

    return change


@pytest.mark.parametrize(
    "change",
    [
        another(group_id="h"),
        another(member_id="member-2"),
        another(generation_id_or_member_epoch=GENERATION + 1),
        another(group_instance_id="static"),
    ],
)
def test_what_is_not_of_the_same_member_is_not_joined(change: Callable[[Message], None]) -> None:
    with Playbook([LIMITED]) as playbook:
        dialogue, broker = in_debt(playbook), Broker()
        messages = [commit(BY_NAME, {"stock": {0: n}}) for n in range(5)]
        change(messages[2])
        ids = sends(dialogue, *messages)
        for expected in (1, 2, 4):
            dialogue.broker_gets_nothing()
            playbook.loop.advance(1)
            got = dialogue.broker_gets()
            assert positions_of(got) == {"kafka-stock": {0: expected}}
            dialogue.broker_answers(got, broker.response(got))
        for correlation_id in ids:
            dialogue.client_receives(correlation_id)


def test_another_version_or_client_id_is_not_joined() -> None:
    with Playbook([LIMITED]) as playbook:
        dialogue, broker = in_debt(playbook), Broker()
        frames = [
            dialogue.request(COMMIT, 8, commit(8, {"stock": {0: 0}}))[1],
            dialogue.request(COMMIT, 9, commit(9, {"stock": {0: 1}}))[1],
            dialogue.request(COMMIT, 9, commit(9, {"stock": {0: 2}}), client_id="another")[1],
            dialogue.request(COMMIT, 9, commit(9, {"stock": {0: 3}}), client_id=None)[1],
        ]
        dialogue.client_sends_bytes(b"".join(frames))
        for expected in range(4):
            playbook.loop.advance(1)
            got = dialogue.broker_gets()
            assert positions_of(got) == {"kafka-stock": {0: expected}}
            dialogue.broker_answers(got, broker.response(got))
            dialogue.client_receives()


@pytest.mark.parametrize("version", [2, 4])
def test_another_retention_time_is_not_joined(version: int) -> None:
    with Playbook([LIMITED]) as playbook:
        dialogue = in_debt(playbook, version)
        messages = [commit(version, {"stock": {0: n}}) for n in range(2)]
        messages[1].retention_time = 5
        sends(dialogue, *messages, version=version)
        playbook.loop.advance(1)
        assert positions_of(dialogue.broker_gets()) == {"kafka-stock": {0: 0}}


def test_a_heartbeat_between_keeps_its_place() -> None:
    with Playbook([LIMITED]) as playbook:
        dialogue, broker = in_debt(playbook), Broker()
        requests = [dialogue.request(COMMIT, BY_NAME, commit(BY_NAME, {"stock": {0: n}})) for n in range(6)]
        beat = dialogue.request(HEARTBEAT, 4, group_id="g", member_id=MEMBER, generation_id=GENERATION)
        requests.insert(3, beat)
        dialogue.client_sends_bytes(b"".join(frame for _, frame in requests))
        playbook.loop.advance(1)
        first, second = dialogue.broker_gets(), dialogue.broker_gets()
        assert positions_of(first) == {"kafka-stock": {0: 5}}
        assert second.key == HEARTBEAT
        dialogue.broker_gets_nothing()
        for got in (first, second):
            dialogue.broker_answers(got, broker.response(got))
        for correlation_id, _ in requests:
            dialogue.client_receives(correlation_id)


def test_a_heartbeat_behind_the_last_commit_passes_by_itself() -> None:
    with Playbook([LIMITED]) as playbook:
        dialogue, broker = in_debt(playbook), Broker()
        beat = dialogue.request(HEARTBEAT, 4, group_id="g", member_id=MEMBER, generation_id=GENERATION)
        requests = [dialogue.request(COMMIT, BY_NAME, commit(BY_NAME, {"stock": {0: n}})) for n in range(2)]
        requests = [*requests, beat, beat]
        dialogue.client_sends_bytes(b"".join(frame for _, frame in requests))
        playbook.loop.advance(1)
        assert playbook.zone().meter(COMMIT).requests == 2
        broker.serve(dialogue)
        for correlation_id, _ in requests:
            dialogue.client_receives(correlation_id)


@pytest.mark.parametrize(
    ("key", "fields"),
    [
        pytest.param(68, {"group_id": "g", "member_id": MEMBER, "member_epoch": GENERATION}, id="KIP-848 heartbeat"),
        pytest.param(13, {"group_id": "g"}, id="LeaveGroup"),
        pytest.param(10, {"coordinator_keys": ("g",)}, id="FindCoordinator"),
    ],
)
def test_anything_else_between_ends_a_chain(key: int, fields: dict[str, Any]) -> None:
    with Playbook([LIMITED]) as playbook:
        dialogue = in_debt(playbook)
        frames = [dialogue.request(COMMIT, BY_NAME, commit(BY_NAME, {"stock": {0: n}}))[1] for n in range(4)]
        frames.insert(2, dialogue.request(key, max(versions_of(key)), **fields)[1])
        dialogue.client_sends_bytes(b"".join(frames))
        playbook.loop.advance(1)
        assert positions_of(dialogue.broker_gets()) == {"kafka-stock": {0: 1}}
        dialogue.broker.sent.clear()
        playbook.loop.advance(1)
        assert positions_of(dialogue.broker_gets()) == {"kafka-stock": {0: 3}}


def test_a_damaged_heartbeat_between_ends_the_connection() -> None:
    with Playbook([LIMITED]) as playbook:
        dialogue = in_debt(playbook)
        frames = [dialogue.request(COMMIT, BY_NAME, commit(BY_NAME, {"stock": {0: n}}))[1] for n in range(2)]
        beat = dialogue.request(HEARTBEAT, 3, group_id="g", member_id=MEMBER, generation_id=GENERATION)[1]
        frames.insert(1, len(beat[4:-6]).to_bytes(4, "big") + beat[4:-6])
        dialogue.client_sends_bytes(b"".join(frames))
        playbook.loop.advance(1)
        dialogue.expect_end(CloseReason.BAD_REQUEST)
        dialogue.client_receives_nothing()


def test_a_chain_ends_before_a_commit_that_is_not_here_as_a_whole() -> None:
    """Cut anywhere: what is here before the cut is joined, and what follows waits in its turn."""
    with Playbook([LIMITED]) as playbook:
        probe = playbook.signed_in()
        sizes = [len(probe.request(COMMIT, BY_NAME, commit(BY_NAME, {"stock": {0: n}}))[1]) for n in range(4)]
    for cut in range(sum(sizes) + 1):
        with Playbook([LIMITED]) as playbook:
            dialogue, broker = in_debt(playbook), Broker()
            requests = [dialogue.request(COMMIT, BY_NAME, commit(BY_NAME, {"stock": {0: n}})) for n in range(4)]
            data = b"".join(frame for _, frame in requests)
            whole = cut // sizes[0]
            dialogue.client_sends_bytes(data[:cut])
            playbook.loop.advance(1)
            if whole:
                got = dialogue.broker_gets()
                assert positions_of(got) == {"kafka-stock": {0: whole - 1}}
                dialogue.broker_answers(got, broker.response(got))
            dialogue.broker_gets_nothing()
            dialogue.client_sends_bytes(data[cut:])
            playbook.loop.advance(1)
            broker.serve(dialogue)
            playbook.loop.advance(1)
            broker.serve(dialogue)
            for correlation_id, _ in requests:
                assert committed(dialogue.client_receives(correlation_id)) == {"stock": {0: 0}}
            assert broker.stored["partner:g", "kafka-stock", 0][0] == 3


def test_refused_topics_are_answered_and_counted_one_by_one() -> None:
    with Playbook([LIMITED]) as playbook:
        dialogue, broker = in_debt(playbook), Broker()
        ids = sends(
            dialogue,
            commit(BY_NAME, {"stock": {0: 1}, "secret": {0: 1, 1: 1}}),
            commit(BY_NAME, {"stock": {0: 2}}),
            commit(BY_NAME, {"secret": {0: 3}, "stock": {1: 3}}),
        )
        playbook.loop.advance(1)
        broker.serve(dialogue)
        assert committed(dialogue.client_receives(ids[0])) == {"stock": {0: 0}, "secret": {0: 29, 1: 29}}
        assert committed(dialogue.client_receives(ids[1])) == {"stock": {0: 0}}
        assert committed(dialogue.client_receives(ids[2])) == {"secret": {0: 29}, "stock": {1: 0}}
        assert broker.commits == 1
        assert dict(playbook.metrics.refusals) == {("partner", "offset_commit", "topic_authorization_failed"): 3}


@pytest.mark.parametrize(
    "alone",
    [
        pytest.param(commit(BY_NAME, {"secret": {0: 1}}), id="wholly refused"),
        pytest.param(commit(BY_NAME, {}), id="empty"),
        pytest.param(commit(BY_NAME, {"stock": {0: 1}}, group_id=TOO_LONG), id="refused group"),
        pytest.param(commit(BY_NAME, {"orders": {0: 1}}), id="shared topic"),
        pytest.param(commit(BY_NAME, {"stock": {0: 1}}, metadata=MARK), id="looks merged"),
        pytest.param(commit(BY_NAME, {"stock": {0: 1}}, metadata="of another length"), id="metadata"),
    ],
)
def test_what_is_not_joined(alone: Message) -> None:
    with Playbook([LIMITED]) as playbook:
        dialogue = in_debt(playbook)
        sends(dialogue, *(commit(BY_NAME, {"stock": {0: n}}) for n in (5, 6)), alone)
        playbook.loop.advance(1)
        assert positions_of(dialogue.broker_gets()) == {"kafka-stock": {0: 6}}
        dialogue.broker_gets_nothing()


def test_a_commit_that_can_not_be_joined_is_handled_alone_first() -> None:
    with Playbook([LIMITED]) as playbook:
        dialogue, broker = in_debt(playbook), Broker()
        refused = commit(BY_NAME, {"secret": {0: 1}})
        ids = sends(dialogue, refused, *(commit(BY_NAME, {"stock": {0: n}}) for n in range(3)))
        playbook.loop.advance(1)
        # it costs nothing, so the others don't wait for it
        assert committed(dialogue.client_receives(ids[0])) == {"secret": {0: 29}}
        broker.serve(dialogue)
        playbook.loop.advance(1)
        broker.serve(dialogue)
        for correlation_id in ids[1:]:
            assert committed(dialogue.client_receives(correlation_id)) == {"stock": {0: 0}}


def test_a_partition_that_is_named_twice_is_not_joined() -> None:
    with Playbook([LIMITED]) as playbook:
        dialogue = in_debt(playbook)
        twice = commit(BY_NAME, {"stock": {0: 1}})
        twice.topics = twice.topics * 2
        sends(dialogue, commit(BY_NAME, {"stock": {0: 5}}), twice)
        playbook.loop.advance(1)
        assert positions_of(dialogue.broker_gets()) == {"kafka-stock": {0: 5}}


def test_a_damaged_commit_ends_the_connection_after_those_before_it() -> None:
    with Playbook([LIMITED]) as playbook:
        dialogue = in_debt(playbook)
        frames = [bytearray(dialogue.request(COMMIT, BY_NAME, commit(BY_NAME, {"stock": {0: n}}))[1]) for n in range(3)]
        frames[2][-12:] = bytes(range(0xF4, 0x100))
        dialogue.client_sends_bytes(b"".join(frames))
        playbook.loop.advance(1)
        assert positions_of(dialogue.broker_gets()) == {"kafka-stock": {0: 1}}
        playbook.loop.advance(1)
        dialogue.expect_end(CloseReason.BAD_REQUEST)
        dialogue.client_receives_nothing()


def test_a_broker_that_goes_answers_nobody() -> None:
    with Playbook([LIMITED]) as playbook:
        dialogue = in_debt(playbook)
        sends(dialogue, *(commit(BY_NAME, {"stock": {0: n}}) for n in range(5)))
        playbook.loop.advance(1)
        dialogue.broker_gets()
        dialogue.broker.hang_up()
        playbook.loop.run_due()
        dialogue.client_receives_nothing()
        dialogue.expect_end(CloseReason.BROKER_CLOSED)


def test_a_client_that_goes_leaves_nothing_behind() -> None:
    with Playbook([LIMITED]) as playbook:
        dialogue = in_debt(playbook)
        sends(dialogue, *(commit(BY_NAME, {"stock": {0: n}}) for n in range(5)))
        playbook.loop.advance(1)
        dialogue.broker_gets()
        dialogue.client.hang_up()
        assert dialogue.ended == CloseReason.CLIENT_CLOSED


def test_what_the_broker_left_out_is_an_unknown_error_in_each() -> None:
    with Playbook([LIMITED]) as playbook:
        dialogue = in_debt(playbook)
        ids = sends(dialogue, *(commit(BY_NAME, {"stock": {n: n}}) for n in range(2)))
        playbook.loop.advance(1)
        dialogue.broker_answers(dialogue.broker_gets(), response_struct(COMMIT, BY_NAME).new())
        assert [committed(dialogue.client_receives(each)) for each in ids] == [{"stock": {n: -1}} for n in range(2)]


def test_two_zones_limits_know_nothing_of_each_other() -> None:
    other = dataclasses.replace(
        LIMITED, name="other", service_account="another", limits=ZoneLimits(commits_per_minute=30)
    )
    with Playbook([LIMITED, other]) as playbook:
        one, two = in_debt(playbook), in_debt(playbook, zone=other)
        for dialogue in (one, two):
            sends(dialogue, *(commit(BY_NAME, {"stock": {0: n}}) for n in range(3)))
        playbook.loop.advance(1)
        two.broker_gets_nothing()
        assert positions_of(one.broker_gets()) == {"kafka-stock": {0: 2}}
        playbook.loop.advance(1)
        assert positions_of(two.broker_gets()) == {"kafka-stock": {0: 2}}


def test_more_than_may_be_joined_waits_again() -> None:
    with Playbook([LIMITED]) as playbook:
        dialogue, broker = in_debt(playbook), Broker()
        ids = sends(dialogue, *(commit(BY_NAME, {"stock": {0: n}}) for n in range(MAX_JOINED + 2)))
        for expected in (MAX_JOINED - 1, MAX_JOINED + 1):
            playbook.loop.advance(1)
            got = dialogue.broker_gets()
            assert positions_of(got) == {"kafka-stock": {0: expected}}
            dialogue.broker_answers(got, broker.response(got))
        for correlation_id in ids:
            dialogue.client_receives(correlation_id)


def test_what_brokers_might_find_too_large_together_is_not_joined() -> None:
    with Playbook([LIMITED]) as playbook:
        dialogue = in_debt(playbook)
        wide = [commit(BY_NAME, {"stock": {n * 300 + k: n for k in range(300)}}) for n in range(4)]
        sends(dialogue, *wide)
        playbook.loop.advance(1)
        assert set(positions_of(dialogue.broker_gets())["kafka-stock"]) == set(range(600))


@pytest.mark.parametrize("count", [2, 3])
def test_one_that_is_large_itself_is_joined_with_its_like(count: int) -> None:
    with Playbook([LIMITED]) as playbook:
        dialogue = in_debt(playbook)
        sends(dialogue, *(commit(BY_NAME, {"stock": dict.fromkeys(range(1000), n)}) for n in range(count)))
        playbook.loop.advance(1)
        assert set(positions_of(dialogue.broker_gets())["kafka-stock"].values()) == {count - 1}


# against the same requests one by one

Sent = tuple[str, int, dict[str, dict[int, tuple[int, str]]]] | None
"""Member, generation and alias -> partition -> (offset, metadata) of a commit; None is a heartbeat."""

sent_commit = st.tuples(
    st.sampled_from([MEMBER, MEMBER, MEMBER, "member-2"]),
    st.sampled_from([GENERATION, GENERATION, GENERATION, GENERATION - 1]),
    st.dictionaries(
        st.sampled_from(["stock", "invoices", "secret"]),
        st.dictionaries(
            st.integers(0, PARTITIONS),
            st.tuples(st.integers(0, 99), st.sampled_from(["", "", "mine", "yours", "far too long"])),
            max_size=3,
        ),
        max_size=3,
    ),
)
conversations = st.lists(st.one_of(sent_commit, sent_commit, sent_commit, st.none()), max_size=14)


def frame_of(playbook: Playbook, dialogue: Dialogue, version: int, sent: Sent) -> tuple[int, bytes]:
    if sent is None:
        return dialogue.request(HEARTBEAT, 4, group_id="g", member_id=MEMBER, generation_id=GENERATION)
    member, generation, topics = sent
    message = commit(version, {topic_name(playbook, version, name): {} for name in topics})
    message.member_id, message.generation_id_or_member_epoch = member, generation
    for topic, partitions in zip(message.topics, topics.values(), strict=True):
        struct = topic.struct.nested("partitions")
        topic.partitions = tuple(
            struct.fit(
                partition_index=index, committed_offset=offset, committed_leader_epoch=offset, committed_metadata=text
            )
            for index, (offset, text) in partitions.items()
        )
    return dialogue.request(COMMIT, version, message)


def topic_name(playbook: Playbook, version: int, name: str) -> Any:
    if name == "secret":
        return bytes(range(16)) if version >= BY_ID else name
    return key_at(playbook, version, name)


def outcome(
    zone: Zone, version: int, conversation: Sequence[Sent], cuts: Sequence[int]
) -> tuple[list[Message], Stored, dict[tuple[str, str, str], int], int]:
    """What the client is told, what is stored in the end, what was refused, and how many commits the broker got."""
    with Playbook([zone]) as playbook:
        dialogue, broker = in_debt(playbook, version, zone), Broker()
        requests = [frame_of(playbook, dialogue, version, sent) for sent in conversation]
        data = b"".join(frame for _, frame in requests)
        begin = 0
        for cut in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
            dialogue.client_sends_bytes(data[begin:cut])
            begin = cut
            playbook.loop.advance(0.4)
            broker.serve(dialogue)
        for _ in range(len(conversation)):
            playbook.loop.advance(3)
            broker.serve(dialogue)
        answers = [dialogue.client_receives(correlation_id) for correlation_id, _ in requests]
        for answer in answers:
            if "throttle_time" in answer.struct.names:
                answer.throttle_time = 0
        return answers, broker.stored, dict(playbook.metrics.refusals), broker.commits


@settings(max_examples=60)
@given(st.sampled_from(list(versions_of(COMMIT))), conversations, st.lists(st.integers(0, 2000), max_size=4))
def test_as_if_they_had_not_been_joined(version: int, conversation: list[Sent], cuts: list[int]) -> None:
    answers, stored, refused, commits = outcome(ZONE, version, conversation, cuts)
    joined_answers, joined_stored, joined_refused, fewer = outcome(LIMITED, version, conversation, cuts)
    assert joined_answers == answers
    assert joined_stored == stored
    assert joined_refused == refused
    assert fewer <= commits
