"""DescribeTransactions and ListTransactions: the zone's own, under its clients' ids and aliases."""

from typing import Any

import pytest

from protocol.schema import Message, Struct, response_struct
from tests.unit.proxy.playbook import Dialogue, Playbook, versions_of
from tests.unit.proxy.test_transactions import READER, TOO_LONG

DESCRIBE, LIST = 65, 66

# DescribeTransactions


def state_struct(key: int, version: int) -> Struct:
    return response_struct(key, version).nested("transaction_states")


def test_transactions_are_described_under_their_own_ids_and_aliases() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(DESCRIBE, 0, transactional_ids=("a", "", "b", TOO_LONG, "a", "c"))
        got = dialogue.broker_gets()
        assert got.message.transactional_ids == ("partner:a", "partner:b", "partner:c")
        struct = state_struct(DESCRIBE, 0)
        topic = struct.nested("topics")
        open_one = struct.new(
            transactional_id="partner:a",
            transaction_state="Ongoing",
            transaction_timeout=60_000,
            transaction_start_time=1_700_000_000_000,
            producer_id=7,
            producer_epoch=3,
            topics=(
                topic.new(topic="kafka-orders", partitions=(0, 2)),
                topic.new(topic="__consumer_offsets", partitions=(4,)),
                topic.new(topic="kafka-elsewhere", partitions=(1,)),
                topic.new(topic="kafka-stock", partitions=(1,)),
            ),
        )
        unknown = struct.new(transactional_id="partner:b", error_code=105, transaction_start_time=0)
        dialogue.broker_answers(got, throttle_time=6, transaction_states=(unknown, open_one))
        told = open_one.copy()
        told.transactional_id = "a"
        told.topics = (topic.new(topic="orders", partitions=(0, 2)), topic.new(topic="stock", partitions=(1,)))

        def failed(name: str, error: int) -> Message:
            return struct.new(transactional_id=name, error_code=error, transaction_start_time=0)

        answer = dialogue.client_receives()
        assert answer.throttle_time == 6
        assert answer.transaction_states == (
            told,
            failed("", 42),
            failed("b", 105),
            failed(TOO_LONG, 42),
            told,
            failed("c", -1),
        )


def test_whoever_only_reads_describes_no_transactions() -> None:
    with Playbook((READER,)) as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(DESCRIBE, 0, transactional_ids=("a", ""))
        dialogue.broker_gets_nothing()
        states = dialogue.client_receives().transaction_states
        assert [(state.transactional_id, state.error_code, state.topics) for state in states] == [
            ("a", 53, ()),
            ("", 53, ()),
        ]


def test_no_transactions_described() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(DESCRIBE, 0, transactional_ids=())
        got = dialogue.broker_gets()
        assert got.message.transactional_ids == ()
        dialogue.broker_answers(got)
        assert dialogue.client_receives().transaction_states == ()


# ListTransactions

ALL_IDS = ("partner:a", "partner:a-1", "partner:", "partner:tx\n", "partner2:a", "partner", "a", "other:partner:a")


def listed(dialogue: Dialogue, version: int, **fields: Any) -> list[str]:
    """The ids that a client is told of."""
    dialogue.client_sends(LIST, version, **fields)
    got = dialogue.broker_gets()
    fields.pop("transactional_id_pattern", None)
    assert got.message == got.message.struct.new(**fields)
    struct = state_struct(LIST, version)
    states = tuple(struct.new(transactional_id=name, producer_id=7, transaction_state="Empty") for name in ALL_IDS)
    dialogue.broker_answers(got, throttle_time=2, unknown_state_filters=("Odd",), transaction_states=states)
    answer = dialogue.client_receives()
    assert (answer.error_code, answer.throttle_time, answer.unknown_state_filters) == (0, 2, ("Odd",))
    assert all((state.producer_id, state.transaction_state) == (7, "Empty") for state in answer.transaction_states)
    return [state.transactional_id for state in answer.transaction_states]


@pytest.mark.parametrize("version", versions_of(LIST))
def test_only_the_zone_s_own_transactions_are_listed(version: int) -> None:
    with Playbook() as playbook:
        fields: dict[str, Any] = {"state_filters": ("Ongoing", "Odd"), "producer_id_filters": (7, 8)}
        if version >= 1:
            fields["duration_filter"] = 1000
        assert listed(playbook.signed_in(), version, **fields) == ["a", "a-1", "", "tx\n"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (None, ["a", "a-1", "", "tx\n"]),
        ("", ["a", "a-1", "", "tx\n"]),
        ("a", ["a"]),
        ("a.*", ["a", "a-1"]),
        ("a|a-1", ["a", "a-1"]),
        ("a-\\d", ["a-1"]),
        ("(?i)A?", ["a", ""]),
        (".*", ["a", "a-1", ""]),
        ("(?s).*", ["a", "a-1", "", "tx\n"]),
        ("partner:.*", []),
        ("a)|.*|(a", None),
        ("(", None),
        ("(?=a)a", None),
        ("(a)\\1", None),
    ],
)
def test_a_pattern_is_matched_here_against_the_client_s_own_ids(
    pattern: str | None, expected: list[str] | None
) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        if expected is not None:
            assert listed(dialogue, 2, transactional_id_pattern=pattern) == expected
            return
        dialogue.client_sends(LIST, 2, transactional_id_pattern=pattern)
        dialogue.broker_gets_nothing()
        answer = dialogue.client_receives()
        assert answer == answer.struct.new(error_code=128)


@pytest.mark.parametrize("version", versions_of(LIST))
def test_a_zone_that_only_reads_has_no_transactions(version: int) -> None:
    with Playbook((READER,)) as playbook:
        assert listed(playbook.signed_in(), version) == []
