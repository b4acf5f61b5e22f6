"""InitProducerId (22): producer ids for idempotent producers, which are every client's default, and transactional ones.

Versions 0-5; 6 (KIP-939, two-phase commit) is unstable in Kafka. No transactional id stays none; one that is given is
put into the zone's namespace.
"""

from typing import Final

from protocol.error_codes import ErrorCode
from proxy.apis.ids import transaction_refusal
from proxy.exchange import Answer, BrokerRequest, Call, Forward, Outcome
from proxy.resources import CLUSTER, transaction

KEY: Final = 22


def handle(call: Call) -> Outcome:
    error = _refusal(call)
    if error is not None:
        transactional_id = call.request.transactional_id
        call.refuse(error, CLUSTER if transactional_id is None else transaction(transactional_id))
        return Answer(call.response.fit(error_code=error, producer_id=-1, producer_epoch=-1))
    if call.request.transactional_id is not None:
        call.request.transactional_id = call.zone.rules.qualify(call.request.transactional_id)
    request = BrokerRequest(KEY, call.version, call.request)
    return Forward((request,), lambda responses: Answer(responses[0]))


def _refusal(call: Call) -> ErrorCode | None:
    if call.request.transactional_id is None:
        return None if call.zone.rules.writable else ErrorCode.CLUSTER_AUTHORIZATION_FAILED
    return transaction_refusal(call.zone.rules, call.request.transactional_id)
