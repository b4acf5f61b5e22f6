"""Commits into positions that two aliases share: against another gateway, in transactions, and their deletion."""

from typing import Any

import pytest

from policies.positions import MARK
from protocol.schema import Message, request_struct, response_struct
from proxy.apis.merged_commit import CONFIRM_SECONDS, CONFIRM_TRIES
from tests.unit.proxy.coordinator import COMMIT, DELETE, FETCH, TXN_COMMIT, Coordinator
from tests.unit.proxy.playbook import ZONE, Dialogue, Playbook, versions_of
from tests.unit.proxy.test_offsets import GENERATION, MEMBER, alone, commit, committed, fetch, fetched

ORDERS = "partner:g", "kafka-orders", 0
Offsets = dict[str, dict[int, int]]


def positions_of(dialogue: Dialogue, coordinator: Coordinator, *aliases: str) -> Offsets:
    """What a client of this gateway is told."""
    dialogue.client_sends(FETCH, 8, fetch(8, {alias: [0] for alias in aliases}))
    coordinator.serve(dialogue)
    return fetched(dialogue.client_receives())


# two gateways


class TwoGateways:
    """One coordinator, and a member of the group at each of two gateways that know nothing of each other."""

    def __init__(self, here: Playbook, there: Playbook) -> None:
        self.here = here
        self.coordinator = Coordinator()
        self.dialogues = {"orders": here.signed_in(), "twin": there.signed_in()}

    def commits(self, alias: str, offset: int) -> None:
        self.dialogues[alias].client_sends(COMMIT, 8, commit(8, {alias: {0: offset}}))

    def broker_takes(self, alias: str, key: int) -> None:
        """The broker takes the next request of this gateway, which is of this API."""
        got = self.dialogues[alias].broker_gets()
        assert got.key == key
        self.coordinator.answer(self.dialogues[alias], got)

    def pass_time(self) -> None:
        self.here.loop.advance(CONFIRM_SECONDS)

    def settle(self) -> None:
        """Until neither asks anything any more."""
        for _ in range(2 * CONFIRM_TRIES):
            self.pass_time()
            for dialogue in self.dialogues.values():
                self.coordinator.serve(dialogue)

    def told(self, alias: str) -> Any:
        return committed(self.dialogues[alias].client_receives())


def run(here: Playbook, there: Playbook, order: str) -> TwoGateways:
    """Both commit; `order` says which gateway's next request the broker takes: o for orders', t for twin's."""
    world = TwoGateways(here, there)
    world.commits("orders", 50)
    world.commits("twin", 60)
    taken = {"o": 0, "t": 0}
    for who in order:
        key = (FETCH, COMMIT)[taken[who]]
        taken[who] += 1
        world.broker_takes({"o": "orders", "t": "twin"}[who], key)
    return world


@pytest.mark.parametrize("order", ["otot", "otto", "toto", "toot", "oott", "ttoo"])
def test_two_gateways_that_commit_two_aliases_at_once_lose_neither(order: str) -> None:
    with Playbook() as here:
        world = run(here, here.another_gateway(), order)
        for dialogue in world.dialogues.values():
            dialogue.client_receives_nothing()
        world.settle()
        assert (world.told("orders"), world.told("twin")) == ({"orders": {0: 0}}, {"twin": {0: 0}})
        assert positions_of(world.dialogues["orders"], world.coordinator, "orders", "twin") == {
            "orders": {0: 50},
            "twin": {0: 60},
        }


def test_what_another_gateway_undoes_every_time_is_never_acknowledged() -> None:
    with Playbook() as playbook:
        dialogue, coordinator = playbook.signed_in(), Coordinator()
        dialogue.client_sends(COMMIT, 8, commit(8, {"orders": {0: 50}, "stock": {0: 5}}))
        for _ in range(CONFIRM_TRIES):
            coordinator.serve(dialogue)
            dialogue.client_receives_nothing()
            coordinator.stored[ORDERS] = 60, MARK + '{"twin":[60,-1,""]}'
            playbook.loop.advance(CONFIRM_SECONDS)
        coordinator.serve(dialogue)
        assert committed(dialogue.client_receives()) == {"orders": {0: 14}, "stock": {0: 0}}
        assert coordinator.commits == CONFIRM_TRIES


