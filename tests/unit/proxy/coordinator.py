"""A broker that keeps committed offsets as Kafka does: one per group and backing partition."""

from typing import Any, Final

from protocol.schema import Message, response_struct
from tests.unit.proxy.playbook import BrokerGot, Dialogue
from tests.unit.proxy.test_produce import key_of, naming, topic_key

COMMIT: Final = 8
FETCH: Final = 9


class Coordinator:
    """Answers OffsetCommit and OffsetFetch from `stored`: (group, topic, partition) -> (offset, metadata)."""

    def __init__(self) -> None:
        self.stored: dict[tuple[str, Any, int], tuple[int, str]] = {}
        self.commits = 0

    def answer(self, dialogue: Dialogue, got: BrokerGot) -> None:
        dialogue.broker_answers(got, self._commit(got) if got.key == COMMIT else self._fetch(got))

    def serve(self, dialogue: Dialogue) -> None:
        """Answer whatever comes until nothing more comes."""
        while dialogue.broker.sent:
            self.answer(dialogue, dialogue.broker_gets())

    def _commit(self, got: BrokerGot) -> Message:
        self.commits += 1
        struct = response_struct(COMMIT, got.version)
        entry = struct.nested("topics")
        partition = entry.nested("partitions")
        for topic in got.message.topics:
            assert len({p.partition_index for p in topic.partitions}) == len(topic.partitions)
            for p in topic.partitions:
                key = got.message.group_id, self._name(key_of(topic)), p.partition_index
                self.stored[key] = p.committed_offset, p.committed_metadata
        topics = tuple(
            entry.new(
                **naming(key_of(topic)),
                partitions=tuple(partition.new(partition_index=p.partition_index) for p in topic.partitions),
            )
            for topic in got.message.topics
        )
        return struct.fit(topics=topics)

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
                entry.new(group_id=group.group_id, topics=self._topics(entry, group)) for group in got.message.groups
            )
        )

    def _topics(self, struct: Any, group: Message) -> tuple[Message, ...]:
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
                        partition.fit(partition_index=index, committed_offset=offset, metadata=metadata)
                        for index, (offset, metadata) in zip(indexes, found, strict=True)
                    ),
                )
            )
        return tuple(topics)
