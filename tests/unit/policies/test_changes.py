"""What an edit has changed, as the audit tells it."""

import dataclasses

from policies.changes import CredentialChange, LimitChange, ZoneChange, credential_changes, zone_changes
from policies.credentials import Credential
from policies.zone import Alias, Permission, Zone, ZoneLimits, ZoneRules

ORDERS = Alias("orders", "t-orders", Permission.READ)
STOCK = Alias("stock", "t-stock", Permission.READ)
ONE = Zone("one", "cluster", "anna", (ORDERS, STOCK))
TWO = Zone("two", "cluster", "ben", (ORDERS,))


def test_nothing() -> None:
    assert zone_changes([ONE, TWO], [TWO, ONE]) == []


def test_zones_come_and_go() -> None:
    assert zone_changes([ONE], [TWO]) == [
        ZoneChange(ONE, "removed", aliases_removed=("orders", "stock")),
        ZoneChange(TWO, "created", aliases_added=("orders",)),
    ]


def test_aliases_change_one_by_one() -> None:
    writable = dataclasses.replace(ORDERS, permission=Permission.WRITE)
    invoices = Alias("invoices", "t-invoices", Permission.READ)
    after = dataclasses.replace(ONE, aliases=(invoices, writable))
    assert zone_changes([ONE], [after]) == [
        ZoneChange(after, "changed", ("aliases",), ("invoices",), ("stock",), ("orders",))
    ]


def test_other_fields_are_named() -> None:
    after = dataclasses.replace(ONE, service_account="carl", authentication="MTLS")
    assert zone_changes([ONE], [after]) == [ZoneChange(after, "changed", ("service_account", "authentication"))]


def test_limits_are_told_as_they_were_and_as_they_are() -> None:
    before = dataclasses.replace(ONE, limits=ZoneLimits(produce_rate=1_000, consume_rate=500))
    after = dataclasses.replace(ONE, limits=ZoneLimits(produce_rate=2_000, commits_per_minute=60))
    produce = LimitChange("produce_rate", 1_000, 2_000)
    consume = LimitChange("consume_rate", 500, None)
    commits = LimitChange("commits_per_minute", None, 60)
    assert zone_changes([before], [after]) == [
        ZoneChange(after, "changed", ("limits",), limits=(produce, consume, commits))
    ]


def test_limits_of_zones_that_come_and_go() -> None:
    limited = dataclasses.replace(ONE, limits=ZoneLimits(commits_per_minute=60))
    (created,) = zone_changes([], [limited])
    assert created.limits == (LimitChange("commits_per_minute", None, 60),)
    (removed,) = zone_changes([limited], [])
    assert removed.limits == (LimitChange("commits_per_minute", 60, None),)


def test_other_limits_take_nothing_away_from_live_sessions() -> None:
    limited = dataclasses.replace(ONE, limits=ZoneLimits(1, 1, 1))
    assert not ZoneRules(limited).shrank_from(ZoneRules(ONE))
    assert not ZoneRules(ONE).shrank_from(ZoneRules(limited))


def test_credentials() -> None:
    first, second, third = (Credential(name, "one", "2030-01-01T00:00:00Z", "hash") for name in ("1", "2", "3"))
    edited = dataclasses.replace(second, password_hash="another")
    assert credential_changes([first, second], [edited, third]) == [
        CredentialChange(third, "added"),
        CredentialChange(edited, "changed"),
        CredentialChange(first, "removed"),
    ]
