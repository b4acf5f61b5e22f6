"""Ids that belong to somebody else, or to nobody: fetch sessions, producers, replicas, correlations."""

from collections.abc import Iterator

import pytest

from protocol.schema import Message, request_struct
from tests.equivalence.records import batch
from tests.hostile.attacker import API_VERSIONS, Attacker, request
from tests.hostile.fort import OWN_TOPIC, STEADY_TOPIC, Fort
from tests.kafka.waiting import wait_until

pytestmark = pytest.mark.kafka

PRODUCE, FETCH, LIST_OFFSETS, FIND_COORDINATOR, INIT_PRODUCER_ID = 0, 1, 2, 10, 22
ADD_PARTITIONS_TO_TXN, END_TXN = 24, 26
FETCH_SESSION_ID_NOT_FOUND, INVALID_PRODUCER_ID_MAPPING, TOPIC_AUTHORIZATION_FAILED = 70, 49, 29
COORDINATOR_SECONDS = 20.0


def leader(fort: Fort, alias: str) -> int:
    """The broker of partition 0."""
    return fort.kafka.leader(fort.backing[alias], 0)


@pytest.fixture
def own(strict: Fort) -> Iterator[Attacker]:
    """Mallory at the leader of its own topic, in which there is one record."""
    with Attacker(strict, "127.0.8.1", leader(strict, OWN_TOPIC)).sign_in(strict.mallory) as attacker:
        assert produce(attacker, OWN_TOPIC, batch(b"mine")) == 0
        yield attacker


def produce(client: Attacker, topic: str, records: bytes, transactional_id: str | None = None) -> int:
    struct = request_struct(PRODUCE, 9)
    entry = struct.nested("topic_data")
    partition = entry.nested("partition_data").new(index=0, records=records)
    topics = (entry.new(name=topic, partition_data=(partition,)),)
    answer = client.ask(
        PRODUCE, 9, struct.new(acks=-1, timeout=5000, transactional_id=transactional_id, topic_data=topics)
    )
    return int(answer.responses[0].partition_responses[0].error_code)


def fetch(client: Attacker, topic: str | None, version: int = 12, **fields: int) -> Message:
    struct = request_struct(FETCH, version)
    entry = struct.nested("topics")
    partition = entry.nested("partitions").new(partition=0, partition_max_bytes=10_000)
    topics = (entry.new(topic=topic, partitions=(partition,)),) if topic else ()
    return client.ask(FETCH, version, struct.fit(max_bytes=10_000, topics=topics, **fields))


def test_a_fetch_session_of_anybody(strict: Fort, own: Attacker) -> None:
    with Attacker(strict, "127.0.8.2", leader(strict, STEADY_TOPIC)).sign_in(strict.steady) as steady:
        opened = fetch(steady, STEADY_TOPIC, session_id=0, session_epoch=0)
        assert (opened.error_code, opened.session_id) == (0, 0), "there are no sessions that could be taken over"
        for session_id in (1, 2, 2**31 - 1, -1):
            answer = fetch(own, None, session_id=session_id, session_epoch=1)
            assert answer.error_code == FETCH_SESSION_ID_NOT_FOUND
            assert answer.responses == ()


@pytest.mark.parametrize("replica_id", [-2, 0, 1, 2, 3, 2**31 - 1])
def test_a_replica_id_makes_nobody_a_broker(own: Attacker, replica_id: int) -> None:
    consumer = fetch(own, OWN_TOPIC)
    answer = fetch(own, OWN_TOPIC, replica_id=replica_id)
    (partition,), (expected,) = answer.responses[0].partitions, consumer.responses[0].partitions
    assert (partition.error_code, partition.records) == (0, expected.records)
    assert partition.high_watermark == expected.high_watermark


