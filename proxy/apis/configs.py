"""DescribeConfigs (32): of aliases and of the zone's own groups. Versions 1-4 (3 documentation, 4 flexible).

Broker, logger and client-metrics resources are refused one by one, as to a user without DESCRIBE_CONFIGS on the
cluster. Of a value's synonyms only the topic's own and Kafka's default are shown; the others are the brokers' settings.
"""

from collections.abc import Sequence
from typing import Final

from protocol.error_codes import ErrorCode, own_text, text_of
from protocol.schema import Message
from proxy.exchange import Answer, BrokerRequest, Call, Forward, Outcome
from proxy.resources import of_config

KEY: Final = 32
TOPIC: Final = 2
GROUP: Final = 32
CLUSTER_RESOURCES: Final = (4, 8, 16)
"""BROKER, BROKER_LOGGER, CLIENT_METRICS"""
KNOWN: Final = (TOPIC, GROUP, *CLUSTER_RESOURCES)
SHOWN_SYNONYMS: Final = (1, 5)
"""DYNAMIC_TOPIC_CONFIG, DEFAULT_CONFIG"""


def handle(call: Call) -> Outcome:
    resources: Sequence[Message] = call.request.resources
    names = [_broker_name(call, resource) for resource in resources]
    if any(resource.resource_type not in KNOWN for resource in resources):
        # a broker, too, refuses the whole request
        names = [ErrorCode.INVALID_REQUEST] * len(names)
    layers: list[dict[tuple[int, str], Message]] = []
    placed = []
    for resource, name in zip(resources, names, strict=True):
        if isinstance(name, ErrorCode):
            call.refuse(name, of_config(resource.resource_type, resource.resource_name))
            placed.append(-1)
            continue
        # two aliases of one topic may ask for different keys: a request each
        key = (resource.resource_type, name)
        layer = next((i for i, taken in enumerate(layers) if key not in taken), len(layers))
        if layer == len(layers):
            layers.append({})
        layers[layer][key] = _renamed(resource, name)
        placed.append(layer)
    if not layers and resources:
        return _finish(call, names, placed, [])
    requests = [_broker_request(call, tuple(taken.values())) for taken in layers or [{}]]
    return Forward(requests, lambda responses: _finish(call, names, placed, responses))


def _broker_name(call: Call, resource: Message) -> str | ErrorCode:
    """The resource as the broker knows it, or why it is refused."""
    if resource.resource_type == TOPIC:
        alias = call.zone.rules.alias(resource.resource_name)
        return alias.topic if alias is not None else ErrorCode.TOPIC_AUTHORIZATION_FAILED
    if resource.resource_type == GROUP and resource.resource_name:
        return call.zone.rules.qualify(resource.resource_name)
    if resource.resource_type in CLUSTER_RESOURCES:
        return ErrorCode.CLUSTER_AUTHORIZATION_FAILED
    return ErrorCode.INVALID_REQUEST


def _renamed(resource: Message, name: str) -> Message:
    renamed = resource.copy()
    renamed.resource_name = name
    return renamed


def _broker_request(call: Call, resources: tuple[Message, ...]) -> BrokerRequest:
    message = call.request.copy()
    message.resources = resources
    return BrokerRequest(KEY, call.version, message)


def _finish(
    call: Call, names: Sequence[str | ErrorCode], placed: Sequence[int], responses: Sequence[Message]
) -> Answer:
    found = [{(result.resource_type, result.resource_name): result for result in r.results} for r in responses]
    entry = call.response.nested("results")
    results = []
    for resource, name, layer in zip(call.request.resources, names, placed, strict=True):
        result = None if isinstance(name, ErrorCode) else found[layer].get((resource.resource_type, name))
        if result is None:
            error = name if isinstance(name, ErrorCode) else ErrorCode.UNKNOWN_SERVER_ERROR
            result = entry.new(error_code=error, error_message=text_of(error), resource_type=resource.resource_type)
        else:
            result.error_message = own_text(result.error_code, result.error_message)
            for config in result.configs:
                config.synonyms = tuple(s for s in config.synonyms if s.source in SHOWN_SYNONYMS)
        result.resource_name = resource.resource_name
        results.append(result)
    throttle = max((response.throttle_time for response in responses), default=0)
    return Answer(call.response.new(results=tuple(results), throttle_time=throttle))
