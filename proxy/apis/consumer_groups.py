"""ConsumerGroupHeartbeat (68) and ConsumerGroupDescribe (69): groups whose assignments the broker makes (KIP-848).

Versions of both: 0 names only, member ids made by the broker; 1 regular expressions, member ids made by the client, a
member's type. Every field of a heartbeat that is null means "as before", so what a member has subscribed to is
remembered (`zone.subscriptions`); a member that isn't known here (the gateway was started anew, or another one served
it), or whose words mean something else since the zone changed, is made to say everything again. The broker assigns
backing topics; a member gets each under the aliases that it means. `policies.subscriptions` tells what a subscription
means and what the broker is told.

Two members of a group that mean different aliases of one backing topic would share its partitions, so that neither
alias would deliver everything: the second one is refused.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from policies.subscriptions import InvalidPatternError, Meaning, Words, meaning, recall, words
from policies.zone import Alias
from protocol.error_codes import ErrorCode, own_text, text_of
from protocol.errors import BrokerProtocolError
from protocol.schema import Message, request_struct
from proxy.apis import metadata
from proxy.apis.ids import GROUP_OPERATIONS, UNKNOWN_HOST
from proxy.exchange import Answer, BrokerRequest, Call, Forward, Outcome
from proxy.ownership import EVERY_GENERATION
from proxy.resources import Resource, topic
from proxy.resources import group as group_resource
from proxy.subscriptions import Subscription

HEARTBEAT_KEY: Final = 68
DESCRIBE_KEY: Final = 69
FIRST_WITH_REGEX: Final = 1
NEWEST_DESCRIBE: Final = 1

JOIN_EPOCH: Final = 0
LEAVE_EPOCH: Final = -1
CLASSIC_MEMBER: Final = 0
CONSUMER_MEMBER: Final = 1
NOT_SENT: Final = -1
"""A rebalance timeout that is as before."""

MEMBER_IS_GONE: Final = (ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.FENCED_MEMBER_EPOCH, ErrorCode.GROUP_ID_NOT_FOUND)

NO_GROUP_ID: Final = "GroupId can't be empty."
OWNS_AT_JOINING: Final = "TopicPartitions must be empty when a member joins."
BAD_REGEX: Final = "SubscribedTopicRegex is not a regular expression that RE2 accepts, or it is too large."
SAY_AGAIN: Final = "The member has to send its whole subscription again."
TOO_OLD: Final = "{} and another alias are the same topic, for which version 1 of the consumer protocol is needed."
DIFFERENT_ALIASES: Final = (
    "Another member of the group has not subscribed to exactly these aliases of one topic: {}. With the consumer "
    "protocol, all members of a group must subscribe to the same aliases of a topic. Use another group, the same "
    "subscription in all members, or group.protocol=classic."
)


def heartbeat(call: Call) -> Outcome:
    request = call.request
    refusal = _refusal(call)
    if refusal is not None:
        return refusal
    if request.member_epoch < JOIN_EPOCH:
        return _ask_broker(call, Words(), meaning(call.zone.rules, Words()))
    known = call.zone.subscriptions.find(request.group_id, request.member_id)
    said = _said(request, known)
    if said is None:
        return _ask_client_again(call, _words_of(known), asked_before=known is not None)
    try:
        meant = meaning(call.zone.rules, said)
    except InvalidPatternError:
        return _refuse(call, ErrorCode.INVALID_REGULAR_EXPRESSION, BAD_REGEX)
    if request.member_epoch > JOIN_EPOCH and not _tells(request) and known is not None and known.told != meant:
        return _ask_client_again(call, said)
    if meant.shared and call.version < FIRST_WITH_REGEX:
        names = ", ".join(meant.aliases_of(call.zone.rules, meant.shared[0]))
        return _refuse(call, ErrorCode.INVALID_REQUEST, TOO_OLD.format(names))
    return _ask_broker(call, said, meant)


def _refusal(call: Call) -> Answer | None:
    if not call.request.group_id:
        return _refuse(call, ErrorCode.INVALID_REQUEST, NO_GROUP_ID)
    if not call.zone.rules.aliases:
        return _refuse(call, ErrorCode.GROUP_AUTHORIZATION_FAILED, text_of(ErrorCode.GROUP_AUTHORIZATION_FAILED))
    if call.request.member_epoch == JOIN_EPOCH and call.request.topic_partitions:
        # some of them may be nobody's, and would be left out
        return _refuse(call, ErrorCode.INVALID_REQUEST, OWNS_AT_JOINING)
    outside = [name for name in call.request.subscribed_topic_names or () if call.zone.rules.alias(name) is None]
    if outside:
        return _refuse(call, ErrorCode.TOPIC_AUTHORIZATION_FAILED, None, topic(outside[0]))
    return None


def _refuse(call: Call, error: ErrorCode, text: str | None, resource: Resource | None = None) -> Answer:
    call.refuse(error, resource or group_resource(call.request.group_id))
    return Answer(call.response.new(error_code=error, error_message=text))


def _tells(request: Message) -> bool:
    return request.subscribed_topic_names is not None or getattr(request, "subscribed_topic_regex", None) is not None


def _said(request: Message, known: Subscription | None) -> Words | None:
    """The member's whole subscription; None when this request doesn't tell it, and it isn't known here."""
    if known is None or known.told is None:
        full = (
            _tells(request) and request.rebalance_timeout != NOT_SENT and request.topic_partitions is not None
        )  # what a broker takes for a full request, which it answers with the whole assignment
        if not full and request.member_epoch > JOIN_EPOCH:
            return None
    before = _words_of(known)
    names, regex = request.subscribed_topic_names, getattr(request, "subscribed_topic_regex", None)
    return words(before.names if names is None else names, before.regex if regex is None else regex)


