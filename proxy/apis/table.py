"""The one table that says what every Kafka API is: treatment, versions, permission, refusal, handler.

It is the source of ApiVersions, of what is let through and of `docs/api-coverage.md`: a key or version without a
handler here ends the connection, as a broker does. `docs/DESIGN.md` tells how to add an API.
"""

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Final

from proxy.apis import (
    cluster,
    commits,
    configs,
    consumer_groups,
    coordinator,
    fetch,
    group_admin,
    group_offsets,
    groups,
    metadata,
    offsets,
    produce,
    producers,
    refusals,
    topic_partitions,
    transaction_lists,
    transactions,
)
from proxy.apis.plan import ApiEntry, RequestPlan, Treatment, make_plan
from proxy.traffic import Kind

_REWRITE, _FILTER, _TERMINATE = Treatment.REWRITE, Treatment.FILTER, Treatment.TERMINATE
_DENY, _HIDE, _INTERNAL = Treatment.DENY, Treatment.HIDE, Treatment.INTERNAL

_SERVED: Final = (
    ApiEntry(0, _REWRITE, (3, 13), "WRITE", "29, 100 per partition; acks=0: connection closed", produce.handle,
             produce.on_bytes, produce.on_large_head, kind=Kind.PRODUCE),
    ApiEntry(1, _REWRITE, (4, 18), "READ", "29, 100 per partition; 70 for a session", fetch.handle, fetch.on_bytes,
             kind=Kind.CONSUME),
    ApiEntry(2, _REWRITE, (1, 11), "READ", "29 per partition", offsets.list_offsets),
    ApiEntry(3, _FILTER, (0, 13), "any alias", "29, 100 per topic", metadata.handle),
    ApiEntry(8, _REWRITE, (2, 10), "READ", "29, 100 per partition; 30, 24 on each", commits.commit,
             kind=Kind.COMMIT),
    ApiEntry(9, _REWRITE, (1, 10), "READ", "29, 100 per partition; 30, 24 per group", group_offsets.fetch),
    ApiEntry(10, _REWRITE, (0, 5), "any; WRITE for transactions", "53, 42, 24 per key", coordinator.handle),
    ApiEntry(11, _REWRITE, (0, 9), "any alias", "30, 24; 23 for a malformed subscription", groups.join),
    ApiEntry(12, _REWRITE, (0, 4), "any alias", "30, 24", groups.heartbeat),
    ApiEntry(13, _REWRITE, (0, 5), "any alias", "30, 24", groups.leave),
    ApiEntry(14, _REWRITE, (0, 5), "any alias", "30, 24; 23 for a malformed assignment", groups.sync),
    ApiEntry(15, _REWRITE, (0, 6), "any alias", "30, 24 per group", group_admin.describe),
    ApiEntry(16, _FILTER, (0, 5), "any alias", "none: an empty list", group_admin.list_groups),
    ApiEntry(17, _TERMINATE, (0, 1), "-", "33, 34"),
    ApiEntry(18, _TERMINATE, (0, 4), "-", "35, 42"),
    ApiEntry(22, _REWRITE, (0, 5), "WRITE", "31, 53, 42", producers.handle),
    ApiEntry(23, _REWRITE, (2, 4), "READ", "29 per partition", offsets.offset_for_leader_epoch),
    ApiEntry(24, _REWRITE, (0, 3), "WRITE", "29, 3, 55 per partition, all or nothing; 53, 42 on each",
             transactions.add_partitions),
    ApiEntry(25, _REWRITE, (0, 4), "WRITE of any alias", "53, 42, 24", transactions.add_offsets),
    ApiEntry(26, _REWRITE, (0, 5), "WRITE of any alias", "53, 42", transactions.end),
    ApiEntry(28, _REWRITE, (0, 5), "READ, and WRITE of any alias", "29 per partition; 53, 42, 30, 24 on each",
             commits.commit_in_transaction, kind=Kind.COMMIT),
    ApiEntry(32, _REWRITE, (1, 4), "READ", "29, 31, 42 per resource", configs.handle),
    ApiEntry(36, _TERMINATE, (0, 2), "-", "58, 34"),
    ApiEntry(42, _REWRITE, (0, 2), "any alias", "30, 24 per group", group_admin.delete),
    ApiEntry(47, _REWRITE, (0, 0), "READ", "29 per partition; 30, 24 of the group", group_offsets.delete),
    ApiEntry(60, _REWRITE, (0, 2), "any", "114, 115", cluster.handle),
    ApiEntry(65, _REWRITE, (0, 0), "WRITE", "53, 42 per id", transaction_lists.describe),
    ApiEntry(66, _FILTER, (0, 2), "WRITE", "empty list; 128", transaction_lists.list_own),
    ApiEntry(68, _REWRITE, (0, 1), "READ", "29, 30, 24, 42, 128", consumer_groups.heartbeat),
    ApiEntry(69, _REWRITE, (0, 1), "any alias", "30, 24 per group", consumer_groups.describe),
    ApiEntry(75, _FILTER, (0, 0), "any alias", "29 per topic; 42", topic_partitions.handle),
)  # fmt: skip

