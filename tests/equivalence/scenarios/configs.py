"""DescribeConfigs (32)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.equivalence.apis import Api
from tests.equivalence.names import GHOST, ILLEGAL, ORDERS, PRICES, SECRET, VANISHED, WITHHELD, Role
from tests.equivalence.scenario import Scenario, asks
from tests.equivalence.side import Seat

Resource = Mapping[str, Any]

TOPIC, BROKER, LOGGER, METRICS, GROUP = 2, 4, 8, 16, 32
RETENTION = ("retention.ms", "min.insync.replicas")


def of(kind: int, name: str, keys: Sequence[str] | None = None) -> Resource:
    return {"resource_type": kind, "resource_name": name, "configuration_keys": keys}


def describing(
    name: str,
    resources: Sequence[Resource] | Callable[[Seat], Sequence[Resource]],
    role: Role = Role.PARTNER,
    **fields: Any,
) -> Scenario:
    def ask(seat: Seat) -> Mapping[str, Any]:
        return {"resources": resources(seat) if callable(resources) else resources, **fields}

    return asks(Api.DESCRIBE_CONFIGS, name, ask, role)


MIXED = [of(TOPIC, name, RETENTION) for name in (SECRET, ORDERS, GHOST, PRICES, VANISHED, WITHHELD)]

SCENARIOS = (
    describing("topic", [of(TOPIC, ORDERS)]),
    describing("topic-with-synonyms", [of(TOPIC, PRICES, RETENTION)], include_synonyms=True),
    describing("topic-with-documentation", [of(TOPIC, PRICES, RETENTION)], include_documentation=True),
    describing("chosen-keys", [of(TOPIC, ORDERS, [*RETENTION, "no.such.key"]), of(TOPIC, PRICES, [])]),
    describing("mixed", MIXED),
    describing("reader", MIXED, Role.READER),
    describing("denied", [of(TOPIC, name) for name in (SECRET, GHOST, WITHHELD)]),
    describing("illegal-names", [of(TOPIC, ILLEGAL), of(TOPIC, "")]),
    describing("topic-twice", [of(TOPIC, ORDERS, ["retention.ms"]), of(TOPIC, ORDERS, ["min.insync.replicas"])]),
    describing("brokers", [of(BROKER, "1"), of(BROKER, ""), of(BROKER, "99"), of(BROKER, "x")]),
    describing("logger", [of(LOGGER, "1")]),
    describing("metrics", [of(METRICS, "subscription"), of(METRICS, "")]),
    describing("group", lambda seat: [of(GROUP, seat.name())]),
    describing("groups-and-topic", lambda seat: [of(GROUP, seat.name()), of(TOPIC, ORDERS, RETENTION), of(GROUP, "x")]),
    describing("empty-group", [of(GROUP, "")]),
    describing("unheard-of", [of(7, "x"), of(0, "y"), of(1, "z")]),
    describing("unheard-of-and-topic", [of(7, "x"), of(TOPIC, ORDERS, RETENTION)]),
    describing("everything", [of(BROKER, "1"), of(TOPIC, ORDERS, RETENTION), of(LOGGER, "1"), of(TOPIC, SECRET)]),
    describing("nothing", []),
)
