"""Requests that list topics and partitions: who is refused, what is asked of the broker, and the merged answer.

Two aliases of one backing partition can't share a request: a broker keys its maps by partition, so one of two entries
would be lost. Such entries go into further layers, each a request of its own. The answer holds exactly what was
requested, in the order of the request.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from policies.zone import Alias
from protocol.error_codes import ErrorCode
from protocol.schema import ZERO_ID, Message, Struct
from proxy.exchange import Call, Endpoints
from proxy.resources import Resource
from proxy.resources import topic as topic_resource

AUTHORIZATION_ERRORS: Final = (
    ErrorCode.GROUP_AUTHORIZATION_FAILED,
    ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
)

Partition = tuple[str, int]
"""A backing topic's name and a partition's index."""

Codes = Mapping[Partition, int]
"""Partition -> error code."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What an API calls its fields."""

    request_topics: str = "topics"
    topic_name: str = "name"
    request_partitions: str = "partitions"
    request_index: str = "partition_index"
    response_topics: str = "topics"
    response_partitions: str = "partitions"
    response_index: str = "partition_index"
    refused: tuple[tuple[str, Any], ...] = ()
    """What a refused partition's answer holds besides its index and error code, where defaults won't do."""
    write: bool = False
    """True where the permission needed is WRITE."""
    skips_empty: bool = False
    """True where brokers leave out a topic of which no partition was asked for."""
    groups: bool = False
    """True where brokers answer a topic once that is named twice."""


@dataclass(slots=True)
class Asked:
    """One topic of the request, with what became of it. `layers` has the layer of each partition.

    `topic_id` is the backing topic's as the broker was told: when the gateway learns another one before the answer
    comes, the answer still has this one.
    """

    topic: Message
    alias: Alias | None
    error: ErrorCode
    partitions: Sequence[Message]
    layers: list[int] = field(default_factory=list)
    topic_id: bytes = ZERO_ID


def resolve(call: Call, topic: Message, shape: Shape) -> tuple[Alias | None, ErrorCode]:
    """The alias that a request's topic names, and the error that refuses it (NONE when it is granted)."""
    if "topic_id" in topic.struct.names:
        alias = call.zone.alias_with_id(topic.topic_id)
        if alias is None:
            return None, ErrorCode.UNKNOWN_TOPIC_ID
    else:
        alias = call.zone.rules.alias(getattr(topic, shape.topic_name))
    if alias is None or (shape.write and not alias.writable):
        return alias, ErrorCode.TOPIC_AUTHORIZATION_FAILED
    return alias, ErrorCode.NONE


def _resource(topic: Message, alias: Alias | None, shape: Shape) -> Resource:
    if "topic_id" in topic.struct.names:
        return topic_resource(alias.name if alias is not None else None, topic.topic_id)
    return topic_resource(getattr(topic, shape.topic_name))


def index_of(partition: Message, name: str) -> int:
    """The index of a partition entry; some APIs list bare indexes."""
    return partition if isinstance(partition, int) else getattr(partition, name)


