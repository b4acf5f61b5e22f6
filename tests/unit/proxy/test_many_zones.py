"""What tens of thousands of zones cost: nothing while nobody comes to them, and an edit what it edits."""

import asyncio
from collections.abc import Collection
from dataclasses import replace
from unittest.mock import patch

import pytest
from prometheus_client import generate_latest

from policies.credentials import Credential
from policies.zone import Alias, Permission, Zone, ZoneLimits
from proxy.accounts import NO_CHANGES, Accounts
from proxy.cluster import TOPICS_PER_REQUEST, Cluster
from proxy.gateway import LEARN_SECONDS, Gateway
from proxy.metrics import GatewayMetrics
from proxy.traffic import Kind
from proxy.zones import ZoneRegistry
from tests.unit.proxy.playbook import CONFIG, ZONE, Playbook, backing_id

ALIASES = (Alias("orders", "kafka-orders", Permission.WRITE), Alias("stock", "kafka-stock", Permission.READ))


class Untouchable(Zone):
    """Must not be compared with any other."""

    def __eq__(self, other: object) -> bool:
        assert other is None, f"{self.name} was compared"
        return False

    __hash__ = None  # type: ignore[assignment]


def zone(name: str, *aliases: Alias, **more: object) -> Zone:
    return Zone(name, "cluster", f"{name}-account", aliases or ALIASES, **more)  # type: ignore[arg-type]


def credential(name: str, of_zone: str = "a", **more: object) -> Credential:
    return Credential(name, of_zone, "2030-01-01T00:00:00Z", "hash", **more)  # type: ignore[arg-type]


def test_zones_that_are_the_same_objects_are_not_looked_at() -> None:
    registry = ZoneRegistry(GatewayMetrics())
    many = [Untouchable(f"zone-{n}", "cluster", f"account-{n}", ALIASES) for n in range(100)]
    registry.apply([*many, zone("a")], [])
    changes = registry.apply([*many, zone("a", ALIASES[0])], [])
    assert [each.name for each in changes.zones_after] == ["a"]
    assert changes.shrunken_zones == {"a"}
    changes = registry.apply([*many[1:], zone("b")], [])
    assert {each.name for each in changes.zones_before} == {"a", "zone-0"} == changes.shrunken_zones
    assert [each.name for each in changes.zones_after] == ["b"]


def test_equal_zones_are_no_change() -> None:
    registry = ZoneRegistry(GatewayMetrics())
    registry.apply([zone("a")], [credential("1")])
    state, again = registry.zones["a"], zone("a")
    changes = registry.apply([again], [credential("1")])
    assert (changes.zones_before, changes.zones_after, changes.credentials.after) == ((), (), ())
    assert registry.zones["a"] is state
    assert registry.served["a"] is again, "the next time it is the same object"


def test_a_zone_is_asleep_until_somebody_signs_in() -> None:
    with Playbook([ZONE, zone("other")]) as playbook:
        assert dict(playbook.registry.zones) == {}
        playbook.signed_in()
        assert list(playbook.registry.zones) == [ZONE.name]
        with pytest.raises(KeyError):
            playbook.registry.zones["nobody"]


def test_a_zone_that_wakes_knows_its_topics_ids_and_its_limits() -> None:
    with Playbook([zone("a", limits=ZoneLimits(produce_rate=1_000))]) as playbook:
        limited = [playbook.registry.has_limits]
        playbook.apply([zone("a", limits=ZoneLimits(produce_rate=500))])
        assert playbook.zone("a").topic_id(ALIASES[0]) == backing_id("kafka-orders")
        assert len(playbook.zone("a").routes_by_id) == 2
        assert playbook.zone("a").traffic[Kind.PRODUCE].limit == 500
        playbook.apply([zone("a")])
        assert [*limited, playbook.registry.has_limits] == [True, False]


def test_a_topic_that_no_zone_shares_any_more_is_forgotten() -> None:
    with Playbook([zone("a"), zone("b")]) as playbook:
        known = playbook.registry._ids[""].topics
        assert set(known) == {"kafka-orders", "kafka-stock"}
        playbook.zone("b")
        playbook.apply([zone("a", ALIASES[0]), zone("b")])
        assert set(known) == {"kafka-orders"}
        assert len(playbook.zone("b").routes_by_id) == 2, "whoever is awake keeps it"
        playbook.apply([zone("b", *ALIASES, Alias("more", "kafka-more", Permission.READ))])
        assert len(playbook.zone("b").routes_by_id) == 2, "so does one that is edited"
        playbook.apply([])
        assert known == {}


def alias_series(playbook: Playbook) -> set[str]:
    lines = generate_latest(playbook.metrics.registry).decode().splitlines()
    return {line.partition('alias="')[2].partition('"')[0] for line in lines if line.startswith("zonegate_alias_")}


