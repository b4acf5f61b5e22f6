"""How long a sign-in is good for, and when a client may sign in again on its connection (KIP-368).

Kafka's SaslServerAuthenticator and KafkaChannel are the model. A client is told how long its session lasts: as long as
`max_reauthentication_seconds` lets it, and no longer than its proof is one. Before that is over it sends another
SaslHandshake. If it doesn't, its next request ends the connection; until then nothing happens to it here. That a proof
has expired ends a session at once: `ClientSession` looks after that.
"""

from math import inf
from time import monotonic, time
from typing import Final

from proxy.mechanisms.mechanism import Principal

MIN_INTERVAL_SECONDS: Final = 1.0
"""Between the beginnings of two re-authentications, as in Kafka: each costs more than a request."""

MAX_LIFETIME_SECONDS: Final = 365 * 24 * 3600.0
"""What a client is told at most. Java clients count nanoseconds in 64 bits, so 300 years would be too long for them."""


class SessionLife:
    """Of one connection, from its first sign-in on."""

    __slots__ = ("_begun", "_ends", "_max_seconds", "open_until")

    def __init__(self, max_seconds: float) -> None:
        """`max_seconds` may be 0: sessions last as long as their proofs."""
        self._max_seconds = max_seconds or inf
        self._ends = inf
        self._begun = -inf
        self.open_until = inf
        """In monotonic seconds: requests that arrive until then are served. While the client signs in again: never."""

    def on_signed_in(self, principal: Principal) -> int:
        """The milliseconds for which the session will be open, for the client; 0 is for ever."""
        proof = principal.expires - time() if principal.expires is not None else inf
        seconds = min(proof, self._max_seconds)
        if seconds == inf:
            self._ends = self.open_until = inf
            return 0
        seconds = min(max(seconds, 0.0), MAX_LIFETIME_SECONDS)
        self._ends = self.open_until = monotonic() + seconds
        return int(seconds * 1000)

    def may_begin(self) -> bool:
        """Whether a client that has signed in may do so again."""
        return self._ends != inf and monotonic() - self._begun >= MIN_INTERVAL_SECONDS

    def begin(self) -> None:
        """The client signs in again: no other request is served until it has."""
        self._begun = monotonic()
        self.open_until = -inf
