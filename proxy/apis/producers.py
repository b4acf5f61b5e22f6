"""InitProducerId (22): idempotent producers, which are every client's default. Versions 0-5; 6 is unstable in Kafka.

A transactional id is refused: transactions are not offered.
"""

from typing import Final

from protocol.error_codes import ErrorCode
from proxy.exchange import Answer, BrokerRequest, Call, Forward, Outcome

KEY: Final = 22


def handle(call: Call) -> Outcome:
    error = _refusal(call)
    if error is not None:
        call.refuse(error)
        return Answer(call.response.fit(error_code=error, producer_id=-1, producer_epoch=-1))
    request = BrokerRequest(KEY, call.version, call.request)
    return Forward((request,), lambda responses: Answer(responses[0]))


def _refusal(call: Call) -> ErrorCode | None:
    transactional_id = call.request.transactional_id
    if transactional_id is None:
        return None if call.zone.rules.writable else ErrorCode.CLUSTER_AUTHORIZATION_FAILED
    return ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED if transactional_id else ErrorCode.INVALID_REQUEST
