"""DescribeTransactions (65), ListTransactions (66): the zone's own transactions, under the ids that its clients gave.

Versions: DescribeTransactions 0; ListTransactions 0-2: 1 filters by duration (KIP-994), 2 by a pattern (KIP-1152),
which is matched here against the client's own ids and never sent on. As on a broker, whoever may use no transactional
id describes none and sees none in a list.
"""

from collections.abc import Callable
from typing import Final

import re2

from protocol.error_codes import ErrorCode
from protocol.schema import Message
from proxy.apis.ids import transaction_refusal
from proxy.exchange import Answer, BrokerRequest, Call, Forward, Outcome
from proxy.resources import transaction

DESCRIBE: Final = 65
LIST: Final = 66


def describe(call: Call) -> Outcome:
    """DescribeTransactions."""
    asked = call.request.transactional_ids
    refused = {name: transaction_refusal(call.zone.rules, name) for name in asked}
    for name, error in refused.items():
        if error is not None:
            call.refuse(error, transaction(name))
    granted = tuple(call.zone.rules.qualify(name) for name, error in refused.items() if error is None)
    if asked and not granted:
        return _described(call, refused, None)
    request = BrokerRequest(DESCRIBE, call.version, call.request.struct.new(transactional_ids=granted))
    return Forward((request,), lambda responses: _described(call, refused, responses[0]))


def _described(call: Call, refused: dict[str, ErrorCode | None], response: Message | None) -> Answer:
    found = {state.transactional_id: state for state in response.transaction_states} if response is not None else {}
    for state in found.values():
        call.zone.note_broker_error(DESCRIBE, state.error_code)
    entry = call.response.nested("transaction_states")
    states = []
    for name in call.request.transactional_ids:
        state = found.get(call.zone.rules.qualify(name)) if refused[name] is None else None
        if state is None:
            error = refused[name] or ErrorCode.UNKNOWN_SERVER_ERROR
            # a broker's own answer without a transaction has 0 for a time, too
            state = entry.new(error_code=error, transaction_start_time=0)
        states.append(_client_state(call, name, state))
    throttle = getattr(response, "throttle_time", 0)
    return Answer(call.response.fit(throttle_time=throttle, transaction_states=tuple(states)))


def _client_state(call: Call, name: str, state: Message) -> Message:
    """Each topic once, under the alias that it can be written by; topics that have left the zone are left out."""
    topics = []
    for topic in state.topics:
        alias = call.zone.rules.primary(topic.topic)
        if alias is not None:
            topics.append(topic.struct.new(topic=alias.name, partitions=topic.partitions))
    state = state.copy()
    state.transactional_id, state.topics = name, tuple(topics)
    return state


def list_own(call: Call) -> Outcome:
    """ListTransactions."""
    request = call.request
    try:
        matches = _matcher(getattr(request, "transactional_id_pattern", None))
    except re2.error:
        call.refuse(ErrorCode.INVALID_REGULAR_EXPRESSION, transaction(""))
        return Answer(call.response.fit(error_code=ErrorCode.INVALID_REGULAR_EXPRESSION))
    if "transactional_id_pattern" in request.struct.names:
        request.transactional_id_pattern = None
    return Forward(
        (BrokerRequest(LIST, call.version, request),), lambda responses: _listed(call, matches, responses[0])
    )


def _matcher(pattern: str | None) -> Callable[[str], object]:
    """Whether the whole of an id matches, in the dialect that brokers use. Raises re2.error."""
    if not pattern:
        return lambda _name: True
    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options).fullmatch  # type: ignore[no-any-return]


def _listed(call: Call, matches: Callable[[str], object], response: Message) -> Answer:
    states = []
    for state in response.transaction_states if call.zone.rules.writable else ():
        name = call.zone.rules.unqualify(state.transactional_id)
        if name is not None and matches(name):
            state.transactional_id = name
            states.append(state)
    response.transaction_states = tuple(states)
    return Answer(response)
