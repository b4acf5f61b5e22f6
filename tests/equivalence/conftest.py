"""The stage, once for all scenarios."""

from collections.abc import Iterator

import pytest

from tests.equivalence.stage import Stage, open_stage
from tests.kafka import MissingRequirement


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    opened = open_stage()
    try:
        stage = opened.__enter__()
    except MissingRequirement as missing:
        pytest.skip(str(missing))
    try:
        yield stage
    finally:
        opened.__exit__(None, None, None)
