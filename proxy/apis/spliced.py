"""What Produce and Fetch share on the byte path: the names of a broker's response are spliced back, or, when something
about it is unusual, it is decoded and renamed. Both give the same bytes where both can."""

from abc import ABC, abstractmethod
from typing import ClassVar

from protocol.codec import decode, encode
from protocol.errors import BrokerProtocolError, DecodeError
from protocol.framing import Sink
from protocol.headers import PEEK, response_body
from protocol.schema import Message
from protocol.spans import INT32, TopicSpan, splice
from proxy.apis.plan import Connection, RequestPlan
from proxy.apis.topics import Shape, rewrite_leaders
from proxy.exchange import Exchange
from proxy.zones import BY_ID, COMPACT, PLAIN, Route


def spelling(version: int, first_flexible: int, first_with_ids: int) -> int:
    """How a version names topics."""
    return BY_ID if version >= first_with_ids else COMPACT if version >= first_flexible else PLAIN


class SplicedExchange(Exchange, ABC):
    """A request whose names were spliced. `routes` has the topics of the request by the broker's name or id."""

    __slots__ = ("connection", "kind", "plan", "routes")

    shape: ClassVar[Shape]

    def __init__(
        self,
        connection: Connection,
        plan: RequestPlan,
        data: bytes,
        start: int,
        request_bytes: int,
        kind: int,
        routes: dict[bytes, Route],
    ) -> None:
        super().__init__(PEEK.unpack_from(data, start)[3], request_bytes, connection.zone().meter(plan.key))
        self.connection = connection
        self.plan = plan
        self.kind = kind
        self.routes = routes

    @abstractmethod
    def parse(self, data: bytes, pos: int, end: int) -> list[TopicSpan] | None:
        """The topics of a response in which nothing is unusual."""

    @abstractmethod
    def mend(self, partition: Message, route: Route) -> None:
        """Make a decoded partition fit for the client."""

    @abstractmethod
    def throttle_span(self, pos: int, end: int) -> tuple[int, int]:
        """Where `throttle_time_ms` stands in the body data[pos:end] of such a response."""

    def client_spelling(self, topic: TopicSpan) -> bytes:
        """What stands in the client's response for a topic of the broker's."""
        return self.routes[topic.key].client[self.kind]

    def on_frame(self, data: bytes, start: int, end: int) -> None:
        try:
            pos = response_body(data, start, end, self.plan.flexible_response)
        except DecodeError as error:
            raise BrokerProtocolError(str(error)) from None
        topics = self.parse(data, pos, end)
        if topics is None or not self.routes.keys() >= {topic.key for topic in topics}:
            self._on_unusual(data, pos, end)
            return
        names = [self.client_spelling(topic) for topic in topics]
        if self.connection.limited and (told := self._throttle_time(sum(topic.record_bytes for topic in topics))):
            self._tell(told, data, pos, end, topics, names)
        pieces, size = splice(data, pos, end, topics, names)
        self.connection.respond(self, self.plan, pieces, size)

    def _throttle_time(self, record_bytes: int) -> int:
        """What the client is told, after it was charged for these records."""
        kind = self.plan.entry.kind
        assert kind is not None
        self.connection.charge(kind, record_bytes)
        return self.connection.throttle_time(kind)

    def _tell(self, told: int, data: bytes, pos: int, end: int, topics: list[TopicSpan], names: list[bytes]) -> None:
        """Have `throttle_time_ms` replaced as the names are, if it is less."""
        start, stop = self.throttle_span(pos, end)
        if told > INT32.unpack_from(data, start)[0]:
            at = 0 if not topics or start < topics[0].start else len(topics)
            topics.insert(at, TopicSpan(b"", start, stop))
            names.insert(at, INT32.pack(told))

    def on_head(self, data: bytes, start: int, size: int) -> Sink | None:
        return None

    def _on_unusual(self, data: bytes, pos: int, end: int) -> None:
        """Errors, texts, leaders: the typed path's work on the same response."""
        try:
            response = decode(self.plan.response, data, pos, end)
        except DecodeError as error:
            raise BrokerProtocolError(str(error)) from None
        self.rename(response)
        record_bytes = sum(
            len(getattr(partition, "records", b""))
            for topic in response.responses
            for partition in getattr(topic, self.shape.response_partitions)
        )
        if told := self._throttle_time(record_bytes):
            response.throttle_time = max(response.throttle_time, told)
        body = encode(response)
        self.connection.respond(self, self.plan, (body,), len(body))

    def rename(self, response: Message) -> None:
        """Turn a decoded response into the client's."""
        partitions = []
        for topic in response.responses:
            by_id = self.kind == BY_ID
            route = self.routes.get(topic.topic_id if by_id else getattr(topic, self.shape.topic_name).encode())
            if route is None:
                raise BrokerProtocolError("a response names a topic that was not asked for")
            if by_id:
                topic.topic_id = route.client[BY_ID]
            else:
                setattr(topic, self.shape.topic_name, route.alias.name)
            for partition in getattr(topic, self.shape.response_partitions):
                if partition.error_code:
                    self.connection.zone().note_broker_error(self.plan.key, partition.error_code)
                self.mend(partition, route)
                partitions.append(partition)
        rewrite_leaders(self.connection.endpoints, response, partitions)