def test_a_producer_id_of_another_zone_writes_nothing_there(strict: Fort, own: Attacker) -> None:
    with Attacker(strict, "127.0.8.3", leader(strict, STEADY_TOPIC)).sign_in(strict.steady) as steady:
        mine = steady.ask(INIT_PRODUCER_ID, 4, transactional_id=None, transaction_timeout=60_000)
        first = (mine.producer_id, mine.producer_epoch, 0)
        assert produce(steady, STEADY_TOPIC, batch(b"one", producer=first)) == 0
        stolen = (mine.producer_id, mine.producer_epoch, 1)
        with strict.canaries.expecting() as echoes:
            assert produce(own, STEADY_TOPIC, batch(b"theirs", producer=stolen)) == TOPIC_AUTHORIZATION_FAILED
        assert {hit.canary.what for hit in echoes} == {f"an alias of {strict.steady.zone}"}, "only what it said itself"
        # on a topic of one's own a producer id is a number like any other: state is kept per partition
        assert produce(own, OWN_TOPIC, batch(b"own", producer=(mine.producer_id, mine.producer_epoch, 0))) == 0
        assert produce(steady, STEADY_TOPIC, batch(b"two", producer=stolen)) == 0


def test_a_transaction_of_another_zone_can_t_be_touched(strict: Fort) -> None:
    with (
        Attacker(strict, "127.0.8.4").sign_in(strict.steady) as asking,
        Attacker(strict, "127.0.8.4").sign_in(strict.mallory) as also_asking,
    ):
        victim = coordinator(asking, "payments")
        attacker = coordinator(also_asking, "payments")
    with (
        Attacker(strict, "127.0.8.5", victim).sign_in(strict.steady) as steady,
        Attacker(strict, "127.0.8.6", attacker).sign_in(strict.mallory) as mallory,
    ):
        mine = begin(steady, "payments")
        ids = {"transactional_id": "payments", "producer_id": mine.producer_id, "producer_epoch": mine.producer_epoch}
        assert add_partition(steady, STEADY_TOPIC, ids) == 0
        assert mallory.ask(END_TXN, 3, committed=False, **ids).error_code == INVALID_PRODUCER_ID_MAPPING
        assert add_partition(mallory, OWN_TOPIC, ids) == INVALID_PRODUCER_ID_MAPPING
        begin(mallory, "payments")
        assert steady.ask(END_TXN, 3, committed=True, **ids).error_code == 0, "not fenced, not aborted"


def coordinator(client: Attacker, transactional_id: str) -> int:
    found: list[int] = []

    def is_found() -> bool:
        answer = client.ask(FIND_COORDINATOR, 3, key=transactional_id, key_type=1)
        found[:] = [answer.node_id] if not answer.error_code else []
        return bool(found)

    wait_until(is_found, "a coordinator of transactions", COORDINATOR_SECONDS)
    return found[0]


def begin(client: Attacker, transactional_id: str) -> Message:
    """A producer id, once the coordinator has read its log."""
    answers: list[Message] = []

    def is_there() -> bool:
        fields = {"transactional_id": transactional_id, "transaction_timeout": 60_000}
        answers.append(client.ask(INIT_PRODUCER_ID, 4, **fields))
        return not answers[-1].error_code

    wait_until(is_there, f"a producer id for {transactional_id}", COORDINATOR_SECONDS)
    return answers[-1]


def add_partition(client: Attacker, topic: str, ids: dict[str, object]) -> int:
    struct = request_struct(ADD_PARTITIONS_TO_TXN, 3)
    topics = (struct.nested("v3_and_below_topics").new(name=topic, partitions=(0,)),)
    answer = client.ask(
        ADD_PARTITIONS_TO_TXN,
        3,
        struct.new(
            v3_and_below_transactional_id=ids["transactional_id"],
            v3_and_below_producer_id=ids["producer_id"],
            v3_and_below_producer_epoch=ids["producer_epoch"],
            v3_and_below_topics=topics,
        ),
    )
    return int(answer.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code)


def test_correlation_ids_are_the_client_s_own_affair(strict: Fort) -> None:
    """Doubled, negative, extreme: each request is answered under its own, in order; brokers see none of them."""
    ids = [5, 5, 5, -1, 0, -(2**31), 2**31 - 1, 5, 1, 1]
    with Attacker(strict, "127.0.8.7").sign_in(strict.mallory) as attacker:
        data = [
            request(API_VERSIONS, 0, each) if number % 3 == 1 else request(3, 9, each, topics=None)
            for number, each in enumerate(ids)
        ]
        attacker.send(b"".join(data))
        assert attacker.correlation_ids(len(ids)) == ids
