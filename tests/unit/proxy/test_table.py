"""The one table of APIs: complete, within what is known, and the only source of what is offered."""

import pytest

from protocol.api_versions import ranges_of
from protocol.schema import API_NAMES, known_versions, request_struct, response_struct
from proxy.apis.plan import Treatment
from proxy.apis.table import _BETWEEN_BROKERS, _REFUSED, _SERVED, OFFERED, TABLE, all_plans, plans_for
from proxy.close import CloseReason
from proxy.pipeline import LOCAL_KEYS
from tests.unit.proxy.playbook import BROKER_VERSIONS, Playbook


def test_every_api_has_exactly_one_entry() -> None:
    keys = [*(entry.key for entry in (*_SERVED, *_REFUSED)), *_BETWEEN_BROKERS]
    assert sorted(keys) == sorted(set(keys))
    assert sorted(keys) == sorted(API_NAMES)
    assert sorted(TABLE) == sorted(keys)
    assert all(entry.key == key for key, entry in TABLE.items())


TAKEN = {entry.key: entry.versions for entry in TABLE.values() if entry.versions is not None}
"""What is answered, offered or not."""


@pytest.mark.parametrize("key", sorted(TAKEN))
def test_no_version_is_taken_that_is_not_known(key: int) -> None:
    low, high = TAKEN[key]
    assert known_versions(key)[0] <= low <= high <= known_versions(key)[1]
    for version in range(low, high + 1):
        assert request_struct(key, version) is not None
        assert response_struct(key, version) is not None


@pytest.mark.parametrize("key", sorted(API_NAMES))
def test_what_is_taken_is_handled_and_what_is_not_is_not(key: int) -> None:
    entry = TABLE[key]
    taken = entry.versions is not None
    assert taken == (key in TAKEN)
    assert taken == (entry.handler is not None or key in LOCAL_KEYS)
    assert (entry.treatment is Treatment.TERMINATE) == (key in LOCAL_KEYS)
    if taken:
        assert entry.treatment is not Treatment.INTERNAL
        assert entry.refusal != "connection closed"
    else:
        assert entry.treatment in (Treatment.HIDE, Treatment.INTERNAL)
        assert entry.on_bytes is None
        assert entry.on_large_head is None


@pytest.mark.parametrize("key", sorted(API_NAMES))
def test_all_that_is_taken_is_offered_unless_it_is_hidden(key: int) -> None:
    entry = TABLE[key]
    assert entry.offered == (key in OFFERED)
    assert entry.offered == (entry.treatment not in (Treatment.HIDE, Treatment.INTERNAL))
    if entry.treatment in (Treatment.REWRITE, Treatment.FILTER):
        assert entry.needs != "-"


def test_unstable_versions_are_not_offered() -> None:
    """InitProducerId 6 and FindCoordinator 6 (share groups), ApiVersions 5 (the client's idea of the cluster id)."""
    assert (OFFERED[22][1], OFFERED[10][1], OFFERED[18][1]) == (5, 5, 4)


def test_there_is_a_plan_for_each_version_that_is_taken() -> None:
    expected = {
        key << 16 | version
        for key, (low, high) in TAKEN.items()
        for version in range(low, high + 1)
        if key not in LOCAL_KEYS
    }
    assert set(all_plans()) == expected
    assert all(number == plan.key << 16 | plan.version for number, plan in all_plans().items())


def test_a_broker_s_own_versions_narrow_the_plans() -> None:
    plans = plans_for({0: (5, 9), 3: (12, 20), 1: (19, 20), 29: (3, 3), 27: (1, 1)})
    offered = sorted(number for number, plan in plans.items() if plan.entry.offered)
    assert offered == [*range(5, 10), 3 << 16 | 12, 3 << 16 | 13, 29 << 16 | 3]
    hidden = {number for number, plan in all_plans().items() if plan.entry.treatment is Treatment.HIDE}
    assert plans.keys() - set(offered) == hidden


@pytest.mark.parametrize("version", range(5))
def test_api_versions_offers_exactly_what_is_offered(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.connects()
        dialogue.client_sends(18, version, client_software_name="a", client_software_version="1") if version > 2 else (
            dialogue.client_sends(18, version)
        )
        offered = ranges_of(dialogue.client_receives())
    assert offered == {key: (0 if key == 0 else low, high) for key, (low, high) in OFFERED.items()}


def test_api_versions_offers_what_this_broker_has() -> None:
    versions = {**BROKER_VERSIONS, 1: (4, 13), 3: (0, 12), 60: (3, 3)}
    del versions[32]
    with Playbook(broker_versions=versions) as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(18, 0)
        offered = ranges_of(dialogue.client_receives())
        assert offered[1] == (4, 13)
        assert offered[3] == (0, 12)
        assert not {32, 60} & offered.keys()
        dialogue.client_sends(1, 14)
        dialogue.expect_end(CloseReason.UNSUPPORTED_API)


NOT_TAKEN = [
    (key, version)
    for key in sorted(API_NAMES)
    for version in {-1, 0, *known_versions(key), known_versions(key)[1] + 1, 32767}
    if key not in LOCAL_KEYS and not (key in TAKEN and TAKEN[key][0] <= version <= TAKEN[key][1])
]


def test_what_is_not_taken_ends_the_connection() -> None:
    with Playbook() as playbook:
        for key, version in [*NOT_TAKEN, (4, 0), (7, 1), (95, 0), (-1, 0), (32767, 3)]:
            dialogue = playbook.signed_in()
            header = key.to_bytes(2, "big", signed=True) + version.to_bytes(2, "big", signed=True)
            frame = header + b"\0\0\0\x09\0\x01c" + bytes(20)
            dialogue.client_sends_bytes(len(frame).to_bytes(4, "big") + frame)
            dialogue.broker_gets_nothing()
            dialogue.expect_end(CloseReason.UNSUPPORTED_API)
