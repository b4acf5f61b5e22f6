"""DescribeTopicPartitions (75)."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.equivalence.apis import Api
from tests.equivalence.names import GHOST, ILLEGAL, ORDERS, PRICES, SECRET, VANISHED, WITHHELD, Role
from tests.equivalence.scenario import Scenario, asks
from tests.equivalence.side import Seat


def describing(name: str, names: Sequence[str], role: Role = Role.PARTNER, **fields: Any) -> Scenario:
    asked = {"topics": [{"name": each} for each in names], "response_partition_limit": 2000, "cursor": None, **fields}
    return asks(Api.DESCRIBE_TOPIC_PARTITIONS, name, lambda _: asked, role)


def at(topic: str, partition: int) -> Mapping[str, Any]:
    return {"topic_name": topic, "partition_index": partition}


def page_by_page(seat: Seat) -> Mapping[str, Any]:
    """Everything, three partitions at a time."""
    pages = []
    cursor: Any = None
    while True:
        answer = seat.ask({"topics": [], "response_partition_limit": 3, "cursor": cursor})
        pages.append(answer)
        following = answer.next_cursor
        if following is None:
            return {"pages": pages}
        cursor = at(following.topic_name, following.partition_index)


MANY = (SECRET, ORDERS, GHOST, PRICES, VANISHED, WITHHELD)

SCENARIOS = (
    describing("all", []),
    describing("all-for-a-reader", [], Role.READER),
    describing("allowed", [PRICES, ORDERS]),
    describing("mixed", MANY),
    describing("reader", MANY, Role.READER),
    describing("denied", [SECRET, GHOST, WITHHELD]),
    describing("vanished", [VANISHED]),
    describing("named-twice", [PRICES, ORDERS, PRICES]),
    describing("illegal-names", [ILLEGAL, "", "__consumer_offsets"]),
    describing("one-partition", [PRICES, ORDERS], response_partition_limit=1),
    describing("no-partitions", [PRICES, ORDERS], response_partition_limit=0),
    describing("negative-limit", [PRICES, ORDERS], response_partition_limit=-1),
    describing("limit-within-refusals", MANY, response_partition_limit=1),
    describing("from-a-cursor", [PRICES, ORDERS], cursor=at(ORDERS, 1)),
    describing("from-the-last-topic", [ORDERS, PRICES], cursor=at(PRICES, 0)),
    describing("all-from-a-cursor", [], cursor=at(ORDERS, 1)),
    describing("cursor-between-topics", [], cursor=at("p", 0)),
    describing("cursor-elsewhere", [ORDERS], cursor=at(PRICES, 0)),
    describing("cursor-on-the-ungranted", MANY, cursor=at(SECRET, 0)),
    describing("cursor-behind-everything", [], cursor=at("zzz", 0)),
    describing("cursor-behind-the-partitions", [ORDERS, PRICES], cursor=at(ORDERS, 9)),
    describing("negative-cursor", [ORDERS, PRICES], cursor=at(ORDERS, -1)),
    Scenario(Api.DESCRIBE_TOPIC_PARTITIONS, "page-by-page", page_by_page),
)
