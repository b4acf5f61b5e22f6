"""Committed positions of several aliases of one backing topic in one group.

A broker keeps one committed offset per group and backing partition, and two aliases of one topic need two. The lowest
position is the committed offset, so that nothing is ever skipped and the operator's lag is true; the commit's metadata
string carries the position of each alias, with the client's own metadata inside. A commit that names only some of the
aliases is merged into what is there.

A plain string without our mark is a position of every alias: the operator reset the group, or the zone gained its
second alias later.
"""

import json
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Final

MARK: Final = "zonegate:1:"
"""What every version of the format begins with: product, version."""

MAX_METADATA_BYTES: Final = 4096
"""Kafka's default `offset.metadata.max.bytes`; a commit above it is refused as OFFSET_METADATA_TOO_LARGE."""


@dataclass(frozen=True, slots=True)
class Position:
    """One alias's committed position in a partition."""

    offset: int
    leader_epoch: int = -1
    metadata: str = ""


NONE: Final = Position(-1)
"""No committed position."""


def unfold(committed: Position, alias: str) -> Position:
    """The position of an alias in what the broker has stored; NONE when this alias has not committed."""
    positions = _parse(committed.metadata)
    return committed if positions is None else positions.get(alias, NONE)


def fold(stored: Position, commits: Mapping[str, Position], aliases: tuple[str, ...]) -> Position | None:
    """What to store after `commits` (alias -> position): None when it doesn't fit into the metadata.

    `stored` is what the broker has (NONE if nothing), `aliases` all that the zone has on this topic; positions of
    aliases that the zone no longer has are dropped. A plain position was every alias's: when its metadata doesn't fit
    once for each, its offset alone is kept, so that a large old metadata can't refuse every later commit.
    """
    positions = _parse(stored.metadata)
    if positions is not None:
        return _join({alias: position for alias, position in positions.items() if alias in aliases} | dict(commits))
    if stored.offset < 0:
        return _join(commits)
    bare = Position(stored.offset, stored.leader_epoch)
    return _join(dict.fromkeys(aliases, stored) | dict(commits)) or _join(dict.fromkeys(aliases, bare) | dict(commits))


def without(stored: Position, removed: Set[str], aliases: tuple[str, ...]) -> Position:
    """What remains of `stored` when some aliases' positions are deleted; NONE when nothing remains."""
    if stored.offset < 0:
        return NONE
    positions = _parse(stored.metadata)
    known = dict.fromkeys(aliases, stored) if positions is None else positions
    rest = {alias: position for alias, position in known.items() if alias in aliases and alias not in removed}
    if not rest:
        return NONE
    bare = Position(stored.offset, stored.leader_epoch)
    return _join(rest) or _join(dict.fromkeys(rest, bare)) or NONE


def _join(merged: Mapping[str, Position]) -> Position | None:
    text = MARK + json.dumps(
        {alias: [p.offset, p.leader_epoch, p.metadata] for alias, p in sorted(merged.items())},
        separators=(",", ":"),
        ensure_ascii=False,
    )
    if len(text.encode()) > MAX_METADATA_BYTES:
        return None
    lowest = min(merged.values(), key=lambda position: position.offset)
    return Position(lowest.offset, lowest.leader_epoch, text)


def _parse(metadata: str) -> dict[str, Position] | None:
    if not metadata.startswith(MARK):
        return None
    try:
        entries = json.loads(metadata[len(MARK) :])
        positions = {str(alias): Position(int(o), int(e), str(m)) for alias, (o, e, m) in entries.items()}
        # JSON can spell halves of characters, which no text of ours has and no message can carry
        "".join(position.metadata for position in positions.values()).encode()
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    legal = all(abs(p.offset) < 1 << 63 and abs(p.leader_epoch) < 1 << 31 for p in positions.values())
    return positions if legal else None
