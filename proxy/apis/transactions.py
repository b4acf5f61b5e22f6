"""AddPartitionsToTxn (24), AddOffsetsToTxn (25), EndTxn (26): transactions under the zone's own transactional ids.

Versions: AddPartitionsToTxn 0-3, for 4+ is between brokers and checks no permission of a client's; AddOffsetsToTxn 0-4;
EndTxn 0-5, where 5 returns a new producer epoch (KIP-890). InitProducerId is in `producers`, describing and listing
in `transaction_lists`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from policies.zone import Alias
from protocol.error_codes import ErrorCode
from protocol.schema import Message, request_struct
from proxy.apis import metadata
from proxy.apis.ids import is_too_long, transaction_refusal
from proxy.exchange import Answer, BrokerRequest, Call, Forward, Outcome
from proxy.resources import Resource, group, topic, transaction

ADD_PARTITIONS: Final = 24

ErrorOf = Callable[[Alias | None, int], int]
"""(alias that may be written, partition index) -> error code"""


def end(call: Call) -> Outcome:
    """EndTxn."""
    error = transaction_refusal(call.zone.rules, call.request.transactional_id)
    if error is not None:
        return _refuse(call, error)
    call.zone.pending_commits.forget(call.request.transactional_id)
    return _forward(call)


def add_offsets(call: Call) -> Outcome:
    """AddOffsetsToTxn. An empty group id is none of its matters: TxnOffsetCommit refuses it, on a broker too."""
    error = transaction_refusal(call.zone.rules, call.request.transactional_id)
    if error is not None:
        return _refuse(call, error)
    if is_too_long(call.zone.rules, call.request.group_id):
        return _refuse(call, ErrorCode.INVALID_GROUP_ID, group(call.request.group_id))
    call.request.group_id = call.zone.rules.qualify(call.request.group_id)
    return _forward(call)


def _refuse(call: Call, error: ErrorCode, resource: Resource | None = None) -> Answer:
    call.refuse(error, resource or transaction(call.request.transactional_id))
    return Answer(call.response.fit(error_code=error))


def _forward(call: Call) -> Forward:
    call.request.transactional_id = call.zone.rules.qualify(call.request.transactional_id)
    request = BrokerRequest(call.api_key, call.version, call.request)
    return Forward((request,), lambda responses: Answer(responses[0]))


# AddPartitionsToTxn


@dataclass(slots=True)
class _Asked:
    """One topic of the request; `alias` is None where it may not be written."""

    topic: Message
    alias: Alias | None


def add_partitions(call: Call) -> Outcome:
    """All or nothing: with one partition that is refused, none is added, and the broker isn't told of any."""
    request = call.request
    asked = [_Asked(topic, _writable_alias(call, topic.name)) for topic in request.v3_and_below_topics]
    error = transaction_refusal(call.zone.rules, request.v3_and_below_transactional_id)
    # as on a broker, permissions come before the id's own faults
    if error != ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED and any(each.alias is None for each in asked):
        return _add_none(call, asked)
    if error is not None:
        refused = transaction(request.v3_and_below_transactional_id)
        call.refuse(error, refused, sum(len(each.topic.partitions) for each in asked))
        return _answer(call, asked, lambda _alias, _index: error)
    entry = request.struct.nested("v3_and_below_topics")
    # two aliases of one backing partition are one partition of the transaction
    wanted: dict[str, dict[int, None]] = {}
    for each in asked:
        assert each.alias is not None
        wanted.setdefault(each.alias.topic, {}).update(dict.fromkeys(each.topic.partitions))
    request.v3_and_below_topics = tuple(
        entry.new(name=topic, partitions=tuple(indexes)) for topic, indexes in wanted.items()
    )
    request.v3_and_below_transactional_id = call.zone.rules.qualify(request.v3_and_below_transactional_id)
    broker_request = BrokerRequest(ADD_PARTITIONS, call.version, request)
    return Forward((broker_request,), lambda responses: _on_added(call, asked, responses[0]))


def _writable_alias(call: Call, name: str) -> Alias | None:
    alias = call.zone.rules.alias(name)
    return alias if alias is not None and alias.writable else None


def _on_added(call: Call, asked: Sequence[_Asked], response: Message) -> Answer:
    found: dict[tuple[str, int], int] = {
        (topic.name, partition.partition_index): partition.partition_error_code
        for topic in response.results_by_topic_v3_and_below
        for partition in topic.results_by_partition
    }
    for error in found.values():
        call.zone.note_broker_error(ADD_PARTITIONS, error)

    def error_of(alias: Alias | None, index: int) -> int:
        assert alias is not None
        return found.get((alias.topic, index), ErrorCode.UNKNOWN_SERVER_ERROR)

    return _answer(call, asked, error_of, response.throttle_time)


def _add_none(call: Call, asked: Sequence[_Asked]) -> Outcome:
    """Some may not be written. Of the others a broker tells which ones don't exist, so that is looked up."""
    for each in asked:
        if each.alias is None:
            call.refuse(ErrorCode.TOPIC_AUTHORIZATION_FAILED, topic(each.topic.name), len(each.topic.partitions))
    names = dict.fromkeys(each.alias.topic for each in asked if each.alias is not None)
    if not names:
        return _answer(call, asked, lambda _alias, _index: ErrorCode.TOPIC_AUTHORIZATION_FAILED)
    version = min(metadata.NEWEST, call.brokers.version_range(metadata.KEY)[1])
    struct = request_struct(metadata.KEY, version)
    topics = tuple(struct.nested("topics").new(name=name) for name in names)
    request = BrokerRequest(metadata.KEY, version, struct.new(topics=topics, allow_auto_topic_creation=False))
    return Forward((request,), lambda responses: _on_known(call, asked, responses[0]))


def _on_known(call: Call, asked: Sequence[_Asked], response: Message) -> Answer:
    known = {(topic.name, partition.partition_index) for topic in response.topics for partition in topic.partitions}

    def error_of(alias: Alias | None, index: int) -> int:
        if alias is None:
            return ErrorCode.TOPIC_AUTHORIZATION_FAILED
        if (alias.topic, index) in known:
            return ErrorCode.OPERATION_NOT_ATTEMPTED
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION

    return _answer(call, asked, error_of, response.throttle_time)


def _answer(call: Call, asked: Sequence[_Asked], error_of: ErrorOf, throttle_time: int = 0) -> Answer:
    """What was asked, in its order."""
    entry = call.response.nested("results_by_topic_v3_and_below")
    partition = entry.nested("results_by_partition")
    results = tuple(
        entry.new(
            name=each.topic.name,
            results_by_partition=tuple(
                partition.new(partition_index=index, partition_error_code=error_of(each.alias, index))
                for index in each.topic.partitions
            ),
        )
        for each in asked
    )
    return Answer(call.response.fit(throttle_time=throttle_time, results_by_topic_v3_and_below=results))
