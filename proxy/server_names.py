"""The host names of a listener with SNI routing: one to bootstrap, one for each broker of each cluster."""

import re
from collections.abc import Sequence
from typing import Final

from proxy.node import Node

CLUSTER: Final = "{cluster}"
"""Stands for the cluster's id in a pattern."""

_ID: Final = re.compile(r"0|[1-9][0-9]{0,9}", re.ASCII)
_DIGITS: Final = re.compile(r"[0-9]+", re.ASCII)


class UnknownName(LookupError):
    """A client asked for a host name that is none of this listener's."""


class ServerNames:
    """Of one listener. Patterns that `confusable` finds nothing in give each broker a name of its own."""

    def __init__(self, pattern: str, advertised_host: str, clusters: Sequence[str]) -> None:
        self._bootstrap = advertised_host.lower()
        self._parts = {cluster: _around_id(pattern, advertised_host, cluster) for cluster in clusters}

    def of_broker(self, node: Node) -> str:
        before, behind = self._parts[node.cluster]
        return f"{before}{node.id}{behind}"

    def broker_of(self, name: str) -> Node | None:
        """The broker of a host name; None for the bootstrap name. Raises UnknownName."""
        name = name.lower().rstrip(".")
        if name == self._bootstrap:
            return None
        for cluster, (before, behind) in self._parts.items():
            if name.startswith(before) and name.endswith(behind):
                middle = name[len(before) : len(name) - len(behind)]
                if _ID.fullmatch(middle):
                    return Node(cluster, int(middle))
        raise UnknownName(name)


def name_of(pattern: str, advertised_host: str, cluster: str, broker_id: str) -> str:
    """The host name that a pattern makes, in its own case."""
    return pattern.replace("{advertised_host}", advertised_host).replace(CLUSTER, cluster).replace("{id}", broker_id)


def confusable(pattern: str, advertised_host: str, clusters: Sequence[str]) -> tuple[str, str] | None:
    """Two clusters of which two brokers may have the same name; None where a name says which broker it is."""
    parts = [(cluster, _around_id(pattern, advertised_host, cluster)) for cluster in clusters]
    for position, (one, names) in enumerate(parts):
        for other, others in parts[:position]:
            if _meet(names, others) or _meet(others, names):
                return other, one
    return None


def _around_id(pattern: str, advertised_host: str, cluster: str) -> tuple[str, str]:
    """What stands before and behind the broker's id, as names are compared."""
    before, _, behind = name_of(pattern, advertised_host, cluster, "\0").lower().partition("\0")
    return before, behind


def _meet(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether digits may stand in the middle of each such that both are the same text, where `one` has the shorter
    beginning. Ids with zeros before them count, too: nobody misses a pattern that is right for lack of those alone."""
    if not other[0].startswith(one[0]):
        return False
    rest = other[0][len(one[0]) :]  # of the other's beginning: now digits + one[1] == rest + digits + other[1]
    if other[1].endswith(one[1]):
        return _are_digits(rest + other[1][: len(other[1]) - len(one[1])])
    if not one[1].endswith(other[1]):
        return False
    tail = one[1][: len(one[1]) - len(other[1])]  # digits + tail == rest + digits
    if _are_digits(rest) and _are_digits(tail):
        return True
    return any(
        _DIGITS.fullmatch(rest[:cut]) and tail.startswith(rest[cut:]) and _DIGITS.fullmatch(tail[len(rest) - cut :])
        for cut in range(1, len(rest))
    )


def _are_digits(text: str) -> bool:
    """All of it, if anything."""
    return not text or _DIGITS.fullmatch(text) is not None