class Split:
    """A request taken apart: `asked` in its order, `layers` requests' worth of topics for the broker."""

    def __init__(self, call: Call, shape: Shape, topics: Sequence[Message]) -> None:
        self.call = call
        self.shape = shape
        self.asked: list[Asked] = []
        self.layers = 0
        owners: dict[tuple[str, int], list[str]] = {}
        for topic in topics:
            alias, error = resolve(call, topic, shape)
            asked = Asked(topic, alias, error, getattr(topic, shape.request_partitions))
            self.asked.append(asked)
            if error:
                call.refuse(error, _resource(topic, alias, shape), len(asked.partitions))
            elif alias is not None:
                asked.topic_id = call.zone.topic_id(alias)
                asked.layers = [self._layer(owners, alias, partition) for partition in asked.partitions]

    def _layer(self, owners: dict[tuple[str, int], list[str]], alias: Alias, partition: Message) -> int:
        """The first layer in which no other alias has this backing partition."""
        names = owners.setdefault((alias.topic, index_of(partition, self.shape.request_index)), [])
        if alias.name not in names:
            names.append(alias.name)
        layer = names.index(alias.name)
        self.layers = max(self.layers, layer + 1)
        return layer

    @property
    def granted(self) -> Iterator[tuple[Asked, Alias]]:
        """The topics that the broker is asked for."""
        return ((asked, asked.alias) for asked in self.asked if asked.alias is not None and not asked.error)

    def refuse_all(self, error: ErrorCode, resource: Resource) -> None:
        """Refuse the whole request, because of its group or transaction.

        An authorization error is every topic's, others come after the topics' own.
        """
        for asked in self.asked:
            if error in AUTHORIZATION_ERRORS or not asked.error:
                asked.error = error
        self.call.refuse(error, resource)

    @property
    def refused_any(self) -> bool:
        return any(asked.error for asked in self.asked)

    def topics_of(self, layer: int) -> tuple[Message, ...]:
        """The topics of one layer as the broker knows them, each once, in the order of the request."""
        merged: dict[str, list[Message]] = {}
        template: dict[str, Asked] = {}
        for asked in self.asked:
            wanted = [p for p, own in zip(asked.partitions, asked.layers, strict=bool(asked.layers)) if own == layer]
            if wanted and asked.alias is not None:
                merged.setdefault(asked.alias.topic, []).extend(wanted)
                template.setdefault(asked.alias.topic, asked)
        return tuple(self._broker_topic(template[topic], partitions) for topic, partitions in merged.items())

    def _broker_topic(self, asked: Asked, partitions: list[Message]) -> Message:
        assert asked.alias is not None
        values = {self.shape.request_partitions: tuple(partitions)}
        values |= name_or_id(asked.topic.struct, self.shape, asked.alias.topic, asked.topic_id)
        return asked.topic.struct.new(**values)

    def merge(
        self,
        struct: Struct,
        answers: Sequence[Sequence[Message]],
        missing: ErrorCode,
        mend: Callable[[Message, Alias], Message] | None = None,
    ) -> tuple[Message, ...]:
        """The response's topics. `answers` holds the broker's topics per layer, `struct` is the response's topic.

        `mend` turns each partition of the broker into the client's; `missing` is for what it left out.
        """
        found = [self._by_key(topics) for topics in answers]
        partition = struct.nested(self.shape.response_partitions)
        merged = []
        for asked in self.asked:
            partitions = []
            for position, wanted in enumerate(asked.partitions):
                index = index_of(wanted, self.shape.request_index)
                answer = None
                if not asked.error and asked.alias is not None:
                    key = self._key(struct, asked)
                    told = found[asked.layers[position]].get((key, index), [])
                    # asked for twice, it may be told of twice, and differently
                    answer = told.pop(0) if len(told) > 1 else next(iter(told), None)
                    if answer is not None and answer.error_code:
                        self.call.zone.note_broker_error(self.call.api_key, answer.error_code)
                    if answer is not None and mend is not None:
                        answer = mend(answer, asked.alias)
                if answer is None:
                    answer = self.refuse(partition, index, asked.error or missing)
                partitions.append(answer)
            if partitions or not self.shape.skips_empty:
                merged.append(self._client_topic(struct, asked, partitions))
        return self._grouped(merged) if self.shape.groups else tuple(merged)

    def _grouped(self, topics: Sequence[Message]) -> tuple[Message, ...]:
        """Each topic once, where it is first."""
        grouped: dict[str | bytes, Message] = {}
        for topic in topics:
            first = grouped.setdefault(self._name_in(topic), topic)
            if first is not topic:
                field_name = self.shape.response_partitions
                setattr(first, field_name, getattr(first, field_name) + getattr(topic, field_name))
        return tuple(grouped.values())

    def answer_codes(self, struct: Struct, codes: Codes) -> tuple[Message, ...]:
        """The response's topics where partitions are answered with nothing but a code, which is known by now."""
        partition_struct = struct.nested(self.shape.response_partitions)
        topics = []
        for asked in self.asked:
            partitions = []
            for wanted in asked.partitions:
                index = index_of(wanted, self.shape.request_index)
                code: int = asked.error
                if not code and asked.alias is not None:
                    code = codes.get((asked.alias.topic, index), ErrorCode.UNKNOWN_SERVER_ERROR)
                    self.call.zone.note_broker_error(self.call.api_key, code)
                partitions.append(partition_struct.new(**{self.shape.response_index: index, "error_code": code}))
            if partitions or not self.shape.skips_empty:
                topics.append(self._client_topic(struct, asked, partitions))
        return tuple(topics)

    def refuse(self, partition: Struct, index: int, error: ErrorCode) -> Message:
        """The answer for one refused partition."""
        values = {**dict(self.shape.refused), self.shape.response_index: index, "error_code": error}
        return partition.fit(**values)

    def _client_topic(self, struct: Struct, asked: Asked, partitions: list[Message]) -> Message:
        values: dict[str, Any] = {self.shape.response_partitions: tuple(partitions)}
        name = getattr(asked.topic, self.shape.topic_name, "")
        values |= name_or_id(struct, self.shape, name, getattr(asked.topic, "topic_id", ZERO_ID))
        return struct.new(**values)

    def _key(self, struct: Struct, asked: Asked) -> str | bytes:
        assert asked.alias is not None
        return asked.topic_id if "topic_id" in struct.names else asked.alias.topic

    def _by_key(self, topics: Sequence[Message]) -> dict[tuple[str | bytes, int], list[Message]]:
        by_key: dict[tuple[str | bytes, int], list[Message]] = {}
        for topic in topics:
            name = self._name_in(topic)
            for partition in getattr(topic, self.shape.response_partitions):
                by_key.setdefault((name, self._response_index(partition)), []).append(partition)
        return by_key

    def _name_in(self, topic: Message) -> str | bytes:
        name = "topic_id" if "topic_id" in topic.struct.names else self.shape.topic_name
        return getattr(topic, name)  # type: ignore[no-any-return]

    def _response_index(self, partition: Message) -> int:
        return getattr(partition, self.shape.response_index)  # type: ignore[no-any-return]


def name_or_id(struct: Struct, shape: Shape, name: str, topic_id: bytes) -> dict[str, Any]:
    """The field that names a topic in this version."""
    return {"topic_id": topic_id} if "topic_id" in struct.names else {shape.topic_name: name}


def rewrite_leaders(endpoints: Endpoints, response: Message, partitions: Sequence[Message]) -> None:
    """Produce 10+ and Fetch 16+ tell the new leader and its address (KIP-951): map them, or drop both."""
    if "node_endpoints" in response.struct.names:
        mapped = []
        for node in response.node_endpoints:
            endpoint = endpoints.endpoint(node.node_id)
            if endpoint is not None:
                node.host, node.port = endpoint
                mapped.append(node)
        response.node_endpoints = tuple(mapped)
    for partition in partitions:
        if "current_leader" in partition.struct.names:
            leader = partition.current_leader
            if leader.leader_id >= 0 and endpoints.endpoint(leader.leader_id) is None:
                partition.current_leader = leader.struct.new()