def test_a_confirmation_that_leaves_the_partition_out_confirms_nothing() -> None:
    """A broker whose answer lacks a position that was asked for: the gateway took it for a failure of its own."""
    with Playbook() as playbook:
        dialogue, coordinator = playbook.signed_in(), Coordinator()
        dialogue.client_sends(COMMIT, 8, commit(8, {"orders": {0: 50}}))
        for _ in range(CONFIRM_TRIES):
            coordinator.serve(dialogue)
            playbook.loop.advance(CONFIRM_SECONDS)
            got = dialogue.broker_gets()
            group = response_struct(FETCH, got.version).nested("groups").new(group_id="partner:g")
            dialogue.broker_answers(got, groups=(group,))
        assert committed(dialogue.client_receives()) == {"orders": {0: 14}}


def test_others_have_their_turn_while_a_commit_waits_to_be_confirmed() -> None:
    with Playbook() as playbook:
        coordinator = Coordinator()
        first, second = playbook.signed_in(), playbook.signed_in()
        first.client_sends(COMMIT, 8, commit(8, {"orders": {0: 50}}))
        coordinator.serve(first)
        second.client_sends(COMMIT, 8, commit(8, {"twin": {0: 60}}))
        coordinator.serve(second)
        assert coordinator.commits == 2
        playbook.loop.advance(CONFIRM_SECONDS)
        for dialogue in (first, second):
            coordinator.serve(dialogue)
            dialogue.client_receives()
        assert positions_of(first, coordinator, "orders", "twin") == {"orders": {0: 50}, "twin": {0: 60}}


def test_a_client_that_goes_away_before_its_commit_is_confirmed_holds_up_nobody() -> None:
    with Playbook() as playbook:
        coordinator = Coordinator()
        first, second = playbook.signed_in(), playbook.signed_in()
        first.client_sends(COMMIT, 8, commit(8, {"orders": {0: 50}}))
        coordinator.serve(first)
        first.client.hang_up()
        playbook.loop.advance(CONFIRM_SECONDS)
        alone(playbook)
        second.client_sends(COMMIT, 8, commit(8, {"orders": {0: 51}}))
        coordinator.serve(second)
        assert committed(second.client_receives()) == {"orders": {0: 0}}


def test_a_member_that_has_both_aliases_waits_for_nobody_in_its_own_generation_only() -> None:
    with Playbook() as playbook:
        owners = playbook.zone().owners
        for generation, waits in ((GENERATION, False), (GENERATION - 1, True), (None, False)):
            owners.remember("g", MEMBER, generation)
            dialogue, coordinator = playbook.signed_in(), Coordinator()
            dialogue.client_sends(COMMIT, 8, commit(8, {"orders": {0: 50}}))
            coordinator.serve(dialogue)
            assert bool(dialogue.client.sent) != waits
        owners.forget("g", MEMBER)
        assert not owners.covers("g", MEMBER, GENERATION)


# transactions


def txn_commit(version: int, offsets: Offsets, *, group: str = "g", transaction: str = "t", epoch: int = 0) -> Message:
    struct = request_struct(TXN_COMMIT, version)
    entry = struct.nested("topics")
    partition = entry.nested("partitions")
    return struct.fit(
        transactional_id=transaction,
        group_id=group,
        producer_id=7,
        producer_epoch=epoch,
        member_id=MEMBER,
        generation_id=GENERATION,
        topics=tuple(
            entry.new(
                name=alias,
                partitions=tuple(
                    partition.fit(partition_index=index, committed_offset=offset, committed_metadata="")
                    for index, offset in by_index.items()
                ),
            )
            for alias, by_index in offsets.items()
        ),
    )


