"""Frames that are large, say that they are, or would be once unpacked."""

import gzip
import struct as packing

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from protocol.codec import encode
from protocol.schema import API_NAMES, request_struct
from proxy.apis.table import OFFERED
from tests.hostile.attacker import Attacker, fetch_request, many, produce_request, request, request_of, until_ended
from tests.hostile.bystander import Bystander
from tests.hostile.conftest import PATIENT
from tests.hostile.fort import MIB, OWN_TOPIC, STEADY_TOPIC, Fort
from tests.kafka.waiting import wait_until

pytestmark = pytest.mark.kafka

METADATA = 3
HUNDRED_MIB = 100 * MIB
LOCAL = (17, 18, 36)
"""SASL and ApiVersions, which the gateway answers itself."""

PASSING_BYTES = 16 * MIB
"""What a frame that passes through or is refused may take, whatever its size: buffers of both connections."""


def announced(size: int) -> bytes:
    return packing.pack(">i", size)


@pytest.mark.parametrize("sent", [0, 1000, 3 * MIB, HUNDRED_MIB], ids=["announced", "begun", "partly", "wholly"])
def test_a_hundred_mebibytes_before_the_sign_in(patient: Fort, beside_patient: Bystander, sent: int) -> None:
    with (
        patient.memory_grows_less_than(PASSING_BYTES),
        beside_patient.is_served(),
        patient.closes("bad_frame", 5),
    ):
        for _ in range(5):
            with Attacker(patient, "127.4.0.1") as attacker:
                send_as_far_as_possible(attacker, announced(HUNDRED_MIB), sent)
                until_ended([attacker])


def send_as_far_as_possible(attacker: Attacker, head: bytes, size: int) -> None:
    """The other side may close at any time."""
    chunk = bytes(MIB)
    try:
        attacker.send(head)
        while size > 0:
            attacker.send(chunk[:size])
            size -= len(chunk)
    except (BrokenPipeError, ConnectionResetError):
        pass


def head_of(frame: bytes, size: int) -> bytes:
    """The beginning of a request, with another length announced."""
    return announced(size) + frame[4:]


@pytest.mark.parametrize("sent", [1500, HUNDRED_MIB], ids=["begun", "wholly"])
def test_a_hundred_mebibytes_of_a_request_that_is_never_so_large(
    patient: Fort, beside_patient: Bystander, sent: int
) -> None:
    with (
        patient.memory_grows_less_than(PASSING_BYTES),
        beside_patient.is_served(),
        patient.closes("bad_request", 3),
    ):
        for _ in range(3):
            with Attacker(patient, "127.4.0.2").sign_in(patient.mallory) as attacker:
                head = head_of(request(METADATA, 9, 1, topics=None), HUNDRED_MIB)
                send_as_far_as_possible(attacker, head, sent)
                until_ended([attacker])


def test_a_hundred_mebibytes_of_records_pass_through(patient: Fort, beside_patient: Bystander) -> None:
    """They are no batch, as the broker finds; the gateway has never had them in memory at once."""
    broker = patient.kafka.leader(patient.backing[OWN_TOPIC], 0)
    frame = produce_request(1, OWN_TOPIC, bytes(HUNDRED_MIB - 1000))
    with (
        Attacker(patient, "127.4.0.3", broker).sign_in(patient.mallory) as attacker,
        patient.memory_grows_less_than(PASSING_BYTES),
        beside_patient.is_served(),
    ):
        attacker.send(frame)
        attacker.receive(1)


def test_frames_that_never_end_keep_nobody_else_waiting(patient: Fort, beside_patient: Bystander) -> None:
    """Eight requests of 16 MiB, announced and begun: two of them fill the zone's share, the others wait unread."""
    frame = head_of(request(METADATA, 9, 1, topics=None), 16 * MIB - 4)
    struct = request_struct(METADATA, 9)
    topics = tuple(struct.nested("topics").new(name=f"{number:0100}") for number in range(2000))
    with (
        patient.memory_grows_less_than(PASSING_BYTES + PATIENT["assembly_bytes_per_zone"]),
        many(lambda _: Attacker(patient, "127.4.0.4").sign_in(patient.mallory), 8) as attackers,
        beside_patient.is_served(),
        Attacker(patient, "127.4.0.5").sign_in(patient.steady) as other,
    ):
        for attacker in attackers:
            attacker.send(frame + bytes(MIB))
        assert len(other.ask(METADATA, 9, struct.new(topics=topics)).topics) == 2000


