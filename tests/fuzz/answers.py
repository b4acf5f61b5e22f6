"""What a broker answers: what it should, what the schema allows, and what a newer one would."""

from contextlib import suppress
from random import Random
from typing import Final

from protocol.codec import encode
from protocol.schema import Message, response_struct
from tests.fuzz.checks import FETCH, OTHER_TOPIC
from tests.fuzz.messages import SECRET, SECRET_ID, Palette, draw_response_body
from tests.unit.protocol.messages import with_unknown_tag
from tests.unit.proxy.borders import BACKING, BACKING_IDS, GROUPS, PREFIX, TRANSACTIONS
from tests.unit.proxy.coordinator import Coordinator
from tests.unit.proxy.playbook import BrokerGot
from tests.unit.proxy.scenes import STRANGERS, VARIANTS, make_answer
from tests.unit.proxy.synthesis import Canaries, topic_id

COORDINATED: Final = (8, 9, 28, 47)
"""APIs of committed offsets: half of their answers come from a broker that keeps them."""
BROKER_PALETTE: Final = Palette(
    topics=(*zip(BACKING, BACKING_IDS, strict=True), *STRANGERS.topics, (OTHER_TOPIC, topic_id(OTHER_TOPIC))),
    groups=(*(PREFIX + group for group in GROUPS), "other:g", "stranger-group"),
    transactions=(*(PREFIX + one for one in TRANSACTIONS), "other:tx", "stranger-tx"),
    secrets=True,
)


class Marked(Canaries):
    """Canaries of which one pattern finds all that must not pass."""

    def value(self, kafka_type: str, path: str, may_pass: bool) -> object:
        self._count += 1
        if kafka_type == "uuid":
            return topic_id(str(self._count)) if may_pass else SECRET_ID + self._count.to_bytes(3, "big")
        text = f"passing-{self._count}" if may_pass else f"{SECRET}-{self._count}"
        return text if kafka_type == "string" else text.encode()


class Answers:
    """One cluster's."""

    def __init__(self) -> None:
        self._secrets = Marked("broker")
        self._coordinator = Coordinator()

    def body(self, rng: Random, got: BrokerGot) -> bytes:
        if got.key == FETCH and rng.random() < 0.5:
            return _fetched(rng, got)
        if got.key in COORDINATED and rng.random() < 0.5:
            with suppress(AssertionError):
                return bytes(encode(self._coordinator.response(got)))
        if rng.random() < 0.45:
            return bytes(encode(make_answer(got, rng.choice(VARIANTS), self._secrets)))
        return draw_response_body(rng, got.key, got.version, BROKER_PALETTE)


def _fetched(rng: Random, got: BrokerGot) -> bytes:
    """An answer with records, and with what newer brokers add to it."""
    struct = response_struct(got.key, got.version)
    struct = with_unknown_tag(struct) if rng.random() < 0.2 else struct
    topic = struct.nested("responses")
    partition = topic.nested("partitions")
    leader = partition.nested("current_leader") if "current_leader" in partition.names else None
    large = rng.random() < 0.6

    def answer(asked: Message) -> Message:
        size = rng.choice((0, 10, 33_000, 70_000)) if large else 10
        moved = leader is not None and rng.random() < 0.2
        return partition.fit(
            partition_index=asked.partition,
            error_code=6 if moved else 0,
            records=None if rng.random() < 0.1 else bytes(size),
            aborted_transactions=rng.choice((None, ())),
            **(
                {"current_leader": leader.new(leader_id=rng.choice((1, 9)), leader_epoch=3)} if moved and leader else {}
            ),
        )

    topics = tuple(
        topic.fit(
            topic=getattr(asked, "topic", ""),
            topic_id=getattr(asked, "topic_id", b""),
            partitions=tuple(answer(each) for each in asked.partitions),
        )
        for asked in got.message.topics
    )
    nodes = {}
    if "node_endpoints" in struct.names and rng.random() < 0.3:
        node = struct.nested("node_endpoints")
        nodes["node_endpoints"] = tuple(node.new(node_id=each, host=f"{SECRET}-{each}", port=9092) for each in (1, 9))
    return bytes(encode(struct.fit(responses=topics, **nodes)))
