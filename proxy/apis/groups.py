"""JoinGroup (11), Heartbeat (12), LeaveGroup (13), SyncGroup (14): the group id in the zone's own namespace.

Versions: JoinGroup 0-9, Heartbeat 0-4, LeaveGroup 0-5, SyncGroup 0-5 (5 protocol type). Where the protocol type is
"consumer", subscriptions and assignments are rewritten (`member_blobs`); those of other types (Kafka Connect, schema
registries) mean nothing to a coordinator and pass as they are. Before version 5 SyncGroup doesn't tell the type: what
reads as an assignment is taken for one. Member ids pass; they begin with `<zone>:<client id>`.

In a group of the consumer protocol (KIP-848), classic members too have to mean the same aliases of a shared topic as
all others (`consumer_groups`).
"""

from collections.abc import Iterable
from typing import Final

from protocol.consumer_protocol import PROTOCOL_TYPE, Assignment, attach, attached
from protocol.consumer_protocol import Subscription as SubscriptionBlob
from protocol.error_codes import ErrorCode
from protocol.errors import ProtocolError
from protocol.schema import Message
from proxy.apis.consumer_groups import DESCRIBE_KEY, agree, describe_request
from proxy.apis.ids import group_refusal
from proxy.apis.member_blobs import NO_BLOB, alone, readable, shared_aliases, to_broker, to_client
from proxy.exchange import Answer, BrokerRequest, Call, Forward, Outcome
from proxy.resources import group as group_resource
from proxy.subscriptions import Subscription

JOIN_GROUP: Final = 11


def heartbeat(call: Call) -> Outcome:
    error = group_refusal(call.zone.rules, call.request.group_id)
    return _refused(call, error) if error else _forward(call)


def leave(call: Call) -> Outcome:
    error = group_refusal(call.zone.rules, call.request.group_id)
    if error:
        return _refused(call, error)
    several = "members" in call.request.struct.names
    for member in call.request.members if several else (call.request,):
        call.zone.subscriptions.forget(call.request.group_id, member.member_id)
        call.zone.owners.forget(call.request.group_id, member.member_id)
    return _forward(call)


def join(call: Call) -> Outcome:
    error = group_refusal(call.zone.rules, call.request.group_id)
    if error:
        return _refused(call, error)
    if call.request.protocol_type != PROTOCOL_TYPE:
        return _forward(call)
    group_id, protocols = call.request.group_id, call.request.protocols
    subscribed = _shared_subscription(call, protocols[0].metadata) if protocols else ()
    try:
        for protocol in protocols:
            protocol.metadata = to_broker(call.zone.rules, SubscriptionBlob, protocol.metadata)
    except ProtocolError:
        return _refused(call, ErrorCode.INCONSISTENT_GROUP_PROTOCOL)

    request = _broker_request(call)
    if not subscribed or not call.brokers.offers(DESCRIBE_KEY):
        return Forward((request,), lambda responses: _joined(call, group_id, subscribed, responses[0]))

    def check(responses: list[Message]) -> Outcome:
        """In a group of the consumer protocol the coordinator gives each backing partition to one member."""
        others = [m for group in responses[0].groups for m in group.members if m.member_id != call.request.member_id]
        if not all(agree(call, group_id, subscribed, topic, others) for topic in _shared_topics(call, subscribed)):
            return _refused(call, ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
        joining = (request,)
        return Forward(joining, lambda joined: _joined(call, group_id, subscribed, joined[0]), exclusive=True)

    return Forward((describe_request(call, group_id),), check, exclusive=True)


def _shared_topics(call: Call, names: Iterable[str]) -> frozenset[str]:
    topics = {alias.topic for alias in map(call.zone.rules.alias, names) if alias is not None}
    return frozenset(filter(call.zone.rules.is_shared, topics))


def _joined(call: Call, group_id: str, subscribed: tuple[str, ...], response: Message) -> Answer:
    if subscribed and not response.error_code:
        call.zone.subscriptions.remember(group_id, response.member_id, Subscription(subscribed))
    for member in response.members:
        member.metadata = readable(call.zone.rules, SubscriptionBlob, member.metadata)
    return Answer(response)


def _shared_subscription(call: Call, metadata: bytes) -> tuple[str, ...]:
    """The aliases of a subscription, sorted, if one of them shares its backing topic with another one.

    A member's protocols all have the same subscription.
    """
    try:
        blob = SubscriptionBlob.parse(metadata)
    except ProtocolError:
        return ()
    if not shared_aliases(call.zone.rules, blob):
        return ()
    return tuple(sorted(name for name in set(blob.topics) if call.zone.rules.alias(name) is not None))


def sync(call: Call) -> Outcome:
    if "protocol_type" in call.request.struct.names and None in (
        call.request.protocol_type,
        call.request.protocol_name,
    ):
        return _refused(call, ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    error = group_refusal(call.zone.rules, call.request.group_id)
    if error:
        return _refused(call, error)
    protocol_type = getattr(call.request, "protocol_type", None)
    if protocol_type not in (PROTOCOL_TYPE, None):
        return _forward(call)
    owners = _sole_owners(call)
    try:
        for entry in call.request.assignments:
            sole = entry.member_id in owners
            entry.assignment = _assignment_to_broker(call, entry.assignment, protocol_type, sole)
    except ProtocolError:
        return _refused(call, ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    group_id, member_id, generation = call.request.group_id, call.request.member_id, call.request.generation_id
    known = call.zone.subscriptions.find(group_id, member_id)
    subscribed = known.names if known is not None else ()

    def finish(responses: list[Message]) -> Outcome:
        (response,) = responses
        attachment = attached(response.assignment)
        if attachment is not None and attachment[1]:
            call.zone.owners.remember(group_id, member_id, generation)
        try:
            response.assignment = to_client(call.zone.rules, Assignment, response.assignment, subscribed)
        except ProtocolError:
            if protocol_type is not None:
                response.assignment = NO_BLOB
        return Answer(response)

    return Forward((_broker_request(call),), finish)


def _sole_owners(call: Call) -> frozenset[str]:
    """The members whose backing partitions nobody else commits in this generation."""
    try:
        return alone(call.zone.rules, {entry.member_id: entry.assignment for entry in call.request.assignments})
    except ProtocolError:
        return frozenset()


def _assignment_to_broker(call: Call, assignment: bytes, protocol_type: str | None, sole: bool) -> bytes:
    try:
        return to_broker(call.zone.rules, Assignment, assignment, sole)
    except ProtocolError:
        if protocol_type is not None:
            raise
        # another protocol's; what looks like an attachment must come back all the same
        return assignment if attached(assignment) is None else attach(assignment, assignment)


def _forward(call: Call) -> Outcome:
    return Forward((_broker_request(call),), lambda responses: Answer(responses[0]))


def _broker_request(call: Call) -> BrokerRequest:
    call.request.group_id = call.zone.rules.qualify(call.request.group_id)
    return BrokerRequest(call.api_key, call.version, call.request)


def _refused(call: Call, error: ErrorCode) -> Outcome:
    """A refusal in the broker's own shape: no protocol, which is null only where the version allows it."""
    call.refuse(error, group_resource(call.request.group_id))
    if call.api_key != JOIN_GROUP:
        return Answer(call.response.fit(error_code=error))
    # an authorizer's refusal comes before the coordinator has looked at the request
    member_id = "" if error == ErrorCode.GROUP_AUTHORIZATION_FAILED else call.request.member_id
    protocol_name = None if call.version >= 7 else ""
    return Answer(call.response.fit(error_code=error, member_id=member_id, protocol_name=protocol_name))
