"""OffsetCommits that one member has sent directly one behind the other, as one commit at the broker.

Nobody could have seen anything between them but the last position of each partition, so that is what is committed: a
later position replaces an earlier one of its partition, together with its leader epoch and its metadata. Each request
is answered for its own partitions, with the codes that the broker has given.

Not joined is what the broker might judge differently alone: another member or generation, metadata of different length
for one partition (which may be too long), a partition named twice; nor what takes more than one step
(`proxy.apis.merged_commit`) or is refused as a whole. Single topics that are refused are answered here, as usual.
"""

from itertools import chain
from typing import Final

from policies.zone import Alias
from protocol.error_codes import ErrorCode
from protocol.schema import Message
from proxy.apis.ids import group_refusal
from proxy.apis.merged_commit import COMMIT, answer, broker_request, codes_of, must_merge
from proxy.apis.topics import Asked, Partition, Split, name_or_id, resolve
from proxy.exchange import Answer, BrokerRequest, Call

KEY: Final = 8

MAX_BYTES: Final = 64 * 1024
"""In the coordinator's log, about. What is larger than that and than its first commit isn't joined, since brokers
refuse what is larger than a batch of their offsets topic may be (`message.max.bytes`, 1 MiB)."""

_POSITION_BYTES: Final = 64
"""What a position takes there besides the names of group and topic and its metadata."""

_Positions = dict[Partition, tuple[Alias, Message]]


class JoinedCommit:
    """Commits of one member. `add` them, then `request` and `answers`, which have one for each."""

    def __init__(self) -> None:
        self._calls: list[Call] = []
        self._positions: _Positions = {}
        self._bytes = 0
        self._max_bytes = MAX_BYTES
        self._splits: list[Split] = []

    def add(self, call: Call) -> bool:
        """Whether it is joined to the others; if not, nothing has happened."""
        if self._calls and not _same_member(self._calls[0].request, call.request):
            return False
        if group_refusal(call.zone.rules, call.request.group_id, empty_allowed=True) is not None:
            return False
        positions = _positions_of(call)
        if not positions or any(
            key in self._positions and _metadata_length(self._positions[key][1]) != _metadata_length(partition)
            for key, (_, partition) in positions.items()
        ):
            return False
        more = sum(
            _POSITION_BYTES + len(call.request.group_id) + len(topic) + _metadata_length(partition)
            for (topic, index), (_, partition) in positions.items()
            if (topic, index) not in self._positions
        )
        if self._calls and self._bytes + more > self._max_bytes:
            return False
        self._calls.append(call)
        self._positions |= positions
        self._bytes += more
        self._max_bytes = max(self._max_bytes, self._bytes)
        return True

    def request(self) -> BrokerRequest:
        """What the broker is asked. Refusals are counted, and the limit's one unit goes to the first commit."""
        self._splits = [Split(call, COMMIT, call.request.topics) for call in self._calls]
        first = self._calls[0]
        first.units = 1
        struct = first.request.struct.nested("topics")
        by_topic: dict[str, tuple[Alias, list[Message]]] = {}
        for (topic, _), (alias, partition) in self._positions.items():
            by_topic.setdefault(topic, (alias, []))[1].append(partition)
        topics = tuple(
            struct.new(
                partitions=tuple(partitions),
                **name_or_id(struct, COMMIT, topic, first.zone.topic_id(alias)),
            )
            for topic, (alias, partitions) in by_topic.items()
        )
        return broker_request(first, topics)

    def answers(self, response: Message) -> list[Answer]:
        """In the order of the commits."""
        codes = codes_of(chain.from_iterable(split.granted for split in self._splits), response)
        return [answer(split.call, split, codes, response) for split in self._splits]


def _same_member(one: Message, other: Message) -> bool:
    """Everything but the positions is the same: group, member, generation and whatever else the version has."""
    return all(getattr(one, name) == getattr(other, name) for name in one.struct.names if name != "topics")


def _positions_of(call: Call) -> _Positions:
    """What it commits, by backing partition; nothing when it has to be handled alone."""
    positions: _Positions = {}
    for topic in call.request.topics:
        alias, error = resolve(call, topic, COMMIT)
        if error or alias is None:
            continue
        if must_merge(call, Asked(topic, alias, ErrorCode.NONE, topic.partitions), alias):
            return {}
        for partition in topic.partitions:
            key = alias.topic, partition.partition_index
            if key in positions:
                return {}
            positions[key] = alias, partition
    return positions


def _metadata_length(partition: Message) -> int:
    """As brokers measure it."""
    return len((partition.committed_metadata or "").encode("utf-16-le"))
