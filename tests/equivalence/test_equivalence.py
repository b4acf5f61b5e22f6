"""Every scenario, in every version: the gateway must answer as a Kafka with the same names and ACLs, and do the same.

Exceptions stand in `differences`, each with its reason, and must occur.
"""

from collections.abc import Iterator

import pytest

from proxy.apis.table import OFFERED
from tests.equivalence.apis import Api
from tests.equivalence.differences import DIFFERENCES, Difference
from tests.equivalence.normal import Normaliser, Plain, compare
from tests.equivalence.order import out_of_order
from tests.equivalence.scenario import Scenario
from tests.equivalence.scenarios import SCENARIOS
from tests.equivalence.side import Seat, Side
from tests.equivalence.stage import Stage

WITHOUT_SCENARIO = {
    Api.SASL_HANDSHAKE: "every connection begins with it",
    Api.API_VERSIONS: "the gateway's own answer, which differs on purpose",
    Api.SASL_AUTHENTICATE: "every connection begins with it",
}


def cases() -> Iterator[object]:
    for scenario in SCENARIOS:
        if all(api in OFFERED for api in (scenario.api, *scenario.needs)):
            first, last = OFFERED[scenario.api]
            for version in range(max(first, scenario.versions[0]), min(last, scenario.versions[1]) + 1):
                yield pytest.param(scenario, version, id=f"{scenario.api_name}-v{version}-{scenario.name}")


@pytest.mark.kafka
@pytest.mark.parametrize(("scenario", "version"), list(cases()))
def test_answers_as_kafka_does(stage: Stage, scenario: Scenario, version: int) -> None:
    if version > stage.kafka.ranges[scenario.api][1]:
        pytest.skip("this Kafka is older than the version")
    direct, expected = played(stage.kafka, scenario, version)
    through, got = played(stage.gateway, scenario, version)
    unexplained, unseen = judge(scenario, version, compare(expected, got))
    problems = [f"{path}: Kafka {kafka!r}, the gateway {ours!r}" for path, kafka, ours in unexplained]
    problems += [f"no longer differs: {difference}" for difference in unseen]
    problems += [wrong for asked in through.transcript if (wrong := out_of_order(*asked))]
    problems += map(str, stage.canaries.take_hits())
    assert not problems, "\n".join([*problems, *told(direct), *told(through)])


def played(side: Side, scenario: Scenario, version: int) -> tuple[Seat, Plain]:
    seat = Seat(side, scenario.role, scenario.name, scenario.api, version)
    return seat, Normaliser(seat).plain(scenario.play(seat))


def judge(
    scenario: Scenario, version: int, found: list[tuple[str, Plain, Plain]]
) -> tuple[list[tuple[str, Plain, Plain]], list[Difference]]:
    """What no listed difference explains, and which listed ones did not occur."""
    listed = [difference for difference in DIFFERENCES if difference.applies(scenario, version)]
    seen = set()
    unexplained = []
    for path, kafka, ours in found:
        explanation = next((each for each in listed if each.explains(path, kafka, ours)), None)
        if explanation is None:
            unexplained.append((path, kafka, ours))
        else:
            seen.add(explanation)
    return unexplained, [difference for difference in listed if difference not in seen]


def told(seat: Seat) -> list[str]:
    return [f"--- {seat.side.name}", *(f"> {request}\n< {answer}" for _, request, answer in seat.transcript)]


def test_every_offered_api_has_a_scenario() -> None:
    played_apis = {scenario.api for scenario in SCENARIOS}
    assert OFFERED.keys() - played_apis == WITHOUT_SCENARIO.keys()


def test_every_difference_belongs_to_a_scenario() -> None:
    """A difference of an API that is not offered yet counts, too."""
    idle = [
        difference
        for difference in DIFFERENCES
        if not any(difference.applies(scenario, version) for scenario in SCENARIOS for version in range(20))
    ]
    assert not idle
