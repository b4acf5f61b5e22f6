"""TxnOffsetCommit (28), without positions of several aliases."""

from typing import Final

from protocol.error_codes import ErrorCode
from proxy.apis.topics import Shape, Split
from proxy.apis.transactional_ids import refusal_of
from proxy.exchange import Answer, BrokerRequest, Call, Forward, Outcome

SHAPE: Final = Shape()


def commit(call: Call) -> Outcome:
    request = call.request
    split = Split(call, SHAPE, request.topics)
    error = refusal_of(call.zone.rules, request.transactional_id)
    if error is not None:
        for asked in split.asked:
            asked.error = error
        return Answer(call.response.fit(topics=split.merge(call.response.nested("topics"), [], error)))
    request.transactional_id = call.zone.rules.qualify(request.transactional_id)
    request.group_id = call.zone.rules.qualify(request.group_id)
    requests = []
    for layer in range(split.layers):
        message = request.copy()
        message.topics = split.topics_of(layer)
        requests.append(BrokerRequest(28, call.version, message))

    def finish(responses: list[object]) -> Answer:
        answers = [response.topics for response in responses]  # type: ignore[attr-defined]
        topics = split.merge(call.response.nested("topics"), answers, ErrorCode.UNKNOWN_SERVER_ERROR)
        return Answer(call.response.fit(topics=topics))

    return Forward(requests, finish) if requests else finish([])
