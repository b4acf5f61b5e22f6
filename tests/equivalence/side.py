"""The two sides of the comparison: Kafka itself, and the gateway; and one user's seat at either of them."""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from protocol.schema import ZERO_ID, Message
from tests.canary import Canaries, StreamScanner
from tests.equivalence.apis import Api
from tests.equivalence.client import SECONDS, Address, Closed, Connection, request
from tests.equivalence.names import DATA_BROKER, GRANTS, PARTITIONS, Role
from tests.kafka.waiting import wait_until

CLOSED = "the connection was closed"
UNANSWERED = "no answer"
SILENT = "nothing came, not even the end"

GROUP_APIS = {
    Api.OFFSET_COMMIT, Api.OFFSET_FETCH, Api.JOIN_GROUP, Api.HEARTBEAT, Api.LEAVE_GROUP, Api.SYNC_GROUP,
    Api.DESCRIBE_GROUPS, Api.LIST_GROUPS, Api.TXN_OFFSET_COMMIT, Api.DELETE_GROUPS, Api.OFFSET_DELETE,
    Api.CONSUMER_GROUP_HEARTBEAT, Api.CONSUMER_GROUP_DESCRIBE,
}  # fmt: skip
TRANSACTION_APIS = {
    Api.INIT_PRODUCER_ID, Api.ADD_PARTITIONS_TO_TXN, Api.ADD_OFFSETS_TO_TXN, Api.END_TXN, Api.DESCRIBE_TRANSACTIONS,
    Api.LIST_TRANSACTIONS,
}  # fmt: skip

POSITIONS = "__consumer_offsets"

BATCH_HEAD = struct.Struct(">qiibIhiqqqhii")
"""base offset, length, leader epoch, magic, CRC, attributes, last delta, two times, producer id and epoch, base
sequence, count"""


class Operator:
    """Somebody who may do everything and sees the cluster as it is, over the plaintext listener."""

    def __init__(self, brokers: Mapping[int, Address]) -> None:
        self._brokers = brokers
        self._connections: dict[int, Connection] = {}
        self.coordinators: dict[bool, int] = {}
        """Of all groups (False) and of all transactions (True): their topics have one partition each."""

    def ask(self, api: int, version: int, fields: Mapping[str, Any], broker: int = DATA_BROKER) -> Message:
        if broker not in self._connections:
            self._connections[broker] = Connection(self._brokers[broker], None, None)
        return self._connections[broker].ask(api, version, request(api, version, fields))

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()

    def end_offset(self, topic: str, partition: int) -> int:
        told = self._latest(topic, partition)
        assert told.error_code == 0, told
        return int(told.offset)

    def serves(self, topic: str, partition: int) -> bool:
        """Whether the leader has taken up its work, which is later than others learn of it."""
        return bool(self._latest(topic, partition).error_code == 0)

    def _latest(self, topic: str, partition: int) -> Message:
        wanted = {"name": topic, "partitions": [{"partition_index": partition, "timestamp": -1}]}
        answer = self.ask(Api.LIST_OFFSETS, 7, {"replica_id": -1, "topics": [wanted]})
        ((told,),) = [each.partitions for each in answer.topics]
        return told

    def log(self, topic: str, partition: int, start: int) -> list[dict[str, Any]]:
        """What the log holds from an offset on, batch by batch; offsets are told from there."""
        if self.end_offset(topic, partition) == start:
            return []
        wanted = {"partition": partition, "fetch_offset": start, "partition_max_bytes": 1 << 20}
        answer = self.ask(
            Api.FETCH, 12, {"max_wait": 1000, "min_bytes": 1, "topics": [{"topic": topic, "partitions": [wanted]}]}
        )
        ((told,),) = [each.partitions for each in answer.responses]
        assert told.error_code == 0, told
        return list(_batches(told.records, start))

    def positions(self, group: str) -> dict[str, dict[int, tuple[int, int, str]]]:
        """Backing topic -> partition -> offset, leader epoch and metadata."""
        fields = {"groups": [{"group_id": group, "topics": None}]}
        answer = self.ask(Api.OFFSET_FETCH, 8, fields, self.coordinators[False])
        (told,) = answer.groups
        return {
            topic.name: {
                p.partition_index: (p.committed_offset, p.committed_leader_epoch, p.metadata) for p in topic.partitions
            }
            for topic in told.topics
        }

    def delete_group(self, group: str) -> None:
        self.ask(Api.DELETE_GROUPS, 2, {"groups_names": [group]}, self.coordinators[False])

    def transaction(self, transactional_id: str) -> tuple[str, dict[str, list[int]]]:
        """Its state, and backing topic -> partitions."""
        fields = {"transactional_ids": [transactional_id]}
        (told,) = self.ask(Api.DESCRIBE_TRANSACTIONS, 0, fields, self.coordinators[True]).transaction_states
        return told.transaction_state, {topic.topic: sorted(topic.partitions) for topic in told.topics}

    def wait_for_end(self, transactional_id: str) -> None:
        """Until the markers of a transaction that was ended are written."""
        wait_until(lambda: not self.transaction(transactional_id)[0].startswith("Prepare"), "its end", SECONDS)


