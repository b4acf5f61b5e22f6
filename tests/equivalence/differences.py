"""Where the gateway answers otherwise than Kafka on purpose. Each must occur, or its test fails."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from tests.equivalence.apis import Api
from tests.equivalence.normal import Plain
from tests.equivalence.scenario import ALL_VERSIONS, Scenario


@dataclass(frozen=True, slots=True)
class Difference:
    """In these scenarios of an API, fields that match have these two values."""

    api: Api
    scenarios: tuple[str, ...]
    field: str
    """A path with * for anything."""
    kafka: Plain
    ours: Plain
    reason: str
    versions: tuple[int, int] = ALL_VERSIONS

    def applies(self, scenario: Scenario, version: int) -> bool:
        in_versions = self.versions[0] <= version <= self.versions[1]
        return scenario.api == self.api and scenario.name in self.scenarios and in_versions

    def explains(self, path: str, kafka: Plain, ours: Plain) -> bool:
        return fnmatchcase(path, self.field) and (kafka, ours) == (self.kafka, self.ours)


DIFFERENCES: tuple[Difference, ...] = ()
