"""DescribeGroups (15), ListGroups (16), DeleteGroups (42): the zone's own groups, under the client's ids.

Versions: DescribeGroups 0-6 (3 authorised operations, 6 error texts), ListGroups 0-5 (4 states, 5 types), DeleteGroups
0-2. Coordinators answer a repeated id twice in DescribeGroups and once in DeleteGroups, and take the empty id for a
group that nobody has. Groups of other types than "consumer" keep their members' blobs as they are.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from protocol.consumer_protocol import PROTOCOL_TYPE, Assignment, Subscription
from protocol.error_codes import ErrorCode, own_text, text_of
from protocol.schema import Message, Struct
from proxy.apis.ids import GROUP_OPERATIONS, UNKNOWN_HOST, group_refusal
from proxy.apis.member_blobs import readable
from proxy.exchange import Answer, BrokerRequest, Call, Forward, Outcome
from proxy.resources import group as group_resource

NOT_ASKED: Final = -(2**31)

Refusals = Mapping[str, ErrorCode | None]


def describe(call: Call) -> Outcome:
    groups: Sequence[str] = call.request.groups
    refused = _refusals(call, groups)
    granted = _granted(call, refused)
    if groups and not granted:
        return _described(call, refused, ())
    message = call.request.copy()
    message.groups = granted
    request = BrokerRequest(call.api_key, call.version, message)
    return Forward((request,), lambda responses: _described(call, refused, responses))


def delete(call: Call) -> Outcome:
    groups: Sequence[str] = call.request.groups_names
    refused = _refusals(call, groups)
    granted = _granted(call, refused)
    if groups and not granted:
        return _deleted(call, refused, ())
    request = BrokerRequest(call.api_key, call.version, call.request.struct.new(groups_names=granted))
    return Forward((request,), lambda responses: _deleted(call, refused, responses))


def list_groups(call: Call) -> Outcome:
    if not call.zone.rules.aliases:
        return Answer(call.response.new())
    return Forward(
        (BrokerRequest(call.api_key, call.version, call.request),), lambda responses: _listed(call, responses[0])
    )


def _refusals(call: Call, groups: Sequence[str]) -> Refusals:
    refused = {group: group_refusal(call.zone.rules, group, empty_allowed=True) for group in groups}
    for group, error in refused.items():
        if error is not None:
            call.refuse(error, group_resource(group))
    return refused


def _granted(call: Call, refused: Refusals) -> tuple[str, ...]:
    """The groups that the broker is asked for, each once."""
    return tuple(call.zone.rules.qualify(group) for group, error in refused.items() if error is None)


def _listed(call: Call, response: Message) -> Answer:
    listed = []
    for group in response.groups:
        own_id = call.zone.rules.unqualify(group.group_id)
        if own_id is not None:
            group.group_id = own_id
            listed.append(group)
    response.groups = tuple(listed)
    return Answer(response)


def _described(call: Call, refused: Refusals, responses: Sequence[Message]) -> Answer:
    found = {group.group_id: group for response in responses for group in response.groups}
    entry = call.response.nested("groups")
    answers = {
        group: _described_group(call, entry, group, error, found.get(call.zone.rules.qualify(group)))
        for group, error in refused.items()
    }
    groups = tuple(answers[group] for group in call.request.groups)
    return Answer(call.response.fit(groups=groups, throttle_time=_throttle(responses)))


def _described_group(
    call: Call, entry: Struct, group_id: str, refused: ErrorCode | None, found: Message | None
) -> Message:
    if refused is not None or found is None:
        error = refused if refused is not None else ErrorCode.UNKNOWN_SERVER_ERROR
        return entry.fit(group_id=group_id, error_code=error, error_message=text_of(error))
    call.zone.note_broker_error(call.api_key, found.error_code)
    for member in found.members:
        member.client_id = call.zone.rules.unqualify(member.client_id) or ""
        member.client_host = UNKNOWN_HOST
        if found.protocol_type == PROTOCOL_TYPE:
            _rename_blobs(call, group_id, member)
    asked = getattr(call.request, "include_authorized_operations", False) and not found.error_code
    values = {name: getattr(found, name) for name in entry.names} | {
        "group_id": group_id,
        "error_message": own_text(found.error_code, getattr(found, "error_message", None)),
        "authorized_operations": GROUP_OPERATIONS if asked else NOT_ASKED,
    }
    return entry.fit(**values)


def _rename_blobs(call: Call, group_id: str, member: Message) -> None:
    known = call.zone.subscriptions.find(group_id, member.member_id)
    subscribed = known.names if known is not None else ()
    member.member_metadata = readable(call.zone.rules, Subscription, member.member_metadata)
    member.member_assignment = readable(call.zone.rules, Assignment, member.member_assignment, subscribed)


def _deleted(call: Call, refused: Refusals, responses: Sequence[Message]) -> Answer:
    found = {result.group_id: result.error_code for response in responses for result in response.results}
    entry = call.response.nested("results")
    results = []
    for group, error in refused.items():
        code = error
        if code is None:
            code = found.get(call.zone.rules.qualify(group), ErrorCode.UNKNOWN_SERVER_ERROR)
            call.zone.note_broker_error(call.api_key, code)
        results.append(entry.fit(group_id=group, error_code=code, error_message=text_of(code) if code else None))
    return Answer(call.response.fit(results=tuple(results), throttle_time=_throttle(responses)))


def _throttle(responses: Sequence[Message]) -> int:
    return max((getattr(response, "throttle_time", 0) for response in responses), default=0)
