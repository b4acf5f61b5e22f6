"""FindCoordinator (10) and DescribeCluster (60)."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.equivalence.apis import Api
from tests.equivalence.names import Role
from tests.equivalence.scenario import ALL_VERSIONS, Scenario, asks

GROUP, TRANSACTION, SHARE, UNHEARD_OF = 0, 1, 2, 9
TYPED, BATCHED = (1, 99), (4, 99)
SHARED_STATE = "group:AAAAAAAAAAAAAAAAAAAAAQ:0"


def finding(
    name: str,
    key_type: int,
    keys: Sequence[str],
    versions: tuple[int, int] = ALL_VERSIONS,
    role: Role = Role.PARTNER,
) -> Scenario:
    """One key by both ways, several only where that is possible."""
    fields: Mapping[str, Any] = {"key_type": key_type, "coordinator_keys": keys, "key": (*keys, "")[0]}
    return asks(Api.FIND_COORDINATOR, name, lambda _: fields, role, versions)


def describing(name: str, versions: tuple[int, int] = ALL_VERSIONS, **fields: Any) -> Scenario:
    return asks(Api.DESCRIBE_CLUSTER, name, lambda _: fields, versions=versions)


SCENARIOS = (
    finding("group", GROUP, ["some-group"]),
    finding("group-of-a-reader", GROUP, ["some-group"], role=Role.READER),
    finding("odd-group", GROUP, ["Ä group: of *?"]),
    finding("empty-group", GROUP, [""]),
    finding("groups", GROUP, ["one", "other", "one"], BATCHED),
    finding("groups-and-an-empty-one", GROUP, ["one", "", "other"], BATCHED),
    finding("nothing", GROUP, [], BATCHED),
    finding("transactional-id-of-a-reader", TRANSACTION, ["some-id"], TYPED, Role.READER),
    finding("transactional-ids-of-a-reader", TRANSACTION, ["some-id", "", "other"], BATCHED, Role.READER),
    finding("shared-state", SHARE, [SHARED_STATE], TYPED),
    finding("shared-states", SHARE, [SHARED_STATE, "", "x"], BATCHED),
    finding("unheard-of", UNHEARD_OF, ["some-key"], TYPED),
    describing("plain"),
    describing("operations", include_cluster_authorized_operations=True),
    describing("controllers", (1, 99), endpoint_type=2),
    describing("unheard-of", (1, 99), endpoint_type=7),
    describing("fenced", (2, 99), include_fenced_brokers=True),
)
