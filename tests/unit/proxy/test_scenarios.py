"""One table of awkward requests for every API that lists topics and partitions, in every version.

Whatever is asked, the answer holds exactly that, in that order (as far as brokers do: some leave out topics without
partitions, or answer a topic once that is named twice); a broker gets what is granted, each partition of it in
as many requests as aliases of it were named. Further tables: acks=0, replica ids, other lists that are odd.
"""

from dataclasses import dataclass
from typing import Any, Final

import pytest

from protocol import fetch, produce
from protocol.schema import ZERO_ID, Message, request_struct, response_struct
from proxy.apis import offsets
from proxy.apis.fetch import SHAPE as FETCH
from proxy.apis.produce import SHAPE as PRODUCE
from proxy.apis.topics import Shape
from proxy.close import CloseReason
from tests.unit.proxy.borders import BACKING
from tests.unit.proxy.playbook import (
    UNMAPPED_BROKER,
    ZONE,
    BrokerGot,
    Playbook,
    backing_id,
    typed_plans,
    versions_of,
)
from tests.unit.proxy.scenes import play

METADATA, FIND_COORDINATOR, DESCRIBE_CONFIGS, DESCRIBE_CLUSTER = 3, 10, 32, 60
UNKNOWN_ID: Final = bytes(range(16))

Asked = tuple[tuple[str, tuple[int, ...]], ...]
"""((what the client calls the topic, its partitions), ...)"""

ROWS: Final[dict[str, Asked]] = {
    "nothing": (),
    "one": (("orders", (0,)),),
    "a topic without partitions": (("orders", ()), ("invoices", (1,))),
    "nothing but a topic without partitions": (("orders", ()),),
    "granted and refused, in turns": (
        ("elsewhere", (1,)),
        ("orders", (2, 0)),
        ("kafka-orders", (0,)),
        ("stock", (0, 1)),
        ("elsewhere too", (0, 1)),
        ("invoices", (5,)),
    ),
    "all refused": (("elsewhere", (1, 0)), ("kafka-orders", (0,))),
    "the zero id": (("", (0,)), ("orders", (0,))),
    "one topic twice": (("orders", (0,)), ("invoices", (0,)), ("orders", (1,))),
    "one partition twice": (("orders", (0, 0)), ("invoices", (0,))),
    "one partition in two entries": (("orders", (0,)), ("invoices", (0,)), ("orders", (0,))),
    "a refused topic twice": (("elsewhere", (0,)), ("orders", (0,)), ("elsewhere", (0,))),
    "two aliases of one topic": (("twin", (1, 0)), ("orders", (0, 2))),
    "two aliases of one topic, one of them twice": (("twin", (0,)), ("orders", (0,)), ("twin", (0, 1))),
}


Told = tuple[dict[str, Any], list[tuple[int, int, int]]]
"""({the field that names the topic: its value}, [(index, error, the partition's mark)])"""


