"""Transactions: ids in the zone's namespace, what can't be used is refused, partitions are added all or none."""

from typing import Any

import pytest

from policies.zone import Alias, Permission, Zone
from protocol.schema import Message, request_struct, response_struct
from tests.unit.proxy.playbook import UNMAPPED_BROKER, ZONE, Playbook, versions_of

METADATA, FIND_COORDINATOR = 3, 10
INIT_PRODUCER_ID, ADD_PARTITIONS, ADD_OFFSETS, END = 22, 24, 25, 26
TRANSACTION = 1

READER: Zone = Zone("partner", "cluster", "johndoe", (Alias("stock", "kafka-stock", Permission.READ),))
TOO_LONG = "x" * (0x7FFF - len("partner:") + 1)
NO_USE = [(READER, "tx", 53), (READER, "", 53), (ZONE, "", 42), (ZONE, TOO_LONG, 42)]
"""Transactional ids that can't be used, and why."""

no_use = pytest.mark.parametrize(("zone", "transactional_id", "error"), NO_USE)


def versions(*keys: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("key", "version"), [(key, version) for key in keys for version in versions_of(key)])


# InitProducerId


@versions(INIT_PRODUCER_ID)
@pytest.mark.parametrize(("transactional_id", "upstream"), [(None, None), ("my:tx", "partner:my:tx")])
def test_a_producer_id(key: int, version: int, transactional_id: str | None, upstream: str | None) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        message = request_struct(key, version).fit(
            transactional_id=transactional_id, transaction_timeout=60_000, producer_id=4711, producer_epoch=1
        )
        dialogue.client_sends(key, version, message)
        got = dialogue.broker_gets()
        message.transactional_id = upstream
        assert got.message == message
        dialogue.broker_answers(got, producer_id=4711, producer_epoch=2, throttle_time=3)
        answer = dialogue.client_receives()
        assert answer == answer.struct.fit(producer_id=4711, producer_epoch=2, throttle_time=3)


@versions(INIT_PRODUCER_ID)
@pytest.mark.parametrize(("zone", "transactional_id", "error"), [*NO_USE, (READER, None, 31)])
def test_no_producer_id(key: int, version: int, zone: Zone, transactional_id: str | None, error: int) -> None:
    with Playbook((zone,)) as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(key, version, transactional_id=transactional_id)
        dialogue.broker_gets_nothing()
        answer = dialogue.client_receives()
        assert answer == answer.struct.fit(error_code=error, producer_id=-1, producer_epoch=-1)
        assert sum(playbook.metrics.refusals.values()) == 1


# FindCoordinator


