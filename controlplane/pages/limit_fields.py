"""The fields of traffic control policies: each a switch, a number as people write it, and a unit."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from controlplane.pages.visits import Form

UNITS: Final[dict[str, int]] = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}

_AMOUNT: Final = re.compile(r"[0-9]{1,20}(\.[0-9]{1,10})?", re.ASCII)
_DECIMALS: Final = 3
"""Of a number that is shown: with more, a smaller unit is easier to read."""


@dataclass(frozen=True, slots=True)
class LimitKind:
    """One of the policies."""

    field: str
    """What the names of its fields begin with."""
    key: str
    """In a manifest."""
    label: str
    amount: str
    """What is proposed to who has none."""
    unit: str
    """Empty: it counts."""


LIMITS: Final = (
    LimitKind("produce", "maxProduceRate", "Produce rate", "1", "MiB"),
    LimitKind("consume", "maxConsumeRate", "Consume rate", "1", "MiB"),
    LimitKind("commit", "limitCommitOffset", "Commits of offsets", "600", ""),
)


@dataclass(frozen=True, slots=True)
class LimitField:
    """What is in the fields of one policy. The amount is kept while the switch is off."""

    kind: LimitKind
    is_on: bool
    amount: str
    unit: str

    @classmethod
    def read(cls, form: Form, kind: LimitKind) -> "LimitField":
        unit = form.get(f"{kind.field}Unit")
        known = unit in UNITS if kind.unit else unit == ""
        return cls(kind, form.has(f"{kind.field}On"), form.get(kind.field, kind.amount), unit if known else kind.unit)

    @classmethod
    def of(cls, kind: LimitKind, limit: int | None) -> "LimitField":
        if limit is None:
            return cls(kind, False, kind.amount, kind.unit)
        if not kind.unit:
            return cls(kind, True, str(limit), "")
        unit = next(unit for unit in reversed(UNITS) if UNITS[unit] == 1 or _is_short(limit, UNITS[unit]))
        return cls(kind, True, _plain(limit, UNITS[unit]), unit)

    @property
    def text(self) -> str:
        """For people."""
        if not self.is_on:
            return "no limit"
        return f"{self.amount} {self.unit}/s" if self.unit else f"{self.amount} per minute"

    def value(self) -> int | None:
        """None: no limit. Raises ValueError with what would be right; whether it is too small or large is for others
        to say."""
        if not self.is_on:
            return None
        if not _AMOUNT.fullmatch(self.amount):
            wrong = f"{self.amount!r} is not a number" if self.amount else "nothing is here"
            raise ValueError(f"{wrong}; write {'1.5' if self.unit else '600'}, for example, or switch the limit off")
        value = Decimal(self.amount) * UNITS.get(self.unit, 1)
        whole = int(value)
        if whole == value:
            return whole
        if not self.unit:
            raise ValueError("write a whole number")
        raise ValueError(f"{self.amount} {self.unit} are not whole bytes; the next number of them is {whole + 1} B")


def _is_short(limit: int, size: int) -> bool:
    return limit >= size and limit * 10**_DECIMALS % size == 0


def _plain(limit: int, size: int) -> str:
    """`1536 / 1024` as `1.5`. Decimal divides a number of 19 digits by a power of two exactly, as it has 28."""
    text = f"{Decimal(limit) / size:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