@dataclass(frozen=True, slots=True)
class TopicApi:
    """An API that lists topics and partitions."""

    key: int
    shape: Shape
    told: str
    """The field of a partition's answer that tells which partition the broker meant."""
    values: tuple[tuple[str, Any], ...] = ()
    """Fields of the request."""

    def names_ids(self, version: int) -> bool:
        first = {produce.KEY: produce.FIRST_WITH_IDS, fetch.KEY: fetch.FIRST_WITH_IDS}.get(self.key)
        return first is not None and version >= first

    def request(self, playbook: Playbook, version: int, asked: Asked, **values: Any) -> Message:
        struct = request_struct(self.key, version)
        topic = struct.nested(self.shape.request_topics)
        partition = topic.nested(self.shape.request_partitions)
        topics = tuple(
            topic.new(
                **{
                    **self.naming(playbook, version, name),
                    self.shape.request_partitions: tuple(
                        partition.fit(**{self.shape.request_index: index, "records": b"some"}) for index in indexes
                    ),
                }
            )
            for name, indexes in asked
        )
        return struct.fit(**{**dict(self.values), **values, self.shape.request_topics: topics})

    def naming(self, playbook: Playbook, version: int, name: str) -> dict[str, Any]:
        if not self.names_ids(version):
            return {self.shape.topic_name: name}
        if playbook.zone().rules.alias(name) is not None:
            return {"topic_id": playbook.alias_id(name)}
        return {"topic_id": {"": ZERO_ID, "kafka-orders": backing_id("kafka-orders")}.get(name, UNKNOWN_ID)}

    def partitions(self, got: BrokerGot) -> list[tuple[str, int]]:
        """What a broker is asked for."""
        names = {backing_id(name): name for name in BACKING}
        return [
            (
                names[topic.topic_id] if self.names_ids(got.version) else getattr(topic, self.shape.topic_name),
                getattr(partition, self.shape.request_index),
            )
            for topic in getattr(got.message, self.shape.request_topics)
            for partition in getattr(topic, self.shape.request_partitions)
        ]

    def answer(self, got: BrokerGot) -> Message:
        """The broker's answer: each partition once, in its own order, with its mark."""
        struct = response_struct(self.key, got.version)
        topic = struct.nested(self.shape.response_topics)
        partition = topic.nested(self.shape.response_partitions)
        by_topic: dict[str, set[int]] = {}
        for name, index in self.partitions(got):
            by_topic.setdefault(name, set()).add(index)
        by_id = self.names_ids(got.version)
        topics = tuple(
            topic.new(
                **{
                    **({"topic_id": backing_id(name)} if by_id else {self.shape.topic_name: name}),
                    self.shape.response_partitions: tuple(
                        partition.new(**{self.shape.response_index: index, self.told: mark(name, index)})
                        for index in sorted(indexes, reverse=True)
                    ),
                }
            )
            for name, indexes in sorted(by_topic.items())
        )
        return struct.fit(**{self.shape.response_topics: topics})

    def told_partitions(self, response: Message) -> list[Told]:
        """What a client received."""
        told = []
        for topic in getattr(response, self.shape.response_topics):
            naming = "topic_id" if "topic_id" in topic.struct.names else self.shape.topic_name
            partitions = [
                (getattr(p, self.shape.response_index), p.error_code, getattr(p, self.told))
                for p in getattr(topic, self.shape.response_partitions)
            ]
            told.append(({naming: getattr(topic, naming)}, partitions))
        return told


APIS: Final = {
    "produce": TopicApi(produce.KEY, PRODUCE, "base_offset", (("acks", -1),)),
    "fetch": TopicApi(fetch.KEY, FETCH, "high_watermark", (("session_epoch", -1),)),
    "list offsets": TopicApi(2, offsets.LIST_OFFSETS, "offset"),
    "offset for leader epoch": TopicApi(23, offsets.LEADER_EPOCH, "end_offset"),
}
CASES: Final = [(name, version) for name, api in APIS.items() for version in versions_of(api.key)]


def mark(topic: str, index: int) -> int:
    """A number that tells a backing partition."""
    return 100 * (1 + BACKING.index(topic)) + index


def expected(api: TopicApi, playbook: Playbook, version: int, asked: Asked) -> list[Told]:
    """What a client is told, entry by entry."""
    told: list[Told] = []
    for name, indexes in asked if not api.shape.skips_empty else [row for row in asked if row[1]]:
        alias = playbook.zone().rules.alias(name)
        error = 0
        if alias is None:
            error = 100 if api.names_ids(version) else 29
        elif api.shape.write and not alias.writable:
            error = 29
        marks = [(i, error, -1 if error or alias is None else mark(alias.topic, i)) for i in indexes]
        naming = api.naming(playbook, version, name)
        same = next((before for before, _ in told if before == naming), None) if api.shape.groups else None
        if same is None:
            told.append((naming, marks))
        else:
            next(partitions for before, partitions in told if before is same).extend(marks)
    return told


def granted(api: TopicApi, playbook: Playbook, asked: Asked) -> dict[tuple[str, int], set[str]]:
    """(backing topic, partition) -> the aliases that it was asked for under."""
    found: dict[tuple[str, int], set[str]] = {}
    for name, indexes in asked:
        alias = playbook.zone().rules.alias(name)
        if alias is not None and (alias.writable or not api.shape.write):
            for index in indexes:
                found.setdefault((alias.topic, index), set()).add(name)
    return found


@pytest.mark.parametrize(("name", "version"), CASES)
@pytest.mark.parametrize("row", ROWS)
def test_exactly_what_was_asked_in_that_order(name: str, version: int, row: str) -> None:
    api, asked = APIS[name], ROWS[row]
    with Playbook(plans=typed_plans) as playbook:
        got, answer = exchange(playbook, api, version, asked)
        assert api.told_partitions(answer) == expected(api, playbook, version, asked)
        check_requests(api, playbook, asked, got)


