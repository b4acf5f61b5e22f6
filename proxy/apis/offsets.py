"""ListOffsets (2) and OffsetForLeaderEpoch (23): names mapped, the replica id always a consumer's.

ListOffsets 1-11 (6+ flexible; 10 timeout, KIP-1075); a replica id of -2 would bypass leader and isolation checks.
OffsetForLeaderEpoch 2-4 (3 replica id, 4 flexible).
"""

from collections.abc import Callable
from typing import Final

from protocol.error_codes import ErrorCode
from protocol.schema import Message
from proxy.apis.topics import Shape, Split
from proxy.exchange import Answer, BrokerRequest, Call, Forward, Outcome

LIST_OFFSETS: Final = Shape(
    refused=(("timestamp", -1), ("offset", -1), ("leader_epoch", -1)), skips_empty=True, groups=True
)
LEADER_EPOCH: Final = Shape(
    topic_name="topic",
    request_index="partition",
    response_index="partition",
    refused=(("leader_epoch", -1), ("end_offset", -1)),
)
CONSUMER_REPLICA_ID: Final = -1


def list_offsets(call: Call) -> Outcome:
    return _ask(call, LIST_OFFSETS)


def offset_for_leader_epoch(call: Call) -> Outcome:
    return _ask(call, LEADER_EPOCH)


def _ask(call: Call, shape: Shape) -> Outcome:
    split = Split(call, shape, call.request.topics)
    if not split.layers and split.asked:
        return _finish(call, split)([])
    requests = [_broker_request(call, split, layer) for layer in range(max(split.layers, 1))]
    return Forward(requests, _finish(call, split))


def _broker_request(call: Call, split: Split, layer: int) -> BrokerRequest:
    request = call.request
    message = request.struct.fit(
        replica_id=CONSUMER_REPLICA_ID,
        isolation_level=getattr(request, "isolation_level", 0),
        timeout=getattr(request, "timeout", 0),
        topics=split.topics_of(layer),
    )
    return BrokerRequest(call.api_key, call.version, message)


def _finish(call: Call, split: Split) -> Callable[[list[Message]], Answer]:
    def finish(responses: list[Message]) -> Answer:
        topics = split.merge(
            call.response.nested("topics"),
            [response.topics for response in responses],
            ErrorCode.UNKNOWN_SERVER_ERROR,
        )
        throttle = max((getattr(response, "throttle_time", 0) for response in responses), default=0)
        return Answer(call.response.fit(topics=topics, throttle_time=throttle))

    return finish
