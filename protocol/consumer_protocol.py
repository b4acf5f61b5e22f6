"""The blobs that members of consumer groups exchange through the coordinator: subscriptions and assignments.

JoinGroup carries ConsumerProtocolSubscription (versions 0-3: 1 owned partitions, 2 generation, 3 rack),
SyncGroup ConsumerProtocolAssignment (versions 0-3, all alike), both where the group's protocol type is "consumer".
Only what names topics is read. The user data, and all that follows the names (generation and rack, the fields of later
versions, bytes that nobody knows) is kept as it came, and so is the order of everything. Some clients say version 1 and
end before the owned partitions; coordinators don't mind, nor does this.

A blob can carry another one at its end (`attach`, `attached`), with a flag: whoever reads it stops after the last known
field.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from struct import Struct as Packer
from typing import Final, Self

from kio.schema.consumer_protocol_assignment.v0.data import ConsumerProtocolAssignment
from kio.schema.consumer_protocol_subscription.v0.data import ConsumerProtocolSubscription
from kio.schema.consumer_protocol_subscription.v1.data import ConsumerProtocolSubscription as WithOwnedPartitions

from protocol.codec import encode, struct_reader
from protocol.errors import DecodeError
from protocol.schema import compile_struct

PROTOCOL_TYPE: Final = "consumer"
"""The one protocol type whose blobs coordinators read. All others are between the members."""

_VERSION: Final = Packer(">h")
_ATTACHMENT_END: Final = Packer(">i?")
_MAGIC: Final = b"\xffzonegate\x01"
_ASSIGNMENT: Final = compile_struct(ConsumerProtocolAssignment)
_SUBSCRIPTION: Final = compile_struct(ConsumerProtocolSubscription)
_SUBSCRIPTION_WITH_OWNED: Final = compile_struct(WithOwnedPartitions)

Names = Callable[[str], Iterable[str]]
"""A topic's name -> the names that take its place."""

Partitions = tuple[tuple[str, tuple[int, ...]], ...]
"""(topic, partitions), in the order of the blob"""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a member wants, and what it has."""

    version: int
    topics: tuple[str, ...]
    user_data: bytes | None
    owned: Partitions | None
    """None where the blob ends before it: in version 0, and in what some clients call version 1."""
    rest: bytes

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises DecodeError where the names can't be read."""
        version = _version(data)
        message, end = struct_reader(_SUBSCRIPTION)(data, _VERSION.size, len(data))
        owned: Partitions | None = None
        if version > 0 and end < len(data):
            message, end = struct_reader(_SUBSCRIPTION_WITH_OWNED)(data, _VERSION.size, len(data))
            owned = tuple((each.topic, each.partitions) for each in message.owned_partitions)
        return cls(version, message.topics, message.user_data, owned, data[end:])

    def build(self) -> bytes:
        """Raises EncodeError for a name that is too long."""
        if self.owned is None:
            message = _SUBSCRIPTION.new(topics=self.topics, user_data=self.user_data)
        else:
            entry = _SUBSCRIPTION_WITH_OWNED.nested("owned_partitions")
            owned = tuple(entry.new(topic=topic, partitions=partitions) for topic, partitions in self.owned)
            message = _SUBSCRIPTION_WITH_OWNED.new(topics=self.topics, user_data=self.user_data, owned_partitions=owned)
        return _VERSION.pack(self.version) + bytes(encode(message)) + self.rest

    @property
    def names(self) -> frozenset[str]:
        """Every topic that it names."""
        return frozenset(self.topics).union(topic for topic, _ in self.owned or ())

    def renamed(self, names: Names) -> Self:
        """With other names, each once."""
        topics = tuple(dict.fromkeys(name for topic in self.topics for name in names(topic)))
        return replace(self, topics=topics, owned=None if self.owned is None else _renamed(self.owned, names))


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a member gets."""

    version: int
    assigned: Partitions
    user_data: bytes | None
    rest: bytes

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises DecodeError where the names can't be read."""
        version = _version(data)
        message, end = struct_reader(_ASSIGNMENT)(data, _VERSION.size, len(data))
        assigned = tuple((each.topic, each.partitions) for each in message.assigned_partitions)
        return cls(version, assigned, message.user_data, data[end:])

    def build(self) -> bytes:
        """Raises EncodeError for a name that is too long."""
        entry = _ASSIGNMENT.nested("assigned_partitions")
        assigned = tuple(entry.new(topic=topic, partitions=partitions) for topic, partitions in self.assigned)
        message = _ASSIGNMENT.new(assigned_partitions=assigned, user_data=self.user_data)
        return _VERSION.pack(self.version) + bytes(encode(message)) + self.rest

    @property
    def names(self) -> frozenset[str]:
        """Every topic that it names."""
        return frozenset(topic for topic, _ in self.assigned)

    def renamed(self, names: Names) -> Self:
        """With other names, each once."""
        return replace(self, assigned=_renamed(self.assigned, names))


Blob = Subscription | Assignment


def _version(data: bytes) -> int:
    if len(data) < _VERSION.size:
        raise DecodeError(f"a consumer protocol blob of {len(data)} bytes has no version")
    version: int = _VERSION.unpack_from(data)[0]
    if version < 0:
        raise DecodeError(f"version {version} of the consumer protocol")
    return version


def _renamed(partitions: Partitions, names: Names) -> Partitions:
    """Topics that get the same name are united; all others keep their partitions as they are."""
    renamed: dict[str, tuple[int, ...]] = {}
    for topic, indexes in partitions:
        for name in names(topic):
            renamed[name] = tuple(sorted({*renamed[name], *indexes})) if name in renamed else indexes
    return tuple(renamed.items())


def attach(data: bytes, original: bytes, flag: bool = False) -> bytes:
    """`data` that carries `original` and a flag, for whoever looks for them at the end."""
    return data + original + _ATTACHMENT_END.pack(len(original), flag) + _MAGIC


def attached(data: bytes) -> tuple[bytes, bool] | None:
    """What `data` carries, and the flag; None for a blob without an attachment."""
    end = len(data) - len(_MAGIC) - _ATTACHMENT_END.size
    if end < 0 or not data.endswith(_MAGIC):
        return None
    length, flag = _ATTACHMENT_END.unpack_from(data, end)
    return (data[end - length : end], flag) if 0 <= length <= end else None