@pytest.mark.parametrize("version", range(1, 4))
def test_one_coordinator_of_a_transaction(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(FIND_COORDINATOR, version, key="tx", key_type=TRANSACTION)
        got = dialogue.broker_gets()
        assert (got.message.key, got.message.key_type) == ("partner:tx", TRANSACTION)
        dialogue.broker_answers(got, node_id=2, host="kafka-2", port=9092)
        answer = dialogue.client_receives()
        assert (answer.error_code, answer.node_id, answer.host, answer.port) == (0, 2, "gateway", 9102)


@pytest.mark.parametrize("version", [4, 5])
def test_coordinators_of_several_transactions(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(
            FIND_COORDINATOR, version, key_type=TRANSACTION, coordinator_keys=("a", "", "b", TOO_LONG, "c")
        )
        got = dialogue.broker_gets()
        assert got.message.coordinator_keys == ("partner:a", "partner:", "partner:b", "partner:c")
        entry = response_struct(FIND_COORDINATOR, version).nested("coordinators")
        dialogue.broker_answers(
            got,
            coordinators=(
                entry.new(key="partner:b", error_code=15, error_message="no partner:b", node_id=-1, port=-1),
                entry.new(key="partner:c", node_id=UNMAPPED_BROKER, host="kafka-9", port=9092),
                entry.new(key="partner:a", node_id=3, host="kafka-3", port=9092),
                entry.new(key="partner:", node_id=2, host="kafka-2", port=9092),
            ),
        )
        answer = dialogue.client_receives()
        assert [(c.key, c.error_code, c.node_id, c.host, c.port) for c in answer.coordinators] == [
            ("a", 0, 3, "gateway", 9103),
            ("", 0, 2, "gateway", 9102),
            ("b", 15, -1, "", -1),
            (TOO_LONG, 42, -1, "", -1),
            ("c", 15, -1, "", -1),
        ]
        assert "partner" not in str(answer)


@pytest.mark.parametrize("version", range(1, 6))
def test_no_coordinator_for_a_zone_that_only_reads(version: int) -> None:
    with Playbook((READER,)) as playbook:
        dialogue = playbook.signed_in()
        keys: dict[str, Any] = {"coordinator_keys": ("tx",)} if version >= 4 else {"key": "tx"}
        dialogue.client_sends(FIND_COORDINATOR, version, key_type=TRANSACTION, **keys)
        dialogue.broker_gets_nothing()
        answer = dialogue.client_receives()
        told = answer.coordinators[0] if version >= 4 else answer
        assert (told.error_code, told.node_id, told.host, told.port) == (53, -1, "", -1)
        # in a batch, brokers say nothing more
        assert told.error_message == ("" if version >= 4 else "Transactional Id authorization failed.")


# AddOffsetsToTxn, EndTxn


def single(key: int, version: int, transactional_id: str, **fields: Any) -> Message:
    return request_struct(key, version).fit(
        transactional_id=transactional_id,
        **{"producer_id": 7, "producer_epoch": 3, "group_id": "my:group", "committed": True, **fields},
    )


@versions(ADD_OFFSETS, END)
def test_offsets_and_ends_of_a_transaction(key: int, version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(key, version, single(key, version, "my:tx"))
        got = dialogue.broker_gets()
        assert got.message == single(key, version, "partner:my:tx", group_id="partner:my:group")
        answer = response_struct(key, version).fit(error_code=90, producer_id=8, producer_epoch=4, throttle_time=5)
        dialogue.broker_answers(got, answer)
        assert dialogue.client_receives() == answer


@versions(ADD_OFFSETS, END)
@no_use
def test_offsets_and_ends_refused(key: int, version: int, zone: Zone, transactional_id: str, error: int) -> None:
    with Playbook((zone,)) as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(key, version, single(key, version, transactional_id))
        dialogue.broker_gets_nothing()
        answer = dialogue.client_receives()
        assert answer == answer.struct.fit(error_code=error, producer_id=-1, producer_epoch=-1)


@versions(ADD_OFFSETS)
def test_offsets_of_odd_groups(key: int, version: int) -> None:
    """A broker looks where the group's offsets would be, and for nothing else."""
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(key, version, single(key, version, "tx", group_id=""))
        got = dialogue.broker_gets()
        assert got.message.group_id == "partner:"
        dialogue.broker_answers(got)
        assert dialogue.client_receives().error_code == 0
        dialogue.client_sends(key, version, single(key, version, "tx", group_id=TOO_LONG))
        dialogue.broker_gets_nothing()
        assert dialogue.client_receives().error_code == 24


# AddPartitionsToTxn


def addition(version: int, topics: list[tuple[str, list[int]]], transactional_id: str = "tx") -> Message:
    struct = request_struct(ADD_PARTITIONS, version)
    entry = struct.nested("v3_and_below_topics")
    return struct.new(
        v3_and_below_transactional_id=transactional_id,
        v3_and_below_producer_id=7,
        v3_and_below_producer_epoch=3,
        v3_and_below_topics=tuple(entry.new(name=name, partitions=tuple(indexes)) for name, indexes in topics),
    )


def added(version: int, results: list[tuple[str, list[tuple[int, int]]]], throttle_time: int = 0) -> Message:
    """results: [(topic, [(index, error)])]"""
    struct = response_struct(ADD_PARTITIONS, version)
    entry = struct.nested("results_by_topic_v3_and_below")
    partition = entry.nested("results_by_partition")
    return struct.new(
        throttle_time=throttle_time,
        results_by_topic_v3_and_below=tuple(
            entry.new(
                name=name,
                results_by_partition=tuple(
                    partition.new(partition_index=index, partition_error_code=error) for index, error in partitions
                ),
            )
            for name, partitions in results
        ),
    )


@versions(ADD_PARTITIONS)
def test_partitions_are_added_under_their_backing_topics(key: int, version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(key, version, addition(version, [("invoices", [3, 1]), ("orders", [0])]))
        got = dialogue.broker_gets()
        assert got.message == addition(version, [("kafka-invoices", [3, 1]), ("kafka-orders", [0])], "partner:tx")
        # a broker's answer comes in any order
        answer = added(version, [("kafka-orders", [(0, 0)]), ("kafka-invoices", [(1, 51), (3, 0)])], 4)
        dialogue.broker_answers(got, answer)
        assert dialogue.client_receives() == added(version, [("invoices", [(3, 0), (1, 51)]), ("orders", [(0, 0)])], 4)


@versions(ADD_PARTITIONS)
def test_with_a_refused_partition_none_is_added(key: int, version: int) -> None:
    """And of the others the client learns which don't exist, as from a broker."""
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        topics = [("orders", [0, 9]), ("stock", [0, 1]), ("invoices", [0]), ("kafka-orders", [0])]
        dialogue.client_sends(key, version, addition(version, topics))
        got = dialogue.broker_gets()
        assert (got.key, got.message.allow_auto_topic_creation) == (METADATA, False)
        assert [topic.name for topic in got.message.topics] == ["kafka-orders", "kafka-invoices"]
        topic = response_struct(METADATA, got.version).nested("topics")
        partition = topic.nested("partitions")
        dialogue.broker_answers(
            got,
            throttle_time=2,
            topics=(
                topic.new(name="kafka-orders", partitions=tuple(partition.new(partition_index=n) for n in range(3))),
                topic.new(name="kafka-invoices", error_code=3),
            ),
        )
        dialogue.broker_gets_nothing()
        assert dialogue.client_receives() == added(
            version,
            [
                ("orders", [(0, 55), (9, 3)]),
                ("stock", [(0, 29), (1, 29)]),
                ("invoices", [(0, 3)]),
                ("kafka-orders", [(0, 29)]),
            ],
            2,
        )
        assert playbook.metrics.refusals == {
            ("partner", "add_partitions_to_txn", "topic_authorization_failed"): 3,
        }


@versions(ADD_PARTITIONS)
def test_partitions_that_are_all_refused(key: int, version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(key, version, addition(version, [("stock", [0]), ("twin", [1])]))
        dialogue.broker_gets_nothing()
        assert dialogue.client_receives() == added(version, [("stock", [(0, 29)]), ("twin", [(1, 29)])])


@versions(ADD_PARTITIONS)
@no_use
def test_partitions_for_a_transaction_that_cannot_be(
    key: int, version: int, zone: Zone, transactional_id: str, error: int
) -> None:
    with Playbook((zone,)) as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(key, version, addition(version, [("orders", [0, 1])], transactional_id))
        dialogue.broker_gets_nothing()
        assert dialogue.client_receives() == added(version, [("orders", [(0, error), (1, error)])])


@versions(ADD_PARTITIONS)
@no_use
def test_permissions_come_before_an_id_s_own_faults(
    key: int, version: int, zone: Zone, transactional_id: str, error: int
) -> None:
    with Playbook((zone,)) as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(key, version, addition(version, [("elsewhere", [2])], transactional_id))
        dialogue.broker_gets_nothing()
        assert dialogue.client_receives() == added(version, [("elsewhere", [(2, error if error == 53 else 29)])])


@versions(ADD_PARTITIONS)
def test_two_aliases_of_one_partition_are_one_partition(key: int, version: int) -> None:
    """No manifest may give two aliases of one topic WRITE, but rules may come from elsewhere one day."""
    both = (Alias("orders", "kafka-orders", Permission.WRITE), Alias("twin", "kafka-orders", Permission.WRITE))
    with Playbook((Zone("partner", "cluster", "johndoe", both),)) as playbook:
        dialogue = playbook.signed_in()
        topics = [("orders", [0, 1]), ("twin", [1, 2]), ("orders", [0])]
        dialogue.client_sends(key, version, addition(version, topics))
        got = dialogue.broker_gets()
        assert got.message == addition(version, [("kafka-orders", [0, 1, 2])], "partner:tx")
        dialogue.broker_answers(got, added(version, [("kafka-orders", [(2, 0), (1, 51), (0, 0)])]))
        expected = [("orders", [(0, 0), (1, 51)]), ("twin", [(1, 51), (2, 0)]), ("orders", [(0, 0)])]
        assert dialogue.client_receives() == added(version, expected)


@versions(ADD_PARTITIONS)
def test_a_partition_that_the_broker_leaves_out(key: int, version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(key, version, addition(version, [("orders", [0, 1])]))
        dialogue.broker_answers(dialogue.broker_gets(), added(version, [("kafka-orders", [(1, 0)])]))
        assert dialogue.client_receives() == added(version, [("orders", [(0, -1), (1, 0)])])


@versions(ADD_PARTITIONS)
def test_no_partitions_at_all(key: int, version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(key, version, addition(version, []))
        got = dialogue.broker_gets()
        assert got.message == addition(version, [], "partner:tx")
        dialogue.broker_answers(got, added(version, []))
        assert dialogue.client_receives() == added(version, [])