@pytest.mark.parametrize("version", versions_of(TXN_COMMIT))
def test_a_transaction_s_commit_of_what_is_not_shared_takes_one_step(version: int) -> None:
    with Playbook() as playbook:
        dialogue, coordinator = playbook.signed_in(), Coordinator()
        dialogue.client_sends(TXN_COMMIT, version, txn_commit(version, {"stock": {0: 5, 1: 6}, "elsewhere": {0: 7}}))
        got = dialogue.broker_gets()
        assert (got.message.transactional_id, got.message.group_id) == ("partner:t", "partner:g")
        assert [topic.name for topic in got.message.topics] == ["kafka-stock"]
        coordinator.answer(dialogue, got)
        assert committed(dialogue.client_receives()) == {"stock": {0: 0, 1: 0}, "elsewhere": {0: 29}}


@pytest.mark.parametrize("version", versions_of(TXN_COMMIT))
def test_several_commits_of_one_transaction_build_on_each_other(version: int) -> None:
    with Playbook() as playbook:
        dialogue, coordinator = playbook.signed_in(), Coordinator()
        coordinator.stored[ORDERS] = 10, ""
        for offsets in ({"orders": {0: 50}}, {"twin": {0: 60}}):
            dialogue.client_sends(TXN_COMMIT, version, txn_commit(version, offsets))
            coordinator.serve(dialogue)
            assert committed(dialogue.client_receives()) == {alias: {0: 0} for alias in offsets}
        coordinator.end_transaction()
        assert positions_of(dialogue, coordinator, "orders", "twin") == {"orders": {0: 50}, "twin": {0: 60}}


def test_an_aborted_transaction_leaves_nothing() -> None:
    with Playbook() as playbook:
        dialogue, coordinator = playbook.signed_in(), Coordinator()
        coordinator.stored[ORDERS] = 10, ""
        dialogue.client_sends(TXN_COMMIT, 3, txn_commit(3, {"orders": {0: 50}}))
        coordinator.serve(dialogue)
        dialogue.client_receives()
        coordinator.end_transaction(commit=False)
        dialogue.client_sends(TXN_COMMIT, 3, txn_commit(3, {"twin": {0: 60}}))
        coordinator.serve(dialogue)
        dialogue.client_receives()
        coordinator.end_transaction()
        assert positions_of(dialogue, coordinator, "orders", "twin") == {"orders": {0: 10}, "twin": {0: 60}}


@pytest.mark.parametrize("other", [{"epoch": 1}, {"transaction": "another"}])
def test_a_commit_waits_for_the_end_of_another_transaction(other: dict[str, Any]) -> None:
    with Playbook() as playbook:
        dialogue, coordinator = playbook.signed_in(), Coordinator()
        dialogue.client_sends(TXN_COMMIT, 3, txn_commit(3, {"orders": {0: 50}}))
        coordinator.serve(dialogue)
        dialogue.client_receives()
        dialogue.client_sends(TXN_COMMIT, 3, txn_commit(3, {"twin": {0: 60}, "stock": {0: 1}}, **other))
        coordinator.serve(dialogue)
        assert committed(dialogue.client_receives()) == {"twin": {0: 14}, "stock": {0: 0}}
        alone(playbook)
        dialogue.client_sends(COMMIT, 8, commit(8, {"twin": {0: 60}}))
        coordinator.serve(dialogue)
        assert committed(dialogue.client_receives()) == {"twin": {0: 14}}
        coordinator.end_transaction()
        dialogue.client_sends(TXN_COMMIT, 3, txn_commit(3, {"twin": {0: 60}}, **other))
        coordinator.serve(dialogue)
        assert committed(dialogue.client_receives()) == {"twin": {0: 0}}


READER = type(ZONE)("partner", "cluster", "johndoe", ZONE.aliases[1:2])
EMPTY = type(ZONE)("partner", "cluster", "johndoe", ())


