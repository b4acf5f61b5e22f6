"""The compiled rules of a zone."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.names import ZONE_NAME
from policies.zone import Alias, Permission, Zone, ZoneRules

READ, WRITE = Permission.READ, Permission.WRITE
ORDERS = Alias("orders", "kafka-orders", WRITE)
STOCK = Alias("stock", "kafka-stock", READ)
TWIN = Alias("twin", "kafka-orders", READ)
ZONE = Zone("partner", "cluster", "johndoe", (ORDERS, STOCK, TWIN))
RULES = ZoneRules(ZONE)


def test_aliases_by_name() -> None:
    assert RULES.alias("orders") is ORDERS
    assert [RULES.alias(name) for name in ("kafka-orders", "ORDERS", "", "elsewhere", None)] == [None] * 5


def test_aliases_by_backing_topic_in_the_order_of_the_zone() -> None:
    assert RULES.aliases_of("kafka-orders") == (ORDERS, TWIN)
    assert RULES.aliases_of("kafka-stock") == (STOCK,)
    assert RULES.aliases_of("orders") == ()
    assert list(RULES.topics) == ["kafka-orders", "kafka-stock"]
    assert RULES.is_shared("kafka-orders")
    assert not RULES.is_shared("kafka-stock")
    assert not RULES.is_shared("elsewhere")


@pytest.mark.parametrize("name", ["orders", "stock", "kafka-orders", "elsewhere", "", "partner:?x"])
def test_names_where_none_can_be_refused(name: str) -> None:
    topic = RULES.topic_or_mark(name)
    alias = RULES.alias(name)
    assert topic == (alias.topic if alias is not None else "partner:?" + name)
    assert RULES.name_or_unmark(topic) == name


def test_names_that_a_zone_can_t_have_given() -> None:
    assert [RULES.name_or_unmark(topic) for topic in ("elsewhere", "orders", "other:?x", "partner:x")] == [None] * 4
    assert RULES.name_or_unmark(RULES.topic_or_mark("twin")) == "orders"


def test_write_includes_read_and_a_zone_that_only_reads_is_not_writable() -> None:
    assert [alias.writable for alias in RULES.aliases] == [True, False, False]
    assert RULES.writable
    assert not ZoneRules(replace(ZONE, aliases=(STOCK, TWIN))).writable
    assert not ZoneRules(replace(ZONE, aliases=())).writable


@given(st.text())
def test_an_id_comes_back_as_it_was(name: str) -> None:
    assert RULES.unqualify(RULES.qualify(name)) == name


@given(st.from_regex(ZONE_NAME, fullmatch=True), st.from_regex(ZONE_NAME, fullmatch=True), st.text())
def test_no_zone_s_ids_are_another_s(one: str, other: str, name: str) -> None:
    first, second = ZoneRules(replace(ZONE, name=one)), ZoneRules(replace(ZONE, name=other))
    assert (second.unqualify(first.qualify(name)) == name) == (one == other)
    if one != other:
        assert second.unqualify(first.qualify(name)) is None


@pytest.mark.parametrize(
    ("now", "shrank"),
    [
        (ZONE, False),
        (replace(ZONE, aliases=(TWIN, STOCK, ORDERS)), False),
        (replace(ZONE, aliases=(*ZONE.aliases, Alias("new", "kafka-new", WRITE))), False),
        (replace(ZONE, aliases=(ORDERS, replace(STOCK, permission=WRITE), TWIN)), False),
        (replace(ZONE, aliases=(ORDERS, TWIN)), True),
        (replace(ZONE, aliases=(replace(ORDERS, permission=READ), STOCK, TWIN)), True),
        (replace(ZONE, aliases=(ORDERS, replace(STOCK, topic="kafka-other"), TWIN)), True),
        (replace(ZONE, aliases=(ORDERS, replace(STOCK, name="renamed"), TWIN)), True),
        (replace(ZONE, aliases=()), True),
        (replace(ZONE, service_account="janedoe"), True),
    ],
)
def test_whether_something_was_taken_away(now: Zone, shrank: bool) -> None:
    assert ZoneRules(now).shrank_from(RULES) is shrank
