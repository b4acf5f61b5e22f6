"""OffsetCommit and OffsetFetch: names, ids, and a position per alias."""

from typing import Any

import pytest

from policies.positions import MARK, MAX_METADATA_BYTES
from protocol.schema import Message, request_struct, response_struct
from tests.unit.proxy.coordinator import COMMIT, FETCH, Coordinator
from tests.unit.proxy.playbook import Playbook, versions_of
from tests.unit.proxy.test_produce import alias_key, key_of, naming

HEARTBEAT = 12
FIRST_WITH_IDS = 10

Positions = dict[Any, dict[int, int]]
"""topic -> partition -> offset"""


def key_at(playbook: Playbook, version: int, alias: str) -> Any:
    return alias_key(playbook, 13 if version >= FIRST_WITH_IDS else 0, alias)


TOO_LONG = "g" * 0x7FFF
MEMBER = "member-1"
GENERATION = 3


def alone(playbook: Playbook) -> None:
    """The one member whose commits these are has both aliases of every partition."""
    for group in ("g", "another"):
        playbook.zone().owners.remember(group, MEMBER, GENERATION)


def commit(version: int, positions: Positions, group_id: str = "g", metadata: str = "") -> Message:
    struct = request_struct(COMMIT, version)
    entry = struct.nested("topics")
    partition = entry.nested("partitions")
    return struct.fit(
        group_id=group_id,
        member_id=MEMBER,
        generation_id_or_member_epoch=GENERATION,
        topics=tuple(
            entry.new(
                **naming(key),
                partitions=tuple(
                    partition.fit(partition_index=index, committed_offset=offset, committed_metadata=metadata)
                    for index, offset in offsets.items()
                ),
            )
            for key, offsets in positions.items()
        ),
    )


def fetch(version: int, topics: dict[Any, list[int]] | None, group_id: str = "g") -> Message:
    struct = request_struct(FETCH, version)
    group = struct.nested("groups") if version >= 8 else struct
    entry = group.nested("topics")
    named = None
    if topics is not None:
        named = tuple(entry.new(**naming(key), partition_indexes=tuple(indexes)) for key, indexes in topics.items())
    message = group.fit(group_id=group_id, topics=named)
    return struct.new(groups=(message,)) if version >= 8 else message


def committed(response: Message) -> Positions:
    return {key_of(topic): {p.partition_index: p.error_code for p in topic.partitions} for topic in response.topics}


def fetched(response: Message) -> Positions:
    group = response.groups[0] if "groups" in response.struct.names else response
    return {key_of(topic): {p.partition_index: p.committed_offset for p in topic.partitions} for topic in group.topics}


@pytest.mark.parametrize("version", versions_of(COMMIT))
def test_a_commit_of_what_is_not_shared_takes_one_step(version: int) -> None:
    with Playbook() as playbook:
        dialogue, coordinator = playbook.signed_in(), Coordinator()
        stock, invoices = (key_at(playbook, version, name) for name in ("stock", "invoices"))
        elsewhere: Any = bytes(range(16)) if version >= FIRST_WITH_IDS else "kafka-stock"
        error = 100 if version >= FIRST_WITH_IDS else 29
        positions = {invoices: {0: 5}, elsewhere: {1: 7}, stock: {0: 1, 1: 2}}
        dialogue.client_sends(COMMIT, version, commit(version, positions, metadata="mine"))
        got = dialogue.broker_gets()
        dialogue.broker_gets_nothing()
        coordinator.answer(dialogue, got)
        assert committed(dialogue.client_receives()) == {invoices: {0: 0}, elsewhere: {1: error}, stock: {0: 0, 1: 0}}
        assert coordinator.stored == {
            ("partner:g", "kafka-invoices", 0): (5, "mine"),
            ("partner:g", "kafka-stock", 0): (1, "mine"),
            ("partner:g", "kafka-stock", 1): (2, "mine"),
        }


