"""Kafka's rule for topic names (org.apache.kafka.common.internals.Topic), and ours for zones."""

import pytest

from policies.names import INTERNAL_TOPICS, check_topic_name, check_zone_name, is_internal_topic


@pytest.mark.parametrize("name", ["a", "topic-a", "Topic_A.1", "...", "_zone", "x" * 249])
def test_legal_topic_names(name: str) -> None:
    assert check_topic_name(name) is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "a topic name cannot be empty"),
        (".", "'.' is not a legal topic name"),
        ("..", "'..' is not a legal topic name"),
        ("x" * 250, "a topic name has at most 249 characters, this one has 250"),
        ("a b", "'a b' is not a legal topic name; use letters, digits, '.', '_' and '-' only"),
        ("a\n", "'a\\n' is not a legal topic name; use letters, digits, '.', '_' and '-' only"),
        ("é", "'é' is not a legal topic name; use letters, digits, '.', '_' and '-' only"),
        ("zone:a", "'zone:a' is not a legal topic name; use letters, digits, '.', '_' and '-' only"),
    ],
)
def test_illegal_topic_names_say_why(name: str, reason: str) -> None:
    assert check_topic_name(name) == reason


@pytest.mark.parametrize("name", ["a", "external-partner-zone", "z_1.b", "0", "x" * 63])
def test_legal_zone_names(name: str) -> None:
    assert check_zone_name(name) is None


@pytest.mark.parametrize("name", ["", "Zone", "a:b", "a b", "zone\n", "é", "x" * 64])
def test_illegal_zone_names_say_what_is_right(name: str) -> None:
    assert check_zone_name(name) == (
        f"{name!r} is not a zone name; use 1 to 63 lower-case letters, digits, '_', '.' and '-'"
    )


def test_no_internal_topic_is_missing() -> None:
    assert sorted(INTERNAL_TOPICS) == [
        "__cluster_metadata",
        "__consumer_offsets",
        "__share_group_state",
        "__transaction_state",
    ]


@pytest.mark.parametrize("name", ["__consumer_offsets", "_zonegate", "_zonegate-test"])
def test_topics_with_state_of_kafka_or_zonegate_are_internal(name: str) -> None:
    assert is_internal_topic(name)


def test_other_topics_are_not_internal() -> None:
    assert not is_internal_topic("zonegate")
