"""All scenarios, a module for each family of APIs."""

from tests.equivalence.scenario import Scenario
from tests.equivalence.scenarios import (
    cluster,
    configs,
    fetch,
    groups,
    metadata,
    offsets,
    positions,
    produce,
)

SCENARIOS: tuple[Scenario, ...] = (
    *produce.SCENARIOS,
    *fetch.SCENARIOS,
    *offsets.SCENARIOS,
    *metadata.SCENARIOS,
    *positions.SCENARIOS,
    *cluster.SCENARIOS,
    *groups.SCENARIOS,
    *configs.SCENARIOS,
)