def _words_of(known: Subscription | None) -> Words:
    return Words(known.names, known.regex) if known is not None else Words()


def _ask_client_again(call: Call, said: Words, asked_before: bool = False) -> Answer:
    """Clients send everything after NOT_COORDINATOR; one that doesn't must join anew."""
    _remember(call, call.request.member_id, Subscription(said.names, said.regex))
    error = ErrorCode.FENCED_MEMBER_EPOCH if asked_before else ErrorCode.NOT_COORDINATOR
    return Answer(call.response.new(error_code=error, error_message=SAY_AGAIN))


def _remember(call: Call, member_id: str, subscription: Subscription) -> None:
    call.zone.subscriptions.remember(call.request.group_id, member_id, subscription)


def _ask_broker(call: Call, said: Words, meant: Meaning) -> Outcome:
    message = call.request.copy()
    message.group_id = call.zone.rules.qualify(call.request.group_id)
    message.topic_partitions = _owned(call)
    if _tells(call.request):
        message.subscribed_topic_names = meant.topics
        if call.version >= FIRST_WITH_REGEX:
            message.subscribed_topic_regex = meant.memo
    request = BrokerRequest(HEARTBEAT_KEY, call.version, message)
    return Forward((request,), lambda responses: _answered(call, said, meant, responses[0]), exclusive=True)


def _owned(call: Call) -> Sequence[Message] | None:
    """The partitions that the member has, under backing ids. What is no alias's any more is not owned any more."""
    if call.request.topic_partitions is None:
        return None
    merged: dict[bytes, dict[int, None]] = {}
    for owned in call.request.topic_partitions:
        alias = call.zone.alias_with_id(owned.topic_id)
        if alias is not None:
            merged.setdefault(call.zone.topic_id(alias), {}).update(dict.fromkeys(owned.partitions))
    entry = call.request.struct.nested("topic_partitions")
    return tuple(entry.new(topic_id=topic_id, partitions=tuple(indexes)) for topic_id, indexes in merged.items())


# the broker's answer


def _answered(call: Call, said: Words, meant: Meaning, response: Message) -> Outcome:
    request = call.request
    if request.member_epoch < JOIN_EPOCH or response.error_code in MEMBER_IS_GONE:
        call.zone.subscriptions.forget(request.group_id, request.member_id)
        call.zone.owners.forget(request.group_id, request.member_id)
    if request.member_epoch < JOIN_EPOCH or response.error_code:
        return _answer(call, response, None)
    if not _tells(request):
        return _translate(call, said, meant, response)
    member_id = response.member_id or request.member_id
    if not meant.shared:
        return _accept(call, member_id, said, meant, response)
    return Forward(
        (describe_request(call, call.request.group_id),),
        lambda described: _check_others(call, member_id, said, meant, response, described[0]),
        exclusive=True,
    )


def _accept(call: Call, member_id: str, said: Words, meant: Meaning, response: Message) -> Outcome:
    _remember(call, member_id, Subscription(said.names, said.regex, meant))
    if meant.shared:
        call.zone.owners.remember(call.request.group_id, member_id, EVERY_GENERATION)
    return _translate(call, said, meant, response)


