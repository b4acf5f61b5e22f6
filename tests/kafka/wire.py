"""Asking one broker one question over a plain connection: enough to see a cluster's state without a client library.

A client library retries, caches and picks brokers by itself, which is what a test of readiness must not do.
"""

import io
import socket
import struct
from collections.abc import Mapping
from typing import TypeVar

from kio.schema.create_topics.v7 import request as create_request
from kio.schema.create_topics.v7.response import CreateTopicsResponse
from kio.schema.errors import ErrorCode
from kio.schema.metadata.v12.request import MetadataRequest, MetadataRequestTopic
from kio.schema.metadata.v12.response import MetadataResponse
from kio.schema.types import TopicName
from kio.serial import entity_reader, entity_writer
from kio.static.primitive import i16, i32

Address = tuple[str, int]
Request = MetadataRequest | create_request.CreateTopicsRequest
Response = TypeVar("Response", MetadataResponse, CreateTopicsResponse)

CLIENT_ID = "zonegate-tests"


class TopicNotCreated(Exception):
    """The cluster refused to create a topic; the message gives its reason."""


def ask(address: Address, request: Request, response_type: type[Response], timeout: float = 10.0) -> Response:
    header = request.__header_schema__(
        request_api_key=request.__api_key__,
        request_api_version=request.__version__,
        correlation_id=i32(1),
        client_id=CLIENT_ID,
    )
    frame = io.BytesIO()
    entity_writer(type(header))(frame, header)
    entity_writer(type(request))(frame, request)
    with socket.create_connection(address, timeout) as connection:
        connection.sendall(struct.pack(">i", frame.tell()) + frame.getvalue())
        (size,) = struct.unpack(">i", _receive(connection, 4))
        body = _receive(connection, size)
    _, header_size = entity_reader(response_type.__header_schema__)(body, 0)
    response, _ = entity_reader(response_type)(body, header_size)
    return response


def _receive(connection: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        chunk = connection.recv(size - len(received))
        if not chunk:
            raise ConnectionError("the broker closed the connection within a response")
        received += chunk
    return bytes(received)


def metadata(address: Address, topic: str | None = None) -> MetadataResponse:
    """What this broker believes about the cluster; about all topics, or one, which is never created by asking."""
    topics = None if topic is None else (MetadataRequestTopic(topic_id=None, name=TopicName(topic)),)
    request = MetadataRequest(topics=topics, allow_auto_topic_creation=False, include_topic_authorized_operations=False)
    return ask(address, request, MetadataResponse)


def create_topic(address: Address, name: str, partitions: int, replication: int, configs: Mapping[str, str]) -> None:
    topic = create_request.CreatableTopic(
        name=TopicName(name),
        num_partitions=i32(partitions),
        replication_factor=i16(replication),
        assignments=(),
        configs=tuple(create_request.CreatableTopicConfig(name=key, value=value) for key, value in configs.items()),
    )
    response = ask(address, create_request.CreateTopicsRequest(topics=(topic,)), CreateTopicsResponse)
    result = response.topics[0]
    if result.error_code is not ErrorCode.none:
        raise TopicNotCreated(f"{name}: {result.error_code.name} {result.error_message or ''}")
