"""What the members of consumer groups have subscribed to, under the names that they used.

Needed where a broker names only backing topics and several aliases may be meant (an assignment made by the
coordinator), and where the broker was told less than the client said (a regular expression, which is evaluated here).
It is a memory of this process and bounded: whoever needs an entry that is gone makes the client say it again.
"""

from dataclasses import dataclass
from typing import Final

from policies.subscriptions import Meaning
from proxy.remembered import Remembered

MAX_MEMBERS: Final = 50_000
"""Per zone; the least recently used are forgotten first. An entry is a few hundred bytes."""

ENTRY_BYTES: Final = 300
"""Of an entry, besides its texts."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """One member's subscription."""

    names: tuple[str, ...] = ()
    """The aliases that it named, sorted."""
    regex: str = ""
    """Its regular expression (KIP-848), empty for none."""
    told: Meaning | None = None
    """What the broker was told that this means (KIP-848); None when the member was asked to say it anew."""


def _size(key: tuple[str, str], subscription: Subscription) -> int:
    """Characters, and what objects take themselves."""
    told = subscription.told
    size = (
        ENTRY_BYTES + sum(map(len, key)) + len(subscription.regex) + sum(len(name) + 50 for name in subscription.names)
    )
    return size if told is None else size + len(told.memo)


class Subscriptions:
    """(group, member) -> subscription, under the client's own group ids."""

    __slots__ = ("_members",)

    def __init__(self) -> None:
        self._members: Remembered[tuple[str, str], Subscription] = Remembered(MAX_MEMBERS, _size)

    def find(self, group: str, member: str) -> Subscription | None:
        """What the member has subscribed to, None when it isn't known (any more)."""
        return self._members.find((group, member))

    def remember(self, group: str, member: str, subscription: Subscription) -> None:
        self._members.put((group, member), subscription)

    def forget(self, group: str, member: str) -> None:
        self._members.forget((group, member))