def _batches(records: bytes, start: int) -> Iterable[dict[str, Any]]:
    position = 0
    while position < len(records):
        base, length, _, _, _, attributes, _, _, _, producer, epoch, sequence, count = BATCH_HEAD.unpack_from(
            records, position
        )
        end = position + 12 + length
        yield {
            "offset": base - start,
            "attributes": attributes,
            "has_producer": producer >= 0,
            "producer_epoch": epoch,
            "sequence": sequence,
            "count": count,
            "records": records[position + BATCH_HEAD.size : end],
        }
        position = end


@dataclass
class Side:
    """Kafka itself or the gateway, as its users reach it."""

    name: str
    operator: Operator
    brokers: Mapping[int, Address]
    passwords: Mapping[Role, str]
    backing: Mapping[str, str]
    """Alias -> backing topic; on Kafka itself they are the same."""
    prefixed: bool
    """True where groups and transactional ids get the zone's name in front."""
    real_ids: Mapping[str, bytes]
    canaries: Canaries | None = None
    ids: dict[Role, dict[str, bytes]] = field(default_factory=dict)
    """Topic -> id, as each user is told."""
    cluster_ids: dict[Role, str] = field(default_factory=dict)
    ranges: dict[int, tuple[int, int]] = field(default_factory=dict)
    _connections: dict[tuple[Role, int], Connection] = field(default_factory=dict)

    def connection(self, role: Role, broker: int) -> Connection:
        key = (role, broker)
        if key not in self._connections:
            scanner = StreamScanner(self.canaries, f"{role.value} at {broker}") if self.canaries is not None else None
            account = (GRANTS[role].user, self.passwords[role])
            self._connections[key] = Connection(self.brokers[broker], account, scanner)
        return self._connections[key]

    def drop(self, role: Role, broker: int) -> None:
        self._connections.pop((role, broker)).close()

    def close(self) -> None:
        for role, broker in tuple(self._connections):
            self.drop(role, broker)

    def learn(self) -> None:
        """Ask which APIs there are, and for the topics' ids."""
        first = self.connection(Role.PARTNER, DATA_BROKER)
        told = first.ask(Api.API_VERSIONS, 0, request(Api.API_VERSIONS, 0, {}))
        self.ranges = {each.api_key: (each.min_version, each.max_version) for each in told.api_keys}
        for role in Role:
            everything = request(Api.METADATA, 12, {"topics": None})
            answer = self.connection(role, DATA_BROKER).ask(Api.METADATA, 12, everything)
            self.cluster_ids[role] = answer.cluster_id
            self.ids[role] = {topic.name: topic.topic_id for topic in answer.topics}