def test_a_bomb_is_never_unpacked(patient: Fort, beside_patient: Bystander) -> None:
    """64 MiB in one record of 64 KiB: on its way to the broker, and on its way back."""
    bomb = bomb_batch(64 * MIB)
    broker = patient.kafka.leader(patient.backing[OWN_TOPIC], 0)
    with (
        Attacker(patient, "127.4.0.6", broker).sign_in(patient.mallory) as attacker,
        patient.memory_grows_less_than(PASSING_BYTES),
        beside_patient.is_served(),
    ):
        attacker.send(produce_request(1, OWN_TOPIC, bomb))
        attacker.receive(1)
        attacker.send(fetch_request(2, OWN_TOPIC, MIB))
        fetched = attacker.receive(2)
    assert bomb[61:] in fetched, "the compressed bytes come back as they were"


def bomb_batch(size: int) -> bytes:
    """A batch of one compressed record of so many zeros."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=1,
        is_transactional=False,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=2 * size,
    )
    builder.append(0, 1_500_000_000_000, b"key", bytes(size), [])
    data = bytes(builder.build())
    assert len(data) < size // 500
    assert len(gzip.decompress(data[61:])) > size
    return data


def array_bombs() -> list[tuple[int, int, bytes]]:
    """For the newest version of every API whose requests have a list: a body that announces two billion entries."""
    bombs = []
    for key, (_, version) in sorted(OFFERED.items()):
        struct = request_struct(key, version)
        name = next((spec.name for spec in struct.untagged if spec.array), None)
        if name is None or key in LOCAL:
            continue
        body = bytes(encode(struct.new(**{name: ()})))
        with_one = bytes(encode(struct.new(**{name: (one_of(struct, name),)})))
        differs = next(i for i, (a, b) in enumerate(zip(body, with_one, strict=False)) if a != b)
        if struct.flexible:
            bombs.append((key, version, body[:differs] + b"\xff\xff\xff\xff\x07" + bytes(40)))
        else:
            bombs.append((key, version, body[: differs - 3] + b"\x7f\xff\xff\xff" + bytes(40)))
    return bombs


def one_of(struct: object, name: str) -> object:
    """Any entry for a list."""
    spec = next(spec for spec in struct.untagged if spec.name == name)  # type: ignore[attr-defined]
    if spec.nested is not None:
        return spec.nested.new()
    return {"string": "x", "uuid": bytes(16)}.get(spec.kafka_type, 1)


def test_two_billion_entries_are_announced_in_every_api(patient: Fort, beside_patient: Bystander) -> None:
    bombs = array_bombs()
    assert len(bombs) > 30, [API_NAMES[key] for key, _, _ in bombs]
    with (
        patient.memory_grows_less_than(PASSING_BYTES),
        beside_patient.is_served(),
        patient.closes("bad_request", len(bombs)),
    ):
        for key, version, body in bombs:
            with Attacker(patient, "127.4.0.7").sign_in(patient.mallory) as attacker:
                attacker.send(request_of(key, version, 1, body))
                assert attacker.is_ended(), API_NAMES[key]


def test_entries_that_are_really_there_are_too_many_soon(patient: Fort, beside_patient: Bystander) -> None:
    struct = request_struct(METADATA, 9)
    topics = (struct.nested("topics").new(name=""),) * 400_000
    data = request(METADATA, 9, 1, struct.new(topics=topics))
    with (
        patient.memory_grows_less_than(PASSING_BYTES),
        beside_patient.is_served(),
        patient.closes("bad_request", 3),
    ):
        for _ in range(3):
            with Attacker(patient, "127.4.0.8").sign_in(patient.mallory) as attacker:
                send_as_far_as_possible(attacker, data, 0)
                until_ended([attacker])


def test_the_steady_zone_is_served_after_all_that(patient: Fort) -> None:
    with Attacker(patient, "127.4.0.9").sign_in(patient.steady) as client:
        wait_until(lambda: client.ask(METADATA, 9, topics=None).topics[0].name == STEADY_TOPIC, "its topic", 10.0)
    assert [entry for entry in patient.gateway.log() if entry["level"] == "error"] == []
