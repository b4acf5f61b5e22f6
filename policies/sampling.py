"""Which of many like events get a line of their own, and how the others are counted.

The first of a kind is told at once. Whatever follows is counted, and told once per window while it goes on: so a flood
makes one line per kind and window, and an event that stands alone is never late. Nothing is left out silently: the
counts of all samples add up to what was noted.

Kinds may be made up by clients (a topic's name), so their number is bounded, in all and within a group; what is beyond
is told of its group as a whole. The number of groups is not bounded here: they must come from a fixed set.
"""

from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

G = TypeVar("G", bound=Hashable)
E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Sample(Generic[E]):
    """One line's worth of events."""

    latest: E
    count: int
    since: float
    """When the first of them was noted."""
    mixed: bool
    """True when these are of several kinds of one group: `latest` is but an example."""


@dataclass(slots=True)
class _Kind(Generic[E]):
    """A kind that was told in this window. With `count`, there is more to tell."""

    told: float
    count: int = 0
    since: float = 0.0
    latest: E | None = None

    def add(self, event: E, count: int, now: float) -> None:
        if not self.count:
            self.since = now
        self.count += count
        self.latest = event

    def take(self, now: float, mixed: bool) -> Sample[E]:
        assert self.latest is not None
        sample = Sample(self.latest, self.count, self.since, mixed)
        self.told, self.count, self.latest = now, 0, None
        return sample


class Sampler(Generic[G, E]):
    """`note` what happens, and ask for what is `due` now and then. The clock must not go backwards."""

    def __init__(self, window: float, max_kinds: int, max_kinds_per_group: int) -> None:
        self._window = window
        self._max_kinds = max_kinds
        self._max_kinds_per_group = max_kinds_per_group
        self._kinds: OrderedDict[tuple[G, Hashable], _Kind[E]] = OrderedDict()
        """In the order in which they were told last. A group as a whole has None in place of a kind."""
        self._group_sizes: Counter[G] = Counter()

    def note(self, group: G, kind: Hashable, event: E, count: int, now: float) -> Sample[E] | None:
        """What to tell at once. `kind` is not None."""
        name = (group, kind)
        known = self._kinds.get(name)
        if known is None and not self._has_room(group):
            name = (group, None)
            known = self._kinds.get(name)
        mixed = name[1] is None
        if known is None:
            self._kinds[name] = _Kind(now)
            self._group_sizes[group] += not mixed
            return Sample(event, count, now, mixed)
        known.add(event, count, now)
        if now - known.told < self._window:
            return None
        self._kinds.move_to_end(name)
        return known.take(now, mixed)

    def due(self, now: float) -> Iterator[Sample[E]]:
        """What was counted, of each kind that was told a window ago; kinds that have gone quiet are forgotten."""
        while self._kinds:
            name = next(iter(self._kinds))
            kind = self._kinds[name]
            if now - kind.told < self._window:
                return
            if kind.count:
                self._kinds.move_to_end(name)
                yield kind.take(now, name[1] is None)
            else:
                self._forget(name)

    def rest(self, now: float) -> Iterator[Sample[E]]:
        """All that is counted and not told yet."""
        for name, kind in self._kinds.items():
            if kind.count:
                yield kind.take(now, name[1] is None)

    def _has_room(self, group: G) -> bool:
        return len(self._kinds) < self._max_kinds and self._group_sizes[group] < self._max_kinds_per_group

    def _forget(self, name: tuple[G, Hashable]) -> None:
        del self._kinds[name]
        if name[1] is not None:
            self._group_sizes[name[0]] -= 1
            if not self._group_sizes[name[0]]:
                del self._group_sizes[name[0]]
