"""Positions that a transaction has committed and that its end will make visible.

Needed when one transaction commits into positions that several aliases share more than once: until its end the broker
doesn't show what the first commit has written. A memory of this process, and bounded; a commit whose predecessor is
forgotten is refused for the time being, never merged into what is out of date.
"""

from collections import OrderedDict
from typing import Final

from policies.positions import Position

MAX_TRANSACTIONS: Final = 10_000
"""Per zone; the least recently used are forgotten first."""

Transaction = tuple[str, int, int, str]
"""Transactional id, producer id and epoch, group."""

Partition = tuple[str, int]
"""Backing topic, index."""


class PendingCommits:
    """Transaction -> what it has committed so far."""

    __slots__ = ("_transactions",)

    def __init__(self) -> None:
        self._transactions: OrderedDict[Transaction, dict[Partition, Position]] = OrderedDict()

    def of(self, transaction: Transaction) -> dict[Partition, Position]:
        """To read and to fill."""
        found = self._transactions.setdefault(transaction, {})
        self._transactions.move_to_end(transaction)
        if len(self._transactions) > MAX_TRANSACTIONS:
            self._transactions.popitem(last=False)
        return found