@pytest.mark.parametrize("version", versions_of(TXN_COMMIT))
@pytest.mark.parametrize(
    ("zone", "group", "transaction", "code"),
    [(READER, "g", "t", 53), (EMPTY, "g", "t", 53), (ZONE, "g" * 32767, "t", 24), (ZONE, "g", "", 42)],
)
def test_a_transaction_s_commit_that_is_refused(
    version: int, zone: Any, group: str, transaction: str, code: int
) -> None:
    with Playbook((zone,)) as playbook:
        dialogue = playbook.signed_in()
        message = txn_commit(version, {"stock": {0: 5}, "x": {1: 6}}, group=group, transaction=transaction)
        dialogue.client_sends(TXN_COMMIT, version, message)
        dialogue.broker_gets_nothing()
        # the permission to write a topic comes before what is wrong with an id
        assert committed(dialogue.client_receives()) == {"stock": {0: code}, "x": {1: 53 if code == 53 else 29}}


# deletion


def deleted(dialogue: Dialogue, coordinator: Coordinator, *aliases: str, group: str = "g") -> Message:
    entry = request_struct(DELETE, 0).nested("topics")
    partitions = (entry.nested("partitions").new(partition_index=0),)
    topics = tuple(entry.new(name=alias, partitions=partitions) for alias in aliases)
    dialogue.client_sends(DELETE, 0, group_id=group, topics=topics)
    coordinator.serve(dialogue)
    return dialogue.client_receives()


def test_deleting_what_is_not_shared_takes_one_step() -> None:
    with Playbook() as playbook:
        dialogue, coordinator = playbook.signed_in(), Coordinator()
        coordinator.stored = {("partner:g", "kafka-stock", 0): (5, ""), ("partner:g", "kafka-invoices", 0): (6, "")}
        answer = deleted(dialogue, coordinator, "elsewhere", "stock")
        assert (answer.error_code, committed(answer)) == (0, {"elsewhere": {0: 29}, "stock": {0: 0}})
        assert list(coordinator.stored) == [("partner:g", "kafka-invoices", 0)]
        answer = deleted(dialogue, coordinator, "elsewhere")
        assert (answer.error_code, committed(answer)) == (0, {"elsewhere": {0: 29}})


@pytest.mark.parametrize(
    "stored", [(10, ""), (10, "mine"), (10, MARK + '{"orders":[10,-1,"mine"],"twin":[12,-1,"twins"]}')]
)
def test_deleting_one_alias_s_position_leaves_the_other_s(stored: tuple[int, str]) -> None:
    with Playbook() as playbook:
        dialogue, coordinator = playbook.signed_in(), Coordinator()
        coordinator.stored[ORDERS] = stored
        before = positions_of(dialogue, coordinator, "twin")
        answer = deleted(dialogue, coordinator, "orders")
        assert (answer.error_code, committed(answer)) == (0, {"orders": {0: 0}})
        assert positions_of(dialogue, coordinator, "orders", "twin") == {"orders": {0: -1}, **before}
        assert coordinator.stored[ORDERS][0] == before["twin"][0]
        answer = deleted(dialogue, coordinator, "twin")
        assert (answer.error_code, committed(answer)) == (0, {"twin": {0: 0}})
        assert not coordinator.stored


def test_deleting_both_at_once_and_what_was_never_there() -> None:
    with Playbook() as playbook:
        dialogue, coordinator = playbook.signed_in(), Coordinator()
        coordinator.stored[ORDERS] = 10, ""
        assert committed(deleted(dialogue, coordinator, "orders", "twin")) == {"orders": {0: 0}, "twin": {0: 0}}
        assert not coordinator.stored
        assert committed(deleted(dialogue, coordinator, "orders")) == {"orders": {0: 0}}


def test_a_group_with_members_keeps_its_positions() -> None:
    with Playbook() as playbook:
        dialogue, coordinator = playbook.signed_in(), Coordinator()
        coordinator.has_members = True
        coordinator.stored[ORDERS] = before = 10, ""
        assert committed(deleted(dialogue, coordinator, "orders")) == {"orders": {0: 86}}
        assert coordinator.stored[ORDERS] == before


def test_an_empty_group_id_is_refused() -> None:
    with Playbook() as playbook:
        answer = deleted(playbook.signed_in(), Coordinator(), "orders", group="")
        assert (answer.error_code, answer.topics) == (24, ())
