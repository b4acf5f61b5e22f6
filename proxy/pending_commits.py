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

Transaction = tuple[int, int, str]
"""Producer id and epoch, group. Since transactions v2 each transaction has an epoch of its own, before it had none."""

Partition = tuple[str, int]
"""Backing topic, index."""


class PendingCommits:
    """Transactional id -> what its transaction has committed so far."""

    __slots__ = ("_transactions",)

    def __init__(self) -> None:
        self._transactions: OrderedDict[str, dict[Transaction, dict[Partition, Position]]] = OrderedDict()

    def of(self, transactional_id: str, transaction: Transaction) -> dict[Partition, Position]:
        """To read and to fill."""
        known = self._transactions.setdefault(transactional_id, {})
        self._transactions.move_to_end(transactional_id)
        if len(self._transactions) > MAX_TRANSACTIONS:
            self._transactions.popitem(last=False)
        # a producer with a newer epoch has fenced all others
        for older in [each for each in known if each[:2] != transaction[:2]]:
            del known[older]
        return known.setdefault(transaction, {})

    def forget(self, transactional_id: str) -> None:
        """The transaction is ending."""
        self._transactions.pop(transactional_id, None)
