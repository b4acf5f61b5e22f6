"""Subscriptions and assignments against kio's own reader and writer; damaged ones; what a blob carries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.consumer_protocol import Assignment, Subscription, attach, attached
from protocol.errors import DecodeError, EncodeError, ProtocolError
from tests.unit.protocol.consumer_blobs import (
    VERSIONS,
    assignment,
    read_assignment,
    read_subscription,
    subscription,
)

NAMES = st.text("abc-?:ü", max_size=8)
PARTITIONS = st.lists(st.tuples(NAMES, st.lists(st.integers(-1, 9), max_size=4)), max_size=4)
USER_DATA = st.none() | st.binary(max_size=20)
REST = st.binary(max_size=12)

subscriptions = st.builds(
    subscription,
    st.sampled_from(VERSIONS),
    st.lists(NAMES, max_size=4),
    PARTITIONS,
    USER_DATA,
    st.integers(-1, 99),
    st.none() | st.text("r", max_size=3),
)
assignments = st.builds(assignment, st.sampled_from(VERSIONS), PARTITIONS, USER_DATA)


def shout(name: str) -> tuple[str, ...]:
    """Another name for each name, and never the same for two."""
    return (name + "!",)


@given(subscriptions, REST)
def test_a_subscription_is_read_and_written_as_kio_does(data: bytes, rest: bytes) -> None:
    topics, owned, _ = read_subscription(data)
    blob = Subscription.parse(data + rest)
    assert list(blob.topics) == topics
    assert [(topic, list(partitions)) for topic, partitions in blob.owned or ()] == owned
    assert blob.names == {*topics, *(topic for topic, _ in owned)}
    assert blob.build() == data + rest


@given(assignments, REST)
def test_an_assignment_is_read_and_written_as_kio_does(data: bytes, rest: bytes) -> None:
    assigned, user_data = read_assignment(data)
    blob = Assignment.parse(data + rest)
    assert [(topic, list(partitions)) for topic, partitions in blob.assigned] == assigned
    assert blob.user_data == user_data
    assert blob.names == {topic for topic, _ in assigned}
    assert blob.build() == data + rest


@given(subscriptions)
def test_renaming_a_subscription_touches_nothing_else(data: bytes) -> None:
    topics, owned, others = read_subscription(data)
    renamed, renamed_owned, same = read_subscription(Subscription.parse(data).renamed(shout).build())
    assert renamed == [topic + "!" for topic in dict.fromkeys(topics)]
    assert same == others
    assert {topic for topic, _ in renamed_owned} == {topic + "!" for topic, _ in owned}


@given(assignments)
def test_renaming_an_assignment_keeps_every_partition(data: bytes) -> None:
    assigned, user_data = read_assignment(data)
    renamed, same = read_assignment(Assignment.parse(data).renamed(shout).build())
    assert same == user_data
    assert {(topic, index) for topic, indexes in renamed for index in indexes} == {
        (topic + "!", index) for topic, indexes in assigned for index in indexes
    }
    assert len({topic for topic, _ in renamed}) == len(renamed)


def test_names_that_become_one_are_united() -> None:
    blob = Assignment.parse(assignment(0, [("a", [3, 1]), ("c", [9, 2]), ("b", [2, 1])]))
    renamed = blob.renamed(lambda name: ("x",) if name in "ab" else (name,))
    assert renamed.assigned == (("x", (1, 2, 3)), ("c", (9, 2)))
    wanted = Subscription.parse(subscription(1, ["b", "c", "a"], [("a", [1]), ("b", [0])]))
    united = wanted.renamed(lambda name: ("x",) if name in "ab" else (name,))
    assert (united.topics, united.owned) == (("x", "c"), (("x", (0, 1)),))


def test_a_name_can_become_several_or_none() -> None:
    blob = Assignment.parse(assignment(1, [("a", [1]), ("gone", [0])]))
    assert blob.renamed(lambda name: ("x", "y") if name == "a" else ()).assigned == (("x", (1,)), ("y", (1,)))


@pytest.mark.parametrize("version", [4, 5, 32767])
def test_later_versions_are_read_as_the_last_known_one(version: int) -> None:
    known = subscription(3, ["a"], [("a", [0])], b"u", 7, "r")
    data = version.to_bytes(2, "big") + known[2:] + b"fields to come"
    blob = Subscription.parse(data)
    assert (blob.version, blob.topics, blob.owned) == (version, ("a",), (("a", (0,)),))
    assert blob.build() == data
    later = version.to_bytes(2, "big") + assignment(3, [("a", [0])])[2:] + b"fields to come"
    assert Assignment.parse(later).build() == later


def test_version_1_that_ends_before_the_owned_partitions() -> None:
    data = b"\0\1" + subscription(0, ["a"], user_data=b"u")[2:]
    blob = Subscription.parse(data)
    assert (blob.version, blob.topics, blob.owned, blob.rest) == (1, ("a",), None, b"")
    assert blob.build() == data


@pytest.mark.parametrize("kind", [Subscription, Assignment])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"\0\0",
        b"\xff\xff" + bytes(8),
        b"\x80\0" + bytes(8),
        b"\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\0\0\x7f\xff\xff\xff\0\0\0\0",
        b"\0\0\0\0\0\1\0\5abc",
        b"\0\0\0\0\0\1\0\1\xff\xff\xff\xff\xff",
        b"\0\0\0\0\0\0\x7f\xff\xff\xff",
        b"\0\0\0\0\0\0\xff\xff\xff\xfe",
    ],
)
def test_what_can_t_be_read(kind: type[Subscription] | type[Assignment], data: bytes) -> None:
    with pytest.raises(DecodeError):
        kind.parse(data)


def test_owned_partitions_that_can_t_be_read() -> None:
    whole = subscription(1, ["a"], [("a", [0, 1])])
    for size in range(len(subscription(0, ["a"])) + 1, len(whole)):
        with pytest.raises(DecodeError):
            Subscription.parse(whole[:size])


@given(st.sampled_from([Subscription, Assignment]), st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(kind: type[Subscription] | type[Assignment], data: bytes) -> None:
    try:
        blob = kind.parse(data)
    except ProtocolError:
        return
    assert blob.build() == data


def test_a_name_that_does_not_fit() -> None:
    with pytest.raises(EncodeError):
        Subscription.parse(subscription(0, ["a" * 32767])).renamed(shout).build()
    with pytest.raises(EncodeError):
        Assignment.parse(assignment(0, [("a" * 32767, [0])])).renamed(shout).build()


@given(subscriptions, st.binary(max_size=40), st.booleans())
def test_what_a_blob_carries_is_found_and_does_not_disturb(data: bytes, original: bytes, flag: bool) -> None:
    carrying = attach(data, original, flag)
    assert attached(carrying) == (original, flag)
    assert read_subscription(carrying) == read_subscription(data)
    assert attached(attach(carrying, carrying)) == (carrying, False)


@given(st.binary(max_size=40))
def test_nothing_is_carried(data: bytes) -> None:
    assert attached(data) is None
    mark = attach(b"", b"")[5:]
    for length in (-1, len(data) + 1, 0x7FFFFFFF, -(2**31)):
        assert attached(data + length.to_bytes(4, "big", signed=True) + b"\0" + mark) is None
    assert attached(mark) is None
