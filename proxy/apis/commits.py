"""OffsetCommit (8) and TxnOffsetCommit (28): a position per alias, also where two aliases share a backing topic.

OffsetCommit 2-10 (6 leader epoch, 8+ flexible, 10 topic ids); TxnOffsetCommit 0-5 (2 leader epoch, 3 flexible and
group membership, 5 transactions v2). Where a backing topic has one alias, a commit takes no extra step; where it has
several, it is a `MergedCommit`.
"""

from protocol.error_codes import ErrorCode
from protocol.schema import Message
from proxy.apis.ids import group_refusal, transaction_refusal
from proxy.apis.merged_commit import COMMIT, MergedCommit, answer, broker_request, codes_of, must_merge
from proxy.apis.topics import Split
from proxy.exchange import Answer, Call, Forward, Outcome
from proxy.resources import Resource, group, transaction


def commit(call: Call) -> Outcome:
    """OffsetCommit."""
    # brokers still take the empty group of consumers without one
    refused = group_refusal(call.zone.rules, call.request.group_id, empty_allowed=True)
    return _commit(call, refused, group(call.request.group_id))


def commit_in_transaction(call: Call) -> Outcome:
    """TxnOffsetCommit."""
    refused = transaction_refusal(call.zone.rules, call.request.transactional_id)
    if refused is not None:
        return _commit(call, refused, transaction(call.request.transactional_id))
    return _commit(call, group_refusal(call.zone.rules, call.request.group_id), group(call.request.group_id))


def _commit(call: Call, refused: ErrorCode | None, resource: Resource) -> Outcome:
    """`resource` is what is refused."""
    split = Split(call, COMMIT, call.request.topics)
    if refused is not None:
        split.refuse_all(refused, resource)
    if refused is not None or not split.layers:
        return answer(call, split, {})
    call.units = 1
    if any(must_merge(call, asked, alias) for asked, alias in split.granted):
        return MergedCommit(call, split).begin()

    def finish(responses: list[Message]) -> Answer:
        return answer(call, split, codes_of(split.granted, responses[0]), responses[0])

    return Forward((broker_request(call, split.topics_of(0)),), finish)