class Seat:
    """One user on one side, while one scenario is played in one version of its API."""

    def __init__(self, side: Side, role: Role, scenario: str, api: int, version: int) -> None:
        self.side = side
        self.role = role
        self.api = api
        self.version = version
        self.transcript: list[tuple[int, Message, object]] = []
        self._scenario = scenario
        self._own = GRANTS[role].own

    # names

    def name(self, suffix: str = "") -> str:
        """A group or a transactional id of this scenario's own."""
        return f"{self._own}{self.api}-{self._scenario}-v{self.version}{suffix}"

    def upstream(self, name: str) -> str:
        """A group or transactional id as the brokers know it."""
        return f"{GRANTS[self.role].zone}:{name}" if self.side.prefixed else name

    def topic_id(self, name: str) -> bytes:
        """As this user knows it; the real one where it is not told."""
        known = self.side.ids[self.role]
        return known.get(name) or self.side.real_ids.get(name, ZERO_ID)

    def topic(self, name: str, **fields: Any) -> dict[str, Any]:
        """A topic in a request, under all the names of the field that names it."""
        return {"name": name, "topic": name, "topic_id": self.topic_id(name), **fields}

    # requests

    def ask(
        self,
        fields: Mapping[str, Any] | None = None,
        *,
        api: int | None = None,
        version: int | None = None,
        broker: int | None = None,
    ) -> Any:
        """The answer, or CLOSED. Another API than the scenario's own is asked in the newest version of both sides."""
        api = self.api if api is None else api
        version = version if version is not None else self.version if api == self.api else NEWEST[api]
        message = request(api, version, fields or {})
        broker = self.broker_for(api) if broker is None else broker
        try:
            answer: object = self.side.connection(self.role, broker).ask(api, version, message)
        except (Closed, TimeoutError) as error:
            self.side.drop(self.role, broker)
            answer = CLOSED if isinstance(error, Closed) else SILENT
        self.transcript.append((api, message, answer))
        return answer

    def tell(self, fields: Mapping[str, Any]) -> str:
        """For a request that gets no answer: whether the connection still serves afterwards."""
        broker = self.broker_for(self.api)
        message = request(self.api, self.version, fields)
        connection = self.side.connection(self.role, broker)
        try:
            connection.send(self.api, self.version, message)
            # which the gateway asks the broker
            connection.ask(Api.METADATA, 1, request(Api.METADATA, 1, {"topics": []}))
            answer = UNANSWERED
        except Closed:
            self.side.drop(self.role, broker)
            answer = CLOSED
        self.transcript.append((self.api, message, answer))
        return answer

    def broker_for(self, api: int) -> int:
        if api in GROUP_APIS:
            return self.side.operator.coordinators[False]
        if api in TRANSACTION_APIS:
            return self.side.operator.coordinators[True]
        return DATA_BROKER

    # what became of it

    def ends(self, *topics: str) -> dict[tuple[str, int], int]:
        """Where the logs end now."""
        operator, backing = self.side.operator, self.side.backing
        return {(t, p): operator.end_offset(backing[t], p) for t in topics for p in range(PARTITIONS)}

    def written_since(self, ends: Mapping[tuple[str, int], int]) -> dict[str, object]:
        operator, backing = self.side.operator, self.side.backing
        return {f"{t}-{p}": operator.log(backing[t], p, end) for (t, p), end in ends.items()}

    def positions(self, group: str) -> dict[str, object]:
        """What a group has committed, by alias."""
        return self._by_alias(self.side.operator.positions(self.upstream(group)))

    def transaction(self, transactional_id: str) -> dict[str, object]:
        """What belongs to a transaction, by alias, and its state."""
        state, topics = self.side.operator.transaction(self.upstream(transactional_id))
        return {"state": state, **self._by_alias(topics)}

    def _by_alias(self, by_topic: Mapping[str, Any]) -> dict[str, object]:
        aliases = {backing: alias for alias, backing in self.side.backing.items()} | {POSITIONS: "positions"}
        return {aliases.get(topic, f"unexpected {topic}"): found for topic, found in by_topic.items()}


NEWEST: dict[int, int] = {}
"""API -> the newest version that both sides offer; filled when they are there."""
