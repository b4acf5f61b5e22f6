"""JoinGroup (11), Heartbeat (12), LeaveGroup (13), SyncGroup (14): the group id in the zone's own namespace.

Versions: JoinGroup 0-9, Heartbeat 0-4, LeaveGroup 0-5, SyncGroup 0-5. Everything but the group id passes: member ids
are made by the broker, and the members of one group understand each other's subscriptions and assignments under the
aliases that they all use.
"""

from protocol.error_codes import ErrorCode
from protocol.schema import Message
from proxy.exchange import Answer, BrokerRequest, Call, Forward, Outcome

JOIN_GROUP = 11


def handle(call: Call) -> Outcome:
    if not call.request.group_id:
        call.refuse(ErrorCode.INVALID_GROUP_ID)
        return Answer(_refused(call))
    call.request.group_id = call.zone.rules.qualify(call.request.group_id)
    request = BrokerRequest(call.api_key, call.version, call.request)
    return Forward((request,), lambda responses: Answer(responses[0]))


def _refused(call: Call) -> Message:
    if call.api_key == JOIN_GROUP:
        # the broker's own shape of a refusal: no protocol, which is null only where the version allows it
        protocol_name = None if call.version >= 7 else ""
        return call.response.fit(
            error_code=ErrorCode.INVALID_GROUP_ID, member_id=call.request.member_id, protocol_name=protocol_name
        )
    return call.response.fit(error_code=ErrorCode.INVALID_GROUP_ID)
