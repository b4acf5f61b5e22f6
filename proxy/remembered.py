"""A bounded memory of what clients have said: so many entries, so many bytes, and the least recently used go first.

Clients choose the ids that are its keys, and a broker takes ids of 32 KiB: entries alone bound nothing.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

MAX_BYTES: Final = 32 * 1024 * 1024
"""Of one memory of one zone: fifty thousand entries of an ordinary size, or a thousand with the longest ids."""


class Remembered(Generic[K, V]):
    """Key -> value. `size` tells what an entry takes, about."""

    __slots__ = ("_entries", "_max_bytes", "_max_entries", "_size", "bytes")

    def __init__(self, max_entries: int, size: Callable[[K, V], int], max_bytes: int = MAX_BYTES) -> None:
        self.bytes = 0
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._size = size

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: K) -> V | None:
        """None when it isn't known (any more)."""
        found = self._entries.get(key)
        if found is None:
            return None
        self._entries.move_to_end(key)
        return found[0]

    def put(self, key: K, value: V) -> None:
        """Remember it, unless it alone is more than may be remembered."""
        self.forget(key)
        size = self._size(key, value)
        self._entries[key] = value, size
        self.bytes += size
        while len(self._entries) > self._max_entries or self.bytes > self._max_bytes:
            _, (_, freed) = self._entries.popitem(last=False)
            self.bytes -= freed

    def forget(self, key: K) -> None:
        found = self._entries.pop(key, None)
        if found is not None:
            self.bytes -= found[1]