def _translate(call: Call, said: Words, meant: Meaning, response: Message) -> Outcome:
    """The assignment under the member's aliases. A topic's id that is not known yet is looked up first."""
    if response.assignment is None or not _unknown_ids(call, response):
        return _answer(call, response, _assignment(call, meant, response))
    return Forward(
        (metadata.broker_request(call, meant.topics),),
        lambda answers: _translate_learnt(call, said, meant, response, answers[0]),
        exclusive=True,
    )


def _translate_learnt(call: Call, said: Words, meant: Meaning, response: Message, topics: Message) -> Outcome:
    metadata.learn_topics(call, topics)
    if _unknown_ids(call, response):
        # of a topic that has just come or gone; left out, it would never be mentioned again
        return _ask_client_again(call, said)
    return _answer(call, response, _assignment(call, meant, response))


def _unknown_ids(call: Call, response: Message) -> set[bytes]:
    assigned = {assigned.topic_id for assigned in response.assignment.topic_partitions}
    return assigned - {call.zone.topic_id(alias) for alias in call.zone.rules.aliases}


def _assignment(call: Call, meant: Meaning, response: Message) -> Message | None:
    if response.assignment is None:
        return None
    struct = call.response.nested("assignment")
    assigned = {each.topic_id: each.partitions for each in response.assignment.topic_partitions}
    return struct.new(
        topic_partitions=tuple(
            struct.nested("topic_partitions").new(
                topic_id=call.zone.alias_id(alias), partitions=assigned[call.zone.topic_id(alias)]
            )
            for alias in _aliases(call, meant)
            if call.zone.topic_id(alias) in assigned
        )
    )


def _aliases(call: Call, meant: Meaning) -> list[Alias]:
    return [alias for alias in map(call.zone.rules.alias, meant.aliases) if alias is not None]


def _answer(call: Call, response: Message, assignment: Message | None) -> Answer:
    answer = response.copy()
    answer.error_message = own_text(response.error_code, response.error_message)
    answer.assignment = assignment
    return Answer(answer)


# members of one group that mean different aliases of one topic


def describe_request(call: Call, group_id: str) -> BrokerRequest:
    """What the group's members have subscribed to, asked of its coordinator."""
    version = min(NEWEST_DESCRIBE, call.brokers.version_range(DESCRIBE_KEY)[1])
    message = request_struct(DESCRIBE_KEY, version).new(group_ids=(call.zone.rules.qualify(group_id),))
    return BrokerRequest(DESCRIBE_KEY, version, message)


def _check_others(
    call: Call, member_id: str, said: Words, meant: Meaning, response: Message, described: Message
) -> Outcome:
    if len(described.groups) != 1:
        raise BrokerProtocolError(f"one group was to be described, and the answer has {len(described.groups)}")
    (group,) = described.groups
    if group.error_code:
        return _ask_client_again(call, said)
    others = [member for member in group.members if member.member_id != member_id]
    topic = next(
        (topic for topic in meant.shared if not agree(call, call.request.group_id, meant.aliases, topic, others)), None
    )
    if topic is None:
        return _accept(call, member_id, said, meant, response)
    leave = call.request.struct.new(
        group_id=call.zone.rules.qualify(call.request.group_id),
        member_id=member_id,
        member_epoch=LEAVE_EPOCH,
        instance_id=call.request.instance_id,
        topic_partitions=None,
    )
    # with its instance id as well: a static member leaves for good, not for a while
    text = DIFFERENT_ALIASES.format(", ".join(meant.aliases_of(call.zone.rules, topic)))
    return Forward(
        (BrokerRequest(HEARTBEAT_KEY, call.version, leave),), lambda _left: _expel(call, text), exclusive=True
    )


def _expel(call: Call, text: str) -> Answer:
    call.zone.subscriptions.forget(call.request.group_id, call.request.member_id)
    return _refuse(call, ErrorCode.INVALID_REQUEST, text)


def agree(call: Call, group_id: str, mine: Collection[str], topic: str, others: Iterable[Message]) -> bool:
    """Whether all members that have this topic mean the same aliases of it; `mine` are this member's names."""
    names = [alias.name for alias in call.zone.rules.aliases_of(topic)]
    own = {name for name in names if name in mine}
    for other in others:
        theirs = _names_of(call, group_id, other) if topic in other.subscribed_topic_names else None
        if theirs is not None and {name for name in names if name in theirs} != own:
            return False
    return True


