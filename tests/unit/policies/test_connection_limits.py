"""Connections in all, per address and zone, and their rate; the clock is given."""

from dataclasses import replace

import pytest

from policies import connection_limits
from policies.connection_limits import ConnectionLimits, Maximum, Refusal, source_of

WIDE = Maximum(in_all=1000, per_address=1000, per_zone=1000, rate_per_address=1000.0, burst_per_address=1000)
ADDRESS, OTHER = "192.0.2.1", "192.0.2.2"


def test_in_all() -> None:
    limits = ConnectionLimits(replace(WIDE, in_all=2))
    assert limits.enter(ADDRESS, 0) is None
    assert limits.enter(OTHER, 0) is None
    assert limits.enter("192.0.2.3", 0) is Refusal.IN_ALL
    limits.leave(ADDRESS)
    assert limits.enter("192.0.2.3", 0) is None


def test_of_one_address() -> None:
    limits = ConnectionLimits(replace(WIDE, per_address=2))
    assert [limits.enter(ADDRESS, 0) for _ in range(3)] == [None, None, Refusal.OF_ADDRESS]
    assert limits.enter(OTHER, 0) is None
    limits.leave(ADDRESS)
    assert limits.enter(ADDRESS, 0) is None


def test_a_burst_and_then_a_rate() -> None:
    limits = ConnectionLimits(replace(WIDE, rate_per_address=2.0, burst_per_address=3))
    assert [limits.enter(ADDRESS, 10.0) for _ in range(4)] == [None, None, None, Refusal.RATE_OF_ADDRESS]
    assert limits.enter(OTHER, 10.0) is None
    assert limits.enter(ADDRESS, 10.4) is Refusal.RATE_OF_ADDRESS
    assert limits.enter(ADDRESS, 10.5) is None
    assert limits.enter(ADDRESS, 10.5) is Refusal.RATE_OF_ADDRESS
    assert [limits.enter(ADDRESS, 99.0) for _ in range(4)] == [None, None, None, Refusal.RATE_OF_ADDRESS]


def test_who_is_refused_is_not_counted() -> None:
    limits = ConnectionLimits(replace(WIDE, rate_per_address=1.0, burst_per_address=1, in_all=2))
    assert limits.enter(ADDRESS, 0) is None
    assert limits.enter(ADDRESS, 0) is Refusal.RATE_OF_ADDRESS
    assert limits.enter(OTHER, 0) is None
    assert limits.enter("192.0.2.3", 0) is Refusal.IN_ALL
    limits.leave(OTHER)
    assert limits.enter("192.0.2.3", 0) is None


def test_of_one_zone() -> None:
    limits = ConnectionLimits(replace(WIDE, per_zone=1))
    assert limits.enter_zone("a")
    assert not limits.enter_zone("a")
    assert limits.enter_zone("b")
    limits.leave_zone("a")
    assert limits.enter_zone("a")


def test_the_tables_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "MAX_RATES", 3)
    limits = ConnectionLimits(replace(WIDE, rate_per_address=1.0, burst_per_address=1))
    for number in range(10):
        assert limits.enter(f"192.0.2.{number}", 0) is None
        limits.leave(f"192.0.2.{number}")
    assert len(limits._rates) == 3
    assert not limits._of_address
    assert limits.enter("192.0.2.9", 0) is Refusal.RATE_OF_ADDRESS
    assert limits.enter("192.0.2.0", 0) is None, "forgotten means allowed"


@pytest.mark.parametrize(
    ("host", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("no address", "no address"),
    ],
)
def test_what_counts_as_one_address(host: str, source: str) -> None:
    assert source_of(host) == source