@pytest.mark.parametrize("version", versions_of(COMMIT))
def test_commits_that_are_refused_here(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        orders = key_at(playbook, version, "orders")
        elsewhere: Any = bytes(range(16)) if version >= FIRST_WITH_IDS else "kafka-stock"
        dialogue.client_sends(COMMIT, version, commit(version, {orders: {0: 1}}, group_id=TOO_LONG))
        assert committed(dialogue.client_receives()) == {orders: {0: 24}}
        dialogue.client_sends(COMMIT, version, commit(version, {elsewhere: {0: 1}}))
        error = 100 if version >= FIRST_WITH_IDS else 29
        assert committed(dialogue.client_receives()) == {elsewhere: {0: error}}
        dialogue.broker_gets_nothing()


@pytest.mark.parametrize("fetch_version", [1, 5, 7, 8, 9, 10])
@pytest.mark.parametrize("version", versions_of(COMMIT))
def test_two_aliases_of_one_topic_have_a_position_each(version: int, fetch_version: int) -> None:
    with Playbook() as playbook:
        alone(playbook)
        dialogue, coordinator = playbook.signed_in(), Coordinator()

        def commits(positions: dict[str, dict[int, int]]) -> None:
            keyed = {key_at(playbook, version, name): offsets for name, offsets in positions.items()}
            correlation_id = dialogue.client_sends(COMMIT, version, commit(version, keyed, metadata="mine"))
            coordinator.serve(dialogue)
            answer = committed(dialogue.client_receives(correlation_id))
            assert answer == {key: dict.fromkeys(offsets, 0) for key, offsets in keyed.items()}

        def fetches() -> dict[str, dict[int, int]]:
            keys = {key_at(playbook, fetch_version, name): name for name in ("twin", "orders")}
            dialogue.client_sends(FETCH, fetch_version, fetch(fetch_version, {key: [0, 1] for key in keys}))
            coordinator.serve(dialogue)
            return {keys[key]: offsets for key, offsets in fetched(dialogue.client_receives()).items()}

        commits({"orders": {0: 50}})
        assert fetches() == {"twin": {0: -1, 1: -1}, "orders": {0: 50, 1: -1}}
        commits({"twin": {0: 10, 1: 11}})
        assert fetches() == {"twin": {0: 10, 1: 11}, "orders": {0: 50, 1: -1}}
        assert coordinator.stored["partner:g", "kafka-orders", 0][0] == 10
        commits({"orders": {0: 60, 1: 61}, "twin": {0: 70}, "stock": {0: 1}})
        assert fetches() == {"twin": {0: 70, 1: 11}, "orders": {0: 60, 1: 61}}
        assert coordinator.stored["partner:g", "kafka-orders", 0][0] == 60


@pytest.mark.parametrize("version", range(2, 11))
def test_everything_that_a_group_has_committed(version: int) -> None:
    """Under each alias that has a position, with nothing of other topics."""
    with Playbook() as playbook:
        dialogue, coordinator = playbook.signed_in(), Coordinator()
        coordinator.stored = {
            ("partner:g", "kafka-stock", 2): (20, "mine"),
            ("partner:g", "kafka-orders", 0): (10, MARK + '{"twin":[10,-1,"t"]}'),
            ("partner:g", "kafka-elsewhere", 0): (30, ""),
            ("partner:h", "kafka-stock", 3): (40, ""),
        }
        dialogue.client_sends(FETCH, version, fetch(version, None))
        got = dialogue.broker_gets()
        assert (got.message.groups[0] if version >= 8 else got.message).topics is None
        if version >= FIRST_WITH_IDS:
            del coordinator.stored["partner:g", "kafka-elsewhere", 0]
        coordinator.answer(dialogue, got)
        answer = dialogue.client_receives()
        assert fetched(answer) == {
            key_at(playbook, version, "stock"): {2: 20},
            key_at(playbook, version, "twin"): {0: 10},
        }
        assert MARK not in str(answer)
        assert "partner" not in str(answer)


@pytest.mark.parametrize("version", versions_of(FETCH))
def test_a_list_that_became_empty_is_not_everything(version: int) -> None:
    with Playbook() as playbook:
        dialogue, coordinator = playbook.signed_in(), Coordinator()
        coordinator.stored["partner:g", "kafka-orders", 0] = (10, "")
        elsewhere: Any = bytes(range(16)) if version >= FIRST_WITH_IDS else "kafka-orders"
        dialogue.client_sends(FETCH, version, fetch(version, {elsewhere: [0, 1]}))
        got = dialogue.broker_gets()
        assert (got.message.groups[0] if version >= 8 else got.message).topics == ()
        coordinator.answer(dialogue, got)
        answer = dialogue.client_receives()
        group = answer.groups[0] if version >= 8 else answer
        error = 100 if version >= FIRST_WITH_IDS else 29
        assert [
            (p.partition_index, p.error_code, p.committed_offset, p.metadata) for p in group.topics[0].partitions
        ] == [(0, error, -1, ""), (1, error, -1, "")]


@pytest.mark.parametrize("version", versions_of(FETCH))
def test_a_group_id_without_room_for_the_prefix_is_refused_at_the_level_of_its_version(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        stock = key_at(playbook, version, "stock")
        dialogue.client_sends(FETCH, version, fetch(version, {stock: [0]}, group_id=TOO_LONG))
        dialogue.broker_gets_nothing()
        answer = dialogue.client_receives()
        if version == 1:
            assert [p.error_code for p in answer.topics[0].partitions] == [24]
        else:
            group = answer.groups[0] if version >= 8 else answer
            assert (group.error_code, group.topics) == (24, ())


@pytest.mark.parametrize("version", [8, 9, 10])
def test_several_groups_in_one_request(version: int) -> None:
    with Playbook() as playbook:
        dialogue, coordinator = playbook.signed_in(), Coordinator()
        coordinator.stored = {("partner:g", "kafka-stock", 0): (20, ""), ("partner:h", "kafka-stock", 0): (30, "")}
        stock = key_at(playbook, version, "stock")
        groups = tuple(fetch(version, {stock: [0]}, group_id=group).groups[0] for group in ("h", TOO_LONG, "h", "g"))
        dialogue.client_sends(FETCH, version, groups=groups)
        coordinator.serve(dialogue)
        answer = dialogue.client_receives()
        assert [(group.group_id, group.error_code) for group in answer.groups] == [
            ("h", 0),
            (TOO_LONG, 24),
            ("h", 0),
            ("g", 0),
        ]
        assert [p.committed_offset for group in answer.groups for t in group.topics for p in t.partitions] == [
            30,
            30,
            20,
        ]


def test_metadata_beyond_the_broker_s_limit_is_refused_and_the_rest_is_committed() -> None:
    with Playbook() as playbook:
        dialogue, coordinator = playbook.signed_in(), Coordinator()
        dialogue.client_sends(
            COMMIT, 8, commit(8, {"orders": {0: 5}, "stock": {0: 6}}, metadata="x" * (MAX_METADATA_BYTES - 10))
        )
        coordinator.serve(dialogue)
        assert committed(dialogue.client_receives()) == {"orders": {0: 12}, "stock": {0: 0}}
        assert list(coordinator.stored) == [("partner:g", "kafka-stock", 0)]


def test_a_client_s_metadata_that_looks_like_ours_comes_back_intact() -> None:
    with Playbook() as playbook:
        alone(playbook)
        dialogue, coordinator = playbook.signed_in(), Coordinator()
        forged = MARK + '{"stock":[999,-1,""]}'
        dialogue.client_sends(COMMIT, 8, commit(8, {"stock": {0: 5}}, metadata=forged))
        coordinator.serve(dialogue)
        dialogue.client_receives()
        dialogue.client_sends(FETCH, 8, fetch(8, {"stock": [0]}))
        coordinator.serve(dialogue)
        partition = dialogue.client_receives().groups[0].topics[0].partitions[0]
        assert (partition.committed_offset, partition.metadata) == (5, forged)


@pytest.mark.parametrize("error", [14, 15, 16])
def test_a_coordinator_that_cannot_tell_what_is_stored_fails_the_commit(error: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(COMMIT, 8, commit(8, {"orders": {0: 5}, "elsewhere": {0: 6}}))
        got = dialogue.broker_gets()
        group = response_struct(FETCH, 8).nested("groups")
        dialogue.broker_answers(got, groups=(group.new(group_id="partner:g", error_code=error),))
        dialogue.broker_gets_nothing()
        assert committed(dialogue.client_receives()) == {"orders": {0: error}, "elsewhere": {0: 29}}


def test_requests_behind_a_commit_in_several_steps_wait_for_it() -> None:
    with Playbook() as playbook:
        alone(playbook)
        dialogue, coordinator = playbook.signed_in(), Coordinator()
        before = dialogue.client_sends(HEARTBEAT, 4, group_id="g")
        frames = [
            dialogue.request(COMMIT, 8, commit(8, {"orders": {0: 5}})),
            dialogue.request(HEARTBEAT, 4, group_id="g"),
            dialogue.request(COMMIT, 8, commit(8, {"twin": {0: 6}})),
            dialogue.request(HEARTBEAT, 4, group_id="g"),
        ]
        dialogue.client_sends_bytes(b"".join(data for _, data in frames))
        heartbeat, stored = dialogue.broker_gets(), dialogue.broker_gets()
        assert (heartbeat.key, stored.key) == (HEARTBEAT, FETCH)
        dialogue.broker_gets_nothing()
        assert dialogue.client.paused
        dialogue.broker_answers(heartbeat)
        dialogue.client_receives(before)
        dialogue.broker_gets_nothing()
        coordinator.answer(dialogue, stored)
        coordinator.answer(dialogue, dialogue.broker_gets())
        dialogue.client_receives(frames[0][0])
        heartbeat, stored = dialogue.broker_gets(), dialogue.broker_gets()
        assert (heartbeat.key, stored.key) == (HEARTBEAT, FETCH)
        dialogue.broker_answers(heartbeat)
        coordinator.answer(dialogue, stored)
        coordinator.answer(dialogue, dialogue.broker_gets())
        dialogue.broker_answers(dialogue.broker_gets())
        for correlation_id, _ in frames[1:]:
            dialogue.client_receives(correlation_id)
        assert coordinator.commits == 2
        dialogue.client_sends(HEARTBEAT, 4, group_id="g")
        assert dialogue.broker_gets().key == HEARTBEAT


def test_two_members_of_a_group_commit_one_after_the_other() -> None:
    with Playbook() as playbook:
        alone(playbook)
        coordinator = Coordinator()
        first, second, other = (playbook.signed_in() for _ in range(3))
        first.client_sends(COMMIT, 8, commit(8, {"orders": {0: 5}}))
        second.client_sends(COMMIT, 8, commit(8, {"twin": {0: 6}}))
        other.client_sends(COMMIT, 8, commit(8, {"twin": {0: 7}}, group_id="another"))
        second.broker_gets_nothing()
        assert other.broker_gets().key == FETCH
        coordinator.answer(first, first.broker_gets())
        second.broker_gets_nothing()
        coordinator.answer(first, first.broker_gets())
        first.client_receives()
        coordinator.serve(second)
        second.client_receives()
        offset, metadata = coordinator.stored["partner:g", "kafka-orders", 0]
        assert (offset, metadata) == (5, MARK + '{"orders":[5,-1,""],"twin":[6,-1,""]}')


@pytest.mark.parametrize("who", ["the one at work", "the one that waits"])
def test_a_member_that_goes_away_holds_up_nobody(who: str) -> None:
    with Playbook() as playbook:
        alone(playbook)
        coordinator = Coordinator()
        first, second, third = (playbook.signed_in() for _ in range(3))
        for number, dialogue in enumerate((first, second, third)):
            dialogue.client_sends(COMMIT, 8, commit(8, {"orders": {0: number}}))
        (first if who == "the one at work" else second).client.hang_up()
        playbook.loop.run_due()
        if who == "the one that waits":
            coordinator.serve(first)
            first.client_receives()
        else:
            coordinator.serve(second)
            second.client_receives()
        coordinator.serve(third)
        third.client_receives()
        assert coordinator.stored["partner:g", "kafka-orders", 0][0] == 2


def test_members_that_all_go_away_at_once() -> None:
    with Playbook() as playbook:
        dialogues = [playbook.signed_in() for _ in range(3)]
        for dialogue in dialogues:
            dialogue.client_sends(COMMIT, 8, commit(8, {"orders": {0: 1}}))
        for dialogue in dialogues:
            dialogue.session.abort()
        assert [dialogue.ended for dialogue in dialogues] == ["shutdown"] * 3
        assert playbook.metrics.connections == {"partner": 0}
        late = playbook.signed_in()
        late.client_sends(COMMIT, 8, commit(8, {"orders": {0: 1}}))
        assert late.broker_gets().key == FETCH


def test_consumers_without_a_group_id_have_the_zone_s_own_empty_group() -> None:
    with Playbook() as playbook:
        dialogue, coordinator = playbook.signed_in(), Coordinator()
        dialogue.client_sends(COMMIT, 8, commit(8, {"stock": {0: 5}}, group_id=""))
        coordinator.serve(dialogue)
        dialogue.client_receives()
        dialogue.client_sends(FETCH, 8, fetch(8, {"stock": [0]}, group_id=""))
        coordinator.serve(dialogue)
        assert fetched(dialogue.client_receives()) == {"stock": {0: 5}}
        assert list(coordinator.stored) == [("partner:", "kafka-stock", 0)]
