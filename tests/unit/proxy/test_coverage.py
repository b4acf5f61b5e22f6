"""The page about every API: current, complete, and without unexplained gaps."""

from pathlib import Path

import pytest

from protocol.schema import known_versions
from proxy.apis.coverage import NAMES_BEYOND, NOTES, api_name, page
from proxy.apis.plan import Treatment
from proxy.apis.table import TABLE

PAGE = Path(__file__).parents[3] / "docs" / "api-coverage.md"
LAST_KEY = 94
"""Of Kafka 4.4."""


def rows() -> list[list[str]]:
    cells = [line.strip("|").split("|") for line in page().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in cells]


def test_the_page_is_current() -> None:
    current = PAGE.read_text(encoding="utf-8") == page()
    assert current, "docs/api-coverage.md does not say what the table says: run `make api-coverage`"


def test_every_key_has_one_row() -> None:
    listed = [(int(row[0]), row[1]) for row in rows() if row[0].isdecimal() and not row[1].startswith("`")]
    assert sorted(listed) == [(key, api_name(key)) for key in range(LAST_KEY + 1)]
    assert sorted({*TABLE} | {*NAMES_BEYOND}) == list(range(LAST_KEY + 1))


@pytest.mark.parametrize(("key", "name"), [(0, "Produce"), (34, "AlterReplicaLogDirs"), (24, "AddPartitionsToTxn")])
def test_apis_are_called_what_kafka_calls_them(key: int, name: str) -> None:
    assert api_name(key) == name


@pytest.mark.parametrize("key", sorted(key for key, entry in TABLE.items() if entry.versions is not None))
def test_a_reason_is_given_where_versions_are_left_out_and_where_nothing_is_served(key: int) -> None:
    entry = TABLE[key]
    assert entry.versions is not None
    complete = entry.versions == known_versions(key)
    if not complete or entry.treatment in (Treatment.DENY, Treatment.HIDE):
        assert NOTES[key]
