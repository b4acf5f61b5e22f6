"""Times and durations as people write them."""

import re
from datetime import UTC, datetime, timedelta

NEVER = "never"
MAX_DURATION = timedelta(days=36_500)

_DURATION = re.compile(r"([1-9][0-9]{0,8})([smhd])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_duration(text: str) -> timedelta | None:
    """`90d`, `12h`, `30m`, `45s`; None for `never`. Raises ValueError with what would be right."""
    if text == NEVER:
        return None
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration; write for example 90d, 12h, 30m, 45s, or never")
    duration = timedelta(**{_UNITS[match[2]]: int(match[1])})
    if duration > MAX_DURATION:
        raise ValueError(f"{text} is too long; use at most {MAX_DURATION.days}d, or never")
    return duration


def parse_time(text: str) -> datetime:
    """An ISO time; one without a zone is in UTC. Raises ValueError."""
    time = datetime.fromisoformat(text)
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def format_time(time: datetime) -> str:
    """To the second, as in `2025-01-27T12:55:05Z`."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_unix_time(seconds: float) -> str:
    return format_time(datetime.fromtimestamp(seconds, UTC))
