"""What a group has committed on backing partitions, asked of its coordinator before something is merged into it."""

from collections.abc import Iterable
from typing import Final

from policies import positions
from policies.positions import Position
from protocol.errors import BrokerProtocolError
from protocol.schema import Message, request_struct
from proxy.apis.topics import Partition
from proxy.exchange import BrokerRequest, Call

KEY: Final = 9
VERSION: Final = 8
"""Several topics by name, with leader epochs."""


def ask(call: Call, partitions: Iterable[Partition]) -> BrokerRequest:
    """Only stable positions: those that a transaction is about to replace are answered with an error."""
    struct = request_struct(KEY, VERSION)
    group = struct.nested("groups")
    indexes: dict[str, dict[int, None]] = {}
    for topic, index in partitions:
        indexes.setdefault(topic, {})[index] = None
    topics = tuple(
        group.nested("topics").new(name=topic, partition_indexes=tuple(wanted)) for topic, wanted in indexes.items()
    )
    group_id = call.zone.rules.qualify(call.request.group_id)
    message = struct.new(groups=(group.new(group_id=group_id, topics=topics),), require_stable=True)
    return BrokerRequest(KEY, VERSION, message)


def read(response: Message) -> tuple[int, dict[Partition, Position], dict[Partition, int]]:
    """The group's error code, the position of each partition, and the error code of those that have one."""
    if not response.groups:
        raise BrokerProtocolError("the positions of one group were asked for, and the answer has none")
    group = response.groups[0]
    stored: dict[Partition, Position] = {}
    failed: dict[Partition, int] = {}
    for topic in group.topics:
        for partition in topic.partitions:
            key = topic.name, partition.partition_index
            if partition.error_code:
                failed[key] = partition.error_code
            else:
                stored[key] = position_of(partition)
    return group.error_code, stored, failed


def position_of(partition: Message) -> Position:
    """A partition of an OffsetFetch response."""
    if partition.committed_offset < 0:
        return positions.NONE
    epoch = getattr(partition, "committed_leader_epoch", -1)
    return Position(partition.committed_offset, epoch, partition.metadata or "")
