"""Brokers' addresses become the client's, and nothing else in a response changes.

`test_every_address_is_decided` fails when Kafka's schema gains a field that looks like an address: decide then whether
it is a broker's, and list it in `protocol/addresses.py` or in `CONTENT`.
"""

from collections.abc import Iterator
from itertools import pairwise
from random import Random
from typing import Final

import pytest

from protocol.addresses import FOLLOW_RECORDS, NODES, AddressBook, AddressStream, has_addresses
from protocol.codec import decode, encode
from protocol.errors import BrokerProtocolError
from protocol.schema import API_NAMES, Message, Struct, known_versions, response_struct
from proxy.passthrough import OFFERED
from tests.unit.protocol.messages import as_known, random_message, with_unknown_tag, with_unknown_values

LOOKS_LIKE_AN_ADDRESS: Final = frozenset(
    ("host", "port", "client_host", "user_endpoint", "listeners", "node_endpoints")
)

CONTENT: Final = {
    (15, "groups.members.client_host"): "a client's",
    (69, "groups.members.client_host"): "a client's",
    (77, "groups.members.client_host"): "a client's",
    (89, "groups.members.client_host"): "a client's",
    (29, "resources.acls.host"): "what an ACL says of clients",
    (31, "filter_results.matching_acls.host"): "what an ACL says of clients",
    (55, "nodes.listeners"): "a controller's, where no client of the gateway connects to",
    (55, "nodes.listeners.host"): "a controller's",
    (55, "nodes.listeners.port"): "a controller's",
    (88, "partitions_by_user_endpoint"): "partitions of a Kafka Streams application's servers",
    (88, "partitions_by_user_endpoint.user_endpoint"): "a Kafka Streams application's",
    (88, "partitions_by_user_endpoint.user_endpoint.host"): "a Kafka Streams application's",
    (88, "partitions_by_user_endpoint.user_endpoint.port"): "a Kafka Streams application's",
    (89, "groups.members.user_endpoint"): "a Kafka Streams application's",
    (89, "groups.members.user_endpoint.host"): "a Kafka Streams application's",
    (89, "groups.members.user_endpoint.port"): "a Kafka Streams application's",
}
"""(API key, field) -> whose address it is, and so passes."""

REACHABLE: Final = {1: ("gateway", 9101), 2: ("gateway-with-a-long-name.example.com", 9102)}
HIDDEN: Final = 9
UNKNOWN: Final = b"what a later version says"


