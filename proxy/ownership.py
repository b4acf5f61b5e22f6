"""Which members of consumer groups commit their backing partitions alone.

Two aliases of a backing partition have one committed offset upstream. Where both belong to one member, nobody else
commits that partition in this generation: the broker refuses commits of any other. Where they belong to two members,
these may commit through two gateways at once, and such commits take more care (`proxy.apis.commits`).

A memory of this process, and bounded; whoever isn't known here is taken for one of two.
"""

from collections import OrderedDict
from typing import Final

MAX_MEMBERS: Final = 50_000
"""Per zone; the least recently used are forgotten first. An entry is about two hundred bytes."""

EVERY_GENERATION: Final = None
"""Of a member of a KIP-848 group: the coordinator itself gives a backing partition to one member at a time."""


class SoleOwners:
    """(group, member) -> the generation in which it commits alone, under the client's own group ids."""

    __slots__ = ("_members",)

    def __init__(self) -> None:
        self._members: OrderedDict[tuple[str, str], int | None] = OrderedDict()

    def remember(self, group: str, member: str, generation: int | None) -> None:
        self._members[group, member] = generation
        self._members.move_to_end((group, member))
        if len(self._members) > MAX_MEMBERS:
            self._members.popitem(last=False)

    def forget(self, group: str, member: str) -> None:
        self._members.pop((group, member), None)

    def covers(self, group: str, member: str, generation: int) -> bool:
        """True when nobody else can commit this member's backing partitions in this generation."""
        known = self._members.get((group, member), -1)
        return known is EVERY_GENERATION or (known == generation and generation >= 0)
