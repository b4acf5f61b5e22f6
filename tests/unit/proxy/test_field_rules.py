"""Every field that could carry a name, an id or an address across the gateway has a rule, and no rule is idle."""

from dataclasses import field
from typing import Any

import pytest
from kio.schema.types import GroupId

from protocol.schema import API_NAMES, FieldSpec, Struct, known_versions, request_struct, response_struct
from proxy.apis.plan import Treatment
from proxy.apis.table import OFFERED, TABLE
from tests.unit.proxy.field_rules import REQUEST, RESPONSE, RULES, Side, needs_rule, walk
from tests.unit.proxy.playbook import versions_of

FORWARDED = [key for key in sorted(OFFERED) if TABLE[key].treatment in (Treatment.REWRITE, Treatment.FILTER)]
"""The APIs of which a broker's answer can reach a client. `test_mutations` proves it of the others."""


def struct_of(key: int, side: Side, version: int) -> Struct:
    return request_struct(key, version) if side == REQUEST else response_struct(key, version)


@pytest.mark.parametrize("key", FORWARDED, ids=API_NAMES.get)
@pytest.mark.parametrize("side", [REQUEST, RESPONSE])
def test_every_telling_field_has_a_rule(key: int, side: Side) -> None:
    rules = RULES.get((key, side), {})
    missing = {
        f"{path} ({spec.kafka_type}, version {version})"
        for version in versions_of(key)
        for path, spec in walk(struct_of(key, side, version))
        if needs_rule(spec) and path not in rules
    }
    assert not missing, f"{API_NAMES[key]} {side}: say in field_rules.py what becomes of {sorted(missing)}"


@pytest.mark.parametrize(("key", "side"), sorted(RULES))
def test_every_rule_is_for_a_field(key: int, side: Side) -> None:
    low, high = known_versions(key)
    known = {path for version in range(low, high + 1) for path, _ in walk(struct_of(key, side, version))}
    assert not RULES[key, side].keys() - known


@pytest.mark.parametrize(
    ("name", "kafka_type", "kind", "expected"),
    [
        ("anything", "string", str, True),
        ("anything", "string", GroupId, True),
        ("anything", "bytes", bytes, True),
        ("anything", "records", bytes, True),
        ("anything", "uuid", bytes, True),
        ("new_leader_id", "int32", int, True),
        ("port", "uint16", int, True),
        ("offline_replicas", "int32", int, True),
        ("group_authorized_operations", "int32", int, True),
        ("partition_index", "int32", int, False),
        ("is_internal", "bool", bool, False),
    ],
)
def test_a_field_that_a_later_kafka_adds_needs_a_rule(name: str, kafka_type: str, kind: Any, expected: bool) -> None:
    """Whatever its name is, unless it is a number that points at nothing."""
    added: Any = field(metadata={"kafka_type": kafka_type})
    added.name, added.type = name, kind
    assert needs_rule(FieldSpec(added)) is expected