def _names_of(call: Call, group_id: str, member: Message) -> Collection[str] | None:
    """The aliases that a member means; None for one that is about to tell.

    Where nobody knows a member of this protocol, it was told before the topic was shared: it is made to say everything
    again, and then sees all others. What a classic member means only the gateway knows at which it has joined.
    """
    if getattr(member, "member_type", CONSUMER_MEMBER) == CLASSIC_MEMBER:
        known = call.zone.subscriptions.find(group_id, member.member_id)
        return known.names if known is not None else ()
    meant = what_member_means(call, group_id, member)[1]
    return meant.aliases if meant is not None else None


def what_member_means(call: Call, group_id: str, member: Message) -> tuple[Words | None, Meaning | None]:
    """What a member that the broker describes has said, and what it means now; None where nobody knows."""
    said = recall(member.subscribed_topic_regex)
    if said is None:
        known = _words_of(call.zone.subscriptions.find(group_id, member.member_id))
        said = known if known != Words() else None
    try:
        return said, meaning(call.zone.rules, said) if said is not None else None
    except InvalidPatternError:
        return said, None


# ConsumerGroupDescribe


def describe(call: Call) -> Outcome:
    group_ids: Sequence[str] = call.request.group_ids
    wanted = tuple(call.zone.rules.qualify(group_id) for group_id in dict.fromkeys(group_ids) if group_id)
    if not wanted:
        return _described(call, None)
    # the operations are the zone's, not the gateway's own
    message = call.request.struct.new(group_ids=wanted)
    request = BrokerRequest(DESCRIBE_KEY, call.version, message)
    return Forward((request,), lambda responses: _described(call, responses[0]))


def _described(call: Call, response: Message | None) -> Answer:
    found = {group.group_id: group for group in response.groups} if response is not None else {}
    groups = tuple(
        _group(call, group_id, found.get(call.zone.rules.qualify(group_id))) for group_id in call.request.group_ids
    )
    return Answer(call.response.new(throttle_time=getattr(response, "throttle_time", 0), groups=groups))


def _group(call: Call, group_id: str, group: Message | None) -> Message:
    if not group_id or group is None:
        error = ErrorCode.UNKNOWN_SERVER_ERROR if group_id else ErrorCode.INVALID_GROUP_ID
        call.refuse(error, group_resource(group_id))
        struct = call.response.nested("groups")
        return struct.new(group_id=group_id, error_code=error, error_message=text_of(error))
    call.zone.note_broker_error(DESCRIBE_KEY, group.error_code)
    answer: Message = group.copy()
    answer.group_id = group_id
    answer.error_message = own_text(group.error_code, group.error_message)
    answer.members = tuple(_member(call, group_id, member) for member in group.members)
    asked = call.request.include_authorized_operations and not group.error_code
    answer.authorized_operations = GROUP_OPERATIONS if asked else metadata.NOT_ASKED
    return answer


def _member(call: Call, group_id: str, member: Message) -> Message:
    said, meant = what_member_means(call, group_id, member)
    if said is None or meant is None:
        said = words(_primaries(call, member.subscribed_topic_names), "")
        meant = meaning(call.zone.rules, said)
    answer: Message = member.copy()
    answer.client_id = call.zone.rules.unqualify(member.client_id) or ""
    answer.client_host = UNKNOWN_HOST
    answer.subscribed_topic_names = said.names
    answer.subscribed_topic_regex = said.regex if member.subscribed_topic_regex is not None else None
    answer.assignment = _described_assignment(call, meant, member.assignment)
    answer.target_assignment = _described_assignment(call, meant, member.target_assignment)
    return answer


def _primaries(call: Call, topics: Sequence[str]) -> Iterable[str]:
    return (alias.name for alias in map(call.zone.rules.primary, topics) if alias is not None)


def _described_assignment(call: Call, meant: Meaning, assignment: Message) -> Message:
    entry = assignment.struct.nested("topic_partitions")
    shown = []
    for assigned in assignment.topic_partitions:
        call.zone.learn(assigned.topic_name, assigned.topic_id)
        names = meant.aliases_of(call.zone.rules, assigned.topic_name) or _primaries(call, (assigned.topic_name,))
        for alias in filter(None, map(call.zone.rules.alias, names)):
            topic_id = call.zone.alias_id(alias)
            shown.append(entry.new(topic_id=topic_id, topic_name=alias.name, partitions=assigned.partitions))
    return assignment.struct.new(topic_partitions=tuple(shown))