_REFUSED: Final = tuple(
    ApiEntry(key, treatment, versions, "-", refusal, refusals.ANSWERS[key])
    for key, treatment, versions, refusal in (
        (19, _DENY, (2, 7), "29 per topic; 42 for a repeated one"),
        (20, _DENY, (1, 6), "29, 100 per topic; 42 for a repeated one"),
        (21, _DENY, (0, 2), "29 per partition"),
        (27, _HIDE, (1, 2), "31 per partition"),
        (29, _DENY, (1, 3), "31"),
        (30, _DENY, (1, 3), "31 per ACL"),
        (31, _DENY, (1, 3), "31 per filter"),
        (33, _DENY, (0, 2), "29, 30, 31 per resource; 42 for a repeated or unknown one"),
        (34, _HIDE, (1, 2), "31 per partition"),
        (35, _DENY, (1, 5), "31; before version 3 an empty list"),
        (37, _DENY, (0, 3), "29 per topic; 42 for a repeated one"),
        (38, _HIDE, (1, 3), "64"),
        (39, _HIDE, (1, 2), "64"),
        (40, _HIDE, (1, 2), "64"),
        (41, _HIDE, (1, 3), "64"),
        (43, _DENY, (0, 2), "31 per partition; from version 1 for the whole, too"),
        (44, _DENY, (0, 1), "29, 30, 31 per resource; 42 for a repeated or unknown one"),
        (45, _DENY, (0, 1), "31 for the whole and per partition"),
        (46, _DENY, (0, 0), "31"),
        (48, _DENY, (0, 1), "31"),
        (49, _DENY, (0, 1), "31 per entity"),
        (50, _DENY, (0, 0), "31"),
        (51, _DENY, (0, 0), "31 per user"),
        (55, _HIDE, (0, 2), "31"),
        (57, _HIDE, (0, 2), "31"),
        (61, _DENY, (0, 0), "29 per partition"),
        (64, _HIDE, (0, 0), "31"),
        (71, _HIDE, (0, 0), "35"),
        (72, _HIDE, (0, 0), "35"),
        (74, _HIDE, (0, 1), "31"),
        (76, _HIDE, (1, 1), "35"),
        (77, _HIDE, (1, 1), "35 per group"),
        (78, _HIDE, (1, 2), "35"),
        (79, _HIDE, (1, 2), "35"),
        (80, _HIDE, (0, 1), "31"),
        (81, _HIDE, (0, 0), "31"),
        (88, _HIDE, (0, 0), "35"),
        (89, _HIDE, (0, 0), "35 per group"),
        (90, _HIDE, (0, 1), "35 per group"),
        (91, _HIDE, (0, 0), "35"),
        (92, _HIDE, (0, 0), "35"),
    )
)

_BETWEEN_BROKERS: Final = (52, 53, 54, 56, 58, 59, 62, 63, 67, 70, 73, 82, 83, 84, 85, 86, 87)

TABLE: Final[Mapping[int, ApiEntry]] = {
    entry.key: entry
    for entry in (
        *_SERVED,
        *_REFUSED,
        *(ApiEntry(key, _INTERNAL) for key in _BETWEEN_BROKERS),
    )
}

OFFERED: Final[Mapping[int, tuple[int, int]]] = {
    entry.key: entry.versions for entry in TABLE.values() if entry.offered and entry.versions is not None
}
"""API key -> versions that ApiVersions names; what a client sees is the part of it that its broker has, too."""


@cache
def all_plans() -> dict[int, RequestPlan]:
    """key << 16 | version -> plan, of everything that a handler takes."""
    return {
        entry.key << 16 | version: make_plan(entry, version)
        for entry in TABLE.values()
        if entry.handler is not None and entry.versions is not None
        for version in range(entry.versions[0], entry.versions[1] + 1)
    }


def plans_for(broker: Mapping[int, tuple[int, int]]) -> dict[int, RequestPlan]:
    """The plans for a broker with these version ranges; brokers that are alike share them."""
    return _plans_within(frozenset(broker.items()))


@lru_cache(maxsize=32)
def _plans_within(ranges: frozenset[tuple[int, tuple[int, int]]]) -> dict[int, RequestPlan]:
    broker = dict(ranges)
    return {
        number: plan
        for number, plan in all_plans().items()
        if not plan.entry.offered or (plan.key in broker and broker[plan.key][0] <= plan.version <= broker[plan.key][1])
    }
