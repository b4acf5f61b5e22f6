"""Signing in again on a live connection to a broker, before its session ends (KIP-368), unnoticed by any client.

As in Kafka's own client it begins when the next request is about to go out, at a random moment near the session's end:
between two frames, therefore, never within one, and idle connections cost nothing. A broker takes nothing but the
sign-in until it is done, so what is to be sent meanwhile is kept back and goes out behind it, in its order; the client
is not read, so that this is no more than it had sent already. Answers to earlier requests arrive as usual.
"""

import asyncio
import logging
import math
import random
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final, Protocol

from protocol.schema import Message
from proxy.broker_login import Conversation, RefusedLoginError, Upstream, sign_in
from proxy.close import CloseReason
from proxy.exchange import Awaited, BrokerRequest, Pieces
from proxy.flow import Hold, ReadGate

_log = logging.getLogger("zonegate.broker")

MARGIN: Final = (0.05, 0.15)
"""The part of a session's lifetime that is left when it is renewed, as in Kafka's client: at random, so that thousands
of connections don't do it at once."""

MARGIN_SECONDS: Final = 10.0
"""So much is left at least, or half of a shorter lifetime. A broker looks at its clock when it takes up a request,
which may have waited behind others of the connection; what it takes up too late ends the connection."""

MIN_SECONDS: Final = 1.0
"""Brokers refuse to be asked again within a second (KIP-368)."""

ANSWER_SECONDS: Final = 10.0
"""How long a broker may take once it has answered the handshake; before that it may be busy with earlier requests."""


class Line(Protocol):
    """The connection to the broker, as this needs it."""

    def put(self, pieces: Pieces, size: int, awaited: Awaited | None) -> None:
        """Send at once."""

    def ask(self, request: BrokerRequest, take: Callable[[Message], None]) -> None:
        """Send a request of our own at once; `take` gets the answer."""

    def lose(self, reason: CloseReason, detail: str) -> None:
        """End the connection."""

    def on_reauthenticated(self) -> None:
        """All that was kept back has been sent."""


class Reauthentication:
    """Of one connection; every frame that is to be sent passes by `keeps` first."""

    __slots__ = ("_client_gate", "_conversation", "_due", "_kept", "_line", "_upstream", "keeps_unanswered")

    def __init__(self, line: Line, upstream: Upstream, client_gate: ReadGate, lifetime: float) -> None:
        self._line = line
        self._upstream = upstream
        self._client_gate = client_gate
        self._conversation: Conversation | None = None
        self._kept: list[tuple[Pieces, int, Awaited | None]] = []
        self.keeps_unanswered = False
        """True while a request that gets no response (acks=0) is kept back: nobody would notice its loss."""
        self._due = math.inf
        self._schedule(lifetime)

    def _schedule(self, lifetime: float) -> None:
        if lifetime > 0:
            # jitter, no secret
            margin = max(lifetime * random.uniform(*MARGIN), min(MARGIN_SECONDS, lifetime / 2))  # noqa: S311
            self._due = monotonic() + max(lifetime - margin, MIN_SECONDS)
        else:
            self._due = math.inf

    def keeps(self, pieces: Pieces, size: int, awaited: Awaited | None) -> bool:
        """Whether a frame (or its beginning) was taken, to be sent later; else it may be sent now."""
        if self._conversation is None:
            if monotonic() < self._due:
                return False
            self._begin()
        self._kept.append((pieces, size, awaited))
        self.keeps_unanswered |= awaited is None
        return True

    def keeps_more(self, chunk: bytes) -> bool:
        """The same for more of a frame: it follows its beginning."""
        if self._conversation is None:
            return False
        self._kept.append(((chunk,), len(chunk), None))
        return True

    def _begin(self) -> None:
        self._client_gate.hold(Hold.REAUTHENTICATING)
        self._conversation = sign_in(self._upstream)
        self._line.ask(next(self._conversation), self._take)

    def _take(self, answer: Message) -> None:
        conversation = self._conversation
        if conversation is None:
            return
        try:
            request = conversation.send(answer)
        except StopIteration as done:
            self._end(done.value)
        except RefusedLoginError as error:
            extra = {"event": "upstream_reauthentication_refused", "problem": str(error)}
            _log.warning("a broker refuses us on a connection that it had accepted", extra=extra)
            raise
        else:
            asyncio.get_running_loop().call_later(ANSWER_SECONDS, self._expire, conversation)
            self._line.ask(request, self._take)

    def _expire(self, conversation: Conversation) -> None:
        if self._conversation is conversation:
            detail = f"the broker did not finish a re-authentication within {ANSWER_SECONDS:g} s"
            self._line.lose(CloseReason.BROKER_UNREACHABLE, detail)

    def _end(self, lifetime: float) -> None:
        self._conversation = None
        self._upstream.metrics.upstream_reauthentications[self._upstream.config.id] += 1
        self._schedule(lifetime)
        kept, self._kept = self._kept, []
        self.keeps_unanswered = False
        for pieces, size, awaited in kept:
            self._line.put(pieces, size, awaited)
        self._client_gate.release(Hold.REAUTHENTICATING)
        self._line.on_reauthenticated()

    def abandon(self) -> Sequence[Awaited]:
        """The connection is gone; those whose requests were never sent come back."""
        self._conversation = None
        kept, self._kept = self._kept, []
        return [awaited for _, _, awaited in kept if awaited is not None]
