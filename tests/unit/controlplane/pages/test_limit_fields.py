"""The fields of traffic control policies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.pages.limit_fields import LIMITS, LimitField
from controlplane.pages.visits import Form
from controlplane.partner_zone import MAX_LIMIT

PRODUCE, _, COMMIT = LIMITS


def _sent(amount: str, unit: str = "MiB") -> LimitField:
    return LimitField.read(Form([("produceOn", "on"), ("produce", amount), ("produceUnit", unit)]), PRODUCE)


@given(st.integers(1, MAX_LIMIT))
def test_every_limit_is_shown_so_that_it_reads_back(limit: int) -> None:
    for kind in LIMITS:
        shown = LimitField.of(kind, limit)
        sent = [(f"{kind.field}On", "on"), (kind.field, shown.amount), (f"{kind.field}Unit", shown.unit)]
        assert LimitField.read(Form(sent), kind).value() == limit


@pytest.mark.parametrize(
    ("limit", "amount", "unit"),
    [(1, "1", "B"), (1023, "1023", "B"), (1536, "1.5", "KiB"), (1_000_000, "1000000", "B"), (5 * 2**30, "5", "GiB")],
)
def test_units_are_those_that_read_best(limit: int, amount: str, unit: str) -> None:
    shown = LimitField.of(PRODUCE, limit)
    assert (shown.amount, shown.unit) == (amount, unit)


def test_decimals_are_fine_where_they_make_whole_bytes() -> None:
    assert _sent("1.5").value() == 3 * 2**19
    assert _sent("0.5", "KiB").value() == 512
    with pytest.raises(ValueError, match="not whole bytes; the next number of them is 104858 B"):
        _sent("0.1").value()


@pytest.mark.parametrize("amount", ["", "a", "-1", "1e3", "1,5", "٣", "1.", "9" * 30, "NaN"])
def test_what_is_no_number_is_said_to_be_none(amount: str) -> None:
    with pytest.raises(ValueError, match=r"write 1\.5, for example, or switch the limit off"):
        _sent(amount).value()


def test_commits_are_counted_whole() -> None:
    sent = LimitField.read(Form([("commitOn", "on"), ("commit", "1.5"), ("commitUnit", "MiB")]), COMMIT)
    with pytest.raises(ValueError, match="whole number"):
        sent.value()


def test_a_limit_that_is_switched_off_keeps_its_amount() -> None:
    off = LimitField.read(Form([("produce", "7"), ("produceUnit", "GiB")]), PRODUCE)
    assert off.value() is None and (off.amount, off.unit) == ("7", "GiB")
    assert LimitField.of(PRODUCE, None).amount == PRODUCE.amount
