"""Metadata (3)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.equivalence.apis import Api
from tests.equivalence.names import GHOST, ILLEGAL, ORDERS, PRICES, SECRET, UNKNOWN_ID, VANISHED, WITHHELD, Role
from tests.equivalence.scenario import ALL_VERSIONS, Scenario, asks
from tests.equivalence.side import Seat

Topics = Callable[[Seat], Sequence[Mapping[str, Any]] | None]

WITH_CREATION, WITH_OPERATIONS = (4, 99), (8, 99)
NULLABLE, WITH_IDS, BY_ID = (1, 99), (10, 99), (12, 99)
BEFORE_IDS_WORK = (10, 11)


def asking(
    name: str,
    topics: Topics,
    role: Role = Role.PARTNER,
    versions: tuple[int, int] = ALL_VERSIONS,
    **fields: Any,
) -> Scenario:
    common = {"allow_auto_topic_creation": False, **fields}
    return asks(Api.METADATA, name, lambda seat: {"topics": topics(seat), **common}, role, versions)


def named(*names: str | None) -> Topics:
    return lambda _: [{"name": name} for name in names]


def by_id(*names: str) -> Topics:
    return lambda seat: [{"topic_id": seat.topic_id(name), "name": None} for name in names]


def unknown_id(_: Seat) -> Sequence[Mapping[str, Any]]:
    return [{"topic_id": UNKNOWN_ID, "name": None}]


def known_and_unknown_id(seat: Seat) -> Sequence[Mapping[str, Any]]:
    (known,) = by_id(ORDERS)(seat) or ()
    return [*unknown_id(seat), known]


def id_and_name(seat: Seat) -> Sequence[Mapping[str, Any]]:
    return [{"topic_id": seat.topic_id(ORDERS), "name": None}, {"name": PRICES}]


def id_with_name(seat: Seat) -> Sequence[Mapping[str, Any]]:
    return [{"topic_id": seat.topic_id(ORDERS), "name": ORDERS}]


MANY = named(SECRET, ORDERS, GHOST, PRICES, VANISHED, WITHHELD)

SCENARIOS = (
    asking("all", lambda _: None, versions=NULLABLE),
    asking("all-for-a-reader", lambda _: None, Role.READER, versions=NULLABLE),
    asking("none", lambda _: []),
    asking("allowed", named(PRICES, ORDERS)),
    asking("mixed", MANY),
    asking("reader", MANY, Role.READER),
    asking("denied", named(SECRET, GHOST, WITHHELD)),
    asking("vanished", named(VANISHED)),
    asking("named-twice", named(PRICES, ORDERS, PRICES)),
    asking("denied-twice", named(SECRET, SECRET)),
    asking("illegal-names", named(ILLEGAL, "", "x" * 250, ".")),
    asking("internal-topics", named("__consumer_offsets", "__transaction_state")),
    asking("may-create", named(VANISHED, GHOST, ORDERS), versions=WITH_CREATION, allow_auto_topic_creation=True),
    asking("operations", MANY, versions=WITH_OPERATIONS, include_topic_authorized_operations=True),
    asking("operations-for-a-reader", MANY, Role.READER, WITH_OPERATIONS, include_topic_authorized_operations=True),
    asking("operations-on-all", lambda _: None, versions=WITH_OPERATIONS, include_topic_authorized_operations=True),
    asking("cluster-operations", named(), versions=(8, 10), include_cluster_authorized_operations=True),
    asking("ids", by_id(PRICES, ORDERS), versions=BY_ID),
    asking("id-twice", by_id(ORDERS, ORDERS), versions=BY_ID),
    asking("unknown-id", unknown_id, versions=BY_ID),
    asking("known-and-unknown-id", known_and_unknown_id, versions=BY_ID),
    asking("ungranted-id", by_id(SECRET, ORDERS), versions=BY_ID),
    asking("id-and-name", id_and_name, versions=BY_ID),
    asking("id-with-name", id_with_name, versions=BY_ID),
    asking("null-name", named(None, ORDERS), versions=BY_ID),
    asking("operations-by-id", by_id(ORDERS, PRICES), versions=BY_ID, include_topic_authorized_operations=True),
    asking("ids-before-they-work", id_and_name, versions=BEFORE_IDS_WORK),
    asking("id-with-name-before-it-works", id_with_name, versions=BEFORE_IDS_WORK),
    asking("null-name-before-it-works", named(None, ORDERS), versions=BEFORE_IDS_WORK),
)
