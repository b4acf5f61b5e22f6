"""Version ranges and the answers to ApiVersions."""

import pytest

from protocol.api_versions import (
    KEY,
    build_error,
    build_response,
    build_unsupported,
    common,
    has_valid_software,
    intersect,
    ranges_of,
)
from protocol.codec import decode, encode
from protocol.error_codes import ErrorCode
from protocol.features import Features, common_features, features_of
from protocol.schema import request_struct, response_struct

TRANSACTIONS = {0: (3, 12), 26: (0, 5), 28: (0, 5)}
"""What `transaction.version` 2 implies, and nothing more."""
GROUPS = {68: (0, 1), 69: (0, 1)}
"""What `group.version` 1 implies."""

FEATURES = Features(
    {
        "metadata.version": (1, 29),
        "kraft.version": (0, 1),
        "transaction.version": (0, 2),
        "group.version": (0, 1),
        "share.version": (0, 1),
        "streams.version": (0, 1),
        "eligible.leader.replicas.version": (0, 1),
    },
    {
        "metadata.version": 29,
        "kraft.version": 1,
        "transaction.version": 2,
        "group.version": 1,
        "share.version": 1,
        "streams.version": 1,
        "eligible.leader.replicas.version": 1,
    },
    77,
)
"""As a Kafka 4.3 tells of them."""


@pytest.mark.parametrize(
    ("ours", "broker", "both"),
    [
        ({0: (3, 13)}, {0: (0, 12)}, {0: (3, 12)}),
        ({0: (3, 13)}, {0: (5, 20)}, {0: (5, 13)}),
        ({0: (3, 13)}, {1: (0, 12)}, {}),
        ({0: (3, 13)}, {0: (0, 2)}, {}),
        ({0: (3, 13)}, {0: (14, 15)}, {}),
        ({0: (3, 3)}, {0: (3, 3)}, {0: (3, 3)}),
        ({}, {0: (0, 1)}, {}),
    ],
)
def test_only_what_both_understand_is_offered(
    ours: dict[int, tuple[int, int]], broker: dict[int, tuple[int, int]], both: dict[int, tuple[int, int]]
) -> None:
    assert intersect(ours, broker) == both


def test_several_brokers_offer_what_all_of_them_understand() -> None:
    assert common([{0: (0, 9), 1: (4, 18)}, {0: (3, 12)}]) == {0: (3, 9)}
    assert common([{0: (0, 9)}]) == {0: (0, 9)}
    assert common([]) == {}


@pytest.mark.parametrize("version", range(5))
def test_the_answer_lists_every_offered_api_in_order(version: int) -> None:
    answer = build_response(version, {3: (0, 13), 1: (4, 18), 18: (0, 4)}, FEATURES)
    parsed = decode(response_struct(KEY, version), bytes(encode(answer)))
    assert [entry.api_key for entry in parsed.api_keys] == [1, 3, 18]
    assert ranges_of(parsed) == {1: (4, 18), 3: (0, 13), 18: (0, 4)}
    assert parsed.error_code == 0


def told(version: int, offered: dict[int, tuple[int, int]], features: Features = FEATURES) -> Features:
    """The features in an answer, as a client reads them."""
    answer = bytes(encode(build_response(version, offered, features)))
    return features_of(decode(response_struct(KEY, version), answer))


def test_features_that_can_be_relied_on() -> None:
    assert told(4, {**TRANSACTIONS, **GROUPS}) == Features(
        {"transaction.version": (0, 2), "group.version": (0, 1)}, {"transaction.version": 2, "group.version": 1}, 77
    )


def test_older_clients_cannot_read_a_lowest_level_of_0() -> None:
    features = Features({**FEATURES.supported, "group.version": (1, 1)}, FEATURES.finalized, 77)
    assert told(3, {**TRANSACTIONS, **GROUPS}, features) == Features(
        {"group.version": (1, 1)}, {"transaction.version": 2, "group.version": 1}, 77
    )


