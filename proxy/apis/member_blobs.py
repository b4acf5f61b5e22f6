"""Subscriptions and assignments of consumer groups, under aliases for clients and backing topics for the coordinator.

The coordinator reads them: which topics a group is subscribed to decides which of its offsets expire, which can be
deleted, and what becomes of it as a group of the newer protocol; and operators' tools join assignments with offsets.
A name that is no alias becomes one that no topic can have.

What a client gets back is byte for byte what a client of the zone has sent. Where the backing names alone don't tell it
(two aliases of one topic, a name twice) the blob carries the original. Only a blob that was made by the coordinator, or
by a client outside of the gateway, is renamed as far as it goes.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from policies.zone import ZoneRules
from protocol.consumer_protocol import Assignment, Blob, Subscription, attach, attached
from protocol.errors import ProtocolError

Kind = type[Subscription] | type[Assignment]

NO_BLOB: Final = b""
"""A member without a subscription or assignment, which is no blob of any version."""


def to_broker(rules: ZoneRules, kind: Kind, data: bytes, flag: bool = False) -> bytes:
    """A client's blob for the coordinator. Raises ProtocolError when it can't be read or its names are too long.

    `flag` travels with a blob that names an alias of a shared topic.
    """
    if data == NO_BLOB:
        return data
    blob = kind.parse(data)
    renamed = blob.renamed(lambda name: (rules.topic_or_mark(name),)).build()
    if shared_aliases(rules, blob) or to_client(rules, kind, renamed) != data:
        return attach(renamed, data, flag)
    return renamed


def to_client(rules: ZoneRules, kind: Kind, data: bytes, subscribed: Collection[str] = ()) -> bytes:
    """A blob from the coordinator. Raises ProtocolError when it can't be read or its names are too long.

    `subscribed` says which aliases of a shared topic are meant where the blob doesn't. A topic outside the zone, which
    only a client outside of the gateway can have named, is left out.
    """
    attachment = attached(data)
    if attachment is not None:
        return attachment[0]
    return _rename(rules, kind, data, subscribed) if data != NO_BLOB else data


def _rename(rules: ZoneRules, kind: Kind, data: bytes, subscribed: Collection[str]) -> bytes:
    def names(topic: str) -> Iterable[str]:
        meant = [alias.name for alias in rules.aliases_of(topic) if alias.name in subscribed]
        if meant:
            return meant
        name = rules.name_or_unmark(topic)
        return (name,) if name is not None else ()

    return kind.parse(data).renamed(names).build()


def alone(rules: ZoneRules, assignments: Mapping[str, bytes]) -> frozenset[str]:
    """The members that share no backing partition with another one; `assignments` are the leader's, by member."""
    members: dict[tuple[str, int], set[str]] = {}
    for member, data in assignments.items():
        for name, partitions in Assignment.parse(data).assigned if data != NO_BLOB else ():
            alias = rules.alias(name)
            for partition in partitions if alias is not None and rules.is_shared(alias.topic) else ():
                assert alias is not None
                members.setdefault((alias.topic, partition), set()).add(member)
    crowded = {member for several in members.values() if len(several) > 1 for member in several}
    return frozenset(assignments.keys() - crowded)


def readable(rules: ZoneRules, kind: Kind, data: bytes, subscribed: Collection[str] = ()) -> bytes:
    """`to_client`, but no blob at all instead of one that can't be read, so that no name slips by."""
    try:
        return to_client(rules, kind, data, subscribed)
    except ProtocolError:
        return NO_BLOB


def shared_aliases(rules: ZoneRules, blob: Blob) -> frozenset[str]:
    """Its names that are aliases of a backing topic which has others, too."""
    aliases = map(rules.alias, blob.names)
    return frozenset(alias.name for alias in aliases if alias is not None and rules.is_shared(alias.topic))