@pytest.mark.parametrize(("name", "version"), [case for case in CASES if case[0] in ("produce", "fetch")])
@pytest.mark.parametrize("row", ROWS)
def test_exactly_what_was_asked_on_the_byte_path(name: str, version: int, row: str) -> None:
    """An ordinary answer passes in the broker's own order, and what was asked twice is in it once."""
    api, asked = APIS[name], ROWS[row]
    with Playbook() as playbook:
        got, answer = exchange(playbook, api, version, asked)
        assert by_partition(api.told_partitions(answer)) == by_partition(expected(api, playbook, version, asked))
        check_requests(api, playbook, asked, got)


def exchange(
    playbook: Playbook, api: TopicApi, version: int, asked: Asked, **values: Any
) -> tuple[list[BrokerGot], Message]:
    """One request, all that it makes the broker get, and the answer."""
    dialogue = playbook.signed_in()
    _, data = dialogue.request(api.key, version, api.request(playbook, version, asked, **values))
    scene = play(dialogue, data, lambda got: dialogue.response(got, api.answer(got)))
    assert scene.answer is not None, scene.ended
    return scene.got, scene.answer


def by_partition(told: list[Told]) -> dict[tuple[Any, int], tuple[int, int]]:
    return {
        (name, index): (error, number)
        for naming, partitions in told
        for name in naming.values()
        for index, error, number in partitions
    }


def check_requests(api: TopicApi, playbook: Playbook, asked: Asked, got: list[BrokerGot]) -> None:
    wanted = granted(api, playbook, asked)
    sent = [set(api.partitions(request)) for request in got]
    assert {partition for request in sent for partition in request} == wanted.keys()
    if asked and not wanted:
        assert not got
    for partition, aliases in wanted.items():
        # two aliases of a partition in one request would be one entry to the broker
        assert sum(partition in request for request in sent) == len(aliases)


ACKS_0: Final = {
    "nothing": "",
    "one": "",
    "one topic twice": "",
    "one partition in two entries": "",
    "granted and refused, in turns": CloseReason.ACKS_0_REFUSED,
    "all refused": CloseReason.ACKS_0_REFUSED,
    "two aliases of one topic": CloseReason.ACKS_0_REFUSED,
}


@pytest.mark.parametrize("version", versions_of(produce.KEY))
@pytest.mark.parametrize("row", ACKS_0)
def test_without_acks_nothing_is_answered(version: int, row: str) -> None:
    """What was refused shows in the end of the connection, behind what was granted. (`twin` may not be written.)"""
    api = APIS["produce"]
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(api.key, version, api.request(playbook, version, ROWS[row], acks=0))
        got = []
        while dialogue.broker.sent:
            got.append(dialogue.broker_gets())
        check_requests(api, playbook, ROWS[row], got)
        assert all(request.message.acks == 0 for request in got)
        dialogue.client_receives_nothing()
        assert dialogue.ended == ACKS_0[row]


@pytest.mark.parametrize(("name", "version"), [case for case in CASES if case[0] not in ("produce", "fetch")])
@pytest.mark.parametrize("replica_id", [-3, -2, 0, 5])
def test_everybody_is_a_consumer(name: str, version: int, replica_id: int) -> None:
    with Playbook() as playbook:
        for row in ("nothing", "one", "two aliases of one topic"):
            got, _ = exchange(playbook, APIS[name], version, ROWS[row], replica_id=replica_id)
            assert {getattr(request.message, "replica_id", -1) for request in got} == {-1}


@pytest.mark.parametrize("version", versions_of(2))
def test_what_else_list_offsets_says_passes(version: int) -> None:
    api = APIS["list offsets"]
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        values = {"isolation_level": 1, "timeout": 1234}
        request = api.request(playbook, version, ROWS["one"], **values)
        dialogue.client_sends(api.key, version, request)
        sent = dialogue.broker_gets().message
        assert {name: getattr(sent, name, value) for name, value in values.items()} == values
        assert sent.topics[0].partitions == request.topics[0].partitions


