"""Which members of consumer groups commit their backing partitions alone.

Two aliases of a backing partition have one committed offset upstream. Where both belong to one member, nobody else
commits that partition in this generation: the broker refuses commits of any other. Where they belong to two members,
these may commit through two gateways at once, and such commits take more care (`proxy.apis.commits`).

A memory of this process, and bounded; whoever isn't known here is taken for one of two.
"""

from typing import Final

from proxy.remembered import Remembered

MAX_MEMBERS: Final = 50_000
"""Per zone; the least recently used are forgotten first. An entry is about two hundred bytes."""

EVERY_GENERATION: Final = None
"""Of a member of a KIP-848 group: the coordinator itself gives a backing partition to one member at a time."""


ENTRY_BYTES: Final = 200
"""Of an entry, besides its ids."""


class SoleOwners:
    """(group, member) -> the generation in which it commits alone, under the client's own group ids."""

    __slots__ = ("_members",)

    def __init__(self) -> None:
        self._members: Remembered[tuple[str, str], tuple[int | None]] = Remembered(
            MAX_MEMBERS, lambda key, _: ENTRY_BYTES + sum(map(len, key))
        )

    def remember(self, group: str, member: str, generation: int | None) -> None:
        self._members.put((group, member), (generation,))

    def forget(self, group: str, member: str) -> None:
        self._members.forget((group, member))

    def covers(self, group: str, member: str, generation: int) -> bool:
        """True when nobody else can commit this member's backing partitions in this generation."""
        found = self._members.find((group, member))
        return found is not None and (found[0] is EVERY_GENERATION or (found[0] == generation and generation >= 0))
