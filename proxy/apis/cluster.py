"""DescribeCluster (60): the zone's virtual cluster id, and brokers at the gateway's addresses.

Versions: 1 endpoint type (KIP-919), 2 fenced brokers. Controllers are never described.
"""

from typing import Final

from protocol.error_codes import ErrorCode, own_text, text_of
from protocol.schema import Message
from proxy.apis.metadata import NOT_ASKED
from proxy.exchange import Answer, BrokerRequest, Call, Forward, Outcome
from proxy.resources import CLUSTER

KEY: Final = 60
BROKERS: Final = 1
CONTROLLERS: Final = 2


def handle(call: Call) -> Outcome:
    endpoint_type = getattr(call.request, "endpoint_type", BROKERS)
    if endpoint_type != BROKERS:
        error = (
            ErrorCode.MISMATCHED_ENDPOINT_TYPE if endpoint_type == CONTROLLERS else ErrorCode.UNSUPPORTED_ENDPOINT_TYPE
        )
        call.refuse(error, CLUSTER)
        return Answer(call.response.fit(error_code=error, error_message=text_of(error)))
    message = call.request.struct.fit(include_fenced_brokers=getattr(call.request, "include_fenced_brokers", False))
    return Forward((BrokerRequest(KEY, call.version, message),), lambda responses: _finish(call, responses[0]))


def _finish(call: Call, response: Message) -> Answer:
    call.brokers.saw_brokers([broker.broker_id for broker in response.brokers])
    brokers = []
    for broker in response.brokers:
        endpoint = call.endpoints.endpoint(broker.broker_id)
        if endpoint is not None:
            broker.host, broker.port = endpoint
            brokers.append(broker)
    response.brokers = tuple(brokers)
    response.cluster_id = call.zone.cluster_id
    response.error_message = own_text(response.error_code, response.error_message)
    if call.endpoints.endpoint(response.controller_id) is None:
        response.controller_id = brokers[0].broker_id if brokers else -1
    response.cluster_authorized_operations = 0 if call.request.include_cluster_authorized_operations else NOT_ASKED
    return Answer(response)
