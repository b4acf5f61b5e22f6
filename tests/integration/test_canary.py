"""The canary scan: it finds what is planted, also across chunks and by a real client through the tap."""

import itertools

import pytest

from tests.canary import Canaries, StreamScanner
from tests.integration.clients.librdkafka import Librdkafka
from tests.integration.world import MARKER, Topic, World


def scanned(canaries: Canaries, *chunks: bytes, user: str | None = None) -> list[tuple[str, int]]:
    scanner = StreamScanner(canaries, "client")
    scanner.user = user
    for chunk in chunks:
        scanner.feed(chunk)
    return [(hit.canary.what, hit.position) for hit in canaries.take_hits()]


@pytest.fixture
def planted() -> Canaries:
    canaries = Canaries()
    canaries.add("secret-topic", "a topic")
    canaries.add_id(bytes(range(16)), "an id")
    return canaries


def test_a_planted_marker_is_found(planted: Canaries) -> None:
    assert scanned(planted, b"\0\x0csecret-topic\0") == [("a topic", 2)]


def test_a_marker_is_found_wherever_it_is_cut(planted: Canaries) -> None:
    stream = b"before secret-topic after"
    for cut in range(len(stream) + 1):
        assert scanned(planted, stream[:cut], stream[cut:]) == [("a topic", 7)], cut


def test_a_marker_is_found_once_byte_by_byte(planted: Canaries) -> None:
    stream = b"x" * 2000 + b"secret-topic" + b"y" * 2000 + b"secret-topic" + b"z" * 600
    chunks = [bytes([byte]) for byte in stream]
    assert scanned(planted, *chunks) == [("a topic", 2000), ("a topic", 4012)]


def test_ids_are_found_in_both_forms(planted: Canaries) -> None:
    assert scanned(planted, b"id: " + bytes(range(16))) == [("an id as bytes", 4)]
    assert scanned(planted, b"id: AAECAwQFBgcICQoLDA0ODw") == [("an id as text", 4)]


def test_what_one_user_may_see_the_others_may_not(planted: Canaries) -> None:
    planted.add("other-zone:", "another zone", "ann")
    assert scanned(planted, b"other-zone:x", user="ann") == []
    assert scanned(planted, b"other-zone:x", user="ben") == [("another zone", 0)]
    assert scanned(planted, b"other-zone:x") == [("another zone", 0)]


def test_nothing_is_found_in_innocent_bytes(planted: Canaries) -> None:
    assert scanned(planted, b"secret-topi", b"x", b"topic-secret", bytes(range(1, 16)) * 9) == []


def test_a_marker_that_chance_would_find_is_refused(planted: Canaries) -> None:
    with pytest.raises(ValueError, match="seen by chance"):
        planted.add("abc", "too short")


@pytest.mark.kafka
def test_a_real_client_that_is_shown_a_marker_is_found_out(world: World, topic: Topic) -> None:
    client = Librdkafka(world.supplier)
    client.produce(topic.alias, [topic.backing])
    with world.canaries.expecting() as hits, world.tap.awaiting_the_end():
        (record,) = client.consume([topic.alias], 1)
    assert record.value == topic.backing
    assert {(hit.canary.what, "supplier" in hit.connection) for hit in hits} == {("a backing topic's name", True)}
    assert all(MARKER.encode() in hit.excerpt for hit in hits)


@pytest.mark.kafka
def test_every_kind_of_marker_is_watched(world: World) -> None:
    kinds = {canary.what.split(" as ")[0] for canary in world.canaries}
    expected = ["a backing topic's name", "a broker's host", "the cluster's id", "an alias of another zone"]
    topics = [
        f"the id of {name}" for name in itertools.chain([world.guide_pair.readable.backing, world.hidden.backing])
    ]
    groups = [f"the prefix of groups of {account.zone}" for account in (world.guide, world.supplier, world.rival)]
    assert kinds >= {*expected, *topics, *groups}
