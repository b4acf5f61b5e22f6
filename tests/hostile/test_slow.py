"""Peers that take their time: bytes one by one, answers that nobody reads, connections that are finished by half."""

import pytest

from tests.equivalence.records import batch
from tests.hostile.attacker import (
    API_VERSIONS,
    Attacker,
    drip,
    fetch_request,
    many,
    produce_request,
    push,
    request,
    until_ended,
)
from tests.hostile.bystander import Bystander
from tests.hostile.conftest import STRICT
from tests.hostile.fort import MIB, OWN_TOPIC, Fort

pytestmark = [pytest.mark.kafka, pytest.mark.alone]

METADATA = 3
RECORD_BYTES = 900_000
DRIP_SECONDS = 0.25
"""Between two bytes of a connection. The deadlines are a tenth of their defaults, and so are these."""

CHECK_SECONDS = 2.0
"""Until a deadline is noticed, on a machine that is busy with other things as well."""

SMALL = 4096
"""Bytes that wait for a client which never reads: what is to be seen is the gateway's memory, not the kernel's."""

SLOW = 200
NEVER_READING = 20

KEPT_PER_CLIENT = 2 * MIB
"""Of one that never reads: a read of up to 256 KiB, 64 KiB to be written and one answer more, both connections'
buffers; requests and answers in between up to limits.pending_bytes (1 MiB)."""


def test_a_sign_in_one_byte_at_a_time(strict: Fort, beside_strict: Bystander) -> None:
    hello = request(17, 1, 1, mechanism="PLAIN")
    with (
        many(lambda number: Attacker(strict, f"127.0.1.{number + 1}"), SLOW) as attackers,
        strict.memory_grows_less_than(16 * MIB),
        beside_strict.is_served(),
        strict.closes("authentication_deadline", SLOW),
    ):
        took = drip(attackers, hello, DRIP_SECONDS, STRICT["authentication_seconds"] + CHECK_SECONDS)
    assert took < STRICT["authentication_seconds"] + CHECK_SECONDS


def test_a_frame_one_byte_at_a_time(strict: Fort, beside_strict: Bystander) -> None:
    with (
        many(lambda _: Attacker(strict, "127.0.2.1").sign_in(strict.mallory), 20) as attackers,
        beside_strict.is_served(),
        strict.closes("partial_frame_deadline", 20),
    ):
        data = request(METADATA, 9, 1, topics=None) + bytes(100)
        drip(attackers, data[:-1], DRIP_SECONDS, STRICT["partial_frame_seconds"] + CHECK_SECONDS)


@pytest.mark.parametrize("asked", ["versions", "records"])
def test_a_deep_pipeline_whose_answers_nobody_reads(strict: Fort, beside_strict: Bystander, asked: str) -> None:
    broker = strict.kafka.leader(strict.backing[OWN_TOPIC], 0)
    with Attacker(strict, "127.0.3.2", broker).sign_in(strict.mallory) as producer:
        producer.send(produce_request(1, OWN_TOPIC, batch(bytes(RECORD_BYTES))))
        producer.receive(1)
    one = request(API_VERSIONS, 0, 1) if asked == "versions" else fetch_request(1, OWN_TOPIC, RECORD_BYTES)
    data = one * (MIB // len(one))
    with (
        many(
            lambda _: Attacker(strict, "127.0.3.1", broker, SMALL).sign_in(strict.mallory), NEVER_READING
        ) as attackers,
        strict.memory_grows_less_than(NEVER_READING * KEPT_PER_CLIENT),
        beside_strict.is_served(),
        strict.closes("idle", NEVER_READING),
    ):
        taken = push(attackers, data, most=64 * MIB, quiet_seconds=0.5)
        assert max(taken) < 16 * MIB, "reading stops; the rest waits in the sockets' own buffers"


def test_strangers_who_pipeline_and_never_read(strict: Fort, beside_strict: Bystander) -> None:
    one = request(API_VERSIONS, 0, 1)
    with (
        many(lambda _: Attacker(strict, "127.0.4.1", window=SMALL), NEVER_READING) as attackers,
        strict.memory_grows_less_than(NEVER_READING * KEPT_PER_CLIENT),
        beside_strict.is_served(),
        strict.closes("authentication_deadline", NEVER_READING),
    ):
        push(attackers, one * (MIB // len(one)), most=64 * MIB, quiet_seconds=0.5)


def test_a_reader_of_one_byte_gets_everything_in_order(strict: Fort) -> None:
    """Holding back is no loss: with a pipeline of 5000 requests that it begins to read late."""
    with Attacker(strict, "127.0.5.1").sign_in(strict.mallory) as attacker:
        count = 5000
        data = b"".join(request(API_VERSIONS, 0, number) for number in range(count))
        attacker.send(data)
        assert attacker.correlation_ids(count) == list(range(count))


def test_a_client_that_has_finished_sending_gets_its_answers(strict: Fort) -> None:
    with Attacker(strict, "127.0.6.1").sign_in(strict.mallory) as attacker, strict.closes("client_closed", 1):
        attacker.send(b"".join(request(METADATA, 9, number, topics=None) for number in (7, 8, 9)))
        attacker.finish()
        assert attacker.correlation_ids(3) == [7, 8, 9]
        assert attacker.is_ended()


def test_so_it_is_with_a_broker(strict: Fort) -> None:
    """The model for the test above: Kafka itself."""
    host, port = strict.kafka.broker_address(strict.kafka.broker_ids[0])
    with Attacker.to((host, port)) as attacker:
        attacker.send(b"".join(request(METADATA, 9, number, topics=()) for number in (7, 8, 9)))
        attacker.finish()
        assert attacker.correlation_ids(3) == [7, 8, 9]
        assert attacker.is_ended()


def test_a_half_closed_client_does_not_wait_for_ever(strict: Fort) -> None:
    """A fetch may wait for 24 days, and who asks for that and goes away would keep two connections for so long."""
    fetch = fetch_request(1, OWN_TOPIC, 1, min_bytes=2**31 - 1, max_wait=2**31 - 1)
    broker = strict.kafka.leader(strict.backing[OWN_TOPIC], 0)
    with (
        strict.closes("half_closed_deadline", 20),
        many(lambda _: Attacker(strict, "127.0.7.1", broker).sign_in(strict.mallory), 20) as attackers,
    ):
        for attacker in attackers:
            attacker.send(fetch)
            attacker.finish()
        until_ended(attackers)
