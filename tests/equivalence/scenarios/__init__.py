"""All scenarios, a module for each family of APIs."""

from tests.equivalence.scenario import Scenario
from tests.equivalence.scenarios import (
    cluster,
    configs,
    consumer_groups,
    fetch,
    group_admin,
    groups,
    metadata,
    offsets,
    positions,
    produce,
    producers,
    refusals,
    topic_partitions,
    transaction_admin,
    transactions,
)

SCENARIOS: tuple[Scenario, ...] = (
    *produce.SCENARIOS,
    *fetch.SCENARIOS,
    *offsets.SCENARIOS,
    *metadata.SCENARIOS,
    *positions.SCENARIOS,
    *cluster.SCENARIOS,
    *groups.SCENARIOS,
    *group_admin.SCENARIOS,
    *consumer_groups.SCENARIOS,
    *topic_partitions.SCENARIOS,
    *producers.SCENARIOS,
    *transactions.SCENARIOS,
    *transaction_admin.SCENARIOS,
    *configs.SCENARIOS,
    *refusals.SCENARIOS,
)