def fields(struct: Struct, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(path, name) of every field."""
    for spec in struct.fields:
        yield prefix + spec.name, spec.name
        if spec.nested is not None:
            yield from fields(spec.nested, f"{prefix}{spec.name}.")


def address_versions() -> Iterator[tuple[int, int]]:
    for key in NODES:
        low, high = known_versions(key)
        for version in range(low, high + 1):
            if has_addresses(key, response_struct(key, version)):
                yield key, version


ADDRESS_VERSIONS: Final = sorted(address_versions())
WITH_TAGS: Final = [pair for pair in ADDRESS_VERSIONS if response_struct(*pair).flexible]


def test_every_address_is_decided() -> None:
    found = {
        (key, path)
        for key, (low, high) in OFFERED.items()
        for version in range(low, high + 1)
        for path, name in fields(response_struct(key, version))
        if name in LOOKS_LIKE_AN_ADDRESS or name.endswith(("_host", "_port", "_endpoint", "_endpoints"))
    }
    replaced = {
        (key, path)
        for key, path in found
        if key in NODES and (path in ("host", "port") or path.partition(".")[0] == NODES[key].field)
    }
    assert found - replaced == set(CONTENT)
    assert {key for key, _ in replaced} == set(NODES)


def test_what_is_replaced_is_there_in_every_version_that_has_it() -> None:
    for key in API_NAMES:
        low, high = known_versions(key)
        for version in range(low, high + 1):
            struct = response_struct(key, version)
            has_ports = any(name == "port" for path, name in fields(struct) if (key, path) not in CONTENT)
            assert has_addresses(key, struct) == (has_ports and key in OFFERED), (API_NAMES[key], version)


def drawn(rng: Random, key: int, version: int) -> Message:
    """A random response that names brokers which can be reached, and one that can't."""
    struct = response_struct(key, version)
    message = random_message(rng, struct)
    nodes = NODES[key]
    targets = getattr(message, nodes.field) if nodes.field in struct.names else (message,)
    for entry in targets:
        setattr(entry, nodes.node_id, rng.choice((1, 2, HIDDEN, -1) if nodes.coordinators else (1, 2, HIDDEN)))
        entry.host, entry.port = rng.choice(("kafka-1", "k", "")), 9092
    return message


def replaced(message: Message, key: int) -> Message:
    """The same by way of the decoded message."""
    nodes = NODES[key]
    batch = nodes.field in message.struct.names
    kept = []
    for entry in getattr(message, nodes.field) if batch else (message,):
        node_id = getattr(entry, nodes.node_id)
        if node_id in REACHABLE:
            entry.host, entry.port = REACHABLE[node_id]
        elif nodes.coordinators and node_id >= 0:
            entry.node_id, entry.host, entry.port, entry.error_code = -1, "", -1, 15
        elif not nodes.coordinators:
            continue
        kept.append(entry)
    if batch:
        setattr(message, nodes.field, tuple(kept))
    return message


@pytest.mark.parametrize(("key", "version"), ADDRESS_VERSIONS)
def test_addresses_are_replaced_and_nothing_else(key: int, version: int) -> None:
    rng = Random(key << 8 | version)  # noqa: S311 - test data
    book = AddressBook(key, response_struct(key, version))
    for _ in range(40):
        message = drawn(rng, key, version)
        body = bytes(encode(message))
        assert b"".join(book.replace(body, REACHABLE.get)) == bytes(encode(replaced(message, key))), message


@pytest.mark.parametrize(("key", "version"), WITH_TAGS)
def test_what_nobody_knows_passes(key: int, version: int) -> None:
    struct = response_struct(key, version)
    rng = Random(key << 8 | version)  # noqa: S311 - test data
    book = AddressBook(key, struct)
    for _ in range(20):
        message = drawn(rng, key, version)
        body = bytes(encode(with_unknown_values(message, UNKNOWN)))
        got = decode(with_unknown_tag(struct), b"".join(book.replace(body, REACHABLE.get)))
        assert got == with_unknown_values(replaced(message, key), UNKNOWN)
        assert as_known(struct, got) == message


def streamed(book: AddressBook, body: bytes, points: list[int]) -> tuple[bytes, bytes]:
    """(what had come back before the last piece went in, all of it)."""
    stream = AddressStream(book, len(body), REACHABLE.get)
    got, before = b"", b""
    for low, high in pairwise(points):
        assert not stream.finished
        before = got
        got += b"".join(stream.feed(body[low:high]))
    assert stream.finished
    return before, got


@pytest.mark.parametrize(("key", "version"), [pair for pair in ADDRESS_VERSIONS if pair[0] in FOLLOW_RECORDS])
def test_a_streamed_response_is_as_long_as_it_was_announced(key: int, version: int) -> None:
    rng = Random(version)  # noqa: S311 - test data
    struct = response_struct(key, version)
    book = AddressBook(key, struct)
    told = set()
    for _ in range(200):
        message = drawn(rng, key, version)
        body = bytes(encode(rng.choice((message, with_unknown_values(message, UNKNOWN)))))
        points = sorted({0, len(body), *(rng.randint(0, len(body)) for _ in range(rng.choice((0, 3, 30))))})
        _, got = streamed(book, body, points)
        assert len(got) == len(body)
        known = decode(struct, got)
        wanted = replaced(message, key)
        whole = known.node_endpoints == wanted.node_endpoints
        told.add(whole)
        assert whole or known.node_endpoints == ()
        wanted.node_endpoints = known.node_endpoints
        assert known == wanted
    assert told == {True, False}, "addresses both that fit and that are too long"


@pytest.mark.parametrize("key", sorted(FOLLOW_RECORDS))
def test_records_pass_as_they_come_in(key: int) -> None:
    struct = response_struct(key, known_versions(key)[1])
    topic = struct.nested("responses")
    message = random_message(Random(0), struct)  # noqa: S311 - test data
    partition = random_message(Random(1), topic.nested("partitions"))  # noqa: S311 - test data
    partition.records = bytes(100_000)
    message.responses = (topic.new(partitions=(partition,)),)
    message.node_endpoints = (struct.nested("node_endpoints").new(node_id=1, host="kafka-broker-1", port=9092),)
    body = bytes(encode(message))
    before, got = streamed(AddressBook(key, struct), body, [0, 1000, 50_000, 90_000, len(body)])
    assert len(before) == 90_000, "what has come in has passed"
    assert [(node.host, node.port) for node in decode(struct, got).node_endpoints] == [REACHABLE[1]]


@pytest.mark.parametrize("cut", [10, 30, 60])
def test_a_response_that_does_not_follow_its_schema_is_the_brokers_fault(cut: int) -> None:
    struct = response_struct(1, 16)
    topic = struct.nested("responses")
    partition = topic.nested("partitions").new(records=bytes(50))
    body = bytes(encode(struct.new(responses=(topic.new(partitions=(partition,)),))))
    book = AddressBook(1, struct)
    with pytest.raises(BrokerProtocolError):
        book.replace(body[:cut], REACHABLE.get)
    with pytest.raises(BrokerProtocolError):
        list(AddressStream(book, cut, REACHABLE.get).feed(body[:cut]))


def test_an_end_of_a_stream_has_its_bound() -> None:
    struct = response_struct(1, 16)
    body = bytes(encode(struct.new()))[:-1] + b"\x01\x3f\xff\xff\xff\x7f"
    stream = AddressStream(AddressBook(1, struct), 1 << 28, REACHABLE.get)
    assert b"".join(stream.feed(body)) == body[:-6]
    with pytest.raises(BrokerProtocolError, match="4194304"):
        for _ in range(5):
            list(stream.feed(bytes(1 << 20)))
