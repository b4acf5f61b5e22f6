"""Durations and times as people write them."""

from datetime import UTC, datetime, timedelta

import pytest

from controlplane.times import format_time, format_unix_time, parse_duration, parse_time


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("90d", timedelta(days=90)),
        ("12h", timedelta(hours=12)),
        ("30m", timedelta(minutes=30)),
        ("45s", timedelta(seconds=45)),
        ("36500d", timedelta(days=36_500)),
        ("never", None),
    ],
)
def test_durations(text: str, duration: timedelta | None) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text", ["", "d", "90", "0d", "01d", "1.5h", "-1d", "1w", "1d12h", "Never", "9999999999d", "٣d"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"write for example|is too long"):
        parse_duration(text)


def test_times_are_in_utc() -> None:
    noon = datetime(2025, 1, 27, 12, tzinfo=UTC)
    for text in ("2025-01-27T12:00:00Z", "2025-01-27T14:00:00+02:00", "2025-01-27T12:00:00"):
        assert parse_time(text) == noon
        assert format_time(parse_time(text)) == "2025-01-27T12:00:00Z"
    assert format_unix_time(noon.timestamp()) == "2025-01-27T12:00:00Z"
