"""The order of the gateway's answers: that of the request, and exactly what was asked for.

Kafka promises no order and many clients need none; some do (kafka-python pairs resources by their place).
"""

from collections.abc import Iterator, Sequence
from typing import Any

from protocol.schema import ZERO_ID, Message
from tests.equivalence.apis import Api

Steps = Sequence[str]
"""The lists that lead to the innermost elements."""

PAIRS: dict[int, tuple[Steps, Steps]] = {
    Api.PRODUCE: (("topic_data", "partition_data"), ("responses", "partition_responses")),
    Api.FETCH: (("topics", "partitions"), ("responses", "partitions")),
    Api.LIST_OFFSETS: (("topics", "partitions"), ("topics", "partitions")),
    Api.METADATA: (("topics",), ("topics",)),
    Api.OFFSET_COMMIT: (("topics", "partitions"), ("topics", "partitions")),
    Api.OFFSET_FETCH: (("groups", "topics", "partition_indexes"), ("groups", "topics", "partitions")),
    Api.FIND_COORDINATOR: (("coordinator_keys",), ("coordinators",)),
    Api.DESCRIBE_GROUPS: (("groups",), ("groups",)),
    Api.CREATE_TOPICS: (("topics",), ("topics",)),
    Api.DELETE_RECORDS: (("topics", "partitions"), ("topics", "partitions")),
    Api.OFFSET_FOR_LEADER_EPOCH: (("topics", "partitions"), ("topics", "partitions")),
    Api.TXN_OFFSET_COMMIT: (("topics", "partitions"), ("topics", "partitions")),
    Api.DESCRIBE_CONFIGS: (("resources",), ("results",)),
    Api.ALTER_CONFIGS: (("resources",), ("responses",)),
    Api.CREATE_PARTITIONS: (("topics",), ("results",)),
    Api.DELETE_GROUPS: (("groups_names",), ("results",)),
    Api.INCREMENTAL_ALTER_CONFIGS: (("resources",), ("responses",)),
    Api.OFFSET_DELETE: (("topics", "partitions"), ("topics", "partitions")),
    Api.DESCRIBE_PRODUCERS: (("topics", "partition_indexes"), ("topics", "partitions")),
    Api.DESCRIBE_TRANSACTIONS: (("transactional_ids",), ("transaction_states",)),
    Api.CONSUMER_GROUP_DESCRIBE: (("group_ids",), ("groups",)),
}
BYTE_PATH = {Api.PRODUCE, Api.FETCH}
"""Where nothing is refused these two pass in the broker's order."""
REFUSALS = {29, 53, 100}

NAMES = ("name", "topic", "group_id", "key", "transactional_id", "resource_name")
NUMBERS = ("partition_index", "partition", "index")

Element = tuple[object, ...]


def out_of_order(api: int, request: Message, answer: Any) -> str | None:
    """What is wrong, in words; None when all is well or there is nothing to look at."""
    if api not in PAIRS or not hasattr(answer, "struct"):
        return None
    asked_steps, told_steps = PAIRS[api]
    if not _listed(request, asked_steps) or _failed(answer, told_steps):
        return None
    by_id = any(_topic_id(item) != ZERO_ID for item in getattr(request, asked_steps[0]))
    asked = list(_elements(request, asked_steps, by_id))
    told = list(_elements(answer, told_steps, by_id))
    if len(set(asked)) < len(asked) or (api in BYTE_PATH and not REFUSALS.intersection(_errors(answer))):
        asked, told = sorted(set(asked), key=repr), sorted(set(told), key=repr)
    return None if asked == told else f"asked for {asked}, told of {told}"


def _listed(message: Any, steps: Steps) -> bool:
    """Whether the request lists what it asks for, at every level: null means everything there is."""
    items = getattr(message, steps[0], None)
    if not items:
        return False
    return len(steps) == 1 or all(getattr(item, steps[1]) is not None for item in items)


def _failed(answer: Message, steps: Steps) -> bool:
    """Whether it tells of an error instead of what was asked for: as a whole, or for a group and its topics."""
    outer = getattr(answer, steps[0]) if len(steps) == 3 else ()
    return any(getattr(message, "error_code", None) for message in (answer, *outer))


def _topic_id(item: Any) -> bytes:
    return getattr(item, "topic_id", ZERO_ID)


def _elements(message: Message, steps: Steps, by_id: bool, before: Element = ()) -> Iterator[Element]:
    for item in getattr(message, steps[0]) or ():
        if by_id and not before and _topic_id(item) == ZERO_ID:
            continue  # brokers look at ids alone when there is one
        key = (*before, *_key(item, by_id))
        if len(steps) == 1:
            yield key
        else:
            yield from _elements(item, steps[1:], by_id, key)


def _key(item: Any, by_id: bool) -> Element:
    if isinstance(item, str | int):
        return (item,)
    if by_id and _topic_id(item) != ZERO_ID:
        return (_topic_id(item),)
    names = item.struct.names
    field = next((name for name in (*NAMES, *NUMBERS, "topic_id") if name in names), None)
    assert field is not None, f"{item} has no name"
    kind = getattr(item, "resource_type", None)
    name = getattr(item, field)
    return ("" if name is None else name,) if kind is None else (kind, name)


def _errors(message: Any) -> Iterator[int]:
    for name in message.struct.names:
        value = getattr(message, name)
        if name == "error_code":
            yield value
        elif isinstance(value, tuple):
            for item in value:
                if hasattr(item, "struct"):
                    yield from _errors(item)
