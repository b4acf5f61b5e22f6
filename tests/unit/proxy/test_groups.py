"""Groups, coordinators and configurations: ids in the zone's namespace, addresses and texts replaced."""

from dataclasses import replace
from typing import Any

import pytest

from protocol.schema import Message, request_struct, response_struct
from tests.unit.proxy.playbook import UNMAPPED_BROKER, ZONE, Playbook, versions_of

FIND_COORDINATOR, JOIN, HEARTBEAT, LEAVE, SYNC = 10, 11, 12, 13, 14
DESCRIBE_CONFIGS = 32
TYPED = {"protocol_type": "consumer", "protocol_name": "range"}
"""Without them SyncGroup 5 is refused before its group is looked at."""
GROUP_APIS = [(key, version) for key in (JOIN, HEARTBEAT, LEAVE, SYNC) for version in versions_of(key)]


@pytest.mark.parametrize(("key", "version"), GROUP_APIS)
def test_group_ids_are_in_the_zone_s_namespace(key: int, version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        message = request_struct(key, version).fit(group_id="my:group", member_id="m-1", generation_id=4, **TYPED)
        dialogue.client_sends(key, version, message)
        got = dialogue.broker_gets()
        message.group_id = "partner:my:group"
        assert got.message == message
        answer = response_struct(key, version).fit(error_code=27, member_id="m-1", generation_id=5)
        dialogue.broker_answers(got, answer)
        assert dialogue.client_receives() == answer


@pytest.mark.parametrize(("key", "version"), GROUP_APIS)
def test_an_empty_group_id_is_refused_here(key: int, version: int) -> None:
    """With the zone's prefix it would be a legal one, shared by all who forget theirs."""
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(key, version, request_struct(key, version).fit(**TYPED))
        dialogue.broker_gets_nothing()
        answer = dialogue.client_receives()
        expected: dict[str, Any] = {"error_code": 24}
        if key == JOIN:
            expected |= {
                "generation_id": -1,
                "protocol_name": None if version >= 7 else "",
                "leader": "",
                "members": (),
            }
        assert answer == answer.struct.fit(**expected)


@pytest.mark.parametrize(("key", "version"), GROUP_APIS)
def test_a_group_id_that_is_too_long_with_the_zone_s_name(key: int, version: int) -> None:
    longest = "ü" * ((0x7FFF - len("partner:")) // 2)
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(key, version, request_struct(key, version).fit(group_id=longest, **TYPED))
        assert dialogue.broker_gets().message.group_id == "partner:" + longest
        dialogue = playbook.signed_in()
        dialogue.client_sends(key, version, request_struct(key, version).fit(group_id=longest + "xx", **TYPED))
        dialogue.broker_gets_nothing()
        assert dialogue.client_receives().error_code == 24


@pytest.mark.parametrize(("key", "version"), GROUP_APIS)
@pytest.mark.parametrize("group_id", ["g", ""])
def test_a_zone_without_any_alias_has_no_groups(key: int, version: int, group_id: str) -> None:
    with Playbook([replace(ZONE, aliases=())]) as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(
            key, version, request_struct(key, version).fit(group_id=group_id, member_id="m-1", **TYPED)
        )
        dialogue.broker_gets_nothing()
        answer = dialogue.client_receives()
        refused: dict[str, Any] = {"error_code": 30}
        if key == JOIN:
            refused |= {"generation_id": -1, "protocol_name": None if version >= 7 else "", "member_id": ""}
        assert answer == answer.struct.fit(**refused)


@pytest.mark.parametrize("version", range(4))
@pytest.mark.parametrize(
    ("node_id", "error", "expected"),
    [
        (2, 0, (0, 2, "gateway", 9102)),
        (UNMAPPED_BROKER, 0, (15, -1, "", -1)),
        (-1, 15, (15, -1, "", -1)),
    ],
)
def test_one_coordinator(version: int, node_id: int, error: int, expected: tuple[int, int, str, int]) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(FIND_COORDINATOR, version, key="g")
        got = dialogue.broker_gets()
        assert got.message.key == "partner:g"
        answer = response_struct(FIND_COORDINATOR, version).fit(
            error_code=error, error_message="partner:g?", node_id=node_id, host="kafka-2", port=9092, throttle_time=3
        )
        dialogue.broker_answers(got, answer)
        told = dialogue.client_receives()
        assert (told.error_code, told.node_id, told.host, told.port) == expected
        assert "partner" not in str(told)


@pytest.mark.parametrize("version", range(1, 4))
@pytest.mark.parametrize(("key", "key_type", "error"), [("x" * 0x7FFF, 0, 24), ("g:t:0", 2, 42)])
def test_one_coordinator_refused(version: int, key: str, key_type: int, error: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(FIND_COORDINATOR, version, key=key, key_type=key_type)
        dialogue.broker_gets_nothing()
        told = dialogue.client_receives()
        assert (told.error_code, told.node_id, told.host, told.port) == (error, -1, "", -1)


@pytest.mark.parametrize("version", [4, 5])
def test_several_coordinators(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(FIND_COORDINATOR, version, key_type=0, coordinator_keys=("a", "", "b", "c"))
        got = dialogue.broker_gets()
        assert got.message.coordinator_keys == ("partner:a", "partner:", "partner:b", "partner:c")
        entry = response_struct(FIND_COORDINATOR, version).nested("coordinators")
        dialogue.broker_answers(
            got,
            coordinators=(
                entry.new(key="partner:c", error_code=16, error_message="partner:c moved", node_id=-1, port=-1),
                entry.new(key="partner:b", node_id=UNMAPPED_BROKER, host="kafka-9", port=9092),
                entry.new(key="partner:", node_id=2, host="kafka-2", port=9092),
                entry.new(key="partner:a", node_id=3, host="kafka-3", port=9092),
            ),
        )
        told = dialogue.client_receives()
        assert [(c.key, c.error_code, c.node_id, c.host, c.port) for c in told.coordinators] == [
            ("a", 0, 3, "gateway", 9103),
            ("", 0, 2, "gateway", 9102),
            ("b", 15, -1, "", -1),
            ("c", 16, -1, "", -1),
        ]
        assert "partner" not in str(told)


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize(("key_type", "error"), [(2, 42), (9, 42)])
def test_several_coordinators_refused(version: int, key_type: int, error: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(FIND_COORDINATOR, version, key_type=key_type, coordinator_keys=("x", "y"))
        dialogue.broker_gets_nothing()
        assert [(c.key, c.error_code) for c in dialogue.client_receives().coordinators] == [("x", error), ("y", error)]


def config_resources(version: int, *resources: tuple[int, str]) -> tuple[Message, ...]:
    entry = request_struct(DESCRIBE_CONFIGS, version).nested("resources")
    return tuple(entry.new(resource_type=kind, resource_name=name) for kind, name in resources)


@pytest.mark.parametrize("version", versions_of(DESCRIBE_CONFIGS))
def test_configurations_of_aliases_and_groups_only(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        resources = config_resources(
            version, (4, "1"), (2, "orders"), (2, "kafka-orders"), (32, "g"), (8, "1"), (16, ""), (2, "twin")
        )
        dialogue.client_sends(DESCRIBE_CONFIGS, version, resources=resources, include_synonyms=True)
        first, second = dialogue.broker_gets(), dialogue.broker_gets()
        names = [[(r.resource_type, r.resource_name) for r in got.message.resources] for got in (first, second)]
        assert names == [[(2, "kafka-orders"), (32, "partner:g")], [(2, "kafka-orders")]]
        result = response_struct(DESCRIBE_CONFIGS, version).nested("results")
        config = result.nested("configs")
        synonym = config.nested("synonyms")
        synonyms = tuple(synonym.new(name="s", value=str(source), source=source) for source in (1, 2, 3, 4, 5))
        dialogue.broker_answers(
            first,
            results=(
                result.new(resource_type=32, resource_name="partner:g", error_code=69, error_message="partner:g?"),
                result.new(
                    resource_type=2, resource_name="kafka-orders", configs=(config.new(name="a", synonyms=synonyms),)
                ),
            ),
        )
        dialogue.broker_answers(
            second, results=(result.new(resource_type=2, resource_name="kafka-orders", error_code=0),)
        )
        answer = dialogue.client_receives()
        assert [(r.resource_type, r.resource_name, r.error_code) for r in answer.results] == [
            (4, "1", 31),
            (2, "orders", 0),
            (2, "kafka-orders", 29),
            (32, "g", 69),
            (8, "1", 31),
            (16, "", 31),
            (2, "twin", 0),
        ]
        assert [s.source for s in answer.results[1].configs[0].synonyms] == [1, 5]
        assert answer.results[0].configs == ()
        assert "partner" not in str(answer)


@pytest.mark.parametrize("version", versions_of(DESCRIBE_CONFIGS))
def test_an_unheard_of_kind_of_resource_refuses_the_whole_request(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(
            DESCRIBE_CONFIGS, version, resources=config_resources(version, (2, "orders"), (7, "x"), (4, "1"))
        )
        dialogue.broker_gets_nothing()
        answer = dialogue.client_receives()
        assert [(r.resource_type, r.error_code) for r in answer.results] == [(2, 42), (7, 42), (4, 42)]


@pytest.mark.parametrize("version", versions_of(DESCRIBE_CONFIGS))
def test_configurations_that_are_all_refused(version: int) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(DESCRIBE_CONFIGS, version, resources=config_resources(version, (4, ""), (32, "")))
        dialogue.broker_gets_nothing()
        assert [r.error_code for r in dialogue.client_receives().results] == [31, 42]
