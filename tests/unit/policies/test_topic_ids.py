"""Virtual ids: the same on every gateway, different per zone, alias and incarnation, and never reserved."""

from base64 import urlsafe_b64decode
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from policies.topic_ids import virtual_cluster_id, virtual_topic_id

ZERO, ONE = bytes(16), bytes(15) + b"\x01"
IDS = st.binary(min_size=16, max_size=16)
NAMES = st.text("abcdefgh.-_019", min_size=1)


def test_they_are_the_same_today_and_tomorrow() -> None:
    """Clients keep ids over a gateway's restart and upgrade."""
    assert virtual_topic_id(b"cluster", "zone", "alias", ONE).hex() == "a969ffb051687f750cb6f5640f9bda47"
    assert virtual_cluster_id(b"cluster", "zone") == "yPoRhmTSbNTkG6kNNivRjA"


@given(st.binary(), NAMES, NAMES, IDS)
def test_an_id_has_16_bytes_and_is_not_reserved(key: bytes, zone: str, alias: str, backing: bytes) -> None:
    virtual = virtual_topic_id(key, zone, alias, backing)
    assert len(virtual) == 16
    assert (virtual == ZERO) == (backing == ZERO)
    assert virtual != ONE


@given(st.binary(), NAMES, NAMES)
def test_no_id_stays_no_id(key: bytes, zone: str, alias: str) -> None:
    assert virtual_topic_id(key, zone, alias, ZERO) == ZERO


ARGUMENTS = st.tuples(st.sampled_from([b"k", b"l"]), NAMES, NAMES, IDS.filter(lambda backing: backing != ZERO))


@given(ARGUMENTS, ARGUMENTS)
def test_whatever_differs_makes_another_id(
    one: tuple[bytes, str, str, bytes], other: tuple[bytes, str, str, bytes]
) -> None:
    assert (virtual_topic_id(*one) == virtual_topic_id(*other)) == (one == other)


def test_zone_and_alias_do_not_run_into_each_other() -> None:
    assert virtual_topic_id(b"k", "ab", "c", ONE) != virtual_topic_id(b"k", "a", "bc", ONE)


def test_a_digest_that_begins_like_a_reserved_id_is_passed_over() -> None:
    digest = bytes(16) + bytes(range(16))
    with patch("policies.topic_ids.hmac.digest", return_value=digest):
        virtual = virtual_topic_id(b"k", "zone", "alias", b"x" * 16)
    assert virtual == digest[3:19]
    assert virtual not in (ZERO, ONE)


@given(st.binary(), NAMES)
def test_a_cluster_id_looks_like_kafka_s(key: bytes, zone: str) -> None:
    virtual = virtual_cluster_id(key, zone)
    assert len(virtual) == 22
    assert len(urlsafe_b64decode(virtual + "==")) == 16


def test_each_zone_sees_a_cluster_of_its_own() -> None:
    assert len({virtual_cluster_id(key, zone) for key in (b"k", b"l") for zone in ("a", "b")}) == 4
