"""Version ranges and the answers to ApiVersions."""

import pytest

from protocol.api_versions import (
    KEY,
    build_invalid,
    build_response,
    build_unsupported,
    common,
    has_valid_software,
    intersect,
    ranges_of,
)
from protocol.codec import decode, encode
from protocol.schema import request_struct, response_struct


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
    answer = build_response(version, {3: (0, 13), 1: (4, 18), 18: (0, 4)})
    parsed = decode(response_struct(KEY, version), bytes(encode(answer)))
    assert [entry.api_key for entry in parsed.api_keys] == [1, 3, 18]
    assert ranges_of(parsed) == {1: (4, 18), 3: (0, 13), 18: (0, 4)}
    assert parsed.error_code == 0


@pytest.mark.parametrize("version", [3, 4])
def test_no_feature_is_passed_on(version: int) -> None:
    answer = build_response(version, {18: (0, 4)})
    assert answer.supported_features == ()
    assert answer.finalized_features == ()
    assert answer.finalized_features_epoch == -1


def test_produce_reads_as_if_it_began_at_0() -> None:
    """Or librdkafka before 2.11.1 stops compressing."""
    assert ranges_of(build_response(4, {0: (3, 13)})) == {0: (0, 13)}


def test_a_version_that_is_too_new_gets_a_version_0_body_with_one_entry() -> None:
    body = bytes(encode(build_unsupported((0, 4))))
    assert body == b"\x00\x23" + b"\0\0\0\x01" + b"\0\x12\0\0\0\x04"


def test_an_invalid_request_is_answered_in_its_own_version() -> None:
    answer = build_invalid(3)
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