def test_the_first_versions_know_no_features() -> None:
    for version in range(3):
        assert not {"supported_features", "finalized_features"} & response_struct(KEY, version).names


def test_a_broker_that_tells_of_no_features() -> None:
    assert told(4, {**TRANSACTIONS, **GROUPS}, Features()) == Features()


@pytest.mark.parametrize("key", TRANSACTIONS)
@pytest.mark.parametrize("clamped", [False, True])
def test_transactions_version_2_needs_the_apis_that_it_implies(key: int, clamped: bool) -> None:
    low, high = TRANSACTIONS[key]
    offered = {**TRANSACTIONS, key: (low, high - 1)}
    if not clamped:
        del offered[key]
    assert told(4, offered) == Features({"transaction.version": (0, 1)}, {"transaction.version": 1}, 77)


@pytest.mark.parametrize("key", GROUPS)
def test_group_version_needs_both_of_its_apis(key: int) -> None:
    assert told(4, {key: (0, 1)}).finalized == {"transaction.version": 1}


@pytest.mark.parametrize(
    ("level", "passed"), [(0, {}), (1, {"transaction.version": 1}), (3, {"transaction.version": 2})]
)
def test_a_level_is_never_more_than_the_cluster_s_and_ours(level: int, passed: dict[str, int]) -> None:
    features = Features({"transaction.version": (0, 9)}, {"transaction.version": level}, 5)
    assert told(4, TRANSACTIONS, features) == Features({"transaction.version": (0, 2)}, passed, 5)


def test_a_lowest_level_beyond_ours_is_left_out() -> None:
    assert told(4, TRANSACTIONS, Features({"transaction.version": (3, 4)}, {}, 5)) == Features({}, {}, 5)


def test_levels_without_an_epoch_do_not_count() -> None:
    answer = build_response(4, TRANSACTIONS, Features({}, {"transaction.version": 2}, -1))
    assert features_of(answer) == Features()


def test_several_brokers_have_the_lowest_levels_of_the_oldest_epoch_in_common() -> None:
    first = Features({"a": (0, 4), "b": (1, 2), "c": (0, 1)}, {"a": 4, "b": 1, "c": 1}, 9)
    second = Features({"a": (1, 3), "b": (0, 2)}, {"a": 3}, 8)
    assert common_features([first, second]) == Features({"a": (1, 3), "b": (1, 2)}, {"a": 3}, 8)
    assert common_features([first]) == first
    assert common_features([]) == Features()


def test_produce_reads_as_if_it_began_at_0() -> None:
    """Or librdkafka before 2.11.1 stops compressing."""
    assert ranges_of(build_response(4, {0: (3, 13)}, FEATURES)) == {0: (0, 13)}


def test_a_version_that_is_too_new_gets_a_version_0_body_with_one_entry() -> None:
    body = bytes(encode(build_unsupported((0, 4))))
    assert body == b"\x00\x23" + b"\0\0\0\x01" + b"\0\x12\0\0\0\x04"


def test_an_invalid_request_is_answered_in_its_own_version() -> None:
    answer = build_error(3, ErrorCode.INVALID_REQUEST)
    assert answer.struct is response_struct(KEY, 3)
    assert (answer.error_code, answer.api_keys) == (42, ())


@pytest.mark.parametrize(
    ("name", "version", "valid"),
    [
        ("apache-kafka-java", "4.1.0", True),
        ("librdkafka", "2.3.0-RC1", True),
        ("a", "1", True),
        ("", "1", False),
        ("a", "", False),
        ("-a", "1", False),
        ("a", "1.", False),
        ("a b", "1", False),
        ("a\n", "1", False),
        ("ä", "1", False),
    ],
)
def test_names_of_software(name: str, version: str, valid: bool) -> None:
    request = request_struct(KEY, 3).new(client_software_name=name, client_software_version=version)
    assert has_valid_software(request) is valid


def test_older_versions_name_no_software() -> None:
    assert has_valid_software(request_struct(KEY, 2).new())
