"""What the gateway itself asks a broker, in the queue of those who wait for that broker's answers."""

from collections.abc import Callable
from typing import Any

from protocol import api_versions
from protocol.codec import decode, encode
from protocol.framing import Sink
from protocol.headers import encode_client_id, request_head, response_body
from protocol.schema import Message, request_struct, response_struct
from proxy.exchange import BrokerRequest, Pieces

OnAnswer = Callable[[Message], None]
OnFailed = Callable[[str], None]


class OwnRequest:
    """Its answer goes to `take`; if the connection ends first, `fail` is told why."""

    __slots__ = ("_fail", "_flexible", "_request", "_struct", "_take", "broker_correlation_id")

    def __init__(self, request: BrokerRequest, correlation_id: int, take: OnAnswer, fail: OnFailed) -> None:
        self.broker_correlation_id = correlation_id
        self._request = request
        self._struct = response_struct(request.api_key, request.version)
        self._flexible = self._struct.flexible and request.api_key != api_versions.KEY
        self._take = take
        self._fail = fail

    def frame(self) -> Pieces:
        request = self._request
        body = encode(request.message)
        flexible = request_struct(request.api_key, request.version).flexible
        client_id = encode_client_id(b"zonegate")
        head = request_head(
            len(body), request.api_key, request.version, self.broker_correlation_id, client_id, flexible
        )
        return head, body

    def on_frame(self, data: bytes, start: int, end: int) -> None:
        self._take(self._read(data, response_body(data, start, end, self._flexible), end))

    def _read(self, data: bytes, start: int, end: int) -> Any:
        return decode(self._struct, data, start, end)

    def on_head(self, data: bytes, start: int, size: int) -> Sink | None:
        return None

    def on_lost(self, detail: str) -> None:
        self._fail(detail)


class UnreadRequest(OwnRequest):
    """One whose answer may be so large that reading it would hold up everybody else: `take` gets the body's bytes."""

    __slots__ = ()

    def _read(self, data: bytes, start: int, end: int) -> bytes:
        return data[start:end]


class Nobody:
    """Takes the place of whoever waited for an answer and is gone."""

    __slots__ = ("broker_correlation_id",)

    def __init__(self, broker_correlation_id: int) -> None:
        self.broker_correlation_id = broker_correlation_id

    def on_frame(self, data: bytes, start: int, end: int) -> None: ...

    def on_head(self, data: bytes, start: int, size: int) -> Sink | None:
        return None
