"""Who may open one more connection: limits in all, per address and per zone, and a rate per address.

Pure: the clock is an argument, and nothing is logged. An IPv6 client owns a whole /64, which therefore counts as one
address. Memory is bounded: counts exist only for connections that do, and of the rates only so many are remembered.
"""

import enum
from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

MAX_RATES: Final = 65_536
"""Addresses whose rate is remembered; the least recently seen are forgotten first. About 200 bytes each."""

IPV6_PREFIX_BITS: Final = 64
"""What one subscriber is given at least (RFC 6177)."""


class Refusal(enum.Enum):
    """Why a connection is turned away."""

    IN_ALL = "in all"
    OF_ADDRESS = "of this address"
    RATE_OF_ADDRESS = "per second of this address"


@dataclass(frozen=True, slots=True, kw_only=True)
class Maximum:
    """How many connections there may be."""

    in_all: int
    per_address: int
    per_zone: int
    rate_per_address: float
    burst_per_address: int


def source_of(host: str) -> str:
    """What counts as one address; a text that is no address counts as itself."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> IPV6_PREFIX_BITS << IPV6_PREFIX_BITS)}/{IPV6_PREFIX_BITS}"


class ConnectionLimits:
    """Counts connections. Whoever was let in must leave once."""

    __slots__ = ("_in_all", "_maximum", "_of_address", "_of_zone", "_rates")

    def __init__(self, maximum: Maximum) -> None:
        self._maximum = maximum
        self._in_all = 0
        self._of_address: dict[str, int] = {}
        self._of_zone: dict[str, int] = {}
        self._rates: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Address -> connections that it may open at once, and when that was so."""

    def enter(self, source: str, now: float) -> Refusal | None:
        """Count one more connection of an address, or say why not."""
        if self._in_all >= self._maximum.in_all:
            return Refusal.IN_ALL
        if self._of_address.get(source, 0) >= self._maximum.per_address:
            return Refusal.OF_ADDRESS
        if not self._take_token(source, now):
            return Refusal.RATE_OF_ADDRESS
        self._in_all += 1
        self._of_address[source] = self._of_address.get(source, 0) + 1
        return None

    def leave(self, source: str) -> None:
        self._in_all -= 1
        _count_down(self._of_address, source)

    def enter_zone(self, zone: str) -> bool:
        """Count one more connection of a zone, unless it has all that it may have."""
        if self._of_zone.get(zone, 0) >= self._maximum.per_zone:
            return False
        self._of_zone[zone] = self._of_zone.get(zone, 0) + 1
        return True

    def leave_zone(self, zone: str) -> None:
        _count_down(self._of_zone, zone)

    def _take_token(self, source: str, now: float) -> bool:
        """A bucket that fills at the rate, up to the burst. One that isn't known is full."""
        burst = float(self._maximum.burst_per_address)
        tokens, since = self._rates.get(source, (burst, now))
        tokens = min(tokens + (now - since) * self._maximum.rate_per_address, burst)
        allowed = tokens >= 1
        self._rates[source] = (tokens - 1 if allowed else tokens, now)
        self._rates.move_to_end(source)
        if len(self._rates) > MAX_RATES:
            self._rates.popitem(last=False)
        return allowed


def _count_down(counts: dict[str, int], key: str) -> None:
    if counts[key] > 1:
        counts[key] -= 1
    else:
        del counts[key]
