"""Records are counted as an encoder made them, whole or in pieces, and nothing that a peer sends is too much."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.record_batches import RecordCounter, count_records
from tests.unit.protocol.batches import ENTRIES, GZIP, Entries, batch, control_batch, message_set, no_batch


def in_pieces(data: bytes, cuts: list[int]) -> int:
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    counter = RecordCounter(len(data))
    return sum(counter.feed(data, start, stop) for start, stop in pairwise(bounds))


CUTS = st.lists(st.integers(0, 2000), max_size=12)


@given(st.lists(ENTRIES, max_size=8), CUTS)
def test_what_an_encoder_made_is_counted_at_any_cut(entries: Entries, cuts: list[int]) -> None:
    data = b"".join(raw for raw, _ in entries)
    expected = sum(records for _, records in entries)
    assert count_records(data, 0, len(data)) == expected
    assert in_pieces(data, cuts) == expected


@given(st.lists(ENTRIES, max_size=4), st.binary(max_size=200), st.integers(0, 1 << 16), CUTS)
def test_pieces_are_counted_as_the_whole_is_whatever_they_are(
    entries: Entries, garbage: bytes, end: int, cuts: list[int]
) -> None:
    data = (b"".join(raw for raw, _ in entries) + garbage)[:end]
    whole = count_records(data, 0, len(data))
    assert whole >= 0
    assert in_pieces(data, cuts) == whole


@settings(max_examples=30)
@given(st.lists(ENTRIES, min_size=1, max_size=3))
def test_one_byte_at_a_time(entries: Entries) -> None:
    data = b"".join(raw for raw, _ in entries)
    assert in_pieces(data, list(range(len(data)))) == sum(records for _, records in entries)


@pytest.mark.parametrize("last", [batch(1), batch(300, GZIP), message_set(0, 1), message_set(1, 1)])
def test_a_batch_that_is_cut_off_does_not_count(last: bytes) -> None:
    for cut in range(len(last)):
        data = batch(7) + last[:cut]
        assert count_records(data, 0, len(data)) == 7
        assert in_pieces(data, [len(data) - cut, len(data) - cut // 2]) == 7


def test_only_the_span_is_counted() -> None:
    data = batch(3) + batch(4) + batch(5)
    start, end = len(batch(3)), len(batch(3) + batch(4))
    assert count_records(data, start, end) == 4
    assert count_records(data, start, end - 1) == 0, "a batch that ends behind the span"
    assert count_records(data, start, start) == 0


def test_bytes_behind_the_span_are_ignored() -> None:
    data = batch(3) + batch(4)
    counter = RecordCounter(len(batch(3)))
    assert counter.feed(data, 0, 20) == 0
    before = counter.done
    assert counter.feed(data, 20, len(data)) == 3
    assert (before, counter.done) == (False, True)
    assert counter.feed(data, 0, len(data)) == 0


def test_after_the_last_header_there_is_nothing_more_to_count() -> None:
    data = batch(1000)
    counter = RecordCounter(len(data))
    assert counter.feed(data, 0, 61) == 1000
    assert counter.done


@pytest.mark.parametrize("records", [control_batch(), batch(0)])
def test_what_holds_no_records_of_clients(records: bytes) -> None:
    data = records + batch(2, GZIP) + records
    assert count_records(data, 0, len(data)) == 2


def test_a_compressed_message_set_counts_once() -> None:
    data = message_set(1, 50, GZIP)
    assert count_records(data, 0, len(data)) == 1


@pytest.mark.parametrize("magic", [-1, 0, 1, 2, 3, 127])
@pytest.mark.parametrize("length", [-(1 << 31), -62, -61, -13, -12, -1, 0, 13, 48, (1 << 31) - 1])
def test_impossible_lengths_end_the_count(magic: int, length: int) -> None:
    short_message = magic in (0, 1) and length == 48
    data = batch(6) + no_batch(length, magic) + batch(9)
    expected = 7 if short_message else 6
    assert count_records(data, 0, len(data)) == expected
    assert in_pieces(data, [len(batch(6)) + 5, len(batch(6)) + 30]) == expected


def test_a_negative_number_of_records_counts_nothing() -> None:
    hostile = bytearray(batch(5))
    hostile[57] = 0x80
    data = batch(2) + bytes(hostile) + batch(3)
    assert count_records(data, 0, len(data)) == 2
    assert count_records(bytes(hostile), 0, len(hostile)) == 0