def test_aliases_have_series_once_they_are_used() -> None:
    with Playbook() as playbook:
        playbook.signed_in()
        assert alias_series(playbook) == set()
        playbook.metrics.alias(ZONE.name, "orders").produce_requests += 1
        playbook.metrics.alias(ZONE.name, "stock").fetch_requests += 1
        assert alias_series(playbook) == {"orders", "stock"}


# what the gateway asks of the cluster


class Asked:
    """Topics that clusters were asked for, each time."""

    def __init__(self) -> None:
        self.topics: list[set[str]] = []

    async def __call__(self, topics: Collection[str]) -> dict[str, bytes]:
        self.topics.append(set(topics))
        return {topic: backing_id(topic) for topic in topics}


def started(zones: list[Zone]) -> Gateway:
    gateway = Gateway(CONFIG, zones, [])
    gateway._services.zones.identify("", "a cluster")
    gateway._services.clusters.first.cluster_id = "a cluster"
    gateway._started = True
    return gateway


def test_an_edit_asks_for_the_topics_of_what_it_has_edited() -> None:
    asked = Asked()
    new = Alias("new", "kafka-new", Permission.READ)

    async def scene() -> None:
        zones = [zone("a"), zone("b", Alias("other", "kafka-other", Permission.READ))]
        gateway = started(zones)
        gateway.apply(zones, [])
        gateway.apply([zones[0], zone("b", Alias("other", "kafka-other", Permission.READ))], [credential("1")])
        assert not gateway._tasks, "nothing new to ask for"
        gateway.apply([zone("a", *ALIASES, new), zones[1]], [])
        await asyncio.gather(*gateway._tasks)
        assert asked.topics == [{"kafka-orders", "kafka-stock", "kafka-new"}]
        assert gateway.zones.zones["a"].topic_id(new) == backing_id("kafka-new")
        gateway.apply([zones[1]], [])
        assert not gateway._tasks, "a zone that is gone has none"

    with patch.object(Cluster, "topic_ids", lambda _cluster, topics: asked(topics)):
        asyncio.run(scene())


def test_ids_that_a_client_misses_are_asked_for_of_its_zone() -> None:
    asked = Asked()

    async def scene() -> None:
        gateway = started([zone("a"), zone("b", Alias("other", "kafka-other", Permission.READ))])
        assert gateway.zones.zones["b"].alias_with_id(b"unknown, 16 long") is None
        gateway._learn_missed_ids(LEARN_SECONDS)
        await asyncio.gather(*gateway._tasks)
        assert not gateway.zones.missed_ids
        gateway._learn_missed_ids(9 * LEARN_SECONDS)
        assert not gateway._tasks

    with patch.object(Cluster, "topic_ids", lambda _cluster, topics: asked(topics)):
        asyncio.run(scene())
    assert asked.topics == [{"kafka-other"}]


def test_the_start_asks_for_each_topic_once() -> None:
    registry = ZoneRegistry(GatewayMetrics())
    registry.apply([zone("a"), zone("b"), zone("c", Alias("x", "kafka-x", Permission.READ))], [])
    assert registry.topics("") == ["kafka-orders", "kafka-stock", "kafka-x"]
    assert registry.topics("", ["c", "gone"]) == ["kafka-x"]
    assert TOPICS_PER_REQUEST <= 500, "a request's answer is read in one go"


# accounts


def test_credentials_are_those_of_their_zone_in_their_order() -> None:
    accounts, zones = Accounts(), {"a": zone("a"), "b": zone("b")}
    accounts.use_zones(zones, (), zones.values())
    first, second, other = credential("1"), credential("2"), credential("3", "b")
    accounts.use_credentials([second, other, first])
    account = accounts.find("a-account")
    assert account is not None
    assert (account.zone, account.mode, account.credentials) == ("a", "PLAIN", (second, first))
    accounts.use_credentials([first, second, other])
    account = accounts.find("a-account")
    assert account is not None
    assert account.credentials == (first, second), "another order counts"
    assert accounts.find("nobody") is None


def test_what_an_edit_of_credentials_has_changed() -> None:
    accounts = Accounts()
    kept, edited, gone = credential("1"), credential("2"), credential("3")
    accounts.use_credentials([kept, edited, gone])
    assert accounts.use_credentials([kept, edited, gone]) is NO_CHANGES
    other, new = replace(edited, expires=1.0), credential("4")
    changes = accounts.use_credentials([credential("1"), other, new])
    assert (changes.before, changes.after) == ((gone, edited), (other, new))
    assert changes.revoked == {"2", "3"}


def test_an_account_moves_with_its_zone() -> None:
    accounts = Accounts()
    before = {"a": zone("a")}
    accounts.use_zones(before, (), before.values())
    after = {"a": replace(before["a"], service_account="renamed"), "b": replace(zone("b"), service_account="a-account")}
    accounts.use_zones(after, before.values(), after.values())
    assert [each.zone for name in ("renamed", "a-account") if (each := accounts.find(name))] == ["a", "b"]
    accounts.use_zones({"b": after["b"]}, [after["a"]], [])
    assert accounts.find("renamed") is None
