"""A broker that keeps committed offsets as Kafka does: one per group and backing partition."""

from typing import Any, Final

from protocol.schema import Message, response_struct
from tests.unit.proxy.playbook import BrokerGot, Dialogue
from tests.unit.proxy.test_produce import key_of, naming, topic_key

COMMIT: Final = 8
FETCH: Final = 9
TXN_COMMIT: Final = 28
DELETE: Final = 47

UNKNOWN_MEMBER_ID: Final = 25
UNSTABLE_OFFSET_COMMIT: Final = 88


class Coordinator:
    """Answers the APIs of committed offsets from `stored`: (group, topic, partition) -> (offset, metadata).

    `pending` is what an open transaction has committed; `end_transaction` makes it visible. `has_members` refuses
    commits without membership.
    """

    def __init__(self) -> None:
        self.stored: dict[tuple[str, Any, int], tuple[int, str]] = {}
        self.pending: dict[tuple[str, Any, int], tuple[int, str]] = {}
        self.has_members = False
        self.commits = 0

    def answer(self, dialogue: Dialogue, got: BrokerGot) -> None:
        dialogue.broker_answers(got, self.response(got))

    def response(self, got: BrokerGot) -> Message:
        answers = {COMMIT: self._commit, TXN_COMMIT: self._commit, FETCH: self._fetch, DELETE: self._delete}
        return answers[got.key](got)

    def end_transaction(self, commit: bool = True) -> None:
        if commit:
            self.stored |= self.pending
        self.pending = {}

    def serve(self, dialogue: Dialogue) -> None:
        """Answer whatever comes until nothing more comes."""
        while dialogue.broker.sent:
            self.answer(dialogue, dialogue.broker_gets())

    def _commit(self, got: BrokerGot) -> Message:
        self.commits += 1
        struct = response_struct(got.key, got.version)
        administrators = got.key == COMMIT and not got.message.member_id
        code = UNKNOWN_MEMBER_ID if self.has_members and administrators else 0
        target = self.pending if got.key == TXN_COMMIT else self.stored
        entry = struct.nested("topics")
        partition = entry.nested("partitions")
        for topic in got.message.topics:
            assert len({p.partition_index for p in topic.partitions}) == len(topic.partitions)
            for p in topic.partitions:
                key = got.message.group_id, self._name(key_of(topic)), p.partition_index
                if not code:
                    target[key] = p.committed_offset, p.committed_metadata
        topics = tuple(
            entry.new(
                **naming(key_of(topic)),
                partitions=tuple(
                    partition.new(partition_index=p.partition_index, error_code=code) for p in topic.partitions
                ),
            )
            for topic in got.message.topics
        )
        return struct.fit(topics=topics)

    def _delete(self, got: BrokerGot) -> Message:
        struct = response_struct(DELETE, got.version)
        entry = struct.nested("topics")
        for topic in got.message.topics:
            for p in topic.partitions:
                self.stored.pop((got.message.group_id, topic.name, p.partition_index), None)
        topics = tuple(
            entry.new(
                name=topic.name,
                partitions=tuple(
                    entry.nested("partitions").new(partition_index=p.partition_index) for p in topic.partitions
                ),
            )
            for topic in got.message.topics
        )
        return struct.new(topics=topics)

    @staticmethod
    def _name(key: Any) -> str:
        names = {topic_key(13, name): name for name in ("kafka-orders", "kafka-stock", "kafka-invoices")}
        return str(names.get(key, key))

    def _fetch(self, got: BrokerGot) -> Message:
        struct = response_struct(FETCH, got.version)
        if got.version < 8:
            return struct.fit(topics=self._topics(struct, got.message))
        entry = struct.nested("groups")
        return struct.new(
            groups=tuple(
                entry.new(group_id=group.group_id, topics=self._topics(entry, group, got.message.require_stable))
                for group in got.message.groups
            )
        )

    def _topics(self, struct: Any, group: Message, stable: bool = False) -> tuple[Message, ...]:
        entry = struct.nested("topics")
        partition = entry.nested("partitions")
        wanted: list[tuple[Any, list[int]]]
        if group.topics is None:
            by_topic: dict[Any, list[int]] = {}
            for group_id, topic, index in self.stored:
                if group_id == group.group_id:
                    key = topic_key(13, topic) if "topic_id" in entry.names else topic
                    by_topic.setdefault(key, []).append(index)
            wanted = list(by_topic.items())
        else:
            wanted = [(key_of(topic), list(topic.partition_indexes)) for topic in group.topics]
        topics = []
        for key, indexes in wanted:
            found = [self.stored.get((group.group_id, self._name(key), index), (-1, "")) for index in indexes]
            topics.append(
                entry.new(
                    **naming(key),
                    partitions=tuple(
                        partition.fit(
                            partition_index=index, error_code=UNSTABLE_OFFSET_COMMIT, committed_offset=-1, metadata=""
                        )
                        if stable and (group.group_id, self._name(key), index) in self.pending
                        else partition.fit(partition_index=index, committed_offset=offset, metadata=metadata)
                        for index, (offset, metadata) in zip(indexes, found, strict=True)
                    ),
                )
            )
        return tuple(topics)