@pytest.mark.parametrize("version", [12, 13])
@pytest.mark.parametrize(
    ("wanted", "sent", "told"),
    [
        (["orders", "orders", "twin"], ["kafka-orders"], [("orders", 0), ("twin", 0)]),
        (["zero"], [], [(None, 29)]),
        (["zero", "elsewhere"], [], [(None, 29), ("elsewhere", 29)]),
        ([("orders",), ("orders",)], ["kafka-orders"], [("orders", 0)]),
        ([("unknown",), "zero", "orders"], [], [(None, 100)]),
        ([("orders",), ("twin",), ("unknown",)], ["kafka-orders"], [("orders", 0), ("twin", 0), (None, 100)]),
    ],
    ids=str,
)
def test_odd_lists_of_metadata(version: int, wanted: list[Any], sent: list[str], told: list[tuple[Any, int]]) -> None:
    """A name, an id (in a tuple), or neither. Any id, and names count for nothing; what is repeated is told once."""
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        entry = request_struct(METADATA, version).nested("topics")
        ids = {name: playbook.alias_id(name) for name in ("orders", "twin")}
        topics = tuple(
            entry.new(name=None, topic_id=ids.get(one[0], UNKNOWN_ID))
            if isinstance(one, tuple)
            else entry.new(name=None if one == "zero" else one)
            for one in wanted
        )
        dialogue.client_sends(METADATA, version, topics=topics)
        got = dialogue.broker_gets()
        assert [topic.name for topic in got.message.topics] == sent
        found = response_struct(METADATA, got.version).nested("topics")
        dialogue.broker_answers(got, topics=tuple(found.new(name=name, topic_id=backing_id(name)) for name in sent))
        assert [(topic.name, topic.error_code) for topic in dialogue.client_receives().topics] == told


@pytest.mark.parametrize("version", range(4, 6))
def test_odd_lists_of_coordinator_keys(version: int) -> None:
    """Repeated keys are asked for once and answered as often as they were asked; an empty batch stays one."""
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        entry = response_struct(FIND_COORDINATOR, version).nested("coordinators")
        for keys, sent in ((("a", "", "a", ""), ("partner:a", "partner:")), ((), ())):
            dialogue.client_sends(FIND_COORDINATOR, version, coordinator_keys=keys)
            got = dialogue.broker_gets()
            assert got.message.coordinator_keys == sent
            dialogue.broker_answers(got, coordinators=tuple(entry.new(key=key, node_id=1) for key in sent))
            told = [(c.key, c.error_code) for c in dialogue.client_receives().coordinators]
            assert told == [(key, 0) for key in keys]


@pytest.mark.parametrize("version", versions_of(DESCRIBE_CONFIGS))
@pytest.mark.parametrize("keys", [None, (), ("retention.ms",)])
def test_odd_lists_of_configurations(version: int, keys: tuple[str, ...] | None) -> None:
    """No keys means all of them, so the list stays what it was; one resource twice is two questions."""
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        entry = request_struct(DESCRIBE_CONFIGS, version).nested("resources")
        found = response_struct(DESCRIBE_CONFIGS, version).nested("results")
        for names in (("orders", "orders"), ()):
            resources = tuple(entry.new(resource_type=2, resource_name=n, configuration_keys=keys) for n in names)
            dialogue.client_sends(DESCRIBE_CONFIGS, version, resources=resources)
            for _ in names or ("the empty list",):
                got = dialogue.broker_gets()
                assert [r.configuration_keys for r in got.message.resources] == [keys for _ in names[:1]]
                results = (found.new(resource_type=2, resource_name="kafka-orders") for _ in names[:1])
                dialogue.broker_answers(got, results=tuple(results))
            told = dialogue.client_receives().results
            assert [(result.resource_name, result.error_code) for result in told] == [(name, 0) for name in names]


@pytest.mark.parametrize("version", versions_of(DESCRIBE_CLUSTER))
@pytest.mark.parametrize("brokers", [(), (UNMAPPED_BROKER,)])
def test_a_cluster_of_which_no_broker_has_a_port(version: int, brokers: tuple[int, ...]) -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        dialogue.client_sends(DESCRIBE_CLUSTER, version)
        got = dialogue.broker_gets()
        entry = response_struct(DESCRIBE_CLUSTER, version).nested("brokers")
        answer = response_struct(DESCRIBE_CLUSTER, version).new(
            cluster_id="the-cluster",
            controller_id=UNMAPPED_BROKER,
            brokers=tuple(entry.new(broker_id=broker, host="kafka", port=9092) for broker in brokers),
        )
        dialogue.broker_answers(got, answer)
        told = dialogue.client_receives()
        assert (told.brokers, told.controller_id, told.cluster_id) == ((), -1, playbook.zone().cluster_id)


def test_the_rows_name_every_kind_of_alias() -> None:
    """Readable, writable, and two of one topic: or the table above would prove less than it says."""
    named = {name for asked in ROWS.values() for name, _ in asked}
    assert named >= {alias.name for alias in ZONE.aliases}
