"""FindCoordinator (10): group and transactional ids in the zone's own namespace, brokers at the gateway's addresses.

Versions: 0-3 one key, 4+ a batch with an error per key (KIP-699), 6 share groups (not offered).
"""

from collections.abc import Sequence
from typing import Any, Final

from policies.zone import ZoneRules
from protocol.error_codes import ErrorCode, own_text, text_of
from protocol.schema import Message, Struct
from proxy.apis.ids import is_too_long
from proxy.exchange import Answer, BrokerRequest, Call, Forward, Outcome
from proxy.resources import NOTHING, Resource, group, transaction

KEY: Final = 10
GROUP: Final = 0
TRANSACTION: Final = 1
SHARE_STATE: Final = 2
FIRST_WITH_BATCHES: Final = 4


def handle(call: Call) -> Outcome:
    request = call.request
    batch = call.version >= FIRST_WITH_BATCHES
    keys: Sequence[str] = request.coordinator_keys if batch else (request.key,)
    refused = {key: _refusal(call.zone.rules, getattr(request, "key_type", GROUP), key) for key in keys}
    granted = tuple(call.zone.rules.qualify(key) for key in dict.fromkeys(keys) if refused[key] is None)
    for key, error in refused.items():
        if error is not None:
            call.refuse(error, _resource(getattr(request, "key_type", GROUP), key))
    if not granted and keys:
        return _finish(call, keys, refused, None)
    values = {"coordinator_keys": granted} if batch else {"key": granted[0]}
    message = request.struct.fit(key_type=getattr(request, "key_type", GROUP), **values)
    return Forward(
        (BrokerRequest(KEY, call.version, message),), lambda responses: _finish(call, keys, refused, responses[0])
    )


def _resource(key_type: int, key: str) -> Resource:
    if key_type == TRANSACTION:
        return transaction(key)
    return group(key) if key_type == GROUP else NOTHING


def _refusal(rules: ZoneRules, key_type: int, key: str) -> ErrorCode | None:
    """Why there is no coordinator. An empty key has one, on a broker too: it is refused where it would be used."""
    if key_type == TRANSACTION and not rules.writable:
        return ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    if key_type not in (GROUP, TRANSACTION):
        return ErrorCode.INVALID_REQUEST
    if is_too_long(rules, key):
        return ErrorCode.INVALID_GROUP_ID if key_type == GROUP else ErrorCode.INVALID_REQUEST
    return None


def _finish(call: Call, keys: Sequence[str], refused: dict[str, ErrorCode | None], response: Message | None) -> Answer:
    throttle = getattr(response, "throttle_time", 0)
    if call.version < FIRST_WITH_BATCHES:
        return Answer(_coordinator(call, call.response, refused[keys[0]], response, throttle_time=throttle))
    entry = call.response.nested("coordinators")
    found = {coordinator.key: coordinator for coordinator in response.coordinators} if response is not None else {}
    coordinators = tuple(
        _coordinator(call, entry, refused[key], found.get(call.zone.rules.qualify(key)), key=key) for key in keys
    )
    return Answer(call.response.fit(throttle_time=throttle, coordinators=coordinators))


def _coordinator(
    call: Call, struct: Struct, refusal: ErrorCode | None, found: Message | None, **values: Any
) -> Message:
    endpoint = None
    error = int(refusal) if refusal is not None else ErrorCode.UNKNOWN_SERVER_ERROR
    if refusal is None and found is not None:
        error = found.error_code
        endpoint = call.endpoints.endpoint(found.node_id) if not error else None
        if not error and endpoint is None:
            error = ErrorCode.COORDINATOR_NOT_AVAILABLE
    if endpoint is None or found is None:
        # in a batch, brokers say something only about a type of key that they never heard of
        silent = "key" in values and getattr(call.request, "key_type", GROUP) in (GROUP, TRANSACTION, SHARE_STATE)
        text = "" if silent else text_of(error)
        return struct.fit(error_code=error, error_message=text, node_id=-1, host="", port=-1, **values)
    text = own_text(error, getattr(found, "error_message", None))
    return struct.fit(node_id=found.node_id, host=endpoint[0], port=endpoint[1], error_message=text, **values)
