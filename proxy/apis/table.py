"""The one table that says what every Kafka API is: treatment, versions, permission, refusal, handler.

It is the source of ApiVersions and of what is let through: a key or version that isn't offered here ends the
connection, as a broker does. `docs/DESIGN.md` tells how to add an API.
"""

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Final

from proxy.apis import (
    cluster,
    configs,
    consumer_groups,
    coordinator,
    fetch,
    group_offsets,
    groups,
    metadata,
    offsets,
    produce,
    producers,
    topic_partitions,
)
from proxy.apis.plan import ApiEntry, RequestPlan, Treatment, make_plan

_REWRITE, _FILTER, _TERMINATE = Treatment.REWRITE, Treatment.FILTER, Treatment.TERMINATE
_DENY, _HIDE, _INTERNAL = Treatment.DENY, Treatment.HIDE, Treatment.INTERNAL

_SERVED: Final = (
    ApiEntry(0, _REWRITE, (3, 13), "WRITE", "29, 100 per partition; acks=0: connection closed", produce.handle,
             produce.on_bytes, produce.on_large_head),
    ApiEntry(1, _REWRITE, (4, 18), "READ", "29, 100 per partition; 70 for a session", fetch.handle, fetch.on_bytes),
    ApiEntry(2, _REWRITE, (1, 11), "READ", "29 per partition", offsets.list_offsets),
    ApiEntry(3, _FILTER, (0, 13), "any alias", "29, 100 per topic", metadata.handle),
    ApiEntry(8, _REWRITE, (2, 10), "READ", "29, 100, 24 per partition", group_offsets.commit),
    ApiEntry(9, _REWRITE, (1, 10), "READ", "29, 100 per partition; 24 per group", group_offsets.fetch),
    ApiEntry(10, _REWRITE, (0, 5), "any", "24, 53, 42 per key", coordinator.handle),
    ApiEntry(11, _REWRITE, (0, 9), "any", "24", groups.handle),
    ApiEntry(12, _REWRITE, (0, 4), "any", "24", groups.handle),
    ApiEntry(13, _REWRITE, (0, 5), "any", "24", groups.handle),
    ApiEntry(14, _REWRITE, (0, 5), "any", "24", groups.handle),
    ApiEntry(17, _TERMINATE, (0, 1), "-", "33, 34"),
    ApiEntry(18, _TERMINATE, (0, 4), "-", "35, 42"),
    ApiEntry(22, _REWRITE, (0, 5), "WRITE", "31, 53, 42", producers.handle),
    ApiEntry(23, _REWRITE, (2, 4), "READ", "29 per partition", offsets.offset_for_leader_epoch),
    ApiEntry(32, _REWRITE, (1, 4), "READ", "29, 31, 42 per resource", configs.handle),
    ApiEntry(36, _TERMINATE, (0, 2), "-", "58, 34"),
    ApiEntry(60, _REWRITE, (0, 2), "any", "114, 115", cluster.handle),
    ApiEntry(68, _REWRITE, (0, 1), "READ", "29, 30, 42, 128", consumer_groups.heartbeat),
    ApiEntry(69, _REWRITE, (0, 1), "any", "24 per group", consumer_groups.describe),
    ApiEntry(75, _FILTER, (0, 0), "any alias", "29 per topic; 42", topic_partitions.handle),
)  # fmt: skip

# Not offered by this version: a request for one of them ends the connection, as with any API that isn't advertised.
_DENIED: Final = (19, 20, 21, 29, 30, 31, 33, 35, 37, 43, 44, 45, 46, 48, 49, 50, 51, 61)
_HIDDEN: Final = (
    15, 16, 24, 25, 26, 27, 28, 34, 38, 39, 40, 41, 42, 47, 55, 57, 64, 65, 66, 71, 72, 74, 76, 77, 78, 79,
    80, 81, 88, 89, 90, 91, 92,
)  # fmt: skip
_BETWEEN_BROKERS: Final = (52, 53, 54, 56, 58, 59, 62, 63, 67, 70, 73, 82, 83, 84, 85, 86, 87)

TABLE: Final[Mapping[int, ApiEntry]] = {
    entry.key: entry
    for entry in (
        *_SERVED,
        *(ApiEntry(key, _DENY) for key in _DENIED),
        *(ApiEntry(key, _HIDE) for key in _HIDDEN),
        *(ApiEntry(key, _INTERNAL) for key in _BETWEEN_BROKERS),
    )
}

OFFERED: Final[Mapping[int, tuple[int, int]]] = {
    entry.key: entry.versions for entry in TABLE.values() if entry.versions is not None
}
"""API key -> versions that we understand; what a client sees is the part of it that its broker has, too."""


@cache
def all_plans() -> dict[int, RequestPlan]:
    """key << 16 | version -> plan, of everything that a handler takes."""
    return {
        entry.key << 16 | version: make_plan(entry, version)
        for entry in _SERVED
        if entry.handler is not None and entry.versions is not None
        for version in range(entry.versions[0], entry.versions[1] + 1)
    }


def plans_for(broker: Mapping[int, tuple[int, int]]) -> dict[int, RequestPlan]:
    """The plans that a broker with these version ranges can serve; brokers that are alike share them."""
    return _plans_within(frozenset(broker.items()))


@lru_cache(maxsize=32)
def _plans_within(ranges: frozenset[tuple[int, tuple[int, int]]]) -> dict[int, RequestPlan]:
    broker = dict(ranges)
    return {
        number: plan
        for number, plan in all_plans().items()
        if plan.key in broker and broker[plan.key][0] <= plan.version <= broker[plan.key][1]
    }
